//! Peers that are libraries: a script of each takes one JSON document and gives one.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{Leashed, leash, script};
use crate::{env, ports, wait};

/// How long a script may take; the slowest makes RSA keys.
const LIMIT: Duration = Duration::from_secs(90);

/// What a script of `tests/peers/credentials` answers.
///
/// # Panics
/// When it is missing or fails.
#[must_use]
pub fn node(name: &str, asked: &Value) -> Value {
    let folder = env::required_peer("ATTACH_TEST_CREDENTIALS", "Node (the packages nodejs and npm)");
    run(Command::new("node").arg(folder.join(name)), name, asked)
}

/// What a Python script of `tests/peers` answers.
///
/// # Panics
/// When it is missing or fails.
#[must_use]
pub fn python(name: &str, asked: &Value) -> Value {
    run(Command::new(interpreter()).arg(script(name)), name, asked)
}

pub(super) fn interpreter() -> PathBuf {
    env::required_peer("ATTACH_TEST_PYTHON", "Python 3 with venv (the package python3-venv)")
}

fn run(command: &mut Command, name: &str, asked: &Value) -> Value {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
    child.stdin.take().expect("piped").write_all(asked.to_string().as_bytes()).expect("it reads");
    let id = child.id();
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || drop(send.send(child.wait_with_output())));
    let Ok(output) = receive.recv_timeout(LIMIT) else {
        let _ = Command::new("kill").arg(id.to_string()).status();
        panic!("{name} was not done after {} s", LIMIT.as_secs());
    };
    let output = output.expect("its output");
    assert!(output.status.success(), "{name} failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{name} gave no JSON ({error}): {}", String::from_utf8_lossy(&output.stdout))
    })
}

/// An MCP server of PyPI's `mcp`.
pub struct Mcp {
    /// Where it listens.
    pub address: SocketAddr,
    _running: Leashed,
}

impl Mcp {
    /// Starts it.
    ///
    /// # Panics
    /// When it is missing, or does not start.
    #[must_use]
    pub fn start() -> Self {
        let port = ports::free();
        let mut command = leash(
            interpreter(),
            &[script("mcp_server.py").as_os_str(), Path::new(&port.to_string()).as_os_str()],
        );
        let mut running = Leashed::start(command.stderr(Stdio::null()));
        running.wait_for("ready");
        Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), _running: running }
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What the client of `mcp_client.py` found and got, asked to talk to an MCP server for a user.
    ///
    /// # Panics
    /// When it does not get through.
    #[must_use]
    pub fn client(url: &str, user: &str) -> Value {
        python("mcp_client.py", &serde_json::json!({ "url": url, "user": user }))
    }
}

/// An agent of rotagent's own: Flask with its `AgentAuth`.
pub struct AgentAuth {
    /// Where it listens.
    pub address: SocketAddr,
    _running: Leashed,
}

impl AgentAuth {
    /// Starts it with a folder of public keys.
    ///
    /// # Panics
    /// When it is missing, or does not start.
    #[must_use]
    pub fn start(keys: &Path) -> Self {
        let port = ports::free();
        let number = port.to_string();
        let arguments = [script("agent_auth.py").into_os_string(), number.into(), keys.into()];
        let mut running = Leashed::start(leash(interpreter(), &arguments).stderr(Stdio::null()));
        running.wait_for("ready");
        Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), _running: running }
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The address of a server, once it listens.
pub(super) fn listening(address: SocketAddr, what: &str) {
    wait::until(what, || std::net::TcpStream::connect(address).ok().map(drop));
}
