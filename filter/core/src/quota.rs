//! How many tokens somebody may still have: limits, what has been used of them, and what is promised.
//!
//! A limit lives in one place, its [`Home`], where an [`entry::Entry`] per account says what was used and
//! which workers hold how much. A worker takes budget from there in leases and serves requests from them in
//! its own memory ([`book::Book`]), so that most requests ask nobody. At every home and at every moment, what
//! was used in the window and all open leases together are never more than the limit. The lease of a worker
//! that died runs out after [`LEASE_SECONDS`] and counts as used from then on: nobody knows better.

pub mod book;
pub mod bucket;
pub mod entry;
pub mod home;
pub mod window;
pub mod wire;

use core::fmt;
use core::hash::{Hash, Hasher};

pub use window::Window;

use crate::crypto::sha256;

/// How long a lease lasts that nobody renews; any report of its worker renews it.
pub const LEASE_SECONDS: u64 = 60;
/// The most limits that one request counts against.
pub const MAX_LIMITS: usize = 16;
/// How far a clock may be set back before it is believed: until then time stands still.
pub const CLOCK_SET_BACK_SECONDS: u64 = 60;

/// An account: one subject under one limit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(pub [u8; 16]);

impl Key {
    /// The account of a subject under the limit of that name: half of the SHA-256 of both.
    #[must_use]
    pub fn of(limit: &str, subject: &str) -> Self {
        let hash = sha256(&[limit.as_bytes(), b"\0", subject.as_bytes()]);
        Self(hash.first_chunk().copied().unwrap_or_default())
    }

    /// Its 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
        self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }

    /// Reads them; `None` if they are anything else.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
        let mut key = [0; 16];
        if pairs.len() != key.len() {
            return None;
        }
        for (byte, [high, low]) in key.iter_mut().zip(pairs) {
            if high.is_ascii_uppercase() || low.is_ascii_uppercase() {
                return None;
            }
            let value = char::from(*high).to_digit(16)? << 4 | char::from(*low).to_digit(16)?;
            *byte = u8::try_from(value).ok()?;
        }
        Some(Self(key))
    }
}

impl Hash for Key {
    /// It is a hash already, of which eight bytes are enough for a table.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [half, ..] = self.0.as_chunks::<8>().0 else { return };
        state.write_u64(u64::from_le_bytes(*half));
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// Where a limit's accounts live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// In what the workers of this Envoy share.
    Shared,
    /// At control.
    Control,
}

/// So many tokens in a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What it is called in configuration; no other limit is called so.
    pub name: Box<str>,
    /// How many.
    pub tokens: u64,
    /// In which time.
    pub window: Window,
    /// Where its accounts live.
    pub home: Home,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_half_of_a_hash_and_survives_its_digits() {
        let key = Key::of("minute", "alice");
        // printf 'minute\0alice' | sha256sum
        assert_eq!(
            key.to_hex(),
            crate::crypto::sha256(&[b"minute\0alice"])
                .iter()
                .take(16)
                .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
        );
        assert_eq!(Key::from_hex(&key.to_hex()), Some(key));
        assert_ne!(Key::of("minute", "bob"), key);
        assert_ne!(Key::of("minut", "ealice"), key);
    }

    #[test]
    fn anything_but_32_lower_case_digits_is_no_key() {
        let good = Key([0xab; 16]).to_hex();
        for bad in [
            "",
            "ab",
            good.trim_end_matches("b"),
            &good.to_uppercase(),
            &format!("{good}ab"),
            &good.replace('a', "g"),
        ] {
            assert_eq!(Key::from_hex(bad), None, "{bad}");
        }
        assert_eq!(Key::from_hex(&"é".repeat(16)), None);
    }
}
