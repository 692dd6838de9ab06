//! What documents are called.

use attach_core::crypto::to_hex;
use serde::Serialize;

/// A document's name: 128 random bits, 32 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemId(String);

impl MemId {
    /// A new one; `None`: there are no random numbers.
    #[must_use]
    pub fn random() -> Option<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok()?;
        Some(Self(to_hex(&bytes)))
    }

    /// One that was stored.
    pub(super) fn stored(digits: String) -> Self {
        Self(digits)
    }

    /// Reads one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = |b: u8| b.is_ascii_digit() || matches!(b, b'a'..=b'f');
        (text.len() == 32 && text.bytes().all(digits)).then(|| Self(text.to_owned()))
    }

    /// Its digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
