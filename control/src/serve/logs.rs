//! `POST /v1/logs`: what agents log, remembered as their caller's events. Sakana's route, as the original has it.
//!
//! What is wrong with a body is told in FastAPI's form (`detail` is an array), which is what clients of the original
//! read; all other refusals have this gateway's.

use attach_core::clock::UnixMillis;
use attach_core::mirror::event::{DONE, LOG};
use attach_core::mirror::{MemoryEvent, Object};
use attach_core::redact::Redactor;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::json;

use super::mem::{Gate, MAX_TEXT, Refusal, Sent, other_method, read, request_key, uncached};
use super::{State, reply};
use crate::clock::unix_now_millis;
use crate::memory::logs::{self, Line};
use crate::trust::Caller;

/// The most bytes of a request.
const MAX_BYTES: usize = 1024 * 1024;

/// Media types of one object on each line.
const LINES: &[&str] =
    &["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"];

/// The route.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/v1/logs", post(accept).fallback(other_method).layer(DefaultBodyLimit::max(MAX_BYTES)))
        .layer(axum::middleware::map_response(uncached))
}

async fn accept(gate: Gate, headers: HeaderMap, sent: Sent) -> Result<Response, Refusal> {
    let Gate { caller, memory, redactor } = gate;
    let key = request_key(&headers, LOG, &caller.user, &caller.user)?;
    let body = read(sent, MAX_BYTES)?;
    let now = UnixMillis(unix_now_millis());
    let lines = match logs::parse(&body, is_lines(&headers), now) {
        Ok(lines) => lines,
        Err(faults) => {
            return Ok(reply::json(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "detail": faults })));
        }
    };
    let lines = lines.into_iter().enumerate();
    let objects: Vec<Object> = lines
        .map(|(at, line)| Object::new(&format!("{key}/{at}"), event(line, &caller, &redactor, now), false))
        .collect();
    if !objects.is_empty() {
        memory.remember(objects).await?;
    }
    Ok(StatusCode::ACCEPTED.into_response())
}

fn is_lines(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    LINES.iter().any(|known| known.eq_ignore_ascii_case(kind))
}

fn event(line: Line, caller: &Caller, redactor: &Redactor, now: UnixMillis) -> MemoryEvent {
    let clean = |text: &str| redactor.redact(text).into_owned();
    let mut content = clean(&line.message);
    let truncated = content.len() > MAX_TEXT;
    if truncated {
        content.truncate(content.floor_char_boundary(MAX_TEXT));
    }
    let agent = line.agent.as_deref().map(clean).or_else(|| caller.agent.clone());
    MemoryEvent {
        timestamp: line.timestamp.unwrap_or(now),
        event: LOG.to_owned(),
        session_id: caller.session.clone(),
        user: caller.user.clone(),
        owner: caller.user.clone(),
        agent: agent.unwrap_or_default(),
        role: "agent".to_owned(),
        content,
        truncated,
        state: DONE.to_owned(),
        run_id: clean(&line.run_id),
        level: line.level.to_owned(),
        ..MemoryEvent::default()
    }
}
