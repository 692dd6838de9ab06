//! Hash functions over bytes that are here whole.

use sha1::Sha1;
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

/// The UUID of version 5 (RFC 9562 section 5.5) of a name that consists of these parts. It names; it proves nothing.
#[must_use]
pub fn uuid_v5(namespace: [u8; 16], name: &[&[u8]]) -> String {
    let mut hash = Sha1::new();
    hash.update(namespace);
    for part in name {
        hash.update(part);
    }
    let digest: [u8; 20] = hash.finalize().into();
    let mut digits = String::with_capacity(36);
    for (at, byte) in digest.iter().take(16).enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            digits.push('-');
        }
        let byte = match at {
            6 => (byte & 0x0f) | 0x50,
            8 => (byte & 0x3f) | 0x80,
            _ => *byte,
        };
        digits.extend(hex_digits(byte).map(char::from));
    }
    digits
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

    #[test]
    fn a_uuid_is_that_of_the_standards_example() {
        // RFC 9562 appendix A.4: "www.example.com" in the namespace of domain names.
        let dns =
            [0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8];
        assert_eq!(uuid_v5(dns, &[b"www.", b"example.com"]), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
    }
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
