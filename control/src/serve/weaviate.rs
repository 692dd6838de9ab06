//! Below `/internal/weaviate`, what the filter asks of a Weaviate, answered as one would: the filter speaks one
//! protocol, wherever memory lies. For the filter alone: it may see everybody's.

use attach_core::mirror::{CLASS, Object};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{self, DefaultBodyLimit, Path, Query};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{State, reply};
use crate::memory::{Error, Memory, Page, Reach, Stored, embedded};
use crate::trust::FromFilter;

/// The most bytes of a batch.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The most objects of a batch.
const MAX_OBJECTS: usize = 10_000;
/// How many objects are listed where `limit` says nothing, and at most, as Weaviate does.
const DEFAULT_LIMIT: usize = 25;
const MAX_LIMIT: usize = 10_000;

/// The routes, without their prefix.
pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/v1/.well-known/ready", get(ready))
        .route("/v1/schema", get(schema))
        .route("/v1/schema/{class}", get(class))
        .route("/v1/batch/objects", post(batch).layer(DefaultBodyLimit::max(MAX_BYTES)))
        .route("/v1/objects", get(list).post(one).layer(DefaultBodyLimit::max(MAX_BYTES)))
        .route("/v1/objects/{class}/{id}", get(object))
}

/// What is wrong, in Weaviate's form.
fn wrong(status: StatusCode, text: &str) -> Response {
    reply::json(status, &json!({ "error": [{ "message": text }] }))
}

fn unkept(error: &Error) -> Response {
    tracing::warn!(%error, "events were not remembered; the filter keeps them");
    wrong(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
}

#[expect(clippy::result_large_err, reason = "an answer, made once")]
fn memory(state: &State) -> Result<&Memory, Response> {
    let off = || reply::detail(StatusCode::NOT_FOUND, "Nothing is remembered here: MEM_BACKEND is none");
    state.memory.as_ref().ok_or_else(off)
}

async fn ready(_: FromFilter, extract::State(state): extract::State<State>) -> Response {
    memory(&state).map_or_else(|off| off, |_| StatusCode::OK.into_response())
}

async fn schema(_: FromFilter, extract::State(state): extract::State<State>) -> Response {
    memory(&state)
        .map_or_else(|off| off, |_| reply::json(StatusCode::OK, &json!({ "classes": [the_class()] })))
}

async fn class(
    _: FromFilter,
    extract::State(state): extract::State<State>,
    Path(name): Path<String>,
) -> Response {
    match memory(&state) {
        Ok(_) if name == CLASS => reply::json(StatusCode::OK, &the_class()),
        // Weaviate says no more than that.
        Ok(_) => StatusCode::NOT_FOUND.into_response(),
        Err(off) => off,
    }
}

/// The class, as Weaviate would tell it.
fn the_class() -> Value {
    let text = |names: &[&str], tokenization: &str| {
        let property =
            |name: &&str| json!({"name": name, "dataType": ["text"], "tokenization": tokenization});
        names.iter().map(property).collect::<Vec<_>>()
    };
    let names = [
        "event",
        "session_id",
        "user",
        "owner",
        "agent",
        "task_id",
        "role",
        "model",
        "request_id",
        "state",
        "run_id",
        "level",
    ];
    let mut properties = text(&names, "field");
    properties.extend(text(&["content"], "word"));
    properties.extend([
        json!({"name": "timestamp", "dataType": ["date"]}),
        json!({"name": "truncated", "dataType": ["boolean"]}),
        json!({"name": "tokens", "dataType": ["int"]}),
    ]);
    json!({ "class": CLASS, "vectorizer": "none", "properties": properties })
}

type Body = Result<Bytes, extract::rejection::BytesRejection>;

#[expect(clippy::result_large_err, reason = "an answer, made once")]
fn read(body: Body) -> Result<Bytes, Response> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => wrong(StatusCode::PAYLOAD_TOO_LARGE, "A batch may have 4 MiB"),
        _ => wrong(StatusCode::BAD_REQUEST, "The body could not be read"),
    })
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    objects: Vec<&'a RawValue>,
}

/// Only what names an object, of one that is otherwise not one.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    class: String,
    id: String,
}

/// What became of an object.
struct Told {
    named: Named,
    error: Option<String>,
}

impl Told {
    /// In Weaviate's form, but for what the object says: whoever asks knows that.
    fn value(self) -> Value {
        let Named { class, id } = self.named;
        match self.error {
            None => json!({ "class": class, "id": id, "result": { "status": "SUCCESS" } }),
            Some(error) => json!({
                "class": class, "id": id,
                "result": { "status": "FAILED", "errors": { "error": [{ "message": error }] } },
            }),
        }
    }
}

/// Reads an object that can be kept.
fn fitting(raw: &str) -> Result<Object, String> {
    // serde's own words may quote what the object says.
    let object: Object = serde_json::from_str(raw)
        .map_err(|error| format!("it is no object of {CLASS} (column {} of it)", error.column()))?;
    embedded::fit(&object).map(|()| object)
}

