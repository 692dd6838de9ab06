//! A real Weaviate that can be killed: what it keeps outlives it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Leashed, leash, scripts};
use crate::gateway::is_running;
use crate::request::{Request, Response};
use crate::{env, ports, wait};

/// How long it may take to start; after a kill it reads its logs first.
const START: Duration = Duration::from_secs(90);
/// How much of its log a failure shows.
const TAIL: usize = 2_000;
/// How many objects one answer of its REST interface has.
const PAGE: usize = 500;
/// How many objects a test may have: more are no result but a mistake.
const MOST: usize = 100_000;

/// Which Weaviate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The one that the original names, 1.30.
    Old,
    /// The newest that could be built.
    New,
}

/// A running Weaviate, or one that was killed.
pub struct Weaviate {
    binary: PathBuf,
    folder: PathBuf,
    ports: Ports,
    key: Option<&'static str>,
    running: Option<Leashed>,
}

/// Where it listens.
#[derive(Clone, Copy)]
struct Ports {
    rest: u16,
    grpc: u16,
    gossip: u16,
    data: u16,
    raft: u16,
    raft_rpc: u16,
}

impl Weaviate {
    /// The key that one takes which was started [`with_key`](Self::with_key).
    pub const KEY: &str = "weaviate-test-key-8f2d";

