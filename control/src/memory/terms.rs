//! What both places of events are asked, and what they answer.

use attach_core::clock::UnixMillis;
use attach_core::mirror::{MemoryEvent, Object};

/// Whose memory is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// One owner's alone: the verified caller's, or a space's that the caller is admitted to.
    Owner(String),
    /// Everybody's (`mem:read:all`), rows without an owner among them.
    Everyone,
}

/// Which sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionFilter {
    /// The whole id: 64 hexadecimal digits.
    Whole(String),
    /// What clients see of it: the first 16.
    Beginning(String),
}

/// Which events, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many at most.
    pub limit: usize,
    /// Only those that come after this one in the order of the page: older, or as old with a smaller id.
    pub before: Option<(UnixMillis, String)>,
    /// Only of one session.
    pub session: Option<SessionFilter>,
}

/// What is to be kept: an object, and where its text lies among others if that is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The event.
    pub object: Object,
    /// Its embedding.
    pub vector: Option<Vec<f32>>,
}

/// An event that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its object's id.
    pub id: String,
    /// The event.
    pub event: MemoryEvent,
}

/// A record that will never be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its object's id.
    pub id: String,
    /// Why; holds nothing of its text.
    pub error: String,
}

/// Why memory did not do something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not there, or not fast enough: trying again may help.
    #[error("memory does not answer: {0}")]
    Unavailable(String),
    /// It is there and will not, whoever tries again: its key is wrong, or its class cannot be used.
    #[error("memory refuses: {0}")]
    Refused(String),
}
