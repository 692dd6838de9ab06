//! Where the budget ends: caps that are stated are lowered, and streams get their last event from the filter.

use std::sync::mpsc::channel;

use attach_tests::request::Request;
use attach_tests::upstream::Exchange;
use attach_tests::wait;
use serde_json::{Value, json};

use crate::kit::{
    self, CHAT, DEFAULT_OUTPUT, PATIENCE, PROMPT, WORD, cost, drain, events, row, said, settled,
};

/// Streams words for as long as somebody listens, then tells.
fn endless(
    begin: impl Fn(&mut Exchange) -> std::io::Result<()> + Send + Sync + 'static,
    event: impl Fn() -> String + Send + Sync + 'static,
) -> (impl Fn(&mut Exchange) -> std::io::Result<()> + Send + Sync + 'static, std::sync::mpsc::Receiver<()>) {
    let (closed, told) = channel();
    let handler = move |exchange: &mut Exchange| {
        exchange.body()?;
        begin(exchange)?;
        while exchange.chunk(event().as_bytes()).is_ok() {
            // Coalesced events are no different, but real engines think in between.
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
        let _ = closed.send(());
        Ok(())
    };
    (handler, told)
}

/// What is left of a limit of two hundred behind the prompt.
const LEFT: u64 = 200 - PROMPT;

#[test]
fn a_stream_at_the_end_of_its_budget_ends_as_openais_do() {
    let fixture = kit::limited();
    let (user, project) = ("two-hundred-sse", "end-sse");
    let target = format!("{CHAT}?{project}");
    let (handler, told) = endless(kit::begin_stream, || kit::delta(WORD));
    fixture.upstream.on(&target, handler);
    let request = kit::call(fixture, user, project, &target, &kit::chat(kit::HI, &json!({"stream": true})));
    let mut stream = request.open(fixture.gateway.address);
    assert_eq!(stream.head().0, 200);
    let (got, _) = drain(&mut stream);
    told.recv_timeout(PATIENCE).expect("the engine is told to stop");

    let text = String::from_utf8(got).expect("text");
    let events = events(&text);
    let [spoken @ .., last, done] = events.as_slice() else { panic!("{text}") };
    assert_eq!(*done, "[DONE]");
    let last: Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(last["choices"][0]["finish_reason"], "length", "{last:#}");
    assert_eq!((&last["id"], &last["model"]), (&json!("chatcmpl-1"), &json!(kit::MODEL)));
    let words = spoken.len() as u64;
    assert_eq!(said(spoken), WORD.repeat(spoken.len()));
    assert_eq!(words, LEFT, "the budget is used to its end and no further");
    assert_eq!(cost(&row(fixture, user, project)), (PROMPT, LEFT, "counted"));
    settled(fixture, user, "two-hundred", 200);
    fixture.gateway.send(&request).expect(429);
}

#[test]
fn a_stream_at_the_end_of_its_budget_ends_as_ollamas_do() {
    let fixture = kit::limited();
    for (project, path, body) in [
        ("end-chat", "/api/chat", json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]})),
        ("end-generate", "/api/generate", json!({"model": "m", "prompt": "hi"})),
    ] {
        let user = format!("two-hundred-{project}");
        let target = format!("{path}?{project}");
        let is_chat = path == "/api/chat";
        let (handler, told) = endless(
            |exchange| exchange.start("200 OK", &[("content-type", "application/x-ndjson")]),
            move || {
                let mut event = json!({"model": "m", "created_at": "2025-01-01T00:00:00Z", "done": false});
                if is_chat {
                    event["message"] = json!({"role": "assistant", "content": WORD});
                } else {
                    event["response"] = json!(WORD);
                }
                format!("{event}\n")
            },
        );
        fixture.upstream.on(&target, handler);
        let mut stream = kit::call(fixture, &user, project, &target, &body).open(fixture.gateway.address);
        assert_eq!(stream.head().0, 200);
        let (got, _) = drain(&mut stream);
        told.recv_timeout(PATIENCE).expect("the engine is told to stop");
        let text = String::from_utf8(got).expect("text");
        assert!(text.ends_with('\n'), "{text}");
        let lines: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
        let (last, spoken) = lines.split_last().expect("lines");
        assert_eq!((&last["done"], &last["done_reason"]), (&json!(true), &json!("length")), "{last:#}");
        assert!(spoken.iter().all(|line| line["done"] == false));
        let row = row(fixture, &user, project);
        let (input, output, source) = cost(&row);
        assert_eq!((output, source), (spoken.len() as u64, "counted"));
        assert_eq!(input + output, 200, "{project}");
        settled(fixture, &user, "two-hundred", 200);
    }
}

