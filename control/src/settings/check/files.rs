//! Files and folders: what is read, and what others will read.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Checker;
use crate::settings::problem::Findings;
use crate::settings::{Sources, env_file};

/// The env file's absolute path and what it says.
pub(super) fn read_env_file(
    sources: &Sources,
    findings: &mut Findings,
) -> (Option<PathBuf>, Vec<env_file::Entry>) {
    let (path, label) = match &sources.env_file {
        Some(path) => (sources.folder.join(path), "--env-file"),
        None => (sources.folder.join(".env"), ".env"),
    };
    if sources.env_file.is_none() && !path.exists() {
        return (None, Vec::new());
    }
    let text = match read_bounded(&path, env_file::MAX_BYTES) {
        Ok(text) => text,
        Err(why) => {
            findings.problem(label, format!("{} {why}", path.display()));
            // Where it was meant to be still says what relative paths count from.
            return (Some(path), Vec::new());
        }
    };
    let (entries, bad) = env_file::parse(&text);
    for bad in bad {
        findings.problem(format!("{}:{}", path.display(), bad.line), bad.message);
    }
    (Some(path), entries)
}

/// A whole text file of a bounded size; the error fits behind its path.
pub(super) fn read_bounded(path: &Path, most: u64) -> Result<String, String> {
    let file = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?;
    // A pipe or a device has no length to check: `attach` could read it for ever.
    if !file.is_file() {
        return Err("is not a regular file".to_owned());
    }
    if file.len() > most {
        return Err(format!("has {} bytes; {most} are the most", file.len()));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())
}

impl Checker {
    pub(super) fn envoy_bin(&mut self) -> Option<PathBuf> {
        let folder = self.folder.clone();
        self.parse("ENVOY_BIN", |text| {
            if !text.contains('/') {
                return Ok(PathBuf::from(text));
            }
            let path = folder.join(text);
            if path.is_file() {
                Ok(path)
            } else {
                Err(format!("{} is no file; write the path of an envoy binary", path.display()))
            }
        })
    }

    pub(super) fn ssl_cert_file(&mut self) -> Option<PathBuf> {
        const MAX_BYTES: u64 = 16 * 1024 * 1024;
        let folder = self.folder.clone();
        self.parse("SSL_CERT_FILE", |text| {
            let path = folder.join(text);
            match read_bounded(&path, MAX_BYTES) {
                Ok(pem) if pem.contains("-----BEGIN CERTIFICATE-----") => Ok(path),
                Ok(_) => Err(format!("{} holds no PEM certificate", path.display())),
                Err(why) => Err(format!("{} {why}", path.display())),
            }
        })
    }

    pub(super) fn state_dir(&mut self, sources: &Sources, port: u16) -> PathBuf {
        if let Some(path) = &sources.state_dir {
            return sources.folder.join(path);
        }
        let absolute = |name: &str| {
            sources.environment.get(OsStr::new(name)).map(PathBuf::from).filter(|path| path.is_absolute())
        };
        let state =
            absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
        match state {
            Some(state) => state.join("attach").join(port.to_string()),
            None => {
                self.findings
                    .problem("--state-dir", "must be given where neither XDG_STATE_HOME nor HOME is set");
                PathBuf::new()
            }
        }
    }
}
