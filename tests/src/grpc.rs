//! Calls as gRPC makes them: HTTP/2 without TLS, both directions open at once, the status in trailers.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use h2::{RecvStream, client, server};
use http::{HeaderMap, HeaderValue, Method, Request, Response};

use crate::http::Headers;

/// What the server says before it has been told anything.
pub const GREETING: &[u8] = b"hello";

const LIMIT: Duration = Duration::from_secs(30);

/// How a call went.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The HTTP status.
    pub status: u16,
    /// The response's fields.
    pub headers: Headers,
    /// What the server said before the first message was sent.
    pub greeting: Vec<u8>,
    /// What it said to each message.
    pub echoes: Vec<Vec<u8>>,
    /// Its trailers.
    pub trailers: Headers,
}

/// A call that never sends a message before it has heard the server, and each only after the last one's echo.
/// A refusal ends it early.
///
/// # Panics
/// When it fails or takes too long.
#[must_use]
pub fn call(
    to: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    messages: &[&[u8]],
    trailers: &[(&'static str, &'static str)],
) -> Outcome {
    script(to, path, headers, &[], messages, trailers)
}

/// A call without messages, with headers of any bytes.
///
/// # Panics
/// When it fails or takes too long.
#[must_use]
pub fn call_with(
    to: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    bytes: &[(&'static str, HeaderValue)],
) -> Outcome {
    script(to, path, headers, bytes, &[], &[])
}

fn script(
    to: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    bytes: &[(&'static str, HeaderValue)],
    messages: &[&[u8]],
    trailers: &[(&'static str, &'static str)],
) -> Outcome {
    let runtime = runtime();
    let script = async {
        let stream = tokio::net::TcpStream::connect(to).await?;
        let (client, connection) = client::handshake(stream).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        let mut client = client.ready().await.map_err(io::Error::other)?;
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{to}{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        for (name, value) in bytes {
            request = request.header(*name, value);
        }
        let request = request.body(()).map_err(io::Error::other)?;
        let (response, mut sending) = client.send_request(request, false).map_err(io::Error::other)?;
        let response = response.await.map_err(io::Error::other)?;
        let mut outcome = Outcome {
            status: response.status().as_u16(),
            headers: to_headers(response.headers()),
            ..Outcome::default()
        };
        let mut receiving = response.into_body();
        if outcome.status != 200 || outcome.headers.has("grpc-status") {
            return Ok(outcome);
        }
        outcome.greeting = exactly(&mut receiving, GREETING.len()).await?;
        for message in messages {
            sending.send_data(Bytes::copy_from_slice(message), false).map_err(io::Error::other)?;
            outcome.echoes.push(exactly(&mut receiving, message.len()).await?);
        }
        let mut last = HeaderMap::new();
        for (name, value) in trailers {
            last.insert(*name, HeaderValue::from_static(value));
        }
        sending.send_trailers(last).map_err(io::Error::other)?;
        while receiving.data().await.is_some() {}
        let trailers = receiving.trailers().await.map_err(io::Error::other)?;
        outcome.trailers = trailers.map(|trailers| to_headers(&trailers)).unwrap_or_default();
        io::Result::Ok(outcome)
    };
    runtime
        .block_on(async { tokio::time::timeout(LIMIT, script).await })
        .unwrap_or_else(|_| panic!("{path}: no end within {} s", LIMIT.as_secs()))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Serves a connection whose peer speaks HTTP/2: greets, echoes each piece, ends with `grpc-status: 0`.
/// `arrived` is told of each request and gives its place, `ended` is told of that one's trailers.
///
/// # Errors
/// When the connection fails.
pub(crate) fn serve(
    stream: TcpStream,
    arrived: &dyn Fn(&Request<()>, Headers) -> usize,
    ended: impl Fn(usize, Headers) + Clone + Send + 'static,
) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    runtime().block_on(async {
        let stream = tokio::net::TcpStream::from_std(stream)?;
        let mut connection = server::handshake(stream).await.map_err(io::Error::other)?;
        while let Some(call) = connection.accept().await {
            let (request, mut respond) = call.map_err(io::Error::other)?;
            let (parts, mut receiving) = request.into_parts();
            let headers = to_headers(&parts.headers);
            let place = arrived(&Request::from_parts(parts, ()), headers);
            let ended = ended.clone();
            tokio::spawn(async move {
                let response = Response::builder().header("content-type", "application/grpc");
                let response = response.body(()).map_err(io::Error::other)?;
                let mut sending = respond.send_response(response, false).map_err(io::Error::other)?;
                sending.send_data(Bytes::from_static(GREETING), false).map_err(io::Error::other)?;
                while let Some(data) = receiving.data().await {
                    let data = data.map_err(io::Error::other)?;
                    let _ = receiving.flow_control().release_capacity(data.len());
                    sending.send_data(data, false).map_err(io::Error::other)?;
                }
                let told = receiving.trailers().await.map_err(io::Error::other)?;
                ended(place, told.map(|trailers| to_headers(&trailers)).unwrap_or_default());
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                sending.send_trailers(trailers).map_err(io::Error::other)
            });
        }
        Ok(())
    })
}

async fn exactly(receiving: &mut RecvStream, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        let data = receiving.data().await.ok_or(io::ErrorKind::UnexpectedEof)?.map_err(io::Error::other)?;
        let _ = receiving.flow_control().release_capacity(data.len());
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn to_headers(map: &HeaderMap) -> Headers {
    Headers(
        map.iter().map(|(name, value)| (name.as_str().into(), value.as_bytes().to_vec())).collect::<Vec<_>>(),
    )
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}
