//! Waiting until a started process answers.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::process::Record;
use super::state::StateDir;
use super::{Error, Service};

/// How long a process may take to answer.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(2);
/// Between two questions.
const POLL: Duration = Duration::from_millis(25);

/// Where a process says how it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// An address of this machine.
    pub address: SocketAddr,
    /// The path that it answers 200 on when it is well.
    pub path: String,
}

/// The answer to a health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP status.
    Status(u16),
    /// Nobody answers, or not in HTTP.
    Silent(String),
}

impl Answer {
    /// Whether it is well.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        *self == Self::Status(200)
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Silent(why) => f.write_str(why),
        }
    }
}

/// Asks once. Plain HTTP to an address of this machine needs neither a client library nor TLS.
pub async fn ask(health: &Health) -> Answer {
    match timeout(QUESTION, exchange(health)).await {
        Ok(Ok(status)) => Answer::Status(status),
        Ok(Err(error)) => Answer::Silent(error.to_string()),
        Err(_) => Answer::Silent(format!("no answer within {} s", QUESTION.as_secs())),
    }
}

async fn exchange(health: &Health) -> std::io::Result<u16> {
    let Health { address, path } = health;
    let mut stream = TcpStream::connect(*address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    // "HTTP/1.1 200": what follows does not matter.
    let mut line = [0_u8; 12];
    stream.read_exact(&mut line).await?;
    status(&line).ok_or_else(|| std::io::Error::other("the answer is not HTTP"))
}

fn status(line: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(line).ok()?;
    line.strip_prefix("HTTP/1.")?.split_once(' ')?.1.parse().ok()
}

/// Waits until a process answers 200, as long as it lives.
///
/// # Errors
/// [`Error::Died`] as soon as it ends, [`Error::NotReady`] after 30 seconds.
pub async fn wait(state: &StateDir, service: Service, record: &Record) -> Result<(), Error> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let answer = ask(&record.health).await;
        // After the question: had our process lost the race for the port, a stranger would have answered.
        if !record.is_running() {
            return Err(Error::died(state, service, record.log_start));
        }
        if answer.is_ok() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let why = match (service, &answer) {
                (Service::Envoy, Answer::Status(503)) => ": it has no keys of any issuer",
                _ => "",
            };
            let answer = format!("{answer}{why}");
            return Err(Error::not_ready(state, service, record.log_start, DEADLINE.as_secs(), answer));
        }
        sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_gives_its_status() {
        for (line, expected) in [
            ("HTTP/1.1 200", Some(200)),
            ("HTTP/1.0 503", Some(503)),
            ("HTTP/1.1 2x0", None),
            ("SSH-2.0-Open", None),
            ("", None),
        ] {
            assert_eq!(status(line.as_bytes()), expected, "{line}");
        }
    }

    #[tokio::test]
    async fn a_closed_port_is_silent() {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let health = Health { address, path: "/healthz".into() };
        assert!(matches!(ask(&health).await, Answer::Silent(_)));
    }
}
