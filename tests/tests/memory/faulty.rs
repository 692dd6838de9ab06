//! What stands in front of a real Weaviate and lets through what it is told to.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use attach_tests::request::Request;
use attach_tests::upstream::{Exchange, Upstream};
use serde_json::json;

/// No request hangs for longer; no gateway waits for so long.
const LONG: Duration = Duration::from_secs(180);

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It goes through.
    Pass,
    /// It is read and never answered, for as long as it is this mode.
    Hang,
    /// It goes through, after a time.
    Slow(Duration),
    /// It is answered with this status.
    Status(u16),
    /// It goes through unless this word is in it: then it is refused as Weaviate refuses what it cannot read.
    Refuse(&'static str),
}

/// Stands in front of a Weaviate.
#[derive(Clone)]
pub struct Faulty {
    upstream: Upstream,
    mode: Arc<(Mutex<Mode>, Condvar)>,
}

impl Faulty {
    /// In front of this one; lets everything through.
    pub fn before(weaviate: SocketAddr) -> Self {
        let faulty =
            Self { upstream: Upstream::start(), mode: Arc::new((Mutex::new(Mode::Pass), Condvar::new())) };
        let server = faulty.clone();
        faulty.upstream.on("/", move |exchange| server.serve(exchange, weaviate));
        faulty
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        self.upstream.url()
    }

    /// From now on, and for those that hang.
    pub fn be(&self, mode: Mode) {
        *self.mode.0.lock().expect("a lock") = mode;
        self.mode.1.notify_all();
    }

    fn serve(&self, exchange: &mut Exchange, weaviate: SocketAddr) -> io::Result<()> {
        let body = exchange.body()?;
        let mode = self.mode.0.lock().expect("a lock").clone();
        match mode {
            Mode::Hang => {
                let mode = self.mode.0.lock().expect("a lock");
                drop(self.mode.1.wait_timeout_while(mode, LONG, |mode| *mode == Mode::Hang).expect("a lock"));
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            Mode::Status(status) => {
                let told = json!({"error": [{"message": "not now"}]}).to_string();
                return exchange.reply(
                    &format!("{status} Not Now"),
                    &[("content-type", "application/json")],
                    told.as_bytes(),
                );
            }
            Mode::Refuse(word) if String::from_utf8_lossy(&body).contains(word) => {
                let told = json!({"error": [{"message": "invalid object"}]}).to_string();
                return exchange.reply(
                    "422 Unprocessable Entity",
                    &[("content-type", "application/json")],
                    told.as_bytes(),
                );
            }
            Mode::Slow(time) => std::thread::sleep(time),
            Mode::Pass | Mode::Refuse(_) => {}
        }
        let mut request = Request::with_body(&exchange.method, &exchange.target, &body);
        for name in ["content-type", "authorization"] {
            if let Some(value) = exchange.headers.one(name) {
                request = request.header(name, value);
            }
        }
        let answer = request.try_send(weaviate)?;
        let kind = answer.headers.one("content-type").unwrap_or("application/json").to_owned();
        exchange.reply(&format!("{} From Weaviate", answer.status), &[("content-type", &kind)], &answer.body)
    }
}
