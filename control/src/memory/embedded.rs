//! Events in control's own store: a database of its own, so that memory and limits never wait for each other.
//!
//! Rows of one owner lie together, apart from all others': listing, searching and forgetting go through a range of
//! rows or an index that begins with the owner, and never see anything else.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use attach_core::clock::UnixMillis;

use super::terms::{Error, Page, Reach, Record, Rejected, SessionFilter, Stored};
use crate::store::{self, OpenError, Schema, Store};

mod forget;
mod fuse;
mod list;
mod row;
mod search;
mod tidy;
mod words;

use tidy::Tidier;

pub use row::{MAX_CONTENT, fit};

/// The database's file in the state folder.
pub const FILE_NAME: &str = "memory.db";

/// How many events go in together.
const GROUP: usize = 256;
/// The time between two steps of what nobody waits for, which leaves the disk to others.
const BREATH: Duration = Duration::from_millis(20);

const SCHEMA: Schema = Schema {
    steps: &[include_str!("embedded/0001_events.sql")],
    writing: &[
        // What was forgotten is overwritten.
        ("secure_delete", "ON"),
        // 64 MiB, in KiB: ids are scattered all over their index.
        ("cache_size", "-65536"),
        // 128 MiB of log: a page of that index is written back once for many ids that came into it.
        ("wal_autocheckpoint", "32000"),
    ],
    reading: &[("cache_size", "-32768")],
};

/// Events in control's own store; cheap to clone.
#[derive(Clone, Debug)]
pub struct Embedded {
    store: Store,
    tidier: Arc<Tidier>,
}

impl Embedded {
    /// Opens the database at a path and makes it where there is none. What an earlier process was forgetting goes on
    /// being forgotten, where there is a Tokio runtime.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let store = Store::open_as(path, &SCHEMA)?;
        Ok(Self { tidier: Arc::new(Tidier::start(store.clone())), store })
    }

    /// The database's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.store.path()
    }

    pub(super) async fn put(&self, records: Vec<Record>) -> Result<Vec<Rejected>, Error> {
        let (mut ready, rejected) = tokio::task::spawn_blocking(move || row::ready(records))
            .await
            .map_err(|_| store::Error::Broken)?;
        while !ready.is_empty() {
            let rest = ready.split_off(ready.len().min(GROUP));
            self.write(move |connection| row::put(connection, &ready)).await?;
            ready = rest;
        }
        Ok(rejected)
    }

    pub(super) async fn list(&self, reach: Reach, page: Page) -> Result<Vec<Stored>, Error> {
        self.read(move |connection| list::page(connection, &reach, &page)).await
    }

    pub(super) async fn search(
        &self,
        reach: Reach,
        query: String,
        vector: Option<Vec<f32>>,
        limit: usize,
    ) -> Result<Vec<Stored>, Error> {
        self.read(move |connection| search::search(connection, &reach, &query, vector.as_deref(), limit))
            .await
    }

    pub(super) async fn get(&self, reach: Reach, id: String) -> Result<Option<Stored>, Error> {
        self.read(move |connection| list::get(connection, &reach, &id)).await
    }

    pub(super) async fn forget(&self, owner: String, session: Option<SessionFilter>) -> Result<u64, Error> {
        let Some(session) = session else {
            let count = self.write(move |connection| forget::disown(connection, &owner)).await?;
            self.tidier.wake();
            return Ok(count);
        };
        let mut count: u64 = 0;
        loop {
            let (owner, session) = (owner.clone(), session.clone());
            let gone =
                self.write(move |connection| forget::session_step(connection, &owner, &session)).await?;
            count = count.saturating_add(gone as u64);
            if gone < forget::STEP {
                break;
            }
        }
        self.tidier.wake();
        Ok(count)
    }

    pub(super) async fn expire(&self, before: UnixMillis) -> Result<u64, Error> {
        let before = i64::try_from(before.0).unwrap_or(i64::MAX);
        let mut count: u64 = 0;
        loop {
            let gone = self.write(move |connection| forget::old_step(connection, before)).await?;
            count = count.saturating_add(gone as u64);
            if gone < forget::STEP {
                break;
            }
            tokio::time::sleep(BREATH).await;
        }
        self.tidier.wake();
        Ok(count)
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&store::rusqlite::Connection) -> Result<T, store::Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.store.read(work).await.map_err(Error::from)
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&store::rusqlite::Connection) -> Result<T, store::Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.store.write(work).await.map_err(Error::from)
    }
}

#[cfg(test)]
mod tests;
