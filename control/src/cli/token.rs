//! `attach token`.

use super::SettingsArgs;
use crate::token::{self, Wish};

/// Flags of `attach token`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Prints the token and nothing else: curl -H \"Authorization: Bearer $(attach token)\" …\n\
With an issuer of your own (OIDC_ISSUER) it needs AUTH0_CLIENT and AUTH0_SECRET."
)]
pub struct Args {
    /// Whom it names; dev identity provider only [default: dev-user]
    #[arg(long, value_name = "NAME")]
    sub: Option<String>,
    /// What it is for [default: OIDC_AUD, or attach-dev]
    #[arg(long, value_name = "AUDIENCE")]
    aud: Option<String>,
    /// Scopes it grants, blanks between them [default with the dev identity provider: those that are required]
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    /// Seconds it lives; dev identity provider only
    #[arg(long, value_name = "SECONDS")]
    expires_in: Option<u64>,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) async fn run(args: Args) -> Result<(), super::Error> {
    let settings = args.settings.load()?;
    let wish = Wish { subject: args.sub, audience: args.aud, scope: args.scope, expires_in: args.expires_in };
    let token = token::fetch(&settings, &wish).await?;
    super::print(&format!("{}\n", token.expose()))
}
