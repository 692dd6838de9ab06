use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use url::Url;

use super::*;
use crate::fetch;
use crate::ledger::batch::Batch;
use crate::ledger::{Ledger, tests::sample};
use crate::settings::Secret;
use crate::store::tests::store;
use crate::supervise::tests::Folder;

type Judge = dyn Fn(usize, &[String]) -> u16 + Send + Sync;

/// A stand-in for OpenMeter on a port of its own.
#[derive(Clone)]
struct OpenMeter {
    /// By the number of the request and the ids in it: the status.
    judge: Arc<Judge>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    requests: usize,
    /// The ids of each batch that was taken.
    taken: Vec<Vec<String>>,
    /// What is wrong with what came.
    wrong: Vec<String>,
}

async fn ingest(
    State(meter): State<OpenMeter>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let mut seen = meter.seen.lock().unwrap();
    for (name, expected) in
        [("content-type", "application/cloudevents-batch+json"), ("authorization", "Bearer the-key")]
    {
        let found = headers.get(name).map(|value| value.to_str().unwrap());
        if found != Some(expected) {
            seen.wrong.push(format!("{name}: {found:?}"));
        }
    }
    let events: Vec<Value> = serde_json::from_slice(&body).unwrap();
    let ids: Vec<String> = events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
    let status = (meter.judge)(seen.requests, &ids);
    seen.requests += 1;
    if status < 300 {
        seen.taken.push(ids);
    }
    (StatusCode::from_u16(status).unwrap(), "an event is\nbad")
}

impl OpenMeter {
    async fn start(judge: impl Fn(usize, &[String]) -> u16 + Send + Sync + 'static) -> (Self, Url) {
        let meter = Self { judge: Arc::new(judge), seen: Arc::default() };
        let router = Router::new().route("/om/api/v1/events", post(ingest)).with_state(meter.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/om/", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (meter, url)
    }

    fn ids(&self) -> Vec<String> {
        self.seen.lock().unwrap().taken.concat()
    }

    fn requests(&self) -> usize {
        self.seen.lock().unwrap().requests
    }
}

impl Drop for OpenMeter {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(self.seen.lock().unwrap().wrong, Vec::<String>::new());
        }
    }
}

const FAST: Pace = Pace {
    timeout: Duration::from_secs(2),
    first: Duration::from_millis(2),
    longest: Duration::from_millis(20),
};

fn setup(name: &str) -> (Folder, Ledger, Outbox) {
    let (folder, store) = store(name);
    let outbox = Outbox::new(store.clone(), 100_000);
    (folder, Ledger::new(store, outbox.clone()), outbox)
}

fn start(outbox: &Outbox, url: &Url) -> Running {
    let client = fetch::client(None, FAST.timeout).unwrap();
    let receiver = Receiver::new(url, Secret::new("the-key".to_owned()), client);
    Delivery::new(outbox.clone(), receiver, FAST).start()
}

async fn put(ledger: &Ledger, range: std::ops::Range<usize>) {
    let records: Vec<_> = range.map(|n| sample(&format!("r{n:04}"), 1)).collect();
    let undelivered = records.iter().map(|record| record.id.clone()).collect();
    let rejected = ledger.accept(Batch { records, bad: Vec::new(), undelivered }, 0).await;
    assert_eq!(rejected, Ok(vec![]));
}

fn expected(range: std::ops::Range<usize>) -> Vec<String> {
    range.flat_map(|n| [format!("r{n:04}-in"), format!("r{n:04}-out")]).collect()
}

