//! `attach keys`: those of orchestrators, which sign requests, and the gateway's own.

mod files;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::{SettingsArgs, print};
use crate::authorized_keys::{self, is_issuer};
use crate::clock::unix_now;
use crate::orchestrator::{self, DEV_LIFETIME, Orchestrator};
use crate::settings::Secret;
use crate::signing::{self, Purpose, Rotated};
use crate::supervise::state::StateDir;
use files::{Lookup, put};

/// Where public keys are looked for when nobody says.
const FOLDER: &str = "authorized_keys";

/// Flags of `attach keys`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make an RSA key pair for somebody who signs requests: the public half goes into the folder of keys
    Generate(GenerateArgs),
    /// List the public keys of the folder, and the files that are passed over, with the reason
    List(FolderArgs),
    /// rotagent's DevTools: make a key pair for development, or with --query a token that lives six hours
    Dev(DevArgs),
    /// Make the next keys of the gateway's own signatures and publish them
    #[command(
        after_help = "The next key is published at once. Assertions are signed with it from Envoy's next start \
on (`attach up`), gateway tokens by itself after a minute. The old key stays published until nothing that it signed \
is valid any more."
    )]
    Rotate(SettingsArgs),
}

#[derive(Debug, clap::Args)]
struct FolderArgs {
    /// Folder of public keys [default: AUTHORIZED_KEYS_DIR, or ./authorized_keys]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// File of settings (KEY=value lines); the environment wins over it [default: .env in this folder, if any]
    #[arg(long, value_name = "PATH")]
    env_file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct GenerateArgs {
    /// The signer's name; it becomes the user, and the name of the file
    #[arg(long, value_name = "NAME")]
    issuer: String,
    /// Where the private half goes, readable by its owner alone [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace keys that are there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    folder: FolderArgs,
}

#[derive(Debug, clap::Args)]
struct DevArgs {
    /// The signer's name
    #[arg(long, value_name = "NAME", default_value = "dev_postman")]
    issuer: String,
    /// Sign the body {"query": TEXT} with DEV_PRIVATE_KEY (environment or env file) instead of making a key
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["dir", "force"])]
    query: Option<String>,
    /// Replace the key that is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    folder: FolderArgs,
}

