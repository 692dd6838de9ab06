//! A server that records what reaches it, byte for byte, and answers as the test scripts it.
//!
//! Tests that share a gateway share its upstream too. Each uses targets of its own and asks with
//! [`Upstream::seen`] for those that contain its mark.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::http::Headers;
use crate::wait;
use crate::wire::{Connection, Head, Wire, with_timeouts};

/// A request as it arrived. It is recorded as soon as its head is there, its body as it comes.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The target as it stood on the request line.
    pub target: String,
    /// The fields, in order, duplicates kept.
    pub headers: Headers,
    /// What has come of the body.
    pub body: Vec<u8>,
    /// The body's trailers.
    pub trailers: Headers,
    /// Whether the whole of it has come.
    pub complete: bool,
}

type Handler = Arc<dyn Fn(&mut Exchange) -> io::Result<()> + Send + Sync>;

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    handlers: Mutex<Vec<(String, Handler)>>,
}

/// A running server; its threads end with the test process.
#[derive(Clone)]
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// One request and the answer to it.
pub struct Exchange {
    /// The request line's method.
    pub method: String,
    /// The request line's target.
    pub target: String,
    /// The request's fields.
    pub headers: Headers,
    wire: Wire,
    index: usize,
    shared: Arc<Shared>,
}

impl Upstream {
    /// Starts one on a free port. Whatever no handler is for is answered 200 with a small JSON object, once
    /// the whole request has come.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn start() -> Self {
        Self::on_listener(listener(), None)
    }

    /// Starts one on a port that was chosen before.
    ///
    /// # Panics
    /// When it cannot listen there.
    #[must_use]
    pub fn start_at(port: u16) -> Self {
        Self::on_listener(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("that port"), None)
    }

    /// Starts one that speaks TLS.
    ///
    /// # Panics
    /// When it cannot listen.
    #[must_use]
    pub fn start_tls(tls: Arc<ServerConfig>) -> Self {
        Self::on_listener(listener(), Some(tls))
    }

    fn on_listener(listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> Self {
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let for_threads = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, tls) = (Arc::clone(&for_threads), tls.clone());
                // What a connection fails of is the test's to find out at the other end.
                std::thread::spawn(move || drop(connection(stream, tls, &shared)));
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers targets that begin so with `handler`, which also stands before any other that was set for
    /// the same.
    pub fn on(
        &self,
        target: &str,
        handler: impl Fn(&mut Exchange) -> io::Result<()> + Send + Sync + 'static,
    ) {
        lock(&self.shared.handlers).insert(0, (target.to_owned(), Arc::new(handler)));
    }

    /// What has arrived so far with `mark` in its target.
    #[must_use]
    pub fn seen(&self, mark: &str) -> Vec<Seen> {
        lock(&self.shared.seen).iter().filter(|seen| seen.target.contains(mark)).cloned().collect()
    }

    /// The one request with `mark` in its target, once the whole of it is there.
    ///
    /// # Panics
    /// When it does not come, or there is another one.
    #[must_use]
    pub fn only(&self, mark: &str) -> Seen {
        let seen = wait::until(mark, || {
            let seen = self.seen(mark);
            (!seen.is_empty() && seen.iter().all(|seen| seen.complete)).then_some(seen)
        });
        assert_eq!(seen.len(), 1, "{seen:#?}");
        seen.into_iter().next().expect("just counted")
    }
}

