use proptest::prelude::*;

use super::*;

const NOW: u64 = 1_700_000_000;
const MINUTE: Window = Window::Sliding(60);

fn wish(need: u64, want: u64, limit: u64) -> Wish {
    Wish { need, want, limit }
}

fn exactly(need: u64, limit: u64) -> Wish {
    wish(need, need, limit)
}

#[test]
fn a_lease_is_a_sixteenth_unless_a_request_needs_more_and_the_need_alone_near_the_limit() {
    for (used, need, want, granted) in [
        (0, 1, 1000, 100),
        (0, 1, 40, 40),
        (0, 300, 300, 300),
        (0, 300, 1000, 300),
        (1400, 1, 1000, 100),
        (1401, 1, 1000, 1),
        (1599, 1, 1, 1),
        (0, 1600, 1600, 1600),
        (0, 0, 0, 0),
    ] {
        let mut entry = Entry::default();
        entry.record(NOW, used, MINUTE, NOW);
        assert_eq!(entry.grant(1, wish(need, want, 1600), MINUTE, NOW), Ok(granted), "{used} {need} {want}");
        assert_eq!((entry.lease(1), entry.held(NOW)), (granted, granted));
    }
}

#[test]
fn the_wait_is_until_enough_slots_have_left() {
    let mut entry = Entry::default();
    for (at, tokens) in [(NOW - 50, 30), (NOW - 20, 30), (NOW, 40)] {
        entry.record(at, tokens, MINUTE, NOW);
    }
    for (need, wait) in [(1, 11), (30, 11), (31, 41), (60, 41), (61, 61), (100, 61)] {
        let short = entry.check(1, exactly(need, 100), MINUTE, NOW).unwrap_err();
        assert_eq!(short.retry_after, Some(wait), "{need}");
        assert!(entry.check(1, exactly(need, 100), MINUTE, NOW + wait - 1).is_err(), "{need} a second early");
        assert!(entry.check(1, exactly(need, 100), MINUTE, NOW + wait).is_ok(), "{need} in time");
    }
    assert_eq!(entry.check(1, exactly(101, 100), MINUTE, NOW), Err(Short { retry_after: None }));
    assert_eq!(entry.reset(MINUTE, NOW), 61);
    assert_eq!(entry.reset(MINUTE, NOW + 61), 0);
}

#[test]
fn where_open_leases_may_bring_it_the_wait_is_a_second() {
    let mut entry = Entry::default();
    entry.record(NOW, 60, MINUTE, NOW);
    assert_eq!(entry.grant(1, exactly(40, 100), MINUTE, NOW), Ok(40));
    assert_eq!(entry.check(2, exactly(40, 100), MINUTE, NOW), Err(Short { retry_after: Some(1) }));
    assert_eq!(entry.check(2, exactly(60, 100), MINUTE, NOW), Err(Short { retry_after: Some(61) }));
    // What was used leaves first, the lease may follow at once.
    assert_eq!(entry.check(2, exactly(100, 100), MINUTE, NOW), Err(Short { retry_after: Some(61) }));
}

#[test]
fn a_month_and_a_day_begin_with_nothing_used() {
    const FEB_1_2024: u64 = 1_706_745_600;
    for window in [Window::Day, Window::Month] {
        let mut entry = Entry::default();
        entry.record(FEB_1_2024 - 5, 100, window, FEB_1_2024 - 5);
        let short = entry.check(1, exactly(1, 100), window, FEB_1_2024 - 5).unwrap_err();
        assert_eq!(short.retry_after, Some(5), "{window:?}");
        assert_eq!(entry.used(window, FEB_1_2024 - 1), 100);
        assert_eq!(entry.used(window, FEB_1_2024), 0);
        assert!(entry.grant(1, exactly(100, 100), window, FEB_1_2024).is_ok());
    }
    // A lease that is open across the boundary counts on both sides of it.
    let mut entry = Entry::default();
    entry.grant(1, exactly(100, 100), Window::Month, FEB_1_2024 - 5).unwrap();
    assert!(entry.check(2, exactly(1, 100), Window::Month, FEB_1_2024 + 5).is_err());
    entry.report(1, &[(FEB_1_2024 - 1, 60), (FEB_1_2024, 40)], 0, Window::Month, FEB_1_2024 + 5);
    assert_eq!(entry.used(Window::Month, FEB_1_2024 + 5), 40);
}

