use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::event::{MemoryEvent, PROMPT};
use super::super::pool;
use super::*;

mod orders;

const START: UnixMillis = UnixMillis(1_700_000_000_000);

fn at(millis: u64) -> UnixMillis {
    UnixMillis(START.0 + millis)
}

fn object(key: &str, content: &str) -> Object {
    let event = MemoryEvent {
        timestamp: START,
        event: PROMPT.into(),
        role: "user".into(),
        content: content.into(),
        ..MemoryEvent::default()
    };
    Object::new(key, event, false)
}

fn delivery(route: Route, is_direct: bool) -> (Delivery, Pool) {
    let pool = Pool::default();
    let delivery = Delivery::new(7, &pool);
    delivery.set_route(route);
    delivery.set_direct(is_direct);
    (delivery, pool)
}

/// Says something; its id.
fn push(delivery: &Delivery, pool: &Pool, key: &str, content: &str) -> String {
    let mut share = pool.share();
    assert!(share.grow(content.len()));
    let object = object(key, content);
    let id = object.id.clone();
    assert_eq!(delivery.push(vec![object], share, None), None);
    id
}

fn wait_for(delivery: &Delivery, pool: &Pool, keys: &[&str], context: u32) -> Option<bool> {
    delivery.push(keys.iter().map(|key| object(key, key)).collect(), pool.share(), Some(context))
}

/// The ids of a call's objects.
fn ids(call: &Call) -> Vec<String> {
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    let objects = body["objects"].as_array().unwrap();
    objects.iter().map(|object| object["id"].as_str().unwrap().to_owned()).collect()
}

/// What Weaviate answers, having failed with some.
fn said(call: &Call, failed: usize) -> Vec<u8> {
    let mut body: Value = serde_json::from_slice(&call.body).unwrap();
    let objects = body["objects"].as_array_mut().unwrap();
    for (place, object) in objects.iter_mut().enumerate() {
        object["result"] = json!({"status": if place < failed { "FAILED" } else { "SUCCESS" }});
    }
    body["objects"].to_string().into_bytes()
}

fn good(delivery: &Delivery, call: &Call, now: UnixMillis) -> Answered {
    match call.to {
        To::Control => delivery.answered(call.batch, call.to, Some((204, b"")), now),
        To::Weaviate | To::Embedded => {
            delivery.answered(call.batch, call.to, Some((200, &said(call, 0))), now)
        }
    }
}

fn bad(delivery: &Delivery, call: &Call, status: Option<u16>, now: UnixMillis) -> Answered {
    delivery.answered(call.batch, call.to, status.map(|status| (status, &b""[..])), now)
}

#[test]
fn events_leave_together_and_their_memory_comes_back_when_they_have_arrived() {
    for (route, is_direct, to) in [
        (Route::Weaviate, true, To::Weaviate),
        (Route::Weaviate, false, To::Control),
        (Route::Embedded, false, To::Embedded),
        (Route::Embedded, true, To::Embedded),
    ] {
        let (delivery, pool) = delivery(route, is_direct);
        assert_eq!(delivery.next_call(START), None);
        let first = push(&delivery, &pool, "1", "hello");
        let call = delivery.next_call(START).unwrap();
        assert_eq!((call.to, ids(&call)), (to, vec![first]));
        let (second, third) = (push(&delivery, &pool, "2", "\"\\\n"), push(&delivery, &pool, "3", ""));
        assert_eq!(delivery.next_call(at(199)), None);
        let next = delivery.next_call(at(200)).unwrap();
        assert_eq!(ids(&next), [second, third]);
        assert!(pool.taken() > 0 && delivery.len() == 3);
        assert_eq!(good(&delivery, &call, at(200)), Answered::default());
        assert_eq!(good(&delivery, &next, at(200)), Answered::default());
        assert_eq!((pool.taken(), delivery.len()), (0, 0));
        assert_eq!(good(&delivery, &next, at(201)), Answered::default(), "said twice");
        assert_eq!(delivery.take_counts(), Counts { accepted: 3, ..Counts::default() });
        assert_eq!(delivery.take_counts(), Counts::default());
    }
}

