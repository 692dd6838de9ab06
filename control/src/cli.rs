//! The `attach` command line: one file per subcommand, each a thin call of the module that does the work.

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
pub enum Command {}
