//! Whatever happens to calls that are remembered, in whatever order: each is once, and no answer waits for ever.

use attach_core::mirror::event::event_id;
use attach_core::mirror::pool::MAX_BYTES;
use attach_core::stream::Input;
use proptest::prelude::*;
use serde_json::json;

use crate::fixture::{CHAT, Call, Done, JSON, SSE, Worker, chat, completion, event, minute};
use crate::memory::told;

#[derive(Clone, Debug)]
enum Event {
    Open(usize),
    Answer(usize, usize),
    Chunk(usize, usize, bool),
    Remembered(usize, bool),
    Tick(usize),
    Wait(u64),
    Close(usize),
}

const KINDS: [&[(&str, &str)]; 5] = [
    &[(":status", "200"), ("content-type", SSE)],
    &[(":status", "200"), ("content-type", JSON), ("content-length", "90")],
    &[(":status", "200"), ("content-type", "application/x-ndjson")],
    &[(":status", "503"), ("content-type", JSON)],
    &[(":status", "200"), ("content-encoding", "br")],
];

fn chunk(which: usize) -> Vec<u8> {
    match which {
        0 => event("some words ").into_bytes(),
        1 => event(&"many words ".repeat(2000)).into_bytes(),
        2 => b"data: [DONE]\n\n".to_vec(),
        3 => completion("a whole answer", Some((5, 3))),
        4 => b"{\"message\":{\"content\":\"a line\"},\"done\":true}\n".to_vec(),
        5 => b"{\"choices\":[{\"index\":7,\"message\":{\"content\":\"half".to_vec(),
        6 => b"\xff\xfe}}".to_vec(),
        _ => Vec::new(),
    }
}

fn one_event() -> impl Strategy<Value = Event> {
    let which = 0..5_usize;
    prop_oneof![
        3 => (0..4_usize).prop_map(Event::Open),
        4 => (which.clone(), 0..KINDS.len()).prop_map(|(a, b)| Event::Answer(a, b)),
        10 => (which.clone(), 0..8_usize, prop::bool::weighted(0.15)).prop_map(|(a, b, c)| Event::Chunk(a, b, c)),
        4 => (which.clone(), prop::bool::weighted(0.7)).prop_map(|(a, b)| Event::Remembered(a, b)),
        2 => which.clone().prop_map(Event::Tick),
        2 => (1..7000_u64).prop_map(Event::Wait),
        2 => which.prop_map(Event::Close),
    ]
}

struct Seen {
    call: Call,
    is_answered: bool,
    is_ended: bool,
}

fn run(events: &[Event], strict: bool, tokens: u64, headers: bool) -> Result<(), TestCaseError> {
    let mut limits = minute(tokens);
    limits["usage_headers"] = json!(headers);
    let ack = if strict { "strict" } else { "none" };
    let mut worker = Worker::with(&limits, &json!({"memory": {"max_bytes": 4096, "ack": ack}}));
    let mut all: Vec<Seen> = Vec::new();
    for one in events {
        let count = all.len();
        let pick = |which: usize| if count == 0 { None } else { Some(count - 1 - which % count.min(5)) };
        match one {
            Event::Open(which) => {
                let body = match which {
                    0 => chat("short", &json!({})),
                    1 => chat(&"long ".repeat(3000), &json!({"stream": true})),
                    2 => chat("short", &json!({"stream": true, "max_tokens": 5})),
                    _ => json!({"messages": "odd"}),
                };
                let call = worker.send(CHAT, &body);
                all.push(Seen { call, is_answered: false, is_ended: false });
            }
            Event::Answer(which, kind) => {
                let Some(at) = pick(*which) else { continue };
                let seen = &mut all[at];
                if seen.call.is_forwarded && !seen.call.is_closed && !seen.is_answered {
                    worker.answer(&mut seen.call, KINDS[*kind], false);
                    seen.is_answered = true;
                }
            }
            Event::Chunk(which, piece, end) => {
                let Some(at) = pick(*which) else { continue };
                let seen = &mut all[at];
                if seen.is_answered && !seen.is_ended && !seen.call.is_closed && !seen.call.was_reset() {
                    worker.chunk(&mut seen.call, &chunk(*piece), *end);
                    seen.is_ended = *end;
                }
            }
            Event::Remembered(which, kept) => {
                let Some(at) = pick(*which) else { continue };
                worker.remembered(&mut all[at].call, *kept);
            }
            Event::Tick(which) => {
                let Some(at) = pick(*which) else { continue };
                worker.step(&mut all[at].call, Input::Tick);
            }
            Event::Wait(millis) => {
                worker.now += millis;
                worker.tick();
            }
            Event::Close(which) => {
                let Some(at) = pick(*which) else { continue };
                worker.close(&mut all[at].call);
            }
        }
        prop_assert!(worker.pool.taken() <= MAX_BYTES);
        for seen in &all {
            // Whoever waits for memory is looked after; whoever waits for the end of what he wants is not.
            if seen.call.is_held && seen.is_ended && !seen.call.is_closed && !seen.call.was_reset() {
                prop_assert!(seen.call.machine.is_waiting(), "an answer waits for ever");
            }
            prop_assert!(seen.call.done.iter().filter(|done| matches!(done, Done::Reset)).count() <= 1);
        }
    }
    worker.now += 60_000;
    for seen in &mut all {
        let call = &mut seen.call;
        if call.machine.is_waiting() {
            prop_assert!(call.machine.is_due(false, attach_core::clock::UnixMillis(worker.now)));
            worker.step(call, Input::Tick);
            prop_assert!(call.was_reset() || !call.is_held || call.is_closed);
        }
        worker.close(call);
        prop_assert!(worker.close(call).is_none());
        let objects = told(call);
        prop_assert_eq!(objects.is_empty(), !call.is_forwarded);
        for (object, (role, event)) in objects.iter().zip([("user", "prompt"), ("assistant", "answer")]) {
            let properties = &object.properties;
            prop_assert_eq!((&*properties.role, &*properties.event), (role, event));
            prop_assert_eq!(&object.id, &event_id(&properties.request_id, role));
            prop_assert!(properties.content.len() <= 4096);
        }
        prop_assert!(objects.len() <= 2);
    }
    prop_assert_eq!(worker.pool.taken(), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_call_is_remembered_once_and_no_answer_waits_for_ever(
        events in prop::collection::vec(one_event(), 1..80),
        strict in any::<bool>(),
        tokens in prop::sample::select(vec![400_u64, 1_000_000]),
        headers in any::<bool>(),
    ) {
        run(&events, strict, tokens, headers)?;
    }
}
