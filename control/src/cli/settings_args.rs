//! The flags of every subcommand that reads the settings.

use std::path::PathBuf;

use clap::Args;

use crate::settings::{self, Invalid, Problem, Settings, Sources};
use crate::up::report::quoted;

/// Where the settings are, and the two that are most often wanted different for once.
#[derive(Clone, Debug, Default, Args)]
pub struct SettingsArgs {
    /// File of settings (KEY=value lines); the environment wins over it [default: .env in this folder, if any]
    #[arg(long, value_name = "PATH")]
    pub env_file: Option<PathBuf>,
    /// Folder for process ids, secrets and logs [default: $XDG_STATE_HOME/attach/PORT or ~/.local/state/attach/PORT]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Address the gateway listens on; wins over HOST
    #[arg(long, value_name = "IP")]
    pub host: Option<String>,
    /// Port the gateway listens on; wins over PORT
    #[arg(long, value_name = "N")]
    pub port: Option<String>,
}

impl SettingsArgs {
    /// Reads and checks the settings these flags, the environment and the files make.
    ///
    /// # Errors
    /// Every mistake there is.
    pub fn load(&self) -> Result<Settings, Invalid> {
        settings::load(&self.sources()?)
    }

    /// As [`load`](Self::load), in a process that is not given the secrets of others.
    ///
    /// # Errors
    /// Every mistake there is, but that a secret is missing.
    pub fn load_without_secrets(&self) -> Result<Settings, Invalid> {
        settings::load(&Sources { secrets_withheld: true, ..self.sources()? })
    }

    /// The state folder that these flags, the environment and the env file name, whatever else is in them.
    ///
    /// # Errors
    /// When `PORT` is wrong or there is no home.
    pub fn state_dir(&self) -> Result<PathBuf, Invalid> {
        settings::state_dir(&self.sources()?)
    }

    /// The flags that say which gateway is meant, as words for a shell, each with a blank before it: for
    /// commands that a message proposes.
    #[must_use]
    pub fn words(&self) -> String {
        let path = |path: &PathBuf| path.to_string_lossy().into_owned();
        let flags = [
            ("--env-file", self.env_file.as_ref().map(path)),
            ("--state-dir", self.state_dir.as_ref().map(path)),
            ("--port", self.port.clone()),
        ];
        let words = flags.into_iter().filter_map(|(flag, value)| Some((flag, value?)));
        words.map(|(flag, value)| format!(" {flag} {}", quoted(&value))).collect()
    }

    fn sources(&self) -> Result<Sources, Invalid> {
        let sources = Sources::of_process().map_err(|error| Invalid {
            problems: vec![Problem {
                setting: "current folder".to_owned(),
                message: format!("cannot be found ({error}); change to one that exists"),
            }],
            notices: Vec::new(),
        })?;
        Ok(Sources {
            env_file: self.env_file.clone(),
            state_dir: self.state_dir.clone(),
            host: self.host.clone(),
            port: self.port.clone(),
            ..sources
        })
    }
}
