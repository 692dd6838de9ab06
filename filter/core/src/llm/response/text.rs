//! The text of an answer, counted as late as can be: bytes stand in for tokens until someone must know.
//!
//! Every choice's text is one text, and within a choice every field (content, reasoning, a tool's
//! arguments) is one of its own, since that is how a model wrote them. A text has never more tokens than
//! bytes, so what is not counted yet is bounded by its length.

use core::cell::RefCell;
use std::rc::Rc;

use super::places::{ARGUMENTS, FIELDS, REASONING};
use super::{AnswerSink, SaidText};
use crate::llm::bpe::{Encoding, TextCounter};

/// The most bytes of text that wait uncounted, all texts together.
const MAX_WAITING: usize = 12 * 1024;

/// The most texts that wait uncounted.
const MAX_TEXTS: usize = 32;

/// The most texts that go on while they are counted; where more choices than that are streamed at once,
/// the one that was written to longest ago is counted as if it had ended.
const MAX_OPEN_TEXTS: usize = 8;

/// The most bytes that the counters may keep of words that have not ended, all texts together.
const MAX_OPEN: usize = 8 * 1024;

/// Counters are fed so much at a time, since what they keep grows with what they are given.
const STEP: usize = 1024;

/// All the text of one answer.
pub(super) struct Texts {
    encoding: Encoding,
    texts: Vec<Text>,
    /// Of all texts, not counted yet.
    waiting: usize,
    /// Tokens of texts that have ended.
    settled: u64,
    bytes: u64,
    /// Who else is given them.
    sink: Option<Rc<RefCell<dyn AnswerSink>>>,
}

/// Which field of a choice a text is: a number that differs where the fields differ.
pub(super) type Field = u32;

struct Text {
    choice: u32,
    field: Field,
    waiting: Vec<u8>,
    counter: Option<TextCounter>,
    /// Another field of the same choice has begun.
    ended: bool,
}

impl Texts {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self { encoding, texts: Vec::new(), waiting: 0, settled: 0, bytes: 0, sink: None }
    }

    /// Hands on what is added from here on.
    pub(super) fn hand_on(&mut self, sink: Rc<RefCell<dyn AnswerSink>>) {
        self.sink = Some(sink);
    }

    /// Adds a piece of text, in the order in which it was written.
    pub(super) fn push(&mut self, choice: u32, field: Field, piece: &[u8]) {
        if piece.is_empty() {
            return;
        }
        self.bytes = self.bytes.saturating_add(piece.len() as u64);
        let kind = field.checked_rem(FIELDS).unwrap_or_default();
        if kind != REASONING
            && let Some(mut sink) = self.sink.as_ref().and_then(|sink| sink.try_borrow_mut().ok())
        {
            sink.said(choice, SaidText { number: field, is_arguments: kind == ARGUMENTS }, piece);
        }
        for part in piece.chunks(MAX_WAITING) {
            if self.waiting.saturating_add(part.len()) > MAX_WAITING {
                self.count();
            }
            self.text(choice, field).waiting.extend_from_slice(part);
            self.waiting = self.waiting.saturating_add(part.len());
        }
    }

    /// Bytes of text so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Tokens so far, never too few.
    pub(super) fn bound(&self) -> u64 {
        let counted = |text: &Text| {
            text.counter
                .as_ref()
                .map_or(0, |counter| counter.counted().saturating_add(counter.pending_bytes() as u64))
        };
        self.texts
            .iter()
            .map(counted)
            .fold(self.settled, u64::saturating_add)
            .saturating_add(self.waiting as u64)
    }

    /// Tokens so far, as if every text ended here.
    pub(super) fn exact(&mut self) -> u64 {
        self.count();
        self.texts
            .iter()
            .filter_map(|text| text.counter.clone())
            .map(|mut counter| counter.finish())
            .fold(self.settled, u64::saturating_add)
    }

    /// The text that goes on, newest last.
    fn text(&mut self, choice: u32, field: Field) -> &mut Text {
        let open = self.texts.iter().rposition(|text| text.choice == choice && !text.ended);
        if let Some(at) = open {
            // What is written to moves to the end, so that the first is the one that waited longest.
            if at.saturating_add(1) < self.texts.len() {
                let text = self.texts.remove(at);
                self.texts.push(text);
            }
            if let Some(last) = self.texts.last_mut() {
                last.ended = last.field != field;
            }
        }
        if !self.texts.last().is_some_and(|text| text.choice == choice && !text.ended) {
            if self.texts.len() >= MAX_TEXTS {
                self.count();
            }
            self.texts.push(Text { choice, field, waiting: Vec::new(), counter: None, ended: false });
        }
        let last = self.texts.len().saturating_sub(1);
        // There is one: it was found or pushed just now.
        #[allow(clippy::indexing_slicing)]
        &mut self.texts[last]
    }

    /// Counts what waits; texts that have ended are done with.
    fn count(&mut self) {
        for text in &mut self.texts {
            if !text.waiting.is_empty() {
                let counter = text.counter.get_or_insert_with(|| TextCounter::new(self.encoding));
                for step in text.waiting.chunks(STEP) {
                    counter.push(step);
                }
                text.waiting = Vec::new();
            }
        }
        self.waiting = 0;
        self.texts.retain_mut(|text| {
            if text.ended {
                self.settled = self.settled.saturating_add(text.tokens());
            }
            !text.ended
        });
        while self.texts.len() > MAX_OPEN_TEXTS || self.texts.iter().map(Text::open).sum::<usize>() > MAX_OPEN
        {
            self.settle_oldest();
        }
    }

    fn settle_oldest(&mut self) {
        if !self.texts.is_empty() {
            self.settled = self.settled.saturating_add(self.texts.remove(0).tokens());
        }
    }

    /// Bytes of memory.
    #[cfg(test)]
    pub(super) fn footprint(&self) -> usize {
        self.texts.iter().map(|text| text.waiting.capacity() + 2 * text.open()).sum()
    }
}

impl Text {
    /// What its counter keeps.
    fn open(&self) -> usize {
        self.counter.as_ref().map_or(0, TextCounter::pending_bytes)
    }

    /// Its tokens, now that it is over and nothing of it waits.
    fn tokens(&mut self) -> u64 {
        self.counter.as_mut().map_or(0, TextCounter::finish)
    }
}