#[test]
fn a_lease_that_ran_out_counts_as_used_until_it_leaves_or_its_worker_comes_back() {
    let mut entry = Entry::default();
    entry.grant(1, exactly(100, 100), MINUTE, NOW).unwrap();
    let out = NOW + LEASE_SECONDS;
    assert_eq!((entry.held(out - 1), entry.used(MINUTE, out - 1)), (100, 0));
    assert_eq!((entry.held(out), entry.used(MINUTE, out)), (0, 100));
    assert_eq!(entry.check(2, exactly(1, 100), MINUTE, out), Err(Short { retry_after: Some(61) }));
    assert_eq!(entry.ends(MINUTE), out + 61);

    let mut back = entry.clone();
    back.report(1, &[(NOW + 1, 30)], 50, MINUTE, out + 1);
    assert_eq!((back.held(out + 1), back.used(MINUTE, out + 1)), (20, 30), "counted once");

    assert_eq!(entry.grant(2, exactly(100, 100), MINUTE, out + 61), Ok(100));
    assert_eq!(entry.lease(1), 0);
}

#[test]
fn what_was_spent_beyond_the_lease_counts_and_stops_grants_until_it_has_left() {
    let mut entry = Entry::default();
    entry.grant(1, exactly(10, 100), MINUTE, NOW).unwrap();
    entry.report(1, &[(NOW, 500)], 0, MINUTE, NOW);
    assert_eq!((entry.used(MINUTE, NOW), entry.held(NOW)), (500, 0));
    assert_eq!(entry.check(2, exactly(1, 100), MINUTE, NOW), Err(Short { retry_after: Some(61) }));
    assert!(entry.check(2, exactly(1, 100), MINUTE, NOW + 61).is_ok());
}

#[test]
fn a_worker_whose_clock_is_behind_spends_no_earlier_than_it_was_heard_of() {
    let mut entry = Entry::default();
    entry.grant(1, exactly(100, 100), MINUTE, NOW).unwrap();
    entry.report(1, &[(NOW - 1000, 50), (NOW + 1000, 50)], 0, MINUTE, NOW + 2);
    assert_eq!(entry.used(MINUTE, NOW + 2), 100);
    assert_eq!(entry.used(MINUTE, NOW + 61), 50);
    assert_eq!(entry.used(MINUTE, NOW + 63), 0);
}

#[test]
fn a_clock_that_was_set_back_by_much_is_believed_and_nothing_is_forgotten() {
    let mut entry = Entry::default();
    entry.record(NOW, 50, MINUTE, NOW);
    entry.record(NOW - 3, 30, MINUTE, NOW);
    entry.grant(1, exactly(10, 100), MINUTE, NOW).unwrap();
    let back = NOW - 100_000;
    assert!(entry.check(2, exactly(11, 100), MINUTE, back).unwrap_err().retry_after.is_some());
    entry.record(back, 0, MINUTE, back);
    assert_eq!((entry.used(MINUTE, back), entry.held(back)), (80, 10));
    assert_eq!(entry.used(MINUTE, back + 61), 10, "the lease");
    assert_eq!(Entry::from_bytes(&entry.to_bytes()), Some(entry));
}

