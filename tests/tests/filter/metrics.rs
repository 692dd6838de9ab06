//! The gateway's metrics, as a real Prometheus takes them.

use attach_tests::peers::Prometheus;
use attach_tests::request::Request;
use attach_tests::wait;
use serde_json::json;

use crate::fixture;

/// A token that may read them.
fn token() -> String {
    fixture().world.first.token_of(&json!({"sub": "prometheus", "scope": "metrics:read"}))
}

#[test]
fn promtool_has_nothing_to_say_about_the_page() {
    let fixture = fixture();
    let page = fixture.gateway.send(&Request::get("/metrics").bearer(&token())).expect(200);
    assert_eq!(page.headers.one("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let text = page.text();
    assert!(text.contains("attach_build_info{version=\""), "{text}");
    assert!(!text.contains("envoy_"), "{text}");
    assert_eq!(Prometheus::check(&text), "");
    fixture.nothing_arrived("/metrics");
}

#[test]
fn metrics_are_read_and_nothing_else() {
    let fixture = fixture();
    let head = fixture.gateway.send(&Request::new("HEAD", "/metrics").bearer(&token())).expect(200);
    assert!(head.body.is_empty());
    fixture.gateway.send(&Request::post("/metrics", "").bearer(&token())).expect(405);
    fixture.gateway.send(&Request::get("/metrics")).expect(401);
    // Another process on this machine has to come through the gateway, too.
    let forged = Request::get("/metrics").header("x-attach-user", "alice").header("x-attach-session", "0");
    forged.send(fixture.gateway.control).expect(401);
    fixture.nothing_arrived("/metrics");
}

#[test]
fn a_real_prometheus_reads_them_through_the_gateway() {
    let prometheus = Prometheus::start(fixture().gateway.address, &token());
    wait::until("Prometheus to have read the page", || {
        assert_eq!(prometheus.last_error(), "");
        let found = prometheus.query("attach_build_info");
        found
            .first()
            .map(|(labels, value)| assert!(labels["version"].is_string() && (*value - 1.0).abs() < 0.1))
    });
    assert!(prometheus.query("up").iter().all(|(_, up)| (*up - 1.0).abs() < 0.1));
}
