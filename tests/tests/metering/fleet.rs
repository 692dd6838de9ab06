//! Two gateways on one Redis: together they never let more in than there is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use attach_tests::fixture::Fixture;
use attach_tests::peers::Redis;
use attach_tests::request::Response;
use attach_tests::wait;

use crate::kit::{self, CHAT, Gate};

/// Ten calls of a hundred, in a window that no test outlasts. What is above a thousand is for the first prompts, for
/// which their bound may stand in while half of the limit is free.
pub const TEN: &str = "limits:\n  - {name: ten, tokens: 1050, window: 3600}\n";

/// Two gateways with the same limits.
pub fn two(name: &str, redis: &Redis, more: &[(&str, &str)]) -> [Fixture; 2] {
    [0, 1].map(|number| {
        Fixture::start(&format!("{name}-{number}"), |builder| {
            let builder = builder.set("REDIS_URL", redis.url()).document(TEN);
            more.iter().fold(builder, |builder, (name, value)| builder.set(name, value))
        })
    })
}

/// How many calls have reached the engines.
pub fn arrived(gateways: &[Fixture; 2]) -> usize {
    gateways.iter().map(|fixture| fixture.upstream.seen(CHAT).len()).sum()
}

/// 64 calls at once over both, for a user who has ten. `least` must be let in at once, and ten in the end.
fn sixty_four(gateways: &[Fixture; 2], user: &str, least: usize) {
    const CALLS: usize = 64;
    let gate = Gate::default();
    for fixture in gateways {
        kit::answer(fixture, Some(&gate));
    }
    let requests = gateways.each_ref().map(|fixture| kit::call(fixture, user, "p"));
    let judged = AtomicUsize::new(0);
    let refusals = Mutex::new(Vec::new());
    let answers: Vec<Response> = std::thread::scope(|scope| {
        let calls: Vec<_> = (0..CALLS)
            .map(|number| {
                let (fixture, request) = (&gateways[number % 2], &requests[number % 2]);
                let (judged, refusals) = (&judged, &refusals);
                scope.spawn(move || {
                    let response = fixture.gateway.send(request);
                    if response.status != 200 {
                        refusals.lock().unwrap_or_else(PoisonError::into_inner).push(response.detail());
                        judged.fetch_add(1, Ordering::SeqCst);
                    }
                    response
                })
            })
            .collect();
        // Everybody has been let in or refused, and nobody is done.
        wait::until_within(kit::PATIENCE, "all calls to be judged", || {
            (arrived(gateways) + judged.load(Ordering::SeqCst) == CALLS).then_some(())
        });
        let inside = arrived(gateways);
        println!("{inside} of {CALLS} were let in");
        assert!(inside <= 10, "{inside} were let in");
        assert!(inside >= least, "only {inside} were let in, the others heard {refusals:?}");
        gate.open();
        calls.into_iter().map(|call| call.join().expect("a response")).collect()
    });
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    let bad: Vec<u16> =
        answers.iter().map(|answer| answer.status).filter(|status| ![200, 429].contains(status)).collect();
    assert!(bad.is_empty(), "{bad:?}");
    for fixture in gateways {
        kit::settled(fixture, user, 100 * good as u64);
    }
    // What is left is had at either, and no more.
    let mut let_in = good;
    wait::until_within(kit::PATIENCE, "the rest of the limit to be had", || {
        for (fixture, request) in gateways.iter().zip(&requests) {
            let_in += usize::from(fixture.gateway.send(request).status == 200);
        }
        (let_in >= 10).then_some(())
    });
    for (fixture, request) in gateways.iter().zip(&requests) {
        let refused = fixture.gateway.send(request).expect(429);
        assert_eq!(refused.detail(), "token quota exceeded");
        kit::settled(fixture, user, 1000);
    }
    assert_eq!((let_in, arrived(gateways)), (10, 10));
}

#[test]
fn of_sixty_four_calls_at_once_over_two_gateways_no_eleventh_is_let_in() {
    let redis = Redis::start();
    // An early refusal comes of other workers' open leases alone.
    sixty_four(&two("fleet", &redis, &[]), "alice", 6);
}

#[test]
fn a_strict_limit_over_two_gateways_lets_ten_in_and_no_eleventh() {
    let redis = Redis::start();
    sixty_four(&two("fleet-strict", &redis, &[("QUOTA_CONSISTENCY", "strict")]), "alice", 10);
}
