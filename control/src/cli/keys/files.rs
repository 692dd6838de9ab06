//! The two settings these tools need, and files that nobody's key is lost by.
//!
//! The settings are read without judging any other: whoever makes a key may not have a gateway yet.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::Error;
use crate::settings::env_file::{self, Entry};

/// The environment, and behind it an env file.
pub(super) struct Lookup {
    file: PathBuf,
    entries: Vec<Entry>,
}

impl Lookup {
    /// Reads the env file; one that was not named need not exist.
    pub(super) fn read(named: Option<&Path>) -> Result<Self, Error> {
        let file = named.unwrap_or(Path::new(".env")).to_owned();
        let failed = |source| Error::File { action: "read", path: file.clone(), source };
        let mut text = String::new();
        match fs::File::open(&file) {
            Ok(opened) => {
                opened.take(env_file::MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
            }
            Err(error) if error.kind() == ErrorKind::NotFound && named.is_none() => {}
            Err(error) => return Err(failed(error)),
        }
        Ok(Self { file, entries: env_file::parse(&text).0 })
    }

    /// Where the env file is, or would be.
    pub(super) fn file(&self) -> &Path {
        &self.file
    }

    /// A setting's value: the environment's, else the file's last. An empty one is not set.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        match std::env::var(name) {
            Ok(value) => Some(value),
            Err(_) => self.entries.iter().rfind(|entry| entry.key == name).map(|entry| entry.value.clone()),
        }
        .filter(|value| !value.is_empty())
    }

    /// A path that a setting names: relative ones count from the env file's folder.
    pub(super) fn path(&self, value: &str) -> PathBuf {
        self.file.parent().map_or_else(|| PathBuf::from(value), |folder| folder.join(value))
    }
}

/// Writes a file whole, so that nobody sees half a key; it replaces what is there only if it may.
pub(super) fn put(path: &Path, content: &[u8], mode: u32, replace: bool) -> Result<(), Error> {
    let failed = |source| Error::File { action: "write", path: path.to_owned(), source };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    // Hidden, and of an ending that is no key's: the gateway passes it over.
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.new", std::process::id()));
    let draft = path.with_file_name(name);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let written = options.write(true).create_new(true).mode(mode).open(&draft).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    let placed = written.and_then(|()| match replace {
        true => fs::rename(&draft, path),
        false => fs::hard_link(&draft, path),
    });
    // After a rename it is gone already.
    let _ = fs::remove_file(&draft);
    placed.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Error::Exists(path.to_owned()),
        _ => failed(error),
    })
}
