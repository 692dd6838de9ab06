use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::llm::usage::Source;

const START: UnixMillis = UnixMillis(1_700_000_000_000);
const BOTH: Route = Route { openmeter: true, ledger: true };
const LEDGER: Route = Route { openmeter: false, ledger: true };
const OPENMETER: Route = Route { openmeter: true, ledger: false };

fn at(millis: u64) -> UnixMillis {
    UnixMillis(START.0 + millis)
}

fn delivery(route: Route) -> Delivery {
    let delivery = Delivery::new([0xab; 16], 3);
    delivery.set_route(route);
    delivery
}

fn record(delivery: &Delivery, input: u64, output: u64) -> UsageRecord {
    UsageRecord {
        id: delivery.next_record_id(),
        at: START.0,
        user: "anna".to_owned(),
        agent: None,
        project: "default".to_owned(),
        model: "m".to_owned(),
        credential: "oidc".to_owned(),
        request_id: "r".to_owned(),
        status: 200,
        milliseconds: 5,
        input,
        output,
        cached: 0,
        reasoning: 0,
        source: Source::Reported,
    }
}

fn push(delivery: &Delivery, input: u64, output: u64) -> String {
    let record = record(delivery, input, output);
    let id = record.id.clone();
    delivery.push(record, None).unwrap();
    id
}

/// The ids of the rows and those that are undelivered.
fn rows(call: &Call) -> (Vec<String>, Vec<String>) {
    assert_eq!(call.to, To::Control);
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let records = body["records"].as_array().unwrap().iter().map(|row| text(&row["id"])).collect();
    (records, body["undelivered"].as_array().unwrap().iter().map(text).collect())
}

fn good(delivery: &Delivery, call: &Call, now: UnixMillis) -> Answered {
    delivery.answered(call.batch, call.to, Some((204, b"")), now)
}

fn bad(delivery: &Delivery, call: &Call, now: UnixMillis) -> Answered {
    delivery.answered(call.batch, call.to, None, now)
}

#[test]
fn ids_are_the_starts_the_workers_and_counted() {
    let delivery = delivery(LEDGER);
    assert_eq!(delivery.next_record_id(), "abababababababababababababababab-3-1");
    assert_eq!(delivery.next_record_id(), "abababababababababababababababab-3-2");
}

#[test]
fn openmeter_is_told_first_and_then_control() {
    let delivery = delivery(BOTH);
    let id = push(&delivery, 1, 2);
    let call = delivery.next_call(START).unwrap();
    assert_eq!(call.to, To::OpenMeter);
    let events: Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!(events[1]["id"], format!("{id}-out"));
    assert_eq!(delivery.next_call(START), None);
    let next = good(&delivery, &call, START).next.unwrap();
    assert_eq!(rows(&next), (vec![id], vec![]));
    assert_eq!(delivery.len(), 1);
    assert_eq!(good(&delivery, &next, START), Answered::default());
    assert!(delivery.is_empty());
}

#[test]
fn what_openmeter_does_not_take_control_takes_over() {
    for answer in [None, Some((500, &b""[..])), Some((404, b"")), Some((302, b""))] {
        let delivery = delivery(BOTH);
        let (with_tokens, without) = (push(&delivery, 1, 2), push(&delivery, 0, 0));
        let call = delivery.next_call(START).unwrap();
        let answered = delivery.answered(call.batch, call.to, answer, START);
        assert!(answered.failed && answered.notices.len() == 1);
        let next = answered.next.unwrap();
        assert_eq!(rows(&next), (vec![with_tokens.clone(), without], vec![with_tokens]));
        // Control fails too: the batch comes back, to control alone and the same.
        assert!(bad(&delivery, &next, START).failed);
        assert_eq!(delivery.next_call(START), None);
        let again = delivery.next_call(at(200)).unwrap();
        assert_eq!(again, next);
        good(&delivery, &again, at(200));
        assert!(delivery.is_empty());
    }
}

