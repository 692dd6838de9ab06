//! A model call: what is known of it from its headers to its end, and what it costs.
//!
//! 1. [`admission`]: its body is read as it comes; [`reserving`]: tokens are reserved, and it goes on.
//! 2. [`delivery`]: its answer is read as it passes, and ended where its budget is.
//! 3. [`settlement`]: when it is over, whoever ended it, the reservation is settled and a record is made.
//! 4. [`memory`]: what was said is remembered then, or before the answer's last byte passes.
//!
//! Text never has more tokens than bytes, so bytes stand in for tokens where they decide nothing.

pub(super) mod admission;
mod delivery;
mod head;
mod looking;
mod memory;
mod prompt;
mod refusal;
mod reserving;
mod settlement;

use std::rc::Rc;

use crate::authn::Identity;
use crate::clock::UnixMillis;
use crate::llm::bpe::Encoding;
use crate::llm::response::ResponseReader;
use crate::llm::shape::{self, Shape};
use crate::outbox::Room;
use crate::quota::book::Hold;

pub(super) use admission::Admission;
pub(super) use head::CallHead;
pub(super) use looking::Looking;
use memory::Memory;
use prompt::Prompt;
use refusal::Refusal;
pub(super) use reserving::Reserving;

/// A call that has gone upstream.
pub(super) struct Call {
    identity: Rc<Identity>,
    /// The room that was promised for its record.
    room: Option<Room>,
    project: Box<str>,
    request_id: Box<str>,
    /// What the path says.
    wire: shape::Call,
    started: UnixMillis,
    shape: Shape,
    encoding: Encoding,
    /// The model that the request names.
    model: Box<str>,
    is_streamed: bool,
    /// Whether the engine is sure to end the answer by itself, at a cap that the request states.
    is_capped: bool,
    /// Whether the model writes.
    generates: bool,
    prompt: Prompt,
    /// What was reserved; `None`: no limit is about the call, or nobody could be asked.
    hold: Option<Hold>,
    /// How much of the hold is for the answer, in tokens; without a hold, what would be.
    for_output: u64,
    /// What the call costs whatever is in it.
    flat: Option<u64>,
    /// Whether the usage of the stream was asked for on the client's behalf.
    asked_for_usage: bool,
    /// Whether an engine that refuses that would say so of its own accord.
    may_learn: bool,
    /// From when on more budget is asked for: not at once where there was none.
    asks_from: UnixMillis,
    /// What control was asked for more, and has not answered.
    operation: Option<u64>,
    /// By how much the hold has grown, in tokens.
    grown: u64,
    /// How much there was when a whole step was refused: what is asked for next.
    last_step: Option<u64>,
    answer: Answer,
    /// What of it is to be remembered, if anything.
    memory: Option<Box<Memory>>,
}

/// What is known of the answer.
#[derive(Default)]
struct Answer {
    /// 0: there is none yet.
    status: u16,
    reader: Option<ResponseReader>,
    /// Whether it is held back until it is whole.
    is_kept: bool,
    /// How much of what the host shows has been read, while it is held back.
    seen: usize,
    /// What `content-length` says.
    length: Option<u64>,
    /// How much of it has come.
    come: u64,
    /// Whether its coding cannot be read.
    is_encoded: bool,
    /// The beginning of an error's text.
    refusal: Refusal,
    first_text: Option<UnixMillis>,
    /// Whether all of it has passed.
    is_whole: bool,
    /// Whether the stream has been broken off behind its last event.
    is_reset: bool,
}

impl core::fmt::Debug for Call {
    /// Nothing of what was said.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Call")
            .field("shape", &self.shape)
            .field("status", &self.answer.status)
            .finish_non_exhaustive()
    }
}
