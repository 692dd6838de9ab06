//! `attach call`.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use url::Url;

use super::sign::What;
use crate::fetch::authorities;
use crate::orchestrator::{LIFETIME, call};
use crate::settings::url_rules;

/// Flags of `attach call`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Prints the answer's body; its status goes to standard error. The exit status is 1 unless the \
answer is 2xx. https servers are verified against SSL_CERT_FILE or the system's certificate authorities."
)]
pub struct Args {
    /// Where the gateway is; the request goes to URL/agent
    #[arg(value_name = "URL", value_parser = url_rules::http)]
    url: Url,
    #[command(flatten)]
    what: What,
}

pub(super) async fn run(args: Args) -> Result<ExitCode, super::Error> {
    let (body, token) = args.what.sign(LIFETIME)?;
    let file = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty()).map(PathBuf::from);
    let answer = call(&args.url, &token, body, authorities::find(file.as_deref()).as_deref()).await?;
    eprintln!("attach: {} answers {}", args.url, answer.status);
    let mut out = io::stdout().lock();
    let written = out.write_all(&answer.body).and_then(|()| match answer.body.last() {
        None | Some(b'\n') => out.flush(),
        Some(_) => out.write_all(b"\n").and_then(|()| out.flush()),
    });
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(super::Error::Output(error)),
        _ => {}
    }
    Ok(if answer.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
