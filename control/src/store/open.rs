//! Opening the database: its file, its pragmas, and what to say when it cannot be had.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::migrate::{self, Schema};

/// How long another process may hold the database, an `attach doctor` for one.
const BUSY: Duration = Duration::from_secs(2);

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file cannot be made or read.
    #[error("cannot open {path}: {source}; check the folder's owner and free space, or set --state-dir")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A newer version of this program made its tables.
    #[error(
        "{path} was written by a newer attach (its tables are of version {found}, this attach knows {known}): update attach, or use another --state-dir"
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// The version of its tables.
        found: u32,
        /// The newest one that this program knows.
        known: u32,
    },
    /// An older version made its tables, and whoever asks may not change them.
    #[error(
        "the tables of {path} are of version {found}, this attach needs {known}: `attach up` brings them up to date"
    )]
    Older {
        /// Which file.
        path: PathBuf,
        /// The version of its tables.
        found: u32,
        /// The one that is needed.
        known: u32,
    },
    /// It is no database, or a broken one.
    #[error("{path} is broken ({reason}): restore it, or move it away to begin with an empty one")]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// SQLite cannot work with it.
    #[error("{path} cannot be used: {reason}; check free space, and that no other program holds it")]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
}

impl OpenError {
    pub(super) fn failed(path: &Path, error: &rusqlite::Error) -> Self {
        let (path, reason) = (path.to_owned(), error.to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Corrupt { path, reason },
            _ => Self::Unusable { path, reason },
        }
    }

    pub(super) fn thread(path: &Path, error: &io::Error) -> Self {
        Self::Unusable { path: path.to_owned(), reason: error.to_string() }
    }
}

/// The one connection that writes, to a file of its owner's alone whose tables are of this version.
pub(super) fn writing(path: &Path, schema: &Schema) -> Result<Connection, OpenError> {
    let unreadable = |source| OpenError::File { path: path.to_owned(), source };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(unreadable)?;
    }
    // SQLite would make it readable by others; its log and index take the mode of this file.
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600)).map_err(unreadable)?;
    }
    drop(file);
    let failed = |error| OpenError::failed(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(64);
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)).map_err(failed)?;
    if !mode.eq_ignore_ascii_case("wal") {
        let reason = format!("its file system allows no write-ahead log (journal mode {mode})");
        return Err(OpenError::Unusable { path: path.to_owned(), reason });
    }
    for (pragma, value) in [
        // What was answered is on the disk, not only on its way there.
        ("synchronous", "FULL"),
        ("fullfsync", "ON"),
        ("checkpoint_fullfsync", "ON"),
        ("foreign_keys", "ON"),
        ("trusted_schema", "OFF"),
        ("temp_store", "MEMORY"),
        ("journal_size_limit", "67108864"),
    ] {
        connection.pragma_update(None, pragma, value).map_err(failed)?;
    }
    for (pragma, value) in schema.writing {
        connection.pragma_update(None, pragma, value).map_err(failed)?;
    }
    migrate::up(&mut connection, path, schema)?;
    Ok(connection)
}

/// A connection that cannot write.
pub(super) fn reading(path: &Path, schema: &Schema) -> Result<Connection, OpenError> {
    let failed = |error| OpenError::failed(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    connection.busy_timeout(BUSY).map_err(failed)?;
    connection.pragma_update(None, "trusted_schema", "OFF").map_err(failed)?;
    connection.pragma_update(None, "temp_store", "MEMORY").map_err(failed)?;
    for (pragma, value) in schema.reading {
        connection.pragma_update(None, pragma, value).map_err(failed)?;
    }
    // SQLite opens lazily: what is wrong with the file is to be found now.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(())).map_err(failed)?;
    Ok(connection)
}
