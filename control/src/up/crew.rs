//! Bringing the processes that run in line with those that are wanted.
//!
//! In two steps, because discovery and the engine's probe need somebody to ask while the configuration is
//! still being made: [`Crew::prepare`] starts what is missing and touches nothing that runs;
//! [`Crew::apply`], once the check has passed, replaces what has changed and stops what is not wanted any
//! more. What was started by this call is remembered until all is well, and [`Crew::undo`] stops it again.

use std::path::PathBuf;

use crate::supervise::detach::{self, Program};
use crate::supervise::process::{self, Record};
use crate::supervise::progress::step;
use crate::supervise::state::StateDir;
use crate::supervise::{Error, Service, ready};

/// What became of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It ran already, from the same settings.
    Kept,
    /// It was not running.
    Started,
    /// It ran from other settings.
    Restarted,
    /// It is not needed any more.
    Stopped,
}

/// The processes of one gateway.
#[derive(Debug)]
pub struct Crew {
    attach: PathBuf,
    state: StateDir,
    /// Those that this call started.
    started: Vec<(Service, Record)>,
    /// Those that run in an old form beside a new one, until the check has passed.
    superseded: Vec<(Service, Record)>,
    changes: Vec<(Service, Change)>,
}

impl Crew {
    /// The processes of the gateway in a state folder; `attach` is this binary.
    #[must_use]
    pub fn new(attach: PathBuf, state: StateDir) -> Self {
        Self { attach, state, started: Vec::new(), superseded: Vec::new(), changes: Vec::new() }
    }

    /// What became of each, in the order of happening.
    #[must_use]
    pub fn changes(&self) -> &[(Service, Change)] {
        &self.changes
    }

