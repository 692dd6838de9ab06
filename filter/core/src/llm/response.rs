//! What a model answers, read while it passes: its text, what it cost, and where it may be ended.
//!
//! An answer is never kept. Of a stream of any length a few kilobytes are in memory: the text that has
//! not been counted yet, and the bytes that the client may not get to see.

mod ending;
mod facts;
mod frame;
mod hide;
mod names;
mod places;
mod reading;
mod tally;
mod text;
mod view;

use core::cell::RefCell;
use core::fmt;
use std::rc::Rc;

use crate::llm::bpe::Encoding;
use crate::llm::scan::Scanner;
use crate::llm::shape::Shape;
use crate::llm::usage::TokenUsage;
use ending::Ending;
pub use frame::Kind;
use frame::{Frame, Step};
use hide::{Hide, Out};
use reading::Reading;
pub use tally::Reported;
use view::View;

/// What the client is to get in place of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The chunk as it came.
    Same,
    /// These bytes.
    Replaced(Vec<u8>),
}

/// Where a stream is that must end for want of budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    None,
    /// It ends with the event in which its text reaches so many tokens.
    At(u64),
    /// It has ended; what the engine still sends is not passed on.
    Over,
}

/// Who is given what an answer says: its content, what it calls tools by and with, its refusals. Not what a model
/// thinks before it answers.
pub trait AnswerSink {
    /// The next piece of a text, in the order in which it was written; choices may take turns.
    fn said(&mut self, choice: u32, text: SaidText, piece: &[u8]);
}

/// Which text of a choice a piece is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaidText {
    /// Differs from that of the piece before where another text begins.
    pub number: u32,
    /// Whether it is what a tool is called with.
    pub is_arguments: bool,
}

/// The reader of one answer.
pub struct ResponseReader {
    shape: Shape,
    frame: Frame,
    scanner: Scanner,
    reading: Reading,
    hide: Hide,
    /// Bytes that came in earlier chunks.
    offset: u64,
    limit: Limit,
    /// The event's data is no JSON, or not from here on.
    is_broken: bool,
    /// The first bytes of the event's data, for what is no JSON and means something.
    head: [u8; DONE.len()],
    head_len: usize,
    /// Where the data that was read last has ended.
    data_end: u64,
    /// The last byte of JSON that is no white space.
    last: u8,
    /// The last byte of the chunk before ended a line of JSON.
    line_ended: bool,
}

/// What ends OpenAI's streams.
const DONE: &[u8; 6] = b"[DONE]";

