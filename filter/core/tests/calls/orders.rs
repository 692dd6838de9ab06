//! Whatever happens to calls, in whatever order: what is reserved is settled once, and what must not be does not
//! happen.

use std::collections::VecDeque;

use attach_core::quota::book::Operation;
use attach_core::stream::Input;
use proptest::prelude::*;
use serde_json::json;

use crate::fixture::{CHAT, Call, Done, JSON, SSE, Worker, completion, event, last_event, token};

/// What no state may show.
const SECRET_WORD: &str = "xyzzy-plugh";

#[derive(Clone, Debug)]
enum Event {
    Open(usize),
    Body(usize, usize, bool),
    Trailers(usize),
    Tick(usize),
    Headers(usize),
    Answer(usize, usize, bool),
    Chunk(usize, usize, bool),
    Close(usize),
    /// Control's answer to one of the questions arrives, or fails.
    Control(usize, bool),
    Wait(u64),
    Look,
    Away(bool),
    Full(bool),
}

const REQUESTS: [(&str, &str); 8] = [
    (CHAT, r#"{"model":"m","messages":[{"role":"user","content":"xyzzy-plugh"}],"max_tokens":50}"#),
    (CHAT, r#"{"model":"m","messages":[{"role":"user","content":"xyzzy-plugh"}],"stream":true}"#),
    (
        CHAT,
        r#"{"model":"m","messages":[{"role":"user","content":"xyzzy-plugh"}],"stream":true,"max_tokens":9999}"#,
    ),
    ("/api/chat", r#"{"model":"m","messages":[{"role":"user","content":"xyzzy-plugh"}]}"#),
    ("/v1/embeddings", r#"{"model":"m","input":["xyzzy-plugh"]}"#),
    ("/v1/messages", r#"{"model":"m","messages":"xyzzy-plugh","stream":true,"stream":false}"#),
    (CHAT, r#"{"model":"m","n":99,"messages":[{"role":"user","content":"xyzzy-plugh"#),
    ("/completion", r#"{"prompt":"xyzzy-plugh","n_predict":-1}"#),
];

const ANSWERS: [&[(&str, &str)]; 6] = [
    &[(":status", "200"), ("content-type", JSON), ("content-length", "300")],
    &[(":status", "200"), ("content-type", SSE)],
    &[(":status", "200"), ("content-type", "application/x-ndjson")],
    &[(":status", "400"), ("content-type", JSON)],
    &[(":status", "200"), ("content-encoding", "gzip")],
    &[(":status", "what")],
];

fn chunk(which: usize) -> Vec<u8> {
    match which % 9 {
        0 => completion("xyzzy-plugh again", Some((20, 30))),
        1 => event("xyzzy-plugh ").into_bytes(),
        2 => event("xyzzy-plugh and more words than fit ").repeat(20).into_bytes(),
        3 => last_event("stop").into_bytes(),
        4 => b"data: [DONE]\n\n".to_vec(),
        5 => b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6}}\n\n".to_vec(),
        6 => b"{\"message\":{\"content\":\"xyzzy-plugh\"},\"done\":false}\n".to_vec(),
        7 => b"unknown: stream_options \xff\xfe{{{\"usage\"".to_vec(),
        _ => Vec::new(),
    }
}

fn one_event() -> impl Strategy<Value = Event> {
    let which = 0..6_usize;
    prop_oneof![
        6 => (0..REQUESTS.len()).prop_map(Event::Open),
        8 => (which.clone(), 1..200_usize, any::<bool>()).prop_map(|(a, b, c)| Event::Body(a, b, c)),
        1 => which.clone().prop_map(Event::Trailers),
        2 => which.clone().prop_map(Event::Tick),
        1 => which.clone().prop_map(Event::Headers),
        6 => (which.clone(), 0..ANSWERS.len(), prop::bool::weighted(0.1)).prop_map(|(a, b, c)| Event::Answer(a, b, c)),
        12 => (which.clone(), 0..9_usize, prop::bool::weighted(0.1)).prop_map(|(a, b, c)| Event::Chunk(a, b, c)),
        3 => which.clone().prop_map(Event::Close),
        8 => (which, prop::bool::weighted(0.8)).prop_map(|(a, b)| Event::Control(a, b)),
        3 => (1..3000_u64).prop_map(Event::Wait),
        1 => Just(Event::Look),
        1 => any::<bool>().prop_map(Event::Away),
        1 => prop::bool::weighted(0.2).prop_map(Event::Full),
    ]
}

struct Streams {
    calls: Vec<Call>,
    /// What is left of each one's body.
    rest: Vec<Vec<u8>>,
    asked: VecDeque<(usize, Operation)>,
    finished: Vec<usize>,
}

impl Streams {
    fn note(&mut self, at: usize) {
        while let Some(operation) = self.calls[at].asked() {
            self.asked.push_back((at, operation));
        }
        let call = &mut self.calls[at];
        let before = call.done.len();
        call.done.retain(|done| !matches!(done, Done::Finished(_)));
        self.finished[at] += before - call.done.len();
    }
}

fn run(events: &[Event], mode: &str, shadow: bool, strict: bool) -> Result<(), TestCaseError> {
    let limits = json!({
        "default_output": 40, "failure_mode": mode, "consistency": if strict { "strict" } else { "leased" },
        "limits": [
            {"name": "minute", "tokens": 600, "window": {"sliding": 60}},
            {"name": "day", "tokens": 900, "window": "day"}]});
    let more = if shadow { json!({"mode": "shadow"}) } else { json!({}) };
    let mut worker = Worker::with(&limits, &more);
    worker.windows.most.set(Some(600));
    let bearer = format!("Bearer {}", token(&json!({})));
    let mut all =
        Streams { calls: Vec::new(), rest: Vec::new(), asked: VecDeque::new(), finished: Vec::new() };
    for event in events {
        let pick = |which: usize, all: &Streams| {
            (!all.calls.is_empty()).then(|| {
                let count = all.calls.len();
                count - 1 - which % count.min(6)
            })
        };
        match event {
            Event::Open(which) => {
                let (path, body) = REQUESTS[*which];
                let call =
                    worker.open(&[(":method", "POST"), (":path", path), ("authorization", &bearer)], false);
                all.calls.push(call);
                all.rest.push(body.as_bytes().to_vec());
                all.finished.push(0);
                all.note(all.calls.len() - 1);
            }
            Event::Look => {
                let headers = [(":method", "GET"), (":path", "/v1/quota/me"), ("authorization", &*bearer)];
                all.calls.push(worker.open(&headers, true));
                all.rest.push(Vec::new());
                all.finished.push(0);
                all.note(all.calls.len() - 1);
            }
            Event::Body(which, size, whole) => {
                let Some(at) = pick(*which, &all) else { continue };
                if all.calls[at].is_closed || all.calls[at].is_forwarded {
                    continue;
                }
                let size = if *whole { usize::MAX } else { *size };
                let rest = &mut all.rest[at];
                let piece: Vec<u8> = rest.drain(..size.min(rest.len())).collect();
                let end = rest.is_empty();
                worker.body(&mut all.calls[at], &piece, end);
                all.note(at);
            }
            Event::Trailers(which) => {
                let Some(at) = pick(*which, &all) else { continue };
                worker.step(&mut all.calls[at], Input::RequestTrailers(&[]));
                all.note(at);
            }
            Event::Tick(which) => {
                let Some(at) = pick(*which, &all) else { continue };
                worker.step(&mut all.calls[at], Input::Tick);
                all.note(at);
            }
            Event::Headers(which) => {
                let Some(at) = pick(*which, &all) else { continue };
                worker.step(&mut all.calls[at], Input::RequestHeaders(&[], true));
                all.note(at);
            }
            Event::Answer(which, headers, end) => {
                let Some(at) = pick(*which, &all) else { continue };
                let pairs: Vec<(String, Vec<u8>)> = ANSWERS[*headers]
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                    .collect();
                worker.step(&mut all.calls[at], Input::ResponseHeaders(&pairs, *end));
                all.note(at);
            }
            Event::Chunk(which, piece, end) => {
                let Some(at) = pick(*which, &all) else { continue };
                worker.step(&mut all.calls[at], Input::ResponseBody(&chunk(*piece), *end));
                all.note(at);
            }
            Event::Close(which) => {
                let Some(at) = pick(*which, &all) else { continue };
                let finished = worker.close(&mut all.calls[at]).is_some();
                all.finished[at] += usize::from(finished);
            }
            Event::Control(which, arrives) => {
                if all.asked.is_empty() {
                    continue;
                }
                let place = which % all.asked.len();
                let Some((at, operation)) = all.asked.remove(place) else { continue };
                let mut call = core::mem::take(&mut all.calls[at]);
                worker.control_answers(&mut call, &operation, *arrives);
                all.calls[at] = call;
                all.note(at);
            }
            Event::Wait(millis) => {
                worker.now += millis;
                worker.tick();
            }
            Event::Away(away) => worker.windows.is_away = *away,
            Event::Full(full) => worker.is_full = *full,
        }
        for call in &all.calls {
            let _ = call.reply();
            let shown = format!("{:?}", call.machine);
            prop_assert!(!shown.contains(SECRET_WORD), "{}", shown);
        }
        let open = all.calls.iter().filter(|call| call.is_forwarded && !call.is_closed).count();
        prop_assert!(worker.book.holds() <= open, "more holds than calls");
    }
    for at in 0..all.calls.len() {
        let finished = worker.close(&mut all.calls[at]).is_some();
        all.finished[at] += usize::from(finished);
        prop_assert_eq!(worker.close(&mut all.calls[at]).is_some(), false);
        let is_call = all.calls[at].is_forwarded;
        prop_assert_eq!(
            all.finished[at],
            usize::from(is_call),
            "records of call {}: {:?}",
            at,
            all.calls[at].done
        );
    }
    while let Some((at, operation)) = all.asked.pop_front() {
        let mut call = core::mem::take(&mut all.calls[at]);
        worker.control_answers(&mut call, &operation, true);
        all.calls[at] = call;
    }
    worker.windows.is_away = false;
    prop_assert_eq!(worker.book.holds(), 0);
    for _ in 0..6 {
        worker.now += 1500;
        worker.tick();
    }
    prop_assert_eq!(worker.book.unanswered(), 0);
    worker.used();
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_is_reserved_is_settled_once_whatever_happens(
        events in prop::collection::vec(one_event(), 1..120),
        mode in prop::sample::select(vec!["deny", "allow"]),
        shadow in prop::bool::weighted(0.2),
        strict in prop::bool::weighted(0.2),
    ) {
        run(&events, mode, shadow, strict)?;
    }

    #[test]
    fn no_body_breaks_anything_or_is_free(
        body in prop_oneof![
            "\\PC{0,200}",
            prop::collection::vec(prop::sample::select(vec![
                "{", "}", "[", "]", ",", ":", "\"model\"", "\"messages\"", "\"content\"", "\"max_tokens\"", "\"n\"", "\"stream\"",
                "\"stream_options\"", "\"options\"", "1", "-1", "1e9", "null", "true", "\"x\"", "\"prompt\"", "\"input\"",
            ]), 0..40).prop_map(|parts| parts.concat()),
        ],
        path in prop::sample::select(vec![CHAT, "/api/chat", "/v1/responses", "/v1/embeddings", "/completion", "/v1/messages",
            "/v1beta/models/g:generateContent"]),
        answer in prop::collection::vec((0..9_usize, 1..300_usize), 0..6),
    ) {
        let mut worker = Worker::new(&crate::fixture::minute(700));
        let mut call = worker.send_with(path, &[], body.as_bytes());
        if call.is_forwarded {
            prop_assert_eq!(worker.book.holds(), 1);
            worker.answer(&mut call, ANSWERS[answer.len() % ANSWERS.len()], false);
            for (which, size) in answer {
                for piece in chunk(which).chunks(size) {
                    worker.step(&mut call, Input::ResponseBody(piece, false));
                }
            }
            prop_assert!(worker.close(&mut call).is_some());
        } else {
            prop_assert!(call.reply().is_some());
        }
        prop_assert_eq!(worker.book.holds(), 0);
        worker.used();
    }
}
