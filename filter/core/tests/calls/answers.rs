//! What a call has cost when it is over, whoever ended it.

use attach_core::llm::usage::Source;
use attach_core::stream::Flow;
use serde_json::{Value, json};

use crate::fixture::{CHAT, JSON, SSE, Worker, chat, completion, event, last_event, minute};

#[test]
fn an_answer_costs_what_is_reported_and_otherwise_what_is_counted() {
    let text = "one two three";
    let odd = |usage: Value| {
        let mut body: Value = serde_json::from_slice(&completion(text, None)).unwrap();
        body["usage"] = usage;
        body.to_string().into_bytes()
    };
    for (body, expected, source) in [
        (completion(text, Some((20, 30))), (20, 30), Source::Reported),
        (completion(text, None), (9, 3), Source::Counted),
        // A report of nothing is none.
        (completion(text, Some((0, 0))), (9, 3), Source::Counted),
        (completion(text, Some((20, 0))), (20, 3), Source::Mixed),
        (completion(text, Some((0, 30))), (9, 30), Source::Mixed),
        // Nor is what is no number of tokens.
        (odd(json!("100")), (9, 3), Source::Counted),
        (odd(json!({"prompt_tokens": "7", "completion_tokens": "8"})), (9, 3), Source::Counted),
        (odd(json!({"prompt_tokens": -7, "completion_tokens": -8})), (9, 3), Source::Counted),
        (odd(json!({"prompt_tokens": 7.5, "completion_tokens": 1e30})), (9, 3), Source::Counted),
        (odd(json!({"prompt_tokens": u64::MAX, "completion_tokens": u64::MAX})), (9, 3), Source::Counted),
        (odd(json!(null)), (9, 3), Source::Counted),
        (b"{".to_vec(), (9, 0), Source::Counted),
        (b"".to_vec(), (9, 0), Source::Counted),
    ] {
        let mut worker = Worker::new(&minute(1000));
        let mut call = worker.send(CHAT, &chat("hi", &json!({})));
        worker.respond(&mut call, 200, JSON, &body);
        let record = worker.close(&mut call).unwrap().record;
        let shown = String::from_utf8_lossy(&body);
        assert_eq!(((record.input, record.output), record.source), (expected, source), "{shown}");
        assert_eq!((worker.book.holds(), worker.used()), (0, expected.0 + expected.1), "{shown}");
        assert_eq!(call.got, body, "the client gets what the engine said");
    }
}

#[test]
fn what_fails_costs_nothing() {
    for status in [300, 302, 304, 400, 401, 404, 408, 413, 422, 429, 500, 502, 503, 504] {
        for more in [json!({}), json!({"stream": true})] {
            let mut worker = Worker::new(&minute(1000));
            let mut call = worker.send(CHAT, &chat("hi", &more));
            worker.respond(&mut call, status, JSON, &completion("yes", Some((20, 30))));
            let record = worker.close(&mut call).unwrap().record;
            assert_eq!((record.status, record.input, record.output), (status, 0, 0));
            assert_eq!((worker.book.holds(), worker.used()), (0, 0));
        }
    }
}

#[test]
fn an_odd_success_is_one() {
    for status in [200, 201, 206, 226, 299] {
        let mut worker = Worker::new(&minute(1000));
        let mut call = worker.send(CHAT, &chat("hi", &json!({})));
        worker.respond(&mut call, status, JSON, &completion("yes", Some((20, 30))));
        assert_eq!(worker.costs(&mut call), (20, 30), "{status}");
    }
}

#[test]
fn who_goes_before_the_answer_comes_has_sent_the_prompt() {
    let mut worker = Worker::new(&minute(1000));
    let mut call = worker.send(CHAT, &chat("hi", &json!({})));
    let record = worker.close(&mut call).unwrap().record;
    assert_eq!((record.status, record.input, record.output), (0, 9, 0));
    let mut call = worker.send(CHAT, &chat("hi", &json!({})));
    worker.answer(&mut call, &[(":status", "200")], false);
    assert_eq!(worker.costs(&mut call), (9, 0));
    assert_eq!((worker.book.holds(), worker.used()), (0, 18));
}

