//! A gateway as people have it: started by `attach up`, in a folder of its own, on free ports.
//!
//! Each has a watchdog: a shell that waits for the end of its standard input, which the test process holds.
//! When the gateway is dropped, and when the process ends for whatever reason, the watchdog runs `attach
//! down` and removes the folder. So gateways may stand in statics and be shared by all tests of a binary, and
//! nothing is left running. When a test has failed meanwhile, the folder with its logs is kept.

mod command;
mod watchdog;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::peers::{Leashed, leash};
use crate::request::{Request, Response};
use crate::{env, ports, wait};

pub use command::{Ended, finish, is_running};
use watchdog::Watchdog;

/// Envoy writes its access log every ten seconds at the latest.
const LOG_LIMIT: Duration = Duration::from_secs(30);

/// What a gateway is to be.
#[derive(Clone, Debug)]
pub struct Builder {
    name: String,
    settings: Vec<(String, String)>,
    files: Vec<(String, String)>,
    attach: PathBuf,
    environment: Vec<(OsString, OsString)>,
}

/// A folder with settings, and the gateway that may run on them.
pub struct Gateway {
    folder: PathBuf,
    attach: PathBuf,
    environment: Vec<(OsString, OsString)>,
    settings: Mutex<Vec<(String, String)>>,
    /// Where clients call it.
    pub address: SocketAddr,
    /// Envoy's admin interface.
    pub admin: SocketAddr,
    /// The control service.
    pub control: SocketAddr,
    /// The dev identity provider, where it runs.
    pub idp: SocketAddr,
    /// The echo engine, where it runs.
    pub echo: SocketAddr,
    watchdog: Mutex<Watchdog>,
}

