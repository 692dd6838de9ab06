use attach_core::mirror::{MemoryEvent, Object};
use proptest::prelude::*;

use super::*;
use crate::supervise::tests::Folder;

fn embedded(name: &str) -> (Folder, Embedded) {
    let folder = Folder::new(&format!("memory-{name}"));
    let embedded = Embedded::open(&folder.path().join(FILE_NAME)).unwrap();
    (folder, embedded)
}

fn record(key: &str, owner: &str, at: u64, content: &str) -> Record {
    let event = MemoryEvent {
        timestamp: UnixMillis(at),
        event: "prompt".into(),
        session_id: format!("{:0<64}", if owner == "alice" { "a1" } else { "b2" }),
        user: owner.into(),
        owner: owner.into(),
        role: "user".into(),
        content: content.into(),
        tokens: 7,
        truncated: at % 2 == 1,
        request_id: key.into(),
        ..MemoryEvent::default()
    };
    Record { object: Object::new(key, event, true), vector: None }
}

fn of(owner: &str) -> Reach {
    Reach::Owner(owner.to_owned())
}

fn all(limit: usize) -> Page {
    Page { limit, before: None, session: None }
}

fn keys(found: &[Stored]) -> Vec<&str> {
    found.iter().map(|stored| stored.event.request_id.as_str()).collect()
}

async fn search(embedded: &Embedded, reach: Reach, query: &str) -> Vec<Stored> {
    embedded.search(reach, query.to_owned(), None, 100).await.unwrap()
}

