//! Processes that outlive the command that started them.
//!
//! `attach up` starts up to four: the dev identity provider, the echo engine, control and Envoy. There is no
//! daemon of our own above them. What is known about each stands in `run/<name>.json` of the state folder,
//! and every command reads it afresh.
//!
//! Rules:
//! 1. A process is ours only while the system's start time for its id is the recorded one. Ids are reused,
//!    and a signal to somebody else's process cannot be taken back.
//! 2. What a process was started from (arguments, environment, files, binary) is one keyed hash, its
//!    [`fingerprint`]. The same fingerprint means: leave it alone.
//! 3. Started processes have a session of their own ([`detach`]), so that neither `^C` nor a closed
//!    terminal reaches them.
//! 4. One `up` or `down` at a time per state folder ([`state::StateDir::lock`]).

pub mod detach;
pub mod down;
mod drain;
pub mod envoy;
pub mod error;
pub mod fingerprint;
pub mod lock;
pub mod logs;
pub mod ports;
pub mod process;
pub mod progress;
pub mod ready;
pub mod state;
pub mod status;

pub use error::Error;

use serde::{Deserialize, Serialize};

/// A process that `attach up` may start, in the order of starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// The dev identity provider, `attach idp`.
    Idp,
    /// The echo engine, `attach engine`.
    Engine,
    /// The control service, `attach serve`.
    Control,
    /// Envoy.
    Envoy,
}

impl Service {
    /// Every service, in the order of starting; stopping goes the other way.
    pub const ALL: [Self; 4] = [Self::Idp, Self::Engine, Self::Control, Self::Envoy];

    /// The name that its log, its record and the user's terminal use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Idp => "idp",
            Self::Engine => "engine",
            Self::Control => "control",
            Self::Envoy => "envoy",
        }
    }

    /// How long it may take to finish what it is doing once it was asked to stop.
    ///
    /// Our own servers let open requests end, for ten seconds at most; Envoy does not, and is drained before.
    #[must_use]
    pub fn grace(self) -> std::time::Duration {
        std::time::Duration::from_secs(match self {
            Self::Control | Self::Idp | Self::Engine => 12,
            Self::Envoy => 5,
        })
    }
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::{Path, PathBuf};

    /// A folder for one test, removed at its end.
    pub(crate) struct Folder(PathBuf);

    impl Folder {
        pub(crate) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("attach-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub(crate) fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
