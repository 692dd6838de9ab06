//! The `attach` command line: one file per subcommand, each a thin call of the module that does the work.

mod call;
mod config;
mod detach;
mod doctor;
mod down;
mod engine;
mod idp;
mod keys;
mod logs;
mod serve;
mod settings_args;
mod sign;
mod status;
mod token;
mod up;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use settings_args::SettingsArgs;

/// Identity for model servers and agents, inside Envoy.
#[derive(Debug, Parser)]
#[command(name = "attach", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the gateway and whatever it needs, or bring what runs in line with the settings
    Up(up::Args),
    /// Stop the gateway
    Down(down::Args),
    /// Say what runs
    Status(status::Args),
    /// Show the logs
    Logs(logs::Args),
    /// Check the settings, or print the configuration they make
    Config(config::Args),
    /// Print a token to try the gateway with
    Token(token::Args),
    /// Make, list and change keys: of those who sign requests, and the gateway's own
    Keys(keys::Args),
    /// Sign a request body as an orchestrator does (rotagent), and print the token
    Sign(sign::Args),
    /// Sign a request body and send it to URL/agent
    Call(call::Args),
    /// Look at everything the gateway needs: what is reachable, which keys there are, clocks
    Doctor(doctor::Args),
    /// Run the development identity provider: it trusts everyone, on loopback only
    Idp(idp::Args),
    /// Run the echo engine: speaks Ollama and OpenAI, answers with what it was told
    Engine(engine::Args),
    /// Run the control service: the filter's native companion, on loopback
    Serve(serve::Args),
    /// Become another program, in a session of its own
    #[command(hide = true)]
    Detach(detach::Args),
}

/// Why a subcommand failed; its text is the one sentence the person reads.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] crate::settings::Invalid),
    /// An issuer does not answer as it must.
    #[error(transparent)]
    Discover(#[from] crate::discover::DiscoverError),
    /// The configuration cannot be rendered.
    #[error(transparent)]
    Render(#[from] crate::render::RenderError),
    /// There is no token.
    #[error(transparent)]
    Token(Box<crate::token::TokenError>),
    /// No HTTPS.
    #[error(transparent)]
    Client(#[from] crate::fetch::ClientError),
    /// `attach up` failed.
    #[error(transparent)]
    Up(#[from] crate::up::Error),
    /// Processes, their records and their logs.
    #[error(transparent)]
    Supervise(#[from] crate::supervise::Error),
    /// `attach idp` failed.
    #[error(transparent)]
    Idp(#[from] crate::idp::Error),
    /// `attach engine` failed.
    #[error(transparent)]
    Engine(#[from] crate::serving::Error),
    /// `attach serve` failed.
    #[error(transparent)]
    Serve(#[from] serve::Error),
    /// `attach detach` failed.
    #[error(transparent)]
    Detach(#[from] crate::supervise::detach::Failed),
    /// `attach keys` failed.
    #[error(transparent)]
    Keys(#[from] keys::Error),
    /// `attach sign` or `attach call` failed.
    #[error(transparent)]
    Sign(#[from] sign::Error),
    /// Nobody answered `attach call`.
    #[error(transparent)]
    Call(#[from] crate::orchestrator::CallError),
    /// Standard output is gone.
    #[error("cannot write to standard output: {0}")]
    Output(io::Error),
}

// By hand, for the box: it is much larger than every other error.
impl From<crate::token::TokenError> for Error {
    fn from(error: crate::token::TokenError) -> Self {
        Self::Token(Box::new(error))
    }
}

impl Cli {
    /// Runs the subcommand until it is done, or is told to stop.
    ///
    /// # Errors
    /// One sentence for the person; the exit status is then 1.
    pub async fn run(self) -> Result<ExitCode, Error> {
        match self.command {
            Command::Up(args) => up::run(args).await?,
            Command::Down(args) => down::run(args).await?,
            Command::Status(args) => return status::run(args).await,
            Command::Logs(args) => logs::run(args).await?,
            Command::Config(args) => config::run(args).await?,
            Command::Token(args) => token::run(args).await?,
            Command::Keys(args) => keys::run(args)?,
            Command::Sign(args) => sign::run(&args)?,
            Command::Call(args) => return call::run(args).await,
            Command::Doctor(args) => return doctor::run(args).await,
            Command::Idp(args) => idp::run(args).await?,
            Command::Engine(args) => engine::run(args).await?,
            Command::Serve(args) => serve::run(args).await?,
            Command::Detach(args) => return Err(detach::run(&args).into()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Prints to standard output. A reader that has gone has seen enough; that is no error.
fn print(text: &str) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(Error::Output),
    }
}
