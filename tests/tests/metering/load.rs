//! kill -9 under load: every call that was answered has one row and two events, none missing, none doubled.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use attach_tests::fixture::Fixture;
use attach_tests::gateway::Builder;
use attach_tests::peers::{OpenMeter, Redis};
use attach_tests::wait;

use crate::kit;

/// How many calls are answered in the end.
const CALLS: usize = 300;
/// How many are under way at once.
const CALLERS: usize = 8;
/// So much for everybody that only its home must be asked.
const PLENTY: u64 = 100_000_000;

/// Callers who ask again for as long as they are told to.
struct Load<'a> {
    fixture: &'a Fixture,
    next: AtomicUsize,
    answered: AtomicUsize,
    turned_away: AtomicUsize,
    stopped: AtomicBool,
}

impl<'a> Load<'a> {
    fn new(fixture: &'a Fixture) -> Self {
        kit::answer(fixture, None);
        Self {
            fixture,
            next: AtomicUsize::new(0),
            answered: AtomicUsize::new(0),
            turned_away: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// Makes all calls, each for a project of its own, while `chaos` does what it does.
    fn run(&self, chaos: impl FnOnce()) {
        std::thread::scope(|scope| {
            for _ in 0..CALLERS {
                scope.spawn(|| {
                    while let number = self.next.fetch_add(1, Ordering::SeqCst)
                        && number < CALLS
                    {
                        self.call(number);
                    }
                });
            }
            // A test that fails is not to wait for those who will not be answered.
            struct Stop<'a>(&'a AtomicBool);
            impl Drop for Stop<'_> {
                fn drop(&mut self) {
                    self.0.store(std::thread::panicking(), Ordering::SeqCst);
                }
            }
            let _stop = Stop(&self.stopped);
            chaos();
            wait::until_within(2 * kit::PATIENCE, "all calls to be answered", || {
                (self.answered.load(Ordering::SeqCst) == CALLS).then_some(())
            });
        });
        println!("{} were turned away meanwhile", self.turned_away.load(Ordering::SeqCst));
    }

    fn call(&self, number: usize) {
        let request = kit::call(self.fixture, "alice", &format!("c{number}"));
        while !self.stopped.load(Ordering::SeqCst) {
            match self.fixture.gateway.send(&request).status {
                200 => {
                    self.answered.fetch_add(1, Ordering::SeqCst);
                    // Fast enough to be many, slow enough for what is killed to be killed among them.
                    std::thread::sleep(Duration::from_millis(10));
                    return;
                }
                503 => {
                    self.turned_away.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(50));
                }
                status => panic!("c{number} is answered {status}"),
            }
        }
    }

    /// Waits until so many calls were answered.
    fn reach(&self, count: usize) {
        wait::until_within(kit::PATIENCE, &format!("{count} answers"), || {
            (self.answered.load(Ordering::SeqCst) >= count).then_some(())
        });
    }

    /// Waits until so many more were turned away.
    fn turn_away(&self, count: usize) {
        let before = self.turned_away.load(Ordering::SeqCst);
        wait::until_within(kit::PATIENCE, &format!("{count} refusals"), || {
            (self.turned_away.load(Ordering::SeqCst) >= before + count).then_some(())
        });
    }

    /// Everything that was answered was recorded and told, once.
    fn is_told(&self, openmeter: &OpenMeter) {
        let start = Instant::now();
        let rows = kit::rows(self.fixture, "alice", CALLS);
        let projects: BTreeSet<&str> = rows.iter().filter_map(|row| row["project"].as_str()).collect();
        assert_eq!(projects.len(), CALLS, "a call has two rows, and another none");
        assert_eq!(
            (kit::sum(&rows, "input"), kit::sum(&rows, "output")),
            (CALLS as u64 * kit::PROMPT, CALLS as u64 * kit::OUTPUT)
        );
        kit::all_metered(openmeter, "alice", &rows);
        assert_eq!(openmeter.complaints(), Vec::<String>::new());
        let came = openmeter.events("alice").len();
        println!("{came} events came for {}, all within {} ms", 2 * CALLS, start.elapsed().as_millis());
        for reason in ["full", "rejected"] {
            assert_eq!(kit::metric(self.fixture, "attach_usage_records_dropped_total", &[reason]), 0);
        }
    }
}

fn limits(per: &str) -> String {
    format!("limits:\n  - {{name: plenty, tokens: {PLENTY}, {per}}}\n")
}

fn gateway(name: &str, openmeter: &OpenMeter, change: impl FnOnce(Builder) -> Builder) -> Fixture {
    Fixture::start(name, |builder| change(kit::metered(builder, openmeter)))
}

