//! `POST /internal/records`: the filter hands over what calls did cost, and `GET /internal/health`: how much of
//! it has not left.

use axum::body::Bytes;
use axum::extract;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::json;

use super::{State, reply};
use crate::clock::unix_now_millis;
use crate::ledger::batch::{self, Batch};
use crate::trust::FromFilter;
use crate::{memory, outbox, store};

/// The most bytes of a batch.
pub(super) const MAX_BYTES: usize = batch::MAX_BYTES;

/// How many bad records of a batch the log names.
const SHOWN: usize = 5;

pub(super) async fn accept(
    _: FromFilter,
    extract::State(state): extract::State<State>,
    body: Result<Bytes, extract::rejection::BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return reply::detail(StatusCode::PAYLOAD_TOO_LARGE, "A batch may have 1 MiB");
        }
        Err(_) => return reply::detail(StatusCode::BAD_REQUEST, "The body could not be read"),
    };
    let batch = match Batch::parse(&body) {
        Ok(batch) => batch,
        Err(malformed) => {
            tracing::warn!(bytes = body.len(), "a batch of usage records is none");
            return reply::detail(StatusCode::BAD_REQUEST, &malformed.to_string());
        }
    };
    match state.ledger.accept(batch, unix_now_millis()).await {
        Ok(rejected) if rejected.is_empty() => StatusCode::NO_CONTENT.into_response(),
        Ok(rejected) => {
            for bad in rejected.iter().take(SHOWN) {
                tracing::warn!(id = bad.id, error = bad.error, "a usage record was set aside");
            }
            tracing::warn!(count = rejected.len(), "usage records were set aside: see `attach doctor`");
            let ids: Vec<&str> = rejected.iter().map(|bad| bad.id.as_str()).collect();
            reply::json(StatusCode::OK, &json!({ "rejected": ids }))
        }
        Err(refused) => {
            tracing::warn!(%refused, "usage records were not taken; the filter keeps them");
            reply::detail(StatusCode::SERVICE_UNAVAILABLE, &refused.to_string())
        }
    }
}

/// `GET /internal/health`.
#[derive(Serialize)]
struct Health {
    #[serde(flatten)]
    outbox: outbox::Health,
    /// None: nothing is remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<memory::Health>,
}

pub(super) async fn health(_: FromFilter, extract::State(state): extract::State<State>) -> Response {
    let now = unix_now_millis();
    let read = async {
        let memory = match &state.memory {
            Some(memory) => Some(memory.health(now).await?),
            None => None,
        };
        Ok::<_, store::Error>(Health { outbox: state.outbox.health(now).await?, memory })
    };
    match read.await {
        Ok(health) => reply::json(StatusCode::OK, &health),
        Err(error) => {
            tracing::warn!(%error, "no word about the outbox");
            reply::detail(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
        }
    }
}
