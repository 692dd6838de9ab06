//! An Envoy under test.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use attach_tests::request::{Request, Response};
use serde_yaml_ng::Value;

use crate::bootstrap::{Bootstrap, Place};
use crate::failure::{During as _, Failure};
use crate::process::Watched;
use crate::rows::Variant;

/// How long it may take to be live, and its filter to have its keys.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// A running one.
pub(crate) struct Envoy {
    /// What it is to show.
    pub(crate) variant: Variant,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    admin: SocketAddr,
    process: Watched,
    access_log: PathBuf,
    log: PathBuf,
}

impl Envoy {
    /// Starts one of the variants and waits until it is live.
    ///
    /// # Errors
    /// When it does not come to life.
    pub(crate) fn start(
        binary: &Path,
        folder: &Path,
        bootstrap: &Bootstrap,
        variant: Variant,
        environment: &[(&str, String)],
    ) -> Result<Self, Failure> {
        let name = variant.name();
        let file = |what: &str| folder.join(format!("{name}{what}"));
        let (access_log, log, config) = (file("-access.log"), file(".log"), file(".yaml"));
        let (port, admin_port) = (attach_tests::ports::free(), attach_tests::ports::free());
        let place = Place { port, admin_port, access_log: &access_log };
        let document: Value = bootstrap.of(variant, &place)?;
        let text = serde_yaml_ng::to_string(&document).during("the bootstrap")?;
        fs::write(&config, text).during(config.display())?;
        let output = fs::File::create(&log).during(log.display())?;
        let mut command = Command::new(binary);
        command.arg("--config-path").arg(&config);
        command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output);
        let process = Watched::spawn(&mut command)?;
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut envoy =
            Self { variant, address: address(port), admin: address(admin_port), process, access_log, log };
        let live = |response: Response| response.status == 200;
        envoy.wait("is not live", || Request::get("/ready").try_send(address(admin_port)).is_ok_and(live))?;
        Ok(envoy)
    }

    /// Waits until it answers a request with this status.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn answers(&mut self, request: &Request, status: u16) -> Result<(), Failure> {
        let address = self.address;
        let mut last = None;
        let waited = self.wait(&format!("does not answer {status}"), || {
            last = request.try_send(address).ok().map(|response| response.status);
            last == Some(status)
        });
        waited.map_err(|Failure(text)| match last {
            Some(last) => Failure(format!("{text}; it answered {last}")),
            None => Failure(text),
        })
    }

    /// Its CPU time so far.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn cpu_time(&self) -> Result<Duration, Failure> {
        let id = self.process.id();
        let ticks = || {
            let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
            // The name in parentheses may hold anything; user and system time are the 14th and 15th field.
            let after = stat.rsplit_once(')')?.1;
            let times: Vec<u64> =
                after.split_whitespace().skip(11).take(2).filter_map(|time| time.parse().ok()).collect();
            (times.len() == 2).then(|| Duration::from_secs(times.iter().sum()) / TICKS_PER_SECOND)
        };
        precise(id)
            .or_else(ticks)
            .ok_or_else(|| Failure(format!("{} has ended: {}", self.variant.name(), self.last_line())))
    }

    /// Its memory that is not swapped out, in bytes.
    ///
    /// # Errors
    /// When it has ended.
    pub(crate) fn resident(&self) -> Result<u64, Failure> {
        let id = self.process.id();
        let kib = || {
            let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let gone = || Failure(format!("{} has ended: {}", self.variant.name(), self.last_line()));
        kib().map(|kib| kib * 1024).ok_or_else(gone)
    }

    /// The sum of a statistic's series whose labels contain a text; 0 where there are none.
    ///
    /// # Errors
    /// When it does not say.
    pub(crate) fn statistic(&self, name: &str, label: &str) -> Result<u64, Failure> {
        let what = format!("the statistics of {}", self.variant.name());
        let page =
            Request::get(format!("/stats/prometheus?filter={name}")).try_send(self.admin).during(&what)?;
        if page.status != 200 {
            return Err(Failure(format!("{what}: status {}", page.status)));
        }
        Ok(sum(&page.text(), name, label))
    }

    /// Sees that it has counted the tokens of so many calls, each as the engine reported them, and lost none.
    ///
    /// # Errors
    /// When it has not, after a while.
    pub(crate) fn has_counted(&self, calls: u64) -> Result<(), Failure> {
        let what = format!("calls counted as reported by {}", self.variant.name());
        wait_for(&what, calls, PATIENCE, || {
            self.statistic("attach_usage_records_total", "source=\"reported\"")
        })?;
        match self.statistic("attach_usage_records_dropped_total", "")? {
            0 => Ok(()),
            lost => Err(Failure(format!("{} has dropped {lost} usage records", self.variant.name()))),
        }
    }

    /// The memory of its VMs that have served, in bytes. They say it once a second.
    ///
    /// # Errors
    /// When it does not say.
    pub(crate) fn vm_memory(&self) -> Result<u64, Failure> {
        match self.statistic("attach_vm_memory_bytes", "")? {
            0 => Err(Failure(format!("{} does not say what memory its VM has", self.variant.name()))),
            bytes => Ok(bytes),
        }
    }

    /// Forgets what it has logged, so that no run fills the disk.
    pub(crate) fn empty_access_log(&self) {
        let _ = fs::File::options().write(true).open(&self.access_log).and_then(|file| file.set_len(0));
    }

    fn wait(&mut self, what: &str, mut holds: impl FnMut() -> bool) -> Result<(), Failure> {
        let start = Instant::now();
        loop {
            if holds() {
                return Ok(());
            }
            if !self.process.is_running() {
                let last = self.last_line();
                return Err(Failure(format!("the Envoy of {} has ended: {last}", self.variant.name())));
            }
            if start.elapsed() > PATIENCE {
                let (name, last) = (self.variant.name(), self.last_line());
                return Err(Failure(format!("the Envoy of {name} {what}: {last}")));
            }
            std::thread::sleep(POLL);
        }
    }

    fn last_line(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.lines().next_back().unwrap_or("it said nothing").to_owned()
    }
}

