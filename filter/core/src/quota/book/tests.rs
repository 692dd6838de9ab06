use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::quota::bucket;
use crate::quota::entry::Entry;
use crate::quota::wire::Request;
use crate::quota::{LEASE_SECONDS, Window};

const START: u64 = 1_700_000_000;

fn at(seconds: f64) -> UnixMillis {
    UnixMillis(START * 1000 + (seconds * 1000.0) as u64)
}

/// What the workers of an Envoy share, in the bytes that it really is.
#[derive(Default)]
struct Shared {
    bucket: RefCell<Vec<u8>>,
    writes: Cell<usize>,
    is_gone: Cell<bool>,
}

impl SharedWindows for Shared {
    fn update(&self, key: Key, window: Window, now: u64, change: &mut dyn FnMut(&mut Entry)) -> bool {
        self.writes.set(self.writes.get() + 1);
        let mut bucket = self.bucket.borrow_mut();
        // A first try that somebody else was faster than.
        change(&mut bucket::find(&bucket, key));
        let mut entry = bucket::find(&bucket, key);
        change(&mut entry);
        if self.is_gone.get() {
            return false;
        }
        match bucket::put(&bucket, key, &entry, window, now) {
            Some(bytes) => *bucket = bytes,
            None => return false,
        }
        true
    }
}

impl Shared {
    fn entry(&self, key: Key) -> Entry {
        bucket::find(&self.bucket.borrow(), key)
    }
}

/// Many accounts, without a bucket's bound.
#[derive(Default)]
struct Wide(RefCell<BTreeMap<Key, Entry>>);

impl SharedWindows for Wide {
    fn update(&self, key: Key, _: Window, _: u64, change: &mut dyn FnMut(&mut Entry)) -> bool {
        change(self.0.borrow_mut().entry(key).or_default());
        true
    }
}

/// Control, as it keeps entries and remembers ids.
#[derive(Default)]
struct Control {
    entries: BTreeMap<Key, Entry>,
    answers: BTreeMap<Box<str>, Answer>,
}

impl Control {
    fn ask(&mut self, body: &[u8], now: UnixMillis) -> Answer {
        let request = Request::parse(body).unwrap();
        if let Some(answer) = self.answers.get(&request.id) {
            return answer.clone();
        }
        let mut entries: Vec<Entry> = request
            .accounts
            .iter()
            .map(|account| self.entries.get(&account.key).cloned().unwrap_or_default())
            .collect();
        let answer = home::apply(&mut entries, &request.accounts, request.worker_number(), now.seconds());
        for (account, entry) in request.accounts.iter().zip(entries) {
            self.entries.insert(account.key, Entry::from_bytes(&entry.to_bytes()).unwrap());
        }
        let answer = Answer::parse(&answer.to_json(), request.accounts.len()).unwrap();
        self.answers.insert(request.id, answer.clone());
        answer
    }

    /// Does and answers all of a book's operations.
    fn serve(&mut self, book: &mut Book, operations: Vec<Operation>, now: UnixMillis) {
        for operation in operations {
            let answer = self.ask(&operation.body, now);
            assert!(matches!(book.answered(operation.id, &answer, now), Answered::Done));
        }
    }
}

fn limit(name: &str, tokens: u64, home: Home) -> Limit {
    Limit { name: name.into(), tokens, window: Window::Sliding(60), home }
}

fn need<'a>(limit: &'a Limit, who: &str) -> Need<'a> {
    Need { key: Key::of(&limit.name, who), limit }
}

fn held(taken: Taken) -> Hold {
    match taken {
        Taken::Granted(hold) => hold,
        other => panic!("{other:?}"),
    }
}

fn refused(taken: Taken) -> Refused {
    match taken {
        Taken::Refused(refused) => refused,
        other => panic!("{other:?}"),
    }
}

fn asked(taken: Taken) -> Operation {
    match taken {
        Taken::Ask(operation) => operation,
        other => panic!("{other:?}"),
    }
}

