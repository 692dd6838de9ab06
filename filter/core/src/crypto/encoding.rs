//! Bytes as text, each in exactly one spelling: what has two can be shown to two readers as two things.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

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

/// The two lower-case hexadecimal digits of a byte.
pub(super) fn hex_digits(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|nibble| {
        if nibble < 10 { b'0'.wrapping_add(nibble) } else { b'a'.wrapping_add(nibble.wrapping_sub(10)) }
    })
}

/// Lower-case hexadecimal.
#[must_use]
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| hex_digits(*byte)).map(char::from).collect()
}

/// The other direction, from digits of either case. `None`: an odd number of them, or something else.
#[must_use]
pub fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

/// 32 bytes from exactly 64 lower-case digits: the one spelling, for what is compared as text elsewhere.
#[must_use]
pub fn hex_32(text: &[u8]) -> Option<[u8; 32]> {
    let text = core::str::from_utf8(text).ok()?;
    if text.len() != 64 || text.bytes().any(|digit| digit.is_ascii_uppercase()) {
        return None;
    }
    hex(text)?.try_into().ok()
}

/// The longest text that [`base58`] reads: its work grows with the square of the length.
pub const BASE58_MAX: usize = 128;

const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// Base58 in Bitcoin's alphabet; every byte string has one text and every text one byte string.
/// `None`: a character outside the alphabet, or more than [`BASE58_MAX`].
///
/// Written out here: it is a change of base in fifteen lines, and the crates for it bring alphabets,
/// checksums and builders along.
#[must_use]
pub fn base58(text: &str) -> Option<Vec<u8>> {
    if text.len() > BASE58_MAX {
        return None;
    }
    // Leading ones stand for leading zero bytes, which the number itself cannot show.
    let ones = text.bytes().take_while(|character| *character == b'1').count();
    // The number, its lowest byte first.
    let mut number: Vec<u8> = Vec::with_capacity(BASE58_MAX);
    for character in text.bytes() {
        let digit = BASE58.iter().position(|have| *have == character)?;
        let mut carry = u32::try_from(digit).ok()?;
        for byte in &mut number {
            carry = carry.wrapping_add(u32::from(*byte).wrapping_mul(58));
            *byte = (carry & 0xff) as u8;
            carry >>= 8;
        }
        if carry > 0 {
            // A digit and 58 times a byte are below 2^14, so what is carried is below 2^8.
            number.push((carry & 0xff) as u8);
        }
    }
    number.resize(number.len().saturating_add(ones), 0);
    number.reverse();
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn to_base58(bytes: &[u8]) -> String {
        let mut digits: Vec<u32> = Vec::new();
        for byte in bytes {
            let mut carry = u32::from(*byte);
            for digit in &mut digits {
                carry += *digit << 8;
                *digit = carry % 58;
                carry /= 58;
            }
            while carry > 0 {
                digits.push(carry % 58);
                carry /= 58;
            }
        }
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let digits = digits.iter().rev().map(|digit| BASE58[*digit as usize]);
        std::iter::repeat_n(b'1', zeros).chain(digits).map(char::from).collect()
    }

    #[test]
    fn base58_is_the_one_of_its_draft() {
        // draft-msporny-base58-03 section 5.
        for (text, bytes) in [
            ("2NEpo7TZRRrLZSi2U", &b"Hello World!"[..]),
            (
                "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z",
                b"The quick brown fox jumps over the lazy dog.",
            ),
            ("11233QC4", b"\x00\x00\x28\x7f\xb4\xcd"),
            ("", b""),
            ("1", b"\x00"),
            ("111", b"\x00\x00\x00"),
            ("2", b"\x01"),
            ("5R", b"\x01\x00"),
        ] {
            assert_eq!(base58(text).as_deref(), Some(bytes), "{text}");
        }
        for text in ["0", "O", "I", "l", "2NEpo7TZRRrLZSi2U ", "2NEpo7TZRRrL+", "é", &"1".repeat(129)] {
            assert_eq!(base58(text), None, "{text}");
        }
        assert_eq!(base58(&"1".repeat(128)).map(|bytes| bytes.len()), Some(128));
        assert!(base58(&"z".repeat(128)).is_some());
    }

    #[test]
    fn hexadecimal_is_read_in_pairs_of_digits_alone() {
        assert_eq!(hex("00fFa9").as_deref(), Some(&[0, 255, 0xa9][..]));
        assert_eq!(to_hex(&[0, 255, 0xa9]), "00ffa9");
        for text in ["0", "0g", "0x00", "+1", " 1", "éé"] {
            assert_eq!(hex(text), None, "{text}");
        }
        assert_eq!(hex_32("ab".repeat(32).as_bytes()), Some([0xab; 32]));
        for text in ["aB".repeat(32), "ab".repeat(31), "ab".repeat(33), "zz".repeat(32), "é".repeat(32)] {
            assert_eq!(hex_32(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn base58_goes_there_and_back(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(base58(&to_base58(&bytes)), Some(bytes));
        }

        #[test]
        fn no_two_texts_mean_the_same_bytes(text in "\\PC{0,140}") {
            if let Some(bytes) = base58(&text) {
                prop_assert_eq!(to_base58(&bytes), text.clone());
            }
            if let Some(bytes) = hex(&text) {
                prop_assert_eq!(to_hex(&bytes), text.to_ascii_lowercase());
            }
        }
    }
}
