//! One connection that stays open: whole requests go out, answers of known length come back.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::failure::{During as _, Failure};

/// How long it may be silent.
const PATIENCE: Duration = Duration::from_secs(20);

/// The connection.
pub(crate) struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).during(format_args!("a connection to {address}"))?;
        let ready = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(PATIENCE)));
        ready.during("a connection")?;
        Ok(Self { reader: BufReader::new(stream) })
    }

    /// Sends one request or several.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(crate) fn send(&mut self, requests: &[u8]) -> Result<(), Failure> {
        self.reader.get_ref().write_all(requests).during("a request")
    }

    /// The status of the next answer; its body is read and left.
    ///
    /// # Errors
    /// When the connection breaks, or is silent for too long.
    pub(crate) fn status(&mut self) -> Result<u16, Failure> {
        self.answer().during("an answer")
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// When the connection breaks, or the answer has another status.
    pub(crate) fn ask(&mut self, request: &[u8], wanted: u16) -> Result<(), Failure> {
        self.send(request)?;
        match self.status()? {
            status if status == wanted => Ok(()),
            status => Err(Failure(format!("an answer had status {status}, not {wanted}"))),
        }
    }

    fn answer(&mut self) -> std::io::Result<u16> {
        let reader = &mut self.reader;
        let (mut line, mut status, mut length) = (String::new(), 0, 0);
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let text = line.trim_end();
            if status == 0 {
                status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(1);
            } else if text.is_empty() {
                std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink())?;
                return Ok(status);
            } else if let Some((name, value)) = text.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or_default();
            }
        }
    }
}
