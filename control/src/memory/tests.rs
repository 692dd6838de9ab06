use std::time::{Duration, Instant};

use attach_core::clock::UnixMillis;

use super::upkeep::expire_once;
use super::weaviate::tests::{SESSION, Server, client, event};
use super::weaviate::{Weaviate, tests};
use super::*;
use crate::outbox::{Limit, Pace};
use crate::store::tests::store;
use crate::supervise::tests::Folder;

const FAST: Pace = Pace {
    timeout: Duration::from_secs(2),
    first: Duration::from_millis(20),
    longest: Duration::from_millis(200),
};

fn objects(range: std::ops::Range<u64>, content: &str) -> Vec<Object> {
    range.map(|n| tests::record(&format!("k{n}"), event("alice", n, content)).object).collect()
}

fn memory(name: &str, weaviate: Weaviate, limit: Limit) -> (Folder, Memory) {
    let (folder, store) = store(name);
    let outbox = Outbox::of(store, KIND, limit);
    (folder, Memory::new(Backend::Weaviate(weaviate), outbox, None, Some(30)))
}

/// A Weaviate that is not there.
fn nobody() -> Weaviate {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    Weaviate::new(format!("http://{free}/").parse().unwrap(), None, false, None, client())
}

async fn until(memory: &Memory, what: impl Fn(&Health) -> bool) -> Health {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let health = memory.health(unix_now_millis()).await.unwrap();
        if what(&health) {
            return health;
        }
        assert!(Instant::now() < deadline, "{health:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_there_once_whoever_is_killed_meanwhile() {
    let Some(mut server) = Server::start("killed", &[]).await else { return };
    let (_folder, memory) = memory("memory-killed", server.weaviate(false), outbox::LIMIT);
    memory.check().await.unwrap();
    let mut running = memory.start_at(FAST);
    until(&memory, |health| health.direct).await;
    for round in 0..20_u64 {
        // Some of them twice, as a filter that had no answer tells them.
        let first = (round * 100).saturating_sub(10);
        memory.remember(objects(first..(round + 1) * 100, "hello")).await.unwrap();
        match round {
            5 => server.kill(),
            10 => drop(std::mem::replace(&mut running, memory.start_at(FAST))),
            12 => {
                // Nothing gets through, and nobody is told to go there.
                let health = until(&memory, |health| !health.direct).await;
                assert!(health.waiting >= 700, "{health:?}");
                memory.check().await.unwrap();
            }
            15 => server.run().await,
            _ => {}
        }
    }
    let health = until(&memory, |health| health.waiting == 0 && health.direct).await;
    running.stop().await;
    assert_eq!((health.set_aside, server.count().await), (0, 2000));
}

#[tokio::test]
async fn what_waits_is_forgotten_and_ages_as_what_lies_there() {
    let (_folder, memory) = memory("memory-forget", nobody(), outbox::LIMIT);
    memory.check().await.expect("a Weaviate that is not there is waited for");
    memory.remember(objects(0..5, "hello")).await.unwrap();
    memory.remember(vec![tests::record("b", event("bob", 1, "x")).object]).await.unwrap();
    let waiting = async || memory.health(unix_now_millis()).await.unwrap().waiting;
    assert_eq!(waiting().await, 6);
    let none = memory.forget("alice".to_owned(), Some(SessionFilter::Beginning("0123".to_owned()))).await;
    assert_eq!((none, waiting().await), (Ok(0), 6), "no session has such a name");
    for (session, left) in [
        (Some(SessionFilter::Whole("0".repeat(64))), 6),
        (Some(SessionFilter::Beginning(SESSION.chars().take(16).collect())), 1),
    ] {
        // The backend is not there to forget.
        assert!(matches!(memory.forget("alice".to_owned(), session).await, Err(Error::Unavailable(_))));
        assert_eq!(waiting().await, left);
    }
    assert!(expire_once(&memory, 1000).await.is_err());
    assert_eq!(waiting().await, 1);
    assert!(expire_once(&memory, unix_now_millis() + 1000).await.is_err());
    assert_eq!(waiting().await, 0);
}

#[tokio::test]
async fn a_full_outbox_takes_nothing_more() {
    let (_folder, few) = memory("memory-few", nobody(), Limit { events: 10, bytes: u64::MAX });
    few.remember(objects(0..10, "x")).await.unwrap();
    assert!(matches!(few.remember(objects(10..11, "x")).await, Err(Error::Unavailable(_))));
    let (_folder, small) = memory("memory-small", nobody(), Limit { events: 1000, bytes: 10_000 });
    small.remember(objects(0..1, &"x".repeat(8000))).await.unwrap();
    let error = small.remember(objects(1..2, &"x".repeat(8000))).await.unwrap_err().to_string();
    assert!(error.contains("attach doctor"), "{error}");
    assert_eq!(small.health(0).await.unwrap(), Health { direct: false, waiting: 1, set_aside: 0 });
}

#[tokio::test]
async fn a_weaviate_that_cannot_be_used_as_it_is_set_ends_the_start() {
    let Some(server) = Server::start("start", &[]).await else { return };
    server.weaviate(false).prepare().await.unwrap();
    let (_folder, memory) = memory("memory-start", server.weaviate(true), outbox::LIMIT);
    let error = memory.check().await.unwrap_err();
    assert!(matches!(&error, Error::Refused(text) if text.contains("WEAVIATE_TENANCY")), "{error}");
}

#[tokio::test]
async fn retention_holds_in_the_backend() {
    let Some(server) = Server::start("retention", &[]).await else { return };
    let (_folder, memory) = memory("memory-retention", server.weaviate(false), outbox::LIMIT);
    let now = unix_now_millis();
    let mut records: Vec<_> =
        objects(0..3, "old").into_iter().map(|object| Record { object, vector: None }).collect();
    records.push(tests::record("new", event("alice", now, "new")));
    memory.backend().put(records).await.unwrap();
    let running = memory.start_at(FAST);
    let deadline = Instant::now() + Duration::from_secs(20);
    while server.count().await != 1 {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    running.stop().await;
    let left = memory.backend().get(Reach::Everyone, objects(0..1, "")[0].id.clone()).await;
    assert_eq!(left, Ok(None));
    let page = Page { limit: 10, before: Some((UnixMillis(now + 1), String::new())), session: None };
    assert_eq!(memory.backend().list(Reach::Owner("alice".to_owned()), page).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_taken_and_brought_on_fast_enough() {
    const EVENTS: u64 = 10_000;
    let Some(server) = Server::start("speed", &[]).await else { return };
    let (_folder, memory) = memory("memory-speed", server.weaviate(false), outbox::LIMIT);
    memory.check().await.unwrap();
    let content = "The quick brown fox jumps over the lazy dog. ".repeat(27);
    let begun = Instant::now();
    let batches: Vec<_> = (0..EVENTS / 50)
        .map(|n| {
            let (memory, objects) = (memory.clone(), objects(n * 50..(n + 1) * 50, &content));
            tokio::spawn(async move { memory.remember(objects).await })
        })
        .collect();
    for batch in batches {
        batch.await.unwrap().unwrap();
    }
    let taken = begun.elapsed();
    let begun = Instant::now();
    let running = memory.start_at(FAST);
    until(&memory, |health| health.waiting == 0).await;
    let brought = begun.elapsed();
    running.stop().await;
    assert_eq!(server.count().await, EVENTS);
    let rate = |time: Duration| EVENTS as f64 / time.as_secs_f64();
    println!("events of 1.2 KB: {:.0}/s into the outbox, {:.0}/s on to Weaviate", rate(taken), rate(brought));
}