async fn until(outbox: &Outbox, what: impl Fn(&Health) -> bool) -> Health {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let health = outbox.health(0).await.unwrap();
        if what(&health) {
            return health;
        }
        assert!(tokio::time::Instant::now() < deadline, "{health:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn emptied(outbox: &Outbox) -> Health {
    until(outbox, |health| health.outbox == 0).await
}

#[tokio::test]
async fn events_leave_in_order_each_once_and_new_ones_are_noticed() {
    let (_folder, ledger, outbox) = setup("order");
    let (meter, url) = OpenMeter::start(|_, _| 204).await;
    put(&ledger, 0..700).await;
    let running = start(&outbox, &url);
    emptied(&outbox).await;
    put(&ledger, 700..710).await;
    emptied(&outbox).await;
    running.stop().await;
    assert_eq!(meter.ids(), expected(0..710));
    assert_eq!(meter.requests(), 4, "1,400 events are three batches");
}

#[tokio::test]
async fn a_receiver_that_is_down_or_busy_or_knows_no_such_key_is_waited_for() {
    let (_folder, ledger, outbox) = setup("wait");
    let (meter, url) = OpenMeter::start(|n, _| {
        let statuses = [500, 503, 429, 408, 409, 425, 401, 403, 404, 302];
        statuses.get(n).copied().unwrap_or(202)
    })
    .await;
    put(&ledger, 0..3).await;
    let running = start(&outbox, &url);
    assert_eq!(emptied(&outbox).await.set_aside, 0, "none of it is the events' fault");
    running.stop().await;
    assert_eq!((meter.ids(), meter.requests()), (expected(0..3), 11));
}

#[tokio::test]
async fn why_nothing_leaves_is_there_for_whoever_looks_whether_or_not_control_runs() {
    let (_folder, ledger, outbox) = setup("look");
    // Nobody listens there: the port was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    put(&ledger, 0..1).await;
    let running = start(&outbox, &Url::parse(&format!("http://{free}")).unwrap());
    let path = outbox.store.path().to_owned();
    let report = loop {
        let report = look(&path, Kind::OpenMeter, 9_000).unwrap().unwrap();
        if report.attempts > 1 {
            break report;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    running.stop().await;
    assert_eq!(report.health, Health { outbox: 2, set_aside: 0, oldest_seconds: 9 });
    let error = report.error.unwrap();
    assert!(error.contains("refused") && error.contains("OPENMETER_URL"), "{error}");
    assert!(!error.contains("the-key"));
}

#[tokio::test]
async fn an_event_that_is_never_taken_is_set_aside_and_the_rest_goes_on() {
    let (_folder, ledger, outbox) = setup("poison");
    let bad: BTreeSet<String> = ["r0000-in", "r0123-out", "r0124-in", "r0299-out"].map(str::to_owned).into();
    let judged = bad.clone();
    let (meter, url) =
        OpenMeter::start(move |_, ids| if ids.iter().any(|id| judged.contains(id)) { 400 } else { 204 })
            .await;
    put(&ledger, 0..300).await;
    let running = start(&outbox, &url);
    assert_eq!(emptied(&outbox).await.set_aside, 4);
    running.stop().await;
    let rest: Vec<String> = expected(0..300).into_iter().filter(|id| !bad.contains(id)).collect();
    assert_eq!(meter.ids(), rest, "in order, each once");
    assert!(meter.requests() < 100, "{} requests", meter.requests());
    let report = look(outbox.store.path(), Kind::OpenMeter, 0).unwrap().unwrap();
    assert_eq!(report.set_aside_error.as_deref(), Some("OpenMeter answers 400: an event is bad"));
}

#[tokio::test]
async fn when_every_event_is_refused_each_is_set_aside_and_later_ones_leave() {
    let (_folder, ledger, outbox) = setup("all-poison");
    let (meter, url) =
        OpenMeter::start(|_, ids| if ids.iter().any(|id| id.as_str() < "r0020") { 422 } else { 204 }).await;
    put(&ledger, 0..25).await;
    let running = start(&outbox, &url);
    assert_eq!(emptied(&outbox).await.set_aside, 40);
    put(&ledger, 25..600).await;
    emptied(&outbox).await;
    running.stop().await;
    assert_eq!(meter.ids(), expected(20..600));
    let batches = meter.seen.lock().unwrap().taken.iter().map(Vec::len).max();
    assert_eq!(batches, Some(500), "batches grow again, up to their bound");
}

#[tokio::test]
async fn a_new_life_goes_on_where_the_last_one_was_killed() {
    let (_folder, ledger, outbox) = setup("killed");
    let path = outbox.store.path().to_owned();
    // The second batch is taken and its answer never comes.
    let hang = Arc::new(tokio::sync::Notify::new());
    let hung = Arc::clone(&hang);
    let (meter, url) = OpenMeter::start(move |n, _| {
        if n == 1 {
            hung.notify_one();
            return 500;
        }
        204
    })
    .await;
    put(&ledger, 0..400).await;
    let running = start(&outbox, &url);
    hang.notified().await;
    // Nothing is told to end: it is gone.
    drop(running);
    drop((ledger, outbox));
    let again = Store::open(&path).unwrap();
    let outbox = Outbox::new(again, 1000);
    let running = start(&outbox, &url);
    emptied(&outbox).await;
    running.stop().await;
    let taken = meter.ids();
    let once: BTreeSet<_> = taken.iter().cloned().collect();
    assert_eq!(once.into_iter().collect::<Vec<_>>(), expected(0..400), "none is lost");
}

#[tokio::test]
async fn an_answer_that_never_comes_does_not_hold_up_the_end() {
    let (_folder, ledger, outbox) = setup("hang");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    put(&ledger, 0..1).await;
    let running = start(&outbox, &url);
    let (_silent, _) = listener.accept().await.unwrap();
    let begun = std::time::Instant::now();
    running.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(6));
    assert_eq!(outbox.health(0).await.unwrap().outbox, 2, "they are kept");
}

#[tokio::test]
async fn what_is_set_aside_is_bounded() {
    let (_folder, _ledger, outbox) = setup("drawer");
    let fill = |connection: &Connection| {
        for n in 0..MAX_SET_ASIDE + 5 {
            set_aside(connection, RECORD, &n.to_string(), "", "", 0)?;
        }
        Ok::<_, store::Error>(connection.query_row("SELECT min(seq) FROM set_aside", [], |row| row.get(0))?)
    };
    let oldest: u64 = outbox.store.write(fill).await.unwrap();
    assert_eq!((oldest, outbox.health(0).await.unwrap().set_aside), (6, MAX_SET_ASIDE));
}
