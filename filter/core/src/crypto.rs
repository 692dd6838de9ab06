//! Hashes, encodings and signatures; the only file that touches a cryptography crate.
//!
//! Signatures are verified by the host where it can ([`HostVerifier`], Envoy's BoringSSL: an RSA-2048
//! check there costs 23 µs and 1.3 ms inside the VM), else here in pure Rust.
//!
//! The RustCrypto crates are used directly rather than through a JWT library: the token has already been
//! taken apart under stricter rules than a library's, and its claims are judged by a clock that comes in
//! as a value. What is left to do is one signature over given bytes.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, RsaPublicKey};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use signature_of::verify_with;

mod signature_of;

/// A JWS algorithm (RFC 7518 section 3.1, RFC 8037 section 3.1) that a public key can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    /// Every one of them.
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// The name in `alg`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of that name. `Ed25519` is the fully specified name of what `EdDSA` means here (RFC 9864).
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// The hash function of a signature, by the name the host gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// The name Envoy's `verify_signature` knows it by.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }
}

/// The host's own signature check, if it has one.
pub trait HostVerifier {
    /// Whether `signature` (RSA PKCS#1 v1.5, or ECDSA as DER) over `message` is the key's; `spki` is the
    /// key as a DER `SubjectPublicKeyInfo`. `None`: the host cannot check signatures.
    fn verify(&self, hash: Hash, spki: &[u8], signature: &[u8], message: &[u8]) -> Option<bool>;
}

/// A host that cannot check signatures.
#[derive(Clone, Copy, Debug)]
pub struct NoHost;

impl HostVerifier for NoHost {
    fn verify(&self, _: Hash, _: &[u8], _: &[u8], _: &[u8]) -> Option<bool> {
        None
    }
}

/// A public key that verifies signatures of one algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: Algorithm,
    material: Material,
    spki: Box<[u8]>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Rsa(RsaPublicKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

/// The largest RSA modulus, in bits: a key of any size that the sender likes would be a way to burn CPU.
const RSA_MAX_BITS: usize = 8192;
/// The smallest RSA modulus, in bits (RFC 7518 section 3.3).
const RSA_MIN_BITS: usize = 2048;

impl PublicKey {
    /// An RSA key from its big-endian modulus and exponent; `None` if it is too short, too long or no key.
    #[must_use]
    pub fn rsa(algorithm: Algorithm, modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let key = RsaPublicKey::new_with_max_size(
            BigUint::from_bytes_be(modulus),
            BigUint::from_bytes_be(exponent),
            RSA_MAX_BITS,
        )
        .ok()?;
        if key.n().bits() < RSA_MIN_BITS {
            return None;
        }
        let spki = key.to_public_key_der().ok()?.as_bytes().into();
        Some(Self { algorithm, material: Material::Rsa(key), spki })
    }

    /// A key on the curve of an ECDSA algorithm from its affine coordinates; `None` if the point is not on it.
    #[must_use]
    pub fn ec(algorithm: Algorithm, x: &[u8], y: &[u8]) -> Option<Self> {
        let point = [&[4], x, y].concat();
        let (material, spki) = match algorithm {
            Algorithm::Es256 if x.len() == 32 && y.len() == 32 => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?;
                (Material::P256(key), p256::PublicKey::from(key).to_public_key_der().ok()?)
            }
            Algorithm::Es384 if x.len() == 48 && y.len() == 48 => {
                let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(&point).ok()?;
                (Material::P384(key), p384::PublicKey::from(key).to_public_key_der().ok()?)
            }
            _ => return None,
        };
        Some(Self { algorithm, material, spki: spki.as_bytes().into() })
    }

    /// An Ed25519 key; `None` if it is no point of the curve, or one of small order.
    #[must_use]
    pub fn ed25519(bytes: &[u8]) -> Option<Self> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes.try_into().ok()?).ok()?;
        if key.is_weak() {
            return None;
        }
        Some(Self {
            algorithm: Algorithm::EdDsa,
            material: Material::Ed25519(key),
            spki: key.as_bytes().as_slice().into(),
        })
    }

    /// A key from a DER `SubjectPublicKeyInfo` with an RSA key in it, as PEM files hold it.
    #[must_use]
    pub fn rsa_spki(algorithm: Algorithm, der: &[u8]) -> Option<Self> {
        let key = RsaPublicKey::from_public_key_der(der).ok()?;
        Self::rsa(algorithm, &key.n().to_bytes_be(), &key.e().to_bytes_be())
    }

    /// The one algorithm whose signatures this key verifies.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What tells this key from every other: algorithm and key bytes, hashed.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.algorithm.name());
        hash.update([0]);
        hash.update(&self.spki);
        hash.finalize().into()
    }

    /// Whether `signature`, in the form JWS gives it (RFC 7518 section 3), is this key's over `message`.
    #[must_use]
    pub fn verify(&self, host: &dyn HostVerifier, message: &[u8], signature: &[u8]) -> bool {
        verify_with(self, host, message, signature).unwrap_or(false)
    }
}

/// SHA-256 over the parts, one after the other, as 64 lower-case hexadecimal digits.
#[must_use]
pub fn sha256_hex(parts: &[&[u8]]) -> [u8; 64] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(hash.finalize()) {
        for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
            *digit = if nibble < 10 { b'0'.wrapping_add(nibble) } else { b'a'.wrapping_add(nibble - 10) };
        }
    }
    text
}

/// Base64url without padding (RFC 7515 section 2); refuses every text but the one that encodes its bytes.
#[must_use]
pub fn base64url(text: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The other direction.
#[must_use]
pub fn to_base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn digest(hash: Hash, message: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha256 => Sha256::digest(message).to_vec(),
        Hash::Sha384 => Sha384::digest(message).to_vec(),
        Hash::Sha512 => Sha512::digest(message).to_vec(),
    }
}