/// What is held for a stream grows while it runs: others have what it does not need yet.
#[test]
fn a_streams_hold_grows_in_steps() {
    let fixture = kit::limited();
    let (user, project) = ("thousand-steps", "steps");
    let target = format!("{CHAT}?{project}");
    let (go, words) = channel::<u64>();
    let words = std::sync::Mutex::new(words);
    fixture.upstream.on(&target, move |exchange| {
        exchange.body()?;
        kit::begin_stream(exchange)?;
        let words = words.lock().map_err(|_| std::io::Error::other("poisoned"))?;
        while let Ok(words) = words.recv_timeout(PATIENCE) {
            for _ in 0..words {
                exchange.chunk(kit::delta(WORD).as_bytes())?;
            }
            if words == 0 {
                break;
            }
        }
        exchange.chunk(format!("{}data: [DONE]\n\n", kit::stop()).as_bytes())?;
        exchange.end(&[])
    });
    let request = kit::call(fixture, user, project, &target, &kit::chat(kit::HI, &json!({"stream": true})));
    let mut stream = request.open(fixture.gateway.address);
    assert_eq!(stream.head().0, 200);
    let token = fixture.world.first.token(user);
    let held = || kit::quota(fixture, &token, "thousand")["held"].as_u64().expect("a number");
    let first = held();
    // A worker's lease may be a sixteenth of the limit larger.
    let slack = 4 * (1000 / 16) + DEFAULT_OUTPUT;
    assert!((PROMPT + DEFAULT_OUTPUT..=PROMPT + DEFAULT_OUTPUT + slack).contains(&first), "{first}");
    go.send(400).expect("the engine waits");
    let mut text = String::new();
    while text.matches(WORD).count() < 400 {
        text.push_str(&String::from_utf8(stream.piece().expect("words")).expect("text"));
    }
    // Words that come all at once are first taken for as many tokens as they have bytes; what that was too
    // much goes back.
    let needed = PROMPT + 400..=PROMPT + 400 + 2 * DEFAULT_OUTPUT + slack;
    wait::until("the hold to be what the stream needs", || needed.contains(&held()).then_some(()));
    go.send(0).expect("the engine waits");
    let (rest, is_whole) = drain(&mut stream);
    assert!(is_whole && rest.ends_with(b"data: [DONE]\n\n"));
    assert_eq!(cost(&row(fixture, user, project)), (PROMPT, 400, "counted"));
    settled(fixture, user, "thousand", PROMPT + 400);
}

/// A stream whose last event is already on its way is left to end by itself.
#[test]
fn a_stream_that_ends_by_itself_is_not_ended() {
    let fixture = kit::limited();
    let (user, project) = ("two-hundred-itself", "itself");
    let target = format!("{CHAT}?{project}");
    let stream: String = std::iter::repeat_n(kit::delta(WORD), 150)
        .chain([kit::stop(), "data: [DONE]\n\n".to_owned()])
        .collect();
    let reply = stream.clone();
    fixture.upstream.on(&target, move |exchange| {
        exchange.body()?;
        kit::begin_stream(exchange)?;
        exchange.chunk(reply.as_bytes())?;
        exchange.end(&[])
    });
    let request = kit::call(fixture, user, project, &target, &kit::chat(kit::HI, &json!({"stream": true})));
    assert_eq!(fixture.gateway.send(&request).expect(200).text(), stream);
    settled(fixture, user, "two-hundred", PROMPT + 150);
}

fn sees(target: &str, user: &str, body: &Value) -> Value {
    let fixture = kit::limited();
    let request = kit::call(fixture, user, "caps", target, body);
    fixture.gateway.send(&request).expect(200);
    let seen = fixture.arrived(target);
    let length = seen.headers.one("content-length").map(|length| length.parse().expect("a number"));
    assert!(length.is_none_or(|length: usize| length == seen.body.len()), "{length:?}");
    serde_json::from_slice(&seen.body).expect("JSON")
}

