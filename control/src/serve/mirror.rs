//! `POST /internal/memory`: the filter hands over events that Weaviate did not take, or that it may not bring there
//! itself. Once it is answered 204 they are kept for good.

use attach_core::mirror::{CLASS, Object};
use axum::body::Bytes;
use axum::extract;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::{State, reply};
use crate::memory::{self, is_uuid};
use crate::trust::FromFilter;

/// The most bytes of a batch.
pub(super) const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The most events of a batch.
const MAX_OBJECTS: usize = 2_000;
/// The longest name in an event, in bytes.
const MAX_NAME: usize = 2_048;

#[derive(Deserialize)]
struct Batch {
    objects: Vec<Object>,
}

pub(super) async fn accept(
    _: FromFilter,
    extract::State(state): extract::State<State>,
    body: Result<Bytes, extract::rejection::BytesRejection>,
) -> Response {
    let Some(memory) = &state.memory else {
        return reply::detail(StatusCode::NOT_FOUND, "Nothing is remembered: MEM_BACKEND=none");
    };
    let body = match body {
        Ok(body) => body,
        Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            return reply::detail(StatusCode::PAYLOAD_TOO_LARGE, "A batch may have 4 MiB");
        }
        Err(_) => return reply::detail(StatusCode::BAD_REQUEST, "The body could not be read"),
    };
    // The error of a parser quotes what it read: it is neither told nor logged.
    let Ok(Batch { objects }) = serde_json::from_slice(&body) else {
        tracing::warn!(bytes = body.len(), "a batch of memory events is none");
        return reply::detail(StatusCode::BAD_REQUEST, "The body must be {\"objects\": [memory event, …]}");
    };
    if let Some(wrong) = judge(&objects) {
        tracing::warn!(wrong, "a batch of memory events is not as it must be");
        return reply::detail(StatusCode::UNPROCESSABLE_ENTITY, wrong);
    }
    match memory.remember(objects).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => {
            tracing::warn!(%error, "memory events were not taken; the filter keeps them");
            let status = match error {
                memory::Error::Unavailable(_) | memory::Error::Refused(_) => StatusCode::SERVICE_UNAVAILABLE,
            };
            reply::detail(status, &error.to_string())
        }
    }
}

/// What is wrong with a batch.
fn judge(objects: &[Object]) -> Option<&'static str> {
    if objects.len() > MAX_OBJECTS {
        return Some("A batch may have 2,000 events");
    }
    for Object { class, id, properties, .. } in objects {
        if class != CLASS {
            return Some("An event's class must be MemoryEvent");
        }
        if !is_uuid(id) {
            return Some("An event's id must be a UUID in small letters");
        }
        let names = [&properties.owner, &properties.user, &properties.session_id, &properties.request_id];
        if properties.owner.is_empty() || names.iter().any(|name| name.len() > MAX_NAME) {
            return Some("An event must have an owner, and names of 2 KiB at most");
        }
    }
    None
}
