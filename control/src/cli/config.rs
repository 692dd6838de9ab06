//! `attach config`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};

use super::{Error, SettingsArgs};
use crate::discover::{self, Keys};
use crate::render::{Files, RenderError, render};
use crate::settings::Settings;

/// Flags of `attach config`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check every setting and report all mistakes at once; asks nobody
    Check(SettingsArgs),
    /// Print Envoy's configuration; asks the issuers where their keys are
    Render(RenderArgs),
}

#[derive(Debug, ClapArgs)]
struct RenderArgs {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Print the filter's own document (JSON) instead of Envoy's configuration
    #[arg(long)]
    plugin: bool,
    /// Where Envoy finds the filter [default: attach.wasm in the state folder]
    #[arg(long, value_name = "PATH")]
    module: Option<PathBuf>,
    /// Where Envoy writes the access log; "-" is standard output [default: logs/access.log in the state folder]
    #[arg(long, value_name = "PATH")]
    access_log: Option<PathBuf>,
}

pub(super) async fn run(args: Args) -> Result<(), Error> {
    match args.command {
        Command::Check(settings) => check(&settings),
        Command::Render(args) => print_rendered(args).await,
    }
}

fn check(args: &SettingsArgs) -> Result<(), Error> {
    let settings = args.load().inspect_err(|invalid| notes(&invalid.notices))?;
    notes(&settings.notices);
    super::print(&format!("ok: {}\n", summary(&settings)))
}

/// Which files were read, and whether issuer and engine are named.
fn summary(settings: &Settings) -> String {
    let mut read: Vec<String> = Vec::new();
    read.extend(settings.env_file.iter().map(|path| path.display().to_string()));
    read.extend(settings.document.iter().map(|path| path.display().to_string()));
    let read = if read.is_empty() { "the environment alone".to_owned() } else { read.join(" and ") };
    let issuer = match settings.first_issuer() {
        Some(_) if settings.dev_idp => "the built-in dev identity provider (no OIDC_ISSUER)".to_owned(),
        Some(issuer) => issuer.issuer.clone(),
        None => "none (AUTH_METHODS leaves oidc out)".to_owned(),
    };
    let methods: Vec<_> = settings.methods.iter().map(|method| method.name()).collect();
    let methods = methods.join(", ");
    let engine =
        settings.engine.url.as_ref().map_or("Ollama or the echo engine (no ENGINE_URL)", |url| url.as_str());
    let limits = settings.accounting.limits_in_words();
    let memory = settings.memory.in_words();
    format!(
        "settings from {read}; gateway on {}, methods {methods}, issuer {issuer}, engine {engine}, limits {limits}, memory {memory}",
        settings.listen()
    )
}

async fn print_rendered(args: RenderArgs) -> Result<(), Error> {
    let settings = args.settings.load().inspect_err(|invalid| notes(&invalid.notices))?;
    notes(&settings.notices);
    let files = Files {
        module: args.module.unwrap_or_else(|| settings.state_dir.join("attach.wasm")),
        access_log: match args.access_log {
            None => Some(settings.state_dir.join("logs/access.log")),
            Some(path) if path.as_os_str() == "-" => None,
            Some(path) => Some(path),
        },
    };
    let resolved = discover::resolve(settings, Keys::MayBeDown).await?;
    notes(&resolved.notices);
    let rendered = render(&resolved, &files)?;
    if args.plugin {
        let json = serde_json::to_string_pretty(&rendered.plugin);
        let json = json.map_err(|error| RenderError::Internal(error.to_string()))?;
        return super::print(&format!("{json}\n"));
    }
    super::print(&rendered.bootstrap)
}

/// What should be known although nothing is wrong: on standard error, so that what is piped stays clean.
fn notes(notices: &[String]) {
    for notice in notices {
        eprintln!("note: {notice}");
    }
}
