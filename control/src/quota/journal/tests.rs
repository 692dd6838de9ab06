use attach_core::quota::Key;
use attach_core::quota::wire::Account;

use super::*;
use crate::quota::fleet::reply::Told;
use crate::quota::tests::{NOW, account, request};
use crate::store::tests::store;

/// A worker has spent so much at a second, and holds so much then.
fn operation(id: &str, window: Window, spent: u64, lease: u64, at: u64) -> (Request, Reply) {
    let account = Account { window, spent: vec![(at, spent)], ..account(1, 1000, 0) };
    let told = Told { granted: 0, used: spent, held: lease, reset: 0, lease, since: NOW - 10, now: at };
    let reply = Reply { stamp: at * 1_000_000, refused: None, accounts: vec![told] };
    (request(id, "w", vec![account]), reply)
}

async fn wrote(store: &Store, (request, reply): (Request, Reply)) {
    write(store, &request, &reply, "an answer".to_owned()).await.unwrap();
}

async fn kept(store: &Store, now: u64) -> Option<Kept> {
    piece(store, Vec::new(), now).await.unwrap().accounts.into_iter().next().map(|(_, kept)| kept)
}

#[tokio::test]
async fn spending_adds_up_by_slot_and_the_latest_word_about_a_lease_stands_in_whatever_order() {
    let (_folder, store) = store("journal-order");
    let minute = Window::Sliding(60);
    for (id, spent, lease, at) in [
        ("1", 5, 100, NOW),
        ("3", 7, 30, NOW + 2),
        ("2", 0, 70, NOW + 1),
        ("4", 9, 30, NOW + 2),
        ("4", 9, 30, NOW + 2),
    ] {
        wrote(&store, operation(id, minute, spent, lease, at)).await;
    }
    let Kept { used, leases, ends } = kept(&store, NOW + 2).await.unwrap();
    assert_eq!(used, [(NOW, 5), (NOW + 2, 16)]);
    assert_eq!((leases.len(), leases[0].amount, leases[0].renewed), (1, 30, NOW + 2));
    assert_eq!(ends, minute.leaves(NOW + 2 + 60));
    // What it gave back does not come back by a word that comes late.
    wrote(&store, operation("6", minute, 0, 0, NOW + 4)).await;
    wrote(&store, operation("5", minute, 0, 30, NOW + 3)).await;
    assert_eq!(kept(&store, NOW + 4).await.unwrap().leases[0].amount, 0);
}

#[tokio::test]
async fn a_report_is_where_the_entry_has_it() {
    let (_folder, store) = store("journal-where");
    let (mut asked, reply) = operation("1", Window::Sliding(60), 0, 0, NOW);
    asked.accounts[0].spent = vec![(0, 1), (NOW - 20, 2), (NOW - 5, 4), (NOW + 1000, 8)];
    wrote(&store, (asked, reply)).await;
    assert_eq!(kept(&store, NOW).await.unwrap().used, [(NOW - 10, 3), (NOW - 5, 4), (NOW, 8)]);
}

#[tokio::test]
async fn what_counts_no_longer_is_not_told_and_removed_later() {
    let (_folder, store) = store("journal-over");
    wrote(&store, operation("1", Window::Sliding(60), 5, 0, NOW)).await;
    wrote(&store, operation("2", Window::Month, 7, 0, NOW)).await;
    assert_eq!(kept(&store, NOW + 60).await.unwrap().used.len(), 2);
    assert_eq!(kept(&store, NOW + 61).await.unwrap().used, [(Window::Month.slot(NOW), 7)]);
    assert_eq!(kept(&store, NOW + 40 * 86_400).await, None);
    let piece = piece(&store, Vec::new(), NOW + 40 * 86_400).await.unwrap();
    assert_eq!(piece.last, Some(Key([1; 16]).0.to_vec()), "what follows is looked for after it");

    let mut quiet = operation("3", Window::Day, 0, 0, NOW + 50 * 86_400);
    quiet.1.accounts[0].since = 0;
    wrote(&store, quiet).await;
    let sql = "SELECT (SELECT count(*) FROM quota_spent) + (SELECT count(*) FROM quota_leases)";
    let left =
        store.read(move |connection| Ok::<i64, Error>(connection.query_row(sql, [], |row| row.get(0))?));
    assert_eq!(left.await.unwrap(), 0);
}

#[tokio::test]
async fn a_control_keeps_its_name_and_knows_whether_it_has_seen_an_epoch() {
    let (_folder, store) = store("journal-member");
    let fresh = Member { name: "me".to_owned(), fresh: true, others: Vec::new(), longest: 0 };
    assert_eq!(member(&store, "me".to_owned()).await, Ok(fresh.clone()));
    assert_eq!(member(&store, "another".to_owned()).await, Ok(fresh.clone()));
    for others in [vec!["b".to_owned(), "c".to_owned()], vec!["c".to_owned()], Vec::new()] {
        seen(&store, others.clone()).await.unwrap();
        let known = Member { fresh: false, others, ..fresh.clone() };
        assert_eq!(member(&store, "another".to_owned()).await, Ok(known));
    }
    for (id, window) in [("1", Window::Sliding(90)), ("2", Window::Month), ("3", Window::Sliding(60))] {
        wrote(&store, operation(id, window, 1, 0, NOW)).await;
    }
    assert_eq!(member(&store, String::new()).await.unwrap().longest, 90);
}

#[tokio::test]
async fn answers_are_told_in_pieces() {
    let (_folder, store) = store("journal-answers");
    for id in ["a", "b", "c"] {
        wrote(&store, operation(id, Window::Day, 1, 0, NOW)).await;
    }
    let ids = async |after: &str, since| {
        let told = answers(&store, after.to_owned(), since).await.unwrap();
        told.into_iter().map(|(id, ..)| id).collect::<String>()
    };
    assert_eq!((ids("", NOW).await, ids("a", NOW).await), ("abc".to_owned(), "bc".to_owned()));
    assert_eq!((ids("c", NOW).await, ids("", NOW + 1).await), (String::new(), String::new()));
}
