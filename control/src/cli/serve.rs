//! `attach serve`.

use super::SettingsArgs;
use crate::clock::unix_now;
use crate::serve::{self, Options, OptionsError, serve};
use crate::settings::Invalid;
use crate::{shutdown, trust};

/// Flags of `attach serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// Why the service did not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings are wrong.
    #[error(transparent)]
    Settings(#[from] Invalid),
    /// There is no secret that the filter could be known by.
    #[error(transparent)]
    Secret(#[from] trust::Error),
    /// The signing keys or the replay store.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The port cannot be had, memory cannot be used as it is set, or the listener broke down.
    #[error(transparent)]
    Serve(#[from] serve::Error),
}

pub(super) async fn run(args: Args) -> Result<(), Error> {
    let settings = args.settings.load_without_secrets()?;
    let path = settings.state_dir.join("secrets").join("control");
    let secret = trust::secret(std::env::var(trust::SECRET_ENV).ok(), &path)?;
    let state = Options::new(&settings, secret).open(unix_now())?;
    serve(settings.ports.control, state, shutdown::signal()).await?;
    Ok(())
}