#[test]
fn what_weaviate_does_not_take_control_gets_at_once_and_the_same() {
    for status in [None, Some(429), Some(500), Some(422), Some(401), Some(200), Some(204)] {
        let (delivery, pool) = delivery(Route::Weaviate, true);
        push(&delivery, &pool, "1", "hello");
        let call = delivery.next_call(START).unwrap();
        let answered = bad(&delivery, &call, status, at(10));
        assert!(answered.failed && answered.notices.len() == 1, "{status:?}");
        let next = answered.next.unwrap();
        assert_eq!((next.to, &next.body), (To::Control, &call.body));
        assert_eq!(delivery.next_call(at(10)), None, "{status:?}");
        // Meanwhile Weaviate is left alone.
        push(&delivery, &pool, "2", "more");
        let more = delivery.next_call(at(900)).unwrap();
        assert_eq!(more.to, To::Control);
        assert!(!good(&delivery, &next, at(900)).failed);
        assert!(!good(&delivery, &more, at(900)).failed);
        assert_eq!(pool.taken(), 0);
        // Then one batch tries, and what comes meanwhile is control's.
        push(&delivery, &pool, "3", "again");
        let probe = delivery.next_call(at(1_100)).unwrap();
        assert_eq!(probe.to, To::Weaviate);
        push(&delivery, &pool, "4", "again");
        let beside = delivery.next_call(at(1_300)).unwrap();
        assert_eq!(beside.to, To::Control);
        assert!(good(&delivery, &probe, at(1_300)).notices.iter().all(Notice::is_good));
        push(&delivery, &pool, "5", "well");
        assert_eq!(delivery.next_call(at(1_600)).unwrap().to, To::Weaviate);
    }
}

#[test]
fn a_batch_that_weaviate_takes_in_part_goes_to_control_and_the_next_ones_do_not() {
    let (delivery, pool) = delivery(Route::Weaviate, true);
    let wanted = [push(&delivery, &pool, "1", "a"), push(&delivery, &pool, "2", "b")];
    let call = delivery.next_call(START).unwrap();
    let answered = delivery.answered(call.batch, call.to, Some((200, &said(&call, 1))), START);
    assert!(answered.failed);
    let next = answered.next.unwrap();
    assert_eq!((next.to, ids(&next)), (To::Control, wanted.to_vec()));
    push(&delivery, &pool, "3", "c");
    assert_eq!(delivery.next_call(at(200)).unwrap().to, To::Weaviate);
}

#[test]
fn a_weaviate_that_hangs_holds_two_batches_up_and_control_gets_the_rest() {
    let (delivery, pool) = delivery(Route::Weaviate, true);
    for millis in [0, 200] {
        push(&delivery, &pool, &millis.to_string(), "x");
        assert_eq!(delivery.next_call(at(millis)).unwrap().to, To::Weaviate);
    }
    push(&delivery, &pool, "3", "x");
    assert_eq!(delivery.next_call(at(450)), None, "it may answer yet");
    let third = delivery.next_call(at(500)).unwrap();
    assert_eq!(third.to, To::Control);
    good(&delivery, &third, at(510));
    for millis in (700..2_000).step_by(200) {
        push(&delivery, &pool, &millis.to_string(), "x");
        let call = delivery.next_call(at(millis)).unwrap();
        assert_eq!(call.to, To::Control);
        good(&delivery, &call, at(millis + 5));
    }
    assert_eq!(delivery.len(), 2);
}

#[test]
fn a_queue_that_is_half_full_is_controls_as_well() {
    let (delivery, pool) = delivery(Route::Weaviate, true);
    let text = "x".repeat(50_000);
    for number in 0..30 {
        push(&delivery, &pool, &number.to_string(), &text);
    }
    let calls: Vec<To> = std::iter::from_fn(|| delivery.next_call(START)).map(|call| call.to).collect();
    assert_eq!(calls, [To::Weaviate, To::Weaviate], "a burst is Weaviate's");
    for number in 30..100 {
        push(&delivery, &pool, &number.to_string(), &text);
    }
    let calls: Vec<To> = std::iter::from_fn(|| delivery.next_call(START)).map(|call| call.to).collect();
    assert_eq!(calls, [To::Control, To::Control]);
}

