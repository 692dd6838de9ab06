//! Memory outside the model: what the gateway remembers of prompts, answers, logs and documents, and who may read it.
//!
//! [`Memory`] is the one door. Events lie in one of two [`Backend`]s: control's own store ([`embedded`]) or a
//! Weaviate ([`weaviate`]). Whatever is read, forgotten or shared is keyed by a verified [`Reach`], never by anything
//! that a request says about itself.
//!
//! What goes to a Weaviate, and what is embedded first ([`embedding`]), waits in control's outbox until it is there
//! ([`outbox`]); nothing that was acknowledged is lost on the way.

pub mod backend;
pub mod docs;
pub mod embedded;
pub mod embedding;
pub mod logs;
pub mod mem_id;
mod open;
pub mod outbox;
pub mod shares;
pub mod terms;
mod upkeep;
pub mod weaviate;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use attach_core::mirror::Object;
use serde::Serialize;

use crate::clock::unix_now_millis;
use crate::outbox::{Kind, Outbox};
use crate::store;

pub use backend::Backend;
pub use embedding::Embedder;
pub use mem_id::MemId;
pub use open::{EmbedBy, OpenError};
pub use terms::{Error, Page, Reach, Record, Rejected, SessionFilter, Stored};
pub use upkeep::Running;

/// How long forgetting waits for a batch that is under way.
const TURN: Duration = Duration::from_secs(20);

/// All of it; cheap to clone.
#[derive(Clone, Debug)]
pub struct Memory {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    backend: Backend,
    /// What is on its way, and what nobody takes.
    outbox: Outbox,
    embedder: Option<Embedder>,
    retention_days: Option<u32>,
    /// The last batch did not go through.
    is_failing: AtomicBool,
}

/// How memory is, as the filter is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Whether Weaviate takes batches from the filter itself: its class is there, and it took what was last sent.
    pub direct: bool,
    /// How many events wait here.
    pub waiting: u64,
    /// How many nobody takes.
    pub set_aside: u64,
}

impl Memory {
    /// Memory in a place. What waits for it, and what it does not take, lies in `outbox`, whose kind is
    /// [`Kind::Memory`].
    #[must_use]
    pub fn new(
        backend: Backend,
        outbox: Outbox,
        embedder: Option<Embedder>,
        retention_days: Option<u32>,
    ) -> Self {
        let is_failing = AtomicBool::new(false);
        Self { inner: Arc::new(Inner { backend, outbox, embedder, retention_days, is_failing }) }
    }

    /// Where events lie.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        &self.inner.backend
    }

    /// Keeps redacted events for good: once it has answered they survive this process, and reach the backend some time.
    /// Told twice, an event is kept once.
    ///
    /// # Errors
    /// See [`Error`]; none of them was kept, or nobody can tell: tell them again.
    pub async fn remember(&self, objects: Vec<Object>) -> Result<(), Error> {
        let Inner { backend, outbox, embedder, .. } = &*self.inner;
        match backend {
            Backend::Embedded(_) if embedder.is_none() => {
                let entries: Vec<_> = objects.iter().filter_map(outbox::entry).collect();
                let records = objects.into_iter().map(|object| Record { object, vector: None }).collect();
                let rejected = backend.put(records).await?;
                if rejected.is_empty() {
                    return Ok(());
                }
                outbox::set_aside(outbox, entries, rejected).await
            }
            Backend::Embedded(_) | Backend::Weaviate(_) => {
                let entries = objects.iter().filter_map(outbox::entry).collect();
                outbox
                    .put(entries, unix_now_millis())
                    .await
                    .map_err(|refused| Error::Unavailable(refused.to_string()))
            }
        }
    }

    /// The events that answer a query best, best first: by their words, and with `MEM_EMBED_MODEL` by meaning as well,
    /// where the engine answers soon enough.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn search(&self, reach: Reach, query: String, limit: usize) -> Result<Vec<Stored>, Error> {
        let vector = match &self.inner.embedder {
            Some(embedder) => embedder.query(&query).await,
            None => None,
        };
        self.inner.backend.search(reach, query, vector, limit).await
    }

    /// Forgets an owner's events, all or one session's, those that are still on their way among them; how many there
    /// were.
    ///
    /// # Errors
    /// See [`Error`]; some may have been forgotten.
    pub async fn forget(&self, owner: String, session: Option<SessionFilter>) -> Result<u64, Error> {
        let Inner { backend, outbox, .. } = &*self.inner;
        // A batch that is under way would bring back what was just forgotten.
        let turn = tokio::time::timeout(TURN, outbox.turn()).await;
        let _turn =
            turn.map_err(|_| Error::Unavailable("a batch of events takes too long: try again".to_owned()))?;
        let waiting = outbox::forget(outbox, &owner, session.as_ref()).await?;
        Ok(backend.forget(owner, session).await?.saturating_add(waiting))
    }

    /// How it is at `now` (milliseconds of Unix time).
    ///
    /// # Errors
    /// The store cannot say.
    pub async fn health(&self, now: u64) -> Result<Health, store::Error> {
        let crate::outbox::Health { outbox, set_aside, .. } = self.inner.outbox.health(now).await?;
        Ok(Health { direct: self.is_direct(), waiting: outbox, set_aside })
    }

    /// Whether the filter may tell Weaviate itself.
    fn is_direct(&self) -> bool {
        match &self.inner.backend {
            Backend::Weaviate(weaviate) => {
                weaviate.is_prepared()
                    && self.inner.embedder.is_none()
                    && !self.inner.is_failing.load(Ordering::Relaxed)
            }
            Backend::Embedded(_) => false,
        }
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// The kind of memory's events in the outbox.
const KIND: Kind = Kind::Memory;

/// Whether a text is a UUID, in small letters.
#[must_use]
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

#[cfg(test)]
mod tests;
