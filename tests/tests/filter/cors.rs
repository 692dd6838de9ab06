//! Browsers of other origins.

use attach_tests::request::Request;

use crate::fixture;

const ORIGIN: &str = "http://localhost:9000";

fn preflight(path: &str, origin: &str) -> Request {
    Request::new("OPTIONS", path)
        .header("Origin", origin)
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "authorization,content-type")
}

#[test]
fn a_preflight_of_an_allowed_origin_needs_no_token() {
    let fixture = fixture();
    for origin in [ORIGIN, "http://127.0.0.1:9000"] {
        let response = fixture.gateway.send(&preflight("/preflight", origin));
        assert!(matches!(response.status, 200 | 204), "{}", response.status);
        assert_eq!(response.headers.one("access-control-allow-origin"), Some(origin));
        let allowed =
            response.headers.one("access-control-allow-headers").unwrap_or_default().to_ascii_lowercase();
        assert!(allowed.contains("authorization") || allowed == "*", "{allowed}");
        let methods = response.headers.one("access-control-allow-methods").unwrap_or_default();
        assert!(methods.contains("POST"), "{methods}");
    }
    fixture.nothing_arrived("/preflight");
}

#[test]
fn a_preflight_of_another_origin_is_refused() {
    let fixture = fixture();
    for origin in
        ["https://evil.example", "null", "http://localhost:9000.evil.example", "https://localhost:9000"]
    {
        let response = fixture.gateway.send(&preflight("/evil-preflight", origin));
        assert!(!response.headers.has("access-control-allow-origin"), "{origin}: {:?}", response.headers);
        assert_eq!(response.status, 401, "{origin}");
    }
    fixture.nothing_arrived("/evil-preflight");
}

#[test]
fn options_without_a_preflights_headers_need_a_token() {
    let fixture = fixture();
    fixture.gateway.send(&Request::new("OPTIONS", "/options")).expect(401);
    fixture.gateway.send(&Request::new("OPTIONS", "/options").header("Origin", ORIGIN)).expect(401);
    let no_origin = Request::new("OPTIONS", "/options").header("Access-Control-Request-Method", "POST");
    fixture.gateway.send(&no_origin).expect(401);
    fixture.nothing_arrived("/options");
    fixture.gateway.send(&Request::new("OPTIONS", "/verified-options").bearer(&fixture.alice())).expect(200);
    assert_eq!(fixture.arrived("/verified-options").method, "OPTIONS");
}

#[test]
fn an_allowed_origin_may_read_the_answer() {
    let fixture = fixture();
    let request = Request::get("/cors-read").bearer(&fixture.alice()).header("Origin", ORIGIN);
    let response = fixture.gateway.send(&request).expect(200);
    assert_eq!(response.headers.one("access-control-allow-origin"), Some(ORIGIN));
    let other = Request::get("/cors-read").bearer(&fixture.alice()).header("Origin", "https://evil.example");
    assert!(!fixture.gateway.send(&other).expect(200).headers.has("access-control-allow-origin"));
}

#[test]
fn an_allowed_origin_may_read_why_it_was_refused() {
    let fixture = fixture();
    let response = fixture.gateway.send(&Request::get("/cors-401").header("Origin", ORIGIN)).expect(401);
    assert_eq!(response.headers.one("access-control-allow-origin"), Some(ORIGIN));
}
