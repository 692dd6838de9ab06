//! `attach down`.

use super::SettingsArgs;
use crate::supervise::down::down;
use crate::supervise::state::StateDir;

/// Flags of `attach down`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) async fn run(args: Args) -> Result<(), super::Error> {
    let stopped = down(&StateDir::at(args.settings.state_dir()?)).await?;
    if stopped.is_empty() {
        return super::print("nothing is running\n");
    }
    let names: Vec<_> = stopped.into_iter().map(|service| service.name()).collect();
    super::print(&format!("stopped {}\n", names.join(", ")))
}
