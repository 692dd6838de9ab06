//! `POST /internal/replay`: whether something that may be used once is used for the first time.

use axum::body::Bytes;
use axum::extract;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::{State, reply};
use crate::clock::unix_now;
use crate::replay::Once;
use crate::trust::FromFilter;

/// The most bytes of a question.
const MAX_BYTES: usize = 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    key: String,
    /// Seconds of Unix time from which the entry may be forgotten.
    until: u64,
}

pub(super) async fn first(
    _: FromFilter,
    extract::State(state): extract::State<State>,
    body: Result<Bytes, extract::rejection::BytesRejection>,
) -> Response {
    let question = body.ok().filter(|body| body.len() <= MAX_BYTES);
    let question = question.and_then(|body| serde_json::from_slice::<Question>(&body).ok());
    let Some((once, until)) =
        question.and_then(|question| Some((Once::parse(&question.key)?, question.until)))
    else {
        return reply::detail(
            StatusCode::BAD_REQUEST,
            "The body must be {\"key\": 64 lower-case hexadecimal digits, \"until\": seconds}",
        );
    };
    let Some(store) = &state.replay else {
        return reply::detail(
            StatusCode::SERVICE_UNAVAILABLE,
            "REDIS_URL is not set, so there is no replay store for several Envoys",
        );
    };
    match store.first(&once, until, unix_now()).await {
        Ok(fresh) => reply::json(StatusCode::OK, &json!({ "fresh": fresh })),
        Err(error) => {
            tracing::warn!(%error, "no answer about a replay: check REDIS_URL");
            reply::detail(StatusCode::SERVICE_UNAVAILABLE, "The replay store cannot be had")
        }
    }
}
