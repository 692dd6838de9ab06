//! did:key: a public key in multicodec and base58btc.

use crate::authn::Refusal;
use crate::crypto::{Algorithm, BASE58_MAX, PublicKey, base58};

/// A public key's bytes and what they are said to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyMaterial {
    algorithm: Algorithm,
    bytes: Box<[u8]>,
}

/// The kinds of key that are accepted: multicodec's number as the one shortest varint, the length of what
/// follows, and the algorithm that the kind is for. A longer varint of the same number is another text for
/// the same key, and matches none.
const KINDS: [([u8; 2], usize, Algorithm); 4] = [
    ([0xed, 0x01], 32, Algorithm::EdDsa),
    ([0x80, 0x24], 33, Algorithm::Es256),
    ([0x81, 0x24], 49, Algorithm::Es384),
    ([0xe7, 0x01], 33, Algorithm::Es256k),
];

impl KeyMaterial {
    /// The 32 bytes of an Ed25519 key.
    pub(super) fn ed25519(bytes: &[u8]) -> Self {
        Self { algorithm: Algorithm::EdDsa, bytes: bytes.into() }
    }

    /// The algorithm of its kind.
    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key, if it is one: a point of its curve, in compressed form.
    pub(super) fn public(&self) -> Result<PublicKey, Refusal> {
        match self.algorithm {
            Algorithm::EdDsa => PublicKey::ed25519(&self.bytes),
            algorithm => PublicKey::ec_compressed(algorithm, &self.bytes),
        }
        .ok_or(Refusal::DidMalformed)
    }
}

/// Reads what follows `did:key:`.
pub(super) fn read(id: &str) -> Result<KeyMaterial, Refusal> {
    let text = id.strip_prefix('z').ok_or(Refusal::DidMalformed)?;
    if text.len() > BASE58_MAX {
        // RSA's and BLS's.
        return Err(Refusal::DidKeyType);
    }
    let decoded = base58(text).ok_or(Refusal::DidMalformed)?;
    let (kind, bytes) = decoded.split_first_chunk::<2>().ok_or(Refusal::DidMalformed)?;
    let (_, length, algorithm) =
        KINDS.iter().find(|(number, ..)| number == kind).ok_or(Refusal::DidKeyType)?;
    if bytes.len() != *length {
        return Err(Refusal::DidMalformed);
    }
    Ok(KeyMaterial { algorithm: *algorithm, bytes: bytes.into() })
}
