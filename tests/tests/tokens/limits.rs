//! Limits in one Envoy of four workers: never more than there is, and what a caller is told of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use attach_tests::fixture::Fixture;
use attach_tests::request::{Request, Response};
use attach_tests::wait;
use serde_json::json;

use crate::kit::{self, CHAT, PATIENCE, PROMPT, quota, rows, settled};

/// What answers are made to cost, so that a call costs a hundred.
const OUTPUT: u64 = 100 - PROMPT;

/// A call that states what makes it cost a hundred.
fn hundred(fixture: &Fixture, user: &str, project: &str) -> Request {
    let body = kit::chat(kit::HI, &json!({"max_tokens": OUTPUT}));
    kit::call(fixture, user, project, &format!("{CHAT}?{project}"), &body)
}

/// A door that the engine waits behind.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock().expect("a lock") = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let open = self.0.0.lock().expect("a lock");
        drop(self.0.1.wait_timeout_while(open, PATIENCE, |open| !*open).expect("a lock"));
    }
}

/// What a refused caller must find.
fn check_refusal(refused: &Response, name: &str, tokens: u64, window: u64) {
    assert_eq!(refused.detail(), "token quota exceeded");
    let retry_after = refused.json()["retry_after"].as_u64().expect("a number of seconds");
    assert!((1..=window + 2).contains(&retry_after), "{retry_after}");
    let header = |name| kit::header(&refused.headers, name);
    assert_eq!(header("retry-after"), retry_after.to_string());
    assert_eq!(header("ratelimit-policy"), format!("\"{name}\";q={tokens};w={window}"));
    let remaining: u64 = header("x-ratelimit-remaining-tokens").parse().expect("a number");
    assert!(remaining < 100, "{remaining}");
    assert_eq!(header("ratelimit"), format!("\"{name}\";r={remaining};t={retry_after}"));
    assert_eq!(header("x-ratelimit-limit-tokens"), tokens.to_string());
    assert_eq!(header("x-ratelimit-reset-tokens"), format!("{retry_after}s"));
}

#[test]
fn of_sixty_four_calls_at_once_no_eleventh_is_let_in() {
    const CALLS: usize = 64;
    let fixture = kit::limited();
    let (user, project) = ("thousand-parallel", "parallel");
    let target = format!("{CHAT}?{project}");
    let gate = Gate::default();
    let behind = gate.clone();
    fixture.upstream.on(&target, move |exchange| {
        exchange.body()?;
        behind.pass();
        kit::reply(exchange, &kit::reported(PROMPT, OUTPUT))
    });
    let request = hundred(fixture, user, project);
    let refused = AtomicUsize::new(0);
    let answers: Vec<Response> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..CALLS)
            .map(|_| {
                scope.spawn(|| {
                    let response = fixture.gateway.send(&request);
                    if response.status == 429 {
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                    response
                })
            })
            .collect();
        // Everybody has been let in or refused, and nobody is done.
        wait::until("all calls to be judged", || {
            let arrived = fixture.upstream.seen(&target).len();
            (arrived + refused.load(Ordering::SeqCst) == CALLS).then_some(())
        });
        let arrived = fixture.upstream.seen(&target).len();
        let token = fixture.world.first.token(user);
        let now = quota(fixture, &token, "thousand");
        assert!(arrived <= 10, "{arrived} were let in");
        // An early refusal comes only of other workers' open leases.
        assert!(arrived >= 7, "only {arrived} were let in: {now:#}");
        assert!(now["held"].as_u64().is_some_and(|held| held >= 100 * arrived as u64), "{now:#}");
        assert_eq!(now["used"], 0, "{now:#}");
        gate.open();
        calls.into_iter().map(|call| call.join().expect("a response")).collect()
    });
    let (good, bad): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(bad.iter().all(|answer| answer.status == 429));
    for refused in bad {
        check_refusal(refused, "thousand", 1000, 60);
    }
    let used = 100 * good.len() as u64;
    settled(fixture, user, "thousand", used);
    let rows = rows(fixture, user, project, good.len());
    assert_eq!(rows.iter().map(|row| kit::cost(row).0 + kit::cost(row).1).sum::<u64>(), used);
    // What is left is had, and no more.
    let mut let_in = good.len();
    wait::until("the rest of the limit to be had", || {
        let_in += usize::from(fixture.gateway.send(&request).status == 200);
        (let_in == 10).then_some(())
    });
    fixture.gateway.send(&request).expect(429);
    assert_eq!(fixture.upstream.seen(&target).len(), 10);
    settled(fixture, user, "thousand", 1000);
}

/// Holds that are larger than what was used in the end: the rest is had by others, and never twice.
#[test]
fn what_calls_did_not_use_others_may() {
    let fixture = kit::limited();
    let (user, project) = ("thousand-unused", "unused");
    let target = format!("{CHAT}?{project}");
    fixture.upstream.on(&target, |exchange| kit::reply(exchange, &kit::reported(PROMPT, 1)));
    let request = hundred(fixture, user, project);
    // Each costs ten: a hundred fit, but for what the last ones must hold.
    let counted = |workers: usize| {
        std::thread::scope(|scope| {
            let calls: Vec<_> = (0..workers)
                .map(|_| {
                    scope.spawn(|| (0..25).filter(|_| fixture.gateway.send(&request).status == 200).count())
                })
                .collect();
            calls.into_iter().map(|call| call.join().expect("a count")).sum::<usize>()
        })
    };
    let let_in = counted(6);
    assert!((50..=100).contains(&let_in), "{let_in}");
    settled(fixture, user, "thousand", 10 * let_in as u64);
    assert_eq!(fixture.upstream.seen(&target).len(), let_in);
}

