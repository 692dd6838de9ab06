//! What a model call's body asks for: which model, streamed or not, how long an answer, and how large the
//! prompt is.
//!
//! The body is read once, as it comes, and none of it is kept. Two engines may read one body differently,
//! and whoever sends it knows which he talks to; so what is taken from it is never less than any of them
//! would: the largest of several caps, a stream if one member says so, the text of every member that a
//! name leads to, however often it stands there and in whatever letters.
//!
//! # What is counted
//! - **Messages** (OpenAI, Ollama, Anthropic, Gemini's `contents`, the `input` of Responses): 3 for all of
//!   them and 4 for each, as the original does; 4 also for a `system`, `systemInstruction` or `instructions`
//!   beside them. Every string among a message's members is a text of its own, role and name too, and a
//!   `name` takes one token off. Numbers and truth values are the text that they are; `null` is nothing.
//! - **Parts** of a message: every string in them is a text, but for what frames it (`type`,
//!   `cache_control`, signatures).
//! - **Tools**, tool calls, their arguments and results given as objects, and the schema of an output
//!   format: their JSON as it stands in the body, whitespace and all. A provider renders it in a way of its
//!   own, which is seldom longer.
//! - **Pictures, sounds, files**: never as the base64 or the address that stands in the body, but
//!   [`MEDIA_TOKENS`] each. A string in their place is one if its first 64 bytes hold neither a space nor
//!   anything but ASCII; otherwise it is text, as in a document of Anthropic's.
//! - **Prompts and inputs** of completions and embeddings: every string is a text, every token id a token.
//! - Not counted, since it is not in the body: what `previous_response_id`, `cachedContent`, files by their
//!   id and the like refer to. The provider's own count settles it.

use core::fmt;

use super::scan::{ScanError, Scanner};
use super::shape::{Call, Shape};

pub mod cap;
mod count;
mod facts;
mod hear;
mod read;
mod role;
mod state;

pub use count::PromptCounter;
pub(in crate::llm) use facts::Place;
pub use facts::RequestFacts;

use cap::CapValue;
use read::Reading;
use state::State;

/// How many caps a request may state; a client states one.
pub const MAX_CAPS: usize = 16;

/// What a picture, a sound or a file is taken to cost: about the most that one large picture does, 1,445
/// with OpenAI's models and 1,568 with Anthropic's.
pub const MEDIA_TOKENS: u64 = 1_600;

/// The most answers that one request is taken to ask for.
pub const MAX_CHOICES: u64 = 1 << 20;

/// Who is given the texts of a prompt.
pub trait TextSink {
    /// The next piece of a text, in UTF-8; it may end within a character.
    fn text(&mut self, piece: &[u8]);
    /// The end of a text: what follows is counted by itself.
    fn end_text(&mut self);
    /// The next piece of a text that somebody says, after it was given to [`text`](Self::text): what stands in
    /// messages and prompts, without what only frames it. Told by a reader that [hears](RequestReader::hearing).
    fn said(&mut self, _: &[u8]) {}
    /// The end of such a text.
    fn end_said(&mut self) {}
    /// The end of a message, and whether the model has written it.
    fn end_message(&mut self, _by_model: bool) {}
}

/// Takes no text: its length is measured all the same ([`RequestFacts::text_bytes`]).
#[derive(Clone, Copy, Debug, Default)]
pub struct Unread;

impl TextSink for Unread {
    fn text(&mut self, _: &[u8]) {}
    fn end_text(&mut self) {}
}

/// Why a body cannot be counted; the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// It is not JSON.
    NotJson(ScanError),
    /// It is JSON, but no object.
    NotAnObject,
    /// It states more than [`MAX_CAPS`] caps.
    TooManyCaps,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotJson(error) => write!(f, "the body cannot be counted: {error}"),
            Self::NotAnObject => f.write_str("the body cannot be counted: it is not a JSON object"),
            Self::TooManyCaps => {
                write!(f, "the body cannot be counted: it bounds its answer more than {MAX_CAPS} times")
            }
        }
    }
}

