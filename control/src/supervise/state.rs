//! The state folder: process records, secrets, logs and what Envoy reads.
//!
//! Everything in it belongs to one gateway, and only its owner may look inside (mode 0700): the logs name
//! users, the records and secrets speak for themselves.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::lock::Lock;
use super::{Error, Service};

/// A gateway's state folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir {
    root: PathBuf,
}

impl StateDir {
    /// The folder at a path; nothing is touched yet.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Makes the folder and those in it, where they are missing.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn create(&self) -> Result<(), Error> {
        for folder in [self.root.clone(), self.secrets(), self.root.join("logs"), self.root.join("run")] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .map_err(Error::file("make the folder", &folder))?;
        }
        // It may have been made by hand, with the user's usual mode.
        let secrets = self.secrets();
        std::fs::set_permissions(&secrets, Permissions::from_mode(0o700))
            .map_err(Error::file("close to others", &secrets))
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the keys and secrets lie.
    #[must_use]
    pub fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    /// Envoy's configuration.
    #[must_use]
    pub fn envoy_config(&self) -> PathBuf {
        self.root.join("envoy.yaml")
    }

    /// The filter that Envoy loads.
    #[must_use]
    pub fn module(&self) -> PathBuf {
        self.root.join("attach.wasm")
    }

    /// A service's log.
    #[must_use]
    pub fn log(&self, service: Service) -> PathBuf {
        self.log_named(service.name())
    }

    /// A log by name; `access` is Envoy's second one.
    #[must_use]
    pub fn log_named(&self, name: &str) -> PathBuf {
        self.root.join("logs").join(format!("{name}.log"))
    }

    /// What is known about a service's process.
    #[must_use]
    pub fn record(&self, service: Service) -> PathBuf {
        self.root.join("run").join(format!("{service}.json"))
    }

    /// Takes the folder for one `up` or `down`, until the lock is dropped.
    ///
    /// # Errors
    /// [`Error::Locked`] while another has it.
    pub fn lock(&self) -> Result<Lock, Error> {
        let path = self.root.join("lock");
        Lock::try_take(&path)?.ok_or_else(|| Error::Locked(self.root.clone()))
    }

    /// The secret by which filter and control know each other: 64 hexadecimal digits, made once and kept.
    ///
    /// # Errors
    /// When there is no randomness, or the file cannot be made or does not hold such a secret.
    pub fn control_secret(&self) -> Result<String, Error> {
        let path = self.secrets().join("control");
        match read_secret(&path)? {
            Some(secret) => Ok(secret),
            None => {
                let mut bytes = [0_u8; 32];
                getrandom::fill(&mut bytes).map_err(Error::Randomness)?;
                let secret = super::fingerprint::hex(&bytes);
                match create_new(&path, secret.as_bytes()) {
                    // Another command was faster; both must go on with the same one.
                    Err(Error::File { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {
                        read_secret(&path)?.ok_or(Error::BadSecret(path))
                    }
                    Err(error) => Err(error),
                    Ok(()) => Ok(secret),
                }
            }
        }
    }
}

fn read_secret(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let text = text.trim();
            let good = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            if good { Ok(Some(text.to_owned())) } else { Err(Error::BadSecret(path.to_path_buf())) }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(Error::BadSecret(path.to_path_buf())),
        Err(error) => Err(Error::file("read", path)(error)),
    }
}

/// Writes a file that must not exist yet. The name appears only once the content is whole: a reader never
/// sees half a secret.
fn create_new(path: &Path, content: &[u8]) -> Result<(), Error> {
    let half = temporary(path);
    write_private(&half, content)?;
    let linked = std::fs::hard_link(&half, path).map_err(Error::file("make", path));
    let removed = std::fs::remove_file(&half).map_err(Error::file("remove", &half));
    linked.and(removed)
}

/// Replaces a file so that a reader sees the old content or the new one, never a part.
///
/// # Errors
/// When the file system refuses.
pub fn write_atomic(path: &Path, content: &[u8]) -> Result<(), Error> {
    let half = temporary(path);
    write_private(&half, content)?;
    std::fs::rename(&half, path).map_err(Error::file("replace", path))
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}

fn write_private(path: &Path, content: &[u8]) -> Result<(), Error> {
    // Left behind by a command that was killed, under an id that came round again.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::file("remove", path)(error)),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(Error::file("make", path))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(Error::file("write", path))
}

/// Opens a log to append to, readable by its owner alone.
///
/// # Errors
/// When the file system refuses.
pub fn open_log(path: &Path) -> Result<File, Error> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(Error::file("open", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::tests::Folder;

    #[test]
    fn the_secret_is_made_once_and_for_its_owner_alone() {
        let folder = Folder::new("secret");
        let state = StateDir::at(folder.path());
        state.create().unwrap();
        let first = state.control_secret().unwrap();
        assert_eq!(first.len(), 64);
        assert_eq!(first, state.control_secret().unwrap());
        let mode = std::fs::metadata(state.secrets().join("control")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mode = std::fs::metadata(state.secrets()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let left: Vec<_> = std::fs::read_dir(state.secrets()).unwrap().collect();
        assert_eq!(left.len(), 1, "no temporary file stays");
    }

    #[test]
    fn a_damaged_secret_is_named_and_not_replaced() {
        let folder = Folder::new("damaged");
        let state = StateDir::at(folder.path());
        state.create().unwrap();
        std::fs::write(state.secrets().join("control"), "short").unwrap();
        assert!(state.control_secret().unwrap_err().to_string().contains("64 hexadecimal digits"));
    }

    #[test]
    fn a_folder_is_taken_by_one_command_at_a_time() {
        let folder = Folder::new("lock");
        let state = StateDir::at(folder.path());
        state.create().unwrap();
        let lock = state.lock().unwrap();
        assert!(matches!(state.lock(), Err(Error::Locked(_))));
        drop(lock);
        assert!(state.lock().is_ok());
    }
}
