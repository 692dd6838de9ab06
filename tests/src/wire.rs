//! HTTP/1.1 on a stream, no more of it than a test needs and nothing corrected: what one writes is what is
//! sent, and what came in is what one sees, byte for byte.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::http::Headers;

/// How long a peer may be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// The longest head that is read.
const MAX_HEAD: usize = 256 * 1024;

/// A connection.
pub trait Connection: Read + Write + Send {}
impl<T: Read + Write + Send> Connection for T {}

/// The first line of a message and its headers.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// `GET /path HTTP/1.1` or `HTTP/1.1 200 OK`.
    pub start: String,
    /// The fields.
    pub headers: Headers,
}

/// How a body's end is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
    Done,
}

/// One end of an HTTP/1.1 connection.
pub struct Wire {
    connection: Box<dyn Connection>,
    buffer: Vec<u8>,
    framing: Framing,
    /// The trailers of the body that was read last.
    pub trailers: Headers,
}

impl Wire {
    /// On a connection whose timeouts are set.
    #[must_use]
    pub fn new(connection: Box<dyn Connection>) -> Self {
        Self { connection, buffer: Vec::new(), framing: Framing::Done, trailers: Headers::default() }
    }

    /// On a TCP connection.
    ///
    /// # Errors
    /// When its timeouts cannot be set.
    pub fn tcp(stream: TcpStream) -> io::Result<Self> {
        Ok(Self::new(Box::new(with_timeouts(stream)?)))
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the other end is gone.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.connection.write_all(bytes)?;
        self.connection.flush()
    }

    /// Sends one chunk of a chunked body; an empty one would be its end and is not sent.
    ///
    /// # Errors
    /// When the other end is gone.
    pub fn send_chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.send(&chunk)
    }

    /// Sends the end of a chunked body.
    ///
    /// # Errors
    /// When the other end is gone.
    pub fn send_end(&mut self, trailers: &[(&str, &str)]) -> io::Result<()> {
        let fields: String = trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        self.send(format!("0\r\n{fields}\r\n").as_bytes())
    }

    /// Some bytes, as they are, however many there are; none at the end of the connection.
    ///
    /// # Errors
    /// When the other end is gone or silent.
    pub fn receive(&mut self) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() {
            self.fill()?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    /// The next message's head; `None` at the end of the connection.
    ///
    /// # Errors
    /// When the other end is silent or does not speak HTTP.
    pub fn head(&mut self) -> io::Result<Option<Head>> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(bad("a head without end"));
            }
            if self.fill()? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(bad("half a head")) };
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let mut lines = head.strip_suffix(b"\r\n\r\n").unwrap_or(&head).split(|byte| *byte == b'\n');
        let start = String::from_utf8_lossy(lines.next().unwrap_or_default()).trim().to_owned();
        let headers = Headers(lines.filter_map(field).collect());
        self.trailers = Headers::default();
        Ok(Some(Head { start, headers }))
    }

    /// Says that a body follows the head that was read. `reply_to`: the head is a response to that method.
    pub fn expect_body(&mut self, head: &Head, reply_to: Option<&str>) {
        let status = head.start.split(' ').nth(1).unwrap_or_default();
        let bodiless = reply_to.is_some_and(|method| {
            method == "HEAD" || status == "204" || status == "304" || status.starts_with('1')
        });
        self.framing = if bodiless {
            Framing::Done
        } else if head.headers.all("transfer-encoding").iter().any(|coding| coding.ends_with(b"chunked")) {
            Framing::Chunked
        } else if let Some(length) = head.headers.all("content-length").first() {
            let length = std::str::from_utf8(length).ok().and_then(|text| text.trim().parse().ok());
            Framing::Length(length.unwrap_or_default())
        } else if reply_to.is_some() {
            Framing::UntilClose
        } else {
            Framing::Done
        };
    }

    /// The next piece of the body, as soon as there is one; `None` at its end. A chunk is one piece.
    ///
    /// # Errors
    /// When the body breaks off.
    pub fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.framing {
            Framing::Done | Framing::Length(0) => {
                self.framing = Framing::Done;
                Ok(None)
            }
            Framing::Length(left) => {
                if self.buffer.is_empty() && self.fill()? == 0 {
                    return Err(bad("the body broke off"));
                }
                let take = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                self.framing = Framing::Length(left - take as u64);
                Ok(Some(self.buffer.drain(..take).collect()))
            }
            Framing::UntilClose => {
                if self.buffer.is_empty() && self.fill()? == 0 {
                    self.framing = Framing::Done;
                    return Ok(None);
                }
                Ok(Some(std::mem::take(&mut self.buffer)))
            }
            Framing::Chunked => self.chunk(),
        }
    }

    /// The rest of the body.
    ///
    /// # Errors
    /// When it breaks off.
    pub fn body(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece()? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.line()?;
        let size = String::from_utf8_lossy(&line);
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16)
            .map_err(|_| bad("no chunk"))?;
        if size == 0 {
            loop {
                let line = self.line()?;
                match field(&line) {
                    Some(trailer) => self.trailers.0.push(trailer),
                    None => break,
                }
            }
            self.framing = Framing::Done;
            return Ok(None);
        }
        while self.buffer.len() < size + 2 {
            if self.fill()? == 0 {
                return Err(bad("the chunk broke off"));
            }
        }
        let chunk = self.buffer.drain(..size).collect();
        self.buffer.drain(..2);
        Ok(Some(chunk))
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line = self.buffer.drain(..at).collect();
                self.buffer.drain(..2);
                return Ok(line);
            }
            if self.fill()? == 0 {
                return Err(bad("the body broke off"));
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 64 * 1024];
        let count = self.connection.read(&mut bytes)?;
        self.buffer.extend_from_slice(&bytes[..count]);
        Ok(count)
    }
}

/// Sets the timeouts that every connection of the tests has.
///
/// # Errors
/// When the system refuses.
pub fn with_timeouts(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    Ok(stream)
}

fn field(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    Some((line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec()))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