    /// Starts an empty one that lets everybody in; `None`, after a word, where it could not be built.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(version: Version) -> Option<Self> {
        Self::of(version, None)
    }

    /// Starts an empty one that lets in whoever has [`KEY`](Self::KEY).
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn with_key(version: Version) -> Option<Self> {
        Self::of(version, Some(Self::KEY))
    }

    fn of(version: Version, key: Option<&'static str>) -> Option<Self> {
        let variable = match version {
            Version::Old => "ATTACH_TEST_WEAVIATE",
            Version::New => "ATTACH_TEST_WEAVIATE_NEW",
        };
        let binary = env::peer(variable, "Go (the package golang-go)")?;
        remove_remains();
        let [rest, grpc, gossip, data, raft, raft_rpc] = std::array::from_fn(|_| ports::free());
        let folder = env::state().join(format!("weaviate-{}-{rest}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for Weaviate");
        let folder = folder.canonicalize().expect("that folder");
        let ports = Ports { rest, grpc, gossip, data, raft, raft_rpc };
        let mut weaviate = Self { binary, folder, ports, key, running: None };
        weaviate.up();
        Some(weaviate)
    }

    /// Where its REST interface is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.ports.rest))
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Starts it again at the same addresses, with all that it had.
    ///
    /// # Panics
    /// When it does not start; says what it wrote last.
    pub fn up(&mut self) {
        let port = self.ports.rest.to_string();
        let mut command = leash(&self.binary, &["--host", "127.0.0.1", "--port", &port, "--scheme", "http"]);
        let mut set = |name: &str, value: &str| {
            command.env(name, value);
        };
        for (name, port) in [
            ("GRPC_PORT", self.ports.grpc),
            ("CLUSTER_GOSSIP_BIND_PORT", self.ports.gossip),
            ("CLUSTER_DATA_BIND_PORT", self.ports.data),
            ("RAFT_PORT", self.ports.raft),
            ("RAFT_INTERNAL_RPC_PORT", self.ports.raft_rpc),
        ] {
            set(name, &port.to_string());
        }
        // A cluster of one; else it looks for others and for an address to be found at.
        set("CLUSTER_HOSTNAME", "node1");
        set("CLUSTER_ADVERTISE_ADDR", "127.0.0.1");
        set("CLUSTER_BIND_ADDR", "127.0.0.1");
        set("RAFT_BOOTSTRAP_EXPECT", "1");
        set("DEFAULT_VECTORIZER_MODULE", "none");
        set("DISABLE_TELEMETRY", "true");
        set("GO_PROFILING_DISABLE", "true");
        // It would take nothing on a disk that is nearly full with something else.
        set("DISK_USE_WARNING_PERCENTAGE", "0");
        set("DISK_USE_READONLY_PERCENTAGE", "0");
        set("AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED", if self.key.is_none() { "true" } else { "false" });
        if let Some(key) = self.key {
            set("AUTHENTICATION_APIKEY_ENABLED", "true");
            set("AUTHENTICATION_APIKEY_ALLOWED_KEYS", key);
            set("AUTHENTICATION_APIKEY_USERS", "attach");
        }
        command.env("PERSISTENCE_DATA_PATH", self.data()).current_dir(&self.folder);
        let log = fs::File::options().create(true).append(true).open(self.log_file()).expect("a log");
        let copy = log.try_clone().expect("the same log");
        self.running = Some(Leashed::start(command.stdout(Stdio::from(copy)).stderr(log)));
        let start = std::time::Instant::now();
        while !self.is_ready() {
            assert!(start.elapsed() < START, "Weaviate is not ready: …{}", self.tail());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether it says that it is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let answer = Request::get("/v1/.well-known/ready").try_send(self.address());
        answer.is_ok_and(|answer| answer.status == 200)
    }

    /// `kill -9`; waits until it is gone.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
        wait::until("Weaviate to be gone", || {
            std::net::TcpStream::connect(self.address()).is_err().then_some(())
        });
    }

    /// Sends a request to its REST interface, with the key if it has one.
    #[must_use]
    pub fn send(&self, request: Request) -> Response {
        let request = match self.key {
            Some(key) => request.bearer(key),
            None => request,
        };
        request.send(self.address())
    }

    /// What it knows of a class; `None`: it has none of that name.
    ///
    /// # Panics
    /// When it says neither.
    #[must_use]
    pub fn class(&self, name: &str) -> Option<Value> {
        let answer = self.send(Request::get(format!("/v1/schema/{name}")));
        if answer.status == 404 {
            return None;
        }
        Some(answer.expect(200).json())
    }

    /// Every object of a class, over REST; nothing where there is no such class.
    ///
    /// # Panics
    /// When it does not answer, or there is no end of them.
    #[must_use]
    pub fn objects(&self, class: &str, tenant: Option<&str>) -> Vec<Value> {
        if self.class(class).is_none() {
            return Vec::new();
        }
        let tenant = tenant.map(|name| format!("&tenant={name}")).unwrap_or_default();
        let mut objects: Vec<Value> = Vec::new();
        loop {
            let last = objects.last().and_then(|last| last["id"].as_str());
            let after = last.map(|id| format!("&after={id}")).unwrap_or_default();
            let target = format!("/v1/objects?class={class}&limit={PAGE}{after}{tenant}");
            let page = self.send(Request::get(target)).expect(200).json();
            let Some(page) = page["objects"].as_array().filter(|page| !page.is_empty()) else {
                return objects;
            };
            objects.extend(page.iter().cloned());
            assert!(objects.len() < MOST, "no end of objects");
        }
    }

    /// The names of a class's tenants.
    ///
    /// # Panics
    /// When it does not answer with tenants.
    #[must_use]
    pub fn tenants(&self, class: &str) -> Vec<String> {
        let tenants = self.send(Request::get(format!("/v1/schema/{class}/tenants"))).expect(200).json();
        let tenants = tenants.as_array().expect("a list").iter();
        tenants.map(|tenant| tenant["name"].as_str().expect("a name").to_owned()).collect()
    }

    /// Every object of a class, as PyPI's `weaviate-client` reads them.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn read(&self, class: &str, tenant: Option<&str>) -> Vec<Value> {
        let asked = json!({
            "port": self.ports.rest, "grpc_port": self.ports.grpc, "key": self.key,
            "class": class, "tenant": tenant,
        });
        scripts::python("weaviate_read.py", &asked).as_array().expect("a list").clone()
    }

    /// Whether some text stands in any file that it keeps, or in its log.
    ///
    /// # Panics
    /// When it keeps no files.
    #[must_use]
    pub fn keeps(&self, text: &str) -> bool {
        let mut files = 0;
        let found = any_file(&self.folder, &mut |bytes| {
            files += 1;
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        });
        assert!(files > 1, "it keeps nothing in its folder");
        found
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn tail(&self) -> String {
        let log = fs::read(self.log_file()).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(TAIL)..]).into_owned()
    }
}

impl Drop for Weaviate {
    fn drop(&mut self) {
        // It keeps nothing that is to outlive a test.
        if let Some(running) = self.running.take() {
            running.kill();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Removes the folders of test processes that have ended: what stands in a static is never dropped.
fn remove_remains() {
    for entry in fs::read_dir(env::state()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix("weaviate-"));
        let process = rest.and_then(|rest| rest.split('-').next()?.parse().ok());
        if process.is_some_and(|process| !is_running(process)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn any_file(folder: &Path, found: &mut impl FnMut(&[u8]) -> bool) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            any_file(&path, found)
        } else {
            // A file that it removes meanwhile is none.
            fs::read(&path).is_ok_and(|bytes| found(&bytes))
        }
    })
}
