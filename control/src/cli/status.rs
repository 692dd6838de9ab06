//! `attach status`.

use std::process::ExitCode;

use super::SettingsArgs;
use crate::supervise::state::StateDir;
use crate::supervise::status;

/// Exit status when something that belongs to the gateway is not well.
const NOT_READY: u8 = 3;

/// Flags of `attach status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 when everything runs and is well, 3 when it does not.")]
pub struct Args {
    /// For programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, super::Error> {
    let status = status::look(&StateDir::at(args.settings.state_dir()?)).await?;
    let text = if args.json {
        let mut text = serde_json::to_string_pretty(&status)
            .map_err(|error| super::Error::Output(std::io::Error::other(error)))?;
        text.push('\n');
        text
    } else {
        status.to_string()
    };
    super::print(&text)?;
    Ok(if status.ready { ExitCode::SUCCESS } else { ExitCode::from(NOT_READY) })
}
