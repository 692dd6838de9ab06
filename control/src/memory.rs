//! Memory outside the model: what the gateway remembers of prompts, answers, logs and documents, and who may read it.
//!
//! [`Memory`] is the one door. Events lie in one of two [`Backend`]s: control's own store ([`embedded`]) or a
//! Weaviate ([`weaviate`]). Whatever is read, forgotten or shared is keyed by a verified [`Reach`], never by anything
//! that a request says about itself.

pub mod backend;
pub mod embedded;
pub mod weaviate;

use attach_core::mirror::Object;

pub use backend::{Backend, Error, Page, Reach, Record, Rejected, SessionFilter, Stored};

/// All of it; cheap to clone.
#[derive(Clone, Debug)]
pub struct Memory {
    backend: Backend,
}

impl Memory {
    /// Memory in control's own store.
    #[must_use]
    pub fn embedded(embedded: embedded::Embedded) -> Self {
        Self { backend: Backend::Embedded(embedded) }
    }

    /// Where events lie.
    #[must_use]
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Keeps redacted events for good: once it has answered they survive this process, and reach the backend some time.
    /// Told twice, an event is kept once.
    ///
    /// # Errors
    /// See [`Error`]; none of them was kept, or nobody can tell: tell them again.
    pub async fn remember(&self, objects: Vec<Object>) -> Result<(), Error> {
        let records = objects.into_iter().map(|object| Record { object, vector: None }).collect();
        self.backend.put(records).await.map(|_| ())
    }

    /// The events that answer a query best, best first.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn search(&self, reach: Reach, query: String, limit: usize) -> Result<Vec<Stored>, Error> {
        self.backend.search(reach, query, None, limit).await
    }
}
