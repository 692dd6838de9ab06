//! Discovery, keys, and what protects the provider from web pages.

use super::*;

#[tokio::test]
async fn both_discovery_documents_name_the_issuer_and_its_endpoints_and_warn() {
    for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
        let document = get(path).await.json();
        assert_eq!(document["issuer"], ISSUER);
        assert_eq!(document["jwks_uri"], format!("{ISSUER}/jwks.json"));
        assert_eq!(document["token_endpoint"], format!("{ISSUER}/oauth/token"));
        assert_eq!(document["code_challenge_methods_supported"], serde_json::json!(["S256"]));
        assert!(document["warning"].as_str().unwrap().contains("FOR DEVELOPMENT ONLY"));
    }
}

#[tokio::test]
async fn the_keys_stand_in_both_places_and_hold_nothing_private() {
    let keys = get("/jwks.json").await.json();
    assert_eq!(get("/.well-known/jwks.json").await.json(), keys);
    let mut members: Vec<&String> = keys["keys"][0].as_object().unwrap().keys().collect();
    members.sort();
    assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
}

#[tokio::test]
async fn the_first_page_says_that_this_is_for_development_only() {
    let answer = get("/").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text().contains("FOR DEVELOPMENT ONLY"));
    assert_eq!(get("/healthz").await.json()["status"], "ok");
}

#[tokio::test]
async fn a_request_under_a_foreign_name_is_refused() {
    for (host, status) in [
        ("evil.example:8082", StatusCode::MISDIRECTED_REQUEST),
        ("127.0.0.1.evil.example", StatusCode::MISDIRECTED_REQUEST),
        ("a b", StatusCode::MISDIRECTED_REQUEST),
        ("127.0.0.1:8082", StatusCode::OK),
        ("localhost", StatusCode::OK),
        ("[::1]:1", StatusCode::OK),
    ] {
        let request = Request::get("/jwks.json").header("host", host).body(Body::empty()).unwrap();
        assert_eq!(send(request).await.status, status, "{host}");
    }
}

#[tokio::test]
async fn a_name_that_issuer_gives_is_a_good_host() {
    let state = State::new("http://idp.test:1".parse().unwrap(), "a".into(), SigningKey::generate().unwrap())
        .unwrap();
    let request = Request::get("/healthz").header("host", "idp.test:1").body(Body::empty()).unwrap();
    assert_eq!(app(state).oneshot(request).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn only_pages_from_this_machine_may_read_answers() {
    for (origin, allowed) in [
        ("http://localhost:9000", "http://localhost:9000"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000"),
        ("https://evil.example", ""),
        ("null", ""),
    ] {
        let request = Request::get("/jwks.json").header("origin", origin).body(Body::empty()).unwrap();
        let answer = send(request).await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed, "{origin}");
        assert_eq!(answer.header("vary"), "origin");
    }
}

#[tokio::test]
async fn a_preflight_from_this_machine_is_answered() {
    let request = Request::options("/oauth/token")
        .header("origin", "http://localhost:9000")
        .header("access-control-request-method", "POST");
    let answer = send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.header("access-control-allow-origin"), "http://localhost:9000");
    assert!(answer.header("access-control-allow-headers").contains("content-type"));
}

#[test]
fn an_audience_that_no_token_can_carry_is_refused_at_start() {
    let key = SigningKey::generate().unwrap();
    let error = State::new(ISSUER.parse().unwrap(), String::new(), key).unwrap_err();
    assert!(error.to_string().contains("OIDC_AUD"));
}
