//! `attach logs`.

use std::io::{self, ErrorKind, Write};
use std::time::Duration;

use super::SettingsArgs;
use crate::supervise::logs::Log;
use crate::supervise::state::StateDir;

/// Between two looks at the logs that are followed.
const POLL: Duration = Duration::from_millis(200);

/// Flags of `attach logs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which logs; without a name, all
    names: Vec<Name>,
    /// Go on until ^C
    #[arg(long, short)]
    follow: bool,
    /// Lines from the end of each log
    #[arg(long, short = 'n', default_value_t = 20)]
    lines: usize,
    #[command(flatten)]
    settings: SettingsArgs,
}

/// A log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Name {
    /// Envoy and the filter
    Envoy,
    /// Every request
    Access,
    /// The control service
    Control,
    /// The dev identity provider
    Idp,
    /// The echo engine
    Engine,
}

impl Name {
    const ALL: [Self; 5] = [Self::Envoy, Self::Access, Self::Control, Self::Idp, Self::Engine];

    fn name(self) -> &'static str {
        match self {
            Self::Envoy => "envoy",
            Self::Access => "access",
            Self::Control => "control",
            Self::Idp => "idp",
            Self::Engine => "engine",
        }
    }
}

pub(super) async fn run(args: Args) -> Result<(), super::Error> {
    let state = StateDir::at(args.settings.state_dir()?);
    if !state.root().is_dir() {
        return Err(crate::supervise::Error::NoState(state.root().to_path_buf()).into());
    }
    let names = if args.names.is_empty() { Name::ALL.to_vec() } else { args.names.clone() };
    tokio::select! {
        shown = show(&state, &names, &args) => match shown {
            // `attach logs | head` has seen enough.
            Err(super::Error::Output(error)) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            shown => shown,
        },
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn show(state: &StateDir, names: &[Name], args: &Args) -> Result<(), super::Error> {
    let mut logs = Vec::new();
    let mut last = Vec::new();
    for name in names {
        let (log, lines) = Log::tail(&state.log_named(name.name()), args.lines)?;
        last.push((name.name(), lines));
        logs.push((name.name(), log));
    }
    let prefixed = names.len() > 1;
    for (name, lines) in last {
        print(name, prefixed, &lines)?;
    }
    if !args.follow {
        return Ok(());
    }
    loop {
        for (name, log) in &mut logs {
            print(name, prefixed, &log.read_lines()?)?;
        }
        tokio::time::sleep(POLL).await;
    }
}

fn print(name: &str, prefixed: bool, lines: &[Vec<u8>]) -> Result<(), super::Error> {
    let write = || -> io::Result<()> {
        let mut out = io::stdout().lock();
        for line in lines {
            if prefixed {
                write!(out, "{name:<7} | ")?;
            }
            out.write_all(line)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    };
    write().map_err(super::Error::Output)
}
