//! What the tests here have in common: two gateways, calls, scripted answers, and the ledger.

use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use attach_tests::fixture::Fixture;
use attach_tests::http::Headers;
use attach_tests::request::{Request, Streaming};
use attach_tests::upstream::Exchange;
use attach_tests::wait;
use serde_json::{Value, json};

/// Where chats are sent.
pub const CHAT: &str = "/v1/chat/completions";
/// A model that is counted in `cl100k_base`.
pub const MODEL: &str = "gpt-4";
/// What the chat of [`chat`] costs besides its content: 3 for all messages, 4 for each, and `user`.
pub const FRAME: u64 = 8;
/// What [`chat`] with [`HI`] costs.
pub const PROMPT: u64 = FRAME + 1;
/// A text of one token.
pub const HI: &str = "hi";
/// A text of one token, however often it is said.
pub const WORD: &str = " word";
/// The largest body that is counted, on the limited gateway.
pub const MAX_BYTES: usize = 20_000;
/// What a call that states no cap is taken to answer, on the limited gateway.
pub const DEFAULT_OUTPUT: u64 = 64;

/// How long a test waits for its own word.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The gateway on which nobody has a limit.
pub fn free() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        Fixture::start("tokens-free", |builder| {
            builder.document(
                "routes:\n  - path: /unasked/**\n    tokens: {usage_injection: off}\n  - path: /forward/**\n    forward_credential: true\n",
            )
        })
    })
}

/// The gateway with limits, on four workers. A user who is called `x-…` has the limit `x` alone.
pub fn limited() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        Fixture::start("tokens-limited", |builder| {
            builder
                .set("ENVOY_CONCURRENCY", 4)
                .set("MAX_REQUEST_BYTES", MAX_BYTES)
                .set("QUOTA_DEFAULT_OUTPUT", DEFAULT_OUTPUT)
                .document(LIMITS)
        })
    })
}

const LIMITS: &str = r#"
oidc:
  claim_headers: [{claim: tenant, header: x-attach-tenant}]
limits:
  - {name: hundred, user: "hundred-*", tokens: 100, per: minute}
  - {name: two-hundred, user: "two-hundred-*", tokens: 200, per: minute}
  - {name: thousand, user: "thousand-*", tokens: 1000, per: minute}
  - {name: plenty, user: "plenty-*", tokens: 1000000, per: minute}
  - {name: brief, user: "brief-*", tokens: 100, window: 2}
  - {name: trial, claim: {header: x-attach-tenant, value: trial}, tokens: 100, per: minute}
  - {name: lab, user: "project-*", project: lab, tokens: 100, per: minute}
  - {name: big, user: "model-*", model: "big*", tokens: 100, per: minute}
  - {name: team, user: "team-*", tokens: 100, per: minute, shared: true}
