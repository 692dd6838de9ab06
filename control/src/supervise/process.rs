//! One process: its record, whether it still is the one recorded, and how it is stopped.

use std::io::ErrorKind;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::detach::Program;
use super::ready::Health;
use super::state::{StateDir, write_atomic};
use super::{Error, Service, drain};

/// How often the end of a process is looked for.
const POLL: Duration = Duration::from_millis(20);

/// How long a killed process may take to be gone: only a process in an uninterruptible wait takes any time.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// What is known about a process that was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub pid: u32,
    /// When the system says it began: tells it from a later process with the same id.
    pub start_time: String,
    /// What it was started from: see [`super::fingerprint`].
    pub fingerprint: String,
    /// The port that it serves on.
    pub port: u16,
    /// Where it answers its health check, and on which path.
    pub health: Health,
    /// Other ports that it holds: Envoy's administration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_ports: Vec<u16>,
    /// The length of its log when it was started: what is before belongs to others.
    #[serde(default)]
    pub log_start: u64,
    /// When it was started, in seconds since 1970.
    pub started: u64,
}

impl Record {
    /// Describes a process that has just been started; `None` when it is gone already.
    #[must_use]
    pub fn of(pid: u32, program: &Program, log_start: u64) -> Option<Self> {
        Some(Self {
            pid,
            start_time: start_time(pid)?,
            fingerprint: program.fingerprint.clone(),
            port: program.health.address.port(),
            health: program.health.clone(),
            more_ports: program.more_ports.clone(),
            log_start,
            started: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
        })
    }

    /// Reads a service's record; `None` when there is none, or none that can be understood: what cannot be
    /// identified is not ours to touch.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(state: &StateDir, service: Service) -> Result<Option<Self>, Error> {
        let path = state.record(service);
        match std::fs::read(&path) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file("read", &path)(error)),
        }
    }

    /// Writes the record.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write(&self, state: &StateDir, service: Service) -> Result<(), Error> {
        let path = state.record(service);
        let text = serde_json::to_vec_pretty(self)
            .map_err(|error| Error::file("write", &path)(std::io::Error::other(error)))?;
        write_atomic(&path, &text)
    }

    /// Whether the process runs, and is the one that was recorded.
    #[must_use]
    pub fn is_running(&self) -> bool {
        start_time(self.pid).is_some_and(|time| time == self.start_time)
    }

    /// Whether it holds a port.
    #[must_use]
    pub fn holds(&self, port: u16) -> bool {
        self.port == port || self.more_ports.contains(&port)
    }

    /// Seconds since it was started.
    #[must_use]
    pub fn uptime(&self) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        now.saturating_sub(self.started)
    }
}

/// A service's process, if it runs.
///
/// # Errors
/// When its record cannot be read.
pub fn running(state: &StateDir, service: Service) -> Result<Option<Record>, Error> {
    Ok(Record::read(state, service)?.filter(Record::is_running))
}

/// Removes a service's record.
///
/// # Errors
/// When the file system refuses; a record that is not there is no error.
pub fn forget(state: &StateDir, service: Service) -> Result<(), Error> {
    let path = state.record(service);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::file("remove", &path)(error)),
        _ => Ok(()),
    }
}

/// Stops a recorded process: lets Envoy come to an end first, asks it, waits as long as the service may take, then kills it. A process that
/// is gone, or is another one by now, is left alone.
///
/// # Errors
/// When the signal is refused or the process outlives even `SIGKILL`.
pub async fn stop(service: Service, record: &Record) -> Result<(), Error> {
    let fail = |reason: &str| Error::Stop { service, pid: record.pid, reason: reason.to_owned() };
    if service == Service::Envoy && record.is_running() {
        drain::envoy(record).await;
    }
    for (signal, grace) in [(Signal::TERM, service.grace()), (Signal::KILL, KILL_GRACE)] {
        // Directly before each signal: the id may have gone to somebody else in between.
        if !record.is_running() {
            return Ok(());
        }
        let pid = i32::try_from(record.pid).ok().and_then(Pid::from_raw).ok_or_else(|| fail("no such id"))?;
        match kill_process(pid, signal) {
            Err(rustix::io::Errno::SRCH) => return Ok(()),
            Err(error) => return Err(fail(&error.to_string())),
            Ok(()) => {}
        }
        let deadline = Instant::now() + grace;
        while Instant::now() < deadline {
            if !record.is_running() {
                return Ok(());
            }
            sleep(POLL).await;
        }
    }
    Err(fail("it does not end, not even by SIGKILL"))
}

