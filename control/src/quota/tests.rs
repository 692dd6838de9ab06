use attach_core::quota::entry::Entry;
use attach_core::quota::wire::{Account, Left, Refused};
use attach_core::quota::{Key, LEASE_SECONDS, Window};
use futures_util::future::join_all;

use super::*;
use crate::store::tests::store;

pub(super) const NOW: u64 = 1_700_000_000;

/// What a worker asks about an account: need and want are the same.
pub(super) fn account(number: u8, tokens: u64, need: u64) -> Account {
    Account {
        key: Key([number; 16]),
        tokens,
        window: Window::Day,
        spent: Vec::new(),
        give_back: 0,
        need,
        want: need,
    }
}

pub(super) fn request(id: &str, worker: &str, accounts: Vec<Account>) -> Request {
    Request { id: id.into(), worker: worker.into(), accounts }
}

pub(super) fn granted(answer: &Answer) -> Option<u64> {
    match answer {
        Answer::Granted { granted, .. } => Some(granted.iter().sum()),
        Answer::Refused { .. } => None,
    }
}

/// 64 operations from four workers at once, each of which grants `need` tokens or nothing: what they got, and what
/// they spent of it in a second operation.
pub(super) async fn crowd<F: Future<Output = Answer>>(
    need: u64,
    limit: u64,
    operate: impl Fn(usize, Request) -> F,
) -> u64 {
    let ask = |n: usize| {
        let worker = format!("w-{}", n % 4);
        let first = request(&format!("{worker}-{n}"), &worker, vec![account(1, limit, need)]);
        let report = worker.clone();
        let second = move |spent| {
            let account = Account { spent: vec![(NOW, spent)], ..account(1, limit, 0) };
            request(&format!("{report}-{n}-spent"), &report, vec![account])
        };
        let operate = &operate;
        async move {
            let Some(got) = granted(&operate(n, first).await) else { return 0 };
            operate(n, second(got)).await;
            got
        }
    };
    join_all((0..64).map(ask)).await.into_iter().sum()
}

async fn rows(store: &Store, table: &'static str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table}");
    let count =
        store.read(move |connection| Ok::<_, Error>(connection.query_row(&sql, [], |row| row.get(0))?));
    count.await.unwrap()
}

#[tokio::test]
async fn an_account_s_life_is_what_its_entry_says() {
    let (_folder, store) = store("quota-life");
    let local = local::Local::new(store);
    let lease = |spent: &[(u64, u64)], give_back, need| Account {
        spent: spent.to_vec(),
        give_back,
        ..account(1, 1000, need)
    };
    let rest_of_day = Window::Day.leaves(NOW) - NOW;
    let refused = Refused { account: 0, retry_after: Some(rest_of_day) };
    for (id, after, asked, granted, used, held, lease) in [
        ("a", 0, lease(&[], 0, 300), Ok(300), 0, 300, 300),
        ("b", 0, lease(&[(NOW, 100)], 100, 0), Ok(0), 100, 100, 100),
        ("c", 0, lease(&[], 0, 800), Ok(800), 100, 900, 900),
        ("d", 0, lease(&[(NOW, 900)], 0, 1), Err(refused), 1000, 0, 0),
        ("e", rest_of_day, lease(&[], 0, 1000), Ok(1000), 0, 1000, 1000),
    ] {
        let answer = local.operate(request(id, "w", vec![asked]), NOW + after).await.unwrap();
        let expected = match granted {
            Ok(granted) => Answer::Granted {
                granted: vec![granted],
                left: vec![Left { used, held, lease, reset: Window::Day.leaves(NOW + after) - NOW - after }],
            },
            Err(refused) => {
                Answer::Refused { refused, left: vec![Left { used, held, lease, reset: rest_of_day }] }
            }
        };
        assert_eq!(answer, expected, "{id}");
    }
}

#[tokio::test]
async fn the_same_id_again_gets_the_first_answer_and_changes_nothing() {
    let (_folder, store) = store("quota-again");
    let local = local::Local::new(store.clone());
    let first = request("w-1", "w", vec![account(1, 1000, 100), account(2, 50, 50)]);
    let answer = local.operate(first.clone(), NOW).await.unwrap();
    assert_eq!(granted(&answer), Some(150));
    for after in [0, 1, LEASE_SECONDS, 600] {
        assert_eq!(local.operate(first.clone(), NOW + after).await.as_ref(), Ok(&answer));
    }
    let refused = request("w-2", "w", vec![account(2, 50, 1)]);
    let answer = local.operate(refused.clone(), NOW).await.unwrap();
    assert_eq!(granted(&answer), None);
    assert_eq!(local.operate(refused, NOW + 86_400).await, Ok(answer), "there would be enough by then");

    let other = request("w-1", "w", vec![account(1, 1000, 1)]);
    let quotas = Quotas { home: Home::Local(local) };
    assert_eq!(quotas.operate(other).await, Err(Error::Repeated));
}

