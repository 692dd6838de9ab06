//! RSA signatures that the host cannot verify, fast enough to be verified inside the VM.
//!
//! The `rsa` crate raises to the public exponent with numbers of any size, and takes 1.3 ms for 2048 bits.
//! The usual sizes are known beforehand: `crypto-bigint`'s fixed-size products and Montgomery reduction do
//! the sixteen squarings and one product of 65537 in 115 µs. Its type for the whole of it, `DynResidue`,
//! takes 1 ms to prepare a key, with which a set of a hundred keys would hold a worker up for a tenth of
//! a second; what it would prepare is two numbers, computed here. Nothing is secret, so nothing needs to
//! take constant time. Other sizes, and exponents that are even, are left to the `rsa` crate.

use crypto_bigint::modular::montgomery_reduction;
use crypto_bigint::{Limb, U2048, U3072, U4096, Uint, Word};
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, Pkcs1v15Sign, Pss, RsaPublicKey};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::Hash;
use super::hash::digest;

/// The form that a signed hash has been given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Padding {
    /// RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2).
    Pkcs1,
    /// RSASSA-PSS (section 8.1) with a salt as long as the hash (RFC 7518 section 3.5) and no other.
    Pss,
}

/// A public key, ready to verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RsaKey {
    Bits2048(Box<Fixed<{ U2048::LIMBS }>>),
    Bits3072(Box<Fixed<{ U3072::LIMBS }>>),
    Bits4096(Box<Fixed<{ U4096::LIMBS }>>),
    Other(Box<RsaPublicKey>),
}

/// A modulus whose highest bit is its size's, and its exponent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fixed<const LIMBS: usize> {
    modulus: Uint<LIMBS>,
    /// −1 / modulus, modulo the size of a limb.
    negative_inverse: Limb,
    /// The square of R modulo the modulus, where R is the power of two just above it: what brings a number
    /// into Montgomery form, which is R times the number.
    square: Uint<LIMBS>,
    /// Odd and at least 3.
    exponent: u64,
}

impl RsaKey {
    /// Prepares a key that the `rsa` crate has found good.
    pub(super) fn new(key: RsaPublicKey) -> Self {
        let fast = match key.n().bits() {
            2048 => Fixed::new(&key).map(Self::Bits2048),
            3072 => Fixed::new(&key).map(Self::Bits3072),
            4096 => Fixed::new(&key).map(Self::Bits4096),
            _ => None,
        };
        fast.unwrap_or_else(|| Self::Other(Box::new(key)))
    }

    /// The length of its signatures, in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Bits2048(_) => U2048::BYTES,
            Self::Bits3072(_) => U3072::BYTES,
            Self::Bits4096(_) => U4096::BYTES,
            Self::Other(key) => key.size(),
        }
    }

    /// Whether `signature` is this key's over `message`.
    pub(super) fn verify(&self, padding: Padding, hash: Hash, message: &[u8], signature: &[u8]) -> bool {
        let encoded = match self {
            Self::Bits2048(key) => key.open(signature),
            Self::Bits3072(key) => key.open(signature),
            Self::Bits4096(key) => key.open(signature),
            Self::Other(key) => return with_crate(key, padding, hash, message, signature),
        };
        let Some(encoded) = encoded else { return false };
        match (padding, hash) {
            (Padding::Pkcs1, _) => pkcs1(encoded.len(), hash, message).is_some_and(|whole| whole == encoded),
            (Padding::Pss, Hash::Sha256) => pss::<Sha256>(&encoded, message).unwrap_or(false),
            (Padding::Pss, Hash::Sha384) => pss::<Sha384>(&encoded, message).unwrap_or(false),
            (Padding::Pss, Hash::Sha512) => pss::<Sha512>(&encoded, message).unwrap_or(false),
        }
    }
}

impl<const LIMBS: usize> Fixed<LIMBS> {
    fn new(key: &RsaPublicKey) -> Option<Box<Self>> {
        let modulus = key.n().to_bytes_be();
        let exponent = key
            .e()
            .to_bytes_be()
            .iter()
            .try_fold(0_u64, |sum, byte| sum.checked_mul(256).map(|sum| sum | u64::from(*byte)))?;
        // Reading panics at any other length, and the parameters of an even modulus do.
        let odd = modulus.last()? & 1 == 1 && exponent & 1 == 1;
        if modulus.len() != Uint::<LIMBS>::BYTES || !odd || exponent < 3 {
            return None;
        }
        let modulus = Uint::<LIMBS>::from_be_slice(&modulus);
        let lowest = Uint::<1>::from_words([*modulus.as_words().first()?]);
        let inverse = *lowest.inv_mod2k_vartime(Limb::BITS).as_words().first()?;
        let square = ((BigUint::from(1_u8) << Uint::<LIMBS>::BITS.checked_mul(2)?) % key.n()).to_bytes_be();
        let mut padded = vec![0; Uint::<LIMBS>::BYTES.checked_sub(square.len())?];
        padded.extend_from_slice(&square);
        Some(Box::new(Self {
            modulus,
            negative_inverse: Limb(Word::MIN.wrapping_sub(inverse)),
            square: Uint::from_be_slice(&padded),
            exponent,
        }))
    }

