//! What is told of a text while it is read.

use core::fmt;

use super::MAX_DEPTH;

/// Where something stands: offsets in the whole text, from its first byte to the one behind its last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: u64,
    /// The one behind the last byte.
    pub end: u64,
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// `{`
    BeginObject,
    /// `}`
    EndObject,
    /// `[`
    BeginArray,
    /// `]`
    EndArray,
    /// A member's name, decoded; `None` for one longer than [`MAX_NAME`](super::MAX_NAME).
    Name(Option<&'a str>),
    /// The quote that begins a string that is a value.
    BeginString,
    /// The next piece of that string, decoded: whole characters, never empty. Its span is that of the bytes
    /// it was read from, as far as they lie in this chunk.
    Text(&'a str),
    /// The quote that ends it.
    EndString,
    /// A number as it is written; `None` for one longer than [`MAX_NUMBER`](super::MAX_NUMBER).
    Number(Option<&'a str>),
    /// `true` or `false`.
    Bool(bool),
    /// `null`
    Null,
}

/// Who is told.
pub trait Events {
    /// Takes the next event and where it stands.
    fn event(&mut self, event: Event<'_>, span: Span);
}

impl<F: FnMut(Event<'_>, Span)> Events for F {
    fn event(&mut self, event: Event<'_>, span: Span) {
        self(event, span);
    }
}

/// Why a text is not JSON that is read here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanError {
    /// Something else than JSON at that byte, or more after the value.
    Malformed(u64),
    /// Nested deeper than [`MAX_DEPTH`].
    Deep(u64),
    /// It ends before its value does.
    Truncated,
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(at) => write!(f, "not JSON at byte {at}"),
            Self::Deep(at) => write!(f, "nested more than {MAX_DEPTH} deep at byte {at}"),
            Self::Truncated => f.write_str("JSON that ends too early"),
        }
    }
}

impl core::error::Error for ScanError {}
