//! The words and numbers of JSON, a byte at a time.

use super::Event;

/// The words of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    True,
    False,
    Null,
}

impl Word {
    pub(super) const fn letters(self) -> &'static [u8] {
        match self {
            Self::True => b"true",
            Self::False => b"false",
            Self::Null => b"null",
        }
    }

    pub(super) const fn event(self) -> Event<'static> {
        match self {
            Self::True => Event::Bool(true),
            Self::False => Event::Bool(false),
            Self::Null => Event::Null,
        }
    }
}

/// How far a number is read (RFC 8259 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digits {
    /// After the minus.
    Minus,
    /// After a leading zero.
    Zero,
    /// In the integer part.
    Whole,
    /// After the point.
    Point,
    /// In the fraction.
    Fraction,
    /// After the `e`.
    E,
    /// After the exponent's sign.
    Sign,
    /// In the exponent.
    Exponent,
}

impl Digits {
    /// How far it is after one more byte; `None` where that byte is no part of a number.
    pub(super) const fn after(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Minus, b'0') => Some(Self::Zero),
            (Self::Minus | Self::Whole, b'0'..=b'9') => Some(Self::Whole),
            (Self::Zero | Self::Whole, b'.') => Some(Self::Point),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Some(Self::E),
            (Self::E, b'+' | b'-') => Some(Self::Sign),
            (Self::E | Self::Sign | Self::Exponent, b'0'..=b'9') => Some(Self::Exponent),
            _ => None,
        }
    }

    pub(super) const fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::Exponent)
    }
}
