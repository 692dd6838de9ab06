//! What is charged where a call does not run its course.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use attach_tests::request::Request;
use serde_json::{Value, json};

use crate::kit::{self, CHAT, PATIENCE, PROMPT, WORD, cost, read_until, row, rows, settled};

/// Waits for the test's word.
fn word(receiver: &Mutex<Receiver<()>>) -> std::io::Result<()> {
    let receiver = receiver.lock().map_err(|_| std::io::Error::other("poisoned"))?;
    receiver.recv_timeout(PATIENCE).map_err(std::io::Error::other)
}

fn streamed(user: &str, project: &str) -> Request {
    let body = kit::chat(kit::HI, &json!({"stream": true}));
    kit::call(kit::limited(), user, project, &format!("{CHAT}?{project}"), &body)
}

#[test]
fn a_client_that_drops_its_stream_is_charged_what_it_got() {
    let fixture = kit::limited();
    for words in [1, 5, 40] {
        let (user, project) = (format!("thousand-drop-{words}"), format!("drop-{words}"));
        let (gone, told) = channel();
        fixture.upstream.on(&format!("{CHAT}?{project}&"), move |exchange| {
            exchange.body()?;
            kit::begin_stream(exchange)?;
            for _ in 0..words {
                exchange.chunk(kit::delta(WORD).as_bytes())?;
            }
            exchange.chunk(b": that was all\n\n")?;
            kit::gone(exchange)?;
            let _ = gone.send(());
            Ok(())
        });
        let body = kit::chat(kit::HI, &json!({"stream": true}));
        let request = kit::call(fixture, &user, &project, &format!("{CHAT}?{project}&"), &body);
        let mut stream = request.open(fixture.gateway.address);
        assert_eq!(stream.head().0, 200);
        let got = read_until(&mut stream, "that was all");
        assert_eq!(got.matches(WORD).count(), words);
        drop(stream);
        told.recv_timeout(PATIENCE).expect("the engine is told to stop");
        let row = row(fixture, &user, &project);
        assert_eq!(cost(&row), (PROMPT, words as u64, "counted"), "{row:#}");
        assert_eq!(row["status"], 200);
        settled(fixture, &user, "thousand", PROMPT + words as u64);
    }
}

#[test]
fn a_client_that_goes_before_the_answer_is_charged_the_prompt() {
    let fixture = kit::limited();
    let (user, project) = ("thousand-early", "early");
    let target = format!("{CHAT}?{project}");
    fixture.upstream.on(&target, |exchange| {
        exchange.body()?;
        kit::gone(exchange)
    });
    let stream = streamed(user, project).open(fixture.gateway.address);
    let _ = fixture.upstream.only(&target);
    drop(stream);
    assert_eq!(cost(&row(fixture, user, project)), (PROMPT, 0, "counted"));
    settled(fixture, user, "thousand", PROMPT);
}