/// Why `attach keys` failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key is there already.
    #[error("{} is there already: pass --force to replace it, or use another name", .0.display())]
    Exists(PathBuf),
    /// Another file is the same issuer's.
    #[error("{} is the same issuer's key: two files of one issuer count for none, so remove it first", .0.display())]
    SameIssuer(PathBuf),
    /// The private half was to go where public ones are.
    #[error("--out must not be in {}: that folder is for public keys, and whoever runs the gateway reads it", .0.display())]
    OutInFolder(PathBuf),
    /// There is no `DEV_PRIVATE_KEY`.
    #[error("DEV_PRIVATE_KEY is set neither in the environment nor in {}: run `attach keys dev` and put the line it prints there", .0.display())]
    NoDevKey(PathBuf),
    /// `DEV_PRIVATE_KEY` holds something else.
    #[error("DEV_PRIVATE_KEY {0}")]
    BadDevKey(orchestrator::Error),
    /// A name, or a key that could not be made.
    #[error("{0}")]
    Orchestrator(#[from] orchestrator::Error),
    /// The gateway's own keys.
    #[error(transparent)]
    Signing(#[from] signing::Error),
}

pub(super) fn run(args: Args) -> Result<(), super::Error> {
    match args.command {
        Command::Generate(args) => generate(&args),
        Command::List(args) => list(&args),
        Command::Dev(args) => dev(&args),
        Command::Rotate(args) => rotate(&args),
    }
}

impl FolderArgs {
    fn lookup(&self) -> Result<Lookup, Error> {
        Lookup::read(self.env_file.as_deref())
    }

    fn folder(&self) -> Result<PathBuf, Error> {
        match &self.dir {
            Some(folder) => Ok(folder.clone()),
            None => {
                let lookup = self.lookup()?;
                let set = lookup.value("AUTHORIZED_KEYS_DIR");
                Ok(lookup.path(set.as_deref().unwrap_or(FOLDER)))
            }
        }
    }
}

fn generate(args: &GenerateArgs) -> Result<(), super::Error> {
    let folder = args.folder.folder()?;
    if let Some(out) = &args.out {
        let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let (Ok(parent), Ok(inner)) = (parent.canonicalize(), folder.canonicalize())
            && parent == inner
        {
            return Err(Error::OutInFolder(folder).into());
        }
        if out.exists() && !args.force {
            return Err(Error::Exists(out.clone()).into());
        }
    }
    let (private, public) = pair(&folder, &args.issuer, args.force)?;
    match &args.out {
        Some(out) => put(out, private.expose().as_bytes(), 0o600, args.force)?,
        None => print(private.expose())?,
    }
    // The public half comes last: it is what makes the pair count.
    let path = authorize(&folder, &args.issuer, &public, args.force)?;
    eprintln!("attach: {} may sign requests with this key: {}", args.issuer, path.display());
    Ok(())
}

fn dev(args: &DevArgs) -> Result<(), super::Error> {
    if let Some(query) = &args.query {
        return dev_token(args, query);
    }
    let folder = args.folder.folder()?;
    let (private, public) = pair(&folder, &args.issuer, args.force)?;
    print(&format!("DEV_PRIVATE_KEY={}\n", orchestrator::to_environment(&private).expose()))?;
    let path = authorize(&folder, &args.issuer, &public, args.force)?;
    eprintln!(
        "attach: the public half is {}; put the line above into .env, then `attach keys dev --query TEXT` signs as {}",
        path.display(),
        args.issuer
    );
    Ok(())
}

fn dev_token(args: &DevArgs, query: &str) -> Result<(), super::Error> {
    let lookup = args.folder.lookup()?;
    let set = lookup.value("DEV_PRIVATE_KEY").map(Secret::new);
    let set = set.ok_or_else(|| Error::NoDevKey(lookup.file().to_owned()))?;
    let private = orchestrator::from_environment(&set).map_err(Error::BadDevKey)?;
    let orchestrator = Orchestrator::new(&args.issuer, &private).map_err(|error| match error {
        orchestrator::Error::Key => Error::BadDevKey(error),
        other => other.into(),
    })?;
    let body = json!({ "query": query }).to_string();
    let token = orchestrator.sign(body.as_bytes(), DEV_LIFETIME, None, unix_now()).map_err(Error::from)?;
    eprintln!(
        "attach: POST this body, byte for byte, with this bearer token; APP_ENV=development takes it for six hours"
    );
    print(&format!("{body}\n{}\n", token.expose()))
}

/// A new pair, once it is sure that its public half has a place.
fn pair(folder: &Path, issuer: &str, force: bool) -> Result<(Secret, String), Error> {
    if !is_issuer(issuer) {
        return Err(orchestrator::Error::Issuer.into());
    }
    for ending in ["pub", "key"] {
        let other = folder.join(format!("{issuer}.{ending}"));
        if other.exists() {
            return Err(Error::SameIssuer(other));
        }
    }
    let path = folder.join(format!("{issuer}.pem"));
    if path.exists() && !force {
        return Err(Error::Exists(path));
    }
    Ok(orchestrator::generate()?)
}

fn authorize(folder: &Path, issuer: &str, public: &str, force: bool) -> Result<PathBuf, Error> {
    let path = folder.join(format!("{issuer}.pem"));
    put(&path, public.as_bytes(), 0o644, force)?;
    Ok(path)
}

fn list(args: &FolderArgs) -> Result<(), super::Error> {
    let folder = args.folder()?;
    let found = authorized_keys::read(&folder).map_err(|source| Error::File {
        action: "list",
        path: folder.clone(),
        source,
    })?;
    let mut text = String::new();
    let widest = found.keys.keys().map(String::len).max().unwrap_or_default();
    for (issuer, authorized) in &found.keys {
        let (bits, fingerprint) = (authorized.key.bits(), authorized.key.fingerprint());
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{issuer:widest$}  RSA {bits}  sha256:{fingerprint}  {}", authorized.file);
    }
    for (file, why) in &found.refused {
        // A file's name may hold anything, escape sequences of a terminal included.
        let _ = writeln!(text, "refused: {}: {why}", file.escape_debug());
    }
    if text.is_empty() {
        let _ = writeln!(text, "no keys in {}; `attach keys generate` makes one", folder.display());
    }
    print(&text)
}

fn rotate(args: &SettingsArgs) -> Result<(), super::Error> {
    let state = StateDir::at(args.state_dir()?);
    if !state.secrets().is_dir() {
        return Err(crate::supervise::Error::NoState(state.root().to_path_buf()).into());
    }
    let words = args.words();
    let mut text = String::new();
    for (purpose, what, then) in [
        (
            Purpose::Assertions,
            "assertions",
            format!("Envoy signs with it from its next start on: run `attach up{words}`"),
        ),
        (
            Purpose::GatewayTokens,
            "gateway tokens",
            format!("control signs with it in {} s", signing::TAKEOVER),
        ),
    ] {
        let path = state.secrets().join(purpose.file_name());
        let line = match signing::rotate(&path, purpose, unix_now()).map_err(Error::from)? {
            Rotated::Made(kid) => format!("{what}: the next key {kid} is published; {then}"),
            Rotated::Waiting(kid) => format!("{what}: the next key {kid} was published before; {then}"),
        };
        let _ = writeln!(text, "{line}");
    }
    print(&text)
}

#[cfg(test)]
mod tests;
