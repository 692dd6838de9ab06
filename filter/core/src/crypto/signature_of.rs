//! One signature, by whoever can check it.

use p256::ecdsa::signature::Verifier as _;

use super::rsa_key::Padding;
use super::{Algorithm, Hash, HostVerifier, Material, PublicKey, secp256k1};

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
            let padding = match key.algorithm {
                Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 => Padding::Pss,
                _ => Padding::Pkcs1,
            };
            if padding == Padding::Pkcs1
                && signature.len() == rsa.size()
                && let Some(verdict) = host.verify(hash, &key.spki, signature, message)
            {
                return Some(verdict);
            }
            Some(rsa.verify(padding, hash, message, signature))
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
        // The host's function is not asked: that its library has the curve is not said anywhere.
        Material::Secp256k1(public) => Some(secp256k1::verify(public, message, signature)),
        Material::Ed25519(public) => {
            let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
            Some(!SMALL_ORDER.contains(signature.r_bytes()) && public.verify(message, &signature).is_ok())
        }
    }
}

/// The encodings of the points whose order divides eight. `verify` compares R with the one encoding of what
/// it must be, so with these left out, and with no key among them, it is `verify_strict`, but for a
/// square root less.
#[rustfmt::skip]
const SMALL_ORDER: [[u8; 32]; 8] = [
    *b"\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    *b"\xec\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    *b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00",
    *b"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80",
    *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
    *b"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x85",
    *b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
    *b"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\xfa",
];

fn hash_of(algorithm: Algorithm) -> Hash {
    match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256 | Algorithm::Es256k => Hash::Sha256,
        Algorithm::Rs384 | Algorithm::Ps384 | Algorithm::Es384 => Hash::Sha384,
        Algorithm::Rs512 | Algorithm::Ps512 | Algorithm::EdDsa => Hash::Sha512,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{NoHost, SigningKey};
    use proptest::prelude::*;

    fn strict(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        ed25519_dalek::VerifyingKey::from_bytes(public).is_ok_and(|key| {
            key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
        })
    }

    #[test]
    fn the_points_of_small_order_are_eight_and_neither_keys_nor_part_of_a_signature() {
        for (place, point) in SMALL_ORDER.iter().enumerate() {
            assert!(ed25519_dalek::VerifyingKey::from_bytes(point).unwrap().is_weak(), "{place}");
            assert_eq!(PublicKey::ed25519(point), None);
            assert!(!SMALL_ORDER[..place].contains(point));
        }
        let key = SigningKey::from_seed(&[1; 32]);
        let public = PublicKey::ed25519(&key.public()).unwrap();
        for point in SMALL_ORDER {
            let signature = [point, [0; 32]].concat();
            assert!(!public.verify(&NoHost, b"", &signature));
        }
    }

    proptest! {
        #[test]
        fn ed25519_is_verified_as_strictly_as_its_crate_can(
            seed in any::<[u8; 32]>(), message in any::<Vec<u8>>(), place in 0_usize..64, change in any::<u8>(),
            small in 0_usize..16,
        ) {
            let key = SigningKey::from_seed(&seed);
            let public = PublicKey::ed25519(&key.public()).unwrap();
            let mut signature = key.sign(&message);
            signature[place] ^= change;
            if let Some(point) = SMALL_ORDER.get(small) {
                signature[..32].copy_from_slice(point);
            }
            prop_assert_eq!(
                public.verify(&NoHost, &message, &signature),
                strict(&key.public(), &message, &signature)
            );
        }
    }
}