#[tokio::test]
async fn what_was_granted_is_there_after_a_kill() {
    let (_folder, store) = store("quota-kill");
    let local = local::Local::new(store.clone());
    let lease = request("w-1", "w", vec![account(1, 1000, 1000)]);
    let answer = local.operate(lease.clone(), NOW).await.unwrap();
    // Nothing was closed: another process finds what was on the disk when the answer went out.
    let again = local::Local::new(Store::open(store.path()).unwrap());
    let other = request("v-1", "v", vec![account(1, 1000, 1)]);
    assert_eq!(granted(&again.operate(other, NOW).await.unwrap()), None);
    assert_eq!(again.operate(lease, NOW).await, Ok(answer));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_no_eleventh_s_worth_is_granted() {
    let (_folder, store) = store("quota-crowd");
    let local = local::Local::new(store);
    for (number, need) in [(1, 10), (2, 7), (3, 1)] {
        let limit = 10 * need;
        let local = local.clone();
        let got = crowd(need, limit, |_, mut request| {
            let local = local.clone();
            request.id = format!("{number}-{}", request.id).into();
            request.accounts[0].key = Key([number; 16]);
            async move { tokio::spawn(async move { local.operate(request, NOW).await.unwrap() }).await.unwrap() }
        });
        assert_eq!(got.await, limit);
    }
}

#[tokio::test]
async fn accounts_and_answers_that_are_over_are_removed_little_by_little() {
    let (_folder, store) = store("quota-prune");
    let local = local::Local::new(store.clone());
    for n in 0..200_u8 {
        let lease = request(&format!("w-{n}"), "w", vec![account(n, 1000, 10)]);
        local.operate(lease, NOW).await.unwrap();
    }
    // A lease that runs out tomorrow counts until the day after that.
    let ask = |id: usize| request(&format!("v-{id}"), "v", vec![account(250, 1000, 0)]);
    local.operate(ask(0), NOW + 600).await.unwrap();
    assert_eq!((rows(&store, "quota_entries").await, rows(&store, "quota_answers").await), (200, 201));
    for id in 1..=8 {
        local.operate(ask(id), NOW + 3 * 86_400).await.unwrap();
    }
    assert_eq!((rows(&store, "quota_entries").await, rows(&store, "quota_answers").await), (0, 8));
}

#[tokio::test]
async fn an_account_that_cannot_be_read_refuses_until_it_is_over() {
    let (_folder, store) = store("quota-broken");
    let local = local::Local::new(store.clone());
    local.operate(request("w-1", "w", vec![account(1, 1000, 10)]), NOW).await.unwrap();
    let spoil = store.write(|connection| {
        connection.execute("UPDATE quota_entries SET entry = x'ff00'", [])?;
        Ok::<_, Error>(())
    });
    spoil.await.unwrap();
    let ask = |id: &str, number| request(id, "w", vec![account(number, 1000, 10)]);
    let error = local.operate(ask("w-2", 1), NOW).await.unwrap_err();
    assert!(matches!(&error, Error::Unreadable(key) if *key == "01".repeat(16)), "{error}");
    assert!(local.operate(ask("w-3", 2), NOW + 3 * 86_400).await.is_ok(), "which removes it");
    assert!(local.operate(ask("w-2", 1), NOW + 3 * 86_400).await.is_ok());
}

#[test]
fn the_largest_numbers_are_stored_and_read_without_a_mistake() {
    for number in [0, 1, LARGEST, i64::MAX as u64] {
        assert_eq!(read(stored(number)), number);
    }
    assert_eq!(stored(u64::MAX), i64::MAX);
    assert_eq!(read(-1), 0);
    assert!(Entry::default().to_bytes().len() < 16);
}

/// Run by hand: `cargo test -p attach-control --release quota::tests::speed -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn speed_of_the_database() {
    let (_folder, store) = store("quota-speed");
    let local = local::Local::new(store);
    for at_once in [1, 8, 64] {
        let begun = std::time::Instant::now();
        let workers = (0..at_once).map(|worker| {
            let local = local.clone();
            tokio::spawn(async move {
                for n in 0..2000 / at_once {
                    let (day, month) =
                        (account(u8::try_from(n % 100).unwrap(), 1 << 40, 500), account(200, 1 << 40, 500));
                    let month = Account { window: Window::Month, spent: vec![(NOW, 400)], ..month };
                    let name = format!("{at_once}-{worker}");
                    local
                        .operate(request(&format!("{name}-{n}"), &name, vec![day, month]), NOW)
                        .await
                        .unwrap();
                }
            })
        });
        join_all(workers).await;
        let rate = f64::from(2000 / at_once * at_once) / begun.elapsed().as_secs_f64();
        eprintln!("{at_once} at once: {rate:.0} operations of two accounts each second");
    }
}
