//! A real Prometheus reads through the gateway what the ledger says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use attach_tests::fixture::Fixture;
use attach_tests::peers::Prometheus;
use attach_tests::request::Request;
use attach_tests::wait;
use serde_json::json;

use crate::kit;

const READER: &str = "prometheus";

#[test]
fn a_real_prometheus_shows_what_the_ledger_says() {
    let fixture = Fixture::start("prometheus", |builder| builder.set("USAGE_METERING", "prometheus"));
    kit::answer(&fixture, None);
    let calls = [("alice", 5), ("auth0|\"bob\" \\ {x=\"1\"}", 3), ("carol@example.com", 2)];
    for (user, count) in calls {
        for _ in 0..count {
            fixture.gateway.send(&kit::call(&fixture, user, "p")).expect(200);
        }
    }
    let reader = fixture.world.first.token_of(&json!({"sub": READER, "scope": "metrics:read"}));
    let prometheus = Prometheus::start(fixture.gateway.address, &reader);
    let shown = || {
        let series = prometheus.query("sum by (user, direction, model) (attach_usage_tokens_total)");
        let of = |labels: &serde_json::Value| {
            ["user", "direction", "model"].map(|name| labels[name].as_str().unwrap_or_default().to_owned())
        };
        let found = series.into_iter().map(|(labels, value)| (of(&labels), format!("{value}")));
        found.collect::<BTreeMap<_, _>>()
    };
    let mut expected = BTreeMap::new();
    for (user, count) in calls {
        let rows = kit::rows(&fixture, user, count);
        for (side, direction) in [("input", "in"), ("output", "out")] {
            let labels = [user, direction, kit::MODEL].map(str::to_owned);
            expected.insert(labels, kit::sum(&rows, side).to_string());
        }
    }
    let mut last = BTreeMap::new();
    let start = std::time::Instant::now();
    while last != expected && start.elapsed() < wait::LIMIT {
        assert_eq!(prometheus.last_error(), "");
        std::thread::sleep(std::time::Duration::from_millis(200));
        last = shown();
    }
    assert_eq!(last, expected);
    let up = prometheus.query("up");
    assert!(!up.is_empty() && up.iter().all(|(_, up)| (*up - 1.0).abs() < 0.1), "{up:?}");

    let page = fixture.gateway.send(&Request::get("/metrics").bearer(&reader)).expect(200).text();
    assert_eq!(Prometheus::check(&page), "");
}

/// As many users as come: never more than 5,000 series, and no token is missing from their sum.
#[test]
fn more_users_than_there_may_be_series_are_counted_as_others() {
    const CALLS: usize = 2_600;
    const SERIES: usize = 5_000;
    let fixture = Fixture::start("series", |builder| builder.set("USAGE_METERING", "prometheus"));
    kit::answer(&fixture, None);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let number = next.fetch_add(1, Ordering::SeqCst)
                    && number < CALLS
                {
                    fixture.gateway.send(&kit::call(&fixture, &format!("user-{number}"), "p")).expect(200);
                }
            });
        }
    });
    let reader = fixture.world.first.token_of(&json!({"sub": READER, "scope": "metrics:read"}));
    let read = || fixture.gateway.send(&Request::get("/metrics").bearer(&reader)).expect(200).text();
    let series = |page: &str| -> Vec<(String, u64)> {
        let lines = page.lines().filter_map(|line| line.strip_prefix("attach_usage_tokens_total{"));
        let parts = lines.map(|line| line.rsplit_once(' ').expect("a value"));
        parts.map(|(labels, value)| (labels.to_owned(), value.parse().expect("a number"))).collect()
    };
    let found = wait::until("all tokens to be counted", || {
        let found = series(&read());
        let all: u64 = found.iter().map(|(_, value)| value).sum();
        (all == 100 * CALLS as u64).then_some(found)
    });
    // Some are kept for the others of further models.
    assert!((SERIES * 9 / 10..=SERIES).contains(&found.len()), "{} series", found.len());
    let others: u64 =
        found.iter().filter(|(labels, _)| labels.contains("user=\"other\"")).map(|(_, value)| value).sum();
    println!("{} series, {others} tokens of others", found.len());
    // Two series a user.
    assert!(others >= 100 * (CALLS - SERIES / 2) as u64, "{others}");
    assert_eq!(Prometheus::check(&read()), "");
}

#[test]
fn without_the_scope_nobody_reads_metrics() {
    let fixture = Fixture::start("scope", |builder| builder.set("METRICS_SCOPE", "ops:read"));
    let read = |claims| {
        let token = fixture.world.first.token_of(&claims);
        fixture.gateway.send(&Request::get("/metrics").bearer(&token)).status
    };
    assert_eq!(read(json!({"sub": READER, "scope": "ops:read"})), 200);
    assert_eq!(read(json!({"sub": READER, "scope": "metrics:read"})), 403);
    assert_eq!(read(json!({"sub": READER})), 403);
    fixture.gateway.send(&Request::get("/metrics")).expect(401);
    let token = fixture.world.first.token_of(&json!({"sub": READER, "scope": "metrics:read"}));
    let prometheus = Prometheus::start(fixture.gateway.address, &token);
    wait::until("Prometheus to be refused", || prometheus.last_error().contains("403").then_some(()));
}

#[test]
fn an_empty_scope_lets_every_verified_caller_read_metrics() {
    let fixture = Fixture::start("no-scope", |builder| builder.set("METRICS_SCOPE", ""));
    let token = fixture.alice();
    fixture.gateway.send(&Request::get("/metrics").bearer(&token)).expect(200);
    fixture.gateway.send(&Request::get("/metrics")).expect(401);
}
