//! Redis is gone, or slow, or full.

use std::net::TcpListener;

use super::*;

fn ask(id: &str) -> Request {
    request(id, "w", vec![account(1, 1000, 10)])
}

const AT_MOST: Duration = Duration::from_millis(1500);

#[tokio::test]
async fn without_a_redis_there_is_an_error_in_time_and_no_secret_in_it() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for address in ["127.0.0.1:1".to_owned(), silent.local_addr().unwrap().to_string()] {
        let url = Secret::new(format!("redis://u:hunter2@{address}"));
        let control = Control::new("gone", &url);
        for id in ["w-1", "w-2"] {
            let begun = Moment::now();
            let error = control.operate(&ask(id)).await.unwrap_err();
            assert!(begun.elapsed() < AT_MOST, "{:?}", begun.elapsed());
            let shown = format!("{error} {error:?} {:?}", control.fleet);
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}

#[tokio::test]
async fn a_redis_that_is_gone_for_a_while_is_used_again_and_said_once() {
    let Some(redis) = Redis::start("fleet-back", &[]) else { return };
    let control = Control::new("back", &redis.url());
    assert!(control.operate(&ask("w-1")).await.is_ok());
    let port = redis.port.to_string();
    drop(redis);
    for n in 0..5 {
        let begun = Moment::now();
        assert!(control.operate(&ask(&format!("w-{n}-gone"))).await.is_err());
        assert!(begun.elapsed() < AT_MOST, "{:?}", begun.elapsed());
    }
    assert!(!control.fleet.shared.redis_outage.begins(&"again"), "it was said");
    let Some(_redis) = Redis::start("fleet-back-again", &["--port", &port]) else { return };
    assert_eq!(granted(&control.answered(&ask("w-2")).await), Some(10));
    assert!(control.fleet.shared.redis_outage.begins(&"it is over"));
}

#[tokio::test]
async fn a_redis_that_hangs_holds_nobody_up() {
    let Some(redis) = Redis::start("fleet-hang", &[]) else { return };
    let control = Control::new("hang", &redis.url());
    assert!(control.operate(&ask("w-1")).await.is_ok());
    let mut connection = raw(&redis).await;
    redis::cmd("CLIENT").arg("PAUSE").arg(4000).query_async::<()>(&mut connection).await.unwrap();
    let begun = Moment::now();
    let requests: Vec<_> = (0..20).map(|n| ask(&format!("w-{n}-slow"))).collect();
    let answers = join_all(requests.iter().map(|request| control.operate(request))).await;
    assert!(answers.iter().all(Result::is_err));
    assert!(begun.elapsed() < AT_MOST, "{:?}", begun.elapsed());
    // Those that Redis carries out all the same are the same operations when they are sent again.
    for request in &requests {
        control.answered(request).await;
    }
    let answer = control.answered(&request("w-2", "w", vec![account(1, 1000, 0)])).await;
    assert_eq!(answer.left()[0].lease, 10 + 20 * 10);
}

#[tokio::test]
async fn a_redis_that_forgot_the_scripts_gets_them_again() {
    let Some(redis) = Redis::start("fleet-scripts", &[]) else { return };
    let control = Control::new("scripts", &redis.url());
    for n in 0..3 {
        assert!(control.operate(&ask(&format!("w-{n}"))).await.is_ok());
        let mut connection = raw(&redis).await;
        redis::cmd("SCRIPT").arg("FLUSH").query_async::<()>(&mut connection).await.unwrap();
    }
}

#[tokio::test]
async fn a_full_redis_grants_nothing() {
    let Some(redis) = Redis::start("fleet-full", &[]) else { return };
    let control = Control::new("full", &redis.url());
    assert!(control.operate(&ask("w-1")).await.is_ok());
    let mut connection = raw(&redis).await;
    let mut memory = async |bytes: &str| {
        let mut set = redis::cmd("CONFIG");
        set.arg("SET").arg("maxmemory").arg(bytes).query_async::<()>(&mut connection).await.unwrap();
    };
    memory("1").await;
    let error = control.operate(&ask("w-2")).await.unwrap_err();
    assert!(matches!(&error, Error::Redis(_)), "{error}");
    memory("0").await;
    let answer = control.answered(&ask("w-2")).await;
    assert_eq!(answer.left()[0].lease, 20, "nothing was done the first time");
}

#[tokio::test]
async fn what_cannot_be_written_down_is_not_answered_and_is_one_operation_when_it_can() {
    let Some(redis) = Redis::start("fleet-journal", &[]) else { return };
    let control = Control::new("journal", &redis.url());
    assert!(control.operate(&ask("w-1")).await.is_ok());
    let rename = |from: &'static str, to: &'static str| {
        control.store.write(move |connection| {
            connection.execute_batch(&format!("ALTER TABLE {from} RENAME TO {to}"))?;
            Ok::<_, Error>(())
        })
    };
    rename("quota_leases", "elsewhere").await.unwrap();
    let error = control.operate(&ask("w-2")).await.unwrap_err();
    assert!(matches!(&error, Error::Store(_)), "{error}");
    rename("elsewhere", "quota_leases").await.unwrap();
    assert_eq!(control.operate(&ask("w-2")).await.unwrap().left()[0].lease, 20);
    let piece = journal::piece(&control.store, Vec::new(), 0).await.unwrap();
    assert_eq!(piece.accounts[0].1.leases[0].amount, 20);
}

/// Run by hand: `cargo test -p attach-control quota::fleet::tests::outages::speed -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn speed_of_redis() {
    let Some(redis) = Redis::start("fleet-speed", &[]) else { return };
    let control = Control::new("speed", &redis.url());
    for at_once in [1, 8, 64_u32] {
        let begun = Moment::now();
        let workers = (0..at_once).map(|worker| {
            let fleet = control.fleet.clone();
            tokio::spawn(async move {
                for n in 0..2000 / at_once {
                    let name = format!("{at_once}-{worker}");
                    let spent = Account { spent: vec![(unix_now(), 400)], ..account(200, 1 << 40, 500) };
                    let accounts = vec![account(u8::try_from(n % 100).unwrap(), 1 << 40, 500), spent];
                    fleet.operate(&request(&format!("{name}-{n}"), &name, accounts)).await.unwrap();
                }
            })
        });
        join_all(workers).await;
        let rate = f64::from(2000 / at_once * at_once) / begun.elapsed().as_secs_f64();
        eprintln!("{at_once} at once: {rate:.0} operations of two accounts each second");
    }
}
