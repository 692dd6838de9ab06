use std::collections::BTreeSet;

use super::*;

const T: u64 = 1_709_251_199_999;

#[tokio::test]
async fn what_is_put_is_found_by_its_owner_alone_until_it_is_forgotten() {
    let Some(server) = Server::start("own", &[]).await else { return };
    let weaviate = server.weaviate(false);
    // Two at once, as two controls would.
    let other = server.weaviate(false);
    let (one, two) = tokio::join!(weaviate.prepare(), other.prepare());
    assert_eq!((one, two), (Ok(()), Ok(())));

    // Names that a careless filter would take for each other, or for a part of its own text.
    let names = [
        "alice",
        "Alice",
        "alice bob",
        "ali",
        "the",
        "a",
        "auth0|x",
        "al\"ice",
        "al\\ice",
        "\\\"",
        "a\nb",
        "§team-a",
        "}]){_additional{id}}",
        "*",
        "a*",
        "emoji 😀",
        "nul\0x",
        "a\u{2028}b",
        "user@example.com",
    ];
    let mut records = Vec::new();
    for (at, name) in names.iter().enumerate() {
        records.push(record(&format!("k{at}"), event(name, T + at as u64, &format!("fox number{at}"))));
    }
    let all = records.clone();
    assert_eq!(weaviate.put(records.clone()).await, Ok(vec![]));
    assert_eq!(weaviate.put(records).await, Ok(vec![]), "twice is once");
    for (at, name) in names.iter().enumerate() {
        let stored = &all[at].object;
        let expected = Stored { id: stored.id.clone(), event: stored.properties.clone() };
        assert_eq!(weaviate.list(owner(name), page(10)).await, Ok(vec![expected.clone()]), "{name}");
        assert_eq!(
            weaviate.search(owner(name), "fox".to_owned(), None, 10).await,
            Ok(vec![expected.clone()])
        );
        let got = weaviate.get(owner(name), stored.id.to_uppercase()).await;
        assert_eq!(got, Ok(Some(expected)), "{name}");
        let theirs = &all[(at + 1) % all.len()].object.id;
        assert_eq!(weaviate.get(owner(name), theirs.clone()).await, Ok(None), "a guessed id");
    }
    assert_eq!(weaviate.list(Reach::Everyone, page(100)).await.unwrap().len(), names.len());
    // Weaviate drops spaces around a value, so that whoever has such a name could be taken for somebody else.
    for name in ["", " alice", "alice\u{2028}"] {
        assert!(matches!(weaviate.list(owner(name), page(10)).await, Err(Error::Refused(_))), "{name:?}");
        assert_eq!(
            weaviate.put(vec![record("space", event(name, T, "x"))]).await.unwrap().len(),
            1,
            "{name:?}"
        );
    }
    // A query is one, whatever stands in it.
    for query in names {
        let found = weaviate.search(owner("alice"), query.to_owned(), None, 10).await.unwrap();
        assert!(found.iter().all(|stored| stored.event.owner == "alice"), "{query}");
    }
    for bad in ["", "x", "../../schema", "00000000-0000-0000-0000-00000000000?", "%2e%2e"] {
        assert_eq!(weaviate.get(Reach::Everyone, bad.to_owned()).await, Ok(None), "{bad}");
    }
    assert_eq!(weaviate.forget("al\"ice".to_owned(), None).await, Ok(1));
    assert_eq!(weaviate.forget("nobody".to_owned(), None).await, Ok(0));
    assert_eq!(server.count().await, names.len() as u64 - 1);
    assert_eq!(weaviate.expire(UnixMillis(T + 5)).await, Ok(5));
    assert_eq!(server.count().await, names.len() as u64 - 6);
}

#[tokio::test]
async fn pages_hold_every_event_once_whatever_happened_at_the_same_moment() {
    let Some(server) = Server::start("pages", &[]).await else { return };
    let weaviate = server.weaviate(false);
    // Groups of one moment, some longer than a page.
    let records: Vec<Record> = (0..60_u64)
        .map(|n| {
            let mut event = event("alice", T - n / 13, &format!("{n}"));
            if n % 2 == 1 {
                event.session_id = SESSION.replacen('0', "f", 1);
            }
            record(&format!("k{n}"), event)
        })
        .collect();
    assert_eq!(weaviate.put(records).await, Ok(vec![]));
    weaviate.put(vec![record("other", event("bob", T, "x"))]).await.unwrap();
    for (session, count) in [
        (None, 60),
        (Some(SessionFilter::Whole(SESSION.to_owned())), 30),
        (Some(SessionFilter::Beginning(SESSION.chars().take(16).collect())), 30),
        (Some(SessionFilter::Beginning("0123456789abcde*".to_owned())), 0),
        (Some(SessionFilter::Whole("*".to_owned())), 0),
    ] {
        for limit in [1, 7, 60, 1000] {
            let (mut found, mut before) = (Vec::new(), None);
            loop {
                let page = Page { limit, before: before.clone(), session: session.clone() };
                let stored = weaviate.list(owner("alice"), page).await.unwrap();
                let Some(last) = stored.last() else { break };
                assert!(stored.len() <= limit);
                before = Some((last.event.timestamp, last.id.clone()));
                found.extend(stored);
            }
            assert!(found.iter().all(|stored| stored.event.owner == "alice"));
            let keys: Vec<_> =
                found.iter().map(|stored| (stored.event.timestamp, stored.id.clone())).collect();
            assert!(keys.is_sorted_by(|a, b| a > b), "{session:?} {limit}");
            assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), count, "{session:?} {limit}");
        }
    }
    let forgotten = weaviate
        .forget("alice".to_owned(), Some(SessionFilter::Beginning(SESSION.chars().take(16).collect())));
    assert_eq!(forgotten.await, Ok(30));
    assert_eq!(weaviate.forget("alice".to_owned(), None).await, Ok(30));
    assert_eq!(server.count().await, 1);
}

