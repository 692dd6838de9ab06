//! Limits that live at control: what is asked, and what becomes of who waits for it.

use attach_core::clock::UnixMillis;
use attach_core::quota::book::Answered;
use attach_core::stream::{Flow, Input};
use serde_json::{Value, json};

use crate::fixture::{CHAT, JSON, SSE, Worker, chat, completion, day, event, token};

#[test]
fn a_request_waits_until_control_has_answered() {
    for (tokens, arrives, expected, status) in
        [(1000, true, "forwarded", 0), (1000, false, "quota_unavailable", 503)]
    {
        let mut worker = Worker::new(&day(tokens));
        let mut call = worker.send(CHAT, &chat("hi", &json!({"max_tokens": 50})));
        assert_eq!((call.became(), call.machine.is_reserving()), ("waiting", true));
        let operation = call.asked().unwrap();
        worker.control_answers(&mut call, &operation, arrives);
        assert_eq!((call.became(), call.reply().map_or(0, |reply| reply.0)), (expected, status));
        if arrives {
            worker.respond(&mut call, 200, JSON, &completion("yes", Some((9, 1))));
            assert_eq!(worker.costs(&mut call), (9, 1));
            assert_eq!(worker.used(), 10);
        }
        assert_eq!(worker.book.holds(), 0);
    }
}

#[test]
fn control_says_no() {
    let mut worker = Worker::new(&day(100));
    let mut first = worker.send(CHAT, &chat("hi", &json!({"max_tokens": 80})));
    let operation = first.asked().unwrap();
    worker.control_answers(&mut first, &operation, true);
    let mut call = worker.send(CHAT, &chat("hi", &json!({"max_tokens": 80})));
    let operation = call.asked().unwrap();
    worker.control_answers(&mut call, &operation, true);
    assert_eq!((call.became(), call.reply().unwrap().0), ("token_quota", 429));
    assert_eq!(worker.book.holds(), 1);
}

#[test]
fn control_that_is_away_follows_the_mode() {
    let mut limits = day(1000);
    limits["failure_mode"] = json!("allow");
    let mut worker = Worker::new(&limits);
    let mut call = worker.send(CHAT, &chat("hi", &json!({})));
    let operation = call.asked().unwrap();
    worker.control_answers(&mut call, &operation, false);
    assert!(call.is_forwarded && call.counted("unlimited"));
    // It answers after all: nobody waits for that.
    let answer = worker.control(&operation);
    assert!(matches!(worker.book.answered(operation.id, &answer, UnixMillis(worker.now)), Answered::Done));
    worker.respond(&mut call, 200, JSON, &completion("yes", Some((9, 1))));
    assert_eq!(worker.costs(&mut call), (9, 1));
    assert_eq!((worker.book.holds(), worker.book.unanswered()), (0, 0));
}

#[test]
fn who_goes_while_control_is_asked_leaves_nothing_behind() {
    for before in [true, false] {
        let mut worker = Worker::new(&day(1000));
        let mut call = worker.send(CHAT, &chat("hi", &json!({})));
        let operation = call.asked().unwrap();
        assert_eq!(worker.step(&mut call, Input::RequestBody(5, true)), Flow::Pause);
        if before {
            assert!(worker.close(&mut call).is_none());
            worker.control_answers(&mut call, &operation, true);
            assert!(!call.is_forwarded);
        } else {
            // Somebody else has answered.
            worker.step(&mut call, Input::ResponseHeaders(&[], true));
            worker.control_answers(&mut call, &operation, true);
            assert!(worker.close(&mut call).is_none());
        }
        assert_eq!((worker.book.holds(), worker.book.unanswered(), worker.used()), (0, 0, 0));
    }
}

#[test]
fn a_hold_that_is_granted_to_nobody_is_settled_with_nothing() {
    let mut worker = Worker::new(&day(1000));
    let mut call = worker.send(CHAT, &chat("hi", &json!({})));
    let operation = call.asked().unwrap();
    let answer = worker.control(&operation);
    let answered = worker.book.answered(operation.id, &answer, UnixMillis(worker.now));
    assert!(matches!(answered, Answered::Granted(_)));
    worker.close(&mut call);
    worker.hand_over(&mut call, answered);
    assert_eq!((worker.book.holds(), worker.used()), (0, 0));
}

#[test]
fn a_stream_that_goes_while_control_is_asked_for_more_leaves_nothing_behind() {
    for answers_before in [Some(true), Some(false), None] {
        let mut worker = Worker::new(&day(100_000));
        let mut call = worker.send(CHAT, &chat("hi", &json!({"stream": true})));
        let operation = call.asked().unwrap();
        worker.control_answers(&mut call, &operation, true);
        worker.answer(&mut call, &[(":status", "200"), ("content-type", SSE)], false);
        let mut words = 0;
        let operation = loop {
            worker.chunk(&mut call, event(" word").as_bytes(), false);
            words += 1;
            if let Some(operation) = call.asked() {
                break operation;
            }
            assert!(words < 20_000, "it never asks");
        };
        if let Some(arrives) = answers_before {
            worker.control_answers(&mut call, &operation, arrives);
        }
        assert_eq!(worker.costs(&mut call), (9, words));
        if answers_before.is_none() {
            worker.control_answers(&mut call, &operation, true);
        }
        assert_eq!(worker.book.holds(), 0);
        // What was not answered is asked again, and goes back unused.
        for _ in 0..5 {
            worker.now += 1500;
            worker.tick();
        }
        assert_eq!((worker.used(), worker.book.unanswered()), (9 + words, 0));
    }
}

#[test]
fn who_asks_after_his_own_waits_for_control_too() {
    for (arrives, expected) in [(Some(true), 200), (Some(false), 503), (None, 0)] {
        let mut worker = Worker::new(&day(1000));
        let bearer = format!("Bearer {}", token(&json!({})));
        let headers = [(":method", "GET"), (":path", "/v1/quota/me"), ("authorization", &*bearer)];
        let mut call = worker.open(&headers, true);
        let operation = call.asked().unwrap();
        match arrives {
            Some(arrives) => worker.control_answers(&mut call, &operation, arrives),
            None => {
                worker.close(&mut call);
                worker.control_answers(&mut call, &operation, true);
            }
        }
        assert_eq!(call.reply().map_or(0, |reply| reply.0), expected);
        if expected == 200 {
            let seen: Value = serde_json::from_str(call.reply().unwrap().2).unwrap();
            assert_eq!(
                (&seen["limits"][0]["window"], &seen["limits"][0]["remaining"]),
                (&json!("day"), &json!(1000))
            );
        }
        assert!(!call.is_forwarded && worker.book.holds() == 0);
    }
}

#[test]
fn most_requests_ask_nobody() {
    let mut worker = Worker::new(&day(1_000_000));
    let mut asked = 0;
    for _ in 0..200 {
        let mut call = worker.send(CHAT, &chat("hi", &json!({"max_tokens": 100})));
        if let Some(operation) = call.asked() {
            asked += 1;
            worker.control_answers(&mut call, &operation, true);
        }
        worker.respond(&mut call, 200, JSON, &completion("yes", Some((9, 100))));
        worker.close(&mut call);
    }
    assert!((1..5).contains(&asked), "{asked}");
    assert_eq!(worker.used(), 200 * 109);
}