#[test]
fn a_caller_sees_what_he_may_still_use() {
    let fixture = kit::limited();
    let (user, project) = ("hundred-looking", "looking");
    let token = fixture.world.first.token(user);
    let before = quota(fixture, &token, "hundred");
    assert_eq!(
        (&before["limit"], &before["used"], &before["held"], &before["remaining"]),
        (&json!(100), &json!(0), &json!(0), &json!(100)),
        "{before:#}"
    );
    assert_eq!(before["window"], json!({"seconds": 60}));
    fixture
        .upstream
        .on(&format!("{CHAT}?{project}"), |exchange| kit::reply(exchange, &kit::reported(PROMPT, 21)));
    fixture.gateway.send(&hundred(fixture, user, project)).expect(200);
    settled(fixture, user, "hundred", 30);
    // Another worker may still have the rest of a lease.
    let after = wait::until("all that is left to be free", || {
        Some(quota(fixture, &token, "hundred")).filter(|now| now["remaining"] == 70)
    });
    assert!(after["reset"].as_u64().is_some_and(|reset| (1..=62).contains(&reset)), "{after:#}");
    // Only his own; and nothing of anybody without a token.
    fixture.gateway.send(&Request::get("/v1/quota/me")).expect(401);
    let other = quota(fixture, &fixture.world.first.token("hundred-other"), "hundred");
    assert_eq!(other["used"], 0);
    let unlimited = Request::get("/v1/quota/me").bearer(&fixture.alice());
    assert_eq!(fixture.gateway.send(&unlimited).expect(200).json()["limits"], json!([]));
}

#[test]
fn after_the_window_a_refused_caller_is_let_in_again() {
    let fixture = kit::limited();
    let (user, project) = ("brief-again", "again");
    let target = format!("{CHAT}?{project}");
    fixture.upstream.on(&target, |exchange| kit::reply(exchange, &kit::reported(PROMPT, OUTPUT)));
    let request = hundred(fixture, user, project);
    let start = std::time::Instant::now();
    fixture.gateway.send(&request).expect(200);
    let refused = fixture.gateway.send(&request);
    // On a slow machine the window may have passed already.
    if start.elapsed().as_secs() < 2 {
        check_refusal(&refused.expect(429), "brief", 100, 2);
    }
    let settled_at = std::time::Instant::now();
    wait::until("to be let in again", || (fixture.gateway.send(&request).status == 200).then_some(()));
    assert!(settled_at.elapsed().as_secs() <= 6, "{:?}", settled_at.elapsed());
}

/// The original's two settings, and nothing else.
#[test]
fn everybody_has_what_the_settings_say() {
    let fixture = Fixture::start("tokens-minute", |builder| {
        builder.set("MAX_TOKENS_PER_MIN", 100).set("WINDOW", 2).set("ENVOY_CONCURRENCY", 1)
    });
    fixture.upstream.on(CHAT, |exchange| kit::reply(exchange, &kit::reported(PROMPT, OUTPUT)));
    for user in ["alice", "bob"] {
        let request = hundred(&fixture, user, "settings");
        let start = std::time::Instant::now();
        fixture.gateway.send(&request).expect(200);
        let second = fixture.gateway.send(&request);
        if start.elapsed().as_secs() < 2 {
            check_refusal(&second.expect(429), "minute", 100, 2);
        }
        wait::until("to be let in again", || (fixture.gateway.send(&request).status == 200).then_some(()));
    }
}

#[test]
fn a_call_that_is_larger_than_its_limit_is_told_so() {
    let fixture = kit::limited();
    let user = "hundred-too-large";
    let body = kit::chat(&kit::WORD.repeat(100), &json!({"max_tokens": 1}));
    let refused =
        fixture.gateway.send(&kit::call(fixture, user, "too-large", &format!("{CHAT}?too-large"), &body));
    let refused = refused.expect(429);
    assert!(refused.detail().contains("100 tokens"), "{}", refused.text());
    assert!(refused.json()["retry_after"].is_null() && !refused.headers.has("retry-after"));
    fixture.nothing_arrived("too-large");
    settled(fixture, user, "hundred", 0);
}

/// Refused calls cost nothing, and leave no row.
#[test]
fn a_refused_call_reaches_neither_the_engine_nor_the_ledger() {
    let fixture = kit::limited();
    let (user, project) = ("hundred-refused", "refused");
    let target = format!("{CHAT}?{project}");
    fixture.upstream.on(&target, |exchange| kit::reply(exchange, &kit::reported(PROMPT, OUTPUT)));
    let request = hundred(fixture, user, project);
    fixture.gateway.send(&request).expect(200);
    for _ in 0..5 {
        fixture.gateway.send(&request).expect(429);
    }
    settled(fixture, user, "hundred", 100);
    assert_eq!(fixture.upstream.seen(&target).len(), 1);
    rows(fixture, user, project, 1);
}
