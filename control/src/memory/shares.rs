//! Sharing on purpose: a document that a task hands over is readable by that task's parties, and by nobody else.

use attach_core::clock::UnixMillis;
use rusqlite::Connection;

use super::mem_id::MemId;
use crate::store::{Store, rusqlite};

/// The most parties of one call.
pub const MAX_PARTIES: usize = 64;
/// The most shares of one document.
const MAX_SHARES: u32 = 1_024;

/// Who else may read documents; cheap to clone.
#[derive(Clone, Debug)]
pub struct Shares {
    store: Store,
}

/// Why a document was not shared; nobody was admitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such document, or it is another's. It is not told which.
    #[error("mem_id must be that of a document of your own")]
    NotOwn,
    /// It would be too many.
    #[error("a document may be shared with {MAX_PARTIES} parties at once, {MAX_SHARES} in all")]
    Many,
    /// The database.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Shares {
    pub(super) fn new(store: Store) -> Self {
        Self { store }
    }

    /// Lets a task's parties (users, as stamped) read an owner's document from `now` on. Told twice, it is the same.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn share(
        &self,
        mem_id: MemId,
        owner: String,
        parties: Vec<String>,
        task_id: String,
        now: UnixMillis,
    ) -> Result<(), Error> {
        if parties.len() > MAX_PARTIES {
            return Err(Error::Many);
        }
        self.store
            .write(move |connection| {
                const OWN: &str = "SELECT 1 FROM documents WHERE mem_id = ? AND owner = ? AND forgotten = 0";
                const ADD: &str = "INSERT INTO document_shares VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
                const COUNT: &str = "SELECT count(*) FROM document_shares WHERE mem_id = ?";
                if !connection.prepare_cached(OWN)?.exists((mem_id.as_str(), owner))? {
                    return Err(Error::NotOwn);
                }
                for party in &parties {
                    connection.prepare_cached(ADD)?.execute((mem_id.as_str(), party, &task_id, now.0))?;
                }
                let count: u32 =
                    connection.prepare_cached(COUNT)?.query_row([mem_id.as_str()], |row| row.get(0))?;
                if count > MAX_SHARES { Err(Error::Many) } else { Ok(()) }
            })
            .await
    }

    /// Takes back what a task's parties may read of an owner's document.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn end(&self, mem_id: MemId, owner: String, task_id: String) -> Result<(), Error> {
        self.store
            .write(move |connection| {
                const END: &str = "DELETE FROM document_shares WHERE mem_id = ?1 AND task_id = ?3 \
                                   AND EXISTS (SELECT 1 FROM documents WHERE mem_id = ?1 AND owner = ?2)";
                connection.prepare_cached(END)?.execute((mem_id.as_str(), owner, task_id))?;
                Ok(())
            })
            .await
    }

    /// Whether a document is a user's own, or one that a task gave it.
    ///
    /// # Errors
    /// The store cannot, or not in time.
    pub async fn may_read(&self, mem_id: MemId, user: String) -> Result<bool, Error> {
        self.store
            .read(move |connection| {
                const OWN: &str = "SELECT 1 FROM documents WHERE mem_id = ? AND owner = ? AND forgotten = 0";
                let is_own = connection.prepare_cached(OWN)?.exists((mem_id.as_str(), &user))?;
                Ok(is_own || is_party(connection, &mem_id, &user)?)
            })
            .await
    }
}

/// Whether a task gave a user a document. What is forgotten has no shares.
pub(super) fn is_party(connection: &Connection, mem_id: &MemId, user: &str) -> Result<bool, rusqlite::Error> {
    const PARTY: &str = "SELECT 1 FROM document_shares WHERE mem_id = ? AND party = ?";
    connection.prepare_cached(PARTY)?.exists((mem_id.as_str(), user))
}
