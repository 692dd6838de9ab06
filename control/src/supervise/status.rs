//! What runs, as `attach status` tells it.

use serde::Serialize;

use super::process::Record;
use super::state::StateDir;
use super::{Error, Service, ready};
use crate::clock::unix_now_millis;
use crate::outbox::{self, Kind, Report};
use crate::store;

/// One process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Which one.
    pub name: Service,
    /// Whether it runs.
    pub running: bool,
    /// Whether it says that it is well.
    pub ready: bool,
    /// Its answer to the health check, or why there is none.
    pub answer: String,
    /// Its process id, while it runs.
    pub pid: Option<u32>,
    /// The port that it serves on.
    pub port: Option<u16>,
    /// Seconds since it was started.
    pub uptime_seconds: Option<u64>,
}

/// A gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Whether all that belongs to it runs and is well.
    pub ready: bool,
    /// Where it is reached from this machine, when it has been started.
    pub gateway: Option<String>,
    /// Its processes, in the order of starting.
    pub processes: Vec<Line>,
    /// What has not left for OpenMeter; none where there is no database or it cannot be read, of which
    /// `attach doctor` says more.
    pub outbox: Option<Report>,
    /// What is not yet where memory lies.
    pub memory: Option<Report>,
}

/// Looks at every process that was started, and at the two that no gateway is without.
///
/// # Errors
/// When a record cannot be read.
pub async fn look(state: &StateDir) -> Result<Status, Error> {
    let database = state.root().join(store::FILE_NAME);
    let look = |kind| outbox::look(&database, kind, unix_now_millis()).ok().flatten();
    let (outbox, memory) = (look(Kind::OpenMeter), look(Kind::Memory));
    let mut status = Status { ready: true, gateway: None, processes: Vec::new(), outbox, memory };
    for name in Service::ALL {
        let record = Record::read(state, name)?;
        if name == Service::Envoy {
            status.gateway = record.as_ref().map(|record| format!("http://{}", record.health.address));
        }
        let line = match record {
            Some(record) if record.is_running() => {
                let answer = ready::ask(&record.health).await;
                Line {
                    name,
                    running: true,
                    ready: answer.is_ok(),
                    answer: answer.to_string(),
                    pid: Some(record.pid),
                    port: Some(record.port),
                    uptime_seconds: Some(record.uptime()),
                }
            }
            // The demo servers run only where the settings ask for them; what was started is recorded.
            None if matches!(name, Service::Idp | Service::Engine) => continue,
            gone => Line {
                name,
                running: false,
                ready: false,
                answer: if gone.is_some() { "has ended: see its log" } else { "not started" }.to_owned(),
                pid: None,
                port: gone.map(|record| record.port),
                uptime_seconds: None,
            },
        };
        status.ready &= line.ready;
        status.processes.push(line);
    }
    Ok(status)
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let gateway = self.gateway.as_deref().unwrap_or("not started");
        writeln!(f, "gateway  {gateway}  {}", if self.ready { "ready" } else { "not ready" })?;
        for line in &self.processes {
            write!(f, "{:<8} ", line.name.name())?;
            match (line.running, line.pid, line.port, line.uptime_seconds) {
                (true, Some(pid), Some(port), Some(uptime)) => {
                    let health = if line.ready { "running" } else { "not well" };
                    write!(f, "{health}  pid {pid}  port {port}  up {}", duration(uptime))?;
                    if !line.ready {
                        write!(f, "  ({})", line.answer)?;
                    }
                    writeln!(f)?;
                }
                _ => writeln!(f, "stopped  ({})", line.answer)?,
            }
        }
        for (name, report) in [("outbox", &self.outbox), ("memory", &self.memory)] {
            let Some(Report { health, error, .. }) = report else { continue };
            if health.outbox == 0 && health.set_aside == 0 {
                continue;
            }
            let waited = duration(health.oldest_seconds);
            write!(f, "{name}   {} events wait", health.outbox)?;
            if health.outbox > 0 {
                write!(f, ", the oldest for {waited}")?;
            }
            if health.set_aside > 0 {
                write!(f, "  {} set aside: see `attach doctor`", health.set_aside)?;
            }
            if let Some(error) = error {
                write!(f, "  ({error})")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// The two largest units of a time.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervise::tests::Folder;

    #[test]
    fn times_are_told_in_two_units() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3_660, "1 h 1 min"), (90_000, "1 d 1 h")]
        {
            assert_eq!(duration(seconds), text);
        }
    }

    #[tokio::test]
    async fn nothing_started_is_not_ready_and_names_what_no_gateway_is_without() {
        let folder = Folder::new("status");
        let status = look(&StateDir::at(folder.path())).await.unwrap();
        assert!(!status.ready);
        let names: Vec<_> = status.processes.iter().map(|line| line.name).collect();
        assert_eq!(names, [Service::Control, Service::Envoy]);
        assert!(status.to_string().contains("envoy    stopped  (not started)"), "{status}");
        assert!(!status.to_string().contains("outbox"), "{status}");
    }

    #[test]
    fn what_has_not_left_is_told() {
        let health = outbox::Health { outbox: 4, set_aside: 1, oldest_seconds: 61 };
        let report = Report { health, attempts: 2, error: Some("why".to_owned()), set_aside_error: None };
        let status =
            Status { ready: true, gateway: None, processes: Vec::new(), outbox: Some(report), memory: None };
        let expected =
            "outbox   4 events wait, the oldest for 1 min 1 s  1 set aside: see `attach doctor`  (why)\n";
        assert!(status.to_string().ends_with(expected), "{status}");
    }
}