#[test]
fn who_goes_while_it_streams_pays_what_was_delivered() {
    let whole = event("one two three four five").repeat(3) + &last_event("stop");
    for cut in (0..=whole.len()).step_by(11) {
        let mut worker = Worker::new(&minute(1000));
        let mut call = worker.send(CHAT, &chat("hi", &json!({"stream": true})));
        worker.answer(&mut call, &[(":status", "200"), ("content-type", SSE)], false);
        for piece in whole.as_bytes()[..cut].chunks(7) {
            worker.chunk(&mut call, piece, false);
        }
        let (input, output) = worker.costs(&mut call);
        let delivered = whole.as_bytes()[..cut].windows(4).filter(|four| four == b" two").count() as u64;
        assert!(input == 9 && output >= 2 * delivered && output <= 15, "{cut}: {output}");
        assert_eq!((worker.book.holds(), worker.used()), (0, 9 + output));
    }
}

#[test]
fn what_cannot_be_read_costs_what_was_reserved() {
    for (coding, expected) in [("gzip", (9, 100)), ("br", (9, 100)), (" Identity", (20, 30))] {
        for accounting in [minute(1000), json!({"default_output": 100})] {
            let mut worker = Worker::new(&accounting);
            let mut call = worker.send(CHAT, &chat("hi", &json!({})));
            let headers = [(":status", "200"), ("content-type", JSON), ("content-encoding", coding)];
            worker.answer(&mut call, &headers, false);
            worker.chunk(&mut call, &completion("yes", Some((20, 30))), true);
            assert_eq!(worker.costs(&mut call), expected, "{coding}");
        }
    }
}

#[test]
fn the_usage_that_was_asked_for_is_hidden_and_counts() {
    let null = |event: &str| event.replacen("\"created\"", "\"usage\":null,\"created\"", 1);
    let usage =
        "data: {\"choices\":[],\"created\":1,\"usage\":{\"prompt_tokens\":20,\"completion_tokens\":30}}\n\n";
    let from_engine =
        null(&event("one")) + &null(&event(" two")) + &null(&last_event("stop")) + usage + "data: [DONE]\n\n";
    let to_client = event("one") + &event(" two") + &last_event("stop") + "data: [DONE]\n\n";
    for size in [1, 3, 50, 5000] {
        let mut worker = Worker::new(&minute(1000));
        let mut call = worker.send(CHAT, &chat("hi", &json!({"stream": true})));
        worker.answer(
            &mut call,
            &[(":status", "200"), ("content-type", SSE), ("content-length", "900")],
            false,
        );
        assert!(
            call.done
                .iter()
                .any(|done| matches!(done, crate::fixture::Done::RemovedAnswer("content-length")))
        );
        for piece in from_engine.as_bytes().chunks(size) {
            worker.chunk(&mut call, piece, false);
        }
        worker.chunk(&mut call, b"", true);
        assert_eq!(call.got(), to_client, "{size}");
        let finished = worker.close(&mut call).unwrap();
        assert_eq!((finished.record.input, finished.record.output), (20, 30));
        assert_eq!((finished.record.source, finished.first_text.is_some()), (Source::Reported, true));
    }
    // Who asks himself sees it.
    let mut worker = Worker::new(&minute(1000));
    let body = chat("hi", &json!({"stream": true, "stream_options": {"include_usage": true}}));
    let mut call = worker.send(CHAT, &body);
    worker.respond(&mut call, 200, SSE, from_engine.as_bytes());
    assert_eq!(call.got(), from_engine);
    assert_eq!(worker.costs(&mut call), (20, 30));
}

#[test]
fn an_engine_that_refuses_the_word_is_asked_once() {
    for status in ["400", "422"] {
        let mut worker = Worker::new(&minute(1000));
        let mut call = worker.send(CHAT, &chat("hi", &json!({"stream": true})));
        worker.answer(&mut call, &[(":status", status)], false);
        worker.chunk(&mut call, b"Unrecognized request argument supplied: stream_options", false);
        worker.close(&mut call);
        let call = worker.send(CHAT, &chat("hi", &json!({"stream": true})));
        assert!(call.sent().get("stream_options").is_none(), "{status}");
    }
    let mut worker = Worker::new(&minute(1000));
    let mut call = worker.send(CHAT, &chat("hi", &json!({"stream": true})));
    worker.respond(&mut call, 500, JSON, b"stream_options");
    worker.close(&mut call);
    assert!(!worker.refuses);
}

