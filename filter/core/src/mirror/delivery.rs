//! How events leave a worker: to Weaviate directly where that is allowed, else to control, which keeps them for good
//! before it answers.
//!
//! Weaviate is only ever given a few batches at a time. What it does not take, and while it is slow, down or behind
//! everything that comes, goes to control, whose outbox is on disk; an event that both get is the same object, since
//! its id is. Where control does not answer either, events wait here until there is no more room, and what then comes
//! is dropped and counted.
//!
//! Requests only touch memory here; the root makes the calls ([`Delivery::next_call`]) and brings their answers
//! ([`Delivery::answered`]).

use core::time::Duration;
use std::cell::RefCell;

use self::state::State;
use super::Object;
use super::pool::{Pool, Share};
use crate::clock::UnixMillis;

pub use self::queue::BatchId;
pub use self::receiver::Notice;

mod answer;
mod queue;
mod receiver;
mod state;

/// The most that is kept, in bytes: all of the [pool](super::pool::MAX_BYTES), of which what open streams have is their
/// events' when they end.
pub const MAX_BYTES: usize = super::pool::MAX_BYTES;
/// How long a call to Weaviate may take: control can still be told then, while somebody waits.
pub const WEAVIATE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a call to control may take.
pub const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes. It repeats what was sent.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// How often control is asked whether Weaviate may be told directly.
pub const ASK_EVERY: Duration = Duration::from_secs(5);

/// Who is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// Nobody. What is left of an earlier configuration goes to control.
    #[default]
    Off,
    /// Control, where it speaks as Weaviate does.
    Embedded,
    /// Weaviate, once control has said that its class is there.
    Weaviate,
}

/// Whom a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Weaviate.
    Weaviate,
    /// Control, where it speaks as Weaviate does.
    Embedded,
    /// Control's outbox.
    Control,
}

/// A call to make.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// What its answer is about.
    pub batch: BatchId,
    /// Whom it is for.
    pub to: To,
    /// What is posted.
    pub body: Vec<u8>,
}

impl core::fmt::Debug for Call {
    /// Nothing of what was said.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Call({:?} to {:?}, {} bytes)", self.batch, self.to, self.body.len())
    }
}

/// What an answer comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// The batch's next call.
    pub next: Option<Call>,
    /// What the log should say.
    pub notices: Vec<Notice>,
    /// Whether the call failed.
    pub failed: bool,
    /// How many events are dropped, since nobody will ever take them.
    pub rejected: usize,
    /// Streams that waited, and whether their events have arrived.
    pub told: Vec<(u32, bool)>,
}

/// What came since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events that were taken.
    pub accepted: u64,
    /// Events that found no room.
    pub full: u64,
    /// Events that came when nobody was to be told any more.
    pub off: u64,
}

/// The events of one worker on their way out.
#[derive(Debug)]
pub struct Delivery(RefCell<State>);

impl Delivery {
    /// The delivery of a worker. `seed` is random; what is kept counts for the pool.
    #[must_use]
    pub fn new(seed: u64, pool: &Pool) -> Self {
        Self(RefCell::new(State::new(seed, pool)))
    }

    /// From now on these are told. Weaviate is not before control has said so once more.
    pub fn set_route(&self, route: Route) {
        self.with((), |state| state.set_route(route));
    }

    /// Control has said whether Weaviate may be told.
    pub fn set_direct(&self, is_direct: bool) {
        self.with((), |state| state.is_direct = is_direct);
    }

    /// Whether it is time to ask control for that. It counts as asked then.
    #[must_use]
    pub fn asks_control(&self, now: UnixMillis) -> bool {
        self.with(false, |state| state.asks_control(now))
    }

    /// Takes events; `share` is the memory that their texts take up. What `waiter`, a stream, is told at once:
    /// that its events are lost, or that there are none; `None`: it is told when they have arrived.
    pub fn push(&self, objects: Vec<Object>, share: Share, waiter: Option<u32>) -> Option<bool> {
        self.with(Some(false), |state| state.push(objects, share, waiter))
    }

    /// What came since this was asked last.
    #[must_use]
    pub fn take_counts(&self) -> Counts {
        self.with(Counts::default(), |state| core::mem::take(&mut state.counts))
    }

    /// Events that have not arrived.
    #[must_use]
    pub fn len(&self) -> usize {
        self.with(0, |state| state.queue.len())
    }

    /// Whether every event has arrived.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The worker is about to go: nothing waits any more.
    pub fn close(&self) {
        self.with((), |state| state.queue.close());
    }

    /// A call to make now, if one is due; ask again until there is none.
    #[must_use]
    pub fn next_call(&self, now: UnixMillis) -> Option<Call> {
        self.with(None, |state| state.next_call(now))
    }

    /// Takes the answer to a call, or that there is none: its status, and its body if that is no larger than
    /// [`MAX_ANSWER_BYTES`].
    pub fn answered(
        &self,
        batch: BatchId,
        to: To,
        answer: Option<(u16, &[u8])>,
        now: UnixMillis,
    ) -> Answered {
        self.with(Answered::default(), |state| match to {
            To::Weaviate | To::Embedded => state.weaviate_answered(batch, to, answer, now),
            To::Control => state.control_answered(batch, answer, now),
        })
    }

    /// Nothing that is called while it is borrowed calls back.
    fn with<T>(&self, otherwise: T, act: impl FnOnce(&mut State) -> T) -> T {
        self.0.try_borrow_mut().map_or(otherwise, |mut state| act(&mut state))
    }
}

/// Whether control says in its answer about its health that Weaviate may be told: its class is there.
#[must_use]
pub fn says_direct(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Health {
        memory: Memory,
    }
    #[derive(serde::Deserialize)]
    struct Memory {
        direct: bool,
    }
    serde_json::from_slice::<Health>(body).is_ok_and(|health| health.memory.direct)
}

#[cfg(test)]
mod tests;
