//! The engine as its clients see it: requests in, responses out, no socket between.

mod ollama;
mod openai;
mod transport;

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use serde_json::Value;
use tower::ServiceExt;

use super::{State, app};

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The JSON values of an NDJSON stream.
    fn lines(&self) -> Vec<Value> {
        assert_eq!(self.header("content-type"), "application/x-ndjson");
        assert!(self.text().ends_with('\n'));
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The JSON values of an event stream, whose last event is `[DONE]`.
    fn events(&self) -> Vec<Value> {
        assert!(self.header("content-type").starts_with("text/event-stream"));
        let events: Vec<&str> = self.text().strip_suffix("\n\n").unwrap().split("\n\n").collect();
        let (done, events) = events.split_last().unwrap();
        assert_eq!(*done, "data: [DONE]");
        events
            .iter()
            .map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap())
            .collect()
    }
}

async fn send(request: Request<Body>) -> Answer {
    let response = app(State::new(Duration::ZERO)).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 26).await.unwrap().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn get(path: &str) -> Answer {
    send(Request::get(path).body(Body::empty()).unwrap()).await
}

async fn post(path: &str, body: Value) -> Answer {
    send(Request::post(path).body(body.to_string().into()).unwrap()).await
}

/// A text of all the parts that `member` points to.
fn joined(parts: &[Value], member: &str) -> String {
    parts.iter().filter_map(|part| part.pointer(member)?.as_str()).collect()
}
