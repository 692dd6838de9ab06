use super::*;

/// A record of so many tokens of the prompt.
pub(crate) fn sample(id: &str, input: u64) -> UsageRecord {
    UsageRecord {
        id: id.to_owned(),
        at: 1_700_000_000_000,
        user: "alice".to_owned(),
        agent: None,
        project: "default".to_owned(),
        model: "llama3".to_owned(),
        credential: "oidc".to_owned(),
        request_id: "r".to_owned(),
        status: 200,
        milliseconds: 12,
        input,
        output: 2 * input,
        cached: 1,
        reasoning: 0,
        source: Source::Reported,
    }
}

use crate::outbox::Health;
use crate::store::tests::store;
use crate::supervise::tests::Folder;

fn ledger(name: &str, limit: u64) -> (Folder, Ledger) {
    let (folder, store) = store(name);
    let outbox = Outbox::new(store.clone(), limit);
    (folder, Ledger::new(store, outbox))
}

fn batch(records: Vec<UsageRecord>, undelivered: &[&str]) -> Batch {
    let undelivered = undelivered.iter().map(|id| (*id).to_owned()).collect();
    Batch { records, bad: Vec::new(), undelivered }
}

async fn health(ledger: &Ledger) -> Health {
    ledger.outbox.health(0).await.unwrap()
}

/// A user's page as JSON.
async fn page(ledger: &Ledger, user: &str, parameters: &[(&str, &str)]) -> serde_json::Value {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let question = query::Question::parse(&parameters.iter().map(own).collect::<Vec<_>>()).unwrap();
    serde_json::to_value(ledger.page(user.to_owned(), question).await.unwrap()).unwrap()
}

