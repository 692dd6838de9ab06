//! Redis loses everything.

use super::*;

/// Redis again at the same port, empty.
fn again(name: &str, old: Redis) -> Redis {
    let port = old.port.to_string();
    let number = old.port;
    drop(old);
    let mut new = Redis::start(name, &["--port", &port]).unwrap();
    new.port = number;
    new
}

/// A worker's report that it spent so much of its lease, and what it asks for more.
fn report(id: &str, worker: &str, spent: u64, need: u64) -> Request {
    let spent = if spent > 0 { vec![(unix_now(), spent)] } else { Vec::new() };
    request(id, worker, vec![Account { spent, ..account(1, 1000, need) }])
}

/// No rebuilding waits longer than a second for a control that is missing.
fn hasty() -> Pace {
    Pace { wait_seconds: (1, 1), ..Pace::default() }
}

/// A rebuilding waits for a control that is missing until the test is over.
fn patient() -> Pace {
    Pace { wait_seconds: (300, 300), ..Pace::default() }
}

#[tokio::test]
async fn what_was_used_and_held_is_there_again_and_so_are_answers() {
    let Some(redis) = Redis::start("fleet-lost", &[]) else { return };
    let url = redis.url();
    let (one, other) =
        (Control::with("lost-one", &url, patient()), Control::with("lost-other", &url, patient()));
    assert_eq!(granted(&one.operate(&report("v-1", "v", 0, 400)).await.unwrap()), Some(400));
    let spent = one.operate(&report("v-2", "v", 150, 0)).await.unwrap();
    assert_eq!(granted(&other.operate(&report("w-1", "w", 0, 300)).await.unwrap()), Some(300));
    other.operate(&report("w-2", "w", 100, 0)).await.unwrap();
    // A worker that went to the other control: what it holds was said last there.
    other.operate(&report("v-3", "v", 50, 0)).await.unwrap();

    let _redis = again("fleet-lost-again", redis);
    let answer = one.answered(&report("x-1", "x", 0, 301)).await;
    assert_eq!(granted(&answer), None, "300 are left");
    let Left { used, held, .. } = answer.left()[0];
    assert_eq!((used, held), (300, 400), "both controls' parts, each once");
    assert_eq!(one.answered(&report("v-2", "v", 150, 0)).await, spent, "not done twice");
    let answer = other.answered(&report("v-4", "v", 0, 0)).await;
    assert_eq!((answer.left()[0].lease, answer.left()[0].used), (200, 300));
    assert_eq!(granted(&other.answered(&report("x-2", "x", 0, 300)).await), Some(300));
}

#[tokio::test]
async fn it_can_be_lost_twice_and_nothing_is_counted_twice() {
    let Some(mut redis) = Redis::start("fleet-twice", &[]) else { return };
    let control = Control::with("twice", &redis.url(), patient());
    control.operate(&report("v-1", "v", 0, 400)).await.unwrap();
    for n in 0..3 {
        redis = again(&format!("fleet-twice-{n}"), redis);
        let answer = control.answered(&report(&format!("x-{n}"), "v", 100, 0)).await;
        let Left { used, held, .. } = answer.left()[0];
        assert_eq!((used, held), (100 * (n + 1), 400 - 100 * (n + 1)));
    }
    let mut connection = raw(&redis).await;
    redis::cmd("FLUSHALL").query_async::<()>(&mut connection).await.unwrap();
    let answer = control.answered(&report("x", "v", 0, 0)).await;
    assert_eq!((answer.left()[0].used, answer.left()[0].held), (300, 100));
}