#[test]
fn headers_say_what_an_unstreamed_answer_has_cost() {
    let mut worker = Worker::new(&json!({"usage_headers": true}));
    let mut call = worker.send(CHAT, &chat("hi", &json!({})));
    let body = completion("one two three", Some((20, 30)));
    let length = body.len().to_string();
    let headers = [(":status", "200"), ("content-type", JSON), ("content-length", &length)];
    assert_eq!(worker.answer(&mut call, &headers, false), Flow::Pause);
    for piece in body.chunks(10) {
        worker.chunk(&mut call, piece, false);
    }
    worker.chunk(&mut call, b"", true);
    assert_eq!(call.got, body);
    assert_eq!(call.answered_with("x-llm-model"), Some("gpt-4-0613"));
    assert_eq!(call.answered_with("x-tokens-in"), Some("20"));
    assert_eq!(call.answered_with("x-tokens-out"), Some("30"));
    assert_eq!(worker.costs(&mut call), (20, 30));
    // Never of a stream, nor of what has no known length.
    for (more, headers) in [
        (json!({"stream": true}), vec![(":status", "200"), ("content-type", JSON), ("content-length", "9")]),
        (json!({}), vec![(":status", "200"), ("content-type", JSON)]),
        (json!({}), vec![(":status", "200"), ("content-type", JSON), ("content-length", "99999999")]),
    ] {
        let mut call = worker.send(CHAT, &chat("hi", &more));
        assert_eq!(worker.answer(&mut call, &headers, false), Flow::Continue);
        worker.close(&mut call);
    }
}

#[test]
fn a_record_says_who_and_what() {
    let mut worker = Worker::new(&minute(1000));
    let headers = [("x-attach-project", " apollo "), ("x-request-id", "abc")];
    let mut call = worker.send_with(CHAT, &headers, chat("hi", &json!({})).to_string().as_bytes());
    worker.now += 250;
    worker.respond(&mut call, 200, JSON, &completion("yes", Some((9, 1))));
    let finished = worker.close(&mut call).unwrap();
    let record = finished.record;
    assert_eq!((&*record.user, &*record.project, &*record.model), ("alice", "apollo", "gpt-4-0613"));
    assert_eq!((&*record.request_id, record.status, record.milliseconds), ("abc", 200, 250));
    assert!(finished.room.is_some() && record.id.is_empty());
    for (name, value) in
        [("x-attach-project", "a\u{e9}"), ("x-attach-project", &*"p".repeat(65)), ("x-attach-project", "")]
    {
        let mut call =
            worker.send_with(CHAT, &[(name, value)], chat("hi", &json!({})).to_string().as_bytes());
        assert_eq!(worker.close(&mut call).unwrap().record.project, "default");
    }
}

#[test]
fn the_time_of_a_call_is_its_requests() {
    let mut worker = Worker::new(&minute(1000));
    let bearer = format!("Bearer {}", crate::fixture::token(&json!({})));
    let mut call = worker.open(&[(":method", "POST"), (":path", CHAT), ("authorization", &bearer)], false);
    let begun = worker.now;
    worker.now += 5_000;
    worker.body(&mut call, chat("hi", &json!({})).to_string().as_bytes(), true);
    let record = worker.close(&mut call).unwrap().record;
    assert_eq!((record.at, record.milliseconds), (begun, 5_000));
}

#[test]
fn a_record_fits_into_its_room() {
    let mut worker = Worker::new(&minute(1000));
    let headers = [("x-attach-project", &*"p".repeat(64)), ("x-request-id", &*"r".repeat(128))];
    let body = chat("hi", &json!({"model": "\u{1}\"".repeat(120)})).to_string();
    while worker.outbox.has_room(1000) {
        let mut call = worker.send_with(CHAT, &headers, body.as_bytes());
        let Some(finished) = worker.close(&mut call) else { break };
        let mut record = finished.record.fitted();
        record.id = "0".repeat(80);
        worker.outbox.push(record, finished.room).unwrap();
        worker.now += 61_000;
    }
}
