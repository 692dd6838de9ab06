//! `attach engine`.

use std::net::IpAddr;
use std::time::Duration;

use crate::engine::{Options, serve};
use crate::serving::Error;
use crate::shutdown;

/// Flags of `attach engine`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "One token is one word (what stands between white space), for prompts and answers alike."
)]
pub struct Args {
    /// Port to listen on; 0 takes a free one
    #[arg(long, env = "ECHO_PORT", default_value_t = 8083, value_name = "PORT")]
    port: u16,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    host: IpAddr,
    /// Pause before each word of a streamed answer, in milliseconds
    #[arg(long, default_value_t = 20, value_name = "MS", value_parser = clap::value_parser!(u64).range(0..=10_000))]
    chunk_delay_ms: u64,
}

pub(super) async fn run(args: Args) -> Result<(), Error> {
    let options =
        Options { host: args.host, port: args.port, chunk_delay: Duration::from_millis(args.chunk_delay_ms) };
    serve(options, shutdown::signal()).await
}
