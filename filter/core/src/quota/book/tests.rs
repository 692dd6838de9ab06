mod away;
mod interleaving;
mod table;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use super::*;
use crate::quota::bucket;
use crate::quota::entry::Entry;
use crate::quota::wire::Request;
use crate::quota::{Key, LEASE_SECONDS, Limit, MAX_LIMITS, Window, home};

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
fn what_a_hold_does_not_need_others_may() {
    let (shared, limit) = (Shared::default(), limit("l", 1000, Home::Shared));
    let mut book = Book::new("a-1", false);
    let needs = [need(&limit, "alice")];
    let mut hold = held(book.reserve(&needs, 900, at(0.0), &shared));
    refused(book.reserve(&needs, 200, at(0.0), &shared));
    book.shrink(&mut hold, 500);
    assert_eq!(hold.tokens(), 400);
    let other = held(book.reserve(&needs, 200, at(0.0), &shared));
    // What goes beyond a sixteenth goes back, for other workers.
    assert!(book.tick(at(0.1), &shared).is_empty());
    let mut second = Book::new("b-2", false);
    let third = held(second.reserve(&needs, 300, at(0.1), &shared));
    // More than there is is all that there is.
    book.shrink(&mut hold, 5000);
    assert_eq!((hold.tokens(), book.holds()), (0, 2));
    book.settle(hold, 7, at(0.2));
    book.settle(other, 0, at(0.2));
    second.settle(third, 0, at(0.2));
    assert_eq!(book.view(&needs, at(0.2))[0].used, 7);
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
fn one_limit_that_is_named_twice_counts_once_and_too_many_are_not_to_be_had() {
    let (shared, limit) = (Shared::default(), limit("minute", 1000, Home::Shared));
    let needs = [need(&limit, "alice"); MAX_LIMITS + 1];
    let mut book = Book::new("a-0", false);
    let _hold = held(book.reserve(&needs[..2], 1000, at(0.0), &shared));
    assert!(matches!(book.reserve(&needs, 1, at(0.0), &shared), Taken::Unavailable));
    let _free = held(book.reserve(&[], 1_000_000, at(0.0), &shared));
}
