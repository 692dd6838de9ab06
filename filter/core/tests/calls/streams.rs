//! Streams that meet the end of their budget, and those that do not.

use serde_json::{Value, json};

use crate::fixture::{CHAT, Call, SSE, Worker, chat, event, last_event, minute};
use attach_core::stream::Input;

/// A stream of words until it is cut, or so many.
fn stream(worker: &mut Worker, call: &mut Call, words: usize, one: &str) -> usize {
    for sent in 0..words {
        if call.machine.is_waiting() {
            return sent;
        }
        worker.chunk(call, one.as_bytes(), false);
    }
    words
}

fn open(worker: &mut Worker, path: &str, body: &Value, kind: &str) -> Call {
    let mut call = worker.send(path, body);
    worker.answer(&mut call, &[(":status", "200"), ("content-type", kind)], false);
    call
}

#[test]
fn a_stream_grows_while_there_is_budget() {
    let mut worker = Worker::new(&minute(2000));
    let mut call = open(&mut worker, CHAT, &chat("hi", &json!({"stream": true})), SSE);
    assert_eq!(stream(&mut worker, &mut call, 1000, &event(" word")), 1000);
    worker.chunk(&mut call, (last_event("stop") + "data: [DONE]\n\n").as_bytes(), true);
    assert!(!call.was_reset());
    assert_eq!(worker.costs(&mut call), (9, 1000));
    assert_eq!((worker.book.holds(), worker.used()), (0, 1009));
}

#[test]
fn a_stream_that_meets_the_end_gets_its_last_event_and_is_reset_later() {
    let anthropic = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" word\"}}\n\n";
    let responses = "data: {\"type\":\"response.output_text.delta\",\"delta\":\" word\"}\n\n";
    let ollama = "{\"model\":\"m\",\"message\":{\"content\":\" word\"},\"done\":false}\n";
    let generate = "{\"model\":\"m\",\"response\":\" word\",\"done\":false}\n";
    let ndjson = "application/x-ndjson";
    let chat_event = event(" word");
    for (path, body, kind, one, endings) in [
        (
            CHAT,
            chat("hi", &json!({"stream": true})),
            SSE,
            &*chat_event,
            vec!["\"finish_reason\":\"length\"", "data: [DONE]\n\n"],
        ),
        (
            "/v1/messages",
            chat("hi", &json!({"stream": true})),
            SSE,
            anthropic,
            vec!["max_tokens", "\"type\":\"message_stop\""],
        ),
        (
            "/v1/responses",
            json!({"input": "hi", "stream": true}),
            SSE,
            responses,
            vec!["event: response.incomplete\n"],
        ),
        (
            "/api/chat",
            chat("hi", &json!({})),
            ndjson,
            ollama,
            vec!["\"done\":true,\"done_reason\":\"length\""],
        ),
        (
            "/api/generate",
            json!({"prompt": "hi"}),
            ndjson,
            generate,
            vec!["\"done\":true,\"done_reason\":\"length\""],
        ),
    ] {
        let mut worker = Worker::new(&minute(300));
        let mut call = open(&mut worker, path, &body, kind);
        let sent = stream(&mut worker, &mut call, 1000, one);
        assert!((190..=300).contains(&sent), "{path}: {sent}");
        let text = call.got().to_owned();
        for ending in &endings {
            assert_eq!(text.matches(ending).count(), 1, "{path}");
        }
        assert!(text.starts_with(&one.repeat(sent)), "{path}");
        assert!(!call.was_reset(), "not in the same callback");
        // What the engine still says is swallowed.
        worker.chunk(&mut call, one.as_bytes(), false);
        assert!(call.was_reset());
        assert_eq!(call.got(), text);
        worker.step(&mut call, Input::Tick);
        let finished = worker.close(&mut call).unwrap();
        assert!(finished.was_cut && finished.record.output >= sent as u64);
        assert!(worker.used() <= 310, "{path}");
        assert_eq!(worker.book.holds(), 0);
    }
}

#[test]
fn a_tick_resets_what_the_engine_has_left_alone() {
    let mut worker = Worker::new(&minute(300));
    let mut call = open(&mut worker, CHAT, &chat("hi", &json!({"stream": true})), SSE);
    stream(&mut worker, &mut call, 1000, &event(" word"));
    worker.step(&mut call, Input::Tick);
    assert!(call.was_reset() && !call.machine.is_waiting());
    assert!(worker.close(&mut call).unwrap().was_cut);
}

#[test]
fn a_stream_that_ends_where_its_budget_does_is_not_reset() {
    let mut worker = Worker::new(&minute(300));
    let mut call = open(&mut worker, CHAT, &chat("hi", &json!({"stream": true})), SSE);
    let all = event(" word").repeat(1000);
    worker.chunk(&mut call, all.as_bytes(), true);
    assert!(!call.machine.is_due(false, attach_core::clock::UnixMillis(worker.now)) || !call.was_reset());
    worker.step(&mut call, Input::Tick);
    assert!(!call.was_reset());
    assert!(worker.close(&mut call).unwrap().was_cut);
}

#[test]
fn nothing_is_cut_in_mid_event() {
    for size in [1, 7, 100, 1000] {
        let mut worker = Worker::new(&minute(200));
        let mut call = open(&mut worker, CHAT, &chat("hi", &json!({"stream": true})), SSE);
        for piece in event(" word").repeat(300).as_bytes().chunks(size) {
            worker.chunk(&mut call, piece, false);
        }
        for data in call.got().split("\n\n").filter(|data| !data.is_empty()) {
            let data = data.strip_prefix("data: ").unwrap();
            assert!(data == "[DONE]" || serde_json::from_str::<Value>(data).is_ok(), "{data}");
        }
        assert!(call.got().ends_with("data: [DONE]\n\n"));
        worker.close(&mut call);
    }
}

#[test]
fn who_has_no_limit_is_never_cut() {
    let mut worker = Worker::new(&json!({"default_output": 100}));
    let mut call = open(&mut worker, CHAT, &chat("hi", &json!({"stream": true})), SSE);
    assert_eq!(stream(&mut worker, &mut call, 3000, &event(" word")), 3000);
    assert_eq!(worker.costs(&mut call), (9, 3000));
}

#[test]
fn an_engine_that_does_not_obey_its_cap_is_ended() {
    let mut worker = Worker::new(&minute(100));
    let mut call = open(&mut worker, CHAT, &chat("hi", &json!({"stream": true, "max_tokens": 80})), SSE);
    let sent = stream(&mut worker, &mut call, 1000, &event(" word"));
    assert!((80..=130).contains(&sent), "{sent}");
    worker.close(&mut call);
}

#[test]
fn a_stream_at_the_end_of_its_budget_does_not_ask_for_more_all_the_time() {
    let mut worker = Worker::new(&crate::fixture::day(400));
    let mut call = worker.send(CHAT, &chat("hi", &json!({"stream": true})));
    let operation = call.asked().unwrap();
    worker.control_answers(&mut call, &operation, true);
    worker.answer(&mut call, &[(":status", "200"), ("content-type", SSE)], false);
    let mut asked = 0;
    for _ in 0..390 {
        worker.chunk(&mut call, event(" word").as_bytes(), false);
        if let Some(operation) = call.asked() {
            asked += 1;
            worker.control_answers(&mut call, &operation, true);
        }
        worker.now += 5;
    }
    assert!((3..20).contains(&asked), "{asked}");
    worker.close(&mut call);
}
