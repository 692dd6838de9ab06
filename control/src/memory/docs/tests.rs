use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::*;
use crate::memory::shares::{self, MAX_PARTIES};
use crate::supervise::tests::Folder;

fn documents() -> (Folder, Documents) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let folder = Folder::new(&format!("documents-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    let documents = Documents::open(&folder.path().join(FILE_NAME)).unwrap();
    (folder, documents)
}

fn draft(owner: &str, content: &str, parent: Option<&Version>) -> Draft {
    Draft {
        owner: owner.to_owned(),
        agent: String::new(),
        parent: parent.map(|parent| parent.mem_id.clone()),
        title: "plan".to_owned(),
        content_type: "text/markdown".to_owned(),
        content: content.to_owned(),
        retry_key: None,
    }
}

fn reader(user: &str) -> Reader {
    Reader { user: user.to_owned(), is_auditor: false }
}

async fn write(documents: &Documents, at: u64, draft: Draft) -> Version {
    documents.write(draft, UnixMillis(at)).await.unwrap()
}

async fn content(documents: &Documents, user: &str, version: &Version) -> Option<String> {
    documents.read(reader(user), version.mem_id.clone()).await.unwrap().map(|document| document.content)
}

/// The numbers of a history, negative where there is a gap.
async fn numbers(
    documents: &Documents,
    user: &str,
    of: &Version,
    before: Option<u32>,
    limit: usize,
) -> Vec<i64> {
    let past = documents.history(reader(user), of.mem_id.clone(), before, limit).await.unwrap();
    let number = |past: Past| match past {
        Past::Readable(version) => i64::from(version.version),
        Past::Gap { version, gap } => {
            assert!(gap);
            -i64::from(version)
        }
    };
    past.map_or_else(Vec::new, |past| past.into_iter().map(number).collect())
}

async fn owned(documents: &Documents, owner: &'static str) -> Option<(u64, u64)> {
    let sql = "SELECT rows, bytes FROM document_owners WHERE owner = ?";
    let read = documents.store.read(move |connection| {
        let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        Ok::<_, Error>(connection.query_row(sql, [owner], row).optional()?)
    });
    read.await.unwrap()
}

#[tokio::test]
async fn versions_are_kept_with_their_parent_and_the_hash_of_their_content() {
    let (_folder, documents) = documents();
    let first = write(&documents, 1, draft("alice", "hello", None)).await;
    let second = write(&documents, 2, draft("alice", "hello", Some(&first))).await;
    assert_eq!(first.sha256, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    assert_eq!((first.version, &first.parent, first.bytes), (1, &None, 5));
    assert_eq!((second.version, &second.parent), (2, &Some(first.mem_id.clone())));
    assert_ne!(first.mem_id, second.mem_id, "the same text is another version");
    let document = documents.read(reader("alice"), second.mem_id.clone()).await.unwrap().unwrap();
    assert_eq!((&document.version, document.content.as_str()), (&second, "hello"));
    assert!(!format!("{document:?} {:?}", draft("alice", "hello", None)).contains("hello"));
}

#[tokio::test]
async fn a_version_is_its_owners_alone() {
    let (_folder, documents) = documents();
    let plan = write(&documents, 1, draft("alice", "hello", None)).await;
    assert_eq!(content(&documents, "alice", &plan).await.as_deref(), Some("hello"));
    for user in ["bob", "", "Alice", "alice ", "%", "' OR 1=1 --"] {
        assert_eq!(content(&documents, user, &plan).await, None, "{user}");
        assert!(numbers(&documents, user, &plan, None, 10).await.is_empty());
        assert!(!documents.forget(user.to_owned(), plan.mem_id.clone()).await.unwrap());
        assert!(documents.list(user.to_owned(), None, 10).await.unwrap().is_empty());
        let refused = documents.write(draft(user, "x", Some(&plan)), UnixMillis(2)).await;
        assert_eq!(refused, Err(Error::NoParent));
    }
    let auditor = Reader { user: "eve".to_owned(), is_auditor: true };
    assert!(documents.read(auditor, plan.mem_id.clone()).await.unwrap().is_some());
    assert!(documents.read(reader("alice"), MemId::random().unwrap()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_tasks_parties_read_what_its_owner_handed_over_and_nothing_else() {
    let (_folder, documents) = documents();
    let shares = documents.shares();
    let plan = write(&documents, 1, draft("alice", "plan", None)).await;
    let other = write(&documents, 2, draft("alice", "other", Some(&plan))).await;
    let share = |mem_id: &MemId, owner: &str, parties: &[&str], task: &str| {
        let parties = parties.iter().map(|&party| party.to_owned()).collect();
        shares.share(mem_id.clone(), owner.to_owned(), parties, task.to_owned(), UnixMillis(3))
    };
    // Nobody hands over what is another's, or what there is not.
    assert_eq!(share(&plan.mem_id, "bob", &["bob"], "t-0").await, Err(shares::Error::NotOwn));
    assert_eq!(share(&MemId::random().unwrap(), "bob", &["bob"], "t-0").await, Err(shares::Error::NotOwn));
    for _ in 0..2 {
        share(&plan.mem_id, "alice", &["coder", "tester"], "t-1").await.unwrap();
    }
    share(&plan.mem_id, "alice", &["coder"], "t-2").await.unwrap();
    for (user, of, expected) in [
        ("coder", &plan, true),
        ("tester", &plan, true),
        ("alice", &plan, true),
        ("bob", &plan, false),
        ("t-1", &plan, false),
        ("coder", &other, false),
    ] {
        assert_eq!(shares.may_read(of.mem_id.clone(), user.to_owned()).await, Ok(expected), "{user}");
        assert_eq!(content(&documents, user, of).await.is_some(), expected, "{user}");
    }
    // Who may read may neither hand on nor forget.
    assert_eq!(share(&plan.mem_id, "coder", &["bob"], "t-3").await, Err(shares::Error::NotOwn));
    assert!(!documents.forget("coder".to_owned(), plan.mem_id.clone()).await.unwrap());
    // It goes on with it, and that is its own.
    let code = write(&documents, 4, draft("coder", "code", Some(&plan))).await;
    assert_eq!(code.version, 2);
    assert_eq!(numbers(&documents, "coder", &code, None, 10).await, [2, 1]);
    assert_eq!(content(&documents, "alice", &code).await, None);
    // What one task gave, another one's end does not take.
    for (task, coder) in [("t-1", true), ("t-2", false)] {
        shares.end(plan.mem_id.clone(), "bob".to_owned(), task.to_owned()).await.unwrap();
        assert!(content(&documents, "coder", &plan).await.is_some(), "another ends nothing");
        shares.end(plan.mem_id.clone(), "alice".to_owned(), task.to_owned()).await.unwrap();
        assert_eq!(content(&documents, "coder", &plan).await.is_some(), coder);
        assert_eq!(content(&documents, "tester", &plan).await, None);
    }
    assert_eq!(numbers(&documents, "coder", &code, None, 10).await, [2, -1], "no longer for it");
    let many: Vec<String> = (0..=MAX_PARTIES).map(|n| format!("u-{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(share(&plan.mem_id, "alice", &many, "t").await, Err(shares::Error::Many));
}

#[tokio::test]
async fn a_document_has_so_many_shares_and_no_more() {
    let (_folder, documents) = documents();
    let plan = write(&documents, 1, draft("alice", "plan", None)).await;
    let mut done = 0;
    let refused = loop {
        let parties = (0..MAX_PARTIES).map(|n| format!("u-{done}-{n}")).collect();
        let shares = documents.shares();
        let shared =
            shares.share(plan.mem_id.clone(), "alice".into(), parties, "t".into(), UnixMillis(1)).await;
        match shared {
            Ok(()) => done += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((done, refused), (16, shares::Error::Many));
    assert_eq!(content(&documents, "u-16-0", &plan).await, None, "nothing of the call that failed is kept");
}

#[tokio::test]
async fn what_was_forgotten_leaves_a_gap_while_later_versions_name_it() {
    let (_folder, documents) = documents();
    let first = write(&documents, 1, draft("alice", "one", None)).await;
    let second = write(&documents, 2, draft("alice", "two", Some(&first))).await;
    let third = write(&documents, 3, draft("alice", "three", Some(&second))).await;
    let other = write(&documents, 4, draft("alice", "other", Some(&first))).await;
    documents
        .shares()
        .share(second.mem_id.clone(), "alice".into(), vec!["bob".into()], "t".into(), UnixMillis(5))
        .await
        .unwrap();
    let forget = |version: &Version| documents.forget("alice".to_owned(), version.mem_id.clone());
    assert!(forget(&second).await.unwrap());
    assert!(!forget(&second).await.unwrap(), "once");
    for user in ["alice", "bob"] {
        assert_eq!(content(&documents, user, &second).await, None);
    }
    assert_eq!(numbers(&documents, "alice", &third, None, 10).await, [3, -2, 1]);
    assert!(numbers(&documents, "alice", &second, None, 10).await.is_empty());
    assert_eq!(
        documents.write(draft("alice", "x", Some(&second)), UnixMillis(6)).await,
        Err(Error::NoParent)
    );
    assert_eq!(owned(&documents, "alice").await, Some((4, 3 + 5 + 5)));
    // With the last that names it the empty row goes too, but not what another line stands on.
    assert!(forget(&third).await.unwrap());
    assert_eq!(owned(&documents, "alice").await, Some((2, 3 + 5)));
    assert!(forget(&first).await.unwrap());
    assert_eq!(numbers(&documents, "alice", &other, None, 10).await, [2, -1]);
    assert!(forget(&other).await.unwrap());
    assert_eq!(owned(&documents, "alice").await, None);
}

#[tokio::test]
async fn old_versions_go_and_later_ones_stay() {
    let (_folder, documents) = documents();
    let mut last = None;
    for at in 1..=450 {
        last = Some(write(&documents, at, draft("alice", "x", last.as_ref())).await);
    }
    let bobs = write(&documents, 1, draft("bob", "x", None)).await;
    assert_eq!(documents.expire(UnixMillis(449)).await, Ok(449));
    assert_eq!(documents.expire(UnixMillis(449)).await, Ok(0));
    assert_eq!(content(&documents, "bob", &bobs).await, None);
    assert_eq!(numbers(&documents, "alice", &last.unwrap(), None, 4).await, [450, 449, -448, -447]);
    assert_eq!(documents.expire(UnixMillis(1000)).await, Ok(2));
    assert_eq!(owned(&documents, "alice").await, None);
}

#[tokio::test]
async fn pages_hold_every_version_once() {
    let (_folder, documents) = documents();
    let mut last = None;
    for at in 0..7 {
        // Some at the same time.
        last = Some(write(&documents, at / 3, draft("alice", "x", last.as_ref())).await);
    }
    let last = last.unwrap();
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = documents.list("alice".to_owned(), before.clone(), 2).await.unwrap();
        let Some(end) = page.last() else { break };
        before = Some((end.created, end.mem_id.as_str().to_owned()));
        seen.extend(page.iter().map(|version| version.version));
    }
    seen.sort_unstable();
    assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(numbers(&documents, "alice", &last, None, 3).await, [7, 6, 5]);
    assert_eq!(numbers(&documents, "alice", &last, Some(5), 3).await, [4, 3, 2]);
    assert_eq!(numbers(&documents, "alice", &last, Some(2), 3).await, [1]);
    assert!(numbers(&documents, "alice", &last, Some(1), 3).await.is_empty());
}

#[tokio::test]
async fn a_retry_writes_nothing_again() {
    let (_folder, documents) = documents();
    let keyed =
        |owner: &str, content: &str| Draft { retry_key: Some("k".to_owned()), ..draft(owner, content, None) };
    let first = write(&documents, 1, keyed("alice", "one")).await;
    assert_eq!(write(&documents, 2, keyed("alice", "one")).await, first);
    assert_eq!(documents.write(keyed("alice", "two"), UnixMillis(3)).await, Err(Error::OtherWork));
    assert_ne!(
        write(&documents, 4, keyed("bob", "one")).await.mem_id,
        first.mem_id,
        "another's key is another's"
    );
    assert!(documents.forget("alice".to_owned(), first.mem_id.clone()).await.unwrap());
    assert_ne!(write(&documents, 5, keyed("alice", "two")).await.mem_id, first.mem_id);
}

#[tokio::test]
async fn there_is_a_most_of_versions_and_of_what_one_owner_has() {
    let (_folder, documents) = documents();
    let plan = write(&documents, 1, draft("alice", "plan", None)).await;
    let set = |sql: &'static str| {
        documents.store.write(move |connection| Ok::<_, Error>(connection.execute(sql, [])?))
    };
    set("UPDATE documents SET version = 10000").await.unwrap();
    assert_eq!(documents.write(draft("alice", "x", Some(&plan)), UnixMillis(2)).await, Err(Error::LongChain));
    for sql in [
        "UPDATE document_owners SET rows = 100000 WHERE owner = 'alice'",
        "UPDATE document_owners SET rows = 1, bytes = 1073741824 WHERE owner = 'alice'",
    ] {
        set(sql).await.unwrap();
        assert_eq!(documents.write(draft("alice", "x", None), UnixMillis(2)).await, Err(Error::Full));
        write(&documents, 3, draft("bob", "x", None)).await;
    }
    assert_eq!(documents.list("alice".to_owned(), None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn texts_that_look_like_sql_are_texts() {
    let (folder, documents) = documents();
    let odd = "'; DROP TABLE documents; --\u{0}\u{1f600}\"";
    let version = write(&documents, 1, Draft { title: odd.into(), ..draft(odd, odd, None) }).await;
    assert_eq!(content(&documents, odd, &version).await.as_deref(), Some(odd));
    // And all of it is there for the next process.
    let again = Documents::open(&folder.path().join(FILE_NAME)).unwrap();
    assert_eq!(content(&again, odd, &version).await.as_deref(), Some(odd));
}

#[test]
fn an_id_has_128_random_bits() {
    let (one, other) = (MemId::random().unwrap(), MemId::random().unwrap());
    assert_ne!(one, other);
    assert_eq!(MemId::parse(one.as_str()), Some(one));
    for bad in ["", "x", &"A".repeat(32), &"g".repeat(32), &"a".repeat(31), &"a".repeat(33), &"ä".repeat(16)]
    {
        assert_eq!(MemId::parse(bad), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_an_id_panic(text in ".{0,40}") {
        let _ = MemId::parse(&text);
    }
}