/// Reserves, asking control where that must be.
fn reserve(
    book: &mut Book,
    needs: &[Need<'_>],
    tokens: u64,
    now: UnixMillis,
    shared: &dyn SharedWindows,
    control: &mut Control,
) -> Answered {
    match book.reserve(needs, tokens, now, shared) {
        Taken::Granted(hold) => Answered::Granted(hold),
        Taken::Refused(refused) => Answered::Refused(refused),
        Taken::Unavailable => Answered::Unavailable,
        Taken::Ask(operation) => {
            let answer = control.ask(&operation.body, now);
            book.answered(operation.id, &answer, now)
        }
    }
}

#[test]
fn a_lease_that_has_enough_asks_nobody() {
    let (shared, limit) = (Shared::default(), limit("minute", 160_000, Home::Shared));
    let mut book = Book::new("a-0", false);
    let needs = [need(&limit, "alice")];
    for n in 0..100 {
        let hold = held(book.reserve(&needs, 100, at(0.0), &shared));
        assert_eq!((hold.tokens(), book.holds()), (100, 1), "{n}");
        book.settle(hold, 50, at(0.0));
    }
    assert_eq!(shared.writes.get(), 1);
    assert!(book.tick(at(0.9), &shared).is_empty());
    assert_eq!(shared.writes.get(), 1);
    book.tick(at(1.0), &shared);
    let entry = shared.entry(needs[0].key);
    assert_eq!((entry.used(limit.window, START + 1), entry.held(START + 1)), (5000, 0));
    assert_eq!((shared.writes.get(), book.holds()), (2, 0));
    book.tick(at(2.0), &shared);
    assert_eq!(shared.writes.get(), 2, "nothing is left to look after");
}

#[test]
fn sixty_four_parallel_requests_against_a_limit_for_ten_never_get_an_eleventh() {
    for home in [Home::Shared, Home::Control] {
        for (workers, size) in [(1, 100), (4, 100), (1, 7), (4, 7), (4, 1000)] {
            let (shared, mut control) = (Shared::default(), Control::default());
            let limit = limit("minute", size * 10, home);
            let needs = [need(&limit, "alice")];
            let mut books: Vec<Book> = (0..workers).map(|n| Book::new(&format!("a-{n}"), false)).collect();
            let mut holds = Vec::new();
            let mut waiting = Vec::new();
            for n in 0..64 {
                let worker = n % workers;
                match books[worker].reserve(&needs, size, at(0.0), &shared) {
                    Taken::Granted(hold) => holds.push((worker, hold)),
                    Taken::Refused(refused) => {
                        assert_eq!(refused.retry_after, Some(1));
                        assert!(refused.view.remaining < size, "{:?}", refused.view);
                    }
                    Taken::Ask(operation) => waiting.push((worker, operation)),
                    Taken::Unavailable => panic!(),
                }
            }
            // All of them are under way at once, and arrive in another order.
            for (worker, operation) in waiting.into_iter().rev() {
                let answer = control.ask(&operation.body, at(0.1));
                match books[worker].answered(operation.id, &answer, at(0.1)) {
                    Answered::Granted(hold) => holds.push((worker, hold)),
                    Answered::Refused(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            assert!(holds.len() <= 10, "{home:?} {workers} workers: {}", holds.len());
            if workers == 1 || size > 7 {
                assert_eq!(holds.len(), 10, "{home:?} {workers} workers");
            }
            let admitted = holds.len() as u64;
            for (worker, hold) in holds {
                books[worker].settle(hold, size, at(5.0));
            }
            for book in &mut books {
                let operations = book.tick(at(6.5), &shared);
                control.serve(book, operations, at(6.5));
            }
            let entry = match home {
                Home::Shared => shared.entry(needs[0].key),
                Home::Control => control.entries[&needs[0].key].clone(),
            };
            let now = START + 7;
            assert_eq!((entry.used(limit.window, now), entry.held(now)), (admitted * size, 0));
        }
    }
}

#[test]
fn what_is_idle_for_a_second_is_there_for_another_worker() {
    for home in [Home::Shared, Home::Control] {
        let (shared, mut control) = (Shared::default(), Control::default());
        let limit = limit("minute", 1600, home);
        let needs = [need(&limit, "alice")];
        let (mut one, mut other) = (Book::new("a-0", false), Book::new("a-1", false));
        let Answered::Granted(hold) = reserve(&mut one, &needs, 10, at(0.0), &shared, &mut control) else {
            panic!()
        };
        one.settle(hold, 10, at(0.0));
        let taken = reserve(&mut other, &needs, 1590, at(0.5), &shared, &mut control);
        let Answered::Refused(refused) = taken else { panic!("{taken:?}") };
        assert_eq!(refused.retry_after, Some(1));
        let operations = one.tick(at(1.0), &shared);
        control.serve(&mut one, operations, at(1.0));
        let taken = reserve(&mut other, &needs, 1590, at(1.5), &shared, &mut control);
        assert!(matches!(taken, Answered::Granted(_)), "{taken:?}");
        let taken = reserve(&mut one, &needs, 1, at(1.5), &shared, &mut control);
        assert!(matches!(taken, Answered::Refused(_)), "{taken:?}");
    }
}

#[test]
fn what_idles_beyond_a_sixteenth_goes_back_at_once() {
    let (shared, limit) = (Shared::default(), limit("minute", 1600, Home::Shared));
    let mut book = Book::new("a-0", false);
    let needs = [need(&limit, "alice")];
    let hold = held(book.reserve(&needs, 1000, at(0.0), &shared));
    book.settle(hold, 1, at(0.1));
    book.tick(at(0.2), &shared);
    assert_eq!(shared.entry(needs[0].key).held(START), 100);
}

#[test]
fn several_limits_get_all_or_nothing() {
    let (shared, mut control) = (Shared::default(), Control::default());
    let minute = limit("minute", 1000, Home::Shared);
    let (day, month) = (limit("day", 500, Home::Control), limit("month", 300, Home::Control));
    let needs = [need(&minute, "alice"), need(&day, "alice"), need(&month, "alice")];
    let mut book = Book::new("a-0", false);
    let never = refused(book.reserve(&needs, 301, at(0.0), &shared));
    assert_eq!((never.key, never.retry_after), (needs[2].key, None), "and control is not asked");
    assert_eq!((shared.writes.get(), book.unanswered()), (0, 0));

    let taken = reserve(&mut book, &needs, 200, at(0.0), &shared, &mut control);
    let Answered::Granted(first) = taken else { panic!("{taken:?}") };
    let taken = reserve(&mut book, &needs, 150, at(0.0), &shared, &mut control);
    let Answered::Refused(refused) = taken else { panic!("{taken:?}") };
    assert_eq!(refused.key, needs[2].key);
    assert_eq!(book.view(&needs, at(0.0)).iter().map(|view| view.held).collect::<Vec<_>>(), [200; 3]);
    book.settle(first, 120, at(0.2));
    let operations = book.close(at(0.3), &shared);
    control.serve(&mut book, operations, at(0.3));
    assert_eq!(shared.entry(needs[0].key).used(minute.window, START + 1), 120);
    for need in &needs[1..] {
        let entry = &control.entries[&need.key];
        assert_eq!((entry.used(need.limit.window, START + 1), entry.held(START + 1)), (120, 0));
    }
    assert!(book.close(at(0.4), &shared).is_empty());
}

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
    assert_eq!(again, [operation.clone()], "the same text under the same id");
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
fn a_hold_grows_while_budget_lasts() {
    for home in [Home::Shared, Home::Control] {
        let (shared, mut control) = (Shared::default(), Control::default());
        let limit = limit("minute", 1000, home);
        let needs = [need(&limit, "alice")];
        let mut book = Book::new("a-0", false);
        let Answered::Granted(mut hold) = reserve(&mut book, &needs, 400, at(0.0), &shared, &mut control)
        else {
            panic!()
        };
        let mut grown = 0;
        loop {
            match book.grow(&mut hold, 250, at(0.1), &shared) {
                Grown::Granted => {}
                Grown::Refused(refused) => {
                    assert_eq!(refused.retry_after, Some(1));
                    break;
                }
                Grown::Ask(operation) => {
                    let answer = control.ask(&operation.body, at(0.1));
                    match book.answered(operation.id, &answer, at(0.1)) {
                        Answered::Granted(more) => book.join(&mut hold, more),
                        Answered::Refused(_) => break,
                        other => panic!("{other:?}"),
                    }
                }
                Grown::Unavailable => panic!(),
            }
            grown += 1;
        }
        assert_eq!((grown, hold.tokens(), book.holds()), (2, 900, 1), "{home:?}");
        book.settle(hold, 700, at(0.2));
        assert_eq!((book.holds(), book.view(&needs, at(0.2))[0].used), (0, 700));
    }
}

#[test]
fn strictly_every_request_asks_and_nothing_stays() {
    for home in [Home::Shared, Home::Control] {
        let (shared, mut control) = (Shared::default(), Control::default());
        let limit = limit("minute", 16_000, home);
        let needs = [need(&limit, "alice")];
        let mut book = Book::new("a-0", true);
        for n in 1..=3 {
            let Answered::Granted(hold) = reserve(&mut book, &needs, 100, at(0.0), &shared, &mut control)
            else {
                panic!()
            };
            let entry = |control: &Control| match home {
                Home::Shared => shared.entry(needs[0].key),
                Home::Control => control.entries[&needs[0].key].clone(),
            };
            assert_eq!(entry(&control).held(START), 100);
            book.settle(hold, 30, at(0.1));
            let operations = book.tick(at(0.1), &shared);
            control.serve(&mut book, operations, at(0.1));
            let entry = entry(&control);
            assert_eq!((entry.held(START), entry.used(limit.window, START)), (0, 30 * n));
        }
    }
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
fn an_engine_that_overshoots_is_charged_and_nobody_gets_more_until_it_has_left() {
    let (shared, limit) = (Shared::default(), limit("minute", 100, Home::Shared));
    let needs = [need(&limit, "alice")];
    let mut book = Book::new("a-0", false);
    let hold = held(book.reserve(&needs, 50, at(0.0), &shared));
    book.settle(hold, 500, at(0.0));
    assert_eq!(
        book.view(&needs, at(0.0))[0],
        View { limit: 100, used: 500, held: 0, remaining: 0, reset: 61 }
    );
    book.tick(at(0.1), &shared);
    assert_eq!(shared.entry(needs[0].key).used(limit.window, START), 500, "told at once");
    assert_eq!(refused(book.reserve(&needs, 1, at(0.5), &shared)).retry_after, Some(61));
    let _hold = held(book.reserve(&needs, 100, at(61.0), &shared));
}

#[test]
fn the_view_says_how_accounts_stand() {
    let (shared, mut control) = (Shared::default(), Control::default());
    let (minute, day) = (limit("minute", 1600, Home::Shared), limit("day", 3200, Home::Control));
    let needs = [need(&minute, "alice"), need(&day, "alice")];
    let (mut one, mut other) = (Book::new("a-0", false), Book::new("a-1", false));
    assert_eq!(one.free_bound(&needs, at(0.0)), 0, "nothing is known");
    assert_eq!(one.view(&needs, at(0.0))[1].remaining, 3200);
    let Answered::Granted(_) = reserve(&mut other, &needs, 500, at(0.0), &shared, &mut control) else {
        panic!()
    };
    let Answered::Granted(hold) = reserve(&mut one, &needs, 10, at(0.0), &shared, &mut control) else {
        panic!()
    };
    one.settle(hold, 5, at(0.0));
    let Refreshed::Ask(operation) = one.refresh(&needs, at(1.0), &shared) else { panic!() };
    let answer = control.ask(&operation.body, at(1.0));
    assert!(matches!(one.answered(operation.id, &answer, at(1.0)), Answered::Done));
    let views = one.view(&needs, at(2.0));
    assert_eq!(views[0], View { limit: 1600, used: 5, held: 500, remaining: 1095, reset: 59 });
    assert_eq!(views[1], View { limit: 3200, used: 5, held: 500, remaining: 2695, reset: 59 });
    assert_eq!(one.free_bound(&needs, at(2.0)), 1095);
    assert_eq!(one.view(&needs, at(61.0))[0].used, 0, "it has left");
    assert!(matches!(one.refresh(&needs[..1], at(61.0), &shared), Refreshed::Now));
}

#[test]
fn the_table_is_bounded_and_makes_room_from_what_idles() {
    let wide = Wide::default();
    let limit = limit("minute", 1_000_000, Home::Shared);
    let mut book = Book::new("a-0", false);
    for n in 0..MAX_ACCOUNTS * 2 {
        let hold = held(book.reserve(&[need(&limit, &n.to_string())], 10, at(0.0), &wide));
        book.settle(hold, 1, at(0.0));
    }
    assert!(book.accounts.len() <= MAX_ACCOUNTS);
    for _ in 0..MAX_ACCOUNTS {
        book.close(at(0.5), &wide);
        if book.accounts.listed_len() == 0 {
            break;
        }
    }
    let all = wide.0.borrow();
    assert_eq!(all.len(), MAX_ACCOUNTS * 2);
    assert!(all.values().all(|entry| entry.used(limit.window, START) == 1 && entry.held(START) == 0));
}

#[test]
fn a_table_in_which_everything_is_held_takes_no_more() {
    let wide = Wide::default();
    let limit = limit("minute", 1_000_000, Home::Shared);
    let mut book = Book::new("a-0", false);
    let mut holds: Vec<Hold> = (0..MAX_ACCOUNTS)
        // A hold of nothing is one, too: what comes of it is charged to whom it was for.
        .map(|n| held(book.reserve(&[need(&limit, &n.to_string())], n as u64 % 2, at(0.0), &wide)))
        .collect();
    let needs = [need(&limit, "one more")];
    assert!(matches!(book.reserve(&needs, 10, at(5.0), &wide), Taken::Unavailable));
    book.settle(holds.pop().unwrap(), 7, at(5.0));
    let _hold = held(book.reserve(&needs, 10, at(5.0), &wide));
    let last = Key::of("minute", &(MAX_ACCOUNTS - 1).to_string());
    assert_eq!(wide.0.borrow()[&last].used(limit.window, START + 5), 7);
    assert_eq!(book.holds(), MAX_ACCOUNTS);
}

#[test]
fn one_limit_that_is_named_twice_counts_once_and_too_many_are_not_to_be_had() {
    let (shared, limit) = (Shared::default(), limit("minute", 1000, Home::Shared));
    let needs = [need(&limit, "alice"); MAX_LIMITS + 1];
    let mut book = Book::new("a-0", false);
    let _hold = held(book.reserve(&needs[..2], 1000, at(0.0), &shared));
    assert!(matches!(book.reserve(&needs, 1, at(0.0), &shared), Taken::Unavailable));
    let _free = held(book.reserve(&[], 1_000_000, at(0.0), &shared));
}

#[derive(Clone, Debug)]
enum Event {
    Wait(u64),
    Reserve {
        worker: usize,
        user: usize,
        tokens: u64,
    },
    Settle {
        which: usize,
        part: u64,
    },
    Grow {
        which: usize,
        by: u64,
    },
    Tick {
        worker: usize,
    },
    /// One of the operations under way arrives; its answer may get lost.
    Arrive {
        which: usize,
        answer: bool,
    },
    /// One of them is lost.
    Lose {
        which: usize,
    },
    Die {
        worker: usize,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let worker = 0..3_usize;
    prop_oneof![
        3 => (0..1500_u64).prop_map(Event::Wait),
        1 => (20_000..70_000_u64).prop_map(Event::Wait),
        8 => (worker.clone(), 0..2_usize, 0..400_u64)
            .prop_map(|(worker, user, tokens)| Event::Reserve { worker, user, tokens }),
        6 => (0..8_usize, 0..=4_u64).prop_map(|(which, part)| Event::Settle { which, part }),
        2 => (0..8_usize, 1..200_u64).prop_map(|(which, by)| Event::Grow { which, by }),
        6 => worker.clone().prop_map(|worker| Event::Tick { worker }),
        8 => (0..6_usize, prop::bool::weighted(0.8))
            .prop_map(|(which, answer)| Event::Arrive { which, answer }),
        1 => (0..6_usize).prop_map(|which| Event::Lose { which }),
        1 => worker.prop_map(|worker| Event::Die { worker }),
    ]
}

struct World {
    books: Vec<Book>,
    shared: Wide,
    control: Control,
    holds: Vec<(usize, usize, Hold)>,
    /// On their way to control: of which worker, for whom, and for the growth of a hold or a new one.
    under_way: Vec<(usize, usize, Operation)>,
    spent: Vec<(usize, u64, u64)>,
    now: UnixMillis,
    born: usize,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Several workers, both homes, answers that come late, in another order, or never, workers that die.
    #[test]
    fn no_interleaving_lets_more_through_than_the_limit(
        events in prop::collection::vec(event(), 1..150),
        minute in 100..2000_u64,
        day in 100..3000_u64,
        is_strict in prop::bool::weighted(0.2),
    ) {
        let minute = limit("minute", minute, Home::Shared);
        let day = Limit { window: Window::Sliding(600), ..limit("day", day, Home::Control) };
        let users = ["alice", "bob"];
        let mut world = World {
            books: (0..3).map(|n| Book::new(&format!("a-{n}"), is_strict)).collect(),
            shared: Wide::default(),
            control: Control::default(),
            holds: Vec::new(),
            under_way: Vec::new(),
            spent: Vec::new(),
            now: at(0.0),
            born: 3,
        };
        let mut deaths = 0;
        for event in events {
            let World { books, shared, control, holds, under_way, spent, now, born } = &mut world;
            match event {
                Event::Wait(wait) => {
                    // Workers tick meanwhile, but hear nothing of control.
                    let mut rest = wait;
                    while rest > 0 {
                        let step = rest.min(10_000);
                        rest -= step;
                        *now = UnixMillis(now.0 + step);
                        if step < 10_000 { continue; }
                        for (worker, book) in books.iter_mut().enumerate() {
                            for operation in book.tick(*now, shared) {
                                under_way.push((worker, 9, operation));
                            }
                        }
                    }
                }
                Event::Reserve { worker, user, tokens } => {
                    let needs = [need(&minute, users[user]), need(&day, users[user])];
                    match books[worker].reserve(&needs, tokens, *now, shared) {
                        Taken::Granted(hold) => holds.push((worker, user, hold)),
                        Taken::Ask(operation) => under_way.push((worker, user, operation)),
                        Taken::Refused(_) | Taken::Unavailable => {}
                    }
                }
                Event::Settle { which, part } if which < holds.len() => {
                    let (worker, user, hold) = holds.swap_remove(which);
                    let actual = hold.tokens() * part / 4;
                    spent.push((user, now.seconds(), actual));
                    books[worker].settle(hold, actual, *now);
                }
                Event::Grow { which, by } if which < holds.len() => {
                    let (worker, user, hold) = &mut holds[which];
                    if let Grown::Ask(operation) = books[*worker].grow(hold, by, *now, shared) {
                        under_way.push((*worker, *user, operation));
                    }
                }
                Event::Tick { worker } => {
                    for operation in books[worker].tick(*now, shared) {
                        under_way.push((worker, 9, operation));
                    }
                }
                Event::Arrive { which, answer } if which < under_way.len() => {
                    let (worker, user, operation) = under_way.swap_remove(which);
                    let said = control.ask(&operation.body, *now);
                    if worker == 9 {
                        continue; // Its worker has died.
                    }
                    let answered = if answer {
                        books[worker].answered(operation.id, &said, *now)
                    } else {
                        books[worker].failed(operation.id, *now)
                    };
                    if let Answered::Granted(hold) = answered {
                        holds.push((worker, user, hold));
                    }
                }
                Event::Lose { which } if which < under_way.len() => {
                    let (worker, _, operation) = under_way.swap_remove(which);
                    if worker != 9 {
                        let _ = books[worker].failed(operation.id, *now);
                    }
                }
                Event::Die { worker } => {
                    books[worker] = Book::new(&format!("a-{born}"), is_strict);
                    *born += 1;
                    deaths += 1;
                    holds.retain(|hold| hold.0 != worker);
                    for operation in under_way.iter_mut().filter(|operation| operation.0 == worker) {
                        operation.0 = 9;
                    }
                }
                _ => {}
            }
            for (user, name) in users.iter().enumerate() {
                for (limit, window) in [(&minute, 60), (&day, 600)] {
                    let second = world.now.seconds();
                    let used: u64 = world.spent.iter()
                        .filter(|(who, at, _)| *who == user && at + window >= second)
                        .map(|(_, _, tokens)| tokens).sum();
                    let held: u64 =
                        world.holds.iter().filter(|hold| hold.1 == user).map(|hold| hold.2.tokens()).sum();
                    prop_assert!(used + held <= limit.tokens, "{}: {used} + {held} of {limit:?}", name);
                }
            }
        }
        // When all is over and everybody has been heard, homes know what was spent, and nothing is leased.
        let World { mut books, shared, mut control, holds, under_way, mut spent, now, .. } = world;
        for (worker, user, hold) in holds {
            spent.push((user, now.seconds(), hold.tokens()));
            books[worker].settle(hold, hold_tokens(&spent), now);
        }
        for (_, _, operation) in under_way {
            control.ask(&operation.body, now);
        }
        let end = UnixMillis(now.0 + 40_000);
        for round in 0..40 {
            let now = UnixMillis(now.0 + round * 1000);
            for book in &mut books {
                for operation in book.tick(now, &shared) {
                    let said = control.ask(&operation.body, now);
                    if let Answered::Granted(hold) = book.answered(operation.id, &said, now) {
                        book.settle(hold, 0, now);
                    }
                }
            }
        }
        for book in &books {
            prop_assert_eq!(book.holds(), 0);
            prop_assert_eq!(book.unanswered(), 0);
            prop_assert_eq!(book.accounts.listed_len(), 0);
        }
        if deaths == 0 {
            for (user, name) in users.iter().enumerate() {
                for (limit, window) in [(&minute, 60), (&day, 600)] {
                    let key = Key::of(&limit.name, name);
                    let entry = match limit.home {
                        Home::Shared => shared.0.borrow().get(&key).cloned(),
                        Home::Control => control.entries.get(&key).cloned(),
                    }.unwrap_or_default();
                    prop_assert_eq!(entry.held(end.seconds()), 0);
                    let used: u64 = spent.iter()
                        .filter(|(who, at, _)| *who == user && at + window >= end.seconds())
                        .map(|(_, _, tokens)| tokens).sum();
                    let all: u64 = spent.iter().filter(|(who, ..)| *who == user).map(|(_, _, n)| n).sum();
                    let known = entry.used(limit.window, end.seconds());
                    prop_assert!(used <= known && known <= all, "{name} {limit:?}: {used} {known} {all}");
                }
            }
        }
    }
}

#[test]
fn dbg() {
    let minute = limit("minute", 100, Home::Shared);
    let day = Limit { window: Window::Sliding(600), ..limit("day", 100, Home::Control) };
    let needs = [need(&minute, "alice"), need(&day, "alice")];
    let (shared, mut control) = (Wide::default(), Control::default());
    let mut book = Book::new("a-0", false);
    let mut ops = vec![
        asked(book.reserve(&needs, 0, at(0.0), &shared)),
        asked(book.reserve(&needs, 1, at(0.0), &shared)),
    ];
    for n in [10., 20., 30.] {
        ops.extend(book.tick(at(n), &shared));
        println!("{n} {:?}", shared.0.borrow());
    }
    for o in ops {
        control.ask(&o.body, at(30.));
    }
    for n in 30..70 {
        let n = f64::from(n);
        for operation in book.tick(at(n), &shared) {
            let said = control.ask(&operation.body, at(n));
            let a = book.answered(operation.id, &said, at(n));
            println!("{n} {a:?}");
            if let Answered::Granted(hold) = a {
                book.settle(hold, 0, at(n));
            }
        }
        println!("{n} {:?}", shared.0.borrow());
    }
}
fn hold_tokens(spent: &[(usize, u64, u64)]) -> u64 {
    spent.last().map_or(0, |(_, _, tokens)| *tokens)
}
