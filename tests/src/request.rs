//! A client that sends exactly what it is told.

use std::io;
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::http::Headers;
use crate::wire::{Head, Wire};

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: Vec<u8>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    body: Option<Vec<u8>>,
    chunked: bool,
}

/// A response that has come to its end.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The fields.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

/// A response that is still coming.
pub struct Streaming {
    wire: Wire,
    method: String,
}

impl Request {
    /// A request of some method; the target is sent as it is.
    #[must_use]
    pub fn new(method: &str, target: impl AsRef<[u8]>) -> Self {
        Self {
            method: method.to_owned(),
            target: target.as_ref().to_vec(),
            headers: Vec::new(),
            body: None,
            chunked: false,
        }
    }

    /// `GET`.
    #[must_use]
    pub fn get(target: impl AsRef<[u8]>) -> Self {
        Self::new("GET", target)
    }

    /// `POST` with a body of known length.
    #[must_use]
    pub fn post(target: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Self {
        Self { body: Some(body.as_ref().to_vec()), ..Self::new("POST", target) }
    }

    /// A request of some method with a body of known length.
    #[must_use]
    pub fn with_body(method: &str, target: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Self {
        Self { body: Some(body.as_ref().to_vec()), ..Self::new(method, target) }
    }

    /// `POST` of JSON.
    #[must_use]
    pub fn post_json(target: impl AsRef<[u8]>, body: &Value) -> Self {
        Self::post(target, body.to_string()).header("content-type", "application/json")
    }

    /// `POST` whose body follows in chunks ([`Streaming::send`]).
    #[must_use]
    pub fn post_chunked(target: impl AsRef<[u8]>) -> Self {
        Self { chunked: true, ..Self::new("POST", target) }
    }

    /// One more header, in the spelling given.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// `Authorization: Bearer …`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Sends it and reads the whole response.
    ///
    /// # Panics
    /// When the connection fails.
    #[must_use]
    pub fn send(&self, to: SocketAddr) -> Response {
        self.try_send(to).unwrap_or_else(|error| panic!("{} {}: {error}", self.method, self.shown()))
    }

    /// Sends it and reads the whole response.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn try_send(&self, to: SocketAddr) -> io::Result<Response> {
        let mut streaming = self.try_open(to)?;
        let head = streaming.try_head()?;
        let body = streaming.wire.body()?;
        Ok(Response { status: status(&head), headers: head.headers, body })
    }

    /// Sends it, and leaves the response, and the rest of a chunked request, to the test.
    ///
    /// # Panics
    /// When the connection fails.
    #[must_use]
    pub fn open(&self, to: SocketAddr) -> Streaming {
        self.try_open(to).unwrap_or_else(|error| panic!("{} {}: {error}", self.method, self.shown()))
    }

    fn try_open(&self, to: SocketAddr) -> io::Result<Streaming> {
        let mut wire = Wire::tcp(TcpStream::connect(to)?)?;
        wire.send(&self.bytes(to))?;
        Ok(Streaming { wire, method: self.method.clone() })
    }

    fn bytes(&self, to: SocketAddr) -> Vec<u8> {
        let mut bytes = format!("{} ", self.method).into_bytes();
        bytes.extend_from_slice(&self.target);
        bytes.extend_from_slice(b" HTTP/1.1\r\n");
        let mut field = |name: &[u8], value: &[u8]| {
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        };
        let has =
            |name: &str| self.headers.iter().any(|(have, _)| have.eq_ignore_ascii_case(name.as_bytes()));
        if !has("host") {
            field(b"host", to.to_string().as_bytes());
        }
        for (name, value) in &self.headers {
            field(name, value);
        }
        if let Some(body) = &self.body {
            field(b"content-length", body.len().to_string().as_bytes());
        } else if self.chunked {
            field(b"transfer-encoding", b"chunked");
        }
        if !has("connection") {
            field(b"connection", b"close");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(self.body.as_deref().unwrap_or_default());
        bytes
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.target).into_owned()
    }
}

impl Response {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", String::from_utf8_lossy(&self.body)))
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `detail` of a refusal.
    ///
    /// # Panics
    /// When the body is not such an object.
    #[must_use]
    pub fn detail(&self) -> String {
        assert_eq!(self.headers.one("content-type"), Some("application/json"), "{self:?}");
        self.json()["detail"].as_str().unwrap_or_else(|| panic!("no detail: {}", self.text())).to_owned()
    }

    /// The same response, if it has that status.
    ///
    /// # Panics
    /// When it has another.
    #[allow(clippy::must_use_candidate, clippy::return_self_not_must_use)] // Often it is all one wants to know.
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?} {}", self.headers, self.text());
        self
    }
}

impl Streaming {
    /// Sends one chunk of the request.
    ///
    /// # Panics
    /// When the connection fails.
    pub fn send(&mut self, chunk: &[u8]) {
        self.wire.send_chunk(chunk).expect("a chunk goes out");
    }

    /// Ends the request.
    ///
    /// # Panics
    /// When the connection fails.
    pub fn end(&mut self, trailers: &[(&str, &str)]) {
        self.wire.send_end(trailers).expect("the end goes out");
    }

    /// The response's status and headers.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn head(&mut self) -> (u16, Headers) {
        let head = self.try_head().expect("a response");
        (status(&head), head.headers)
    }

    fn try_head(&mut self) -> io::Result<Head> {
        let head = self.wire.head()?.ok_or(io::ErrorKind::UnexpectedEof)?;
        self.wire.expect_body(&head, Some(&self.method));
        Ok(head)
    }

    /// The next piece of the response's body; `None` at its end.
    ///
    /// # Panics
    /// When it breaks off.
    #[must_use]
    pub fn piece(&mut self) -> Option<Vec<u8>> {
        self.wire.piece().expect("a piece of the body")
    }

    /// The rest of the response's body.
    ///
    /// # Panics
    /// When it breaks off.
    #[must_use]
    pub fn rest(&mut self) -> Vec<u8> {
        self.wire.body().expect("the rest of the body")
    }

    /// The trailers, once the body has come to its end.
    #[must_use]
    pub fn trailers(&self) -> &Headers {
        &self.wire.trailers
    }

    /// The connection itself, for what comes after an upgrade.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }
}

fn status(head: &Head) -> u16 {
    head.start.split(' ').nth(1).and_then(|text| text.parse().ok()).unwrap_or_default()
}
