//! The JWK sets that are published: to everyone the key of the filter's statements, to the filter alone those
//! of the gateway's tokens and of the orchestrators.

use std::sync::Arc;

use axum::extract;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::{State, reply};
use crate::clock::unix_now;
use crate::trust::FromFilter;

/// `GET /.well-known/attach-jwks.json`.
pub(super) async fn assertions(extract::State(state): extract::State<State>) -> Response {
    let set = reply::json(StatusCode::OK, &state.assertions.jwks(unix_now()));
    // A verifier that meets a new key's id may look again after a minute; the key was published before.
    ([(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"))], set).into_response()
}

/// `GET /internal/gateway-keys`.
pub(super) async fn gateway(_: FromFilter, extract::State(state): extract::State<State>) -> Response {
    reply::json(StatusCode::OK, &state.gateway.jwks(unix_now()))
}

/// `GET /internal/authorized-keys`. A folder that cannot be read is a 503: the filter keeps what it has.
pub(super) async fn authorized(_: FromFilter, extract::State(state): extract::State<State>) -> Response {
    let folder = Arc::clone(&state.authorized);
    match tokio::task::spawn_blocking(move || folder.jwks()).await {
        Ok(Ok(set)) => {
            ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], set.to_string())
                .into_response()
        }
        // The reason is in the log already, once.
        Ok(Err(_)) => reply::detail(StatusCode::SERVICE_UNAVAILABLE, "AUTHORIZED_KEYS_DIR cannot be read"),
        Err(error) => {
            tracing::error!(%error, "the authorised keys could not be read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