/// What is read is somebody's answer.
impl fmt::Debug for ResponseReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseReader")
            .field("shape", &self.shape)
            .field("kind", &self.frame.kind())
            .field("offset", &self.offset)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl ResponseReader {
    /// A reader before the first byte of the body. With `hide`, the usage that the filter asked for on the
    /// client's behalf (`stream_options.include_usage`) is taken out again.
    #[must_use]
    pub fn new(shape: Shape, encoding: Encoding, hide: bool, kind: Kind) -> Self {
        Self {
            shape,
            frame: Frame::new(kind),
            scanner: Scanner::new(),
            reading: Reading::new(encoding),
            hide: Hide::new(hide),
            offset: 0,
            limit: Limit::None,
            is_broken: false,
            head: [0; DONE.len()],
            head_len: 0,
            data_end: 0,
            last: 0,
            line_ended: true,
        }
    }

    /// Hands on what the answer says from here on.
    pub fn hand_on(&mut self, sink: Rc<RefCell<dyn AnswerSink>>) {
        self.reading.texts.hand_on(sink);
    }

    /// Hands on what still waits, in an answer that has been broken off, to be told which choice it is of.
    pub fn hand_on_rest(&mut self) {
        self.reading.assign();
    }

    /// Reads the next chunk of the body, as it came; `end` if it is the last. An unfinished event that was
    /// held back is passed on with the last one, so a body that ends in trailers ends with an empty chunk.
    pub fn push(&mut self, chunk: &[u8], end: bool) -> Output {
        let base = self.offset;
        let last = base.saturating_add(chunk.len() as u64);
        self.offset = last;
        if self.limit == Limit::Over {
            return if chunk.is_empty() { Output::Same } else { Output::Replaced(Vec::new()) };
        }
        let mut out = self.hide.chunk(chunk, base);
        let mut at = 0;
        loop {
            // What has ended by itself needs no other end.
            let is_over = end && at == chunk.len();
            if !is_over && self.must_end(chunk.get(at).copied()) {
                let place = base.saturating_add(at as u64);
                self.hide.keep(&mut out, place);
                out.put(&self.final_event());
                self.limit = Limit::Over;
                break;
            }
            let Some(step) = self.frame.next(chunk, &mut at) else { break };
            self.step(step, chunk, base, &mut out);
        }
        if self.limit != Limit::Over {
            if end {
                self.end_event(&mut out, last);
            }
            self.hide.settle(&mut out, last);
        }
        out.finish().map_or(Output::Same, Output::Replaced)
    }

    /// Ends the stream with the event in which its text reaches that many tokens, where it is one that can
    /// be ended: [`Self::is_cut`] says when that has happened. 0 ends it at the next boundary. What was given
    /// up to the last chunk stays, so the bytes that end it come with the next one, or with an empty one.
    pub fn end_at(&mut self, tokens: Option<u64>) {
        if self.limit != Limit::Over {
            self.limit = tokens.map_or(Limit::None, Limit::At);
        }
    }

    /// The stream was ended here; what the engine still sends is swallowed.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.limit == Limit::Over
    }

    /// Tokens of text so far, never too few: what is not counted yet stands with its bytes.
    #[must_use]
    pub fn output_bound(&self) -> u64 {
        self.reading.bound()
    }

    /// Tokens of text so far, all of it counted.
    pub fn output_exact(&mut self) -> u64 {
        self.reading.exact()
    }

    /// Whether there was any text: the first token's time has come.
    #[must_use]
    pub fn first_text_seen(&self) -> bool {
        self.reading.bytes() > 0
    }

    /// What the provider reported so far. Held against [`Self::output_exact`], `output` without `reasoning`
    /// shows how far the two counts are apart.
    #[must_use]
    pub fn reported(&self) -> Reported {
        self.reading.tally.reported()
    }

    /// What the call cost: the provider's numbers where there are any, else ours. Our count is only made
    /// where it decides. `prompt_counted` is our count of the prompt.
    pub fn usage(&mut self, prompt_counted: Option<u64>) -> TokenUsage {
        let complete = self.is_complete();
        let reading = &mut self.reading;
        reading.tally.reported().settle(prompt_counted, complete, reading.bytes() > 0, |said| {
            let bound = reading.bound();
            if bound <= said { bound } else { reading.exact() }
        })
    }

    /// How long it is so far, in bytes, if nothing in it was understood: neither text nor numbers nor whose it is.
    #[must_use]
    pub fn not_understood(&self) -> Option<u64> {
        let reading = &self.reading;
        let is_strange = reading.bytes() == 0
            && reading.facts.shape.is_none()
            && reading.tally.reported().output.is_none();
        is_strange.then_some(self.offset)
    }

    /// The model, in the provider's own word.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.reading.facts.model.as_deref()
    }

    /// Whether the answer was read to its own end: `[DONE]`, `done: true`, `message_stop`,
    /// `response.completed`, or the end of the JSON text.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let facts = &self.reading.facts;
        let is_whole = self.frame.kind() == Kind::Json && self.scanner.is_complete() && !facts.goes_on;
        self.limit != Limit::Over && (facts.is_complete || is_whole)
    }

    /// Whether the answer was read to its own end ([`Self::is_complete`]) and nothing is half read behind it.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        let is_text = self.frame.kind() == Kind::Json && self.scanner.is_complete();
        self.is_complete() && (is_text || self.at_boundary())
    }

    /// Whether no event is half read, so that another may follow. Never in an answer that is no stream.
    #[must_use]
    pub fn at_boundary(&self) -> bool {
        self.is_between(None)
    }

    /// The event, or events, that end this stream for want of budget, in the words of its shape. Empty where
    /// it is no stream, or where nothing is known of its shape.
    #[must_use]
    pub fn final_event(&self) -> Vec<u8> {
        let Some(shape) = self.stream_shape() else { return Vec::new() };
        let comma = self.frame.kind() == Kind::Json && self.last != b',' && self.last != b'[';
        let ending = Ending {
            kind: self.frame.kind(),
            newline: self.frame.newline().text(),
            comma,
            output: self.reading.bound(),
            facts: &self.reading.facts,
        };
        ending.of(shape)
    }

    /// The shape, if it is a stream's that can be ended.
    fn stream_shape(&self) -> Option<Shape> {
        let shape = match self.shape {
            Shape::Unknown => self.reading.facts.shape?,
            shape => shape,
        };
        let ollama = matches!(shape, Shape::OllamaChat | Shape::OllamaGenerate);
        let fits = match self.frame.kind() {
            Kind::Sse => !ollama && !matches!(shape, Shape::OpenAiEmbeddings | Shape::OllamaEmbed),
            Kind::Ndjson => ollama,
            Kind::Json => shape == Shape::Gemini,
            Kind::Unknown => false,
        };
        fits.then_some(shape)
    }

    /// Bytes of memory.
    #[cfg(test)]
    fn footprint(&self) -> usize {
        size_of::<Self>() + self.reading.footprint() + self.hide.footprint()
    }

    fn is_between(&self, next: Option<u8>) -> bool {
        match self.frame.kind() {
            Kind::Sse => self.frame.is_between(next),
            Kind::Ndjson => self.line_ended,
            Kind::Json => self.line_ended && self.reading.is_between_elements(),
            Kind::Unknown => false,
        }
    }

    /// Whether the stream ends here, before the byte `next`.
    fn must_end(&mut self, next: Option<u8>) -> bool {
        let Limit::At(limit) = self.limit else { return false };
        self.is_between(next)
            && self.reading.bound() >= limit
            && !self.reading.facts.is_complete
            && !self.reading.facts.has_finished()
            && self.stream_shape().is_some()
            && self.reading.exact() >= limit
    }

    fn step(&mut self, step: Step, chunk: &[u8], base: u64, out: &mut Out<'_>) {
        let place = |at: usize| base.saturating_add(at as u64);
        match step {
            Step::Begin(at) => {
                self.begin_event();
                self.hide.begin(out, place(at));
            }
            Step::Data(range) => {
                let start = place(range.start);
                self.data(chunk.get(range).unwrap_or_default(), start);
            }
            Step::Join => self.data(b"\n", self.data_end),
            Step::Line(at) => {
                // A JSON text may lie on several lines, and several may come where one was announced.
                if self.frame.kind() == Kind::Ndjson || self.scanner.is_complete() {
                    self.end_event(out, place(at));
                    self.begin_event();
                } else {
                    self.data(b"\n", self.data_end);
                }
                self.line_ended = true;
            }
            Step::End(at) => self.end_event(out, place(at)),
            Step::Linefeed(at) => self.hide.linefeed(out, place(at)),
            Step::Rest => {}
        }
    }

    fn begin_event(&mut self) {
        self.scanner = Scanner::new();
        self.reading.begin();
        self.is_broken = false;
        self.head_len = 0;
    }

    fn end_event(&mut self, out: &mut Out<'_>, at: u64) {
        if !self.is_broken {
            let base = self.scanner.offset();
            let mut view = View {
                reading: &mut self.reading,
                piece: &[],
                base,
                shift: at.wrapping_sub(base),
                hide: &mut self.hide,
                is_json: false,
            };
            let finished = self.scanner.finish(&mut view);
            view.finish();
            self.is_broken = finished.is_err();
            if finished.is_ok() && self.frame.kind() == Kind::Json && !self.reading.facts.goes_on {
                self.reading.facts.is_complete = true;
            }
        }
        if self.head_len == DONE.len() && self.head == *DONE {
            self.reading.facts.is_complete = true;
        }
        if self.is_broken {
            self.hide.pass();
        }
        self.hide.end(out, at);
        self.reading.end();
    }

    /// Reads a piece of an event's data that begins at `start` in the stream.
    fn data(&mut self, piece: &[u8], start: u64) {
        if let Some(last) = piece.iter().rfind(|byte| !byte.is_ascii_whitespace()) {
            self.last = *last;
            self.line_ended = false;
        }
        self.data_end = start.saturating_add(piece.len() as u64);
        if self.head_len < DONE.len() {
            for byte in piece.iter().take(DONE.len().saturating_sub(self.head_len)) {
                if let Some(place) = self.head.get_mut(self.head_len) {
                    *place = *byte;
                    self.head_len = self.head_len.saturating_add(1);
                }
            }
        }
        let base = self.scanner.offset();
        if self.is_broken {
            return self.reading.text(piece);
        }
        let mut view = View {
            reading: &mut self.reading,
            piece,
            base,
            shift: start.wrapping_sub(base),
            hide: &mut self.hide,
            is_json: self.frame.kind() == Kind::Json,
        };
        let read = self.scanner.push(piece, &mut view);
        view.finish();
        if read.is_err() {
            self.is_broken = true;
            self.hide.pass();
            self.reading.broken(piece, base);
        }
    }
}

#[cfg(test)]
mod tests;
