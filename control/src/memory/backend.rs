//! Where events lie, and what both places can do.

use attach_core::clock::UnixMillis;

use super::embedded::Embedded;
use super::terms::{Error, Page, Reach, Record, Rejected, SessionFilter, Stored};
use super::weaviate::Weaviate;

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
