//! Answers whose last byte waits until memory has the call.

use attach_core::mirror::event::{ABORTED, DONE};
use attach_core::stream::Input;
use serde_json::json;

use crate::fixture::{CHAT, Call, Done, JSON, SSE, Worker, chat, completion, event, minute};
use crate::memory::{remembering, told};

const NDJSON: &str = "application/x-ndjson";

fn strict() -> Worker {
    remembering(&json!({"ack": "strict", "ack_timeout_ms": 5000}))
}

fn open(worker: &mut Worker, path: &str, kind: &str) -> Call {
    let mut call = worker.send(path, &chat("hi", &json!({"stream": kind != JSON})));
    worker.answer(&mut call, &[(":status", "200"), ("content-type", kind)], false);
    call
}

fn has_told(call: &Call) -> bool {
    call.done.iter().any(|done| matches!(done, Done::Remembered(told) if told.waits))
}

#[test]
fn the_end_of_every_format_waits_for_memory_however_it_is_cut() {
    let responses = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"yes\"}\n\n";
    let block = "data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"yes\"}}\n\n";
    for (path, kind, body, end) in [
        (CHAT, SSE, event("yes"), "data: [DONE]\n\n".to_owned()),
        (
            "/v1/responses",
            SSE,
            responses.to_owned(),
            "data: {\"type\":\"response.completed\",\"response\":{}}\n\n".to_owned(),
        ),
        (
            "/v1/messages",
            SSE,
            block.to_owned(),
            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".to_owned(),
        ),
        (
            "/api/chat",
            NDJSON,
            "{\"message\":{\"content\":\"yes\"},\"done\":false}\n".to_owned(),
            "{\"message\":{\"content\":\"\"},\"done\":true,\"eval_count\":1}\n".to_owned(),
        ),
        (CHAT, JSON, String::new(), String::from_utf8(completion("yes", None)).unwrap()),
    ] {
        let all = format!("{body}{end}");
        for at in 0..all.len() {
            let mut worker = strict();
            let mut call = open(&mut worker, path, kind);
            worker.chunk(&mut call, &all.as_bytes()[..at], false);
            worker.chunk(&mut call, &all.as_bytes()[at..], false);
            assert!(call.is_held && call.machine.is_waiting() && has_told(&call), "{path} at {at}");
            assert!(call.got.len() < all.len(), "{path} at {at}");
            worker.chunk(&mut call, b"", true);
            assert!(call.is_held);
            worker.remembered(&mut call, true);
            assert_eq!(call.got(), all, "{path} at {at}");
            assert!(!call.is_held && !call.was_reset() && !call.machine.is_waiting());
            worker.remembered(&mut call, false);
            worker.chunk(&mut call, b"", true);
            let record = worker.close(&mut call).unwrap().record;
            let objects = told(&mut call);
            let said: Vec<_> = objects.iter().map(|object| &*object.properties.content).collect();
            assert_eq!(said, ["hi", "yes"], "{path} at {at}");
            assert!(objects.iter().all(|object| object.properties.state == DONE));
            assert_eq!(objects[0].properties.request_id, record.id);
            assert_eq!(worker.pool.taken(), 0);
        }
    }
}

#[test]
fn trailers_let_nothing_go_that_memory_does_not_have() {
    let all = event("yes") + "data: [DONE]\n\n";
    // The last event came before them, or was never there.
    for body in [all, event("yes")] {
        for kept in [true, false] {
            let mut worker = strict();
            let mut call = open(&mut worker, CHAT, SSE);
            worker.chunk(&mut call, body.as_bytes(), false);
            worker.response_trailers(&mut call);
            assert!(call.is_held && call.machine.is_waiting() && has_told(&call));
            worker.remembered(&mut call, kept);
            assert_eq!((call.is_held, call.was_reset()), (!kept, !kept));
            assert!(!call.machine.is_waiting() && (!kept || call.got() == body));
            worker.close(&mut call);
            let objects = told(&mut call);
            assert_eq!(objects.len(), 2);
            assert!(objects.iter().all(|object| object.properties.state == DONE));
        }
    }
    let mut worker = strict();
    let mut call = open(&mut worker, CHAT, SSE);
    let all = event("yes") + "data: [DONE]\n\n";
    worker.chunk(&mut call, all.as_bytes(), false);
    worker.remembered(&mut call, true);
    worker.response_trailers(&mut call);
    assert!(!call.is_held && call.got() == all);
}

#[test]
fn an_answer_with_a_length_ends_there() {
    for (kind, encoding) in [(JSON, "identity"), ("text/plain", "identity"), (JSON, "gzip")] {
        let mut worker = strict();
        let mut call = worker.send(CHAT, &chat("hi", &json!({})));
        let headers = [
            (":status", "200"),
            ("content-type", kind),
            ("content-length", "6"),
            ("content-encoding", encoding),
        ];
        worker.answer(&mut call, &headers, false);
        worker.chunk(&mut call, b"[1,", false);
        assert!(!call.is_held);
        worker.chunk(&mut call, b"2] ", false);
        assert!(call.is_held && has_told(&call), "{kind} {encoding}");
        worker.remembered(&mut call, true);
        assert_eq!(call.got(), "[1,2] ");
        worker.chunk(&mut call, b"", true);
        worker.close(&mut call);
        assert_eq!(told(&mut call).len(), 1);
    }
}