/// When a process began, as the system tells it; `None` when it is gone or only waits to be reaped.
///
/// Linux counts in ticks since the machine was started, so the machine's start goes into the text.
#[cfg(target_os = "linux")]
fn start_time(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ticks = start_ticks(&stat)?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Some(format!("{}/{ticks}", boot.trim()))
}

/// Field 22 of `/proc/<pid>/stat`, unless field 3 says that the process is dead.
///
/// Field 2 is the program's name in parentheses, and a name may hold blanks and parentheses of its own: the
/// count begins after the last one.
#[cfg(target_os = "linux")]
fn start_ticks(stat: &str) -> Option<&str> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    (!matches!(state, "Z" | "X" | "x")).then_some(())?;
    // Field 3 is gone; the 22nd is the 18th after the fourth.
    fields.nth(18)
}

/// Elsewhere `ps` knows, to the second.
#[cfg(not(target_os = "linux"))]
fn start_time(pid: u32) -> Option<String> {
    let output = std::process::Command::new("ps")
        .args(["-o", "stat=,lstart=", "-p", &pid.to_string()])
        .env("LC_ALL", "C")
        .stdin(std::process::Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (state, began) = text.trim().split_once(char::is_whitespace)?;
    (!state.starts_with('Z')).then(|| began.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Reads one byte and ends; ends at once when the test does.
    fn child(program: &str, arguments: &[&str]) -> std::process::Child {
        Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let rest = "1 1 1 0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 98765 1000 10";
        assert_eq!(start_ticks(&format!("7 (a) b) S {rest}")), Some("98765"));
        assert_eq!(start_ticks(&format!("7 (a b) R {rest}")), Some("98765"));
        assert_eq!(start_ticks(&format!("7 (a) Z {rest}")), None);
        assert_eq!(start_ticks("7 (a) S 1 2"), None);
        assert_eq!(start_ticks(""), None);
    }

    fn record_of(child: &std::process::Child) -> Record {
        Record { start_time: start_time(child.id()).unwrap(), ..record(child.id()) }
    }

    fn record(pid: u32) -> Record {
        let health = Health { address: "127.0.0.1:1".parse().unwrap(), path: "/".into() };
        let (start_time, fingerprint) = ("another".into(), "f".into());
        Record {
            pid,
            start_time,
            fingerprint,
            port: 1,
            health,
            more_ports: vec![9],
            log_start: 0,
            started: 2,
        }
    }

    #[test]
    fn a_process_is_ours_only_with_the_recorded_start_time() {
        let mut child = child("cat", &[]);
        let record = record_of(&child);
        assert!(record.is_running());
        let other = self::record(child.id());
        assert!(!other.is_running());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(!record.is_running());
    }

    #[tokio::test]
    async fn a_process_with_a_strange_start_time_gets_no_signal() {
        let mut child = child("cat", &[]);
        let record = record_of(&child);
        let stranger = self::record(child.id());
        stop(Service::Envoy, &stranger).await.unwrap();
        assert!(record.is_running());
        stop(Service::Envoy, &record).await.unwrap();
        assert!(!record.is_running(), "a child that waits to be reaped counts as stopped");
        assert!(!child.wait().unwrap().success());
    }

    #[tokio::test]
    async fn stopping_what_is_gone_is_no_error() {
        let mut child = child("true", &[]);
        let pid = child.id();
        child.wait().unwrap();
        let record = record(pid);
        stop(Service::Control, &record).await.unwrap();
    }

    #[test]
    fn a_record_that_cannot_be_understood_names_no_process() {
        let folder = crate::supervise::tests::Folder::new("record");
        let state = StateDir::at(folder.path());
        state.create().unwrap();
        assert_eq!(Record::read(&state, Service::Envoy).unwrap(), None);
        std::fs::write(state.record(Service::Envoy), "{").unwrap();
        assert_eq!(Record::read(&state, Service::Envoy).unwrap(), None);
        let record = record(4);
        record.write(&state, Service::Envoy).unwrap();
        assert_eq!(Record::read(&state, Service::Envoy).unwrap(), Some(record));
        forget(&state, Service::Envoy).unwrap();
        forget(&state, Service::Envoy).unwrap();
    }
}
