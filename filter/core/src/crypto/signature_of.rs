//! One signature, by whoever can check it.

use p256::ecdsa::signature::Verifier as _;
use rsa::{Pkcs1v15Sign, Pss};
use sha2::{Sha256, Sha384, Sha512};

use super::{Algorithm, Hash, HostVerifier, Material, PublicKey, digest};

/// `None` where the signature cannot even be read; never a panic, whatever its bytes.
pub(super) fn verify_with(
    key: &PublicKey,
    host: &dyn HostVerifier,
    message: &[u8],
    signature: &[u8],
) -> Option<bool> {
    let hash = hash_of(key.algorithm);
    match &key.material {
        Material::Rsa(rsa) => {
            if signature.len() != rsa::traits::PublicKeyParts::size(rsa) {
                return None;
            }
            let pss = match key.algorithm {
                // A salt as long as the hash (RFC 7518 section 3.5) and no other.
                Algorithm::Ps256 => Pss::new_with_salt::<Sha256>(32),
                Algorithm::Ps384 => Pss::new_with_salt::<Sha384>(48),
                Algorithm::Ps512 => Pss::new_with_salt::<Sha512>(64),
                _ => {
                    if let Some(verdict) = host.verify(hash, &key.spki, signature, message) {
                        return Some(verdict);
                    }
                    let scheme = match hash {
                        Hash::Sha256 => Pkcs1v15Sign::new::<Sha256>(),
                        Hash::Sha384 => Pkcs1v15Sign::new::<Sha384>(),
                        Hash::Sha512 => Pkcs1v15Sign::new::<Sha512>(),
                    };
                    return Some(rsa.verify(scheme, &digest(hash, message), signature).is_ok());
                }
            };
            Some(rsa.verify(pss, &digest(hash, message), signature).is_ok())
        }
        // Reading refuses r or s of zero or beyond the order, and every length but the curve's.
        Material::P256(public) => {
            let signature = p256::ecdsa::Signature::from_slice(signature).ok()?;
            host.verify(hash, &key.spki, signature.to_der().as_bytes(), message)
                .or_else(|| Some(public.verify(message, &signature).is_ok()))
        }
        Material::P384(public) => {
            let signature = p384::ecdsa::Signature::from_slice(signature).ok()?;
            host.verify(hash, &key.spki, signature.to_der().as_bytes(), message)
                .or_else(|| Some(public.verify(message, &signature).is_ok()))
        }
        Material::Ed25519(public) => {
            let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
            Some(public.verify_strict(message, &signature).is_ok())
        }
    }
}

fn hash_of(algorithm: Algorithm) -> Hash {
    match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256 => Hash::Sha256,
        Algorithm::Rs384 | Algorithm::Ps384 | Algorithm::Es384 => Hash::Sha384,
        Algorithm::Rs512 | Algorithm::Ps512 | Algorithm::EdDsa => Hash::Sha512,
    }
}
