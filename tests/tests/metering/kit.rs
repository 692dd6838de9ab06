//! What the tests here have in common: calls that say what they cost, and the ledger that must say the same.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use attach_tests::fixture::Fixture;
use attach_tests::gateway::{Builder, Gateway, finish};
use attach_tests::peers::OpenMeter;
use attach_tests::request::Request;
use attach_tests::wait;
use serde_json::{Value, json};

/// Where chats are sent.
pub const CHAT: &str = "/v1/chat/completions";
/// The model of every call.
pub const MODEL: &str = "gpt-4";
/// How long anything may take that waits for somebody who was killed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What the chat of [`chat`] costs: 3 for all messages, 4 for its only one, `user` and `hi`.
pub const PROMPT: u64 = 9;
/// What its answers are made to cost, so that a call costs a hundred.
pub const OUTPUT: u64 = 100 - PROMPT;

/// The sum of one side of rows.
pub fn sum(rows: &[Value], side: &str) -> u64 {
    rows.iter().map(|row| row[side].as_u64().unwrap_or_else(|| panic!("no {side}: {row:#}"))).sum()
}

/// A call of a user's that costs a hundred, for a project.
pub fn call(fixture: &Fixture, user: &str, project: &str) -> Request {
    let body = json!({
        "model": MODEL, "max_tokens": OUTPUT, "messages": [{"role": "user", "content": "hi"}],
    });
    Request::post_json(format!("{CHAT}?{project}"), &body)
        .bearer(&fixture.world.first.token(user))
        .header("x-attach-project", project)
}

/// An answer that says what it cost.
pub fn reported(input: u64, output: u64) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output},
    })
}

/// Makes the engine answer every chat with what costs a hundred, once a gate is open.
pub fn answer(fixture: &Fixture, gate: Option<&Gate>) {
    let gate = gate.cloned();
    fixture.upstream.on(CHAT, move |exchange| {
        exchange.body()?;
        if let Some(gate) = &gate {
            gate.pass();
        }
        let answer = reported(PROMPT, OUTPUT).to_string();
        exchange.reply("200 OK", &[("content-type", "application/json")], answer.as_bytes())
    });
}

/// A door that the engine waits behind.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    /// Lets everybody through, from now on.
    pub fn open(&self) {
        *self.0.0.lock().expect("a lock") = true;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let open = self.0.0.lock().expect("a lock");
        drop(self.0.1.wait_timeout_while(open, PATIENCE, |open| !*open).expect("a lock"));
    }
}

/// Settings under which everything goes to a stand-in.
pub fn metered(builder: Builder, openmeter: &OpenMeter) -> Builder {
    builder
        .set("USAGE_METERING", "openmeter")
        .set("OPENMETER_URL", openmeter.url())
        .set("OPENMETER_API_KEY", OpenMeter::KEY)
}

/// `kill -9` of a service of a gateway; waits until it is gone.
pub fn kill(gateway: &Gateway, service: &str) {
    let pid = gateway.pid(service).unwrap_or_else(|| panic!("{service} does not run"));
    finish(Command::new("kill").args(["-9", &pid.to_string()])).expect_success();
    wait::until(&format!("{service} to be gone"), || gateway.pid(service).is_none().then_some(()));
}

/// All rows of a user's ledger, by id; of those that control does not answer about, nothing.
pub fn ledger(fixture: &Fixture, user: &str) -> Option<BTreeMap<String, Value>> {
    let token = fixture.world.first.token(user);
    let mut rows = BTreeMap::new();
    let mut target = "/v1/usage?limit=1000".to_owned();
    loop {
        let answer = fixture.gateway.send(&Request::get(&target).bearer(&token));
        if answer.status != 200 {
            return None;
        }
        let page = answer.json();
        for row in page["data"].as_array().expect("rows") {
            let id = row["id"].as_str().expect("an id").to_owned();
            assert!(rows.insert(id, row.clone()).is_none(), "one id, two rows: {row:#}");
        }
        match page["next"].as_str() {
            Some(next) => target = format!("/v1/usage?limit=1000&before={next}"),
            None => return Some(rows),
        }
    }
}

/// All rows of a user's ledger, once there are so many.
pub fn rows(fixture: &Fixture, user: &str, count: usize) -> Vec<Value> {
    let mut had = 0;
    let start = std::time::Instant::now();
    loop {
        if let Some(rows) = ledger(fixture, user) {
            had = rows.len();
            if had >= count {
                assert_eq!(had, count, "{rows:#?}");
                return rows.into_values().collect();
            }
        }
        assert!(start.elapsed() < PATIENCE, "{user} should have {count} rows and has {had}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Says that of these rows each one's tokens are at the stand-in, once per side, and nothing else of the user's.
pub fn all_metered(openmeter: &OpenMeter, user: &str, rows: &[Value]) {
    let expected: BTreeMap<String, (u64, String)> = rows
        .iter()
        .flat_map(|row| {
            let id = row["id"].as_str().expect("an id");
            [("in", "input"), ("out", "output")].map(|(suffix, side)| {
                (format!("{id}-{suffix}"), (row[side].as_u64().expect("a number"), side.to_owned()))
            })
        })
        .collect();
    let found = || -> BTreeMap<String, (u64, String)> {
        let of = |event: Value| {
            assert_eq!(event["data"]["model"], MODEL, "{event}");
            let side = event["data"]["type"].as_str().expect("a side").to_owned();
            (event["data"]["tokens"].as_u64().expect("a number"), side)
        };
        openmeter.distinct(user).into_iter().map(|(id, event)| (id, of(event))).collect()
    };
    let start = std::time::Instant::now();
    while found().len() < expected.len() && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(100));
    }
    let found = found();
    let missing: Vec<_> = expected.keys().filter(|id| !found.contains_key(*id)).collect();
    let strange: Vec<_> = found.keys().filter(|id| !expected.contains_key(*id)).collect();
    assert!(missing.is_empty() && strange.is_empty(), "missing: {missing:?}; of no row: {strange:?}");
    assert_eq!(found, expected);
}

/// What `GET /v1/quota/me` says of a user's only limit; `None`: it cannot tell.
pub fn quota(fixture: &Fixture, user: &str) -> Option<Value> {
    let token = fixture.world.first.token(user);
    let answer = fixture.gateway.send(&Request::get("/v1/quota/me").bearer(&token));
    (answer.status == 200).then(|| answer.json()["limits"][0].clone())
}

/// Waits until a user has used so much of the only limit, and nothing is held or leased.
pub fn settled(fixture: &Fixture, user: &str, used: u64) {
    let mut last = None;
    let start = std::time::Instant::now();
    while start.elapsed() < PATIENCE {
        last = quota(fixture, user);
        if last.as_ref().is_some_and(|limit| limit["used"] == used && limit["held"] == 0) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("{user} should have used {used}, with nothing held: {last:#?}");
}

/// The sum of the series of a metric on Envoy's own page whose line holds all of these.
pub fn metric(fixture: &Fixture, name: &str, labels: &[&str]) -> u64 {
    let page = Request::get("/stats/prometheus").send(fixture.gateway.admin).expect(200).text();
    let lines = page.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    });
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}
