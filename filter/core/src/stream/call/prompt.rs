//! How many tokens a prompt is: exactly where it matters, and otherwise at most.

use crate::llm::bpe::Encoding;
use crate::llm::request::{PromptCounter, RequestReader, TextSink};
use crate::llm::shape;
use crate::mirror::transcript::Transcript;

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

/// Counts texts as they come, if they are to be counted, and keeps them, if they are to be remembered.
pub(super) struct Meter {
    counter: Option<PromptCounter>,
    transcript: Option<Transcript>,
}

impl Meter {
    /// Without an encoding nothing is counted; the reader measures by itself.
    pub(super) fn new(encoding: Option<Encoding>, transcript: Option<Transcript>) -> Self {
        Self { counter: encoding.map(PromptCounter::new), transcript }
    }

    /// What was said.
    pub(super) fn into_transcript(self) -> Option<Transcript> {
        self.transcript
    }

    /// What it counts in.
    pub(super) fn encoding(&self) -> Option<Encoding> {
        self.counter.as_ref().map(PromptCounter::encoding)
    }

    /// What texts that have ended came to, in tokens.
    pub(super) fn tokens(&self) -> u64 {
        self.counter.as_ref().map_or(0, PromptCounter::tokens)
    }
}

impl TextSink for Meter {
    fn text(&mut self, piece: &[u8]) {
        if let Some(counter) = &mut self.counter {
            counter.text(piece);
        }
    }

    fn end_text(&mut self) {
        if let Some(counter) = &mut self.counter {
            counter.end_text();
        }
    }

    fn said(&mut self, piece: &[u8]) {
        if let Some(transcript) = &mut self.transcript {
            transcript.push(piece);
        }
    }

    fn end_said(&mut self) {
        if let Some(transcript) = &mut self.transcript {
            transcript.end_text();
        }
    }

    fn end_message(&mut self, by_model: bool) {
        // What came before the model's last word was remembered when it was said.
        if by_model && let Some(transcript) = &mut self.transcript {
            transcript.clear();
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
