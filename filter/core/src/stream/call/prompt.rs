//! How many tokens a prompt is: exactly where it matters, and otherwise at most.

use crate::llm::bpe::{Encoding, TextCounter};
use crate::llm::request::{RequestReader, TextSink};
use crate::llm::shape::Shape;

/// What a prompt costs.
#[derive(Default)]
pub(super) struct Prompt {
    /// It is never more.
    pub(super) bound: u64,
    /// What it is, if it was counted.
    pub(super) exact: Option<u64>,
    /// The body, to be counted if nobody says what it was. Never more than [`super::admission::COUNTED_ABOVE`].
    pub(super) body: Option<Box<[u8]>>,
}

impl Prompt {
    /// The best that is known.
    pub(super) fn known(&self) -> u64 {
        self.exact.unwrap_or(self.bound)
    }
}

/// Counts or measures texts as they come.
pub(super) enum Meter {
    /// Bytes.
    Bytes(u64),
    /// Tokens of the texts that have ended, and the one that has not.
    Tokens(u64, Box<TextCounter>),
}

impl Meter {
    pub(super) fn counting(encoding: Encoding) -> Self {
        Self::Tokens(0, Box::new(TextCounter::new(encoding)))
    }

    /// What it has come to: bytes or tokens.
    pub(super) fn total(&self) -> u64 {
        match self {
            Self::Bytes(total) | Self::Tokens(total, _) => *total,
        }
    }

    pub(super) fn encoding(&self) -> Option<Encoding> {
        match self {
            Self::Bytes(_) => None,
            Self::Tokens(_, counter) => Some(counter.encoding()),
        }
    }
}

impl TextSink for Meter {
    fn text(&mut self, bytes: &[u8]) {
        match self {
            Self::Bytes(total) => *total = total.saturating_add(bytes.len() as u64),
            Self::Tokens(_, counter) => counter.push(bytes),
        }
    }

    fn end_text(&mut self) {
        if let Self::Tokens(total, counter) = self {
            *total = total.saturating_add(counter.finish());
        }
    }
}

/// Counts a prompt whose body is there in pieces.
pub(super) fn count<P: AsRef<[u8]>>(
    shape: Shape,
    path: &str,
    encoding: Encoding,
    pieces: impl IntoIterator<Item = P>,
) -> u64 {
    let (mut reader, mut meter) = (RequestReader::new(shape, path), Meter::counting(encoding));
    for piece in pieces {
        reader.push(piece.as_ref(), &mut meter);
    }
    let overhead = reader.finish().map_or(0, |facts| facts.overhead);
    meter.total().saturating_add(overhead)
}
