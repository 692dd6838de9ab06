use super::*;

#[test]
fn an_answer_that_was_lost_is_asked_for_again_and_counts_once() {
    let (shared, mut control) = (Shared::default(), Control::default());
    let month = limit("month", 1000, Home::Control);
    let needs = [need(&month, "alice")];
    let mut book = Book::new("a-0", false);
    let Answered::Granted(hold) = reserve(&mut book, &needs, 100, at(0.0), &shared, &mut control) else {
        panic!()
    };
    book.settle(hold, 70, at(0.1));
    // 30 are idle: 170 more are needed. The answer gets lost.
    let operation = asked(book.reserve(&needs, 200, at(0.2), &shared));
    let request = Request::parse(&operation.body).unwrap();
    assert_eq!((&*request.id, &*request.worker), ("a-0-2", "a-0"));
    assert_eq!((request.accounts[0].need, request.accounts[0].spent.clone()), (170, vec![(START, 70)]));
    control.ask(&operation.body, at(0.2));
    assert!(matches!(book.failed(operation.id, at(2.2)), Answered::Unavailable));
    assert_eq!(book.view(&needs, at(2.2))[0].held, 0, "the request does not wait for it");
    assert!(book.tick(at(2.3), &shared).is_empty(), "not at once");

    let again = book.tick(at(3.3), &shared);
    assert_eq!(again, std::slice::from_ref(&operation), "the same text under the same id");
    let answer = control.ask(&again[0].body, at(3.3));
    assert!(matches!(book.answered(operation.id, &answer, at(3.3)), Answered::Done));
    assert!(matches!(book.answered(operation.id, &answer, at(3.3)), Answered::Done), "a second time");
    let operations = book.tick(at(4.4), &shared);
    control.serve(&mut book, operations, at(4.4));
    let entry = &control.entries[&needs[0].key];
    assert_eq!((entry.used(month.window, START + 5), entry.held(START + 5)), (70, 0));
}

#[test]
fn an_answer_that_comes_in_time_is_a_hold_and_one_that_nobody_waits_for_is_not() {
    let (shared, mut control) = (Shared::default(), Control::default());
    let month = limit("month", 1000, Home::Control);
    let needs = [need(&month, "alice")];
    let mut book = Book::new("a-0", false);
    let operation = asked(book.reserve(&needs, 200, at(0.0), &shared));
    book.abandon(operation.id);
    let answer = control.ask(&operation.body, at(0.1));
    assert!(matches!(book.answered(operation.id, &answer, at(0.1)), Answered::Done));
    assert_eq!((book.holds(), book.unanswered()), (0, 0));
    // An answer about something else is none.
    let operation = asked(book.reserve(&needs, 900, at(0.2), &shared));
    let wrong = Answer::Granted { granted: vec![], left: vec![] };
    assert!(matches!(book.answered(operation.id, &wrong, at(0.3)), Answered::Unavailable));
    assert_eq!(book.unanswered(), 1);
}

#[test]
fn while_control_is_away_requests_do_not_wait_and_one_operation_tries() {
    let (shared, mut control) = (Shared::default(), Control::default());
    let month = limit("month", 100_000, Home::Control);
    let mut book = Book::new("a-0", false);
    for n in 0..5 {
        assert!(!book.is_control_down() || n >= 3);
        if n < 3 {
            let who = n.to_string();
            let operation = asked(book.reserve(&[need(&month, &who)], 10, at(0.0), &shared));
            book.failed(operation.id, at(2.0));
        }
    }
    assert!(book.is_control_down());
    let needs = [need(&month, "x")];
    assert!(matches!(book.reserve(&needs, 10, at(2.0), &shared), Taken::Unavailable));
    let mut tries = 0;
    let mut now = 2.0;
    while now < 8.0 {
        for operation in book.tick(at(now), &shared) {
            tries += 1;
            book.failed(operation.id, at(now));
        }
        now += 0.2;
    }
    assert!((3..=20).contains(&tries), "{tries}");
    // It is back: the one that tries finds out, and the others follow.
    let operations = book.tick(at(10.0), &shared);
    assert_eq!(operations.len(), 1);
    assert!(book.tick(at(10.0), &shared).is_empty(), "it is under way");
    control.serve(&mut book, operations, at(10.0));
    assert!(!book.is_control_down());
    for second in 11..15 {
        let operations = book.tick(at(f64::from(second)), &shared);
        control.serve(&mut book, operations, at(f64::from(second)));
    }
    assert_eq!(book.unanswered(), 0);
    assert!(control.entries.values().all(|entry| entry.held(START + 15) == 0), "all went back");
}

