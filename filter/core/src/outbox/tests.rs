use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Note {
    number: u64,
    bytes: usize,
}

impl Entry for Note {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

const START: UnixMillis = UnixMillis(1_700_000_000_000);

fn at(millis: u64) -> UnixMillis {
    UnixMillis(START.0 + millis)
}

fn note(number: u64, bytes: usize) -> Note {
    Note { number, bytes }
}

fn numbers(outbox: &Outbox<Note>, id: BatchId) -> Vec<u64> {
    outbox.entries(id).iter().map(|note| note.number).collect()
}

#[test]
fn entries_leave_together_every_200_ms() {
    let mut outbox = Outbox::new(1);
    assert_eq!(outbox.next_batch(START), None);
    outbox.push(note(1, 100), None).unwrap();
    let first = outbox.next_batch(START).unwrap();
    assert_eq!(numbers(&outbox, first), [1]);
    outbox.push(note(2, 100), None).unwrap();
    outbox.push(note(3, 100), None).unwrap();
    assert_eq!(outbox.next_batch(at(199)), None);
    let second = outbox.next_batch(at(200)).unwrap();
    assert_eq!(numbers(&outbox, second), [2, 3]);
    assert_eq!((outbox.acknowledged(first), outbox.acknowledged(first)), (1, 0));
    assert_eq!(outbox.acknowledged(second), 2);
    assert!(outbox.is_empty() && outbox.bytes() == 0);
}

#[test]
fn a_full_batch_leaves_at_once_and_holds_no_more_than_64_kib() {
    let mut outbox = Outbox::new(1);
    outbox.push(note(0, 1), None).unwrap();
    let first = outbox.next_batch(START).unwrap();
    outbox.acknowledged(first);
    for number in 0..20 {
        outbox.push(note(number, BATCH_BYTES / 8), None).unwrap();
    }
    let full = outbox.next_batch(at(1)).unwrap();
    assert_eq!(numbers(&outbox, full), (0..8).collect::<Vec<_>>());
    outbox.push(note(99, 3 * BATCH_BYTES), None).unwrap();
    let next = outbox.next_batch(at(1)).unwrap();
    assert_eq!(numbers(&outbox, next), (8..16).collect::<Vec<_>>());
    outbox.acknowledged(full);
    outbox.acknowledged(next);
    let rest = outbox.next_batch(at(1)).unwrap();
    assert_eq!(numbers(&outbox, rest), (16..20).collect::<Vec<_>>());
    let large = outbox.next_batch(at(1)).unwrap();
    assert_eq!(numbers(&outbox, large), [99], "larger than a batch: it goes alone");
}

#[test]
fn no_more_than_two_batches_are_on_their_way() {
    let mut outbox = Outbox::new(1);
    for number in 0..30 {
        outbox.push(note(number, BATCH_BYTES / 4), None).unwrap();
    }
    let one = outbox.next_batch(START).unwrap();
    outbox.next_batch(START).unwrap();
    assert_eq!(outbox.next_batch(at(10_000)), None);
    outbox.failed(one, at(10_000));
    assert_eq!(outbox.next_batch(at(10_000)), None, "one that waits is on its way as well");
    outbox.acknowledged(one);
    assert!(outbox.next_batch(at(10_000)).is_some());
}

#[test]
fn a_failed_batch_comes_back_as_it_was_and_backs_off_to_five_seconds() {
    let mut outbox = Outbox::new(7);
    outbox.push(note(1, 10), None).unwrap();
    let id = outbox.next_batch(START).unwrap();
    let mut now = START;
    let mut pauses = Vec::new();
    for _ in 0..12 {
        outbox.failed(id, now);
        let failed_at = now;
        while outbox.next_batch(now).is_none() {
            now = UnixMillis(now.0 + 1);
        }
        assert_eq!(numbers(&outbox, id), [1]);
        pauses.push(now.0 - failed_at.0);
    }
    for (pause, longest) in pauses.iter().zip([200, 400, 800, 1600, 3200, 5000, 5000, 5000]) {
        assert!((longest * 3 / 4..=longest).contains(pause), "{pause} of {longest}");
    }
    let other: Vec<_> = (1..12).map(|failures| super::pause(8, failures)).collect();
    assert_ne!(other, (1..12).map(|failures| super::pause(7, failures)).collect::<Vec<_>>());
    assert!(super::pause(7, u32::MAX) <= Duration::from_secs(5));
}

#[test]
fn an_answer_that_never_comes_is_a_failure() {
    let mut outbox = Outbox::new(1);
    outbox.push(note(1, 10), None).unwrap();
    let id = outbox.next_batch(START).unwrap();
    assert_eq!(outbox.next_batch(at(29_999)), None);
    assert_eq!(outbox.next_batch(at(30_000)), None, "it waits like one that failed");
    assert_eq!(outbox.next_batch(at(30_200)), Some(id));
    assert_eq!(outbox.acknowledged(id), 1, "a late answer counts");
}

#[test]
fn a_clock_that_is_set_back_stops_nothing() {
    let mut outbox = Outbox::new(1);
    outbox.push(note(1, 10), None).unwrap();
    let id = outbox.next_batch(at(1_000_000)).unwrap();
    outbox.failed(id, at(1_000_000));
    assert_eq!(outbox.next_batch(START), Some(id));
    outbox.acknowledged(id);
    outbox.push(note(2, 10), None).unwrap();
    assert!(outbox.next_batch(START).is_some());
}

#[test]
fn what_was_admitted_fits_whatever_comes_between() {
    let mut outbox = Outbox::new(1);
    let room = outbox.admit(1000).unwrap();
    let mut number = 0;
    while outbox.push(note(number, 1000), None).is_ok() {
        number += 1;
    }
    assert!(!outbox.has_room(1000) && outbox.admit(1000).is_none());
    assert_eq!(outbox.push(note(number, 1000), None), Err(Full));
    outbox.push(note(number, 1000), Some(room)).unwrap();
    assert!(outbox.bytes() <= MAX_BYTES);
}

#[test]
fn a_promise_that_is_not_used_is_given_back() {
    let outbox = Outbox::<Note>::new(1);
    let room = outbox.admit(MAX_BYTES).unwrap();
    assert!(outbox.admit(1).is_none());
    drop(room);
    assert!(outbox.admit(MAX_BYTES).is_some());
    assert_eq!(outbox.bytes(), 0);
    assert!(outbox.admit(MAX_BYTES + 1).is_none());
    assert!(outbox.admit(usize::MAX).is_none());
}

#[test]
fn a_closing_worker_waits_for_no_company() {
    let mut outbox = Outbox::new(1);
    outbox.push(note(1, 10), None).unwrap();
    outbox.next_batch(START).unwrap();
    outbox.push(note(2, 10), None).unwrap();
    assert_eq!(outbox.next_batch(at(1)), None);
    outbox.close();
    assert!(outbox.next_batch(at(1)).is_some());
}

#[derive(Clone, Debug)]
enum Step {
    Admit(usize),
    PushAdmitted,
    GiveBack,
    Push(usize),
    Wait(u64),
    Acknowledge(usize),
    Fail(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (1_usize..200_000).prop_map(Step::Admit),
        Just(Step::PushAdmitted),
        Just(Step::GiveBack),
        (1_usize..200_000).prop_map(Step::Push),
        (0_u64..40_000).prop_map(Step::Wait),
        (0_usize..2).prop_map(Step::Acknowledge),
        (0_usize..2).prop_map(Step::Fail),
    ]
}

proptest! {
    #[test]
    fn what_was_pushed_is_acknowledged_once_or_still_inside(
        seed: u64,
        steps in proptest::collection::vec(step(), 0..300),
    ) {
        let mut outbox = Outbox::new(seed);
        let (mut now, mut number) = (START, 0);
        let (mut rooms, mut sent) = (Vec::new(), Vec::<(BatchId, Vec<u64>)>::new());
        let (mut inside, mut last_made) = (BTreeSet::new(), None);
        for step in steps {
            match step {
                Step::Admit(bytes) => rooms.extend(outbox.admit(bytes).map(|room| (room, bytes))),
                Step::PushAdmitted => {
                    if let Some((room, bytes)) = rooms.pop() {
                        outbox.push(note(number, bytes), Some(room)).unwrap();
                        inside.insert(number);
                        number += 1;
                    }
                }
                Step::GiveBack => drop(rooms.pop()),
                Step::Push(bytes) => {
                    if outbox.push(note(number, bytes), None).is_ok() {
                        inside.insert(number);
                        number += 1;
                    }
                }
                Step::Wait(millis) => {
                    now = UnixMillis(now.0 + millis);
                    while let Some(id) = outbox.next_batch(now) {
                        let numbers = numbers(&outbox, id);
                        prop_assert!(!numbers.is_empty());
                        match sent.iter().find(|(earlier, _)| *earlier == id) {
                            Some((_, before)) => prop_assert_eq!(before, &numbers, "sent again, it is the same"),
                            None => {
                                // Batches are made in the order of their entries.
                                prop_assert!(numbers.is_sorted());
                                prop_assert!(last_made < numbers.first().copied());
                                last_made = numbers.last().copied();
                                sent.push((id, numbers));
                            }
                        }
                        prop_assert!(sent.len() <= MAX_BATCHES);
                    }
                }
                Step::Acknowledge(which) => {
                    if which < sent.len() {
                        let (id, numbers) = sent.remove(which);
                        prop_assert_eq!(outbox.acknowledged(id), numbers.len());
                        for number in numbers {
                            prop_assert!(inside.remove(&number), "acknowledged twice");
                        }
                    }
                }
                Step::Fail(which) => {
                    if let Some((id, _)) = sent.get(which) {
                        outbox.failed(*id, now);
                    }
                }
            }
            prop_assert_eq!(outbox.len(), inside.len());
            prop_assert!(outbox.bytes() <= MAX_BYTES);
        }
    }
}
