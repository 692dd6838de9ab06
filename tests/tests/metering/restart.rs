//! `attach down` and `attach up`: what was used stays used, and what was under way is told.

use attach_tests::fixture::Fixture;
use attach_tests::peers::OpenMeter;
use attach_tests::wait;

use crate::kit::{self, CHAT, Gate};

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

/// Makes calls, all at once, and waits for all of them.
fn last_calls(fixture: &Fixture, count: usize) {
    std::thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| fixture.gateway.send(&kit::call(fixture, "alice", "last")).expect(200));
        }
    });
}

/// The last calls before the end have a row and their events, though Envoy was told to go at once after them.
#[test]
fn what_is_under_way_when_the_gateway_is_stopped_is_told_before_its_end() {
    const CALLS: usize = 20;
    let openmeter = OpenMeter::start();
    let fixture = Fixture::start("drain", |builder| kit::metered(builder, &openmeter));
    kit::answer(&fixture, None);
    for round in 1..=3 {
        last_calls(&fixture, CALLS);
        fixture.gateway.run(&["down"]).expect_success();
        let events = openmeter.distinct("alice").len();
        fixture.gateway.up().expect_success();
        let rows = kit::ledger(&fixture, "alice").expect("control runs").len();
        assert_eq!((rows, events), (round * CALLS, round * CALLS * 2), "rows and events after round {round}");
    }
    kit::all_metered(&openmeter, "alice", &kit::rows(&fixture, "alice", 3 * CALLS));
    assert_eq!(openmeter.complaints(), Vec::<String>::new());
}

/// So does what control keeps of limits: nothing that was used is forgotten, and no lease is left open.
#[test]
fn what_was_used_last_before_the_gateway_is_stopped_counts_afterwards() {
    let fixture = Fixture::start("drain-day", |builder| {
        builder.document("limits:\n  - {name: day, tokens: 100000, per: day}\n")
    });
    kit::answer(&fixture, None);
    last_calls(&fixture, 20);
    fixture.gateway.run(&["down"]).expect_success();
    fixture.gateway.up().expect_success();
    kit::settled(&fixture, "alice", 2000);
}

/// A call that is being answered when the gateway is told to go is answered to its end.
#[test]
fn a_call_that_is_being_answered_when_the_gateway_is_stopped_comes_to_its_end() {
    let openmeter = OpenMeter::start();
    let fixture = Fixture::start("drain-open", |builder| kit::metered(builder, &openmeter));
    let gate = Gate::default();
    kit::answer(&fixture, Some(&gate));
    std::thread::scope(|scope| {
        let call = scope.spawn(|| fixture.gateway.send(&kit::call(&fixture, "alice", "open")));
        wait::until("the call to reach the engine", || {
            (!fixture.upstream.seen(CHAT).is_empty()).then_some(())
        });
        let down = scope.spawn(|| fixture.gateway.run(&["down"]));
        wait::until("the gateway to take nothing new", || {
            fixture
                .gateway
                .pid("envoy")
                .is_none()
                .then_some(())
                .or_else(|| std::net::TcpStream::connect(fixture.gateway.address).is_err().then_some(()))
        });
        gate.open();
        call.join().expect("an answer").expect(200);
        down.join().expect("it ends").expect_success();
    });
    fixture.gateway.up().expect_success();
    kit::all_metered(&openmeter, "alice", &kit::rows(&fixture, "alice", 1));
}

/// A setting that only Envoy reads: `attach up` starts it anew, and nothing is lost either.
#[test]
fn what_is_under_way_when_envoy_is_restarted_is_told_before_its_end() {
    const CALLS: usize = 20;
    let openmeter = OpenMeter::start();
    let fixture = Fixture::start("reload", |builder| kit::metered(builder, &openmeter));
    kit::answer(&fixture, None);
    last_calls(&fixture, CALLS);
    fixture.gateway.set("CORS_ORIGINS", "https://app.example");
    fixture.gateway.up().expect_success();
    kit::all_metered(&openmeter, "alice", &kit::rows(&fixture, "alice", CALLS));
}