#[test]
fn what_memory_does_not_take_is_not_delivered() {
    for is_late in [false, true] {
        let mut worker = strict();
        let mut call = open(&mut worker, CHAT, SSE);
        worker.chunk(&mut call, (event("yes") + "data: [DONE]\n\n").as_bytes(), false);
        let now = attach_core::clock::UnixMillis(worker.now);
        assert!(!call.machine.is_due(false, now));
        worker.step(&mut call, Input::Tick);
        assert!(!call.was_reset());
        if is_late {
            worker.now += 5000;
            assert!(call.machine.is_due(false, attach_core::clock::UnixMillis(worker.now)));
            worker.step(&mut call, Input::Tick);
        } else {
            worker.remembered(&mut call, false);
        }
        assert!(call.was_reset() && call.got.is_empty() && !call.machine.is_waiting());
        worker.remembered(&mut call, true);
        assert!(worker.close(&mut call).is_some());
        assert_eq!(told(&mut call).len(), 2);
    }
}

#[test]
fn what_still_comes_after_the_end_goes_with_the_end_of_the_stream() {
    let mut worker = strict();
    let mut call = open(&mut worker, CHAT, SSE);
    let all = event("yes") + "data: [DONE]\n\n";
    worker.chunk(&mut call, all.as_bytes(), false);
    worker.remembered(&mut call, true);
    worker.chunk(&mut call, b": more\n\n", false);
    assert!(call.is_held);
    worker.chunk(&mut call, b"", true);
    assert_eq!(call.got(), all.clone() + ": more\n\n");
    worker.close(&mut call);
    assert_eq!(told(&mut call).len(), 2);
    // The same with the end in one piece, or without an end.
    for end in [true, false] {
        let mut call = open(&mut worker, CHAT, SSE);
        worker.chunk(&mut call, all.as_bytes(), false);
        worker.remembered(&mut call, true);
        worker.chunk(&mut call, b": more\n\n", end);
        worker.now += if end { 0 } else { 5000 };
        assert!(call.machine.is_due(false, attach_core::clock::UnixMillis(worker.now)));
        worker.step(&mut call, Input::Tick);
        assert_eq!(call.got(), all.clone() + ": more\n\n");
        assert!(!call.was_reset());
        worker.close(&mut call);
    }
}

#[test]
fn a_stream_without_a_last_event_waits_at_its_end() {
    let mut worker = strict();
    let mut call = open(&mut worker, CHAT, SSE);
    worker.chunk(&mut call, event("yes").as_bytes(), false);
    assert!(!call.is_held);
    worker.chunk(&mut call, b"", true);
    assert!(call.is_held && has_told(&call));
    worker.remembered(&mut call, true);
    worker.close(&mut call);
    assert_eq!(told(&mut call).len(), 2);
}

#[test]
fn where_there_is_nothing_to_wait_for_nothing_waits() {
    let mut worker = strict();
    // No body, an error, not remembered, and memory that nobody waits for.
    let mut call = worker.send(CHAT, &chat("hi", &json!({})));
    worker.answer(&mut call, &[(":status", "200")], true);
    worker.close(&mut call);
    assert_eq!(told(&mut call).len(), 1);
    let mut call = worker.send(CHAT, &chat("hi", &json!({})));
    worker.respond(&mut call, 500, JSON, &completion("no", None));
    assert!(!call.is_held);
    worker.close(&mut call);
    let body = chat("hi", &json!({})).to_string();
    let mut call = worker.send_with(CHAT, &[("x-attach-memory", "off")], body.as_bytes());
    worker.respond(&mut call, 200, JSON, &completion("yes", None));
    assert!(!call.is_held);
    worker.close(&mut call);
    let mut worker = remembering(&json!({}));
    let mut call = worker.send(CHAT, &chat("hi", &json!({})));
    worker.respond(&mut call, 200, JSON, &completion("yes", None));
    assert!(!call.is_held && !has_told(&call));
    worker.close(&mut call);
    assert_eq!(told(&mut call).len(), 2);
}

#[test]
fn an_answer_that_waits_for_its_headers_waits_for_memory_too() {
    let mut worker = Worker::with(
        &json!({"default_output": 100, "usage_headers": true}),
        &json!({"memory": {"ack": "strict"}}),
    );
    let mut call = worker.send(CHAT, &chat("hi", &json!({})));
    let answer = completion("yes", Some((9, 1)));
    let length = answer.len().to_string();
    let headers = [(":status", "200"), ("content-type", JSON), ("content-length", &*length)];
    worker.answer(&mut call, &headers, false);
    worker.chunk(&mut call, &answer[..20], false);
    worker.chunk(&mut call, &answer[20..], false);
    assert!(call.is_held && !has_told(&call));
    worker.chunk(&mut call, b"", true);
    assert!(call.is_held && has_told(&call));
    assert_eq!(call.answered_with("x-tokens-out"), Some("1"));
    worker.remembered(&mut call, true);
    assert_eq!(call.got, answer);
    worker.close(&mut call);
}

#[test]
fn a_stream_that_is_cut_waits_before_it_is_reset() {
    let mut worker = Worker::with(&minute(300), &json!({"memory": {"ack": "strict"}}));
    let mut call = open(&mut worker, CHAT, SSE);
    while !call.is_held {
        worker.chunk(&mut call, event(" word").as_bytes(), false);
    }
    assert!(has_told(&call));
    worker.chunk(&mut call, event(" word").as_bytes(), false);
    worker.step(&mut call, Input::Tick);
    assert!(!call.was_reset() && call.is_held);
    worker.remembered(&mut call, true);
    assert!(call.got().ends_with("data: [DONE]\n\n") && !call.was_reset());
    assert!(call.machine.is_waiting());
    worker.step(&mut call, Input::Tick);
    assert!(call.was_reset());
    assert!(worker.close(&mut call).unwrap().was_cut);
    let objects = told(&mut call);
    assert!(objects.len() == 2 && objects.iter().all(|object| object.properties.state == ABORTED));
}
