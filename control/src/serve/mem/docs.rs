//! `/mem/docs`: documents that agents write and hand on (`write_plan`, `fetch_doc`).

use attach_core::clock::UnixMillis;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::body::{self, Fields, Sent};
use super::keys::retry_key;
use super::parameters::{Asked, Parameters, cursor};
use super::{Desk, READ_ALL, Refusal};
use crate::clock::unix_now_millis;
use crate::memory::MemId;
use crate::memory::docs::{Draft, MAX_CONTENT, Past, Reader};
use crate::serve::reply;
use crate::trust::Caller;

/// The most bytes of a request: its content may be escaped.
pub(super) const MAX_BYTES: usize = 2 * MAX_CONTENT + 64 * 1024;
/// The longest title, in bytes.
const MAX_TITLE: usize = 512;
/// The longest content type, in bytes.
const MAX_CONTENT_TYPE: usize = 128;

pub(super) async fn write(desk: Desk, headers: HeaderMap, sent: Sent) -> Result<Response, Refusal> {
    let Desk { caller, documents, redactor } = desk;
    let retry_key = retry_key(&headers)?;
    let sent = body::read(sent, MAX_BYTES)?;
    let mut fields = Fields::parse(&sent, &["content", "title", "parent", "content_type"])?;
    let parent = fields.text("parent", MAX_TITLE)?;
    let parent = parent.map(|parent| {
        MemId::parse(&parent).ok_or_else(|| Refusal::body("parent must be a mem_id: 32 hexadecimal digits"))
    });
    let parent = parent.transpose()?;
    let content_type =
        fields.text("content_type", MAX_CONTENT_TYPE)?.unwrap_or_else(|| "text/plain".to_owned());
    if content_type.is_empty() || !content_type.bytes().all(|b| matches!(b, 0x20..=0x7e)) {
        return Err(Refusal::body("content_type must be a media type, text/markdown for one"));
    }
    let title = fields.text("title", MAX_TITLE)?.unwrap_or_default();
    let content = fields.required("content", MAX_CONTENT)?;
    let draft = Draft {
        owner: caller.user,
        agent: caller.agent.unwrap_or_default(),
        parent,
        title: redactor.redact(&title).into_owned(),
        content_type: redactor.redact(&content_type).into_owned(),
        content: redactor.redact(&content).into_owned(),
        retry_key,
    };
    let version = documents.write(draft, UnixMillis(unix_now_millis())).await?;
    Ok(reply::json(StatusCode::CREATED, &version))
}

pub(super) async fn read(
    desk: Desk,
    named: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let document = desk.documents.read(reader(&desk.caller), mem_id(named)?).await?;
    let document = document.ok_or_else(missing)?;
    let tag = format!("\"{}\"", document.version.sha256);
    if has(&headers, &tag) {
        return Ok(([(ETAG, tag)], StatusCode::NOT_MODIFIED).into_response());
    }
    Ok(([(ETAG, tag)], reply::json(StatusCode::OK, &document)).into_response())
}

pub(super) async fn history(
    desk: Desk,
    named: Result<Path<String>, PathRejection>,
    asked: Asked,
) -> Result<Response, Refusal> {
    let asked = Parameters::read(asked, &["limit", "before"])?;
    let (limit, before) = (asked.limit()?, asked.version()?);
    let past = desk.documents.history(reader(&desk.caller), mem_id(named)?, before, limit.saturating_add(1));
    let mut past = past.await?.ok_or_else(missing)?;
    let has_more = past.len() > limit;
    past.truncate(limit);
    let next = past.last().filter(|_| has_more).map(|last| match last {
        Past::Readable(version) => version.version,
        Past::Gap { version, .. } => *version,
    });
    // A text, as the `next` of every other page.
    let next = next.map(|version| version.to_string());
    Ok(reply::json(StatusCode::OK, &json!({ "data": past, "next": next })))
}

pub(super) async fn list(desk: Desk, asked: Asked) -> Result<Response, Refusal> {
    let asked = Parameters::read(asked, &["limit", "before"])?;
    let limit = asked.limit()?;
    let versions = desk.documents.list(desk.caller.user, asked.before()?, limit.saturating_add(1));
    let mut versions = versions.await?;
    let has_more = versions.len() > limit;
    versions.truncate(limit);
    let last = versions.last().filter(|_| has_more);
    let next = last.map(|last| cursor(last.created, last.mem_id.as_str()));
    Ok(reply::json(StatusCode::OK, &json!({ "data": versions, "next": next })))
}

pub(super) async fn forget(
    desk: Desk,
    named: Result<Path<String>, PathRejection>,
) -> Result<Response, Refusal> {
    match desk.documents.forget(desk.caller.user, mem_id(named)?).await? {
        true => Ok(reply::json(StatusCode::OK, &json!({ "deleted": 1 }))),
        false => Err(missing()),
    }
}

fn reader(caller: &Caller) -> Reader {
    let is_auditor = caller.scopes.iter().any(|scope| scope == READ_ALL);
    Reader { user: caller.user.clone(), is_auditor }
}

/// What cannot be an id is none that there is.
fn mem_id(named: Result<Path<String>, PathRejection>) -> Result<MemId, Refusal> {
    named.ok().and_then(|Path(text)| MemId::parse(&text)).ok_or_else(missing)
}

fn missing() -> Refusal {
    Refusal::missing("There is no such document, or none for you")
}

/// Whether a client has it already (RFC 9110 section 13.1.2: weak comparison).
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|shown| shown == "*" || shown.strip_prefix("W/").unwrap_or(shown) == tag)
}