impl Builder {
    /// A gateway with `attach`'s own defaults, but for the ports.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            settings: Vec::new(),
            files: Vec::new(),
            attach: env::attach(),
            environment: Vec::new(),
        }
    }

    /// With a setting in its env file.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }

    /// With an `attach.yaml` beside its env file.
    #[must_use]
    pub fn document(self, yaml: &str) -> Self {
        self.file("attach.yaml", yaml)
    }

    /// With a file beside its env file, whence settings may name it by its name alone.
    #[must_use]
    pub fn file(mut self, name: &str, content: &str) -> Self {
        self.files.push((name.to_owned(), content.to_owned()));
        self
    }

    /// Run by another copy of the binary.
    #[must_use]
    pub fn binary(mut self, attach: &Path) -> Self {
        self.attach = attach.to_path_buf();
        self
    }

    /// With a variable in the environment of `attach`.
    #[must_use]
    pub fn environment(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Makes the folder, starts nothing.
    ///
    /// # Panics
    /// When the folder cannot be made.
    #[must_use]
    pub fn prepare(self) -> Gateway {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = env::state().join(format!("{}-{}-{number}", self.name, std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for the gateway");
        let folder = folder.canonicalize().expect("that folder");
        let ports: [u16; 5] = std::array::from_fn(|_| ports::free());
        let named = ["PORT", "ADMIN_PORT", "CONTROL_PORT", "IDP_PORT", "ECHO_PORT"];
        let mut settings: Vec<(String, String)> =
            named.iter().zip(ports).map(|(name, port)| ((*name).to_owned(), port.to_string())).collect();
        // Some defaults listen everywhere.
        put(&mut settings, "HOST", "127.0.0.1");
        // The last one of a name wins: a test may choose a port itself.
        for (name, value) in self.settings {
            put(&mut settings, &name, &value);
        }
        let port = |name: &str| {
            let text = settings.iter().find(|(have, _)| have == name).map(|(_, value)| value.clone());
            let port = text.and_then(|text| text.parse().ok()).unwrap_or_default();
            SocketAddr::from((Ipv4Addr::LOCALHOST, port))
        };
        let gateway = Gateway {
            address: port("PORT"),
            admin: port("ADMIN_PORT"),
            control: port("CONTROL_PORT"),
            idp: port("IDP_PORT"),
            echo: port("ECHO_PORT"),
            watchdog: Mutex::new(Watchdog::start(&self.attach, &folder)),
            environment: environment(&folder, self.environment),
            attach: self.attach,
            folder,
            settings: Mutex::new(settings),
        };
        gateway.write_settings();
        for (name, content) in &self.files {
            gateway.write_file(name, content);
        }
        gateway
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When `attach up` fails.
    #[must_use]
    pub fn start(self) -> Gateway {
        let gateway = self.prepare();
        gateway.up().expect_success();
        gateway
    }
}

impl Gateway {
    /// Its folder: `.env`, `attach.yaml`, `state/`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its state folder.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Its env file.
    #[must_use]
    pub fn env_file(&self) -> PathBuf {
        self.folder.join("settings.env")
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes a setting in the env file; nothing is restarted.
    pub fn set(&self, name: &str, value: impl std::fmt::Display) {
        put(&mut lock(&self.settings), name, &value.to_string());
        self.write_settings();
    }

    /// Writes a file beside its env file.
    ///
    /// # Panics
    /// When the file system refuses.
    pub fn write_file(&self, name: &str, content: &str) {
        let path = self.folder.join(name);
        let written =
            fs::create_dir_all(path.parent().unwrap_or(&path)).and_then(|()| fs::write(&path, content));
        written.unwrap_or_else(|error| panic!("{name}: {error}"));
    }

    /// `attach up`.
    pub fn up(&self) -> Ended {
        self.run(&["up"])
    }

    /// Some subcommand of `attach` on this gateway's settings.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = self.command(arguments);
        command.arg("--state-dir").arg(self.state());
        if !matches!(arguments.first(), Some(&("down" | "status" | "logs"))) {
            command.arg("--env-file").arg(self.env_file());
        }
        finish(&mut command)
    }

    /// `attach` with arguments and nothing else, in this gateway's environment and folder.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.attach);
        command.args(arguments).env_clear().envs(self.environment.iter().cloned());
        command.current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    /// Sends a request to the gateway.
    #[must_use]
    pub fn send(&self, request: &Request) -> Response {
        request.send(self.address)
    }

    /// What the access log says of the requests with `mark` in their path, once there are `count` of them.
    ///
    /// # Panics
    /// When they do not come.
    #[must_use]
    pub fn access_log(&self, mark: &str, count: usize) -> Vec<Value> {
        wait::until_within(LOG_LIMIT, &format!("{count} lines about {mark} in the access log"), || {
            let lines = self.access_lines(mark);
            (lines.len() >= count).then_some(lines)
        })
    }

    fn access_lines(&self, mark: &str) -> Vec<Value> {
        let text = self.log("access");
        let lines = text.lines().filter(|line| line.contains(mark));
        lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// A whole log as it is now; empty if there is none.
    #[must_use]
    pub fn log(&self, name: &str) -> String {
        let bytes = fs::read(self.state().join("logs").join(format!("{name}.log"))).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Everything that any log says.
    #[must_use]
    pub fn logs(&self) -> String {
        ["access", "envoy", "control", "idp", "engine"].map(|name| self.log(name)).concat()
    }

    /// The process id of a service that `attach up` recorded, while it runs.
    #[must_use]
    pub fn pid(&self, service: &str) -> Option<u64> {
        let record = fs::read(self.state().join("run").join(format!("{service}.json"))).ok()?;
        let record: Value = serde_json::from_slice(&record).ok()?;
        let pid = record["pid"].as_u64()?;
        is_running(pid).then_some(pid)
    }

    /// The process ids of all services.
    #[must_use]
    pub fn pids(&self) -> Vec<(&'static str, u64)> {
        ["idp", "engine", "control", "envoy"]
            .into_iter()
            .filter_map(|service| Some((service, self.pid(service)?)))
            .collect()
    }

    /// Ends Envoy and starts it again, from the same files and with the same environment, without waiting
    /// for anything but its listener: what `attach up` would call a failure can be looked at. It ends with
    /// what is returned.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn restart_envoy(&self) -> Leashed {
        let pid = self.pid("envoy").expect("Envoy runs");
        let read = |name: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{name}")).expect("our own process");
            let parts = bytes.split(|byte| *byte == 0).filter(|part| !part.is_empty());
            parts.map(|part| OsString::from_vec(part.to_vec())).collect::<Vec<_>>()
        };
        let (command, environment) = (read("cmdline"), read("environ"));
        finish(Command::new("kill").arg(pid.to_string())).expect_success();
        wait::until("Envoy to end", || (!is_running(pid)).then_some(()));
        let log =
            fs::File::options().append(true).open(self.state().join("logs/envoy.log")).expect("its log");
        let pairs = environment.iter().filter_map(|pair| {
            let (name, value) = pair.to_str()?.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        });
        let mut again = leash(&command[0], &command[1..]);
        again.env_clear().envs(pairs).current_dir(self.state()).stderr(log);
        let leashed = Leashed::start(&mut again);
        wait::until("Envoy to listen", || TcpStream::connect(self.address).ok());
        leashed
    }

    /// Stops it now, and waits for that.
    pub fn stop(&self) {
        lock(&self.watchdog).stop();
    }

    fn write_settings(&self) {
        let mut text = String::new();
        for (name, value) in lock(&self.settings).iter() {
            let _ = writeln!(text, "{name}={value}");
        }
        fs::write(self.env_file(), text).expect("the env file is written");
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop();
    }
}

fn put(settings: &mut Vec<(String, String)>, name: &str, value: &str) {
    settings.retain(|(have, _)| have != name);
    settings.push((name.to_owned(), value.to_owned()));
}

/// What `attach` may know of the test's own environment: where programs are, and where Envoy is kept.
fn environment(folder: &Path, more: Vec<(OsString, OsString)>) -> Vec<(OsString, OsString)> {
    let mut environment: Vec<(OsString, OsString)> = ["PATH", "HOME", "XDG_CACHE_HOME", "ENVOY_BIN"]
        .iter()
        .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)))
        .collect();
    environment.push(("XDG_STATE_HOME".into(), folder.join("xdg-state").into()));
    environment.extend(more);
    environment
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
