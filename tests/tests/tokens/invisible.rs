//! Usage that the filter asks for in its clients' place, and that no client sees.

use attach_tests::fixture::Fixture;
use attach_tests::mint::sha_256;
use attach_tests::request::Request;
use attach_tests::upstream::Exchange;
use serde_json::{Value, json};

use crate::kit::{self, CHAT, cost, row, rows};

/// Streams as engines send them, without usage and with, and what they cost then.
const GOLDEN: [(&str, &str, u64, u64); 6] = [
    ("openai_chat", CHAT, 31, 12),
    ("azure_chat", CHAT, 9, 2),
    ("vllm_chat", CHAT, 14, 22),
    ("spaced_chat", CHAT, 3, 6),
    ("ollama_v1_chat", CHAT, 26, 4),
    ("vllm_completions", "/v1/completions", 4, 4),
];

fn golden(name: &str, with_usage: bool) -> Vec<u8> {
    kit::core_file(&format!("golden/{name}{}.sse", if with_usage { "_usage" } else { "" }))
}

/// Sends a golden stream in pieces of a size, with usage if that was asked for.
fn engine(exchange: &mut Exchange, name: &str, size: usize) -> std::io::Result<()> {
    let body: Value = serde_json::from_slice(&exchange.body()?).unwrap_or_default();
    let stream = golden(name, body["stream_options"]["include_usage"] == true);
    kit::begin_stream(exchange)?;
    for piece in stream.chunks(size) {
        exchange.chunk(piece)?;
    }
    exchange.end(&[])
}

/// The body of a streamed call, of a chat or of a completion.
fn streamed(path: &str, more: &Value) -> Value {
    let mut body = kit::chat(kit::HI, &json!({"stream": true}));
    if path.ends_with("/v1/completions") {
        body = json!({"model": kit::MODEL, "prompt": kit::HI, "stream": true});
    }
    for (name, value) in more.as_object().expect("members") {
        body[name] = value.clone();
    }
    body
}

fn ask(fixture: &Fixture, project: &str, target: &str, body: &Value) -> Vec<u8> {
    fixture.gateway.send(&kit::call(fixture, "alice", project, target, body)).expect(200).body
}

#[test]
fn who_did_not_ask_for_usage_gets_what_the_engine_would_have_sent_him() {
    let fixture = kit::free();
    for (name, path, input, output) in GOLDEN {
        for size in [1, 7, 61, 1 << 20] {
            let project = format!("unseen-{name}-{size}");
            let target = format!("{path}?{project}");
            fixture.upstream.on(&target, move |exchange| engine(exchange, name, size));
            let got = ask(fixture, &project, &target, &streamed(path, &json!({})));
            assert_eq!(
                String::from_utf8_lossy(&got),
                String::from_utf8_lossy(&golden(name, false)),
                "{project}"
            );
            let seen: Value = serde_json::from_slice(&fixture.arrived(&project).body).expect("JSON");
            assert_eq!(seen, streamed(path, &json!({"stream_options": {"include_usage": true}})));
            assert_eq!(cost(&row(fixture, "alice", &project)), (input, output, "reported"), "{project}");
        }
    }
}

#[test]
fn who_asked_for_usage_gets_it() {
    let fixture = kit::free();
    for (name, path, input, output) in GOLDEN {
        let project = format!("asked-{name}");
        let target = format!("{path}?{project}");
        fixture.upstream.on(&target, move |exchange| engine(exchange, name, 64));
        let body = streamed(path, &json!({"stream_options": {"include_usage": true}}));
        let got = ask(fixture, &project, &target, &body);
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(&golden(name, true)), "{project}");
        assert_eq!(fixture.arrived(&project).body, body.to_string().as_bytes(), "{project}");
        assert_eq!(cost(&row(fixture, "alice", &project)), (input, output, "reported"), "{project}");
    }
}

#[test]
fn other_stream_options_stay() {
    let fixture = kit::free();
    for (project, options, expected) in [
        ("options-other", json!({"x": [1]}), json!({"x": [1], "include_usage": true})),
        ("options-false", json!({"include_usage": false}), json!({"include_usage": true})),
        ("options-null", Value::Null, json!({"include_usage": true})),
    ] {
        let target = format!("{CHAT}?{project}");
        fixture.upstream.on(&target, |exchange| engine(exchange, "openai_chat", 100));
        let body = streamed(CHAT, &json!({"stream_options": options}));
        let got = ask(fixture, project, &target, &body);
        let seen: Value = serde_json::from_slice(&fixture.arrived(project).body).expect("JSON");
        // `null` is left alone or filled in; what is asked for is taken out again in either case.
        if project != "options-null" || !seen["stream_options"].is_null() {
            assert_eq!(seen["stream_options"], expected, "{project}");
        }
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(&golden("openai_chat", false)));
    }
}