#[test]
fn where_shared_data_is_not_to_be_had_nothing_is_lost() {
    let (shared, limit) = (Shared::default(), limit("minute", 1000, Home::Shared));
    let needs = [need(&limit, "alice")];
    let mut book = Book::new("a-0", false);
    let hold = held(book.reserve(&needs, 100, at(0.0), &shared));
    book.settle(hold, 60, at(0.0));
    shared.is_gone.set(true);
    assert!(matches!(book.reserve(&needs, 500, at(0.1), &shared), Taken::Unavailable));
    book.tick(at(1.5), &shared);
    shared.is_gone.set(false);
    book.tick(at(2.0), &shared);
    let entry = shared.entry(needs[0].key);
    assert_eq!((entry.used(limit.window, START + 2), entry.held(START + 2)), (60, 0));
}

#[test]
fn a_long_hold_keeps_its_lease_and_a_dead_workers_counts_as_used() {
    let (shared, mut control) = (Shared::default(), Control::default());
    let (minute, day) = (limit("minute", 1000, Home::Shared), limit("day", 1000, Home::Control));
    let needs = [need(&minute, "alice"), need(&day, "alice")];
    let mut book = Book::new("a-0", false);
    let Answered::Granted(hold) = reserve(&mut book, &needs, 600, at(0.0), &shared, &mut control) else {
        panic!()
    };
    let mut now = 0.0;
    while now < 300.0 {
        let operations = book.tick(at(now), &shared);
        control.serve(&mut book, operations, at(now));
        now += 0.5;
    }
    assert!(shared.writes.get() < 40, "{}", shared.writes.get());
    assert_eq!(shared.entry(needs[0].key).held(START + 300), 600);
    assert_eq!(control.entries[&needs[1].key].held(START + 300), 600);
    drop(hold);
    drop(book);
    let gone = START + 300 + LEASE_SECONDS;
    for entry in [shared.entry(needs[0].key), control.entries[&needs[1].key].clone()] {
        assert_eq!((entry.held(gone), entry.used(minute.window, gone)), (0, 600));
    }
}

#[test]
fn a_worker_that_was_cut_off_spends_nothing_of_a_lease_that_ran_out() {
    let (shared, limit) = (Shared::default(), limit("minute", 16_000, Home::Shared));
    let needs = [need(&limit, "alice")];
    let mut book = Book::new("a-0", false);
    let hold = held(book.reserve(&needs, 10, at(0.0), &shared));
    book.settle(hold, 10, at(0.0));
    shared.is_gone.set(true);
    assert!(matches!(book.reserve(&needs, 10, at(59.9), &shared), Taken::Granted(_)));
    assert!(matches!(book.reserve(&needs, 10, at(60.0), &shared), Taken::Unavailable));
    shared.is_gone.set(false);
    assert!(matches!(book.reserve(&needs, 10, at(200.0), &shared), Taken::Granted(_)));
    let entry = shared.entry(needs[0].key);
    assert_eq!(entry.used(limit.window, START + 200), 0);
}

#[test]
fn answers_that_come_in_another_order_count_every_grant_once() {
    let month = limit("month", 1000, Home::Control);
    let needs = [need(&month, "alice")];
    for (first_applied, first_answered) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let (shared, mut control) = (Shared::default(), Control::default());
        let mut book = Book::new("a-0", false);
        let operations = [100, 200].map(|tokens| asked(book.reserve(&needs, tokens, at(0.0), &shared)));
        let apply = |control: &mut Control, which: usize| control.ask(&operations[which].body, at(0.1));
        apply(&mut control, first_applied);
        apply(&mut control, 1 - first_applied);
        let mut holds = Vec::new();
        for which in [first_answered, 1 - first_answered] {
            let answer = apply(&mut control, which);
            match book.answered(operations[which].id, &answer, at(0.2)) {
                Answered::Granted(hold) => holds.push(hold),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(control.entries[&needs[0].key].held(START), 300);
        // Nothing is left that control did not grant.
        let operation = asked(book.reserve(&needs, 1, at(0.3), &shared));
        assert_eq!(Request::parse(&operation.body).unwrap().accounts[0].need, 1);
        book.abandon(operation.id);
        for hold in holds {
            book.settle(hold, 0, at(0.4));
        }
        let answer = control.ask(&operation.body, at(0.5));
        let _ = book.answered(operation.id, &answer, at(0.5));
        let operations = book.close(at(0.6), &shared);
        control.serve(&mut book, operations, at(0.6));
        assert_eq!(control.entries[&needs[0].key].held(START + 1), 0);
    }
}