impl core::error::Error for BodyError {}

/// Reads a request's body as it comes.
pub struct RequestReader {
    call: Call,
    scanner: Scanner,
    state: State,
}

/// What is read is somebody's prompt.
impl fmt::Debug for RequestReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestReader").field("call", &self.call).finish_non_exhaustive()
    }
}

impl RequestReader {
    /// A reader for a call, by what its path says ([`Call::of`]) or by a format alone.
    #[must_use]
    pub fn new(call: impl Into<Call>) -> Self {
        let call = call.into();
        let state = State::new(call.shape);
        Self { call, scanner: Scanner::new(), state }
    }

    /// The same, telling its sink who says what.
    #[must_use]
    pub const fn hearing(mut self) -> Self {
        self.state.heard.is_on = true;
        self
    }

    /// The model, as far as it is known; it may still change where a body names several.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.call.model.as_deref().or_else(|| self.state.model.name())
    }

    /// Reads the next piece of the body, and hands on its texts.
    ///
    /// # Errors
    /// [`BodyError`], which stays; the client's fault.
    pub fn push<S: TextSink + ?Sized>(&mut self, chunk: &[u8], sink: &mut S) -> Result<(), BodyError> {
        let base = self.scanner.offset();
        let mut reading = Reading { state: &mut self.state, chunk, base, sink };
        self.scanner.push(chunk, &mut reading).map_err(BodyError::NotJson)?;
        reading.end_chunk();
        self.state.error.map_or(Ok(()), Err)
    }

    /// What is known at the body's end.
    ///
    /// # Errors
    /// [`BodyError`]; the client's fault.
    pub fn finish(mut self) -> Result<RequestFacts, BodyError> {
        let base = self.scanner.offset();
        let mut reading = Reading { state: &mut self.state, chunk: &[], base, sink: &mut Unread };
        self.scanner.finish(&mut reading).map_err(BodyError::NotJson)?;
        let Self { call, scanner, mut state } = self;
        if let Some(error) = state.error {
            return Err(error);
        }
        settle_nulls(&mut state.caps);
        let shape = state.seen.shape(call.shape);
        let is_completion = matches!(shape, Shape::OpenAiCompletions | Shape::Unknown);
        let prompts = if is_completion { state.prompts.max(1) } else { 1 };
        let says = state.stream;
        let is_model_unclear = state.model.is_unclear();
        let in_body = state.model.into_name();
        let (model, other_model) = match call.model {
            Some(model) => (Some(model), in_body),
            None => (in_body, None),
        };
        Ok(RequestFacts {
            shape,
            model,
            other_model,
            is_model_unclear,
            generates: call.generates && shape.generates(),
            stream: call.streams.unwrap_or(says.yes || (!says.no && shape.streams_by_default())),
            is_stream_unclear: call.streams.is_none() && (says.is_odd || (says.yes && says.no)),
            includes_usage: state.stream_options.include_usage.is_some_and(|(_, is_asked)| is_asked),
            caps: state.caps,
            choices: state.choices.saturating_mul(prompts).clamp(1, MAX_CHOICES),
            overhead: state.overhead.saturating_add(if state.seen.messages { 3 } else { 0 }),
            text_bytes: state.text_bytes,
            length: scanner.offset(),
            holders: state.holders,
            stream_options: state.stream_options,
        })
    }
}

/// `null` beside another value of the same field may be the one that an engine reads.
fn settle_nulls(caps: &mut [cap::StatedCap]) {
    let fields: Vec<_> = caps.iter().map(|cap| cap.field).collect();
    for cap in caps {
        let times = fields.iter().filter(|field| **field == cap.field).count();
        if cap.value == CapValue::Null && times > 1 {
            cap.value = CapValue::Endless;
        }
    }
}

#[cfg(test)]
pub(in crate::llm) mod tests;