#[test]
fn control_is_killed_under_load_and_nothing_is_lost_or_doubled() {
    let openmeter = OpenMeter::start();
    let fixture = gateway("kill-control", &openmeter, |builder| builder);
    let load = Load::new(&fixture);
    load.run(|| {
        for round in 1..=3 {
            load.reach(round * CALLS / 5);
            kit::kill(&fixture.gateway, "control");
            // Calls are answered without it.
            load.reach(round * CALLS / 5 + CALLS / 10);
            fixture.gateway.up().expect_success();
        }
    });
    assert_eq!(load.turned_away.load(Ordering::SeqCst), 0);
    load.is_told(&openmeter);
}

#[test]
fn control_is_killed_while_it_keeps_the_limits_and_they_stay_exact() {
    let openmeter = OpenMeter::start();
    let fixture = gateway("kill-limits", &openmeter, |builder| {
        builder.set("QUOTA_CONSISTENCY", "strict").document(&limits("per: month"))
    });
    let load = Load::new(&fixture);
    load.run(|| {
        for round in 1..=3 {
            load.reach(round * CALLS / 5);
            kit::kill(&fixture.gateway, "control");
            load.turn_away(2 * CALLERS);
            fixture.gateway.up().expect_success();
        }
    });
    load.is_told(&openmeter);
    kit::settled(&fixture, "alice", CALLS as u64 * 100);
}

#[test]
fn openmeter_is_killed_under_load_and_nothing_is_lost_or_doubled() {
    let mut openmeter = OpenMeter::start();
    let fixture = gateway("kill-openmeter", &openmeter, |builder| builder);
    let load = Load::new(&fixture);
    load.run(|| {
        for round in 1..=3 {
            load.reach(round * CALLS / 5);
            openmeter.kill_in_a_batch();
            load.reach(round * CALLS / 5 + CALLS / 10);
            openmeter.up();
        }
    });
    assert_eq!(load.turned_away.load(Ordering::SeqCst), 0);
    load.is_told(&openmeter);
    // What had been taken and not acknowledged was sent again: under the ids that it had.
    assert!(openmeter.events("alice").len() > 2 * CALLS);
}

/// While OpenMeter is away, what control has taken for it outlives control.
#[test]
fn openmeter_is_away_and_control_is_killed_and_nothing_is_lost_or_doubled() {
    let mut openmeter = OpenMeter::start();
    let fixture = gateway("kill-both", &openmeter, |builder| builder);
    let load = Load::new(&fixture);
    openmeter.kill();
    load.run(|| {
        load.reach(CALLS / 3);
        kit::kill(&fixture.gateway, "control");
        load.reach(CALLS / 2);
        fixture.gateway.up().expect_success();
    });
    kit::rows(&fixture, "alice", CALLS);
    assert_eq!(openmeter.events("alice").len(), 0);
    let depth = || kit::metric(&fixture, "attach_control_outbox_depth", &[]);
    wait::until_within(kit::PATIENCE, "the depth of control's outbox", || {
        (depth() == 2 * CALLS as u64).then_some(())
    });
    kit::kill(&fixture.gateway, "control");
    openmeter.up();
    fixture.gateway.up().expect_success();
    load.is_told(&openmeter);
    wait::until_within(kit::PATIENCE, "the outbox to be empty", || (depth() == 0).then_some(()));
}

#[test]
fn redis_is_killed_under_load_and_nothing_is_lost_or_doubled() {
    let (openmeter, mut redis) = (OpenMeter::start(), Redis::start());
    let fixture = gateway("kill-redis", &openmeter, |builder| {
        builder
            .set("REDIS_URL", redis.url())
            .set("QUOTA_CONSISTENCY", "strict")
            .document(&limits("window: 3600"))
    });
    let load = Load::new(&fixture);
    load.run(|| {
        for round in 1..=3 {
            load.reach(round * CALLS / 5);
            redis.kill();
            load.turn_away(2 * CALLERS);
            redis.up();
        }
    });
    load.is_told(&openmeter);
    // And the limit knows of every call, though Redis has forgotten all of them three times.
    kit::settled(&fixture, "alice", CALLS as u64 * 100);
}

#[test]
fn everything_is_killed_at_once_under_load_and_nothing_is_lost_or_doubled() {
    let (mut openmeter, mut redis) = (OpenMeter::start(), Redis::start());
    let fixture = gateway("kill-all", &openmeter, |builder| {
        builder
            .set("REDIS_URL", redis.url())
            .set("QUOTA_CONSISTENCY", "strict")
            .document(&limits("window: 3600"))
    });
    let load = Load::new(&fixture);
    load.run(|| {
        for round in 1..=2 {
            load.reach(round * CALLS / 4);
            redis.kill();
            openmeter.kill_in_a_batch();
            kit::kill(&fixture.gateway, "control");
            load.turn_away(2 * CALLERS);
            fixture.gateway.up().expect_success();
            redis.up();
            openmeter.up();
        }
    });
    load.is_told(&openmeter);
    kit::settled(&fixture, "alice", CALLS as u64 * 100);
}
