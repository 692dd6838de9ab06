//! What comes of judging a credential.

use super::{Identity, Refusal};
use crate::clock::UnixMillis;

/// A credential that was accepted and can be remembered by its bytes.
#[derive(Debug)]
pub struct Accepted {
    /// Whose it is.
    pub identity: Identity,
    /// Which source's key signed it, by its place among [`Policy::sources`](crate::policy::Policy::sources);
    /// `None` where the key is in the credential or in the configuration.
    pub source: Option<usize>,
    /// The key that signed it.
    pub key_fingerprint: [u8; 32],
    /// The moment from which it is refused: its `exp` and the leeway.
    pub refused_from: UnixMillis,
}

/// Why a credential was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// For good.
    Refused(Refusal),
    /// The keys of its source may come: ask again when they have.
    Wait,
    /// There are no keys of its source; seconds after which there may be.
    NoKeys(u64),
    /// rotagent's `Unknown Issuer: {issuer}`: the one refusal that repeats what the caller said.
    UnknownIssuer(Box<str>),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A credential that is good for one request, as far as its signature and claims go: what is left is to
/// hold the body against `digests` and then to use up `uses`.
#[derive(Debug)]
pub struct Signed {
    /// Whose it is.
    pub identity: Identity,
    /// Which source's key signed it, as in [`Accepted`].
    pub source: Option<usize>,
    /// The key that signed it.
    pub key_fingerprint: [u8; 32],
    /// What the body must have.
    pub digests: Vec<BodyDigest>,
    /// What must not have been used before.
    pub uses: Vec<OneUse>,
}

/// A digest that the body must have, because a signature vouches for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyDigest {
    /// The digest.
    pub expected: Digest,
    /// What is wrong if the body has another one.
    pub otherwise: Refusal,
}

/// A digest by its function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256.
    Sha256([u8; 32]),
    /// SHA-512.
    Sha512(Box<[u8; 64]>),
}

/// What may be used once: it is consumed when everything else about the credential has been found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneUse {
    /// SHA-256 over scheme, signer and nonce, so that nobody can use up somebody else's.
    pub key: [u8; 32],
    /// Whose: a hash of the key that signed it. Nobody can use up more than a share of the table.
    pub signer: [u8; 32],
    /// From when on the credential is refused anyway, in seconds since 1970: until then it is remembered.
    pub until: u64,
    /// What is wrong if it was used before.
    pub otherwise: Refusal,
    /// What is wrong if that moment has come while the request was waiting.
    pub late: Refusal,
}
