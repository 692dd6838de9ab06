//! Real peers: processes of others that the tests talk to.

mod openmeter;
mod prometheus;
mod redis;
mod scripts;
mod weaviate;

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::gateway::finish;
use crate::request::Request;
use crate::{env, ports, wait};

pub use openmeter::OpenMeter;
pub use prometheus::Prometheus;
pub use redis::Redis;
pub use scripts::{AgentAuth, Mcp, node, python};
pub use weaviate::{Version, Weaviate};

/// A process that ends when this is dropped, and when the test process ends for whatever reason.
pub struct Leashed(Child);

/// A command that runs a program only for as long as its own standard input is open.
#[must_use]
pub fn leash(program: impl AsRef<OsStr>, arguments: &[impl AsRef<OsStr>]) -> Command {
    // The program comes first: what the shell ignores, whoever it starts would ignore, too.
    const SCRIPT: &str = r#""$@" & trap '' INT TERM HUP; read -r how; kill ${how:--TERM} $!; wait $!"#;
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "leash"]).arg(program).args(arguments).stdout(Stdio::piped());
    command
}

impl Leashed {
    /// Starts what [`leash`] made.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Ends it with `SIGKILL`: it has no time for anything.
    pub(crate) fn kill(mut self) {
        if let Some(input) = &mut self.0.stdin {
            let _ = input.write_all(b"-KILL\n");
        }
    }

    /// Waits for a line of its output; goes on reading, so that it can go on writing.
    ///
    /// # Panics
    /// When it ends without that line.
    fn wait_for(&mut self, line: &str) {
        let mut lines = BufReader::new(self.0.stdout.take().expect("piped")).lines();
        let found = lines.by_ref().map_while(Result::ok).any(|have| have == line);
        assert!(found, "it ended without saying {line:?}");
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// npm's `oidc-provider`.
pub struct OidcProvider {
    script: PathBuf,
    port: u16,
    audience: String,
    scopes: String,
    claims: String,
    running: Option<Leashed>,
}

impl OidcProvider {
    /// Starts it with a key of that name; `None`, after a word, where Node is missing.
    #[must_use]
    pub fn start(kid: &str, audience: &str) -> Option<Self> {
        let script = env::peer("ATTACH_TEST_OIDC_PROVIDER", "Node (the packages nodejs and npm)")?;
        Some(Self::run(script, kid, audience, "", &Value::Object(serde_json::Map::new())))
    }

    /// Starts one that knows scopes, with blanks between them, and puts claims into its tokens.
    ///
    /// # Panics
    /// When it is missing, or does not start.
    #[must_use]
    pub fn with(audience: &str, scopes: &str, claims: &Value) -> Self {
        let script = env::required_peer("ATTACH_TEST_OIDC_PROVIDER", "Node (the packages nodejs and npm)");
        Self::run(script, "first", audience, scopes, claims)
    }

    fn run(script: PathBuf, kid: &str, audience: &str, scopes: &str, claims: &Value) -> Self {
        let (audience, scopes) = (audience.to_owned(), scopes.to_owned());
        let mut provider =
            Self { script, port: ports::free(), audience, scopes, claims: claims.to_string(), running: None };
        provider.rotate(kid);
        provider
    }

    /// Its `iss`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts it again at the same address, with another key.
    pub fn rotate(&mut self, kid: &str) {
        self.running = None;
        let port = self.port.to_string();
        let arguments = [&*port, kid, &self.audience, &self.scopes, &self.claims].map(OsStr::new);
        let arguments: Vec<&OsStr> = [self.script.as_os_str()].into_iter().chain(arguments).collect();
        let mut command = leash("node", &arguments);
        let mut leashed = Leashed::start(command.stderr(Stdio::null()));
        leashed.wait_for("ready");
        self.running = Some(leashed);
    }

    /// A token by the client-credentials grant.
    ///
    /// # Panics
    /// When it gives none.
    #[must_use]
    pub fn token(&self) -> String {
        self.token_for("")
    }

    /// The same, with scopes.
    ///
    /// # Panics
    /// When it gives none.
    #[must_use]
    pub fn token_for(&self, scopes: &str) -> String {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        // agent:agent-secret
        let scopes = scopes.replace(' ', "+");
        let answer = Request::post("/token", format!("grant_type=client_credentials&scope={scopes}"))
            .header("authorization", "Basic YWdlbnQ6YWdlbnQtc2VjcmV0")
            .header("content-type", "application/x-www-form-urlencoded")
            .send(address)
            .expect(200)
            .json();
        answer["access_token"].as_str().expect("a token").to_owned()
    }
}

/// A real Ollama with a model of random weights.
pub struct Ollama {
    /// Where it listens.
    pub address: SocketAddr,
    folder: PathBuf,
    running: Option<Leashed>,
}

impl Ollama {
    /// The name of the model it has.
    pub const MODEL: &str = "attach-random:latest";

    /// Starts it; `None`, after a word, where it could not be built.
    ///
    /// # Panics
    /// When it does not start or does not take the model.
    #[must_use]
    pub fn start() -> Option<Self> {
        let binary = env::peer("ATTACH_TEST_OLLAMA", "Go (the package golang-go)")?;
        let python = interpreter()?;
        let folder = env::state().join(format!("ollama-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for Ollama");
        let folder = folder.canonicalize().expect("that folder");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::free()));

        let model = folder.join("model.gguf");
        finish(Command::new(&python).arg(script("make_model.py")).arg(&model)).expect_success();
        std::fs::write(folder.join("Modelfile"), format!("FROM {}\n", model.display())).expect("a Modelfile");

        let set = |command: &mut Command| {
            command.env("OLLAMA_HOST", address.to_string()).env("OLLAMA_MODELS", folder.join("models"));
            command.env("HOME", &folder).current_dir(&folder);
        };
        let log = std::fs::File::create(folder.join("log")).expect("a log");
        let mut serve = leash(&binary, &["serve"]);
        set(&mut serve);
        let running = Leashed::start(serve.stdout(Stdio::null()).stderr(log));
        wait::until("Ollama to answer", || {
            let response = Request::get("/api/version").try_send(address).ok()?;
            (response.status == 200).then_some(())
        });
        let mut create = Command::new(&binary);
        create.args(["create", "attach-random", "-f", "Modelfile"]);
        set(&mut create);
        finish(&mut create).expect_success();
        Some(Self { address, folder, running: Some(running) })
    }

    /// What the clients of `chat_clients.py` found behind a gateway.
    ///
    /// # Panics
    /// When they fail.
    #[must_use]
    pub fn clients(gateway: &str, token: &str) -> Value {
        let python = interpreter().expect("it made the model");
        let mut command = Command::new(python);
        command.arg(script("chat_clients.py")).args([gateway, Self::MODEL]).env("ATTACH_TOKEN", token);
        let ended = finish(&mut command).expect_success();
        serde_json::from_str(&ended.stdout).expect("one JSON object")
    }
}

impl Drop for Ollama {
    fn drop(&mut self) {
        drop(self.running.take());
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn interpreter() -> Option<PathBuf> {
    env::peer("ATTACH_TEST_PYTHON", "Python 3 with venv (the package python3-venv)")
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(name)
}
