//! RSA signatures as nobody honest pads them.

use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
use rsa::{BigUint, Pss};
use sha2::{Digest as _, Sha256, Sha512};

use super::Key;

/// The beginning of a `DigestInfo` for SHA-256 (RFC 8017 section 9.2, note 1).
const SHA256_INFO: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 4,
    32,
];
/// The same without the `NULL` of the algorithm's parameters.
const SHA256_INFO_BARE: [u8; 17] =
    [0x30, 0x2f, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 4, 32];
/// `DigestInfo` for SHA-1.
const SHA1_INFO: [u8; 15] =
    [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 4, 20];

/// What is wrong with a padding of PKCS #1 v1.5.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Nothing.
    Right,
    /// Eight bytes of it alone, then the digest, then whatever else there is room for (Bleichenbacher's
    /// forgery, 2006).
    ShortWithGarbage,
    /// Bytes between the zero and the digest's description.
    GarbageBeforeInfo,
    /// The description lacks the `NULL` that it has.
    NoNull,
    /// It says SHA-1, and the digest is cut to that length.
    Sha1,
    /// No description: the digest alone.
    NoInfo,
    /// Its block type is that of an encryption.
    TypeTwo,
    /// Its first byte is not zero.
    FirstByte,
    /// Zeros where ones should be.
    Zeros,
    /// The zero before the description is missing.
    NoSeparator,
}

impl Key {
    /// A signature of PKCS #1 v1.5 with SHA-256 over a message, so padded.
    ///
    /// # Panics
    /// For a key that is not RSA's.
    #[must_use]
    pub fn sign_padded(&self, padding: Padding, message: &[u8]) -> Vec<u8> {
        let size = self.rsa().size();
        let digest = Sha256::digest(message);
        let described = [&SHA256_INFO[..], &digest].concat();
        let ones = |rest: &[u8]| {
            let fill = size - 3 - rest.len();
            [&[0, 1][..], &vec![0xff; fill], &[0], rest].concat()
        };
        let block = match padding {
            Padding::Right => ones(&described),
            Padding::ShortWithGarbage => {
                let mut block = [&[0, 1][..], &[0xff; 8], &[0], &described].concat();
                block.resize(size, 0x5a);
                block
            }
            Padding::GarbageBeforeInfo => ones(&[&[0x5a; 16][..], &described].concat()),
            Padding::NoNull => ones(&[&SHA256_INFO_BARE[..], &digest].concat()),
            Padding::Sha1 => ones(&[&SHA1_INFO[..], &digest[..20]].concat()),
            Padding::NoInfo => ones(&digest),
            Padding::TypeTwo => {
                let mut block = ones(&described);
                block[1] = 2;
                block
            }
            Padding::FirstByte => {
                let mut block = ones(&described);
                block[0] = 1;
                block[1] = 0;
                block
            }
            Padding::Zeros => {
                let mut block = ones(&described);
                let end = size - described.len();
                block[2..end].fill(0);
                block
            }
            Padding::NoSeparator => {
                let fill = size - 2 - described.len();
                [&[0, 1][..], &vec![0xff; fill], &described].concat()
            }
        };
        self.raise(&block)
    }

    /// A signature of PSS with SHA-256 or SHA-512 and a salt of some other length than the digest's.
    ///
    /// # Panics
    /// For a key that is not RSA's.
    #[must_use]
    pub fn sign_pss(&self, salt: usize, message: &[u8]) -> Vec<u8> {
        let mut random = rsa::rand_core::OsRng;
        let key = self.rsa();
        let signed = if self.algorithm == "PS512" {
            key.sign_with_rng(&mut random, Pss::new_with_salt::<Sha512>(salt), &Sha512::digest(message))
        } else {
            key.sign_with_rng(&mut random, Pss::new_with_salt::<Sha256>(salt), &Sha256::digest(message))
        };
        signed.expect("a signature")
    }

    /// The signature and the modulus added up: the same number by the modulus. `None` where the sum needs
    /// one byte more.
    #[must_use]
    pub fn plus_modulus(&self, signature: &[u8]) -> Option<Vec<u8>> {
        let sum = (BigUint::from_bytes_be(signature) + self.rsa().n()).to_bytes_be();
        (sum.len() == signature.len()).then_some(sum)
    }

    /// The private operation on a block (RFC 8017 section 5.2.1).
    fn raise(&self, block: &[u8]) -> Vec<u8> {
        let key = self.rsa();
        let message = BigUint::from_bytes_be(block) % key.n();
        let signature = message.modpow(key.d(), key.n()).to_bytes_be();
        let mut whole = vec![0; key.size() - signature.len()];
        whole.extend(signature);
        whole
    }
}
