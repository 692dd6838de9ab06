//! Log files: kept from growing over restarts, shown from their end, followed.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Error;

/// A log larger than this is put aside when its service starts.
const ROTATE_BYTES: u64 = 10 * 1024 * 1024;

/// How many lines of a log an error shows.
pub const TAIL_LINES: usize = 15;

/// The most that is read from a log's end, and the longest line that is kept together.
const TAIL_BYTES: u64 = 4 * 1024 * 1024;

/// Puts a log aside as `<name>.log.1` when it has grown large; the one before that goes.
///
/// # Errors
/// When the file system refuses.
pub fn rotate(path: &Path) -> Result<(), Error> {
    rotate_above(path, ROTATE_BYTES)
}

fn rotate_above(path: &Path, bytes: u64) -> Result<(), Error> {
    match std::fs::metadata(path) {
        Ok(found) if found.len() > bytes => {
            let mut aside = path.as_os_str().to_owned();
            aside.push(".1");
            std::fs::rename(path, PathBuf::from(aside)).map_err(Error::file("rename", path))
        }
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file("read", path)(error)),
        _ => Ok(()),
    }
}

/// The last lines that were written to a log since it had a certain length, as a text for an error; an
/// unreadable log has none.
#[must_use]
pub fn tail_text(path: &Path, since: u64, lines: usize) -> String {
    let Ok((mut log, last)) = Log::tail_since(path, since, lines) else { return String::new() };
    let mut text = String::new();
    for line in last.into_iter().chain(log.rest()) {
        text.push_str("  ");
        text.push_str(&String::from_utf8_lossy(&line));
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

/// A log that is being read, line by line.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: Option<File>,
    /// Up to where it was read.
    offset: u64,
    /// A line that has no end yet.
    open: Vec<u8>,
}

impl Log {
    /// Reads a log's last lines, and stands at its end. A log that does not exist yet has no lines.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub fn tail(path: &Path, lines: usize) -> Result<(Self, Vec<Vec<u8>>), Error> {
        Self::tail_since(path, 0, lines)
    }

    fn tail_since(path: &Path, since: u64, lines: usize) -> Result<(Self, Vec<Vec<u8>>), Error> {
        let mut log = Self { path: path.to_path_buf(), file: None, offset: 0, open: Vec::new() };
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((log, Vec::new())),
            Err(error) => return Err(Error::file("read", path)(error)),
        };
        let fail = |error| Error::file("read", path)(error);
        let length = file.metadata().map_err(fail)?.len();
        let begin = length.saturating_sub(TAIL_BYTES).max(since);
        file.seek(SeekFrom::Start(begin)).map_err(fail)?;
        log.file = Some(file);
        log.offset = begin;
        let mut all = log.read_lines()?;
        if begin > since && !all.is_empty() {
            // Most likely the second half of a line.
            all.remove(0);
        }
        let last = all.split_off(all.len().saturating_sub(lines));
        Ok((log, last))
    }

    /// The whole lines that were added since.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn read_lines(&mut self) -> Result<Vec<Vec<u8>>, Error> {
        let path = self.path.clone();
        let fail = |error| Error::file("read", &path)(error);
        let mut lines = Vec::new();
        if let Some(file) = &mut self.file {
            // Emptied by hand.
            if file.metadata().map_err(fail)?.len() < self.offset {
                self.offset = file.seek(SeekFrom::Start(0)).map_err(fail)?;
            }
            let mut added = Vec::new();
            let count = file.take(TAIL_BYTES).read_to_end(&mut added).map_err(fail)?;
            self.offset = self.offset.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            for piece in added.split_inclusive(|byte| *byte == b'\n') {
                self.open.extend_from_slice(piece);
                let whole = self.open.ends_with(b"\n");
                if whole {
                    self.open.pop();
                }
                if whole || u64::try_from(self.open.len()).is_ok_and(|length| length >= TAIL_BYTES) {
                    lines.push(std::mem::take(&mut self.open));
                }
            }
        }
        if lines.is_empty() && self.was_replaced() {
            // Put aside, and begun anew; everything in the old one has been read.
            lines.extend(self.rest());
            self.file = File::open(&self.path).ok();
            self.offset = 0;
        }
        Ok(lines)
    }

    /// A last line without an end.
    pub fn rest(&mut self) -> Option<Vec<u8>> {
        (!self.open.is_empty()).then(|| std::mem::take(&mut self.open))
    }

    /// Whether another file has the log's name by now.
    fn was_replaced(&self) -> bool {
        let Ok(named) = std::fs::metadata(&self.path) else { return false };
        match self.file.as_ref().map(File::metadata) {
            Some(Ok(open)) => (open.dev(), open.ino()) != (named.dev(), named.ino()),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::tests::Folder;
    use std::io::Write;

    fn text(lines: Vec<Vec<u8>>) -> Vec<String> {
        lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn a_large_log_is_put_aside_and_only_one_is_kept() {
        let folder = Folder::new("rotate");
        let log = folder.path().join("a.log");
        let aside = folder.path().join("a.log.1");
        rotate_above(&log, 4).unwrap();
        std::fs::write(&log, "1234").unwrap();
        rotate_above(&log, 4).unwrap();
        assert!(log.exists() && !aside.exists(), "not large yet");
        for content in ["first", "second"] {
            std::fs::write(&log, content).unwrap();
            rotate_above(&log, 4).unwrap();
            assert!(!log.exists());
            assert_eq!(std::fs::read_to_string(&aside).unwrap(), content);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_tail_is_the_last_lines_and_the_unfinished_one() {
        let folder = Folder::new("tail");
        let log = folder.path().join("a.log");
        assert_eq!(tail_text(&log, 0, 2), "");
        std::fs::write(&log, "one\ntwo\nthree\nfou").unwrap();
        assert_eq!(tail_text(&log, 0, 2), "  two\n  three\n  fou");
        assert_eq!(tail_text(&log, 0, 0), "  fou");
        assert_eq!(tail_text(&log, 8, 9), "  three\n  fou", "only what is new");
    }

    #[test]
    fn following_sees_whole_lines_through_truncation_and_rotation() {
        let folder = Folder::new("follow");
        let path = folder.path().join("a.log");
        let (mut log, lines) = Log::tail(&path, 5).unwrap();
        assert!(lines.is_empty());
        std::fs::write(&path, "one\ntw").unwrap();
        assert_eq!(text(log.read_lines().unwrap()), [""; 0], "opens the file that has come");
        assert_eq!(text(log.read_lines().unwrap()), ["one"]);
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"o\n").unwrap();
        assert_eq!(text(log.read_lines().unwrap()), ["two"]);
        std::fs::write(&path, "n\n").unwrap();
        assert_eq!(text(log.read_lines().unwrap()), ["n"], "emptied");
        rotate_above(&path, 1).unwrap();
        std::fs::write(&path, "new\n").unwrap();
        assert_eq!(text(log.read_lines().unwrap()), [""; 0]);
        assert_eq!(text(log.read_lines().unwrap()), ["new"]);
    }
}