#[tokio::test]
async fn vectors_join_in_and_one_of_another_length_costs_no_event() {
    let Some(server) = Server::start("vectors", &[]).await else { return };
    let weaviate = server.weaviate(false);
    let with = |key: &str, text: &str, vector: Vec<f32>| Record {
        vector: Some(vector),
        ..record(key, event("alice", T, text))
    };
    let records = vec![with("a", "a red fox", vec![1.0, 0.0]), with("b", "a blue sky", vec![0.0, 1.0])];
    assert_eq!(weaviate.put(records).await, Ok(vec![]));
    let nearest =
        weaviate.search(owner("alice"), "zebra".to_owned(), Some(vec![0.1, 1.0]), 10).await.unwrap();
    assert_eq!(contents(&nearest)[0], "a blue sky", "by meaning alone");
    let other =
        vec![with("c", "three numbers", vec![0.0, 1.0, 1.0]), with("d", "two numbers", vec![0.0, 0.5])];
    assert_eq!(weaviate.put(other).await, Ok(vec![]));
    assert_eq!(server.count().await, 4);
    let found =
        weaviate.search(owner("alice"), "numbers".to_owned(), Some(vec![0.1, 1.0, 1.0]), 10).await.unwrap();
    assert_eq!(found.len(), 2, "a query of another length is answered by words");
}

#[tokio::test]
async fn the_class_that_the_original_made_goes_on() {
    let Some(server) = Server::start("original", &[]).await else { return };
    let old = json!({"class": "MemoryEvent", "properties": {
        "timestamp": "2024-01-01T00:00:00.000+00:00", "event": "a2a", "session_id": SESSION, "user": "alice bob",
        "task_id": "t", "role": "planner", "content": "an old fox",
    }});
    assert_eq!(server.raw(Method::POST, "/v1/objects", Some(old)).await.0, 200);
    let weaviate = server.weaviate(false);
    assert_eq!(weaviate.prepare().await, Ok(()));
    assert_eq!(server.weaviate(false).prepare().await, Ok(()), "and once more");
    let new = record("k", event("alice", T, "a new fox"));
    assert_eq!(weaviate.put(vec![new]).await, Ok(vec![]));
    // `user` is tokenized by word there: "alice" would find "alice bob".
    assert_eq!(contents(&weaviate.list(owner("alice"), page(10)).await.unwrap()), ["a new fox"]);
    let found = weaviate.search(owner("alice"), "fox".to_owned(), None, 10).await.unwrap();
    assert_eq!(contents(&found), ["a new fox"]);
    assert_eq!(
        contents(&weaviate.list(Reach::Everyone, page(10)).await.unwrap()),
        ["a new fox", "an old fox"]
    );
    let stop_word = weaviate.list(owner("the"), page(10)).await;
    assert!(matches!(&stop_word, Err(Error::Refused(text)) if text.contains("stopwords")), "{stop_word:?}");
    let with_tenants = server.weaviate(true).prepare().await.unwrap_err().to_string();
    assert!(with_tenants.contains("WEAVIATE_TENANCY"), "{with_tenants}");
}

#[tokio::test]
async fn a_class_that_takes_no_events_of_ours_is_refused_and_a_new_one_is_made_when_it_is_gone() {
    let Some(server) = Server::start("types", &[]).await else { return };
    let old = json!({"class": "MemoryEvent", "properties": {"timestamp": 1_700_000_000.5, "content": "x"}});
    assert_eq!(server.raw(Method::POST, "/v1/objects", Some(old)).await.0, 200);
    let weaviate = server.weaviate(false);
    let error = weaviate.put(vec![record("k", event("alice", T, "x"))]).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(text) if text.contains("timestamp")), "{error}");
    assert_eq!(server.raw(Method::DELETE, "/v1/schema/MemoryEvent", None).await.0, 200);
    assert_eq!(weaviate.put(vec![record("k", event("alice", T, "x"))]).await, Ok(vec![]));
    assert_eq!(server.raw(Method::DELETE, "/v1/schema/MemoryEvent", None).await.0, 200);
    let gone = weaviate.list(owner("alice"), page(1)).await;
    assert!(matches!(gone, Err(Error::Unavailable(_))), "{gone:?}");
    assert_eq!(weaviate.list(owner("alice"), page(1)).await, Ok(vec![]), "it was made again");
}

#[tokio::test]
async fn a_key_is_shown_and_a_wrong_one_is_told_by_its_setting() {
    let more = [
        ("AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED", "false"),
        ("AUTHENTICATION_APIKEY_ENABLED", "true"),
        ("AUTHENTICATION_APIKEY_ALLOWED_KEYS", "right"),
        ("AUTHENTICATION_APIKEY_USERS", "attach"),
    ];
    let Some(server) = Server::start("key", &more).await else { return };
    let with = |key: Option<&str>| {
        let key = key.map(|key| Secret::new(key.to_owned()));
        Weaviate::new(server.url(), key, false, None, client())
    };
    assert_eq!(with(Some("right")).put(vec![record("k", event("alice", T, "x"))]).await, Ok(vec![]));
    for key in [None, Some("wrong")] {
        let error = with(key).prepare().await.unwrap_err();
        assert!(matches!(&error, Error::Refused(text) if text.contains("WEAVIATE_API_KEY")), "{error}");
        assert!(!error.to_string().contains("wrong"));
    }
}
