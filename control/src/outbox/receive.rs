//! What a delivery asks of whoever receives.

use std::time::Duration;

/// An event on its way.
#[derive(Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the queue.
    pub(super) seq: i64,
    /// What it is known by.
    pub id: String,
    /// What leaves.
    pub payload: String,
}

impl std::fmt::Debug for Event {
    /// Nothing of what it says.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.id)
            .field("bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// How much goes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The most events.
    pub events: u32,
    /// The most bytes: beyond it no event is added. One alone may be larger.
    pub bytes: usize,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken.
    Delivered,
    /// It was taken but for these, which never will be: ids and reasons.
    Partly(Vec<(String, String)>),
    /// Something in it will never be taken, and nothing of it was.
    Refused(String),
    /// It may be taken later, not before so long.
    Later(String, Duration),
    /// It will be taken when a setting is put right.
    Misconfigured(String),
}

/// Whoever takes events.
pub trait Receive: Send + Sync + 'static {
    /// What they are, for messages: "… cannot leave".
    const EVENTS: &'static str;
    /// How much it takes at once.
    fn batch(&self) -> Batch;

    /// Sends a batch.
    fn send(&self, events: &[Event]) -> impl Future<Output = Verdict> + Send;

    /// Where events go, for messages: no user, password or query of an address.
    fn shown(&self) -> String;
}
