//! Where events lie, and what both places can do.

use attach_core::clock::UnixMillis;
use attach_core::mirror::{MemoryEvent, Object};

use super::embedded::Embedded;
use super::weaviate::Weaviate;

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

/// One of the two places.
#[derive(Clone, Debug)]
pub enum Backend {
    /// Control's own store.
    Embedded(Embedded),
    /// A Weaviate.
    Weaviate(Weaviate),
}

impl Backend {
    /// Keeps records; one that is there already stays as it is. When it answers they are kept for good, but for those
    /// that it names.
    ///
    /// # Errors
    /// See [`Error`]; some may have been kept.
    pub async fn put(&self, records: Vec<Record>) -> Result<Vec<Rejected>, Error> {
        match self {
            Self::Embedded(embedded) => embedded.put(records).await,
            Self::Weaviate(weaviate) => weaviate.put(records).await,
        }
    }

    /// A page of events, newest first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn list(&self, reach: Reach, page: Page) -> Result<Vec<Stored>, Error> {
        match self {
            Self::Embedded(embedded) => embedded.list(reach, page).await,
            Self::Weaviate(weaviate) => weaviate.list(reach, page).await,
        }
    }

    /// The events that answer a query best, best first: by their words (BM25), and where a `vector` of the query is
    /// given by meaning as well.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn search(
        &self,
        reach: Reach,
        query: String,
        vector: Option<Vec<f32>>,
        limit: usize,
    ) -> Result<Vec<Stored>, Error> {
        match self {
            Self::Embedded(embedded) => embedded.search(reach, query, vector, limit).await,
            Self::Weaviate(weaviate) => weaviate.search(reach, query, vector, limit).await,
        }
    }

    /// One event, if it is within reach.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn get(&self, reach: Reach, id: String) -> Result<Option<Stored>, Error> {
        match self {
            Self::Embedded(embedded) => embedded.get(reach, id).await,
            Self::Weaviate(weaviate) => weaviate.get(reach, id).await,
        }
    }

    /// Forgets an owner's events, all or one session's; how many there were.
    ///
    /// # Errors
    /// See [`Error`]; some may have been forgotten.
    pub async fn forget(&self, owner: String, session: Option<SessionFilter>) -> Result<u64, Error> {
        match self {
            Self::Embedded(embedded) => embedded.forget(owner, session).await,
            Self::Weaviate(weaviate) => weaviate.forget(owner, session).await,
        }
    }

    /// Forgets what is older than that, whosever it is; how many there were.
    ///
    /// # Errors
    /// See [`Error`]; some may have been forgotten.
    pub async fn expire(&self, before: UnixMillis) -> Result<u64, Error> {
        match self {
            Self::Embedded(embedded) => embedded.expire(before).await,
            Self::Weaviate(weaviate) => weaviate.expire(before).await,
        }
    }
}
