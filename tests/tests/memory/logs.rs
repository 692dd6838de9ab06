//! `POST /v1/logs`: what agents log is remembered as their caller's.

use attach_tests::request::Request;
use serde_json::{Value, json};

use crate::kit::{self, Site, contents, text};

kit::on_every_backend!(
    a_log_is_remembered_as_its_callers,
    many_logs_come_at_once,
    a_log_that_is_none_is_refused_with_its_field
);

fn a_log_is_remembered_as_its_callers(site: &Site) {
    let token = site.token("logs-alice");
    let log = json!({
        "run_id": "run-1", "level": "warn", "message": "the tree leans", "agent": "gardener",
        "timestamp": 1_709_251_199.25, "user": "logs-bob", "owner": "logs-bob",
    });
    let request = Request::post_json("/v1/logs", &log).bearer(&token).header("x-attach-user", "logs-bob");
    site.gateway().send(&request).expect(202);
    let events = site.events(&token, 1);
    let event = &events[0];
    assert_eq!((text(event, "event"), text(event, "content")), ("log".into(), "the tree leans".into()));
    assert_eq!((text(event, "run_id"), text(event, "level")), ("run-1".into(), "warn".into()));
    assert_eq!(text(event, "user"), "logs-alice");
    assert!(text(event, "timestamp").starts_with("2024-02-29T23:59:59.25"), "{event:#}");
    assert_eq!(site.events(&site.token("logs-bob"), 0), Vec::<Value>::new());
}

fn many_logs_come_at_once(site: &Site) {
    let token = site.token("many-logs-alice");
    let log = |number: usize| json!({"run_id": "run-2", "level": "info", "message": format!("log {number}")});
    let array = Value::Array((0..20).map(log).collect());
    site.gateway().send(&Request::post_json("/v1/logs", &array).bearer(&token)).expect(202);
    let lines: String = (20..40).map(|number| format!("{}\n", log(number))).collect();
    let lines =
        Request::post("/v1/logs", lines).header("content-type", "application/x-ndjson").bearer(&token);
    site.gateway().send(&lines).expect(202);
    assert_eq!(contents(&site.events(&token, 40)), (0..40).map(|number| format!("log {number}")).collect());
}

fn a_log_that_is_none_is_refused_with_its_field(site: &Site) {
    let token = site.token("bad-logs-alice");
    let whole = json!({"run_id": "run-3", "level": "info", "message": "m"});
    let with = |name: &str, value: Value| {
        let mut log = whole.clone();
        log[name] = value;
        log
    };
    let without = |name: &str| {
        let mut log = whole.clone();
        log.as_object_mut().expect("an object").remove(name);
        log
    };
    for (log, field) in [
        (without("run_id"), "run_id"),
        (without("level"), "level"),
        (without("message"), "message"),
        (with("level", json!("loud")), "level"),
        (with("level", json!("INFO ")), "level"),
        (with("level", json!(3)), "level"),
        (with("message", json!(["m"])), "message"),
        (with("run_id", Value::Null), "run_id"),
        (with("timestamp", json!("yesterday")), "timestamp"),
        // One that is none, and none of them is taken.
        (json!([whole, without("message")]), "message"),
    ] {
        let refused = site.gateway().send(&Request::post_json("/v1/logs", &log).bearer(&token)).expect(422);
        assert!(refused.text().contains(field), "{log}: {}", refused.text());
    }
    for text in ["", "{", "[1]", "null", "\u{0}", &"[".repeat(100_000)] {
        let refused =
            Request::post("/v1/logs", text).header("content-type", "application/json").bearer(&token);
        let refused = site.gateway().send(&refused);
        assert!((400..500).contains(&refused.status), "{} {}", refused.status, refused.text());
    }
    site.settle();
    assert_eq!(site.events(&token, 0), Vec::<Value>::new());
}
