//! `attach idp`.

use std::path::PathBuf;

use crate::idp::{Error, Issuer, LoopbackHost, Options, serve};
use crate::shutdown;

/// Flags of `attach idp`.
#[derive(Debug, clap::Args)]
#[command(after_help = "FOR DEVELOPMENT ONLY: whoever reaches this provider may be anyone. \
It therefore listens on loopback and nowhere else.")]
pub struct Args {
    /// Port to listen on; 0 takes a free one
    #[arg(long, env = "IDP_PORT", default_value_t = 8082, value_name = "PORT")]
    port: u16,
    /// Loopback address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: LoopbackHost,
    /// Signing key (PEM), made with mode 0600 where missing; without it a new key is made at each start
    #[arg(long, value_name = "PATH")]
    key_file: Option<PathBuf>,
    /// Audience granted to whoever asks for none
    #[arg(long, env = "OIDC_AUD", default_value = crate::settings::DEV_AUDIENCE, value_name = "AUDIENCE")]
    audience: String,
    /// Issuer written into tokens and the discovery document [default: the address it listens on]
    #[arg(long, value_name = "URL")]
    issuer: Option<Issuer>,
}

pub(super) async fn run(args: Args) -> Result<(), Error> {
    let options = Options {
        host: args.host,
        port: args.port,
        key_file: args.key_file,
        audience: args.audience,
        issuer: args.issuer,
    };
    serve(options, shutdown::signal()).await
}
