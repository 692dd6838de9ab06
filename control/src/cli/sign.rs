//! `attach sign`, and what `attach call` has in common with it.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::clock::unix_now;
use crate::orchestrator::{self, DEV_LIFETIME, LIFETIME, MAX_LIFETIME, Orchestrator};
use crate::settings::Secret;

/// The most bytes of a body.
const MAX_BODY: u64 = 16 * 1024 * 1024;
/// The most bytes of a key file.
const MAX_KEY: u64 = 16 * 1024;

/// Flags of `attach sign`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Prints the token and nothing else. It is good for this body alone, byte for byte, and once."
)]
pub struct Args {
    #[command(flatten)]
    what: What,
    /// Seconds the token lives; a gateway takes 300, in development 21600
    #[arg(long, value_name = "SECONDS", default_value_t = LIFETIME,
          value_parser = clap::value_parser!(u64).range(1..=DEV_LIFETIME))]
    lifetime: u64,
}

/// Who signs what.
#[derive(Debug, clap::Args)]
pub(super) struct What {
    /// Who signs: the name of the file with the public key, without its ending
    #[arg(long, value_name = "NAME")]
    issuer: String,
    /// The private key (PEM)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The body: text, @FILE for a file's bytes, or - for standard input
    #[arg(long, value_name = "TEXT|@FILE|-", allow_hyphen_values = true)]
    body: String,
    /// Whom the token is for, where the gateway is to check it
    #[arg(long, value_name = "URL")]
    audience: Option<String>,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or standard input.
    #[error("cannot read {what}: {source}")]
    Read {
        /// What was to be read.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file is too long.
    #[error("{what} is longer than {most} bytes")]
    TooLong {
        /// Which.
        what: String,
        /// What is allowed.
        most: u64,
    },
    /// The key file holds something else.
    #[error("{} {source}", path.display())]
    Key {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        source: orchestrator::Error,
    },
    /// The issuer, or the signature.
    #[error("{0}")]
    Orchestrator(#[from] orchestrator::Error),
}

impl What {
    /// The body and its token.
    pub(super) fn sign(&self, lifetime: u64) -> Result<(Vec<u8>, Secret), Error> {
        let body = match self.body.strip_prefix('@') {
            Some(path) => read_file(Path::new(path), MAX_BODY)?,
            None if self.body == "-" => read(io::stdin().lock(), "standard input", MAX_BODY)?,
            None => self.body.clone().into_bytes(),
        };
        let orchestrator = self.orchestrator()?;
        let token = orchestrator.sign(&body, lifetime, self.audience.as_deref(), unix_now())?;
        Ok((body, token))
    }

    fn orchestrator(&self) -> Result<Orchestrator, Error> {
        let bad = |source| Error::Key { path: self.key.clone(), source };
        let text = read_file(&self.key, MAX_KEY)?;
        let pem = String::from_utf8(text).map_err(|_| bad(orchestrator::Error::Key))?;
        let exposed = |path: &Path| Ok::<_, io::Error>(path.metadata()?.permissions().mode() & 0o077 != 0);
        if exposed(&self.key).unwrap_or(false) {
            eprintln!("attach: {0} may be read by others: chmod 600 {0}", self.key.display());
        }
        Orchestrator::new(&self.issuer, &Secret::new(pem)).map_err(|error| match error {
            orchestrator::Error::Key => bad(error),
            other => other.into(),
        })
    }
}

fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let what = path.display().to_string();
    let file = File::open(path).map_err(|source| Error::Read { what: what.clone(), source })?;
    read(file, &what, most)
}

fn read(from: impl io::Read, what: &str, most: u64) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let failed = |source| Error::Read { what: what.to_owned(), source };
    from.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(Error::TooLong { what: what.to_owned(), most });
    }
    Ok(bytes)
}

pub(super) fn run(args: &Args) -> Result<(), super::Error> {
    if args.lifetime > MAX_LIFETIME {
        eprintln!(
            "attach: only a gateway with APP_ENV=development takes a token that lives longer than {MAX_LIFETIME} s"
        );
    }
    let (_, token) = args.what.sign(args.lifetime)?;
    super::print(&format!("{}\n", token.expose()))
}