#[test]
fn an_openmeter_that_keeps_failing_is_left_alone_for_half_a_minute() {
    let delivery = delivery(BOTH);
    let mut notices = Vec::new();
    for millis in [0, 200, 400] {
        push(&delivery, 1, 1);
        let call = delivery.next_call(at(millis)).unwrap();
        assert_eq!(call.to, To::OpenMeter, "{millis}");
        let answered = bad(&delivery, &call, at(millis));
        notices.extend(answered.notices);
        good(&delivery, &answered.next.unwrap(), at(millis));
    }
    assert_eq!(notices.len(), 1, "an outage is spoken of once: {notices:?}");
    for millis in [600, 30_399] {
        let id = push(&delivery, 1, 1);
        let call = delivery.next_call(at(millis)).unwrap();
        assert_eq!(rows(&call).1, [id], "{millis}");
        good(&delivery, &call, at(millis));
    }
    for (millis, expected) in [(30_600, To::OpenMeter), (31_000, To::Control), (60_600, To::OpenMeter)] {
        push(&delivery, 1, 1);
        let call = delivery.next_call(at(millis)).unwrap();
        assert_eq!(call.to, expected, "{millis}");
        if millis == 60_600 {
            let answered = good(&delivery, &call, at(millis));
            assert_eq!(answered.notices, [Notice::Recovered("OpenMeter", 4)]);
        } else if call.to == To::OpenMeter {
            good(&delivery, &bad(&delivery, &call, at(millis)).next.unwrap(), at(millis));
        } else {
            good(&delivery, &call, at(millis));
        }
    }
}

#[test]
fn without_a_ledger_control_hears_of_failures_only() {
    let delivery = delivery(OPENMETER);
    push(&delivery, 1, 1);
    let call = delivery.next_call(START).unwrap();
    assert_eq!(good(&delivery, &call, START).next, None);
    assert!(delivery.is_empty());
    let id = push(&delivery, 1, 1);
    let call = delivery.next_call(at(200)).unwrap();
    let next = bad(&delivery, &call, at(200)).next.unwrap();
    assert_eq!(rows(&next), (vec![id.clone()], vec![id]));
    good(&delivery, &next, at(200));
    push(&delivery, 0, 0);
    assert_eq!(delivery.next_call(at(400)), None, "a record without tokens is nobody's business");
    assert!(delivery.is_empty());
}

#[test]
fn without_openmeter_control_alone_is_told() {
    let delivery = delivery(LEDGER);
    let id = push(&delivery, 1, 1);
    let call = delivery.next_call(START).unwrap();
    assert_eq!(rows(&call), (vec![id], vec![]));
    good(&delivery, &call, START);
    assert!(delivery.is_empty());
}

#[test]
fn where_nobody_is_told_nothing_is_kept() {
    let delivery = delivery(Route::default());
    push(&delivery, 1, 1);
    assert!(delivery.is_empty() && delivery.next_call(START).is_none());
    assert!(delivery.has_room(usize::MAX));
    assert!(delivery.admit(1_000).is_some());
}