#[test]
fn a_client_that_goes_before_its_body_is_whole_is_charged_nothing() {
    let fixture = kit::limited();
    let (user, project) = ("thousand-half", "half");
    let token = fixture.world.first.token(user);
    let target = format!("{CHAT}?{project}");
    let mut half = Request::post_chunked(&target).bearer(&token).open(fixture.gateway.address);
    half.send(br#"{"model":"gpt-4","messages":[{"role":"user","#);
    drop(half);
    fixture.gateway.send(&streamed(user, "whole-after-half")).expect(200);
    rows(fixture, user, "whole-after-half", 1);
    rows(fixture, user, "default", 0);
    fixture.nothing_arrived(&target);
}

#[test]
fn an_engines_error_costs_nothing() {
    let fixture = kit::limited();
    let (user, project) = ("thousand-error", "error");
    for status in [400, 401, 404, 429, 500, 503] {
        let target = format!("{CHAT}?{project}-{status}");
        fixture.upstream.on(&target, move |exchange| {
            let error =
                json!({"error": {"message": "no"}, "usage": {"prompt_tokens": 50, "completion_tokens": 50}});
            exchange.reply(
                &format!("{status} No"),
                &[("content-type", "application/json")],
                error.to_string().as_bytes(),
            )
        });
        let body = kit::chat(kit::HI, &json!({}));
        let request = kit::call(fixture, user, &format!("{project}-{status}"), &target, &body);
        fixture.gateway.send(&request).expect(status);
        let row = row(fixture, user, &format!("{project}-{status}"));
        assert_eq!((cost(&row).0, cost(&row).1), (0, 0), "{row:#}");
        assert_eq!(row["status"], status);
    }
    settled(fixture, user, "thousand", 0);
}

#[test]
fn an_engine_that_breaks_off_is_paid_for_what_it_said() {
    let fixture = kit::limited();
    let (user, project) = ("thousand-broken", "broken");
    fixture.upstream.on(&format!("{CHAT}?{project}"), |exchange| {
        exchange.body()?;
        kit::begin_stream(exchange)?;
        for _ in 0..3 {
            exchange.chunk(kit::delta(WORD).as_bytes())?;
        }
        Err(std::io::Error::other("the engine falls over"))
    });
    let mut stream = streamed(user, project).open(fixture.gateway.address);
    assert_eq!(stream.head().0, 200);
    let (got, is_whole) = kit::drain(&mut stream);
    assert!(!is_whole);
    assert_eq!(String::from_utf8_lossy(&got).matches(WORD).count(), 3);
    assert_eq!(cost(&row(fixture, user, project)), (PROMPT, 3, "counted"));
    settled(fixture, user, "thousand", PROMPT + 3);
}

/// The engine says nothing more before its client has the last event; so nothing may be held back, neither where
/// usage is taken out again nor where it was not asked for.
#[test]
fn no_event_is_held_back() {
    let fixture = kit::limited();
    for (project, options) in [("held-hidden", Value::Null), ("held-asked", json!({"include_usage": true}))] {
        let (go, wait) = channel();
        let wait = Mutex::new(wait);
        let target = format!("{CHAT}?{project}");
        let events = vec![kit::delta(""), kit::delta("one"), kit::delta(" two"), kit::stop()];
        let script = events.clone();
        fixture.upstream.on(&target, move |exchange| {
            exchange.body()?;
            kit::begin_stream(exchange)?;
            for event in &script {
                exchange.chunk(event.as_bytes())?;
                word(&wait)?;
            }
            exchange.chunk(b"data: [DONE]\n\n")?;
            exchange.end(&[])
        });
        let mut body = kit::chat(kit::HI, &json!({"stream": true}));
        if !options.is_null() {
            body["stream_options"] = options;
        }
        let request = kit::call(fixture, "thousand-held", project, &target, &body);
        let mut stream = request.open(fixture.gateway.address);
        assert_eq!(stream.head().0, 200);
        for event in &events {
            // All of it, but for the blank line, without which a client cannot read it.
            assert_eq!(&read_until(&mut stream, "\n\n"), event, "{project}");
            go.send(()).expect("the engine waits");
        }
        assert_eq!(stream.rest(), b"data: [DONE]\n\n");
        row(fixture, "thousand-held", project);
    }
}

/// Headers reach the client before the first event.
#[test]
fn the_answers_headers_are_not_held_back() {
    let fixture = kit::limited();
    let (go, wait) = channel();
    let wait = Mutex::new(wait);
    fixture.upstream.on(&format!("{CHAT}?headers-first"), move |exchange| {
        exchange.body()?;
        kit::begin_stream(exchange)?;
        word(&wait)?;
        exchange.chunk(b"data: [DONE]\n\n")?;
        exchange.end(&[])
    });
    let mut stream = streamed("thousand-headers", "headers-first").open(fixture.gateway.address);
    assert_eq!(stream.head().0, 200);
    go.send(()).expect("the engine waits");
    assert_eq!(stream.rest(), b"data: [DONE]\n\n");
}

/// A client's request id is told and never trusted: the same one twice is paid for twice.
#[test]
fn a_repeated_request_id_makes_nothing_free() {
    let fixture = kit::limited();
    let (user, project) = ("thousand-repeated", "repeated");
    let target = format!("{CHAT}?{project}");
    fixture.upstream.on(&target, |exchange| kit::reply(exchange, &kit::reported(PROMPT, 1)));
    let body = kit::chat(kit::HI, &json!({"max_tokens": 10}));
    let request = kit::call(fixture, user, project, &target, &body)
        .header("x-request-id", "11111111-1111-4111-8111-111111111111");
    for _ in 0..3 {
        fixture.gateway.send(&request).expect(200);
    }
    let rows = rows(fixture, user, project, 3);
    let mut ids: Vec<_> = rows.iter().map(|row| row["id"].as_str().expect("an id")).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3);
    settled(fixture, user, "thousand", 3 * (PROMPT + 1));
}