#[test]
fn there_is_never_more_than_8_mib_and_what_does_not_fit_is_counted() {
    let (delivery, pool) = delivery(Route::Weaviate, false);
    let text = "\u{1}".repeat(10_000);
    let mut taken = 0;
    loop {
        let mut share = pool.share();
        let _ = share.grow(text.len());
        if delivery.push(vec![object("x", &text)], share, Some(9)).is_some() {
            break;
        }
        taken += 1;
        assert!(pool.taken() <= MAX_BYTES);
    }
    // Written, each is six times as large.
    assert!((MAX_BYTES / 61_000..=MAX_BYTES / 60_000).contains(&taken), "{taken}");
    let before = pool.taken();
    assert_eq!(wait_for(&delivery, &pool, &["small"], 1), None, "there is room for a smaller one");
    assert!(pool.taken() > before);
    let counts = delivery.take_counts();
    assert_eq!((counts.accepted, counts.full, counts.off), (taken as u64 + 1, 1, 0));
}

#[test]
fn where_open_streams_have_taken_the_pool_nothing_fits() {
    let (delivery, pool) = delivery(Route::Embedded, false);
    let mut others = pool.share();
    assert!(others.grow(pool::MAX_BYTES - 100));
    assert_eq!(wait_for(&delivery, &pool, &["a"], 1), Some(false));
    drop(others);
    assert_eq!(pool.taken(), 0);
    assert_eq!(wait_for(&delivery, &pool, &["a"], 1), None);
}

#[test]
fn who_waits_is_told_once_when_all_of_its_events_have_arrived() {
    let (delivery, pool) = delivery(Route::Weaviate, true);
    push(&delivery, &pool, "0", "x");
    let before = delivery.next_call(START).unwrap();
    assert_eq!(wait_for(&delivery, &pool, &["a", "b"], 5), None);
    let call = delivery.next_call(at(1)).expect("it does not wait for company");
    assert_eq!(wait_for(&delivery, &pool, &["c"], 6), None);
    assert_eq!(delivery.next_call(at(1)), None, "two are on their way");
    assert_eq!(good(&delivery, &before, at(2)).told, []);
    let other = delivery.next_call(at(2)).unwrap();
    let next = bad(&delivery, &call, Some(500), at(3)).next.unwrap();
    assert_eq!(good(&delivery, &next, at(4)).told, [(5, true)]);
    assert_eq!(good(&delivery, &call, at(5)).told, []);
    assert_eq!(good(&delivery, &other, at(5)).told, [(6, true)]);
    assert_eq!(delivery.push(Vec::new(), pool.share(), Some(7)), Some(true));
}

#[test]
fn control_is_asked_again_with_pauses_until_it_answers() {
    for status in [None, Some(500), Some(503), Some(429), Some(403), Some(404)] {
        let (delivery, pool) = delivery(Route::Embedded, false);
        push(&delivery, &pool, "1", "x");
        let first = delivery.next_call(START).unwrap();
        let mut call = bad(&delivery, &first, status, START).next.unwrap();
        let (mut now, mut calls) = (START, 0);
        while now < at(60_000) {
            assert_eq!(bad(&delivery, &call, status, now).next, None);
            call = loop {
                now = now.after(Duration::from_millis(50));
                if let Some(call) = delivery.next_call(now) {
                    break match call.to {
                        To::Embedded => bad(&delivery, &call, status, now).next.unwrap(),
                        _ => call,
                    };
                }
            };
            calls += 1;
        }
        assert!((12..30).contains(&calls), "{calls}");
        assert_eq!(call.body, first.body);
        assert!(good(&delivery, &call, now).told.is_empty() && delivery.is_empty());
        assert_eq!(pool.taken(), 0);
    }
}

#[test]
fn of_a_batch_that_control_refuses_the_poison_alone_is_dropped() {
    for (status, in_form) in [(400, false), (413, false), (422, false), (200, true)] {
        let (delivery, pool) = delivery(Route::Weaviate, false);
        for key in 0..40 {
            assert_eq!(wait_for(&delivery, &pool, &[&key.to_string()], key), None);
        }
        let poison: BTreeSet<String> = ["7", "30"].iter().map(|key| object(key, "").id).collect();
        let (mut told, mut rejected, mut calls) = (BTreeMap::new(), 0, 0);
        while let Some(call) = delivery.next_call(START) {
            calls += 1;
            assert_eq!(call.to, To::Control);
            let bad = ids(&call).iter().filter(|id| poison.contains(*id)).count();
            let form = said(&call, bad);
            let answer: (u16, &[u8]) = match (bad, in_form) {
                (0, _) => (204, b""),
                (_, false) => (status, b"{}"),
                (_, true) => (200, &form),
            };
            let answered = delivery.answered(call.batch, call.to, Some(answer), START);
            assert_eq!(answered.notices.is_empty(), answered.rejected == 0);
            rejected += answered.rejected;
            for (context, kept) in answered.told {
                assert_eq!(told.insert(context, kept), None);
            }
        }
        assert_eq!((rejected, told.len(), pool.taken()), (2, 40, 0));
        assert!(told.iter().all(|(context, kept)| *kept != [7, 30].contains(context)));
        assert!(calls < 30, "{calls}");
    }
}

