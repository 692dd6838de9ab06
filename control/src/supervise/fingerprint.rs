//! What a process was started from, as one hash.
//!
//! The hash is keyed with the gateway's own secret: among its parts are values as guessable as an API key
//! that somebody typed, and a plain hash of one would be a way to try guesses.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::Error;

/// A hash in the making.
#[derive(Clone)]
pub struct Fingerprint(Sha256);

impl std::fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fingerprint(..)")
    }
}

impl Fingerprint {
    /// Begins one, keyed with the state folder's secret.
    #[must_use]
    pub fn keyed(secret: &str) -> Self {
        Self(Sha256::new()).with("key", secret.as_bytes())
    }

    /// Adds a named part. Lengths go in too, so that no two lists of parts read the same.
    #[must_use]
    pub fn with(mut self, name: &str, value: &[u8]) -> Self {
        for part in [name.as_bytes(), value] {
            self.0.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            self.0.update(part);
        }
        self
    }

    /// Adds a list of arguments.
    #[must_use]
    pub fn with_all<S: AsRef<OsStr>>(self, name: &str, values: impl IntoIterator<Item = S>) -> Self {
        values.into_iter().fold(self, |print, value| print.with(name, value.as_ref().as_bytes()))
    }

    /// The finished hash, in hexadecimal.
    #[must_use]
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// The sha256 of a file's content: which binary, which module.
///
/// # Errors
/// When it cannot be read.
pub fn of_file(path: &Path) -> Result<String, Error> {
    let mut file = std::fs::File::open(path).map_err(Error::file("read", path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0_u8; 1 << 16];
    loop {
        let count = file.read(&mut buffer).map_err(Error::file("read", path))?;
        match buffer.get(..count) {
            Some(chunk) if !chunk.is_empty() => hash.update(chunk),
            _ => return Ok(hex(&hash.finalize())),
        }
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(parts: &[(&str, &str)]) -> String {
        parts.iter().fold(Fingerprint::keyed("k"), |print, (n, v)| print.with(n, v.as_bytes())).finish()
    }

    #[test]
    fn the_same_parts_have_the_same_fingerprint() {
        assert_eq!(print(&[("a", "1"), ("b", "2")]), print(&[("a", "1"), ("b", "2")]));
    }

    #[test]
    fn parts_cannot_run_into_each_other() {
        let all = [
            print(&[("a", "1"), ("b", "2")]),
            print(&[("a", "1b"), ("", "2")]),
            print(&[("a", "12")]),
            print(&[("b", "2"), ("a", "1")]),
            Fingerprint::keyed("k").with_all("a", ["1", "2"]).finish(),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[index + 1..].contains(one), "{index}");
        }
    }

    #[test]
    fn another_secret_gives_another_fingerprint() {
        let one = Fingerprint::keyed("k").with("env", b"sk-guessable").finish();
        let other = Fingerprint::keyed("l").with("env", b"sk-guessable").finish();
        assert_ne!(one, other);
    }

    #[test]
    fn debug_shows_nothing_of_the_parts() {
        assert_eq!(format!("{:?}", Fingerprint::keyed("secret")), "Fingerprint(..)");
    }
}
