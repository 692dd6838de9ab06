//! `GET /metrics`: what the filter has counted, and how control itself is doing, in Prometheus's text format 0.0.4.
//!
//! The filter's metrics are Envoy's: its admin interface has them on a page that lacks what tools ask of one
//! (help, base units), beside several hundred of Envoy's own. So control reads that page and answers with one of
//! the gateway's metrics alone. It is whole or it is not given at all: a scrape that fails is noticed, numbers that
//! are missing are not.

mod envoy;
mod families;
mod rewrite;
mod sample;

use std::time::Duration;

use axum::extract;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Semaphore;

use self::families::Own;
use self::rewrite::Rewriter;
use super::{State, reply};
use crate::clock::unix_now_millis;
use crate::fetch::ClientError;
use crate::memory::Memory;
use crate::outbox::Outbox;
use crate::store;
use crate::trust::Caller;

/// The text format of Prometheus.
const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
/// How many pages are made at once: each may be large.
const AT_ONCE: usize = 2;
/// How long a request waits for its turn.
const TURN: Duration = Duration::from_secs(2);

/// What the page is made of.
#[derive(Debug)]
pub(super) struct Metrics {
    envoy: envoy::Statistics,
    turns: Semaphore,
}

/// Why there is no page; for the log.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{AT_ONCE} other requests for it take too long")]
    Busy,
    #[error(transparent)]
    Envoy(#[from] envoy::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Metrics {
    /// The page of the Envoy whose admin interface listens on that port of this machine.
    pub(super) fn new(admin_port: u16) -> Result<Self, ClientError> {
        Ok(Self { envoy: envoy::Statistics::new(admin_port)?, turns: Semaphore::new(AT_ONCE) })
    }

    async fn page(&self, outbox: &Outbox, memory: Option<&Memory>) -> Result<String, Error> {
        // `turns` is never closed.
        let turn = tokio::time::timeout(TURN, self.turns.acquire()).await;
        let _turn = turn.ok().and_then(Result::ok).ok_or(Error::Busy)?;
        let now = unix_now_millis();
        let memory = match memory {
            Some(memory) => Some(memory.health(now).await?),
            None => None,
        };
        let own = Own { version: env!("CARGO_PKG_VERSION"), outbox: outbox.health(now).await?, memory };
        Ok(self.envoy.read(Rewriter::new(&own)).await?)
    }
}

/// `GET /metrics`. Which callers may read it (`METRICS_SCOPE`) the filter has seen to.
pub(super) async fn read(_: Caller, extract::State(state): extract::State<State>) -> Response {
    match state.metrics.page(&state.outbox, state.memory.as_ref()).await {
        Ok(page) => {
            let headers = [
                (header::CONTENT_TYPE, CONTENT_TYPE),
                (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            ];
            (headers, page).into_response()
        }
        Err(error) => {
            tracing::warn!(%error, "there are no metrics to give");
            reply::detail(
                StatusCode::SERVICE_UNAVAILABLE,
                "The metrics cannot be read now; the log of the control service says why",
            )
        }
    }
}

#[cfg(test)]
mod tests;
