//! A key that two sides share.

use rust_hmac::{Hmac, Mac as _};
use sha2::{Sha256, Sha384, Sha512};

use super::Hash;
use crate::secret::Secret;

/// A shared key for HMAC (RFC 2104). It can verify nothing that a public key should: the types do not meet.
#[derive(Clone, PartialEq, Eq)]
pub struct HmacKey(Secret);

impl HmacKey {
    /// The key with these bytes; how many there must be is its scheme's to say.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        Self(secret)
    }

    /// Whether `code` is the whole code of `message`, found out in time that does not depend on how much
    /// of it fits.
    #[must_use]
    pub fn verify(&self, hash: Hash, message: &[u8], code: &[u8]) -> bool {
        let key = self.0.expose();
        // A key can have any length, so none is refused.
        match hash {
            Hash::Sha256 => Hmac::<Sha256>::new_from_slice(key)
                .is_ok_and(|mac| mac.chain_update(message).verify_slice(code).is_ok()),
            Hash::Sha384 => Hmac::<Sha384>::new_from_slice(key)
                .is_ok_and(|mac| mac.chain_update(message).verify_slice(code).is_ok()),
            Hash::Sha512 => Hmac::<Sha512>::new_from_slice(key)
                .is_ok_and(|mac| mac.chain_update(message).verify_slice(code).is_ok()),
        }
    }

    /// What tells this key from every other without giving it away.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        super::sha256(&[b"HMAC\0", self.0.expose()])
    }
}

impl core::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("HmacKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hex;

    #[test]
    fn the_codes_are_those_of_rfc_4231_and_no_part_of_them_will_do() {
        // Section 4.3, test case 2.
        let key = HmacKey::new(Secret::new(*b"Jefe"));
        let message = b"what do ya want for nothing?";
        for (hash, code) in [
            (Hash::Sha256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
            (
                Hash::Sha384,
                "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
            ),
            (
                Hash::Sha512,
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
        ] {
            let code = hex(code).unwrap();
            assert!(key.verify(hash, message, &code));
            assert!(!key.verify(hash, b"what do ya want for something?", &code));
            assert!(!HmacKey::new(Secret::new(*b"Jeff")).verify(hash, message, &code));
            for length in 0..code.len() {
                assert!(!key.verify(hash, message, &code[..length]));
            }
            assert!(!key.verify(hash, message, &[&code[..], b"\0"].concat()));
            let mut wrong = code.clone();
            wrong[0] ^= 1;
            assert!(!key.verify(hash, message, &wrong));
        }
        assert_eq!(format!("{key:?}"), "HmacKey(…)");
    }
}
