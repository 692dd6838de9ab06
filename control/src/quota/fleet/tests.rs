//! All of it with a real Redis.

use std::time::Instant as Moment;

use attach_core::quota::wire::Left;
use attach_core::quota::{Key, Window};
use futures_util::future::join_all;

use super::*;
use crate::clock::unix_now;
use crate::quota::tests::{account, crowd, granted, request};
use crate::replay::tests::Redis;
use crate::store::tests::store;
use crate::supervise::tests::Folder;

mod differential;
mod lost;
mod outages;

/// A control's accounts, with a database of its own.
struct Control {
    fleet: Fleet,
    store: Store,
    _folder: Folder,
}

impl Control {
    fn new(name: &str, url: &Secret) -> Self {
        Self::with(name, url, Pace::default())
    }

    fn with(name: &str, url: &Secret, pace: Pace) -> Self {
        let (folder, store) = store(&format!("fleet-{name}"));
        Self { fleet: Fleet::new(store.clone(), url, pace).unwrap(), store, _folder: folder }
    }

    async fn operate(&self, request: &Request) -> Result<Answer, Error> {
        self.fleet.operate(request).await
    }

    /// Asks again until it is answered: while Redis starts.
    async fn answered(&self, request: &Request) -> Answer {
        let until = Moment::now() + Duration::from_secs(20);
        loop {
            match self.operate(request).await {
                Ok(answer) => return answer,
                Err(error) => assert!(Moment::now() < until, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn raw(redis: &Redis) -> redis::aio::MultiplexedConnection {
    redis::Client::open(redis.url().expose()).unwrap().get_multiplexed_async_connection().await.unwrap()
}

#[tokio::test]
async fn a_first_start_refuses_nobody() {
    let Some(redis) = Redis::start("fleet-first", &[]) else { return };
    let controls = ["a", "b", "c"].map(|name| Control::new(name, &redis.url()));
    let ask = |n: usize| request(&format!("w{n}"), &format!("w{n}"), vec![account(1, 1000, 10)]);
    let requests: Vec<_> = (0..3).map(ask).collect();
    let answers =
        join_all(controls.iter().zip(&requests).map(|(control, request)| control.operate(request))).await;
    for answer in answers {
        assert_eq!(granted(&answer.unwrap()), Some(10));
    }
}

#[tokio::test]
async fn several_controls_see_one_account() {
    let Some(redis) = Redis::start("fleet-shared", &[]) else { return };
    let (one, other) = (Control::new("one", &redis.url()), Control::new("other", &redis.url()));
    let now = unix_now();
    let first = request("v-1", "v", vec![account(1, 1000, 900), account(2, 50, 50)]);
    assert_eq!(granted(&one.operate(&first).await.unwrap()), Some(950));
    // All or nothing.
    let second = request("w-1", "w", vec![account(1, 1000, 100), account(2, 50, 1)]);
    let answer = other.operate(&second).await.unwrap();
    assert!(matches!(&answer, Answer::Refused { refused, .. } if refused.account == 1), "{answer:?}");
    // The worker goes to the other control.
    let spent = Account { spent: vec![(now, 300)], give_back: 500, ..account(1, 1000, 0) };
    let answer = other.operate(&request("v-2", "v", vec![spent])).await.unwrap();
    let Left { used, held, lease, .. } = answer.left()[0];
    assert_eq!((used, held, lease), (300, 100, 100));
}

#[tokio::test]
async fn the_same_id_again_gets_the_first_answer_at_every_control() {
    let Some(redis) = Redis::start("fleet-again", &[]) else { return };
    let (one, other) = (Control::new("again-one", &redis.url()), Control::new("again-other", &redis.url()));
    let first = request("w-1", "w", vec![account(1, 1000, 600)]);
    let answer = one.operate(&first).await.unwrap();
    for control in [&one, &other, &one] {
        assert_eq!(control.operate(&first).await.as_ref(), Ok(&answer));
    }
    // The journal has it once as well, although three have relayed it.
    let kept = async || journal::piece(&one.store, Vec::new(), 0).await.unwrap().accounts.remove(0).1;
    assert_eq!(kept().await.leases[0].amount, 600);
    let report = Account { spent: vec![(unix_now(), 100)], ..account(1, 1000, 0) };
    let report = request("w-2", "w", vec![report]);
    for _ in 0..3 {
        one.operate(&report).await.unwrap();
    }
    assert_eq!(kept().await.used[0].1, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_at_two_controls_no_eleventh_s_worth_is_granted() {
    let Some(redis) = Redis::start("fleet-crowd", &[]) else { return };
    let (one, other) = (Control::new("crowd-one", &redis.url()), Control::new("crowd-other", &redis.url()));
    let fleets = [one.fleet.clone(), other.fleet.clone()];
    for (number, need) in [(1, 10), (2, 7), (3, 1)] {
        let got = crowd(need, 10 * need, |n, mut request| {
            let fleet = fleets[n % 2].clone();
            request.id = format!("{number}-{}", request.id).into();
            request.accounts[0].key = Key([number; 16]);
            async move { tokio::spawn(async move { fleet.operate(&request).await.unwrap() }).await.unwrap() }
        });
        assert_eq!(got.await, 10 * need);
    }
}

#[tokio::test]
async fn every_key_is_in_one_slot_and_expires_after_its_window() {
    let Some(redis) = Redis::start("fleet-keys", &[]) else { return };
    let control = Control::new("keys", &redis.url());
    let month = Account { window: Window::Month, ..account(2, 1000, 10) };
    let minute = Account { window: Window::Sliding(60), ..account(3, 1000, 10) };
    control.operate(&request("w-1", "w", vec![account(1, 1000, 10), month, minute])).await.unwrap();
    let mut connection = raw(&redis).await;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    assert_eq!(keys.len(), 7, "{keys:?}");
    for key in keys {
        assert!(key.starts_with("{attach}:"), "{key}");
        let left: u64 = redis::cmd("TTL").arg(&key).query_async(&mut connection).await.unwrap();
        let now = unix_now();
        let least = match key.strip_prefix("{attach}:quota:") {
            Some(digits) if digits.starts_with("01") => Window::Day.leaves(now + 60) - now,
            Some(digits) if digits.starts_with("02") => Window::Month.leaves(now + 60) - now,
            Some(_) => 120,
            None if key.starts_with("{attach}:op:") => 600,
            None => 366 * 86_400,
        };
        assert!(left >= least, "{key}: {left} seconds, not {least}");
    }
    // What is empty is no key.
    let back = Account { give_back: 10, ..account(1, 1000, 0) };
    control.operate(&request("w-2", "w", vec![back])).await.unwrap();
    let key = account_key(&"01".repeat(16));
    let exists: bool = redis::cmd("EXISTS").arg(key).query_async(&mut connection).await.unwrap();
    assert!(!exists);
}

#[tokio::test]
async fn the_largest_numbers_are_told_apart_from_none() {
    let Some(redis) = Redis::start("fleet-large", &[]) else { return };
    let control = Control::new("large", &redis.url());
    let most = Account { spent: vec![(u64::MAX, u64::MAX), (0, u64::MAX)], ..account(1, u64::MAX, 0) };
    let answer = control.operate(&request("w-1", "w", vec![most])).await.unwrap();
    assert_eq!(answer.left()[0].used, LARGEST);
    let most = Account { give_back: u64::MAX, ..account(2, u64::MAX, u64::MAX) };
    let answer = control.operate(&request("w-2", "w", vec![most])).await.unwrap();
    assert_eq!((granted(&answer), answer.left()[0].lease), (Some(LARGEST), LARGEST));
    let piece = journal::piece(&control.store, Vec::new(), 0).await.unwrap();
    assert_eq!(piece.accounts[0].1.used[0].1, LARGEST, "the journal adds no more than Redis");
}
