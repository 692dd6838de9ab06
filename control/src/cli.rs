//! The `attach` command line: one file per subcommand, each a thin call of the module that does the work.

mod detach;
mod down;
mod logs;
mod status;
mod up;

use std::io::Write;
use std::process::ExitCode;

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
    /// Start the gateway and whatever it needs, or bring what runs in line with the settings
    Up(up::Args),
    /// Stop the gateway
    Down(down::Args),
    /// Say what runs
    Status(status::Args),
    /// Show the logs
    Logs(logs::Args),
    /// Become another program, in a session of its own
    #[command(hide = true)]
    Detach(detach::Args),
}
