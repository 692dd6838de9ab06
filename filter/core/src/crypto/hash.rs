//! Hash functions over bytes that are here whole.

use sha2::{Digest as _, Sha256, Sha384, Sha512};
use sha3::Keccak256;

use super::Hash;
use super::encoding::hex_digits;

/// SHA-256 over the parts, one after the other.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// SHA-512 over the parts, one after the other.
#[must_use]
pub fn sha512(parts: &[&[u8]]) -> [u8; 64] {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Keccak-256 over the parts, one after the other: Ethereum's hash, which is not SHA3-256.
#[must_use]
pub fn keccak256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Keccak256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// SHA-256 over the parts, one after the other, as 64 lower-case hexadecimal digits.
#[must_use]
pub fn sha256_hex(parts: &[&[u8]]) -> [u8; 64] {
    let mut text = [0; 64];
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(sha256(parts)) {
        *pair = hex_digits(byte);
    }
    text
}

/// Under the hash function of an algorithm.
pub(super) fn digest(hash: Hash, message: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha256 => Sha256::digest(message).to_vec(),
        Hash::Sha384 => Sha384::digest(message).to_vec(),
        Hash::Sha512 => Sha512::digest(message).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::to_hex;

    #[test]
    fn hashes_are_the_published_ones() {
        let text = |bytes: &[u8]| to_hex(bytes);
        for parts in [&[&b"abc"[..]][..], &[b"a", b"", b"bc"]] {
            assert_eq!(
                text(&sha256(parts)),
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
            );
            assert_eq!(text(&sha256(parts)).as_bytes(), sha256_hex(parts));
            assert!(text(&sha512(parts)).starts_with("ddaf35a193617abacc417349ae204131"));
            assert_eq!(
                text(&keccak256(parts)),
                "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
            );
        }
        assert_eq!(text(&keccak256(&[])), "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    }
}
