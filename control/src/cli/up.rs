//! `attach up`.

use super::SettingsArgs;
use crate::up::report::{Called, quoted};

/// Flags of `attach up`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) async fn run(args: Args) -> Result<(), super::Error> {
    let notes = |notices: &[String]| notices.iter().for_each(|notice| eprintln!("note: {notice}"));
    let settings = args.settings.load().inspect_err(|invalid| notes(&invalid.notices))?;
    notes(&settings.notices);
    let called = Called { attach: called(), flags: args.settings.words() };
    let report = crate::up::up(&settings, called).await?;
    super::print(&report.to_string())
}

/// How this command was called, as a word for a shell.
fn called() -> String {
    let name = std::env::args_os().next().map(|name| name.to_string_lossy().into_owned());
    quoted(name.as_deref().unwrap_or("attach"))
}
