//! How many tokens a prompt is: exactly where it matters, and otherwise at most.

use crate::llm::bpe::Encoding;
use crate::llm::request::{PromptCounter, RequestReader, TextSink};
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
pub(super) struct Meter(Option<PromptCounter>);

impl Meter {
    /// `None`: nothing is counted; the reader measures by itself.
    pub(super) fn new(encoding: Option<Encoding>) -> Self {
        Self(encoding.map(PromptCounter::new))
    }

    /// What it counts in.
    pub(super) fn encoding(&self) -> Option<Encoding> {
        self.0.as_ref().map(PromptCounter::encoding)
    }

    /// What texts that have ended came to, in tokens.
    pub(super) fn tokens(&self) -> u64 {
        self.0.as_ref().map_or(0, PromptCounter::tokens)
    }
}

impl TextSink for Meter {
    fn text(&mut self, piece: &[u8]) {
        if let Some(counter) = &mut self.0 {
            counter.text(piece);
        }
    }

    fn end_text(&mut self) {
        if let Some(counter) = &mut self.0 {
            counter.end_text();
        }
    }
}

/// Counts a prompt whose body is there in pieces; `None` if it cannot be read.
pub(super) fn count<P: AsRef<[u8]>>(
    call: &shape::Call,
    encoding: Encoding,
    pieces: impl IntoIterator<Item = P>,
) -> Option<u64> {
    let (mut reader, mut counter) = (RequestReader::new(call.clone()), PromptCounter::new(encoding));
    for piece in pieces {
        reader.push(piece.as_ref(), &mut counter).ok()?;
    }
    let overhead = reader.finish().ok()?.overhead;
    Some(counter.tokens().saturating_add(overhead))
}
