//! Who answers on which path.

use attach_tests::request::Request;

use crate::fixture;

/// Routes of services that a later version brings: control's, and nobody else's.
const LATER: [(&str, &str); 6] = [
    ("POST", "/a2a/tasks/send"),
    ("GET", "/a2a/tasks/status/1"),
    ("POST", "/a2a"),
    ("POST", "/tasks/send"),
    ("GET", "/tasks/status/1"),
    ("GET", "/agents/coder/run"),
];

#[test]
fn the_health_check_needs_no_token() {
    let fixture = fixture();
    let response = fixture.gateway.send(&Request::get("/healthz")).expect(200);
    assert_eq!(response.json()["status"], "ok");
    let head = fixture.gateway.send(&Request::new("HEAD", "/healthz")).expect(200);
    assert!(head.body.is_empty());
    fixture.nothing_arrived("/healthz");
}

#[test]
fn the_health_check_takes_no_other_method() {
    let fixture = fixture();
    let response = fixture.gateway.send(&Request::post("/healthz", "{}")).expect(405);
    assert_eq!(response.headers.one("allow"), Some("GET, HEAD"));
}

#[test]
fn a_login_page_can_read_what_it_needs() {
    let fixture = fixture();
    let response = fixture.gateway.send(&Request::get("/auth/config")).expect(200);
    let config = response.json();
    assert_eq!(config["audience"], fixture.world.audience());
    assert_eq!(config["issuer"], fixture.first.url());
    for name in ["domain", "client_id"] {
        assert!(config.get(name).is_some(), "no {name}: {config}");
    }
    fixture.nothing_arrived("/auth/config");
}

#[test]
fn a_service_that_does_not_exist_yet_is_not_found_at_control() {
    let fixture = fixture();
    let token = fixture.alice();
    for (method, path) in LATER {
        let response = fixture.gateway.send(&Request::new(method, path).bearer(&token));
        assert_eq!(response.status, 404, "{method} {path}: {}", response.text());
        assert!(!response.detail().is_empty());
        fixture.nothing_arrived(path);
    }
}

#[test]
fn it_is_not_found_by_the_verified_alone() {
    let fixture = fixture();
    for (method, path) in LATER {
        let response = fixture.gateway.send(&Request::new(method, path));
        assert_eq!(response.status, 401, "{method} {path}: {}", response.text());
    }
}

#[test]
fn public_documents_of_later_versions_are_not_the_engines() {
    let fixture = fixture();
    for path in [
        "/.well-known/agent-card.json",
        "/.well-known/attach-jwks.json",
        "/openapi.json",
        "/demo/",
        "/demo/x.js",
    ] {
        let response = fixture.gateway.send(&Request::get(path));
        assert!(matches!(response.status, 200 | 404), "{path}: {}", response.status);
        fixture.nothing_arrived(path);
    }
}

#[test]
fn everything_else_is_the_engines() {
    let fixture = fixture();
    let token = fixture.alice();
    for path in [
        "/api/tags-of-engine",
        "/v1/models-of-engine",
        "/anything/of-engine",
        "/internal/of-engine",
        "/auth/of-engine",
    ] {
        fixture.gateway.send(&Request::get(path).bearer(&token)).expect(200);
        assert_eq!(fixture.arrived(path).target, path);
        fixture.gateway.send(&Request::get(format!("{path}-2"))).expect(401);
        fixture.nothing_arrived(&format!("{path}-2"));
    }
}
