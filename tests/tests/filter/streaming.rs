//! Bodies: as they come, when they come, in both directions.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use attach_tests::request::Request;
use attach_tests::wait;

use crate::fixture;

const LIMIT: Duration = Duration::from_secs(20);

/// Every byte there is, a few thousand times.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 31 + at / 256) % 256).unwrap_or_default()).collect()
}

/// Waits for the test's word.
fn word(receiver: &Mutex<Receiver<()>>) -> std::io::Result<()> {
    let receiver = receiver.lock().map_err(|_| std::io::Error::other("poisoned"))?;
    receiver.recv_timeout(LIMIT).map_err(std::io::Error::other)
}

#[test]
fn a_streams_chunks_arrive_as_the_engine_sends_them() {
    let fixture = fixture();
    let (go, wait) = channel();
    let wait = Mutex::new(wait);
    fixture.upstream.on("/stream-down", move |exchange| {
        exchange.body()?;
        exchange.start("200 OK", &[("content-type", "text/event-stream")])?;
        for event in ["data: one\n\n", "data: two\n\n", "data: [DONE]\n\n"] {
            exchange.chunk(event.as_bytes())?;
            word(&wait)?;
        }
        exchange.end(&[])
    });
    let request = Request::post("/stream-down", r#"{"stream":true}"#).bearer(&fixture.alice());
    let mut stream = request.open(fixture.gateway.address);
    let (status, headers) = stream.head();
    assert_eq!((status, headers.one("content-type")), (200, Some("text/event-stream")));
    // The engine says nothing more before it has our word, which it gets when its last event is here.
    for event in ["data: one\n\n", "data: two\n\n", "data: [DONE]\n\n"] {
        let mut got = Vec::new();
        while got.len() < event.len() {
            got.extend(stream.piece().expect("an event"));
        }
        assert_eq!(String::from_utf8_lossy(&got), event);
        go.send(()).expect("the engine waits");
    }
    assert_eq!(stream.piece(), None);
}

#[test]
fn a_requests_chunks_reach_the_engine_as_they_are_sent() {
    let fixture = fixture();
    let mut call = Request::post_chunked("/stream-up").bearer(&fixture.alice()).open(fixture.gateway.address);
    let mut sent = Vec::new();
    for chunk in [&b"one"[..], b"two", b"three"] {
        call.send(chunk);
        sent.extend_from_slice(chunk);
        wait::until("the chunk to reach the engine", || {
            (fixture.upstream.seen("/stream-up").first()?.body == sent).then_some(())
        });
    }
    call.end(&[]);
    assert_eq!(call.head().0, 200);
    assert_eq!(fixture.arrived("/stream-up").body, b"onetwothree");
}

#[test]
fn both_directions_may_be_open_at_once() {
    let fixture = fixture();
    fixture.upstream.on("/stream-both", |exchange| {
        exchange.start("200 OK", &[])?;
        while let Some(piece) = exchange.piece()? {
            exchange.chunk(&piece)?;
        }
        exchange.end(&[])
    });
    let mut call =
        Request::post_chunked("/stream-both").bearer(&fixture.alice()).open(fixture.gateway.address);
    assert_eq!(call.head().0, 200);
    for chunk in [&b"ping"[..], b"pong", b"\x00\xff"] {
        call.send(chunk);
        assert_eq!(call.piece().expect("an echo"), chunk);
    }
    call.end(&[]);
    assert_eq!(call.piece(), None);
}

#[test]
fn when_the_client_hangs_up_the_engine_can_stop() {
    let fixture = fixture();
    let (gone, told) = channel();
    let gone = Mutex::new(gone);
    fixture.upstream.on("/hang-up", move |exchange| {
        exchange.body()?;
        exchange.start("200 OK", &[])?;
        while exchange.chunk(&[b'x'; 1024]).is_ok() {}
        let _ = gone.lock().map(|gone| gone.send(()));
        Ok(())
    });
    let mut call = Request::get("/hang-up").bearer(&fixture.alice()).open(fixture.gateway.address);
    assert_eq!(call.head().0, 200);
    assert!(call.piece().is_some());
    drop(call);
    told.recv_timeout(LIMIT).expect("the engine's connection ends");
}

#[test]
fn bodies_pass_byte_for_byte() {
    let fixture = fixture();
    let (sent, answer) = (bytes(300_000), bytes(500_001));
    let reply = answer.clone();
    fixture.upstream.on("/exact", move |exchange| {
        exchange.reply(
            "200 OK",
            &[("content-type", "application/x-anything"), ("content-encoding", "gzip")],
            &reply,
        )
    });
    let request = Request::post("/exact", &sent).bearer(&fixture.alice()).header("content-type", "image/png");
    let response = fixture.gateway.send(&request).expect(200);
    assert!(response.body == answer, "{} bytes", response.body.len());
    assert_eq!(response.headers.one("content-type"), Some("application/x-anything"));
    assert_eq!(response.headers.one("content-encoding"), Some("gzip"));
    assert_eq!(response.headers.one("content-length"), Some("500001"));
    let seen = fixture.arrived("/exact");
    assert!(seen.body == sent, "{} bytes", seen.body.len());
    assert_eq!(seen.headers.one("content-type"), Some("image/png"));
    assert_eq!(seen.headers.one("content-length"), Some("300000"));
}

#[test]
fn large_bodies_pass() {
    let fixture = fixture();
    let large = bytes(24 << 20);
    let reply = large.clone();
    fixture.upstream.on("/large", move |exchange| exchange.reply("200 OK", &[], &reply));
    let response =
        fixture.gateway.send(&Request::post("/large", &large).bearer(&fixture.alice())).expect(200);
    assert!(response.body == large, "{} bytes came back", response.body.len());
    let arrived = fixture.arrived("/large").body;
    assert!(arrived == large, "{} bytes arrived", arrived.len());
}

#[test]
fn the_engines_status_is_the_clients() {
    let fixture = fixture();
    fixture.upstream.on("/status/", |exchange| {
        let status = exchange.target.rsplit('/').next().unwrap_or_default().to_owned();
        let body = if matches!(status.as_str(), "204" | "304") { "" } else { "from the engine" };
        exchange.reply(
            &format!("{status} Whatever"),
            &[("x-engine", "yes"), ("location", "/x")],
            body.as_bytes(),
        )
    });
    let token = fixture.alice();
    for status in [200, 201, 202, 204, 302, 304, 400, 401, 403, 404, 418, 422, 429, 500, 502, 503] {
        let response = fixture.gateway.send(&Request::get(format!("/status/{status}")).bearer(&token));
        assert_eq!(response.status, status);
        assert_eq!(response.headers.one("x-engine"), Some("yes"));
        assert!(!response.headers.has("www-authenticate"), "{:?}", response.headers);
        let body = if matches!(status, 204 | 304) { "" } else { "from the engine" };
        assert_eq!(response.text(), body);
    }
}

#[test]
fn a_heads_answer_has_no_body_and_keeps_its_length() {
    let fixture = fixture();
    fixture.upstream.on("/head-only", |exchange| exchange.reply("200 OK", &[], b"twelve bytes"));
    let response =
        fixture.gateway.send(&Request::new("HEAD", "/head-only").bearer(&fixture.alice())).expect(200);
    assert_eq!(response.headers.one("content-length"), Some("12"));
    assert!(response.body.is_empty());
}

#[test]
fn other_headers_pass_in_both_directions() {
    let fixture = fixture();
    fixture.upstream.on("/other-headers", |exchange| {
        exchange.reply(
            "200 OK",
            &[("set-cookie", "a=1"), ("set-cookie", "b=2"), ("x-request-cost", "3")],
            b"",
        )
    });
    let request = Request::get("/other-headers")
        .bearer(&fixture.alice())
        .header("X-Stainless-Lang", "python")
        .header("OpenAI-Organization", "org")
        .header("x-attached", "is nobody's identity");
    let response = fixture.gateway.send(&request).expect(200);
    assert_eq!(response.headers.all("set-cookie"), [b"a=1", b"b=2"]);
    assert_eq!(response.headers.one("x-request-cost"), Some("3"));
    let seen = fixture.arrived("/other-headers");
    assert_eq!(seen.headers.one("x-stainless-lang"), Some("python"));
    assert_eq!(seen.headers.one("openai-organization"), Some("org"));
    assert_eq!(seen.headers.one("x-attached"), Some("is nobody's identity"));
}
