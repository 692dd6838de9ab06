//! `attach down` and `attach up`: what was used stays used, and what was under way is told.

use attach_tests::fixture::Fixture;
use attach_tests::peers::OpenMeter;
use attach_tests::wait;

use crate::kit::{self, CHAT};

#[test]
fn a_days_limit_outlives_a_restart_of_everything() {
    let fixture = Fixture::start("day", |builder| {
        builder.document("limits:\n  - {name: day, tokens: 1000, per: day}\n")
    });
    kit::answer(&fixture, None);
    for _ in 0..6 {
        fixture.gateway.send(&kit::call(&fixture, "alice", "before")).expect(200);
    }
    kit::settled(&fixture, "alice", 600);
    fixture.gateway.run(&["down"]).expect_success();
    fixture.gateway.up().expect_success();
    kit::settled(&fixture, "alice", 600);
    let mut let_in = 6;
    wait::until("the rest of the day's limit to be had", || {
        let_in += usize::from(fixture.gateway.send(&kit::call(&fixture, "alice", "after")).status == 200);
        (let_in >= 10).then_some(())
    });
    let refused = fixture.gateway.send(&kit::call(&fixture, "alice", "over")).expect(429);
    let retry_after = refused.json()["retry_after"].as_u64().expect("a number of seconds");
    assert!((1..=86_401).contains(&retry_after), "{retry_after}");
    assert_eq!(fixture.upstream.seen(CHAT).len(), 10);
}

/// The last calls before the end have a row and their events, though Envoy was told to go at once after them.
#[test]
fn what_is_under_way_when_the_gateway_is_stopped_is_told_before_its_end() {
    const CALLS: usize = 20;
    let openmeter = OpenMeter::start();
    let fixture = Fixture::start("drain", |builder| {
        kit::metered(builder, &openmeter).document("limits:\n  - {name: day, tokens: 100000, per: day}\n")
    });
    kit::answer(&fixture, None);
    for round in 1..=2 {
        std::thread::scope(|scope| {
            for _ in 0..CALLS {
                scope.spawn(|| fixture.gateway.send(&kit::call(&fixture, "alice", "last")).expect(200));
            }
        });
        fixture.gateway.run(&["down"]).expect_success();
        let events = openmeter.distinct("alice").len();
        fixture.gateway.up().expect_success();
        let rows = kit::ledger(&fixture, "alice").expect("control runs").len();
        assert_eq!((rows, events), (round * CALLS, round * CALLS * 2), "rows and events after round {round}");
        kit::settled(&fixture, "alice", (round * CALLS * 100) as u64);
    }
    kit::all_metered(&openmeter, "alice", &kit::rows(&fixture, "alice", 2 * CALLS));
    assert_eq!(openmeter.complaints(), Vec::<String>::new());
}

/// A setting that only Envoy reads: `attach up` starts it anew, and nothing is lost either.
#[test]
fn what_is_under_way_when_envoy_is_restarted_is_told_before_its_end() {
    const CALLS: usize = 20;
    let openmeter = OpenMeter::start();
    let fixture = Fixture::start("reload", |builder| kit::metered(builder, &openmeter));
    kit::answer(&fixture, None);
    std::thread::scope(|scope| {
        for _ in 0..CALLS {
            scope.spawn(|| fixture.gateway.send(&kit::call(&fixture, "alice", "last")).expect(200));
        }
    });
    fixture.gateway.set("CORS_ORIGINS", "https://app.example");
    fixture.gateway.up().expect_success();
    kit::all_metered(&openmeter, "alice", &kit::rows(&fixture, "alice", CALLS));
}
