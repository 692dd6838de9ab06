//! The echo engine: a model server without a model, so that the gateway can be tried where no engine runs.
//!
//! It speaks Ollama and OpenAI, streamed and not, closely enough that their clients work unchanged, and answers
//! `You said: ` and the last user message. It takes any model's name. `POST /agent` answers `{"query": …}` as
//! an agent of rotagent's does.
//!
//! # Tokens
//!
//! Its tokenizer: **one token is one word**, that is a longest run of characters that are not white space
//! (`str::split_whitespace`). A prompt has as many as all texts of all messages have, in every role; an answer
//! as many as it has words, and each is one chunk of a stream. `max_tokens`, `max_completion_tokens` and
//! `num_predict` count the same, and an answer that reaches them, or [`MAX_ANSWER`], ends with the reason
//! `length`. So every usage figure can be checked by counting.
//!
//! # For tests
//!
//! `/echo` tells which request arrived: method, path, query, headers, and the length and SHA-256 of the body.
//! `/ws` sends back what a WebSocket sends it. Prompts are never logged.

mod agent;
mod answer;
mod body;
mod echo;
mod ollama;
mod openai;
mod pace;
mod websocket;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use attach_core::clock::date::Rfc3339;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Json, Router, middleware};

pub use self::answer::MAX_ANSWER;
use crate::serving;

/// The model that the engine lists, as OpenAI writes names; Ollama appends `:latest`.
pub const MODEL: &str = "attach-echo";

/// The most bytes of a request's body; more is answered with 413.
const MAX_BODY: usize = 16 * 1024 * 1024;

/// The environment variable that moves the port.
const PORT_SETTING: &str = "ECHO_PORT";

/// How the engine is to run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Where to listen.
    pub host: IpAddr,
    /// Where to listen; 0 takes a free port.
    pub port: u16,
    /// How long a stream waits before each word. Answers in one piece come at once.
    pub chunk_delay: Duration,
}

/// What the handlers share.
#[derive(Clone, Debug)]
pub struct State {
    chunk_delay: Duration,
    started: SystemTime,
    answered: Arc<AtomicU64>,
}

impl State {
    /// An engine that waits for `chunk_delay` before each word of a stream.
    pub fn new(chunk_delay: Duration) -> State {
        State { chunk_delay, started: SystemTime::now(), answered: Arc::default() }
    }

    /// An id that no other answer of this process has.
    fn next_id(&self, prefix: &str) -> String {
        let number = self.answered.fetch_add(1, Ordering::Relaxed);
        format!("{prefix}-echo{:x}{number:08x}", unix_seconds(self.started))
    }
}

/// The engine's routes.
pub fn app(state: State) -> Router {
    Router::new()
        .route("/", get(|| async { "Ollama is running" }))
        .route("/healthz", get(|| async { Json(serde_json::json!({ "status": "ok" })) }))
        .route("/api/chat", post(ollama::chat))
        .route("/api/generate", post(ollama::generate))
        .route("/api/tags", get(ollama::models::tags))
        .route("/api/show", post(ollama::models::show))
        .route("/api/version", get(ollama::models::version))
        .route("/v1/chat/completions", post(openai::chat))
        .route("/v1/completions", post(openai::completions))
        .route("/v1/models", get(openai::models::list))
        .route("/v1/models/{*id}", get(openai::models::retrieve))
        .route("/agent", post(agent::agent))
        .route("/echo", any(echo::echo))
        .route("/echo/{*rest}", any(echo::echo))
        .route("/ws", get(websocket::accept))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(introduce))
        .layer(middleware::from_fn(serving::observe))
        .with_state(state)
}

/// Runs the engine until `shutdown` resolves.
pub async fn serve(
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), serving::Error> {
    let listener = serving::bind(options.host, options.port, PORT_SETTING).await?;
    let address = listener.local_addr()?;
    if !options.host.is_loopback() {
        tracing::warn!(%address, "the echo engine has no authentication, and others can reach it");
    }
    tracing::info!(%address, model = MODEL, "listening");
    serving::run(listener, app(State::new(options.chunk_delay)), shutdown).await
}

/// Every answer says who gave it, since it looks like Ollama's or OpenAI's.
async fn introduce(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::SERVER, HeaderValue::from_static("attach-engine"));
    response
}

async fn unknown(request: Request) -> Response {
    match openai::is_path(request.uri().path()) {
        true => openai::Error::unknown_url(request.method(), request.uri().path()).into_response(),
        false => (StatusCode::NOT_FOUND, "404 page not found").into_response(),
    }
}

async fn wrong_method(request: Request) -> Response {
    match openai::is_path(request.uri().path()) {
        true => openai::Error::wrong_method(request.method(), request.uri().path()).into_response(),
        false => (StatusCode::METHOD_NOT_ALLOWED, "405 method not allowed").into_response(),
    }
}

/// Seconds of Unix time.
/// A time as Ollama writes it; before 1970, 1970's beginning.
fn rfc3339(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Rfc3339(u64::try_from(since.as_millis()).unwrap_or(u64::MAX)).to_string()
}

fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
