//! `/mem/events` and `/mem/search`: a caller's own events, in the original's shape.

use attach_core::clock::UnixMillis;
use attach_core::mirror::event::{DONE, NOTE};
use attach_core::mirror::{MemoryEvent, Object};
use attach_core::redact::Redactor;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use serde_json::json;

use super::body::{Fields, Sent, read};
use super::parameters::{Asked, Parameters, cursor};
use super::{Gate, MAX_TEXT, Refusal, request_key};
use crate::clock::unix_now_millis;
use crate::memory::{Memory, Page, Reach, Stored};
use crate::serve::reply;
use crate::trust::Caller;

/// The most bytes of a note: its text may be escaped.
pub(super) const MAX_BYTES: usize = 6 * MAX_TEXT + 4096;
/// The longest task id, in bytes.
const MAX_TASK_ID: usize = 256;
/// Who may speak in a note.
const ROLES: &[&str] = &["user", "assistant", "agent", "system", "tool"];

pub(super) async fn list(gate: Gate, asked: Asked) -> Result<Response, Refusal> {
    let asked = Parameters::read(asked, &["limit", "before", "session", "all", "user"])?;
    let reach = asked.reach(&gate.caller)?;
    page(&gate.memory, reach, &asked).await
}

pub(super) async fn search(gate: Gate, asked: Asked) -> Result<Response, Refusal> {
    let asked = Parameters::read(asked, &["q", "limit", "all", "user"])?;
    let reach = asked.reach(&gate.caller)?;
    ranked(&gate.memory, reach, &asked).await
}

/// The caller's own: no scope forgets what is another's.
pub(super) async fn forget(gate: Gate, asked: Asked) -> Result<Response, Refusal> {
    let Gate { caller, memory, .. } = gate;
    forget_of(&memory, &caller, caller.user.clone(), asked).await
}

pub(super) async fn note(gate: Gate, headers: HeaderMap, sent: Sent) -> Result<Response, Refusal> {
    let owner = gate.caller.user.clone();
    write(&gate, owner, &headers, sent).await
}

/// A page of what is in reach.
pub(super) async fn page(memory: &Memory, reach: Reach, asked: &Parameters) -> Result<Response, Refusal> {
    let limit = asked.limit()?;
    // One more than is told: whether there is a next page.
    let page = Page { limit: limit.saturating_add(1), before: asked.before()?, session: asked.session()? };
    let mut events = memory.backend().list(reach, page).await?;
    let has_more = events.len() > limit;
    events.truncate(limit);
    let last = events.last().filter(|_| has_more);
    let next = last.map(|last| cursor(last.event.timestamp, &last.id));
    Ok(told(events, Some(next)))
}

/// What is in reach and answers a query, best first.
pub(super) async fn ranked(memory: &Memory, reach: Reach, asked: &Parameters) -> Result<Response, Refusal> {
    let (query, limit) = (asked.query()?, asked.limit()?);
    let mut events = memory.search(reach, query, limit).await?;
    events.truncate(limit);
    Ok(told(events, None))
}

/// Forgets what an owner has, all of it or a session's.
pub(super) async fn forget_of(
    memory: &Memory,
    caller: &Caller,
    owner: String,
    asked: Asked,
) -> Result<Response, Refusal> {
    let session = Parameters::read(asked, &["session"])?.session()?;
    let deleted = memory.forget(owner.clone(), session).await?;
    tracing::info!(user = caller.user, owner, deleted, "memory was forgotten");
    Ok(reply::json(StatusCode::OK, &json!({ "deleted": deleted })))
}

/// Keeps what somebody wrote, as one of an owner's events.
pub(super) async fn write(
    gate: &Gate,
    owner: String,
    headers: &HeaderMap,
    sent: Sent,
) -> Result<Response, Refusal> {
    let key = request_key(headers, NOTE, &owner, &gate.caller.user)?;
    let body = read(sent, MAX_BYTES)?;
    let event = event(&body, &gate.caller, owner, &gate.redactor, UnixMillis(unix_now_millis()))?;
    let object = Object::new(&key, event, false);
    let answer = json!({ "id": object.id });
    gate.memory.remember(vec![object]).await?;
    Ok(reply::json(StatusCode::CREATED, &answer))
}

fn event(
    body: &[u8],
    caller: &Caller,
    owner: String,
    redactor: &Redactor,
    now: UnixMillis,
) -> Result<MemoryEvent, Refusal> {
    let mut fields = Fields::parse(body, &["content", "role", "task_id"])?;
    let content = fields.required("content", MAX_TEXT)?;
    let role = fields.text("role", 32)?.unwrap_or_else(|| "user".to_owned());
    if !ROLES.contains(&role.as_str()) {
        return Err(Refusal::body(format!("role must be one of {}", ROLES.join(", "))));
    }
    let task_id = fields.text("task_id", MAX_TASK_ID)?.unwrap_or_default();
    Ok(MemoryEvent {
        timestamp: now,
        event: NOTE.to_owned(),
        session_id: caller.session.clone(),
        user: caller.user.clone(),
        owner,
        agent: caller.agent.clone().unwrap_or_default(),
        task_id: redactor.redact(&task_id).into_owned(),
        role,
        content: redactor.redact(&content).into_owned(),
        state: DONE.to_owned(),
        ..MemoryEvent::default()
    })
}

/// An event with the name that Weaviate has for it.
#[derive(Serialize)]
struct Told {
    #[serde(flatten)]
    event: MemoryEvent,
    #[serde(rename = "_additional")]
    additional: Additional,
}

#[derive(Serialize)]
struct Additional {
    id: String,
}

/// The answer that Weaviate's GraphQL gave the original; beside it where the next page begins, if there are pages.
fn told(events: Vec<Stored>, next: Option<Option<String>>) -> Response {
    let told = |stored: Stored| Told { event: stored.event, additional: Additional { id: stored.id } };
    let events: Vec<Told> = events.into_iter().map(told).collect();
    let mut answer = json!({ "data": { "Get": { attach_core::mirror::CLASS: events } } });
    if let (Some(next), Some(answer)) = (next, answer.as_object_mut()) {
        answer.insert("next".to_owned(), json!(next));
    }
    reply::json(StatusCode::OK, &answer)
}
