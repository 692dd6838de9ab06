//! Hashes, encodings and signatures; the only place that touches a cryptography crate.
//!
//! Signatures are verified by the host where it can ([`HostVerifier`], Envoy's BoringSSL: an RSA-2048
//! check there costs 23 µs), else here in pure Rust.
//!
//! The RustCrypto crates are used directly rather than through a JWT library: the token has already been
//! taken apart under stricter rules than a library's, and its claims are judged by a clock that comes in
//! as a value. What is left to do is one signature over given bytes.

use rsa::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, RsaPublicKey};
use rsa_key::RsaKey;
use signature_of::verify_with;
use subtle::ConstantTimeEq as _;

mod encoding;
mod hash;
mod hmac_key;
mod rsa_key;
mod secp256k1;
mod signature_of;
mod signing_key;

pub use encoding::{BASE58_MAX, base58, base64url, hex, hex_32, to_base64url, to_hex};
pub use hash::{keccak256, sha256, sha256_hex, sha512, uuid_v5};
pub use hmac_key::HmacKey;
pub use secp256k1::recover_address;
pub use signing_key::{SigningKey, ed25519_thumbprint};

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
    /// Of DIDs alone: it stands neither in [`Algorithm::ALL`] nor has [`Algorithm::of_name`] it.
    Es256k,
}

impl Algorithm {
    /// Every one that a key published by an issuer can have. ES256K is not among them: whoever reads a
    /// published key or a token for one asks [`Algorithm::of_name`], so a set's key that states it is
    /// passed over and a token's header that does names nothing that is known. A wallet's key is its
    /// DID's and must never come from a set.
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
            Self::Es256k => "ES256K",
        }
    }

    /// The algorithm of that name among [`Algorithm::ALL`]. `Ed25519` is the fully specified name of what `EdDSA` means here (RFC 9864).
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        if name == "Ed25519" {
            return Some(Self::EdDsa);
        }
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Whether it is one of RSA's.
    #[must_use]
    pub fn is_rsa(self) -> bool {
        matches!(self, Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512)
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
    Rsa(RsaKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Secp256k1(k256::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

/// The largest RSA modulus, in bits: a key of any size that the sender likes would be a way to burn CPU.
const RSA_MAX_BITS: usize = 8192;
/// The smallest RSA modulus, in bits (RFC 7518 section 3.3).
const RSA_MIN_BITS: usize = 2048;

impl PublicKey {
    /// An RSA key from its big-endian modulus and exponent; `None` if it is too short, too long or no key,
    /// or the algorithm is not one of RSA's.
    #[must_use]
    pub fn rsa(algorithm: Algorithm, modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        if !algorithm.is_rsa() {
            return None;
        }
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
        Some(Self { algorithm, material: Material::Rsa(RsaKey::new(key)), spki })
    }

    /// A key on the curve of an ECDSA algorithm from its affine coordinates; `None` if the point is not on it.
    #[must_use]
    pub fn ec(algorithm: Algorithm, x: &[u8], y: &[u8]) -> Option<Self> {
        match algorithm {
            Algorithm::Es256 if x.len() == 32 && y.len() == 32 => {}
            Algorithm::Es384 if x.len() == 48 && y.len() == 48 => {}
            _ => return None,
        }
        Self::point(algorithm, &[&[4], x, y].concat())
    }

    /// A key on the curve of an ECDSA algorithm from its compressed point (SEC 1 section 2.3.3), as did:key
    /// has it; `None` if it is in another form or not on the curve.
    #[must_use]
    pub fn ec_compressed(algorithm: Algorithm, point: &[u8]) -> Option<Self> {
        let length = match algorithm {
            Algorithm::Es256 | Algorithm::Es256k => 33,
            Algorithm::Es384 => 49,
            _ => return None,
        };
        match point.first()? {
            2 | 3 if point.len() == length => Self::point(algorithm, point),
            _ => None,
        }
    }

    fn point(algorithm: Algorithm, point: &[u8]) -> Option<Self> {
        let (material, spki) = match algorithm {
            Algorithm::Es256 => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
                let spki = p256::PublicKey::from(key).to_public_key_der().ok()?;
                (Material::P256(key), spki.as_bytes().into())
            }
            Algorithm::Es384 => {
                let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
                let spki = p384::PublicKey::from(key).to_public_key_der().ok()?;
                (Material::P384(key), spki.as_bytes().into())
            }
            // The host never sees it, so its bytes alone will do.
            Algorithm::Es256k => {
                let key = k256::ecdsa::VerifyingKey::from_sec1_bytes(point).ok()?;
                (Material::Secp256k1(key), key.to_encoded_point(true).as_bytes().into())
            }
            _ => return None,
        };
        Some(Self { algorithm, material, spki })
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
        sha256(&[self.algorithm.name().as_bytes(), &[0], &self.spki])
    }

    /// Whether `signature`, in the form JWS gives it (RFC 7518 section 3), is this key's over `message`.
    #[must_use]
    pub fn verify(&self, host: &dyn HostVerifier, message: &[u8], signature: &[u8]) -> bool {
        verify_with(self, host, message, signature).unwrap_or(false)
    }
}

/// Whether two byte strings are the same, in time that depends on their lengths alone.
#[must_use]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}
