use std::io::{BufRead as _, BufReader, ErrorKind};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use super::*;
use crate::supervise::tests::Folder;

/// A real Redis on a free port, in a folder of its own.
pub(crate) struct Redis {
    process: Child,
    pub(crate) port: u16,
    _folder: Folder,
}

impl Redis {
    /// `None` where this machine has none, which CI does not let pass: nobody else tries the scripts.
    pub(crate) fn start(name: &str, more: &[&str]) -> Option<Self> {
        let folder = Folder::new(&format!("redis-{name}"));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let started = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--dir", folder.path().to_str().unwrap(), "--daemonize", "no"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn();
        let mut process = match started {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                assert!(std::env::var_os("CI").is_none(), "redis-server is missing: install its package");
                eprintln!("redis-server is not installed: this test checks nothing here");
                return None;
            }
            started => started.unwrap(),
        };
        let ready = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .any(|line| line.contains("Ready to accept connections"));
        assert!(ready, "redis-server did not start");
        Some(Self { process, port, _folder: folder })
    }

    pub(crate) fn url(&self) -> Secret {
        Secret::new(format!("redis://127.0.0.1:{}", self.port))
    }

    fn stop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

const NOW: u64 = 1_700_000_000;

fn once(digit: char) -> Once {
    Once::parse(&digit.to_string().repeat(64)).unwrap()
}

#[test]
fn a_name_is_64_lower_case_digits() {
    for bad in ["", "a", &"A".repeat(64), &"g".repeat(64), &"a".repeat(63), &"a".repeat(65), &"ä".repeat(32)]
    {
        assert_eq!(Once::parse(bad), None, "{bad}");
    }
}

#[test]
fn an_entry_is_kept_as_long_as_asked_within_bounds() {
    for (ahead, kept) in [
        (0, Some(60)),
        (59, Some(60)),
        (60, Some(61)),
        (300, Some(301)),
        (89_999, Some(90_000)),
        (90_000, None),
    ] {
        assert_eq!(seconds(NOW + ahead, NOW), kept, "{ahead}");
    }
    assert_eq!(seconds(0, NOW), Some(60), "a clock that is ahead");
    assert_eq!(seconds(u64::MAX, 0), None);
}

#[tokio::test]
async fn what_is_no_address_is_refused_without_being_shown() {
    for url in ["", "hunter2", "http://u:hunter2@127.0.0.1", "redis://u:hunter2@:x/"] {
        let error = ReplayStore::new(&Secret::new(url.to_owned())).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("REDIS_URL") && !shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test]
async fn of_all_who_ask_one_is_the_first() {
    let Some(redis) = Redis::start("first", &[]) else { return };
    let (one, other) = (ReplayStore::new(&redis.url()).unwrap(), ReplayStore::new(&redis.url()).unwrap());
    assert_eq!(one.first(&once('a'), NOW + 60, NOW).await, Ok(true));
    assert_eq!(one.first(&once('a'), NOW + 60, NOW).await, Ok(false));
    assert_eq!(other.first(&once('a'), NOW + 60, NOW).await, Ok(false), "another control");
    assert_eq!(other.first(&once('b'), NOW + 60, NOW).await, Ok(true));

    let asked = (0..64).map(|number| {
        let store = if number % 2 == 0 { one.clone() } else { other.clone() };
        async move { store.first(&once('c'), NOW + 60, NOW).await }
    });
    let firsts = futures_util::future::join_all(asked).await.into_iter().filter(|first| *first == Ok(true));
    assert_eq!(firsts.count(), 1);

    let client = Client::open(redis.url().expose()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut ttl = redis::cmd("TTL");
    ttl.arg(format!("attach:once:{}", "a".repeat(64)));
    let left: i64 = ttl.query_async(&mut connection).await.unwrap();
    assert!((50..=61).contains(&left), "{left} seconds");
}

#[tokio::test]
async fn without_a_redis_the_answer_is_neither_yes_nor_no() {
    let store = ReplayStore::new(&Secret::new("redis://u:hunter2@127.0.0.1:1".to_owned())).unwrap();
    let error = store.first(&once('a'), NOW + 60, NOW).await.unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");

    // One that takes the connection and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let store = ReplayStore::new(&Secret::new(url)).unwrap();
    let begin = Instant::now();
    assert!(store.first(&once('a'), NOW + 60, NOW).await.is_err());
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert!(store.first(&once('a'), NOW + 100_000, NOW).await.is_err(), "no store keeps it that long");
}

#[tokio::test]
async fn a_redis_that_goes_and_comes_back_is_used_again() {
    let Some(mut redis) = Redis::start("back", &[]) else { return };
    let store = ReplayStore::new(&redis.url()).unwrap();
    assert_eq!(store.first(&once('a'), NOW + 60, NOW).await, Ok(true));
    redis.stop();
    assert!(store.first(&once('b'), NOW + 60, NOW).await.is_err());
    let port = redis.port.to_string();
    let Some(_back) = Redis::start("back-again", &["--port", &port]) else { return };
    let mut answer = store.first(&once('c'), NOW + 60, NOW).await;
    let deadline = Instant::now() + Duration::from_secs(10);
    while answer.is_err() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
        answer = store.first(&once('c'), NOW + 60, NOW).await;
    }
    // A command whose answer was lost may have been carried out.
    assert!(answer.is_ok(), "{answer:?}");
}

#[tokio::test]
async fn a_full_or_closed_redis_refuses_rather_than_forgets() {
    let Some(full) = Redis::start("full", &["--maxmemory", "1"]) else { return };
    let error = ReplayStore::new(&full.url()).unwrap().first(&once('a'), NOW + 60, NOW).await.unwrap_err();
    assert!(error.to_string().contains("OOM"), "{error}");
    let Some(closed) = Redis::start("closed", &["--requirepass", "hunter2"]) else { return };
    assert!(ReplayStore::new(&closed.url()).unwrap().first(&once('a'), NOW + 60, NOW).await.is_err());
    let url = Secret::new(format!("redis://:hunter2@127.0.0.1:{}", closed.port));
    assert_eq!(ReplayStore::new(&url).unwrap().first(&once('a'), NOW + 60, NOW).await, Ok(true));
}