#[test]
fn where_a_route_says_so_nothing_is_asked_for() {
    let fixture = kit::free();
    let target = "/unasked/v1/chat/completions";
    fixture.upstream.on(target, |exchange| engine(exchange, "openai_chat", 100));
    let body = streamed(CHAT, &json!({}));
    let got = ask(fixture, "unasked", target, &body);
    assert_eq!(got, golden("openai_chat", false));
    assert_eq!(fixture.arrived(target).body, body.to_string().as_bytes());
    let row = row(fixture, "alice", "unasked");
    let (input, output, source) = cost(&row);
    assert_eq!((input, source), (kit::PROMPT, "counted"));
    assert!(output > 0, "{row:#}");
}

#[test]
fn an_unstreamed_call_is_not_edited() {
    let fixture = kit::free();
    let target = format!("{CHAT}?whole");
    fixture.upstream.on(&target, |exchange| kit::reply(exchange, &kit::reported(20, 30)));
    let body = kit::chat(kit::HI, &json!({}));
    let response = fixture.gateway.send(&kit::call(fixture, "alice", "whole", &target, &body)).expect(200);
    assert_eq!(response.json(), kit::reported(20, 30));
    assert_eq!(fixture.arrived("?whole").body, body.to_string().as_bytes());
    assert_eq!(cost(&row(fixture, "alice", "whole")), (20, 30, "reported"));
}

/// It says why, as engines do that do not know the word; whoever asks it twice is told twice.
fn refuses(exchange: &mut Exchange, status: &str) -> std::io::Result<()> {
    let body: Value = serde_json::from_slice(&exchange.body()?).unwrap_or_default();
    if body["stream_options"].is_null() {
        kit::begin_stream(exchange)?;
        exchange.chunk(&golden("openai_chat", false))?;
        return exchange.end(&[]);
    }
    let error = json!({"error": {"message": "Unrecognized request argument supplied: stream_options"}});
    exchange.reply(status, &[("content-type", "application/json")], error.to_string().as_bytes())
}

#[test]
fn an_engine_that_refuses_the_word_is_not_asked_again() {
    for (name, status, code) in
        [("refused-400", "400 Bad Request", 400), ("refused-422", "422 Unprocessable Entity", 422)]
    {
        // What an engine refuses each worker learns for itself.
        let fixture = Fixture::start(name, |builder| builder.set("ENVOY_CONCURRENCY", 1));
        fixture.upstream.on(CHAT, move |exchange| refuses(exchange, status));
        let body = streamed(CHAT, &json!({}));
        let send = || fixture.gateway.send(&kit::call(&fixture, "alice", name, CHAT, &body));
        let first = send();
        let asked = fixture.upstream.seen(CHAT);
        assert!(first.status == code || first.status == 200, "{}", first.text());
        for _ in 0..3 {
            assert_eq!(send().expect(200).body, golden("openai_chat", false));
        }
        let all = fixture.upstream.seen(CHAT);
        assert_eq!(all.len(), asked.len() + 3);
        for later in &all[asked.len()..] {
            assert_eq!(later.body, body.to_string().as_bytes(), "asked again");
        }
        let rows = rows(&fixture, "alice", name, 4);
        for row in &rows[..3] {
            assert_eq!((cost(row).0, cost(row).2), (kit::PROMPT, "counted"), "{row:#}");
        }
        if first.status == code {
            assert_eq!((cost(&rows[3]).0, cost(&rows[3]).1), (0, 0), "{:#}", rows[3]);
        }
    }
}

#[test]
fn a_refusal_for_another_reason_changes_nothing() {
    let fixture = Fixture::start("refused-else", |builder| builder.set("ENVOY_CONCURRENCY", 1));
    fixture
        .upstream
        .on(CHAT, |exchange| exchange.reply("400 Bad Request", &[], br#"{"error":"temperature"}"#));
    let body = streamed(CHAT, &json!({}));
    let request = kit::call(&fixture, "alice", "else", CHAT, &body);
    for _ in 0..2 {
        fixture.gateway.send(&request).expect(400);
    }
    for seen in fixture.upstream.seen(CHAT) {
        let seen: Value = serde_json::from_slice(&seen.body).expect("JSON");
        assert_eq!(seen["stream_options"]["include_usage"], true);
    }
}

/// Whoever vouches for a body to the engine must find it as he sent it.
#[test]
fn a_body_that_somebody_vouches_for_is_counted_and_not_edited() {
    let fixture = kit::free();
    let body = streamed(CHAT, &json!({}));
    let text = body.to_string();
    let digest = sha_256(text.as_bytes());
    for (project, name, value) in [
        ("bound-digest", "Content-Digest", digest.as_str()),
        ("bound-repr", "repr-digest", digest.as_str()),
        ("bound-old", "digest", "SHA-256=abc="),
        ("bound-signed", "Signature-Input", r#"sig1=("@method" "content-length");keyid="x""#),
    ] {
        let target = format!("{CHAT}?{project}");
        fixture.upstream.on(&target, |exchange| engine(exchange, "openai_chat", 100));
        let request: Request = kit::call(fixture, "alice", project, &target, &body).header(name, value);
        let response = fixture.gateway.send(&request).expect(200);
        assert_eq!(response.body, golden("openai_chat", false), "{project}");
        assert_eq!(fixture.arrived(project).body, text.as_bytes(), "{project}");
        assert_eq!(cost(&row(fixture, "alice", project)).2, "counted", "{project}");
    }
}
