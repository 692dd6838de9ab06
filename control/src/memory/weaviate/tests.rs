//! Against a real Weaviate: `ATTACH_TEST_WEAVIATE` is its program.

mod faulty;
mod real;
mod tenants;

use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use attach_core::clock::UnixMillis;
use attach_core::mirror::{MemoryEvent, Object};
use serde_json::{Value, json};
use url::Url;

use super::*;
use crate::fetch;
use crate::memory::terms::{Error, Page, Reach, Record, SessionFilter, Stored};
use crate::supervise::tests::Folder;

/// What the program is named by.
const PROGRAM: &str = "ATTACH_TEST_WEAVIATE";

/// A real Weaviate on free ports, in a folder of its own.
pub(crate) struct Server {
    process: Option<Child>,
    more: Vec<(String, String)>,
    ports: [u16; 7],
    folder: Folder,
}

impl Server {
    /// `None` where this machine has none, which CI does not let pass: nobody else tries what is asked of it.
    pub(crate) async fn start(name: &str, more: &[(&str, &str)]) -> Option<Self> {
        if std::env::var_os(PROGRAM).is_none() {
            assert!(std::env::var_os("CI").is_none(), "{PROGRAM} must be the path of weaviate-server");
            eprintln!("{PROGRAM} is not set to the path of weaviate-server: this test checks nothing here");
            return None;
        }
        let folder = Folder::new(&format!("weaviate-{name}"));
        let more = more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut server = Self { process: None, more, ports: free_ports(), folder };
        server.run().await;
        Some(server)
    }

    /// Starts it, again after [`kill`](Self::kill).
    pub(crate) async fn run(&mut self) {
        let [http, grpc, gossip, data, raft, rpc, profiling] = self.ports;
        let mut command = Command::new(std::env::var_os(PROGRAM).unwrap());
        command
            .args(["--host", "127.0.0.1", "--scheme", "http", "--port", &http.to_string()])
            .env("CLUSTER_ADVERTISE_ADDR", "127.0.0.1")
            .env("CLUSTER_BIND_ADDR", "127.0.0.1")
            .env("CLUSTER_HOSTNAME", "node1")
            .env("RAFT_BOOTSTRAP_EXPECT", "1")
            .env("PERSISTENCE_DATA_PATH", self.folder.path())
            .env("DEFAULT_VECTORIZER_MODULE", "none")
            .env("AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED", "true")
            .env("DISABLE_TELEMETRY", "true")
            .env("LOG_LEVEL", "error")
            .envs(self.more.iter().map(|(name, value)| (name, value)))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        for (name, port) in [
            ("GRPC_PORT", grpc),
            ("CLUSTER_GOSSIP_BIND_PORT", gossip),
            ("CLUSTER_DATA_BIND_PORT", data),
            ("RAFT_PORT", raft),
            ("RAFT_INTERNAL_RPC_PORT", rpc),
            ("GO_PROFILING_PORT", profiling),
        ] {
            command.env(name, port.to_string());
        }
        self.process = Some(command.spawn().unwrap());
        let url = below(&self.url(), "/v1/.well-known/ready");
        let client = client();
        let deadline = Instant::now() + Duration::from_secs(60);
        while !client.get(url.clone()).send().await.is_ok_and(|answer| answer.status() == 200) {
            let ended = self.process.as_mut().and_then(|process| process.try_wait().unwrap());
            assert!(ended.is_none() && Instant::now() < deadline, "Weaviate did not start: {ended:?}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    pub(crate) fn url(&self) -> Url {
        Url::parse(&format!("http://127.0.0.1:{}", self.ports[0])).unwrap()
    }

    pub(crate) fn weaviate(&self, tenants: bool) -> Weaviate {
        Weaviate::new(self.url(), None, tenants, None, client())
    }

    /// Speaks to it without what is tested.
    async fn raw(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = client().request(method, below(&self.url(), path));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
    }

    /// How many events there are, of all.
    pub(crate) async fn count(&self) -> u64 {
        let query = json!({"query": "{Aggregate{MemoryEvent{meta{count}}}}"});
        let (_, answer) = self.raw(Method::POST, "/v1/graphql", Some(query)).await;
        answer.pointer("/data/Aggregate/MemoryEvent/0/meta/count").and_then(Value::as_u64).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

use crate::discover::engine::below;

pub(crate) fn client() -> reqwest::Client {
    fetch::client(None, DEADLINE).unwrap()
}

/// Ports that nobody has, neither by TCP nor by UDP; the fourth is the one after the third, as Weaviate wants it.
fn free_ports() -> [u16; 7] {
    let hold = |port: u16| {
        let tcp = TcpListener::bind(("127.0.0.1", port)).ok()?;
        let udp = UdpSocket::bind(tcp.local_addr().ok()?).ok()?;
        Some((tcp, udp))
    };
    let number = |held: &(TcpListener, UdpSocket)| held.0.local_addr().unwrap().port();
    loop {
        let held: Vec<_> = std::iter::repeat_with(|| hold(0)).flatten().take(6).collect();
        let numbers = std::array::from_fn(|at| held.get(at).map_or(0, number));
        let [http, grpc, gossip, raft, rpc, profiling]: [u16; 6] = numbers;
        if let Some(_data) = gossip.checked_add(1).and_then(hold) {
            return [http, grpc, gossip, gossip + 1, raft, rpc, profiling];
        }
    }
}

pub(crate) const SESSION: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// An event of somebody's, at a millisecond.
pub(crate) fn event(owner: &str, at: u64, content: &str) -> MemoryEvent {
    MemoryEvent {
        timestamp: UnixMillis(at),
        event: "prompt".to_owned(),
        session_id: SESSION.to_owned(),
        user: owner.to_owned(),
        owner: owner.to_owned(),
        role: "user".to_owned(),
        content: content.to_owned(),
        model: "llama3".to_owned(),
        tokens: 7,
        request_id: "r-1".to_owned(),
        state: "done".to_owned(),
        ..MemoryEvent::default()
    }
}

pub(crate) fn record(key: &str, event: MemoryEvent) -> Record {
    Record { object: Object::new(key, event, false), vector: None }
}

fn owner(name: &str) -> Reach {
    Reach::Owner(name.to_owned())
}

fn page(limit: usize) -> Page {
    Page { limit, before: None, session: None }
}

fn contents(stored: &[Stored]) -> Vec<&str> {
    stored.iter().map(|stored| stored.event.content.as_str()).collect()
}
