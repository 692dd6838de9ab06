//! How many tokens a prompt is: exactly where it matters, and otherwise at most.

use crate::llm::bpe::{Encoding, TextCounter};
use crate::llm::request::{RequestReader, TextSink};
use crate::llm::shape;

/// What a prompt costs.
#[derive(Default)]
pub(super) struct Prompt {
    /// It is never more.
    pub(super) bound: u64,
    /// What it is, if it was counted.
    pub(super) exact: Option<u64>,
    /// The body, to be counted if nobody says what it was; of prompts that were counted as they came, nothing.
    pub(super) body: Option<Box<[u8]>>,
}

impl Prompt {
    /// The best that is known.
    pub(super) fn known(&self) -> u64 {
        self.exact.unwrap_or(self.bound)
    }
}

/// Counts texts as they come, if they are to be counted.
pub(super) struct Meter {
    /// What texts that have ended came to, in tokens.
    pub(super) tokens: u64,
    counter: Option<TextCounter>,
}

impl Meter {
    /// `None`: nothing is counted; the reader measures by itself.
    pub(super) fn new(encoding: Option<Encoding>) -> Self {
        Self { tokens: 0, counter: encoding.map(TextCounter::new) }
    }

    /// What it counts in.
    pub(super) fn encoding(&self) -> Option<Encoding> {
        self.counter.as_ref().map(TextCounter::encoding)
    }
}

impl TextSink for Meter {
    fn text(&mut self, piece: &[u8]) {
        if let Some(counter) = &mut self.counter {
            counter.push(piece);
        }
    }

    fn end_text(&mut self) {
        if let Some(counter) = &mut self.counter {
            self.tokens = self.tokens.saturating_add(counter.finish());
        }
    }
}

/// Counts a prompt whose body is there in pieces; `None` if it cannot be read.
pub(super) fn count<P: AsRef<[u8]>>(
    call: &shape::Call,
    encoding: Encoding,
    pieces: impl IntoIterator<Item = P>,
) -> Option<u64> {
    let (mut reader, mut meter) = (RequestReader::new(call.clone()), Meter::new(Some(encoding)));
    for piece in pieces {
        reader.push(piece.as_ref(), &mut meter).ok()?;
    }
    let overhead = reader.finish().ok()?.overhead;
    Some(meter.tokens.saturating_add(overhead))
}