#[test]
fn what_control_rejects_is_counted_and_not_sent_again() {
    for (body, expected) in [
        (&br#"{"rejected":["a","b"]}"#[..], 2),
        (br#"{"rejected":["a","b","c","d","e"]}"#, 3),
        (br#"{"rejected":[]}"#, 0),
        (br#"{"rejected":7}"#, 0),
        (b"<html>", 0),
        (b"", 0),
    ] {
        let delivery = delivery(LEDGER);
        for _ in 0..3 {
            push(&delivery, 1, 1);
        }
        let call = delivery.next_call(START).unwrap();
        let answered = delivery.answered(call.batch, call.to, Some((200, body)), START);
        assert_eq!((answered.rejected, answered.failed), (expected, false));
        assert_eq!(answered.notices.len(), usize::from(expected > 0));
        assert!(delivery.is_empty());
    }
}

#[test]
fn controls_health_says_how_much_it_has_to_send() {
    for (body, expected) in [
        (r#"{"outbox":7,"set_aside":1,"oldest_seconds":3}"#, Some(7)),
        (r#"{"outbox":-1}"#, None),
        (r#"{"detail":"no"}"#, None),
        ("", None),
    ] {
        assert_eq!(control_depth(body.as_bytes()), expected, "{body}");
    }
}

#[test]
fn a_full_outbox_admits_nobody_and_counts_what_it_could_not_take() {
    let delivery = delivery(LEDGER);
    let bytes = super::super::room::room_for("anna", None, "default");
    let room = delivery.admit(bytes).unwrap();
    let mut pushed = 0;
    while delivery.push(record(&delivery, 1, 1), None).is_ok() {
        pushed += 1;
    }
    assert!(pushed > 5_000, "{pushed}");
    assert!(delivery.admit(bytes).is_none() && !delivery.has_room(bytes));
    assert_eq!((delivery.take_refused(), delivery.take_refused()), (1, 0));
    delivery.push(record(&delivery, 1, 1), Some(room)).unwrap();
    assert_eq!(delivery.len(), pushed + 1);
}

#[test]
fn no_notice_says_more_than_who_and_what() {
    let notices = [
        Notice::Failing("control", Some(503), "they are kept"),
        Notice::Failing("OpenMeter", None, "control keeps them"),
        Notice::Recovered("control", 2),
        Notice::Rejected(3),
    ]
    .map(|notice| notice.to_string());
    assert_eq!(
        notices,
        [
            "usage records: control answers 503; they are kept",
            "usage records: OpenMeter does not answer; control keeps them",
            "usage records: control takes them again after 2 failed calls",
            "usage records: control rejected 3; its log says which and why",
        ]
    );
}

proptest! {
    /// Both receivers may lose calls, or take them and have the answer lost; in the end each record has one
    /// row, and each event has reached OpenMeter, directly or through control.
    #[test]
    fn nothing_is_lost_whatever_fails(
        fates in proptest::collection::vec((0_u8..4, 0_u8..4, 0_u64..8_000), 1..60),
        openmeter: bool,
        ledger: bool,
    ) {
        let delivery = delivery(Route { openmeter, ledger });
        let mut now = START;
        let (mut pushed, mut events) = (BTreeSet::new(), BTreeSet::new());
        let mut ledger_rows = BTreeMap::<String, Vec<u8>>::new();
        let quiet = core::iter::repeat_n((0, 1, 6_000), 10);
        let last = fates.len();
        for (turn, (fate, records, pause)) in fates.into_iter().chain(quiet).enumerate() {
            if turn < last {
                for _ in 0..records {
                    pushed.insert(push(&delivery, 1, 0));
                }
            }
            now = UnixMillis(now.0 + pause);
            let mut open: Vec<Call> = core::iter::from_fn(|| delivery.next_call(now)).collect();
            while let Some(call) = open.pop() {
                let (arrives, answer_arrives) = (fate & 1 == 0, fate & 2 == 0);
                if arrives {
                    match call.to {
                        To::OpenMeter => {
                            let batch: Value = serde_json::from_slice(&call.body).unwrap();
                            for event in batch.as_array().unwrap() {
                                events.insert(event["id"].as_str().unwrap().to_owned());
                            }
                        }
                        To::Control => {
                            let (ids, undelivered) = rows(&call);
                            for id in ids {
                                ledger_rows.entry(id).or_insert_with(|| call.body.clone());
                            }
                            events.extend(undelivered.into_iter().map(|id| format!("{id}-in")));
                        }
                    }
                }
                let answer = (arrives && answer_arrives).then_some((204, &b""[..]));
                open.extend(delivery.answered(call.batch, call.to, answer, now).next);
            }
        }
        prop_assert!(delivery.is_empty());
        if openmeter {
            prop_assert_eq!(events, pushed.iter().map(|id| format!("{id}-in")).collect::<BTreeSet<_>>());
        }
        if ledger {
            prop_assert_eq!(ledger_rows.into_keys().collect::<BTreeSet<_>>(), pushed);
        }
    }
}
