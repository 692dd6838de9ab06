//! A lock that goes with its owner: the kernel drops it when the process ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::Error;

/// A file lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    // Closing the file frees the lock. It is opened close-on-exec, as all of std's files are, so that no
    // detached child carries the lock away with it.
    _file: File,
}

impl Lock {
    /// Takes the lock; `None` while somebody else has it.
    ///
    /// # Errors
    /// When the file cannot be made or the file system knows no locks.
    pub fn try_take(path: &Path) -> Result<Option<Self>, Error> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(Error::file("open", path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(Error::file("lock", path)(error)),
        }
    }
}