#[test]
fn control_may_say_anything_to_what_it_takes() {
    for body in [&b""[..], b"{}", b"[]", b"\xff"] {
        let (delivery, pool) = delivery(Route::Weaviate, false);
        push(&delivery, &pool, "1", "\"status\":\"FAILED\"");
        let call = delivery.next_call(START).unwrap();
        assert_eq!(delivery.answered(call.batch, call.to, Some((200, body)), START), Answered::default());
        assert!(delivery.is_empty());
    }
}

#[test]
fn without_a_route_nothing_is_taken_and_what_is_left_goes_to_control_or_nowhere() {
    let (delivery, pool) = delivery(Route::Weaviate, true);
    assert_eq!(wait_for(&delivery, &pool, &["1", "2"], 4), None);
    delivery.set_route(Route::Off);
    assert_eq!(wait_for(&delivery, &pool, &["3"], 5), Some(false));
    let call = delivery.next_call(START).unwrap();
    assert_eq!(call.to, To::Control);
    let answered = bad(&delivery, &call, Some(404), START);
    assert_eq!((answered.rejected, answered.told), (2, vec![(4, false)]));
    assert_eq!((pool.taken(), delivery.take_counts().off), (0, 1));
}

#[test]
fn control_is_asked_about_weaviate_at_once_and_every_five_seconds() {
    let (delivery, _) = delivery(Route::Embedded, false);
    assert!(!delivery.asks_control(START), "there is none");
    delivery.set_route(Route::Weaviate);
    for (millis, asks) in [(0, true), (50, false), (4_999, false), (5_000, true), (5_050, false)] {
        assert_eq!(delivery.asks_control(at(millis)), asks, "{millis}");
    }
    assert!(delivery.asks_control(UnixMillis(START.0 - 60_000)), "the clock was set back");
    delivery.set_direct(true);
    delivery.set_route(Route::Weaviate);
    assert!(delivery.asks_control(at(5_060)), "another Weaviate, perhaps");
}

#[test]
fn controls_health_says_whether_weaviate_may_be_told() {
    for (body, expected) in [
        (r#"{"outbox":7,"memory":{"direct":true,"x":1}}"#, true),
        (r#"{"outbox":7,"memory":{"direct":false}}"#, false),
        (r#"{"outbox":7,"memory":{"direct":"true"}}"#, false),
        (r#"{"outbox":7}"#, false),
        ("", false),
    ] {
        assert_eq!(says_direct(body.as_bytes()), expected, "{body}");
    }
}

#[test]
fn a_batch_whose_answer_never_comes_goes_out_again() {
    let (delivery, pool) = delivery(Route::Weaviate, false);
    push(&delivery, &pool, "1", "x");
    let call = delivery.next_call(START).unwrap();
    assert_eq!(delivery.next_call(at(29_999)), None);
    assert_eq!(delivery.next_call(at(30_000)), None);
    let again = delivery.next_call(at(30_200)).unwrap();
    assert_eq!(again, call);
    good(&delivery, &again, at(30_200));
    assert!(delivery.is_empty());
}

#[test]
fn who_is_about_to_go_does_not_wait_for_company() {
    let (delivery, pool) = delivery(Route::Embedded, false);
    push(&delivery, &pool, "1", "x");
    let _ = delivery.next_call(START).unwrap();
    push(&delivery, &pool, "2", "x");
    assert_eq!(delivery.next_call(at(1)), None);
    delivery.close();
    assert!(delivery.next_call(at(1)).is_some());
}

#[test]
fn nothing_of_what_was_said_is_shown() {
    let (delivery, pool) = delivery(Route::Embedded, false);
    push(&delivery, &pool, "1", "hello");
    assert!(!format!("{delivery:?}").contains("hello"));
    let call = delivery.next_call(START).unwrap();
    assert!(!format!("{delivery:?} {call:?}").contains("hello"));
}
