//! What somebody is told who does not get in.

use attach_tests::request::Request;
use attach_tests::wait;
use serde_json::json;

use crate::fixture;

#[test]
fn a_request_without_a_token_is_told_how_to_get_one() {
    let fixture = fixture();
    let response = fixture.gateway.send(&Request::get("/refused-missing")).expect(401);
    assert!(!response.detail().is_empty());
    let challenge = response.headers.one("www-authenticate").expect("a challenge");
    assert!(challenge.starts_with("Bearer "), "{challenge}");
    assert!(challenge.contains("error=\""), "{challenge}");
    let metadata =
        format!("resource_metadata=\"{}/.well-known/oauth-protected-resource\"", fixture.gateway.url());
    assert!(challenge.contains(&metadata), "{challenge}");
    fixture.nothing_arrived("/refused-missing");
}

#[test]
fn a_bad_token_is_an_invalid_token() {
    let fixture = fixture();
    for claims in [json!({"exp": 1}), json!({"aud": "other"}), json!({"iss": "https://evil.example"})] {
        let token = fixture.world.first.token_of(&claims);
        let response = fixture.gateway.send(&Request::get("/refused-invalid").bearer(&token)).expect(401);
        let challenge = response.headers.one("www-authenticate").expect("a challenge");
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    }
    fixture.nothing_arrived("/refused-invalid");
}

#[test]
fn a_refused_requests_body_never_reaches_the_engine() {
    let fixture = fixture();
    let response = fixture.gateway.send(&Request::post("/refused-body", vec![b'x'; 1 << 20])).expect(401);
    assert!(!response.detail().is_empty());
    fixture.nothing_arrived("/refused-body");
}

#[test]
fn a_refusal_does_not_wait_for_the_body() {
    let fixture = fixture();
    let mut call = Request::post_chunked("/refused-early").open(fixture.gateway.address);
    call.send(b"the beginning");
    // The request is never ended.
    assert_eq!(call.head().0, 401);
    fixture.nothing_arrived("/refused-early");
}

#[test]
fn a_refusal_says_nothing_about_any_user() {
    let fixture = fixture();
    let token = fixture.world.first.token_of(&json!({"exp": 1, "sub": "somebody-secret"}));
    let response = fixture.gateway.send(&Request::get("/refused-user").bearer(&token)).expect(401);
    assert!(!response.text().contains("somebody-secret"));
    let names = response.headers.names();
    assert!(!names.iter().any(|name| name.starts_with("x-attach")), "{names:?}");
}

#[test]
fn a_token_that_was_accepted_is_refused_when_it_has_expired() {
    let fixture = fixture();
    // Within the leeway of sixty seconds for a few seconds more.
    let token = fixture.world.first.token_of(&json!({"exp": attach_tests::mint::now() - 55}));
    let request = Request::get("/expires").bearer(&token);
    fixture.gateway.send(&request).expect(200);
    let response = wait::until("the token to expire", || {
        let response = fixture.gateway.send(&request);
        (response.status != 200).then_some(response)
    });
    assert_eq!(response.expect(401).detail(), "Token has expired");
}