#[tokio::test]
async fn what_was_put_is_there_when_it_is_opened_again_and_a_repeat_changes_nothing() {
    let (_folder, embedded) = embedded("again");
    let records = vec![record("1", "alice", 5, "one \0 two"), record("2", "alice", 6, "two")];
    assert_eq!(embedded.put(records.clone()).await, Ok(vec![]));
    let mut changed = records.clone();
    changed[0].object.properties.content = "other".into();
    changed[1].object.properties.owner = "mallory".into();
    assert_eq!(embedded.put(changed).await, Ok(vec![]));
    // Twice in one batch as well.
    let twice = vec![record("3", "alice", 7, "three"), record("3", "alice", 7, "three")];
    assert_eq!(embedded.put(twice).await, Ok(vec![]));
    for embedded in [embedded.clone(), Embedded::open(embedded.path()).unwrap()] {
        let found = embedded.list(of("alice"), all(10)).await.unwrap();
        assert_eq!(keys(&found), ["3", "2", "1"]);
        assert_eq!(found[2].event, records[0].object.properties);
        assert_eq!(found[2].id, records[0].object.id);
        assert_eq!(keys(&search(&embedded, of("alice"), "two").await).len(), 2);
        assert!(search(&embedded, of("alice"), "other").await.is_empty());
        assert!(embedded.list(of("mallory"), all(10)).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn nobody_sees_what_is_another_s_whatever_he_asks() {
    let (_folder, embedded) = embedded("owners");
    let secret = record("secret", "bob", 5, "the swordfish password");
    let id = secret.object.id.clone();
    let session = secret.object.properties.session_id.clone();
    let nobody = record("nobody", "", 6, "swordfish of nobody");
    embedded.put(vec![secret, nobody, record("mine", "alice", 5, "swordfish and mine")]).await.unwrap();
    for owner in
        ["alice", "bo", "bob ", "BOB", "bob\0", "b%", "b*", "' OR '1'='1", "", "\u{a7}bob", "bob\" OR \"1"]
    {
        let own: &[&str] = if owner == "alice" { &["mine"] } else { &[] };
        assert_eq!(keys(&embedded.list(of(owner), all(100)).await.unwrap()), own, "{owner}");
        for filter in
            [SessionFilter::Whole(session.clone()), SessionFilter::Beginning(format!("{:0<16}", "b2"))]
        {
            let page = Page { session: Some(filter.clone()), ..all(100) };
            assert_eq!(embedded.list(of(owner), page).await, Ok(vec![]), "{owner}");
            assert_eq!(embedded.forget(owner.into(), Some(filter)).await, Ok(0), "{owner}");
        }
        assert_eq!(embedded.get(of(owner), id.clone()).await, Ok(None), "{owner}");
        for query in [
            "swordfish",
            "\"swordfish\" OR password",
            "text:swordfish",
            "sword*",
            "^swordfish",
            "swordfish) OR (x",
            "NEAR(swordfish password, 5)",
            "swordfish NOT mine",
            "swordfish'; DROP TABLE events; --",
            "%",
            "_",
            "",
            "\0",
            "swordfish\0password",
            "swordfish\u{a1}\" OR \"swordfish",
            "rowid:0 swordfish",
        ] {
            let found = search(&embedded, of(owner), query).await;
            assert!(keys(&found).iter().all(|key| own.contains(key)), "{owner} {query}");
        }
        if owner != "alice" {
            assert_eq!(embedded.forget(owner.into(), None).await, Ok(0), "{owner}");
        }
    }
    assert_eq!(keys(&search(&embedded, of("bob"), "swordfish").await), ["secret"]);
    assert_eq!(embedded.list(Reach::Everyone, all(100)).await.unwrap().len(), 3);
    assert_eq!(search(&embedded, Reach::Everyone, "SWORDFISH").await.len(), 3);
    assert!(embedded.get(Reach::Everyone, id.to_uppercase()).await.unwrap().is_some());
    assert_eq!(embedded.forget("alice".into(), None).await, Ok(1));
    assert_eq!(keys(&embedded.list(of("bob"), all(100)).await.unwrap()), ["secret"]);
}

#[tokio::test]
async fn a_text_is_the_better_the_more_and_the_rarer_words_it_has_and_the_newer_it_is() {
    let (_folder, embedded) = embedded("rank");
    let texts = [
        ("common", "the cat"),
        ("both", "the cat saw a zebra"),
        ("rare", "a zebra"),
        ("often", "zebra zebra zebra"),
        ("newer", "the dog"),
        ("accent", "Café Zürich ДОМ 日本語"),
    ];
    let records = texts.iter().zip(1..).map(|((key, text), at)| record(key, "alice", at, text));
    embedded.put(records.collect()).await.unwrap();
    for (query, expected) in [
        ("zebra", &["often", "rare", "both"][..]),
        ("cat zebra", &["both", "often", "rare", "common"]),
        ("the", &["newer", "common", "both"]),
        ("ZÜRICH", &["accent"]),
        ("zurich", &["accent"]),
        ("cafe\u{301}", &["accent"]),
        ("дом", &["accent"]),
        ("本語", &["accent"]),
        ("本", &["accent"]),
        ("zeb", &[]),
    ] {
        let found = search(&embedded, of("alice"), query).await;
        let mut found = keys(&found);
        if query == "zebra" || query == "cat zebra" || query == "the" {
            // The first is what matters; the rest is there.
            assert_eq!(found[0], expected[0], "{query}: {found:?}");
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, expected, "{query}");
        } else {
            assert_eq!(found, expected, "{query}");
        }
    }
    let long = "zebra ".repeat(100_000) + &"x".repeat(1 << 20);
    assert_eq!(search(&embedded, of("alice"), &long).await.len(), 3);
    assert_eq!(embedded.search(of("alice"), "zebra".into(), None, 1).await.unwrap().len(), 1);
    assert_eq!(embedded.search(of("alice"), "zebra".into(), None, 0).await.unwrap().len(), 0);
}

#[tokio::test]
async fn meaning_joins_in_where_it_is_known() {
    let (_folder, embedded) = embedded("meaning");
    let with = |key: &str, vector: Option<Vec<f32>>| Record { vector, ..record(key, "alice", 5, "zebra") };
    let records = vec![
        with("far", Some(vec![0.0, 1.0])),
        with("near", Some(vec![1.0, 0.1])),
        with("none", None),
        with("longer", Some(vec![1.0, 0.0, 0.0])),
    ];
    embedded.put(records).await.unwrap();
    let ask = |vector: Option<Vec<f32>>| embedded.search(of("alice"), "zebra".into(), vector, 10);
    let found = ask(Some(vec![1.0, 0.0])).await.unwrap();
    assert_eq!((keys(&found)[0], found.len()), ("near", 4));
    assert_eq!(keys(&ask(Some(vec![0.0, 1.0])).await.unwrap())[0], "far");
    let plain = ask(None).await.unwrap();
    for odd in [vec![], vec![1.0], vec![f32::NAN, 1.0], vec![0.0, 0.0]] {
        assert_eq!(ask(Some(odd)).await.unwrap(), plain);
    }
}

/// Whether some of the bytes stand in the database or its log.
fn holds(embedded: &Embedded, bytes: &[u8]) -> bool {
    let log = embedded.path().with_file_name(format!("{FILE_NAME}-wal"));
    let files = [std::fs::read(embedded.path()).unwrap(), std::fs::read(log).unwrap_or_default()];
    files.iter().any(|file| file.windows(bytes.len()).any(|window| window == bytes))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_is_off_the_disk_and_out_of_the_index() {
    let (_folder, embedded) = embedded("forget");
    let many = (0..700).map(|n| record(&format!("a{n}"), "alice", n, &format!("swordfish number{n}")));
    embedded.put(many.collect()).await.unwrap();
    let mut other = record("session", "alice", 9, "marlin");
    other.object.properties.session_id = "c3".repeat(32);
    let mut near = record("near", "alice", 9, "sturgeon");
    near.object.properties.session_id = "c3".repeat(31) + "00";
    embedded.put(vec![other, near, record("bob", "bob", 9, "swordfish haddock")]).await.unwrap();

    let whole = SessionFilter::Whole("c3".repeat(32));
    assert_eq!(embedded.forget("alice".into(), Some(whole)).await, Ok(1));
    assert!(search(&embedded, of("alice"), "marlin").await.is_empty());
    assert_eq!(search(&embedded, of("alice"), "sturgeon").await.len(), 1);
    let beginning = SessionFilter::Beginning("c3".repeat(8));
    assert_eq!(embedded.forget("alice".into(), Some(beginning)).await, Ok(1));
    assert_eq!(embedded.forget("alice".into(), None).await, Ok(700));
    for reach in [of("alice"), Reach::Everyone] {
        assert!(search(&embedded, reach.clone(), "number7").await.is_empty());
        assert!(embedded.list(reach, all(10)).await.unwrap().iter().all(|found| found.event.owner == "bob"));
    }
    // New ones do not bring the old ones back, nor go with them.
    embedded.put(vec![record("new", "alice", 10, "swordfish anew")]).await.unwrap();
    tidy::purge(&embedded.store).await.unwrap();
    tidy::wipe(&embedded.store).await.unwrap();
    assert_eq!(keys(&search(&embedded, of("alice"), "swordfish").await), ["new"]);
    assert_eq!(keys(&search(&embedded, of("bob"), "swordfish").await), ["bob"]);
    let count = |sql: &'static str| {
        embedded
            .store
            .read(move |connection| Ok::<i64, store::Error>(connection.query_row(sql, [], |row| row.get(0))?))
    };
    assert_eq!(count("SELECT count(*) FROM events").await, Ok(2));
    assert_eq!(count("SELECT count(*) FROM owners").await, Ok(2));
    assert_eq!(count("SELECT count(*) FROM words_docsize").await, Ok(2));
    let wiped = embedded.store.write(|connection| {
        connection.execute("INSERT INTO words (words) VALUES ('integrity-check')", [])?;
        Ok::<(), store::Error>(())
    });
    wiped.await.unwrap();
    // The log is emptied into the file, as it is now and then.
    let other = store::rusqlite::Connection::open(embedded.path()).unwrap();
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    assert!(holds(&embedded, b"haddock"), "it is looked for where texts are");
    for word in ["marlin", "sturgeon", "number7"] {
        assert!(!holds(&embedded, word.as_bytes()), "{word}");
    }
}

#[tokio::test]
async fn what_is_too_old_goes_whosever_it_is() {
    let (_folder, embedded) = embedded("expire");
    let owners = ["alice", "bob", ""];
    let many = (0..600).map(|n| record(&format!("{n}"), owners[n as usize % 3], n, "swordfish"));
    embedded.put(many.collect()).await.unwrap();
    assert_eq!(embedded.expire(UnixMillis(300)).await, Ok(300));
    assert_eq!(embedded.expire(UnixMillis(300)).await, Ok(0));
    assert_eq!(embedded.list(Reach::Everyone, all(1000)).await.unwrap().len(), 300);
    assert_eq!(search(&embedded, of("alice"), "swordfish").await.len(), 100);
    assert_eq!(embedded.expire(UnixMillis(u64::MAX)).await, Ok(300));
}

#[tokio::test]
async fn what_cannot_be_kept_is_named_without_its_text_and_holds_up_nothing() {
    let (_folder, embedded) = embedded("rejected");
    let bad = |change: fn(&mut Object)| {
        let mut record = record("bad", "alice", 5, "hunter2");
        change(&mut record.object);
        record
    };
    let records = vec![
        bad(|object| object.class = "Other".into()),
        bad(|object| object.id = "no uuid".into()),
        bad(|object| object.id = "é".repeat(18)),
        bad(|object| object.properties.timestamp = UnixMillis(u64::MAX)),
        bad(|object| object.properties.content = "hunter2".repeat(200_000)),
        bad(|object| object.properties.model = "hunter2".repeat(1_000)),
        bad(|object| object.properties.session_id = "hunter2\0".into()),
        record("good", "alice", 5, "kept"),
    ];
    let rejected = embedded.put(records).await.unwrap();
    let wrong = ["class", "id", "id", "timestamp", "content", "model", "session_id"];
    assert_eq!(rejected.len(), wrong.len());
    for (rejected, wrong) in rejected.iter().zip(wrong) {
        assert!(rejected.error.contains(wrong) && !rejected.error.contains("hunter2"), "{rejected:?}");
    }
    assert_eq!(keys(&embedded.list(of("alice"), all(10)).await.unwrap()), ["good"]);
}

#[tokio::test]
async fn a_cursor_that_is_none_is_no_error() {
    let (_folder, embedded) = embedded("cursor");
    embedded.put(vec![record("1", "alice", 5, ""), record("2", "alice", 6, "")]).await.unwrap();
    for (at, id, expected) in
        [(6, "", &["1"][..]), (6, "' OR 1", &["1"]), (u64::MAX, "x", &["2", "1"]), (0, "\0", &[])]
    {
        let page = Page { before: Some((UnixMillis(at), id.to_owned())), ..all(10) };
        assert_eq!(keys(&embedded.list(of("alice"), page).await.unwrap()), expected, "{at} {id}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn pages_are_what_a_list_would_be(
        events in prop::collection::vec((0_u64..6, 0_usize..3, 0_usize..2), 0..40),
        limit in 1_usize..7,
        reach in 0_usize..3,
        session in prop::option::of(0_usize..2),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = Folder::new("memory-pages");
            let embedded = Embedded::open(&folder.path().join(FILE_NAME)).unwrap();
            let (owners, sessions) = (["alice", "bob", ""], ["a".repeat(64), "a".repeat(16) + &"b".repeat(48)]);
            let mut model = Vec::new();
            for (n, (at, owner, session)) in events.iter().enumerate() {
                let mut record = record(&n.to_string(), owners[*owner], *at, "x");
                record.object.properties.session_id = sessions[*session].clone();
                model.push(Stored { id: record.object.id.clone(), event: record.object.properties.clone() });
                embedded.put(vec![record]).await.unwrap();
            }
            let reach = [of("alice"), of("bob"), Reach::Everyone][reach].clone();
            model.retain(|stored| match &reach {
                Reach::Everyone => true,
                Reach::Owner(owner) => stored.event.owner == *owner,
            } && session.is_none_or(|session| stored.event.session_id == sessions[session]));
            model.sort_by_key(|stored| std::cmp::Reverse((stored.event.timestamp.0, stored.id.clone())));
            let mut found: Vec<Stored> = Vec::new();
            loop {
                let before = found.last().map(|last| (last.event.timestamp, last.id.clone()));
                let session = session.map(|session| SessionFilter::Whole(sessions[session].clone()));
                let page = embedded.list(reach.clone(), Page { limit, before, session }).await.unwrap();
                let count = page.len();
                found.extend(page);
                if count < limit {
                    break;
                }
            }
            assert_eq!(found, model);
        });
    }

    #[test]
    fn no_text_and_no_query_breaks_it(texts in prop::collection::vec("\\PC{0,40}|(?s:.{0,20})", 1..6)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = Folder::new("memory-texts");
            let embedded = Embedded::open(&folder.path().join(FILE_NAME)).unwrap();
            let records = texts.iter().enumerate();
            let records = records.map(|(n, text)| record(&n.to_string(), "alice", n as u64, text));
            embedded.put(records.collect()).await.unwrap();
            for (n, text) in texts.iter().enumerate() {
                let found = search(&embedded, of("alice"), text).await;
                let has_words = !words::terms(text).is_empty();
                assert_eq!(keys(&found).contains(&n.to_string().as_str()), has_words, "{text:?}");
                assert!(search(&embedded, of("bob"), text).await.is_empty());
            }
        });
    }
}
