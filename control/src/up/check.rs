//! Envoy's own opinion of what was rendered, before anything that runs is touched.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::supervise::Error as SuperviseError;
use crate::supervise::envoy::Envoy;
use crate::supervise::state::{StateDir, write_atomic};

/// The filter, as it was built into this binary.
pub const MODULE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/attach.wasm"));

/// How long Envoy may take to read its configuration and compile the module.
const DEADLINE: Duration = Duration::from_secs(60);

/// The most lines of Envoy's complaint that are shown, counted from its end, where the cause stands.
const LINES: usize = 12;

/// Why the configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not pass.
    #[error("Envoy refuses the configuration {}:\n{complaint}", config.display())]
    Refused {
        /// The file, kept to be looked at.
        config: PathBuf,
        /// What Envoy says.
        complaint: String,
    },
    /// Envoy could not be asked.
    #[error("cannot run {} to check the configuration: {reason}", envoy.display())]
    Run {
        /// The binary.
        envoy: PathBuf,
        /// What happened.
        reason: String,
    },
    /// A file of the state folder.
    #[error(transparent)]
    State(#[from] SuperviseError),
}

/// Writes the module and a candidate configuration and has Envoy check both; the candidate becomes the
/// configuration only when it passes.
///
/// The module is replaced at once, which a running Envoy does not notice: it has read its own at its start.
///
/// # Errors
/// When Envoy refuses, cannot be run, or the files cannot be written.
pub async fn check(
    state: &StateDir,
    envoy: &Envoy,
    bootstrap: &str,
    environment: &[(String, OsString)],
) -> Result<(), Error> {
    let module = state.module();
    if std::fs::read(&module).ok().as_deref() != Some(MODULE) {
        write_atomic(&module, MODULE)?;
    }
    // Envoy tells the format by the name's end.
    let candidate = state.root().join("envoy.candidate.yaml");
    write_atomic(&candidate, bootstrap.as_bytes())?;
    let command = Command::new(&envoy.path)
        .args(["--mode", "validate", "--log-level", "error", "--disable-hot-restart", "--config-path"])
        .arg(&candidate)
        .env_clear()
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(state.root())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let failed = |reason: String| Error::Run { envoy: envoy.path.clone(), reason };
    let output = timeout(DEADLINE, command)
        .await
        .map_err(|_| failed(format!("no end after {} s", DEADLINE.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let complaint = complaint(&String::from_utf8_lossy(&output.stderr));
        return Err(Error::Refused { config: candidate, complaint });
    }
    let config = state.envoy_config();
    std::fs::rename(&candidate, &config).map_err(SuperviseError::file("replace", &config))?;
    Ok(())
}

/// The end of Envoy's log without time, thread and place, indented.
fn complaint(log: &str) -> String {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
    let texts: Vec<String> = last.iter().map(|line| format!("  {}", message(line))).collect();
    texts.join("\n")
}

/// `[time][thread][level][logger] [file:line] message`.
fn message(line: &str) -> &str {
    let mut rest = line;
    while let Some((_, after)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        rest = after.trim_start();
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_told_without_envoys_preamble() {
        let log = "[2026-01-01 00:00:00.000][7][error][wasm] [source/x.cc:1] wasm log attach: bad field\n\n\
                   [2026-01-01 00:00:00.000][7][critical][main] [source/y.cc:2] error initializing\nplain [x] line\n";
        assert_eq!(complaint(log), "  wasm log attach: bad field\n  error initializing\n  plain [x] line");
    }

    #[test]
    fn a_long_complaint_keeps_its_end() {
        let log: String = (0..100).map(|line| format!("line {line}\n")).collect();
        let told = complaint(&log);
        assert_eq!(told.lines().count(), LINES);
        assert!(told.ends_with("line 99"));
    }
}