#[test]
fn a_narrower_window_after_a_change_of_configuration_keeps_its_bounds() {
    let mut entry = Entry::default();
    for n in 0..60 {
        entry.record(NOW + n * 1000, 1, Window::Sliding(60_000), NOW + 60_000);
    }
    for n in 0..60 {
        entry.record(NOW + 60_000 + n, 1, Window::Sliding(61_000), NOW + 60_060);
    }
    assert!(entry.used.len() <= MAX_SLOTS);
    assert!(Entry::from_bytes(&entry.to_bytes()).is_some());
}

#[test]
fn a_crowd_of_workers_is_bounded() {
    let mut entry = Entry::default();
    for worker in 0..MAX_LEASES as u64 {
        entry.grant(worker, exactly(1, 1_000_000), MINUTE, NOW).unwrap();
    }
    let one = exactly(1, 1_000_000);
    assert_eq!(entry.grant(u64::MAX, one, MINUTE, NOW), Err(Short { retry_after: Some(1) }));
    assert!(entry.grant(0, one, MINUTE, NOW).is_ok());
    assert_eq!(Entry::from_bytes(&entry.to_bytes()), Some(entry));
}

#[test]
fn no_number_overflows() {
    let mut entry = Entry::default();
    for window in [MINUTE, Window::Month] {
        for now in [0, NOW, u64::MAX] {
            entry.report(1, &[(u64::MAX, u64::MAX), (0, u64::MAX)], u64::MAX, window, now);
            let _ = entry.grant(2, wish(u64::MAX, u64::MAX, u64::MAX), window, now);
            let _ = entry.grant(3, wish(u64::MAX, 0, u64::MAX), window, now);
            let _ = (entry.used(window, now), entry.held(now), entry.reset(window, now), entry.ends(window));
        }
    }
}

/// What can happen at a home and around it.
#[derive(Clone, Debug)]
enum Event {
    /// The clock goes on, or stands still.
    Wait(u64),
    /// The clock is set back a little.
    Back(u64),
    Grant {
        worker: usize,
        need: u64,
        want: u64,
    },
    /// In the worker's memory; the home hears of it later or never.
    Spend {
        worker: usize,
        share: u64,
    },
    Report {
        worker: usize,
        give_back_share: u64,
    },
    Die {
        worker: usize,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let worker = 0..4_usize;
    prop_oneof![
        4 => (0..20_u64).prop_map(Event::Wait),
        1 => (55..70_u64).prop_map(Event::Wait),
        1 => (0..5_u64).prop_map(Event::Back),
        6 => (worker.clone(), 0..=1100_u64, 0..=200_u64)
            .prop_map(|(worker, need, more)| Event::Grant { worker, need: need % 300, want: need % 300 + more }),
        6 => (worker.clone(), 1..=4_u64).prop_map(|(worker, share)| Event::Spend { worker, share }),
        4 => (worker.clone(), 0..=4_u64)
            .prop_map(|(worker, give_back_share)| Event::Report { worker, give_back_share }),
        1 => worker.prop_map(|worker| Event::Die { worker }),
    ]
}

/// A worker as it is in truth.
#[derive(Default)]
struct Worker {
    number: u64,
    lease: u64,
    unreported: Vec<(u64, u64)>,
    renewed: u64,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_window_ever_holds_more_than_the_limit(
        events in prop::collection::vec(event(), 1..120),
        limit in 1..1000_u64,
        seconds in prop_oneof![Just(1_u32), Just(7), Just(60), Just(90), Just(600)],
    ) {
        let window = Window::Sliding(seconds);
        let mut entry = Entry::default();
        let mut workers: Vec<Worker> =
            (0..4).map(|number| Worker { number, ..Worker::default() }).collect();
        let mut clock = NOW;
        // The latest that any clock has shown; spending is stamped with it.
        let mut time = NOW;
        let mut spendings: Vec<(u64, u64)> = Vec::new();
        let mut next = 4;
        for event in events {
            match event {
                Event::Wait(wait) => clock += wait,
                Event::Back(step) => {
                    // The home has seen the later time, or it could not know.
                    entry.record(clock, 0, window, clock);
                    clock -= step;
                }
                Event::Grant { worker, need, want } => {
                    let worker = &mut workers[worker];
                    // A worker says first what it has spent.
                    entry.report(worker.number, &worker.unreported, 0, window, clock);
                    worker.unreported.clear();
                    worker.lease = entry.lease(worker.number);
                    if let Ok(granted) = entry.grant(worker.number, wish(need, want, limit), window, clock) {
                        prop_assert!(granted >= need && granted <= want.max(need));
                        worker.lease += granted;
                    }
                    worker.renewed = time.max(clock);
                }
                Event::Spend { worker, share } => {
                    let worker = &mut workers[worker];
                    let spend = worker.lease * share / 4;
                    if spend > 0 && time < worker.renewed + LEASE_SECONDS {
                        worker.lease -= spend;
                        worker.unreported.push((time, spend));
                        spendings.push((time, spend));
                    }
                }
                Event::Report { worker, give_back_share } => {
                    let worker = &mut workers[worker];
                    let give_back = worker.lease * give_back_share / 4;
                    entry.report(worker.number, &worker.unreported, give_back, window, clock);
                    worker.unreported.clear();
                    worker.lease = entry.lease(worker.number);
                    worker.renewed = time.max(clock);
                }
                Event::Die { worker } => {
                    workers[worker] = Worker { number: next, ..Worker::default() };
                    next += 1;
                }
            }
            time = time.max(clock);
            let read = Entry::from_bytes(&entry.to_bytes());
            prop_assert_eq!(read.as_ref(), Some(&entry));
            prop_assert!(entry.used(window, clock) + entry.held(clock) <= limit);
            // In truth: what was spent in the last seconds, and what live workers may still spend.
            let spent: u64 =
                spendings.iter().filter(|(at, _)| at + u64::from(seconds) >= time).map(|(_, n)| n).sum();
            let may: u64 = workers
                .iter()
                .filter(|worker| time < worker.renewed + LEASE_SECONDS)
                .map(|worker| worker.lease)
                .sum();
            prop_assert!(spent + may <= limit, "{spent} + {may} > {limit}");
        }
    }

