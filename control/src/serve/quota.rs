//! `POST /internal/quota`: a worker of the filter reports what it spent of limits, and asks for more.

use attach_core::quota::wire::{MAX_BYTES, Request};
use axum::body::Bytes;
use axum::extract;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::{State, reply};
use crate::quota::Error;
use crate::trust::FromFilter;

pub(super) async fn operate(
    _: FromFilter,
    extract::State(state): extract::State<State>,
    body: Result<Bytes, extract::rejection::BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            let text = format!("A request may have {} KiB", MAX_BYTES / 1024);
            return reply::detail(StatusCode::PAYLOAD_TOO_LARGE, &text);
        }
        Err(_) => return reply::detail(StatusCode::BAD_REQUEST, "The body could not be read"),
    };
    let request = match Request::parse(&body) {
        Ok(request) => request,
        Err(malformed) => {
            tracing::warn!(bytes = body.len(), %malformed, "a request about limits is none");
            return reply::detail(StatusCode::BAD_REQUEST, &malformed.to_string());
        }
    };
    match state.quotas.operate(request).await {
        Ok(answer) => ([(header::CONTENT_TYPE, "application/json")], answer.to_json()).into_response(),
        Err(error @ Error::Repeated) => {
            tracing::warn!(%error, "a request about limits was not answered");
            reply::detail(StatusCode::CONFLICT, &error.to_string())
        }
        // Said once for each outage by whoever found it.
        Err(error) => reply::detail(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

#[cfg(test)]
mod tests;
