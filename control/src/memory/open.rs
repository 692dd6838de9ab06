//! Memory as the settings want it.

use std::path::Path;

use url::Url;

use super::embedded::Embedded;
use super::outbox::LIMIT;
use super::weaviate::{self, Weaviate};
use super::{Backend, Embedder, KIND, Memory, embedding};
use crate::fetch::{self, ClientError};
use crate::outbox::Outbox;
use crate::settings::{self, MemoryBackend, Secret};
use crate::store::{self, Store};

/// The engine that embeds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbedBy {
    /// Its address.
    pub url: Url,
    /// `ENGINE_API_KEY`.
    pub key: Option<Secret>,
}

/// Why there is no memory.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The database.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// A client for HTTP.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl Memory {
    /// What the settings say: in a database of its own in `folder`, or in a Weaviate; what waits lies in `store`.
    /// `None`: nothing is remembered. Nothing is asked of another machine.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        settings: &settings::Memory,
        folder: &Path,
        store: Store,
        engine: &EmbedBy,
        authorities: Option<&Path>,
    ) -> Result<Option<Self>, OpenError> {
        let backend = match &settings.backend {
            MemoryBackend::None => return Ok(None),
            MemoryBackend::Embedded => Backend::Embedded(embedded(folder)?),
            MemoryBackend::Weaviate(set) => {
                let http = fetch::client(authorities, weaviate::DEADLINE)?;
                // Vectors that are given to it are not made by it; else its own default holds.
                let vectorizer = settings.embed_model.as_ref().map(|_| "none".to_owned());
                let (url, key) = (set.url.clone(), set.key.clone());
                Backend::Weaviate(Weaviate::new(url, key, set.tenants, vectorizer, http))
            }
        };
        let embedder = match &settings.embed_model {
            Some(model) => {
                let http = fetch::client(authorities, embedding::DEADLINE)?;
                Some(Embedder::new(&engine.url, engine.key.clone(), model.clone(), http))
            }
            None => None,
        };
        let outbox = Outbox::of(store, KIND, LIMIT);
        Ok(Some(Self::new(backend, outbox, embedder, settings.retention_days)))
    }
}

fn embedded(folder: &Path) -> Result<Embedded, store::OpenError> {
    Embedded::open(&folder.join(super::embedded::FILE_NAME))
}