    /// The product of two numbers below the modulus, divided by R.
    fn product(&self, a: &Uint<LIMBS>, b: &Uint<LIMBS>) -> Uint<LIMBS> {
        montgomery_reduction(&a.mul_wide(b), &self.modulus, self.negative_inverse)
    }

    /// RSAVP1 (RFC 8017 section 5.2.2): the signature to the power of the exponent, as long as the modulus.
    /// `None`: the signature is not of that length, or not below the modulus.
    fn open(&self, signature: &[u8]) -> Option<Vec<u8>> {
        if signature.len() != Uint::<LIMBS>::BYTES {
            return None;
        }
        let signature = Uint::<LIMBS>::from_be_slice(signature);
        if signature >= self.modulus {
            return None;
        }
        let base = self.product(&signature, &self.square);
        let mut power = base;
        for bit in (0..self.exponent.checked_ilog2()?).rev() {
            power = montgomery_reduction(&power.square_wide(), &self.modulus, self.negative_inverse);
            if bit == 0 {
                // The exponent is odd, and a product with the plain signature is itself plain.
                power = self.product(&power, &signature);
            } else if (self.exponent >> bit) & 1 == 1 {
                power = self.product(&power, &base);
            }
        }
        Some(power.to_words().iter().rev().flat_map(|word| word.to_be_bytes()).collect())
    }
}

/// EMSA-PKCS1-v1_5 (RFC 8017 section 9.2). The one encoding there is, built and compared whole: taking
/// apart what came is how Bleichenbacher's forgeries got in.
fn pkcs1(length: usize, hash: Hash, message: &[u8]) -> Option<Vec<u8>> {
    // DigestInfo up to the digest (section 9.2, note 1).
    let prefix: [u8; 19] = match hash {
        Hash::Sha256 => *b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
        Hash::Sha384 => *b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
        Hash::Sha512 => *b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
    };
    let digest = digest(hash, message);
    let filling = length.checked_sub(prefix.len())?.checked_sub(digest.len())?.checked_sub(3)?;
    let mut encoded = Vec::with_capacity(length);
    encoded.extend_from_slice(&[0, 1]);
    encoded.resize(filling.saturating_add(2), 0xff);
    encoded.push(0);
    encoded.extend_from_slice(&prefix);
    encoded.extend_from_slice(&digest);
    Some(encoded)
}

/// EMSA-PSS-VERIFY (RFC 8017 section 9.1.2) for a modulus whose highest bit is set, so that one bit of the
/// encoded message is left over, with MGF1 over the same hash. `None`: it is too short for its hash.
fn pss<D: Digest>(encoded: &[u8], message: &[u8]) -> Option<bool> {
    let length = <D as Digest>::output_size();
    let (trailer, rest) = encoded.split_last()?;
    let (masked, hash) = rest.split_at_checked(rest.len().checked_sub(length)?)?;
    if *trailer != 0xbc || masked.first()? & 0x80 != 0 {
        return Some(false);
    }
    let mut block = masked.to_vec();
    for (counter, chunk) in block.chunks_mut(length).enumerate() {
        let counter = u32::try_from(counter).ok()?;
        let mask = D::new().chain_update(hash).chain_update(counter.to_be_bytes()).finalize();
        for (byte, mask) in chunk.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
    *block.first_mut()? &= 0x7f;
    let (padding, salt) = block.split_at_checked(block.len().checked_sub(length)?)?;
    let (one, zeros) = padding.split_last()?;
    if *one != 1 || zeros.iter().any(|byte| *byte != 0) {
        return Some(false);
    }
    let expected =
        D::new().chain_update([0; 8]).chain_update(D::digest(message)).chain_update(salt).finalize();
    Some(*expected == *hash)
}

fn with_crate(key: &RsaPublicKey, padding: Padding, hash: Hash, message: &[u8], signature: &[u8]) -> bool {
    // The crate takes a signature beyond the modulus for what it is modulo it, which makes a second one of
    // every signature (RFC 8017 section 5.2.2 refuses it).
    if signature.len() != key.size() || BigUint::from_bytes_be(signature) >= *key.n() {
        return false;
    }
    let digest = digest(hash, message);
    match (padding, hash) {
        (Padding::Pkcs1, Hash::Sha256) => key.verify(Pkcs1v15Sign::new::<Sha256>(), &digest, signature),
        (Padding::Pkcs1, Hash::Sha384) => key.verify(Pkcs1v15Sign::new::<Sha384>(), &digest, signature),
        (Padding::Pkcs1, Hash::Sha512) => key.verify(Pkcs1v15Sign::new::<Sha512>(), &digest, signature),
        (Padding::Pss, Hash::Sha256) => key.verify(Pss::new_with_salt::<Sha256>(32), &digest, signature),
        (Padding::Pss, Hash::Sha384) => key.verify(Pss::new_with_salt::<Sha384>(48), &digest, signature),
        (Padding::Pss, Hash::Sha512) => key.verify(Pss::new_with_salt::<Sha512>(64), &digest, signature),
    }
    .is_ok()
}

#[cfg(test)]
mod tests;
