//! Redis is killed, and comes back with nothing: nobody gets more than the limit for it.

use std::time::Instant;

use attach_tests::fixture::Fixture;
use attach_tests::peers::Redis;
use attach_tests::wait;

use crate::fleet::{TEN, arrived, two};
use crate::kit::{self, CHAT};

#[test]
fn without_redis_calls_are_refused_and_its_empty_return_gives_nobody_more_than_the_limit() {
    let mut redis = Redis::start();
    let gateways = two("outage", &redis, &[]);
    for fixture in &gateways {
        kit::answer(fixture, None);
        for _ in 0..3 {
            fixture.gateway.send(&kit::call(fixture, "alice", "before")).expect(200);
        }
    }
    for fixture in &gateways {
        kit::settled(fixture, "alice", 600);
    }
    redis.kill();
    for fixture in &gateways {
        let refused = fixture.gateway.send(&kit::call(fixture, "alice", "during")).expect(503);
        assert!(refused.headers.has("retry-after"), "{refused:?}");
        assert!(refused.detail().contains("limits"), "{}", refused.text());
        wait::until("the metric of it", || {
            (kit::metric(fixture, "attach_denials_total", &["quota_unavailable"]) > 0).then_some(())
        });
        wait::until("control's word of it", || {
            fixture.gateway.log("control").contains("Redis cannot be had").then_some(())
        });
    }
    assert_eq!(arrived(&gateways), 6);
    redis.up();
    // By itself, and knowing what was used.
    let start = Instant::now();
    for fixture in &gateways {
        kit::settled(fixture, "alice", 600);
    }
    println!("it took {} ms to recover", start.elapsed().as_millis());
    let mut let_in = 6;
    wait::until_within(kit::PATIENCE, "the rest of the limit to be had", || {
        for fixture in &gateways {
            let_in += usize::from(fixture.gateway.send(&kit::call(fixture, "alice", "after")).status == 200);
        }
        (let_in >= 10).then_some(())
    });
    for fixture in &gateways {
        fixture.gateway.send(&kit::call(fixture, "alice", "over")).expect(429);
    }
    assert_eq!((let_in, arrived(&gateways)), (10, 10));
    for fixture in &gateways {
        assert!(fixture.gateway.log("control").contains("over: limits: Redis"), "it says that it is over");
    }
}

/// Calls go on all the while: whoever is let in, and whenever Redis is there or not, no eleventh is.
#[test]
fn redis_is_killed_again_and_again_and_no_eleventh_call_is_let_in() {
    let mut redis = Redis::start();
    let gateways = two("outages", &redis, &[]);
    for fixture in &gateways {
        kit::answer(fixture, None);
    }
    for round in 0..4 {
        for fixture in &gateways {
            let status = fixture.gateway.send(&kit::call(fixture, "alice", "p")).status;
            assert!([200, 429, 503].contains(&status), "{status}");
        }
        redis.kill();
        for fixture in &gateways {
            let status = fixture.gateway.send(&kit::call(fixture, "alice", "p")).status;
            assert!([200, 429, 503].contains(&status), "{status}");
        }
        redis.up();
        wait::until_within(kit::PATIENCE, "limits to be known again", || {
            gateways.iter().all(|fixture| kit::quota(fixture, "alice").is_some()).then_some(())
        });
        println!("round {round}: {} were let in", arrived(&gateways));
    }
    let mut refused = 0;
    wait::until_within(kit::PATIENCE, "the limit to be met", || {
        for fixture in &gateways {
            let status = fixture.gateway.send(&kit::call(fixture, "alice", "p")).status;
            refused = if status == 429 { refused + 1 } else { 0 };
        }
        // Leases that are given back could still be had.
        (refused > 60 || arrived(&gateways) >= 10).then_some(())
    });
    for fixture in &gateways {
        fixture.gateway.send(&kit::call(fixture, "alice", "p")).expect(429);
    }
    // What Redis did not answer before it was killed may count as used for as long as a hold lives.
    let inside = arrived(&gateways);
    assert!((7..=10).contains(&inside), "{inside} were let in");
}

#[test]
fn where_failure_allows_it_calls_go_on_without_redis_and_are_counted() {
    let mut redis = Redis::start();
    let fixture = Fixture::start("outage-allow", |builder| {
        builder.set("REDIS_URL", redis.url()).set("QUOTA_FAILURE_MODE", "allow").document(TEN)
    });
    kit::answer(&fixture, None);
    redis.kill();
    for _ in 0..12 {
        fixture.gateway.send(&kit::call(&fixture, "alice", "free")).expect(200);
    }
    wait::until("the metric of it", || {
        (kit::metric(&fixture, "attach_unlimited_calls_total", &[]) == 12).then_some(())
    });
    // Nobody limits them, and everybody sees them.
    let rows = kit::rows(&fixture, "alice", 12);
    assert_eq!((kit::sum(&rows, "input"), kit::sum(&rows, "output")), (12 * kit::PROMPT, 12 * kit::OUTPUT));
    assert_eq!(fixture.upstream.seen(CHAT).len(), 12);
    redis.up();
    wait::until_within(kit::PATIENCE, "limits to be known again", || kit::quota(&fixture, "alice"));
    let mut let_in = 0;
    wait::until_within(kit::PATIENCE, "the limit to count again", || {
        let status = fixture.gateway.send(&kit::call(&fixture, "alice", "limited")).status;
        let_in += usize::from(status == 200);
        (status == 429).then_some(())
    });
    println!("{let_in} were let in afterwards");
    assert!((1..=11).contains(&let_in), "{let_in}");
}