impl Exchange {
    /// The next piece of the request's body; `None` at its end.
    ///
    /// # Errors
    /// When it breaks off.
    pub fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        let piece = self.wire.piece()?;
        let trailers = self.wire.trailers.clone();
        self.record(|seen| match &piece {
            Some(piece) => seen.body.extend_from_slice(piece),
            None => {
                seen.trailers = trailers;
                seen.complete = true;
            }
        });
        Ok(piece)
    }

    /// The rest of the request's body.
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

    /// Reads the request to its end and answers it.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn reply(&mut self, status: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
        self.body()?;
        let mut bytes = head(status, headers);
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        if self.method != "HEAD" {
            bytes.extend_from_slice(body);
        }
        self.wire.send(&bytes)
    }

    /// Begins an answer of unknown length; [`Exchange::chunk`] and [`Exchange::end`] go on.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn start(&mut self, status: &str, headers: &[(&str, &str)]) -> io::Result<()> {
        let mut bytes = head(status, headers);
        bytes.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
        self.wire.send(&bytes)
    }

    /// Sends a piece of the answer.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn chunk(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.send_chunk(bytes)
    }

    /// Ends the answer.
    ///
    /// # Errors
    /// When the connection fails.
    pub fn end(&mut self, trailers: &[(&str, &str)]) -> io::Result<()> {
        self.wire.send_end(trailers)
    }

    /// The connection itself, for what is not HTTP.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    fn record(&self, write: impl FnOnce(&mut Seen)) {
        if let Some(seen) = lock(&self.shared.seen).get_mut(self.index) {
            write(seen);
        }
    }
}

fn listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, crate::ports::free())).expect("a free port")
}

fn connection(stream: TcpStream, tls: Option<Arc<ServerConfig>>, shared: &Arc<Shared>) -> io::Result<()> {
    let stream = with_timeouts(stream)?;
    if tls.is_none() && speaks_http2(&stream)? {
        let arrived = |request: &http::Request<()>, headers| {
            let mut seen = lock(&shared.seen);
            seen.push(Seen {
                method: request.method().to_string(),
                target: request.uri().path().to_owned(),
                headers,
                ..Seen::default()
            });
            seen.len() - 1
        };
        let shared = Arc::clone(shared);
        let ended = move |place: usize, trailers| {
            if let Some(seen) = lock(&shared.seen).get_mut(place) {
                seen.trailers = trailers;
                seen.complete = true;
            }
        };
        return crate::grpc::serve(stream, &arrived, ended);
    }
    let connection: Box<dyn Connection> = match tls {
        Some(config) => {
            let session = ServerConnection::new(config).map_err(io::Error::other)?;
            Box::new(StreamOwned::new(session, stream))
        }
        None => Box::new(stream),
    };
    let mut wire = Wire::new(connection);
    while let Some(head) = wire.head()? {
        let mut exchange = begin(head, wire, shared);
        let handler = lock(&shared.handlers)
            .iter()
            .find(|(target, _)| exchange.target.starts_with(target.as_str()))
            .map(|(_, handler)| Arc::clone(handler));
        match handler {
            Some(handler) => handler(&mut exchange)?,
            None => exchange.reply(
                "200 OK",
                &[("content-type", "application/json")],
                br#"{"from":"upstream"}"#,
            )?,
        }
        wire = exchange.wire;
    }
    Ok(())
}

/// Whether the peer's first bytes are HTTP/2's.
fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; 3];
    // A peek may see less than there will be; no method of HTTP/1.1 begins with `PR` but `PROPFIND`.
    loop {
        let count = stream.peek(&mut first)?;
        if count == 0 || count == first.len() || !b"PRI".starts_with(&first[..count]) {
            return Ok(&first == b"PRI");
        }
    }
}

fn begin(head: Head, mut wire: Wire, shared: &Arc<Shared>) -> Exchange {
    let mut parts = head.start.split(' ');
    let method = parts.next().unwrap_or_default().to_owned();
    let target = parts.next().unwrap_or_default().to_owned();
    wire.expect_body(&head, None);
    let index = {
        let mut seen = lock(&shared.seen);
        seen.push(Seen {
            method: method.clone(),
            target: target.clone(),
            headers: head.headers.clone(),
            ..Seen::default()
        });
        seen.len() - 1
    };
    Exchange { method, target, headers: head.headers, wire, index, shared: Arc::clone(shared) }
}

fn head(status: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("HTTP/1.1 {status}\r\n{fields}").into_bytes()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
