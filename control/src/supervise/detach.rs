//! Starting a process that stays.
//!
//! A process group of its own would keep `^C` away, but not the end of the terminal: the session would
//! still be the shell's. Only a session of its own does both, and to make one without unsafe code the
//! child must do it itself. So `attach` starts itself as `attach detach PROGRAM ARGUMENT…`, which makes the
//! session and then *becomes* the program: the process id stays the same.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::process::Record;
use super::ready::Health;
use super::state::{StateDir, open_log};
use super::{Error, Service, logs};

/// The hidden subcommand's name.
pub const SUBCOMMAND: &str = "detach";

/// How to start a service.
#[derive(Clone)]
pub struct Program {
    /// Which one.
    pub service: Service,
    /// The binary, then its arguments.
    pub command: Vec<OsString>,
    /// Its whole environment: nothing is inherited, so that the fingerprint knows everything.
    pub environment: Vec<(String, OsString)>,
    /// Where it runs: what relative paths in its environment count from.
    pub folder: PathBuf,
    /// Where it answers once it is ready; its port is the one that it serves on.
    pub health: Health,
    /// Other ports that it listens on.
    pub more_ports: Vec<u16>,
    /// What all of this and the files behind it come to.
    pub fingerprint: String,
}

// The environment holds secrets.
impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program")
            .field("service", &self.service)
            .field("command", &self.command)
            .field("environment", &self.environment.iter().map(|(name, _)| name).collect::<Vec<_>>())
            .field("health", &self.health)
            .finish_non_exhaustive()
    }
}

/// Starts a service detached, its output going to its log, and records it.
///
/// # Errors
/// When its log or record cannot be written or the process cannot be made. A process that could not be
/// recorded is killed again: nobody would ever find it.
pub fn start(attach: &Path, state: &StateDir, program: &Program) -> Result<Record, Error> {
    let service = program.service;
    let path = state.log(service);
    logs::rotate(&path)?;
    if service == Service::Envoy {
        logs::rotate(&state.log_named("access"))?;
    }
    let log = open_log(&path)?;
    let log_start = log.metadata().map_err(Error::file("read", &path))?.len();
    let error_log = log.try_clone().map_err(Error::file("open", &path))?;
    let mut child = Command::new(attach)
        .arg(SUBCOMMAND)
        .arg("--")
        .args(&program.command)
        .env_clear()
        .envs(program.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&program.folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(error_log)
        .spawn()
        .map_err(|source| Error::Start { service, source })?;
    let recorded = match Record::of(child.id(), program, log_start) {
        Some(record) => record.write(state, service).map(|()| record),
        None => Err(Error::died(state, service, log_start)),
    };
    if recorded.is_err() {
        // Our own child, not yet waited for: its id cannot be anybody else's.
        let _ = child.kill();
        let _ = child.wait();
    }
    // From here on the record says everything; when this command ends, the system takes the child over.
    recorded
}

/// Why `attach detach` could not become the program; it stands in the service's log.
#[derive(Debug, thiserror::Error)]
#[error("cannot run {}: {source}", program.display())]
pub struct Failed {
    program: OsString,
    source: std::io::Error,
}

/// `attach detach`: makes a session, then becomes the program. Returns only when that fails.
#[must_use]
pub fn become_program(program: &OsString, arguments: &[OsString]) -> Failed {
    // Fails only for the leader of a process group, which a child of `start` is not.
    let source = match rustix::process::setsid() {
        Ok(_) => Command::new(program).args(arguments).exec(),
        Err(error) => error.into(),
    };
    Failed { program: program.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_names_the_environment_and_hides_its_values() {
        let program = Program {
            service: Service::Envoy,
            command: vec!["envoy".into()],
            environment: vec![("ENGINE_API_KEY".into(), "sk-secret".into())],
            folder: "/".into(),
            health: Health { address: "127.0.0.1:1".parse().unwrap(), path: "/".into() },
            more_ports: Vec::new(),
            fingerprint: "f".into(),
        };
        let text = format!("{program:?}");
        assert!(text.contains("ENGINE_API_KEY") && !text.contains("sk-secret"), "{text}");
    }
}
