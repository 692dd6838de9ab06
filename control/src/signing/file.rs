//! A ring's file: read whole, changed under a lock, replaced by renaming.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::ring::Ring;
use super::{Error, SigningKey};

/// The most bytes of a file that is read; a full ring has 13 KB.
const MAX_BYTES: u64 = 64 * 1024;
/// How long the lock is waited for. A change takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks at the lock: the kernel's own wait knows no deadline.
const LOOK: Duration = Duration::from_millis(10);

/// The right to change a file. The kernel takes it back when the process ends, however it ends.
pub(super) struct Guard<'a> {
    path: &'a Path,
    _lock: File,
}

impl<'a> Guard<'a> {
    /// Waits for the right, two seconds at most. The file's folder is made where it is missing.
    pub(super) fn take(path: &'a Path) -> Result<Self, Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Self::try_take(path)? {
                Some(guard) => return Ok(guard),
                None if Instant::now() >= deadline => return Err(Error::Locked(path.to_owned())),
                None => std::thread::sleep(LOOK),
            }
        }
    }

    /// The right, unless somebody has it.
    pub(super) fn try_take(path: &'a Path) -> Result<Option<Self>, Error> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(failed("make the folder of", path))?;
        }
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(beside(path, "lock"))
            .map_err(failed("lock", path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed("lock", path)(error)),
        }
    }

    /// Replaces the file.
    pub(super) fn write(&self, ring: &Ring) -> Result<(), Error> {
        let text = serde_json::to_vec_pretty(&ring.to_json()).map_err(|_| Error::Sign)?;
        // Under the lock the name is nobody else's; what lies there is of a command that was killed.
        let draft = beside(self.path, "new");
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed("write", self.path)(error));
            }
            _ => {}
        }
        let mut options = OpenOptions::new();
        let written = options.write(true).create_new(true).mode(0o600).open(&draft).and_then(|mut file| {
            file.write_all(&text)?;
            file.sync_all()
        });
        written.and_then(|()| fs::rename(&draft, self.path)).map_err(failed("write", self.path))
    }
}

/// The ring in a file; `None` where there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Ring>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path)(error)),
    };
    if file.metadata().map_err(failed("read", path))?.permissions().mode() & 0o077 != 0 {
        return Err(Error::Exposed(path.to_owned()));
    }
    let mut text = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut text).map_err(failed("read", path))?;
    let ring = serde_json::from_slice(&text).ok().and_then(|value| Ring::from_json(&value));
    ring.map(Some).ok_or_else(|| Error::Malformed(path.to_owned()))
}

/// The ring in a file, a new one where there is none. Of several that make it at once all have the same.
pub(super) fn read_or_make(path: &Path, now: u64) -> Result<Ring, Error> {
    if let Some(ring) = read(path)? {
        return Ok(ring);
    }
    let guard = Guard::take(path)?;
    if let Some(ring) = read(path)? {
        return Ok(ring);
    }
    let ring = Ring::new(SigningKey::generate()?, now);
    guard.write(&ring)?;
    Ok(ring)
}

fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(end);
    path.with_file_name(name)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::File { action, path: path.to_owned(), source }
}
