//! The `attach` command line: one file per subcommand, each a thin call of the module that does the work.

mod engine;
mod idp;

use clap::{Parser, Subcommand};

mod settings_args;

pub use settings_args::SettingsArgs;

/// Identity for model servers and agents, inside Envoy.
#[derive(Debug, Parser)]
#[command(name = "attach", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the development identity provider: it trusts everyone, on loopback only
    Idp(idp::Args),
    /// Run the echo engine: speaks Ollama and OpenAI, answers with what it was told
    Engine(engine::Args),
}

/// Why a subcommand failed; its text is the one sentence the person reads.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `attach idp` failed.
    #[error(transparent)]
    Idp(#[from] crate::idp::Error),
    /// `attach engine` failed.
    #[error(transparent)]
    Engine(#[from] crate::serving::Error),
}

impl Cli {
    /// Runs the subcommand until it is done, or is told to stop.
    pub async fn run(self) -> Result<(), Error> {
        match self.command {
            Command::Idp(args) => idp::run(args).await?,
            Command::Engine(args) => engine::run(args).await?,
        }
        Ok(())
    }
}
