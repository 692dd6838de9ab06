//! `POST /agent`: an agent as rotagent's clients expect one, so that `attach call` can be tried.

use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::body::Received;

/// Answers with what was asked, and with the name that the gateway has stamped on it.
pub(super) async fn agent(headers: HeaderMap, body: Received) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return rejection.into_response(),
    };
    let asked = serde_json::from_slice::<Value>(&body).unwrap_or_default();
    let query = asked.get("query").and_then(Value::as_str).unwrap_or("nothing");
    let user = headers.get("x-attach-user").and_then(|user| user.to_str().ok());
    Json(json!({ "response": format!("You said: {query}"), "user": user })).into_response()
}
