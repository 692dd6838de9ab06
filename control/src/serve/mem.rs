//! `/mem`: what the gateway remembers, told to those whose it is.
//!
//! Whose it is says the filter's stamp and nothing else: a request can narrow what it reads (`session`, `before`),
//! and only the scope [`READ_ALL`] widens it. Memory is nobody else's business, so no answer may be stored by
//! anything on its way.

mod body;
mod docs;
mod events;
mod keys;
mod parameters;
mod refusal;
mod spaces;

use std::sync::Arc;

use attach_core::redact::Redactor;
use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{any, get};

use super::State;
use crate::memory::Memory;
use crate::memory::docs::Documents;
use crate::trust::Caller;

pub(super) use body::{Sent, read};
pub(super) use keys::request_key;
pub(super) use refusal::Refusal;

/// The scope that reads what is not the caller's own.
pub(super) const READ_ALL: &str = "mem:read:all";

/// The longest text of a note or a log line, in bytes.
pub(super) const MAX_TEXT: usize = 64 * 1024;

/// The routes.
pub(super) fn routes() -> Router<State> {
    let notes = DefaultBodyLimit::max(events::MAX_BYTES);
    let documents = DefaultBodyLimit::max(docs::MAX_BYTES);
    let unknown = || any(unknown);
    Router::new()
        .route(
            "/mem/events",
            get(events::list)
                .post(events::note)
                .delete(events::forget)
                .fallback(other_method)
                .layer(notes.clone()),
        )
        .route("/mem/search", get(events::search).fallback(other_method))
        .route(
            "/mem/spaces/{space}/events",
            get(spaces::list).post(spaces::note).delete(spaces::forget).fallback(other_method).layer(notes),
        )
        .route("/mem/spaces/{space}/search", get(spaces::search).fallback(other_method))
        .route("/mem/docs", get(docs::list).post(docs::write).fallback(other_method).layer(documents))
        .route("/mem/docs/{mem_id}", get(docs::read).delete(docs::forget).fallback(other_method))
        .route("/mem/docs/{mem_id}/history", get(docs::history).fallback(other_method))
        .route("/mem", unknown())
        .route("/mem/", unknown())
        .route("/mem/{*rest}", unknown())
        .layer(axum::middleware::map_response(uncached))
}

pub(super) async fn uncached(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A verified caller at a gateway that remembers.
pub(super) struct Gate {
    /// Who.
    pub(super) caller: Caller,
    /// Where events lie.
    pub(super) memory: Memory,
    /// What takes secrets out of text.
    pub(super) redactor: Arc<Redactor>,
}

impl FromRequestParts<State> for Gate {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Refusal> {
        let caller = Caller::from_request_parts(parts, state).await.map_err(|_| Refusal::Stranger)?;
        let memory = state.memory.clone().ok_or(Refusal::Off)?;
        Ok(Self { caller, memory, redactor: Arc::clone(&state.redactor) })
    }
}

/// A verified caller at a gateway that keeps documents.
pub(super) struct Desk {
    caller: Caller,
    documents: Documents,
    redactor: Arc<Redactor>,
}

impl FromRequestParts<State> for Desk {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Refusal> {
        let Gate { caller, redactor, .. } = Gate::from_request_parts(parts, state).await?;
        let documents = state.documents.clone().ok_or(Refusal::Off)?;
        Ok(Self { caller, documents, redactor })
    }
}

/// A stranger is not told even which methods there are.
pub(super) async fn other_method(gate: Result<Gate, Refusal>) -> Refusal {
    gate.map_or_else(|refusal| refusal, |_| Refusal::method())
}

async fn unknown(gate: Result<Gate, Refusal>) -> Refusal {
    gate.map_or_else(|refusal| refusal, |_| Refusal::missing("There is no such route of memory"))
}