    #[test]
    fn the_wait_that_is_told_is_exact_where_nothing_is_leased(
        used in prop::collection::vec((0..200_u64, 1..100_u64), 0..80),
        need in 1..500_u64,
        window in prop_oneof![Just(MINUTE), Just(Window::Sliding(150)), Just(Window::Day), Just(Window::Month)],
    ) {
        let mut entry = Entry::default();
        for (ago, tokens) in used {
            entry.record(NOW - ago, tokens, window, NOW);
        }
        match entry.check(1, exactly(need, 400), window, NOW) {
            Ok(()) => {}
            Err(Short { retry_after: None }) => prop_assert!(need > 400),
            Err(Short { retry_after: Some(wait) }) => {
                prop_assert!(wait >= 1);
                prop_assert!(entry.check(1, exactly(need, 400), window, NOW + wait).is_ok());
                prop_assert!(entry.check(1, exactly(need, 400), window, NOW + wait - 1).is_err());
            }
        }
    }

    #[test]
    fn hostile_bytes_are_no_entry_or_one_that_can_be_used(bytes: Vec<u8>, now: u64, mut tail: Vec<u8>) {
        tail.insert(0, 1);
        for bytes in [bytes, tail] {
            if let Some(mut entry) = Entry::from_bytes(&bytes) {
                entry.report(1, &[(now, 5)], 1, MINUTE, now);
                let _ = entry.grant(1, wish(1, 10, 100), MINUTE, now);
                let _ = (entry.reset(MINUTE, now), entry.ends(Window::Month));
                let again = Entry::from_bytes(&entry.to_bytes());
                prop_assert_eq!(again, Some(entry));
            }
        }
    }
}