#[tokio::test]
async fn nobody_gets_a_lease_while_a_control_s_part_is_missing_and_time_has_not_passed() {
    let Some(redis) = Redis::start("fleet-missing", &[]) else { return };
    let url = redis.url();
    let (one, other) =
        (Control::with("missing-one", &url, patient()), Control::with("missing-other", &url, patient()));
    other.operate(&report("w-1", "w", 0, 900)).await.unwrap();
    one.operate(&report("v-1", "v", 0, 10)).await.unwrap();
    // Both must have seen each other.
    let until = Moment::now() + Duration::from_secs(20);
    for control in [&one, &other] {
        while journal::member(&control.store, String::new()).await.unwrap().others.is_empty() {
            assert!(Moment::now() < until, "they never saw each other");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let Control { fleet, store, _folder } = other;
    drop(fleet);
    let _redis = again("fleet-missing-again", redis);
    let until = Moment::now() + Duration::from_secs(20);
    let mut error = one.operate(&report("v-2", "v", 0, 1)).await;
    while error != Err(Error::Rebuilding) {
        assert!(Moment::now() < until, "{error:?}");
        error = one.operate(&report("v-2", "v", 0, 1)).await;
    }
    let begun = Moment::now();
    assert_eq!(one.operate(&report("v-2", "v", 0, 1)).await, Err(Error::Rebuilding));
    assert!(begun.elapsed() < Duration::from_millis(1500), "{:?}", begun.elapsed());

    // It comes back, and brings its part.
    let other = Fleet::new(store, &url, patient()).unwrap();
    let answer = one.answered(&report("v-2", "v", 0, 91)).await;
    assert_eq!((granted(&answer), answer.left()[0].held), (None, 910));
    drop(other);
}

#[tokio::test]
async fn a_control_that_comes_late_adds_its_part_before_it_relays_anything() {
    let Some(redis) = Redis::start("fleet-late", &[]) else { return };
    let url = redis.url();
    let (one, other) = (Control::with("late-one", &url, hasty()), Control::with("late-other", &url, hasty()));
    other.operate(&report("w-1", "w", 0, 900)).await.unwrap();
    one.operate(&report("v-1", "v", 0, 10)).await.unwrap();
    let Control { fleet, store, _folder } = other;
    drop(fleet);
    let _redis = again("fleet-late-again", redis);
    let answer = one.answered(&report("v-2", "v", 0, 1)).await;
    assert_eq!((granted(&answer), answer.left()[0].held), (Some(1), 11), "a second has passed");
    let other = Fleet::new(store, &url, hasty()).unwrap();
    let answer = other.operate(&report("w-2", "w", 0, 90)).await.unwrap();
    assert_eq!((granted(&answer), answer.left()[0].lease), (None, 900));
}

#[tokio::test]
async fn a_journal_of_many_accounts_is_added_in_pieces_and_goes_on_where_it_was() {
    let Some(redis) = Redis::start("fleet-pieces", &[]) else { return };
    let url = redis.url();
    let (folder, store) = store("fleet-pieces");
    let fleet = Fleet::new(store.clone(), &url, patient()).unwrap();
    let key = |n: u16| {
        let [high, low] = n.to_be_bytes();
        let mut key = [0; 16];
        (key[0], key[1]) = (high, low);
        Key(key)
    };
    const MANY: u16 = 350;
    for n in 0..MANY {
        let mut lease = report(&format!("v-{n}"), "v", 0, 10);
        lease.accounts[0].key = key(n);
        fleet.operate(&lease).await.unwrap();
    }
    // What a control that was killed in the middle has left behind.
    drop(fleet);
    let redis = again("fleet-pieces-again", redis);
    let mut connection = raw(&redis).await;
    let member = journal::member(&store, String::new()).await.unwrap();
    assert!(!member.fresh);
    let first = journal::piece(&store, Vec::new(), unix_now()).await.unwrap();
    assert_eq!(first.accounts.len(), 100);
    let mut pipe = redis::pipe();
    pipe.cmd("SET").arg(EPOCH).arg(format!("rebuilding abc {}", unix_now() + 300)).ignore();
    pipe.cmd("HSET").arg(REBUILD).arg(&member.name).arg(key(99).to_hex()).ignore();
    pipe.query_async::<()>(&mut connection).await.unwrap();

    let control =
        Control { fleet: Fleet::new(store.clone(), &url, patient()).unwrap(), store, _folder: folder };
    control.answered(&report("x", "x", 0, 0)).await;
    for n in [0, 99, 100, 101, 200, MANY - 1] {
        let mut ask = report(&format!("x-{n}"), "x", 0, 0);
        ask.accounts[0].key = key(n);
        let held = control.operate(&ask).await.unwrap().left()[0].held;
        assert_eq!(held, if n < 100 { 0 } else { 10 }, "{n}: the first piece is not added again");
    }
}

#[tokio::test]
async fn an_epoch_that_is_none_refuses() {
    let Some(redis) = Redis::start("fleet-strange", &[]) else { return };
    let mut connection = raw(&redis).await;
    redis::cmd("SET").arg(EPOCH).arg("who knows").query_async::<()>(&mut connection).await.unwrap();
    let control = Control::new("strange", &redis.url());
    let error = control.operate(&report("v-1", "v", 0, 1)).await.unwrap_err();
    assert!(matches!(&error, Error::Redis(_)), "{error}");
    redis::cmd("DEL").arg(EPOCH).query_async::<()>(&mut connection).await.unwrap();
    assert_eq!(granted(&control.answered(&report("v-1", "v", 0, 1)).await), Some(1));
}
