//! The gateway's answers: JSON, and `{"detail": …}` where something is wrong.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

/// A JSON body.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_value(body) {
        Ok(body) => (status, Json(body)).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// What is wrong, in the original's form. `text` is for the client: nothing internal.
pub fn detail(status: StatusCode, text: &str) -> Response {
    json(status, &serde_json::json!({ "detail": text }))
}

/// The path is right and the method is not; axum adds `Allow`.
pub async fn method_not_allowed() -> Response {
    detail(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed")
}
