//! The public keys that credentials are checked with: where they come from, how long they serve.

pub mod cache;
pub mod discovery;
pub mod jwk;
pub mod turn;

use crate::crypto::{Algorithm, PublicKey};

/// One key of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// `kid` (RFC 7517 section 4.5), if it has one.
    pub id: Option<Box<str>>,
    /// Its thumbprint (RFC 7638, SHA-256), by which HTTP message signatures name keys that have no `kid`.
    pub thumbprint: Box<str>,
    /// What it verifies with.
    pub public: PublicKey,
    /// [`PublicKey::fingerprint`], by which a cached token finds out that its key is gone.
    pub fingerprint: [u8; 32],
}

/// A JSON Web Key Set, as far as it can verify signatures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet(Vec<Key>);

/// Why a header's `kid` and `alg` found no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKey {
    /// No key of that id.
    Unknown,
    /// The token names no key and the set has not exactly one that could be meant.
    Unnamed,
    /// The key of that id is for another algorithm.
    Algorithm,
}

impl KeySet {
    /// The key that a token's header means. The key's own algorithm must be the header's.
    ///
    /// # Errors
    /// [`NoKey`].
    pub fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&Key, NoKey> {
        let Some(id) = id else {
            let mut fitting = self.0.iter().filter(|key| key.public.algorithm() == algorithm);
            return match (fitting.next(), fitting.next()) {
                (Some(key), None) => Ok(key),
                _ => Err(NoKey::Unnamed),
            };
        };
        let mut error = NoKey::Unknown;
        for key in self.0.iter().filter(|key| key.id.as_deref() == Some(id)) {
            if key.public.algorithm() == algorithm {
                return Ok(key);
            }
            error = NoKey::Algorithm;
        }
        Err(error)
    }

    /// The key that an HTTP message signature names, by its id or by its thumbprint. The key has its
    /// algorithm; one that the signature states must be that.
    ///
    /// # Errors
    /// [`NoKey`]; [`NoKey::Unnamed`] where the id is several keys'.
    pub fn find_signer(&self, id: &str, algorithm: Option<Algorithm>) -> Result<&Key, NoKey> {
        let is_named = |key: &&Key| key.id.as_deref() == Some(id) || *key.thumbprint == *id;
        let is_meant = |key: &&Key| algorithm.is_none_or(|algorithm| key.public.algorithm() == algorithm);
        let mut meant = self.0.iter().filter(is_named).filter(is_meant);
        match (meant.next(), meant.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(NoKey::Unnamed),
            (None, _) if self.0.iter().any(|key| is_named(&key)) => Err(NoKey::Algorithm),
            (None, _) => Err(NoKey::Unknown),
        }
    }

    /// Whether a key of that fingerprint is still in the set.
    #[must_use]
    pub fn holds(&self, fingerprint: &[u8; 32]) -> bool {
        self.0.iter().any(|key| key.fingerprint == *fingerprint)
    }

    /// Whether a key has that id.
    #[must_use]
    pub fn names(&self, id: &str) -> bool {
        self.0.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
