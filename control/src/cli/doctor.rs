//! `attach doctor`.

use std::process::ExitCode;

use super::{Error, SettingsArgs};
use crate::doctor;

/// Flags of `attach doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 when nothing fails, 1 otherwise.")]
pub struct Args {
    /// For programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, Error> {
    let settings = args.settings.load()?;
    let report = doctor::examine(&settings).await?;
    let text = if args.json {
        let json = serde_json::to_string_pretty(&report);
        format!("{}\n", json.map_err(|error| Error::Output(std::io::Error::other(error)))?)
    } else {
        report.to_string()
    };
    super::print(&text)?;
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
