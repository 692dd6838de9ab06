//! Commands that are run to their end, and processes that may still live.

use std::fs;
use std::process::Command;

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its exit status; -1 for a signal.
    pub status: i32,
    /// What it said.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Ended {
    /// The same, if it succeeded.
    ///
    /// # Panics
    /// When it failed.
    pub fn expect_success(self) -> Self {
        assert_eq!(self.status, 0, "attach failed\n{}\n{}", self.stdout, self.stderr);
        self
    }

    /// The same, if it failed.
    ///
    /// # Panics
    /// When it succeeded.
    pub fn expect_failure(self) -> Self {
        assert_ne!(self.status, 0, "attach succeeded\n{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// Runs a command to its end.
///
/// # Panics
/// When it cannot be started.
pub fn finish(command: &mut Command) -> Ended {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Ended {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Whether a process lives; one that has ended and was not waited for does not.
#[must_use]
pub fn is_running(pid: u64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    state.is_some_and(|state| state != "Z")
}