fn ids(page: &serde_json::Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_record_that_is_sent_again_is_one_row_and_leaves_once() {
    let (_folder, ledger) = ledger("again", 1000);
    for _ in 0..3 {
        let sent = batch(vec![sample("a", 1), sample("b", 2)], &["a"]);
        assert_eq!(ledger.accept(sent, 0).await, Ok(vec![]));
    }
    assert_eq!(page(&ledger, "alice", &[]).await["totals"]["requests"], 2);
    assert_eq!(health(&ledger).await.outbox, 2, "a's two events");

    // Once they have left, they are not put there again.
    let emptied =
        |connection: &Connection| Ok::<_, store::Error>(connection.execute("DELETE FROM outbox", [])?);
    assert_eq!(ledger.store.write(emptied).await, Ok(2));
    assert_eq!(ledger.accept(batch(vec![sample("a", 1)], &["a"]), 0).await, Ok(vec![]));
    assert_eq!(health(&ledger).await.outbox, 0);

    // A row whose events were thought delivered may turn out not to be, later and by its id alone.
    assert_eq!(ledger.accept(batch(vec![], &["b", "a"]), 0).await, Ok(vec![]));
    assert_eq!(health(&ledger).await.outbox, 2, "b's two events");
}

#[tokio::test]
async fn the_first_record_of_an_id_stands() {
    let (_folder, ledger) = ledger("first", 1000);
    ledger.accept(batch(vec![sample("a", 1)], &[]), 0).await.unwrap();
    ledger.accept(batch(vec![sample("a", 500)], &["a"]), 0).await.unwrap();
    assert_eq!(page(&ledger, "alice", &[]).await["totals"]["input"], 1);
    let payload = |connection: &Connection| {
        Ok::<String, store::Error>(connection.query_row("SELECT payload FROM outbox", [], |row| row.get(0))?)
    };
    let event: serde_json::Value = serde_json::from_str(&ledger.store.read(payload).await.unwrap()).unwrap();
    assert_eq!((event["id"].as_str(), event["data"]["tokens"].as_u64()), (Some("a-in"), Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_batches_with_the_same_ids_at_once_are_one() {
    let (_folder, ledger) = ledger("race", 100_000);
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let ledger = ledger.clone();
            let records: Vec<_> = (0..50).map(|n| sample(&format!("r{n}"), 1)).collect();
            let undelivered = records.iter().map(|record| record.id.clone()).collect();
            let batch = Batch { records, bad: Vec::new(), undelivered };
            tokio::spawn(async move { ledger.accept(batch, 0).await })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), Ok(vec![]));
    }
    assert_eq!(page(&ledger, "alice", &[]).await["totals"]["requests"], 50);
    assert_eq!(health(&ledger).await.outbox, 100);
}

#[tokio::test]
async fn what_cannot_be_kept_is_set_aside_once_and_told() {
    let (_folder, ledger) = ledger("bad", 1000);
    let body = serde_json::json!({
        "records": [sample("a", 1), {"id": "b"}, 7],
        "undelivered": ["a", "b", "never-seen"],
    });
    for _ in 0..2 {
        let batch = Batch::parse(body.to_string().as_bytes()).unwrap();
        let rejected = ledger.accept(batch, 0).await.unwrap();
        let ids: Vec<&str> = rejected.iter().map(|bad| bad.id.as_str()).collect();
        assert_eq!(ids, ["b", "#2", "never-seen"]);
    }
    assert_eq!(health(&ledger).await, Health { outbox: 2, set_aside: 3, oldest_seconds: 0 });
    assert_eq!(ids(&page(&ledger, "alice", &[]).await), ["a"]);
}

#[tokio::test]
async fn a_full_outbox_takes_nothing_of_a_batch_and_rows_alone_still_go_in() {
    let (_folder, ledger) = ledger("full", 3);
    ledger.accept(batch(vec![sample("a", 1)], &["a"]), 0).await.unwrap();
    let refused = ledger.accept(batch(vec![sample("b", 1)], &["b"]), 0).await;
    assert_eq!(refused, Err(Refused::Full(3)));
    assert_eq!(ids(&page(&ledger, "alice", &[]).await), ["a"], "the row goes with its events");
    ledger.accept(batch(vec![sample("c", 1)], &[]), 0).await.unwrap();
    // What is there already needs no room.
    ledger.accept(batch(vec![sample("a", 1)], &["a"]), 0).await.unwrap();
    assert_eq!(health(&ledger).await.outbox, 2);
}

#[tokio::test]
async fn a_caller_reads_its_own_rows_newest_first_in_pages() {
    let (_folder, ledger) = ledger("pages", 1000);
    let mut records: Vec<_> = (0..25)
        .map(|n| UsageRecord { at: 1_000_000 + 1000 * (n / 2), ..sample(&format!("r{n:02}"), 1) })
        .collect();
    records.push(UsageRecord { user: "bob".to_owned(), ..sample("theirs", 9) });
    // Late ones find their place by their time.
    records.reverse();
    ledger.accept(batch(records, &[]), 0).await.unwrap();
    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut parameters = vec![("limit", "7")];
        parameters.extend(cursor.as_deref().map(|cursor| ("before", cursor)));
        let answer = page(&ledger, "alice", &parameters).await;
        assert_eq!(answer["totals"]["requests"], 25, "of all pages");
        seen.extend(ids(&answer).into_iter().map(str::to_owned));
        match answer["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    let mut expected: Vec<_> = (0..25).map(|n| format!("r{n:02}")).collect();
    expected.reverse();
    assert_eq!(seen, expected);
    assert_eq!(ids(&page(&ledger, "bob", &[]).await), ["theirs"]);
    let nobody = page(&ledger, "carol", &[]).await;
    assert_eq!(
        nobody["totals"],
        serde_json::json!({"requests": 0, "input": 0, "output": 0, "cached": 0, "reasoning": 0})
    );
    assert_eq!(nobody["next"], serde_json::Value::Null);
}

#[tokio::test]
async fn rows_are_chosen_by_time_project_and_model_and_their_sums_are_theirs() {
    let (_folder, ledger) = ledger("choose", 1000);
    let record = |id: &str, at: u64, project: &str, model: &str| UsageRecord {
        at,
        project: project.to_owned(),
        model: model.to_owned(),
        ..sample(id, 10)
    };
    let records = vec![
        record("a", 1_000_000, "p", "m"),
        record("b", 2_000_000, "p", "n"),
        record("c", 3_000_000, "q", "m"),
    ];
    ledger.accept(batch(records, &[]), 0).await.unwrap();
    for (parameters, expected) in [
        (&[][..], &["c", "b", "a"][..]),
        (&[("project", "p")], &["b", "a"]),
        (&[("model", "m")], &["c", "a"]),
        (&[("model", "m"), ("project", "q")], &["c"]),
        (&[("since", "2000")], &["c", "b"]),
        (&[("until", "2000")], &["a"]),
        (&[("since", "1970-01-01T00:33:20Z"), ("until", "1970-01-01T00:33:20.001Z")], &["b"]),
        (&[("since", "3000"), ("until", "1000")], &[]),
        (&[("project", "' OR 1=1 --")], &[]),
    ] {
        let answer = page(&ledger, "alice", parameters).await;
        assert_eq!(ids(&answer), expected, "{parameters:?}");
        let count = expected.len() as u64;
        let totals = serde_json::json!({
            "requests": count, "input": 10 * count, "output": 20 * count, "cached": count, "reasoning": 0
        });
        assert_eq!(answer["totals"], totals, "{parameters:?}");
    }
    assert_eq!(
        page(&ledger, "alice", &[("limit", "1")]).await["data"][0],
        serde_json::json!({
            "id": "c", "at": "1970-01-01T00:50:00.000Z", "user": "alice", "agent": null, "project": "q",
            "model": "m", "credential": "oidc", "request_id": "r", "status": 200, "milliseconds": 12,
            "input": 10, "output": 20, "cached": 1, "reasoning": 0, "source": "reported"
        })
    );
}

#[tokio::test]
async fn old_rows_go_in_small_steps_and_new_ones_stay() {
    let (_folder, ledger) = ledger("prune", 1000);
    let old = (0..1500).map(|n| UsageRecord { at: n, ..sample(&format!("old{n}"), 1) });
    let mut records: Vec<_> = old.collect();
    records.push(UsageRecord { at: 5000, ..sample("new", 1) });
    ledger.accept(batch(records, &[]), 0).await.unwrap();
    for expected in [1000, 500, 0] {
        assert_eq!(prune::step(&ledger.store, 5000).await, Ok(expected));
    }
    assert_eq!(ids(&page(&ledger, "alice", &[]).await), ["new"]);
}

#[tokio::test]
async fn a_caller_s_page_and_sums_come_from_indexes() {
    let (_folder, ledger) = ledger("plan", 1000);
    let plan = |connection: &Connection| {
        let sums = "EXPLAIN QUERY PLAN SELECT sum(input) FROM usage WHERE user = 'a' AND at >= 1 AND at < 2";
        let old = "EXPLAIN QUERY PLAN SELECT seq FROM usage WHERE at < 5 ORDER BY at LIMIT 10";
        let one = |sql| connection.query_row(sql, [], |row| row.get::<_, String>(3));
        Ok::<_, store::Error>((one(sums)?, one(old)?))
    };
    let (sums, old) = ledger.store.read(plan).await.unwrap();
    assert!(sums.contains("COVERING INDEX usage_by_user (user=? AND at>? AND at<?)"), "{sums}");
    assert!(old.contains("COVERING INDEX usage_by_time"), "{old}");
}