#[test]
fn a_stated_cap_is_lowered_to_what_there_is() {
    for (name, more, path, expected) in [
        ("max-tokens", json!({"max_tokens": 5000}), "/max_tokens", LEFT),
        ("completion", json!({"max_completion_tokens": 5000}), "/max_completion_tokens", LEFT),
        (
            "streamed",
            json!({"max_tokens": 5000, "stream": true, "stream_options": {"include_usage": true}}),
            "/max_tokens",
            LEFT,
        ),
        ("fits", json!({"max_tokens": 100}), "/max_tokens", 100),
        ("choices", json!({"max_tokens": 5000, "n": 2}), "/max_tokens", LEFT / 2),
    ] {
        let body = kit::chat(kit::HI, &more);
        let seen = sees(&format!("{CHAT}?cap-{name}"), &format!("two-hundred-cap-{name}"), &body);
        assert_eq!(seen.pointer(path), Some(&json!(expected)), "{name}: {seen:#}");
        let mut as_sent = seen.clone();
        *as_sent.pointer_mut(path).expect("just seen") = body.pointer(path).expect("stated").clone();
        assert_eq!(as_sent, body, "{name}: nothing else changes");
    }
    let body = json!({"model": "m", "stream": false, "options": {"num_predict": 5000, "seed": 1}, "messages": [{"role": "user", "content": "hi"}]});
    let seen = sees("/api/chat?cap-ollama", "two-hundred-cap-ollama", &body);
    assert_eq!(seen["options"], json!({"num_predict": LEFT, "seed": 1}));
}

#[test]
fn an_unstreamed_call_without_a_cap_gets_one_and_a_stream_gets_none() {
    let plain = kit::chat(kit::HI, &json!({}));
    let seen = sees(&format!("{CHAT}?capless"), "plenty-capless", &plain);
    assert_eq!(seen, kit::chat(kit::HI, &json!({"max_tokens": DEFAULT_OUTPUT})));

    let seen = sees("/other-field/v1/chat/completions?capless-field", "plenty-field", &plain);
    assert_eq!(seen, kit::chat(kit::HI, &json!({"max_completion_tokens": DEFAULT_OUTPUT})));

    let ollama = json!({"model": "m", "prompt": "hi", "stream": false});
    let seen = sees("/api/generate?capless", "plenty-ollama", &ollama);
    assert_eq!(seen["options"], json!({"num_predict": DEFAULT_OUTPUT}));

    let streamed = kit::chat(kit::HI, &json!({"stream": true, "stream_options": {"include_usage": true}}));
    assert_eq!(sees(&format!("{CHAT}?capless-stream"), "plenty-stream", &streamed), streamed);
}

#[test]
fn without_a_limit_nobodys_cap_is_touched() {
    let fixture = kit::free();
    for (project, more) in [("no-limit", json!({})), ("no-limit-cap", json!({"max_tokens": 4_000_000}))] {
        let target = format!("{CHAT}?{project}-body");
        let body = kit::chat(kit::HI, &more);
        fixture.gateway.send(&kit::call(fixture, "alice", project, &target, &body)).expect(200);
        assert_eq!(fixture.arrived(&target).body, body.to_string().as_bytes());
    }
}

/// A signed body cannot be changed, and its cap is more than there is.
#[test]
fn a_cap_in_a_signed_body_is_refused_where_it_is_too_large() {
    let fixture = kit::limited();
    let ask = |user: &str, cap: u64| {
        let body = kit::chat(kit::HI, &json!({"max_tokens": cap}));
        let target = format!("{CHAT}?cap-signed-{user}");
        let request: Request = kit::call(fixture, user, "cap-signed", &target, &body);
        fixture.gateway.send(&request.header("content-digest", "sha-256=:abc=:"))
    };
    let refused = ask("two-hundred-signed", 5000).expect(400);
    assert!(refused.detail().contains("cap"), "{}", refused.text());
    fixture.nothing_arrived("cap-signed-two-hundred-signed");
    settled(fixture, "two-hundred-signed", "two-hundred", 0);
    ask("two-hundred-signed-fits", 50).expect(200);
}
