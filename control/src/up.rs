//! `attach up`: from settings to a gateway that answers.
//!
//! The order is what keeps a running gateway safe: everything that can be wrong is found out before
//! anything that runs is touched.
//!
//! 1. Settings, Envoy, ports. Nothing has been started yet.
//! 2. What discovery and the engine's probe must ask: the dev identity provider and the echo engine, if
//!    they are wanted and nobody answers there yet.
//! 3. Discovery, the configuration, and Envoy's own check of it.
//! 4. What changed is replaced, what is missing is started, and all of it is waited for.
//!
//! Whatever fails or interrupts: what this call started is stopped again, what ran before step 4 still runs.

pub mod check;
pub mod crew;
pub mod programs;
pub mod report;
pub mod trial;

use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

use self::crew::Crew;
use self::programs::Programs;
use self::report::{Called, Report};
use crate::clock::unix_now;
use crate::discover::{self, DiscoverError, Keys, Resolved, engine};
use crate::fetch::ClientError;
use crate::render::{Files, RenderError, render};
use crate::settings::Settings;
use crate::signing::{self, Purpose};
use crate::supervise::envoy::{self, Search};
use crate::supervise::ports::{self, Wanted};
use crate::supervise::progress::step;
use crate::supervise::state::StateDir;
use crate::supervise::{self};

/// Why the gateway is not up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Processes, ports, files, Envoy's binary.
    #[error(transparent)]
    Supervise(#[from] supervise::Error),
    /// An issuer that does not answer as it must.
    #[error(transparent)]
    Discover(#[from] DiscoverError),
    /// No HTTPS to ask anybody with.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The configuration cannot be written down.
    #[error(transparent)]
    Render(#[from] RenderError),
    /// Envoy does not take the configuration.
    #[error(transparent)]
    Check(#[from] check::Error),
    /// The keys that assertions are signed with.
    #[error(transparent)]
    Signing(#[from] signing::Error),
    /// This binary cannot be found, to be started again.
    #[error("cannot find the attach binary itself: {0}")]
    Itself(std::io::Error),
    /// The person, or the system, ended it.
    #[error("interrupted; what this call had started is stopped again")]
    Interrupted,
    /// It failed, and so did stopping what it had started.
    #[error("{first}\nbesides, what this call had started could not all be stopped: {second}")]
    Twice {
        /// Why it failed.
        first: Box<Error>,
        /// What is left.
        second: supervise::Error,
    },
}

/// Brings the gateway up, or what runs of it in line with the settings. `called` is for
/// the commands that the report names.
///
/// # Errors
/// One sentence. Nothing that this call started is left running.
pub async fn up(settings: &Settings, called: Called) -> Result<Report, Error> {
    let state = StateDir::at(&settings.state_dir);
    state.create()?;
    let _lock = state.lock()?;
    let binary = std::env::current_exe().map_err(Error::Itself)?;
    let mut crew = Crew::new(binary.clone(), state.clone());
    let result = tokio::select! {
        result = start(settings, &state, binary, &mut crew) => result,
        () = interrupted() => Err(Error::Interrupted),
    };
    match result {
        Ok(resolved) => {
            let address = ports::reachable(settings.host, settings.ports.gateway);
            let trial = step("asking the engine for its models", trial::run(&resolved, address)).await;
            Ok(Report::new(&resolved, address, trial, crew.changes(), called))
        }
        Err(first) => Err(match crew.undo().await {
            Ok(()) => first,
            Err(second) => Error::Twice { first: Box::new(first), second },
        }),
    }
}

async fn start(
    settings: &Settings,
    state: &StateDir,
    binary: PathBuf,
    crew: &mut Crew,
) -> Result<Resolved, Error> {
    let secret = state.control_secret()?;
    let programs = Programs::new(&binary, state, settings, &secret)?;
    let envoy = envoy::find(&Search::from_environment(settings.envoy_bin.clone())).await;
    let envoy = envoy.map_err(supervise::Error::from)?;
    if !envoy.is_pinned() {
        eprintln!("note: ENVOY_BIN is Envoy {}; everything is tested with {}", envoy.version, envoy::VERSION);
    }
    let fetcher = discover::fetcher(settings)?;
    let engine = step("looking for an engine", engine::choose(settings, &fetcher)).await;
    for wanted in programs.ports(engine.is_echo()) {
        require(crew, wanted)?;
    }
    let mut wanted = Vec::new();
    wanted.extend(settings.dev_idp.then(|| programs.idp()));
    wanted.extend(engine.is_echo().then(|| programs.engine()));
    for program in &wanted {
        crew.prepare(program).await?;
    }
    let resolving = discover::resolve_with(settings.clone(), engine, Keys::MustAnswer);
    let resolved = step("asking the issuers where their keys are", resolving).await?;
    for notice in &resolved.notices {
        eprintln!("note: {notice}");
    }
    let files = Files { module: state.module(), access_log: Some(state.log_named("access")) };
    let bootstrap = render(&resolved, &files)?.bootstrap;
    // Making a ring of keys where there is none; a next key signs from here on, once all is well.
    let keys = state.secrets().join(Purpose::Assertions.file_name());
    let key = signing::start_key(&keys, unix_now())?;
    let environment = programs.envoy_environment(&secret, &key.seed());
    let checked = check::check(state, &envoy, &bootstrap, &environment);
    step("checking the configuration with Envoy", checked).await?;
    wanted.push(programs.control(&secret));
    wanted.push(programs.envoy(&envoy, &bootstrap, environment));
    crew.apply(&wanted).await?;
    signing::promote(&keys, key.kid(), unix_now())?;
    Ok(resolved)
}

/// A port must be free, or held by a process of this very gateway.
fn require(crew: &Crew, wanted: Wanted) -> Result<(), supervise::Error> {
    let mut wanted = wanted;
    if crew.holds(wanted.address.port())? {
        // The port will be free; whether the address is this machine's is another question.
        wanted.address.set_port(0);
    }
    Ok(ports::require_free(wanted)?)
}

/// Resolves when this command is to end: by `^C`, politely, or because its terminal goes away.
async fn interrupted() {
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            // Then the signal has its usual effect, and there is nothing to wait for.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}
