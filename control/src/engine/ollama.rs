//! Ollama's own API: `/api/chat` and `/api/generate`, as version 0.5.13 answers them.

pub(super) mod models;

use std::time::{Instant, SystemTime};

use axum::Json;
use axum::extract::State as Extract;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{Answer, Limits, tokens};
use super::body::{BadBody, Received, Stop, parse};
use super::pace::{self, Frame};
use super::{State, rfc3339};

/// A refusal: `{"error": "..."}`.
#[derive(Debug)]
pub(super) struct Error {
    status: StatusCode,
    message: String,
}

impl Error {
    fn no_model() -> Error {
        Error { status: StatusCode::BAD_REQUEST, message: "model is required".to_owned() }
    }
}

impl From<BadBody> for Error {
    fn from(BadBody { status, message }: BadBody) -> Error {
        Error { status, message }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.message }))).into_response()
    }
}

#[derive(Deserialize)]
struct ChatRequest {
    #[serde(flatten)]
    common: Common,
    #[serde(default)]
    messages: Option<Vec<Message>>,
}

#[derive(Deserialize)]
struct GenerateRequest {
    #[serde(flatten)]
    common: Common,
    #[serde(default)]
    prompt: Option<String>,
    #[serde(default)]
    system: Option<String>,
}

#[derive(Deserialize)]
struct Common {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    keep_alive: Option<Value>,
    #[serde(default)]
    options: Option<Options>,
}

#[derive(Deserialize)]
struct Options {
    /// Ollama takes any number here; none, or one below 1, is no limit.
    #[serde(default)]
    num_predict: Option<f64>,
    #[serde(default)]
    stop: Option<Stop>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    #[serde(default)]
    content: Option<String>,
}

/// Which of the two routes answers: they differ in the member that holds the text.
#[derive(Clone, Copy)]
enum Route {
    Chat,
    Generate,
}

/// `POST /api/chat`.
pub(super) async fn chat(Extract(state): Extract<State>, body: Received) -> Result<Response, Error> {
    let begin = Instant::now();
    let ChatRequest { common, messages } = parse(body)?;
    let messages = messages.unwrap_or_default();
    let text = |message: &Message| tokens(message.content.as_deref().unwrap_or_default());
    let prompt_tokens = messages.iter().map(text).sum();
    let said = messages.iter().rfind(|message| message.role == "user").or(messages.last());
    let said = said.map(|message| message.content.as_deref().unwrap_or_default());
    common.answer(&state, Route::Chat, begin, prompt_tokens, said)
}

/// `POST /api/generate`.
pub(super) async fn generate(Extract(state): Extract<State>, body: Received) -> Result<Response, Error> {
    let begin = Instant::now();
    let GenerateRequest { common, prompt, system } = parse(body)?;
    let prompt_tokens = [&prompt, &system].into_iter().flatten().map(|text| tokens(text)).sum();
    let said = prompt.as_deref().filter(|prompt| !prompt.is_empty());
    common.answer(&state, Route::Generate, begin, prompt_tokens, said)
}

impl Common {
    /// Answers `said`. Where there is nothing to answer the request loads or unloads the model.
    fn answer(
        self,
        state: &State,
        route: Route,
        begin: Instant,
        prompt_tokens: usize,
        said: Option<&str>,
    ) -> Result<Response, Error> {
        let model = self.model.filter(|model| !model.is_empty()).ok_or_else(Error::no_model)?;
        let Some(said) = said else {
            let reason = if self.keep_alive.as_ref().is_some_and(is_zero) { "unload" } else { "load" };
            let mut last = part(route, &model, "");
            last.extend([("done".to_owned(), json!(true)), ("done_reason".to_owned(), json!(reason))]);
            return Ok(Json(last).into_response());
        };
        let limits = match self.options {
            None => Limits::default(),
            Some(options) => Limits {
                // Ollama reads the whole part of the number.
                tokens: options.num_predict.filter(|most| *most >= 1.0).map(|most| most as u64),
                stop: Stop::into_texts(options.stop),
            },
        };
        let answer = Answer::new(prompt_tokens, said, &limits);
        let prompted = Instant::now();
        if self.stream == Some(false) {
            return Ok(Json(last(route, &model, &answer.text(), &answer, begin, prompted)).into_response());
        }
        let pieces = answer.pieces.clone().into_iter();
        let name = model.clone();
        let words = pieces.map(move |piece| Frame::paced(line(&part(route, &name, &piece))));
        let end = std::iter::once_with(move || {
            Frame::at_once(line(&last(route, &model, "", &answer, begin, prompted)))
        });
        let body = pace::body(words.chain(end), state.chunk_delay);
        Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
    }
}

/// An answer, or a part of it, that is not the last.
fn part(route: Route, model: &str, text: &str) -> Map<String, Value> {
    let mut part = Map::new();
    part.insert("model".to_owned(), json!(model));
    part.insert("created_at".to_owned(), json!(rfc3339(SystemTime::now())));
    match route {
        Route::Chat => part.insert("message".to_owned(), json!({ "role": "assistant", "content": text })),
        Route::Generate => part.insert("response".to_owned(), json!(text)),
    };
    part.insert("done".to_owned(), json!(false));
    part
}

/// The last part, with the figures. Those that are 0 are left out, as Ollama does.
fn last(
    route: Route,
    model: &str,
    text: &str,
    answer: &Answer,
    begin: Instant,
    prompted: Instant,
) -> Map<String, Value> {
    let mut last = part(route, model, text);
    last.insert("done".to_owned(), json!(true));
    last.insert("done_reason".to_owned(), json!(answer.finish.as_str()));
    let nanoseconds = |from: Instant, to: Instant| to.duration_since(from).as_nanos();
    let now = Instant::now();
    let figures = [
        ("total_duration", nanoseconds(begin, now)),
        ("prompt_eval_count", answer.prompt_tokens as u128),
        ("prompt_eval_duration", nanoseconds(begin, prompted)),
        ("eval_count", answer.tokens() as u128),
        ("eval_duration", nanoseconds(prompted, now)),
    ];
    for (name, figure) in figures {
        if figure > 0 {
            last.insert(name.to_owned(), json!(u64::try_from(figure).unwrap_or(u64::MAX)));
        }
    }
    last
}

fn line(part: &Map<String, Value>) -> String {
    format!("{}\n", json!(part))
}

/// Whether a duration (`0`, `"0"`, `"0s"`, `"0m"`) is none.
fn is_zero(duration: &Value) -> bool {
    match duration {
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => {
            text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic()).parse() == Ok(0.0)
        }
        _ => false,
    }
}
