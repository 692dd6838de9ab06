//! What every small HTTP server of this crate shares: bind, log, bound, drain.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

/// How long a request may take from its headers to the headers of its response; reading its body is within.
/// Streams that run longer than this are fine, they have begun by then.
const HANDLING: Duration = Duration::from_secs(30);

/// How long open requests may go on after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Why a server could not start or keep on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody listens there already.
    #[error("port {} on {} is in use: set {setting} or --port to a free one", address.port(), address.ip())]
    InUse {
        /// Where.
        address: SocketAddr,
        /// The environment variable that moves the port.
        setting: &'static str,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address} ({setting} or --port, --host): {source}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// The environment variable that moves the port.
        setting: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The listener broke down.
    #[error("the listener failed: {0}")]
    Listener(#[from] io::Error),
}

/// Listens on `host:port` (0: a free port). `setting` is the environment variable that errors name.
pub async fn bind(host: IpAddr, port: u16, setting: &'static str) -> Result<TcpListener, Error> {
    let address = SocketAddr::new(host, port);
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Error::InUse { address, setting },
        _ => Error::Bind { address, setting, source },
    })
}

/// Serves `router` until `shutdown` resolves, then lets open requests end, for ten seconds at most.
pub async fn run(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        shutdown.await;
        // The receiver lives as long as the server does.
        let _ = stop.send(());
    });
    let drained = async move {
        if stopped.await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = server => served?,
        () = drained => tracing::warn!(seconds = DRAIN.as_secs(), "open requests were cut off"),
    }
    Ok(())
}

/// Middleware: a deadline on every request and one log line for each, with the route instead of the path or
/// query, since those may hold names and codes.
pub async fn observe(request: Request, next: Next) -> Response {
    let begin = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let response = match tokio::time::timeout(HANDLING, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the request took too long\n").into_response(),
    };
    let route = route.as_deref().unwrap_or("none");
    let status = response.status();
    let microseconds = u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX);
    // The filter asks for keys every few seconds; that all is well need not be said each time.
    if route.starts_with("/internal/") && status.is_success() {
        tracing::debug!(%method, route, status = status.as_u16(), microseconds, "request");
    } else {
        tracing::info!(%method, route, status = status.as_u16(), microseconds, "request");
    }
    response
}