async fn batch(_: FromFilter, extract::State(state): extract::State<State>, body: Body) -> Response {
    let (memory, body) = match (memory(&state), read(body)) {
        (Ok(memory), Ok(body)) => (memory, body),
        (Err(answer), _) | (_, Err(answer)) => return answer,
    };
    let batch: Batch<'_> = match serde_json::from_slice(&body) {
        Ok(batch) => batch,
        Err(_) => {
            return wrong(StatusCode::UNPROCESSABLE_ENTITY, "The body must be {\"objects\": [object, …]}");
        }
    };
    if batch.objects.len() > MAX_OBJECTS {
        return wrong(StatusCode::UNPROCESSABLE_ENTITY, "A batch may have 10,000 objects");
    }
    let (mut objects, mut told) = (Vec::new(), Vec::with_capacity(batch.objects.len()));
    for raw in batch.objects {
        match fitting(raw.get()) {
            Ok(object) => {
                told.push(Told {
                    named: Named { class: object.class.clone(), id: object.id.clone() },
                    error: None,
                });
                objects.push(object);
            }
            Err(error) => {
                let named: Named = serde_json::from_str(raw.get()).unwrap_or_default();
                tracing::warn!(%error, "an event cannot be remembered");
                told.push(Told { named, error: Some(error) });
            }
        }
    }
    if !objects.is_empty()
        && let Err(error) = memory.remember(objects).await
    {
        return unkept(&error);
    }
    reply::json(StatusCode::OK, &told.into_iter().map(Told::value).collect::<Vec<_>>())
}

async fn one(_: FromFilter, extract::State(state): extract::State<State>, body: Body) -> Response {
    let (memory, body) = match (memory(&state), read(body)) {
        (Ok(memory), Ok(body)) => (memory, body),
        (Err(answer), _) | (_, Err(answer)) => return answer,
    };
    let object = str::from_utf8(&body).map_err(|_| "it is no text".to_owned()).and_then(fitting);
    let object = match object {
        Ok(object) => object,
        Err(error) => return wrong(StatusCode::UNPROCESSABLE_ENTITY, &error),
    };
    let answer = json!({ "class": object.class, "id": object.id, "properties": object.properties });
    match memory.remember(vec![object]).await {
        Ok(()) => reply::json(StatusCode::OK, &answer),
        Err(error) => unkept(&error),
    }
}

fn told(stored: Stored) -> Value {
    json!({ "class": CLASS, "id": stored.id, "properties": stored.event })
}

async fn object(
    _: FromFilter,
    extract::State(state): extract::State<State>,
    Path((class, id)): Path<(String, String)>,
) -> Response {
    let memory = match memory(&state) {
        Ok(memory) => memory,
        Err(off) => return off,
    };
    if class != CLASS {
        return StatusCode::NOT_FOUND.into_response();
    }
    match memory.backend().get(Reach::Everyone, id).await {
        Ok(Some(stored)) => reply::json(StatusCode::OK, &told(stored)),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => unread(&error),
    }
}

fn unread(error: &Error) -> Response {
    tracing::warn!(%error, "memory could not be read");
    wrong(StatusCode::SERVICE_UNAVAILABLE, &error.to_string())
}

/// What `GET /v1/objects` takes. Other parameters of Weaviate's change nothing.
#[derive(Deserialize)]
struct Asked {
    class: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    offset: usize,
    /// The id of the object that the page begins behind.
    after: Option<String>,
}

async fn list(
    _: FromFilter,
    extract::State(state): extract::State<State>,
    asked: Result<Query<Asked>, extract::rejection::QueryRejection>,
) -> Response {
    let memory = match memory(&state) {
        Ok(memory) => memory,
        Err(off) => return off,
    };
    let Ok(Query(asked)) = asked else {
        return wrong(StatusCode::UNPROCESSABLE_ENTITY, "limit and offset must be whole numbers");
    };
    if asked.class.is_some_and(|class| class != CLASS) {
        return wrong(StatusCode::UNPROCESSABLE_ENTITY, "class must be MemoryEvent");
    }
    let limit = asked.limit.unwrap_or(DEFAULT_LIMIT);
    let Some(until) = limit.checked_add(asked.offset).filter(|until| *until <= MAX_LIMIT) else {
        return wrong(StatusCode::UNPROCESSABLE_ENTITY, "limit and offset may be 10,000 together");
    };
    let before = match asked.after.filter(|after| !after.is_empty()) {
        None => None,
        Some(after) => match memory.backend().get(Reach::Everyone, after).await {
            Ok(Some(stored)) => Some((stored.event.timestamp, stored.id)),
            Ok(None) => return wrong(StatusCode::UNPROCESSABLE_ENTITY, "after must be the id of an object"),
            Err(error) => return unread(&error),
        },
    };
    match memory.backend().list(Reach::Everyone, Page { limit: until, before, session: None }).await {
        Ok(found) => {
            let objects: Vec<Value> = found.into_iter().skip(asked.offset).map(told).collect();
            let count = objects.len();
            reply::json(StatusCode::OK, &json!({ "objects": objects, "totalResults": count }))
        }
        Err(error) => unread(&error),
    }
}