routes:
  - path: /flat/**
    tokens: {flat_charge: 60}
  - path: /other-field/**
    tokens: {cap_field: max_completion_tokens}
"#;

/// The body of a chat with one message of one user.
pub fn chat(content: &str, more: &Value) -> Value {
    let mut body = json!({"model": MODEL, "messages": [{"role": "user", "content": content}]});
    for (name, value) in more.as_object().expect("members") {
        body[name] = value.clone();
    }
    body
}

/// A call of a user's, for a project.
pub fn call(fixture: &Fixture, user: &str, project: &str, target: &str, body: &Value) -> Request {
    Request::post_json(target, body)
        .bearer(&fixture.world.first.token(user))
        .header("x-attach-project", project)
}

/// The rows of a user's ledger for a project, newest first, once there are so many.
pub fn rows(fixture: &Fixture, user: &str, project: &str, count: usize) -> Vec<Value> {
    let token = fixture.world.first.token(user);
    let target = format!("/v1/usage?limit=1000&project={project}");
    let found = wait::until(&format!("{count} rows of {user} for {project}"), || {
        let page = fixture.gateway.send(&Request::get(&target).bearer(&token)).expect(200).json();
        let rows = page["data"].as_array().expect("rows").clone();
        (rows.len() >= count).then_some(rows)
    });
    assert_eq!(found.len(), count, "{found:#?}");
    found
}

/// The only row of a user's ledger for a project.
pub fn row(fixture: &Fixture, user: &str, project: &str) -> Value {
    rows(fixture, user, project, 1).remove(0)
}

/// Input, output and source of a row.
pub fn cost(row: &Value) -> (u64, u64, &str) {
    let number = |name: &str| row[name].as_u64().unwrap_or_else(|| panic!("no {name}: {row:#}"));
    (number("input"), number("output"), row["source"].as_str().unwrap_or_default())
}

/// What `GET /v1/quota/me` says of a limit.
pub fn quota(fixture: &Fixture, token: &str, limit: &str) -> Value {
    let answer = fixture.gateway.send(&Request::get("/v1/quota/me").bearer(token)).expect(200).json();
    let limits = answer["limits"].as_array().unwrap_or_else(|| panic!("no limits: {answer:#}"));
    let found = limits.iter().find(|entry| entry["name"] == limit);
    found.unwrap_or_else(|| panic!("no {limit}: {answer:#}")).clone()
}

/// Waits until a user has used so much of a limit, and nothing is held.
pub fn settled(fixture: &Fixture, user: &str, limit: &str, used: u64) {
    let token = fixture.world.first.token(user);
    let mut last = Value::Null;
    let start = std::time::Instant::now();
    while start.elapsed() < PATIENCE {
        last = quota(fixture, &token, limit);
        if last["used"] == used && last["held"] == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{user} should have used {used} of {limit}, with nothing held: {last:#}");
}

/// An unstreamed answer that says what it cost.
pub fn reported(input: u64, output: u64) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output},
    })
}

/// An unstreamed answer that says nothing about that.
pub fn silent(content: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL,
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
        ],
    })
}

/// Answers with JSON.
pub fn reply(exchange: &mut Exchange, answer: &Value) -> io::Result<()> {
    exchange.reply("200 OK", &[("content-type", "application/json")], answer.to_string().as_bytes())
}

/// One event of a stream, with that text.
pub fn delta(text: &str) -> String {
    let event = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}],
    });
    format!("data: {event}\n\n")
}

/// The event that ends a stream's only choice.
pub fn stop() -> String {
    let event = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    });
    format!("data: {event}\n\n")
}

/// Begins a stream of events.
pub fn begin_stream(exchange: &mut Exchange) -> io::Result<()> {
    exchange.start("200 OK", &[("content-type", "text/event-stream")])
}

/// Waits until whoever sent the request is gone.
pub fn gone(exchange: &mut Exchange) -> io::Result<()> {
    while !exchange.wire().receive()?.is_empty() {}
    Ok(())
}

/// Reads a response for as long as anything comes, however it ends; `true` if it came to its own end.
pub fn drain(stream: &mut Streaming) -> (Vec<u8>, bool) {
    let mut all = Vec::new();
    loop {
        match stream.wire().piece() {
            Ok(Some(piece)) => all.extend_from_slice(&piece),
            Ok(None) => return (all, true),
            Err(_) => return (all, false),
        }
    }
}

/// Reads a response until it holds a text.
pub fn read_until(stream: &mut Streaming, text: &str) -> String {
    let mut all = Vec::new();
    while !String::from_utf8_lossy(&all).contains(text) {
        all.extend(stream.piece().unwrap_or_else(|| panic!("no {text}")));
    }
    String::from_utf8(all).expect("text")
}

/// The data of the events of a stream, all of which must be whole.
pub fn events(text: &str) -> Vec<&str> {
    let whole = text.strip_suffix("\n\n").unwrap_or_else(|| panic!("cut in mid-event: {text:?}"));
    let data = |event| -> &str {
        let data: Option<&str> = Option::from(event).and_then(|event: &str| event.strip_prefix("data: "));
        data.unwrap_or_else(|| panic!("no event: {event:?}"))
    };
    whole.split("\n\n").map(data).collect()
}

/// The text that a stream's events hold together.
pub fn said(events: &[&str]) -> String {
    let json = events.iter().filter(|data| **data != "[DONE]");
    let json = json.map(|data| serde_json::from_str::<Value>(data).expect("JSON"));
    json.filter_map(|event| Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned())).collect()
}

/// The value of a header that must be there.
pub fn header<'a>(headers: &'a Headers, name: &str) -> &'a str {
    headers.one(name).unwrap_or_else(|| panic!("no {name}: {headers:?}"))
}

/// A file of the core's own tests.
pub fn core_file(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../filter/core/tests").join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
