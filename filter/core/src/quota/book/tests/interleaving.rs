use proptest::prelude::*;

use super::*;

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
    /// On their way to control, and of which worker.
    under_way: Vec<(usize, Operation)>,
    /// For whom a worker has asked.
    asked_for: BTreeMap<(usize, u64), usize>,
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
            asked_for: BTreeMap::new(),
            spent: Vec::new(),
            now: at(0.0),
            born: 3,
        };
        let mut deaths = 0;
        for event in events {
            let World { books, shared, control, holds, under_way, asked_for, spent, now, born } = &mut world;
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
                                under_way.push((worker, operation));
                            }
                        }
                    }
                }
                Event::Reserve { worker, user, tokens } => {
                    let needs = [need(&minute, users[user]), need(&day, users[user])];
                    match books[worker].reserve(&needs, tokens, *now, shared) {
                        Taken::Granted(hold) => holds.push((worker, user, hold)),
                        Taken::Ask(operation) => {
                            asked_for.insert((worker, operation.id), user);
                            under_way.push((worker, operation));
                        }
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
                        asked_for.insert((*worker, operation.id), *user);
                        under_way.push((*worker, operation));
                    }
                }
                Event::Tick { worker } => {
                    for operation in books[worker].tick(*now, shared) {
                        under_way.push((worker, operation));
                    }
                }
                Event::Arrive { which, answer } if which < under_way.len() => {
                    let (worker, operation) = under_way.swap_remove(which);
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
                        holds.push((worker, asked_for[&(worker, operation.id)], hold));
                    }
                }
                Event::Lose { which } if which < under_way.len() => {
                    let (worker, operation) = under_way.swap_remove(which);
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
            let actual = hold.tokens();
            spent.push((user, now.seconds(), actual));
            books[worker].settle(hold, actual, now);
        }
        for (_, operation) in under_way {
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