    /// Whether a process of this gateway holds a port: it is then not "in use".
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn holds(&self, port: u16) -> Result<bool, Error> {
        for service in Service::ALL {
            if process::running(&self.state, service)?.is_some_and(|record| record.holds(port)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sees to it that somebody answers at the program's address, without touching what runs there: an older
    /// form of it will do until [`Crew::apply`].
    ///
    /// # Errors
    /// When it does not start or does not get ready.
    pub async fn prepare(&mut self, program: &Program) -> Result<(), Error> {
        let service = program.service;
        let record = match process::running(&self.state, service)? {
            Some(record) if record.port == program.health.address.port() => record,
            old => {
                let change = if old.is_some() { Change::Restarted } else { Change::Started };
                self.superseded.extend(old.map(|record| (service, record)));
                self.start(program, change)?
            }
        };
        self.wait(service, &record).await
    }

    /// Replaces what has changed, starts what is missing, stops what is not wanted, and waits until all
    /// wanted ones are ready.
    ///
    /// Everything that must go goes first: a new process may want the port of an old one.
    ///
    /// # Errors
    /// When one does not stop, start or get ready.
    pub async fn apply(&mut self, programs: &[Program]) -> Result<(), Error> {
        let find = |service: Service| programs.iter().find(|program| program.service == service);
        let mut restarted = Vec::new();
        for service in Service::ALL.into_iter().rev() {
            for (_, old) in self.superseded.extract_if(.., |(of, _)| *of == service) {
                stop(service, &old).await?;
            }
            let Some(record) = process::running(&self.state, service)? else { continue };
            match find(service) {
                Some(program) if program.fingerprint == record.fingerprint => {}
                Some(_) => {
                    stop(service, &record).await?;
                    restarted.push(service);
                }
                None => {
                    stop(service, &record).await?;
                    process::forget(&self.state, service)?;
                    self.changes.push((service, Change::Stopped));
                }
            }
        }
        let mut records = Vec::new();
        for service in Service::ALL {
            let Some(program) = find(service) else { continue };
            let record = match process::running(&self.state, service)? {
                Some(record) => {
                    if !self.changes.iter().any(|(of, _)| *of == service) {
                        self.changes.push((service, Change::Kept));
                    }
                    record
                }
                None if restarted.contains(&service) => self.start(program, Change::Restarted)?,
                None => self.start(program, Change::Started)?,
            };
            records.push((service, record));
        }
        for (service, record) in records {
            self.wait(service, &record).await?;
        }
        Ok(())
    }

    /// Stops everything that this call started, and puts the records of those that ran before back.
    ///
    /// # Errors
    /// The first one; the others are stopped all the same.
    pub async fn undo(&mut self) -> Result<(), Error> {
        let mut result = Ok(());
        while let Some((service, record)) = self.started.pop() {
            let stopped = stop(service, &record).await;
            if stopped.is_ok() {
                result = result.and(process::forget(&self.state, service));
            }
            result = result.and(stopped);
        }
        for (service, record) in self.superseded.drain(..) {
            result = result.and(record.write(&self.state, service));
        }
        result
    }

    fn start(&mut self, program: &Program, change: Change) -> Result<Record, Error> {
        let service = program.service;
        let record = detach::start(&self.attach, &self.state, program)?;
        self.started.push((service, record.clone()));
        self.changes.retain(|(of, _)| *of != service);
        self.changes.push((service, change));
        Ok(record)
    }

    async fn wait(&self, service: Service, record: &Record) -> Result<(), Error> {
        let ready = ready::wait(&self.state, service, record);
        step(&format!("waiting for {service} to be ready"), ready).await
    }
}

async fn stop(service: Service, record: &Record) -> Result<(), Error> {
    step(&format!("stopping {service}"), process::stop(service, record)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::ready::Health;
    use crate::supervise::tests::Folder;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A state folder, something that is always well, and a stand-in for `attach detach`.
    struct Bench {
        folder: Folder,
        state: StateDir,
        /// Ports 1, 2 and 3 of the tests; nobody answers at the third.
        addresses: Vec<SocketAddr>,
    }

    impl Bench {
        async fn new(name: &str) -> Self {
            let folder = Folder::new(name);
            let state = StateDir::at(folder.path().join("state"));
            state.create().unwrap();
            let script = r#"printf '#!/bin/sh\nshift 2; exec "$@"\n' > "$1" && chmod +x "$1""#;
            let made = std::process::Command::new("sh")
                .args(["-c", script, "sh"])
                .arg(folder.path().join("attach"))
                .status();
            assert!(made.unwrap().success());
            let mut addresses = Vec::new();
            for number in 1..=3 {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                addresses.push(listener.local_addr().unwrap());
                if number == 3 {
                    continue;
                }
                tokio::spawn(async move {
                    while let Ok((mut stream, _)) = listener.accept().await {
                        let _ = stream.read(&mut [0; 512]).await;
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
                    }
                });
            }
            Self { folder, state, addresses }
        }

        fn crew(&self) -> Crew {
            Crew::new(self.folder.path().join("attach"), self.state.clone())
        }

        fn member(&self, service: Service, port: usize, fingerprint: &str) -> Program {
            self.running(service, port, fingerprint, &["/bin/sleep", "600"])
        }

        fn running(&self, service: Service, port: usize, fingerprint: &str, command: &[&str]) -> Program {
            Program {
                service,
                command: command.iter().map(Into::into).collect(),
                environment: Vec::new(),
                folder: self.folder.path().into(),
                health: Health { address: self.addresses[port - 1], path: "/".into() },
                more_ports: Vec::new(),
                fingerprint: fingerprint.into(),
            }
        }

        fn pid(&self, service: Service) -> Option<u32> {
            process::running(&self.state, service).unwrap().map(|record| record.pid)
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            for service in Service::ALL {
                if let Some(pid) = self.pid(service) {
                    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).unwrap();
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
            }
        }
    }

    #[tokio::test]
    async fn unchanged_processes_are_left_alone_and_changed_ones_alone_restarted() {
        let bench = Bench::new("crew-keep").await;
        let (control, envoy) = (bench.member(Service::Control, 1, "c"), bench.member(Service::Envoy, 2, "e"));
        let mut crew = bench.crew();
        crew.apply(&[control.clone(), envoy]).await.unwrap();
        assert_eq!(crew.changes(), [(Service::Control, Change::Started), (Service::Envoy, Change::Started)]);
        let before = (bench.pid(Service::Control).unwrap(), bench.pid(Service::Envoy).unwrap());
        let mut crew = bench.crew();
        crew.apply(&[control, bench.member(Service::Envoy, 2, "other")]).await.unwrap();
        assert_eq!(crew.changes(), [(Service::Control, Change::Kept), (Service::Envoy, Change::Restarted)]);
        assert_eq!(bench.pid(Service::Control).unwrap(), before.0);
        assert_ne!(bench.pid(Service::Envoy).unwrap(), before.1);
    }

    #[tokio::test]
    async fn what_is_not_wanted_any_more_is_stopped() {
        let bench = Bench::new("crew-unwanted").await;
        let (engine, envoy) = (bench.member(Service::Engine, 1, "c"), bench.member(Service::Envoy, 2, "e"));
        bench.crew().apply(&[engine, envoy.clone()]).await.unwrap();
        let mut crew = bench.crew();
        crew.apply(&[envoy]).await.unwrap();
        assert_eq!(crew.changes(), [(Service::Engine, Change::Stopped), (Service::Envoy, Change::Kept)]);
        assert_eq!(bench.pid(Service::Engine), None);
        assert!(!bench.state.record(Service::Engine).exists());
    }

    #[tokio::test]
    async fn a_failed_call_stops_what_it_started_and_nothing_else() {
        let bench = Bench::new("crew-undo").await;
        let idp = bench.member(Service::Idp, 1, "i");
        bench.crew().apply(std::slice::from_ref(&idp)).await.unwrap();
        let before = bench.pid(Service::Idp);
        let mut crew = bench.crew();
        let dying = bench.running(Service::Envoy, 3, "e", &["/bin/sh", "-c", "echo the reason >&2; exit 1"]);
        let members = [idp, bench.member(Service::Control, 2, "c"), dying];
        let text = crew.apply(&members).await.unwrap_err().to_string();
        assert!(
            text.starts_with("envoy ended before it was ready") && text.ends_with("the reason"),
            "{text}"
        );
        crew.undo().await.unwrap();
        assert_eq!((bench.pid(Service::Control), bench.pid(Service::Envoy)), (None, None));
        assert_eq!(bench.pid(Service::Idp), before);
    }

    #[tokio::test]
    async fn before_the_check_an_old_form_is_kept_and_a_new_port_is_served_beside_it() {
        let bench = Bench::new("crew-prepare").await;
        bench.crew().apply(&[bench.member(Service::Idp, 1, "i")]).await.unwrap();
        let before = bench.pid(Service::Idp).unwrap();

        let mut crew = bench.crew();
        crew.prepare(&bench.member(Service::Idp, 1, "other")).await.unwrap();
        assert_eq!(bench.pid(Service::Idp), Some(before), "the same port: the old one will do");

        let moved = bench.member(Service::Idp, 2, "moved");
        crew.prepare(&moved).await.unwrap();
        let beside = bench.pid(Service::Idp).unwrap();
        assert_ne!(beside, before);
        crew.undo().await.unwrap();
        assert_eq!(bench.pid(Service::Idp), Some(before), "the check failed: as if nothing had been");

        let mut crew = bench.crew();
        let old = process::running(&bench.state, Service::Idp).unwrap().unwrap();
        crew.prepare(&moved).await.unwrap();
        crew.apply(&[moved]).await.unwrap();
        assert!(!old.is_running());
        assert_eq!(crew.changes(), [(Service::Idp, Change::Restarted)]);
    }
}