/// Waits until a number is reached.
///
/// # Errors
/// When it is not, after a while, or when it cannot be read.
pub(crate) fn wait_for(
    what: &str,
    wanted: u64,
    limit: Duration,
    mut read: impl FnMut() -> Result<u64, Failure>,
) -> Result<(), Failure> {
    let start = Instant::now();
    loop {
        let found = read()?;
        if found >= wanted {
            return Ok(());
        }
        if start.elapsed() > limit {
            return Err(Failure(format!("{found} {what}, not {wanted}")));
        }
        std::thread::sleep(POLL);
    }
}

/// The sum of some series on a page for Prometheus.
fn sum(page: &str, name: &str, label: &str) -> u64 {
    let values = page.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let labels = series.strip_prefix(name)?;
        let is_one = (labels.is_empty() || labels.starts_with('{')) && labels.contains(label);
        is_one.then(|| value.parse::<u64>().ok()).flatten()
    });
    values.sum()
}

/// What Linux has promised to programs for ever.
const TICKS_PER_SECOND: u32 = 100;

/// The same time as `/proc/PID/stat` has in hundredths of a second, in nanoseconds, where the kernel tells it.
fn precise(id: u32) -> Option<Duration> {
    let mut total = 0;
    for thread in fs::read_dir(format!("/proc/{id}/task")).ok()? {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        total += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    (total > 0).then(|| Duration::from_nanos(total))
}

/// Finds the Envoy that `make envoy-up` uses.
///
/// # Errors
/// When there is none of the pinned version.
pub(crate) fn find() -> Result<PathBuf, Failure> {
    let pinned = include_str!("../../../../envoy/VERSION").trim();
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(named) = variable("ENVOY_BIN") {
        return match version(&named) {
            Some(_) => Ok(named),
            None => Err(Failure(format!("ENVOY_BIN names {}, which does not run as Envoy", named.display()))),
        };
    }
    let on_path = PathBuf::from("envoy");
    if version(&on_path).is_some_and(|version| minor(&version) == minor(pinned)) {
        return Ok(on_path);
    }
    let cache = variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")));
    let marker = cache.map(|cache| cache.join(format!("attach/envoy-{pinned}/attach-installed")));
    let installed = marker.and_then(|marker| fs::read_to_string(marker).ok());
    let installed = installed.map(|path| PathBuf::from(path.trim())).filter(|path| path.is_file());
    installed.ok_or_else(|| {
        Failure(format!("there is no Envoy {pinned}: run `make envoy-up` once, or set ENVOY_BIN to one"))
    })
}

/// `…/1.40.0/…` of `envoy --version`.
fn version(binary: &Path) -> Option<String> {
    let output = Command::new(binary).arg("--version").stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_version =
        |part: &&str| part.split('.').count() == 3 && part.starts_with(|c: char| c.is_ascii_digit());
    text.split(['/', ' ']).find(is_version).map(str::to_owned)
}

fn minor(version: &str) -> Option<&str> {
    version.rsplit_once('.').map(|(minor, _)| minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statistic_is_the_sum_of_its_series() {
        let page = "# TYPE a_total counter\na_total{source=\"reported\"} 3\na_total{source=\"counted\"} 4\n\
            a_total_more{source=\"reported\"} 5\nb 7\n";
        assert_eq!(sum(page, "a_total", ""), 7);
        assert_eq!(sum(page, "a_total", "source=\"reported\""), 3);
        assert_eq!((sum(page, "b", ""), sum(page, "c", "")), (7, 0));
    }
}
