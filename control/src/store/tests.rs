use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::supervise::tests::Folder;

/// A store in a folder of its own, which goes when the folder does.
pub(crate) fn store(name: &str) -> (Folder, Store) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let folder = Folder::new(&format!("store-{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    let store = Store::open(&folder.path().join(FILE_NAME)).unwrap();
    (folder, store)
}

async fn put(store: &Store, id: &str) -> Result<(), Error> {
    let id = id.to_owned();
    store
        .write(move |connection| {
            let insert = "INSERT INTO set_aside (kind, id, payload, error, at) VALUES ('t', ?, '', '', 0)";
            connection.prepare_cached(insert)?.execute([id])?;
            Ok(())
        })
        .await
}

async fn ids(store: &Store) -> Vec<String> {
    store
        .read(|connection| {
            let mut query = connection.prepare("SELECT id FROM set_aside ORDER BY id")?;
            let rows = query.query_map([], |row| row.get(0))?;
            Ok::<_, Error>(rows.collect::<Result<_, _>>()?)
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn what_was_answered_is_there_when_the_store_is_opened_again() {
    let (folder, store) = store("again");
    put(&store, "a").await.unwrap();
    // A second one while the first has not closed it, as after a kill.
    let again = Store::open(store.path()).unwrap();
    assert_eq!(ids(&again).await, ["a"]);
    drop(store);
    put(&again, "b").await.unwrap();
    assert_eq!(ids(&again).await, ["a", "b"]);
    drop(folder);
}

#[tokio::test]
async fn its_files_are_its_owner_s_alone() {
    let (folder, store) = store("mode");
    put(&store, "a").await.unwrap();
    std::fs::set_permissions(store.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let _again = Store::open(store.path()).unwrap();
    let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 3, "the database, its log and the log's index");
    for file in files.iter().filter(|file| file.file_name() == FILE_NAME) {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writes_at_once_are_few_transactions_and_a_failed_one_takes_no_other_with_it() {
    let (_folder, store) = store("group");
    put(&store, "taken").await.unwrap();
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let store = store.clone();
            // Every tenth one repeats what is there.
            let id = if n % 10 == 0 { "taken".to_owned() } else { format!("{n:03}") };
            tokio::spawn(async move { put(&store, &id).await })
        })
        .collect();
    let mut failed = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => {}
            Err(Error::Database(reason)) => {
                assert!(reason.contains("UNIQUE"), "{reason}");
                failed += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((failed, ids(&store).await.len()), (20, 181));
    let sql = "SELECT rows FROM queue_sizes WHERE queue = 'set_aside' AND kind = 't'";
    let counted =
        store.read(move |connection| Ok::<i64, Error>(connection.query_row(sql, [], |row| row.get(0))?));
    assert_eq!(counted.await.unwrap(), 181);
}

#[tokio::test]
async fn work_that_panics_is_an_error_and_the_next_goes_on() {
    let (_folder, store) = store("panic");
    let panicked = store
        .write(|connection| -> Result<(), Error> {
            connection.execute(
                "INSERT INTO set_aside (kind, id, payload, error, at) VALUES ('t', 'x', '', '', 0)",
                [],
            )?;
            panic!("on purpose")
        })
        .await;
    assert_eq!(panicked, Err(Error::Broken));
    let panicked = store.read(|_| -> Result<(), Error> { panic!("on purpose") }).await;
    assert_eq!(panicked, Err(Error::Broken));
    put(&store, "a").await.unwrap();
    assert_eq!(ids(&store).await, ["a"]);
}

#[tokio::test]
async fn a_locked_database_is_an_error_and_works_again_when_it_is_free() {
    let (_folder, store) = store("locked");
    let other = Connection::open(store.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let locked = put(&store, "a").await.unwrap_err();
    assert!(matches!(&locked, Error::Database(reason) if reason.contains("locked")), "{locked}");
    other.execute_batch("ROLLBACK").unwrap();
    put(&store, "a").await.unwrap();
    assert_eq!(ids(&store).await, ["a"]);
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_loses_nothing_that_was_accepted() {
    let (_folder, store) = store("full");
    put(&store, "a").await.unwrap();
    let limit = |pages: &'static str| {
        store.write(move |connection| {
            connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
            Ok::<(), Error>(())
        })
    };
    limit("1").await.unwrap();
    let mut refused = None;
    for n in 0..10_000 {
        let id = format!("{n:04}-{}", "x".repeat(500));
        if let Err(error) = put(&store, &id).await {
            refused = Some((n, error));
            break;
        }
    }
    let (accepted, error) = refused.expect("the database grew without an end");
    assert!(matches!(&error, Error::Database(reason) if reason.contains("full")), "{error}");
    assert_eq!(ids(&store).await.len(), accepted + 1);
    limit("1000000").await.unwrap();
    put(&store, "b").await.unwrap();
}

#[tokio::test]
async fn a_reader_sees_one_state_and_cannot_write() {
    let (_folder, store) = store("reader");
    put(&store, "a").await.unwrap();
    let wrong = store.read(|connection| {
        connection.execute("DELETE FROM set_aside", [])?;
        Ok::<(), Error>(())
    });
    assert!(matches!(wrong.await, Err(Error::Database(reason)) if reason.contains("readonly")));
    assert_eq!(ids(&store).await, ["a"]);
}

#[test]
fn a_newer_database_and_what_is_none_are_refused_with_what_to_do() {
    let folder = Folder::new("store-versions");
    let path = folder.path().join(FILE_NAME);
    assert!(peek(&path, |_| Ok(())).unwrap().is_none(), "there is none");
    drop(Store::open(&path).unwrap());
    // Opening it again changes nothing.
    drop(Store::open(&path).unwrap());
    assert!(peek(&path, |_| Ok(())).unwrap().is_some());

    Connection::open(&path).unwrap().pragma_update(None, "user_version", 4_000_000).unwrap();
    let text = Store::open(&path).unwrap_err().to_string();
    assert!(
        text.contains("newer attach") && text.contains("4000000") && text.contains("--state-dir"),
        "{text}"
    );
    assert!(peek(&path, |_| Ok(())).is_err());

    let empty = folder.path().join("empty.db");
    Connection::open(&empty).unwrap().execute_batch("VACUUM").unwrap();
    assert!(matches!(peek(&empty, |_| Ok(())), Err(OpenError::Older { .. })));

    let broken = folder.path().join("broken.db");
    std::fs::write(&broken, "no database at all ".repeat(1000)).unwrap();
    assert!(matches!(Store::open(&broken), Err(OpenError::Corrupt { .. })));
    assert!(matches!(Store::open(Path::new("/proc/none/control.db")), Err(OpenError::File { .. })));
}

#[tokio::test]
async fn a_database_of_an_earlier_version_keeps_what_it_has_and_its_sizes_are_right() {
    let folder = Folder::new("store-earlier");
    let path = folder.path().join(FILE_NAME);
    let old = Connection::open(&path).unwrap();
    for step in [include_str!("migrations/0001_usage.sql"), include_str!("migrations/0002_quota.sql")] {
        old.execute_batch(step).unwrap();
    }
    old.execute_batch(
        "PRAGMA user_version = 2;
         INSERT INTO outbox (kind, id, payload, added_at) VALUES ('openmeter', 'a', 'äb', 7), ('openmeter', 'b', '', 8);
         INSERT INTO set_aside (kind, id, payload, error, at) VALUES ('record', 'x', 'y', 'why', 9);",
    )
    .unwrap();
    drop(old);
    let store = Store::open(&path).unwrap();
    let sizes = async || {
        store
            .read(|connection| {
                let mut query =
                    connection.prepare("SELECT queue, kind, rows, bytes FROM queue_sizes ORDER BY 1, 2")?;
                let rows = query.query_map([], |row| {
                    Ok(format!(
                        "{} {} {} {}",
                        row.get::<_, String>(0)?,
                        row.get::<_, String>(1)?,
                        row.get::<_, i64>(2)?,
                        row.get::<_, i64>(3)?
                    ))
                })?;
                Ok::<_, Error>(rows.collect::<Result<Vec<_>, _>>()?)
            })
            .await
            .unwrap()
    };
    assert_eq!(sizes().await, ["outbox openmeter 2 3", "set_aside record 1 1"]);
    put(&store, "z").await.unwrap();
    store
        .write(|connection| {
            connection.execute("DELETE FROM outbox WHERE id = 'a'", [])?;
            connection.execute(
                "INSERT INTO outbox (kind, id, payload, added_at) VALUES ('memory', 'm', 'four', 1)",
                [],
            )?;
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    let expected = ["outbox memory 1 4", "outbox openmeter 1 0", "set_aside record 1 1", "set_aside t 1 0"];
    assert_eq!(sizes().await, expected);
}

#[test]
fn full_text_search_is_built_in() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("CREATE VIRTUAL TABLE t USING fts5(words)").unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_deadline_and_what_was_given_up_is_not_done() {
    let (_folder, store) = store("late");
    let (release, held) = std::sync::mpsc::channel::<()>();
    let slow = store.write(move |_| {
        let _ = held.recv();
        Ok::<(), Error>(())
    });
    assert_eq!(slow.await, Err(Error::Late));
    assert_eq!(put(&store, "behind it").await, Err(Error::Late));
    tokio::time::resume();
    release.send(()).unwrap();
    put(&store, "later").await.unwrap();
    assert_eq!(ids(&store).await, ["later"]);
}

#[tokio::test]
async fn a_query_without_an_end_is_ended() {
    let (_folder, store) = store("endless");
    let endless = || {
        store.read(|connection| {
            let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
            Ok::<i64, Error>(connection.query_row(sql, [], |row| row.get(0))?)
        })
    };
    // As many as there are connections, and one that waits for its turn.
    let answers = tokio::join!(endless(), endless(), endless());
    for answer in [answers.0, answers.1, answers.2] {
        assert!(matches!(&answer, Err(Error::Late | Error::Database(_))), "{answer:?}");
    }
    put(&store, "a").await.unwrap();
    assert_eq!(ids(&store).await, ["a"]);
}
