//! What can go wrong while processes are started and stopped: one sentence each, for a terminal.

use std::io;
use std::path::{Path, PathBuf};

use super::state::StateDir;
use super::{Service, logs};

/// Why a process was not started, stopped or found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder of the state folder.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A secret's file does not hold what was written there.
    #[error("{} does not hold 64 hexadecimal digits; delete it and a new one is made", .0.display())]
    BadSecret(PathBuf),
    /// The system has no randomness for us.
    #[error("cannot make a secret: the system gives no randomness ({0})")]
    Randomness(getrandom::Error),
    /// Somebody else works on the same state folder.
    #[error("another `attach up` or `attach down` is at work on {}; wait until it has finished", .0.display())]
    Locked(PathBuf),
    /// There is nothing to look at.
    #[error("no gateway was ever started with the state folder {}: run `attach up`, or name its --state-dir or --port", .0.display())]
    NoState(PathBuf),
    /// A port that somebody else holds.
    #[error("{0}")]
    Port(#[from] super::ports::PortError),
    /// No usable Envoy.
    #[error("{0}")]
    Envoy(#[from] super::envoy::EnvoyError),
    /// The program could not even be started.
    #[error("cannot start {service}: {source}")]
    Start {
        /// Which one.
        service: Service,
        /// What the system said.
        source: io::Error,
    },
    /// The process ended before it was ready.
    #[error("{service} ended before it was ready; the end of {}:\n{tail}", log.display())]
    Died {
        /// Which one.
        service: Service,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// The process runs, but does not answer.
    #[error("{service} was not ready within {seconds} s ({answer}); the end of {}:\n{tail}", log.display())]
    NotReady {
        /// Which one.
        service: Service,
        /// How long it was waited for.
        seconds: u64,
        /// Its last answer.
        answer: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// The process does not end.
    #[error("{service} (pid {pid}) could not be stopped: {reason}")]
    Stop {
        /// Which one.
        service: Service,
        /// Its process id.
        pid: u32,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// For `map_err` on a file operation.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { action, path, source }
    }

    /// A service that has ended, with the end of its log.
    pub(crate) fn died(state: &StateDir, service: Service, log_start: u64) -> Self {
        let log = state.log(service);
        let tail = logs::tail_text(&log, log_start, logs::TAIL_LINES);
        Self::Died { service, log, tail }
    }

    /// A service that does not answer, with the end of its log.
    pub(crate) fn not_ready(
        state: &StateDir,
        service: Service,
        log_start: u64,
        seconds: u64,
        answer: String,
    ) -> Self {
        let log = state.log(service);
        let tail = logs::tail_text(&log, log_start, logs::TAIL_LINES);
        Self::NotReady { service, seconds, answer, log, tail }
    }
}
