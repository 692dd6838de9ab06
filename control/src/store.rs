//! What control must not forget: SQLite databases in the state folder, [`FILE_NAME`] and, with a thread and tables
//! of its own so that neither holds up the other, memory's.
//!
//! Everything goes through two doors. [`Store::write`] hands a piece of work to the one thread that writes; what
//! waits there together is committed together, so that many small batches do not cost a sync of the disk each.
//! Once it has answered, the work survives this process being killed and the power going (`synchronous=FULL`).
//! [`Store::read`] runs a query on one of a few reading connections, which neither wait for the writer nor hold
//! it up.
//!
//! Every call has a deadline. A write that was late may still be carried out: whoever tries again must write so
//! that twice is once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

mod migrate;
mod open;
mod reader;
mod writer;

pub use migrate::Schema;
pub use open::OpenError;
pub use rusqlite;

/// The database's file in the state folder.
pub const FILE_NAME: &str = "control.db";

/// How long a call may take, waiting for its turn included.
const DEADLINE: Duration = Duration::from_secs(5);

/// The database; cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    writer: writer::Writer,
    readers: reader::Readers,
}

/// Why the store did not do something. It holds no value that was to be stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Its turn did not come, or the disk did not answer.
    #[error("the store did not answer within {} seconds", DEADLINE.as_secs())]
    Late,
    /// SQLite could not: the disk is full, the file is locked or broken.
    #[error("the store failed: {0}")]
    Database(String),
    /// The work itself broke down, or its thread is gone.
    #[error("the store broke down")]
    Broken,
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error.to_string())
    }
}

impl Store {
    /// Opens the database at a path, makes it where there is none and brings its tables up to date.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_as(path, &migrate::CONTROL)
    }

    /// [`Store::open`], of a database with other tables.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_as(path: &Path, schema: &Schema) -> Result<Self, OpenError> {
        let connection = open::writing(path, schema)?;
        let readers =
            (0..reader::CONNECTIONS).map(|_| open::reading(path, schema)).collect::<Result<_, _>>()?;
        let inner = Inner {
            path: path.to_owned(),
            writer: writer::Writer::start(connection).map_err(|error| OpenError::thread(path, &error))?,
            readers: reader::Readers::new(readers),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The database's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Runs `work` within a transaction and answers once that is on the disk. If `work` fails nothing of it
    /// is kept; what others wrote at the same time is not touched. It must not begin or end transactions, nor
    /// wait for anything.
    ///
    /// # Errors
    /// What `work` says, or [`Error`]. After [`Error::Late`] it may still be carried out.
    pub async fn write<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        match tokio::time::timeout(DEADLINE, self.inner.writer.run(work)).await {
            Ok(done) => done,
            Err(_) => Err(E::from(Error::Late)),
        }
    }

    /// Runs a query on a state of the database that does not change meanwhile.
    ///
    /// # Errors
    /// What `work` says, or [`Error`]. A query that is late is ended.
    pub async fn read<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        match tokio::time::timeout(DEADLINE, self.inner.readers.run(work)).await {
            Ok(done) => done,
            Err(_) => Err(E::from(Error::Late)),
        }
    }
}

/// Runs a query on a database that another process may have open, without a thread and without changing
/// anything: for tools. `None`: there is no database.
///
/// # Errors
/// It cannot be opened, its tables are not of this version, or the query failed.
pub fn peek<T>(
    path: &Path,
    work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
) -> Result<Option<T>, OpenError> {
    if !path.exists() {
        return Ok(None);
    }
    let connection = open::reading(path, &migrate::CONTROL)?;
    migrate::same(&connection, path, &migrate::CONTROL)?;
    work(&connection).map(Some).map_err(|error| OpenError::failed(path, &error))
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
