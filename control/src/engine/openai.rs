//! OpenAI's API: `/v1/chat/completions`, `/v1/completions`, `/v1/models`.

mod error;
pub(super) mod models;
mod request;
mod wire;

use axum::extract::State as Extract;
use axum::http::header;
use axum::response::{IntoResponse, Json, Response};

pub(super) use self::error::Error;
use self::request::{ChatRequest, CompletionRequest, Parsed};
use self::wire::Wire;
use super::State;
use super::body::{Received, parse};
use super::pace;

/// Whether a path is in this API's room.
pub(super) fn is_path(path: &str) -> bool {
    path == "/v1" || path.starts_with("/v1/")
}

/// `POST /v1/chat/completions`.
pub(super) async fn chat(Extract(state): Extract<State>, body: Received) -> Result<Response, Error> {
    let request = parse::<ChatRequest>(body)?.check()?;
    Ok(answer(&state, request, Wire::chat))
}

/// `POST /v1/completions`, the API before chats.
pub(super) async fn completions(Extract(state): Extract<State>, body: Received) -> Result<Response, Error> {
    let request = parse::<CompletionRequest>(body)?.check()?;
    Ok(answer(&state, request, Wire::completion))
}

fn answer(state: &State, request: Parsed, wire: fn(&State, String, bool) -> Wire) -> Response {
    let Parsed { model, answer, stream, include_usage } = request;
    let wire = wire(state, model, include_usage);
    if !stream {
        return Json(wire.whole(&answer)).into_response();
    }
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8"), (header::CACHE_CONTROL, "no-cache")];
    (headers, pace::body(wire.stream(answer), state.chunk_delay)).into_response()
}
