//! wrk, and what it says.

use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::failure::{During as _, Failure};
use crate::lists::{List, Lists};
use crate::process::Watched;
use crate::rows::{Method, Row};

/// How many requests are under way at a time.
pub(crate) const CONNECTIONS: usize = 16;
/// What wrk may need beyond the time it is given.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the driver needs on disk.
pub(crate) struct Driver {
    script: PathBuf,
    body: PathBuf,
    /// What it sends.
    pub(crate) lists: Lists,
}

/// What one run gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Run {
    /// Answers.
    pub(crate) requests: u64,
    /// How long it took.
    pub(crate) took: Duration,
    /// Latency that half of the requests did not exceed, in microseconds.
    pub(crate) p50: u64,
    /// Latency that 99 of 100 did not exceed, in microseconds.
    pub(crate) p99: u64,
}

impl Run {
    /// Throughput.
    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }
}

/// Says what to install where wrk is missing.
///
/// # Errors
/// Then.
pub(crate) fn check() -> Result<(), Failure> {
    let found = Command::new("wrk").arg("-v").stdin(Stdio::null()).output();
    found.map(|_| ()).map_err(|_| Failure("wrk is missing: install the package wrk".into()))
}

impl Driver {
    /// Writes what wrk reads.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn new(folder: &Path, lists: Lists) -> Result<Self, Failure> {
        let (script, body) = (folder.join("requests.lua"), folder.join("body.json"));
        fs::write(&script, include_str!("../../../bench/requests.lua")).during(script.display())?;
        fs::write(&body, Method::Post.body().unwrap_or_default()).during(body.display())?;
        Ok(Self { script, body, lists })
    }

    /// Drives one Envoy for a while, or until each credential of a list that counts once was used.
    ///
    /// # Errors
    /// When wrk fails, a connection breaks, or an answer has not the row's status.
    pub(crate) fn run(
        &mut self,
        row: &Row,
        method: Method,
        address: SocketAddr,
        seconds: Duration,
        list: Option<&List>,
    ) -> Result<Run, Failure> {
        let none = Path::new("-");
        let (file, first, count, kind) = match list {
            Some(list) if list.once => (list.path.as_path(), 0, list.count, "once"),
            Some(list) => (list.path.as_path(), list.first, list.count, "again"),
            None => (none, 0, 0, "again"),
        };
        let mut command = Command::new("wrk");
        command.args(["--threads", "1", "--connections", &CONNECTIONS.to_string()]);
        command.arg("--duration").arg(format!("{}s", seconds.as_secs())).args(["--timeout", "5s"]);
        command.arg("--script").arg(&self.script).arg(format!("http://{address}{}", method.path()));
        command.arg("--").arg(method.name()).arg(file).arg(first.to_string()).arg(count.to_string());
        command.arg(if method.body().is_some() { &self.body } else { none }).arg(kind);
        let text = output(&mut command, seconds + PATIENCE)?;
        let run = parse(&text, row.status())
            .map_err(|Failure(why)| Failure(format!("{}, {}: {why}", row.title, method.name())))?;
        self.lists.used(row.credential, run.requests);
        Ok(run)
    }
}

fn output(command: &mut Command, limit: Duration) -> Result<String, Failure> {
    let mut wrk = Watched::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()))?;
    // It says less than a pipe holds, so it never waits for us to read.
    if !wrk.ends_within(limit) {
        return Err(Failure(format!("wrk did not end within {} s", limit.as_secs())));
    }
    let mut text = String::new();
    if let Some(stdout) = wrk.pipes().stdout.as_mut() {
        stdout.read_to_string(&mut text).during("wrk")?;
    }
    Ok(text)
}

/// The line that the script writes: `bench REQUESTS DURATION BAD-STATUS BROKEN P50 P99`.
fn parse(text: &str, status: u16) -> Result<Run, Failure> {
    let line = text.lines().find_map(|line| line.strip_prefix("bench "));
    let numbers: Vec<u64> = line.unwrap_or_default().split(' ').filter_map(|n| n.parse().ok()).collect();
    let &[requests, took, bad, broken, p50, p99] = numbers.as_slice() else {
        return Err(Failure(format!("wrk gave no result: {}", text.trim())));
    };
    let wrong = if status < 400 { bad } else { requests - bad.min(requests) };
    match (requests, wrong, broken) {
        (0, ..) => Err(Failure("there was no answer".into())),
        (_, 0, 0) => Ok(Run { requests, took: Duration::from_micros(took), p50, p99 }),
        (_, 0, _) => Err(Failure(format!("{broken} requests broke off or were not answered in time"))),
        _ => Err(Failure(format!("{wrong} of {requests} answers had another status than {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_writes_is_read() {
        let run = parse("Running 1s test\n\nbench 20000 1000000 0 0 700 2100\n", 200).unwrap();
        assert_eq!((run.requests, run.p50, run.p99), (20_000, 700, 2_100));
        assert!((run.per_second() - 20_000.0).abs() < 1e-6);
    }

    #[test]
    fn a_run_with_a_wrong_answer_is_no_result() {
        for (text, status, why) in [
            ("bench 10 1000000 3 0 1 2", 200, "3 of 10"),
            ("bench 10 1000000 9 0 1 2", 401, "1 of 10"),
            ("bench 10 1000000 0 2 1 2", 200, "2 requests broke"),
            ("bench 0 1000000 0 0 1 2", 200, "no answer"),
            ("unable to connect", 200, "unable to connect"),
        ] {
            let failure = parse(text, status).unwrap_err().to_string();
            assert!(failure.contains(why), "{failure}");
        }
        assert!(parse("bench 10 1000000 10 0 1 2", 401).is_ok());
    }
}
