//! Waiting until a started process answers.

use std::net::SocketAddr;
use std::time::Duration;

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

/// The answer to a health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// An HTTP status.
    Status(u16),
    /// Nobody answers, or not in HTTP.
    Silent(String),
}

impl Health {
    /// Whether it is well.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        *self == Self::Status(200)
    }
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Silent(why) => f.write_str(why),
        }
    }
}

/// Asks once. Plain HTTP to an address of this machine needs neither a client library nor TLS.
pub async fn ask(address: SocketAddr, path: &str) -> Health {
    match timeout(QUESTION, exchange(address, path)).await {
        Ok(Ok(status)) => Health::Status(status),
        Ok(Err(error)) => Health::Silent(error.to_string()),
        Err(_) => Health::Silent(format!("no answer within {} s", QUESTION.as_secs())),
    }
}

async fn exchange(address: SocketAddr, path: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
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
pub async fn wait(
    state: &StateDir,
    service: Service,
    record: &Record,
    address: SocketAddr,
    path: &str,
) -> Result<(), Error> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let health = ask(address, path).await;
        // After the question: had our process lost the race for the port, a stranger would have answered.
        if !record.is_running() {
            return Err(Error::died(state, service));
        }
        if health.is_ok() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::not_ready(state, service, DEADLINE.as_secs(), health.to_string()));
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
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert!(matches!(ask(free, "/healthz").await, Health::Silent(_)));
    }
}
