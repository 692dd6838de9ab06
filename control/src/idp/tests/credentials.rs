//! Client credentials.

use super::*;

const GRANT: (&str, &str) = ("grant_type", "client_credentials");

async fn refused(form: &[(&str, &str)]) -> (StatusCode, String) {
    let answer = post_form("/oauth/token", form).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    (answer.status, answer.json()["error"].as_str().unwrap().to_owned())
}

async fn claims(form: &[(&str, &str)]) -> Value {
    let answer = post_form("/oauth/token", form).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    verified(answer.json()["access_token"].as_str().unwrap()).await.1
}

#[tokio::test]
async fn a_client_gets_a_signed_token_in_its_own_name() {
    let answer = post_form("/oauth/token", &[GRANT, ("client_id", "app")]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("cache-control"), "no-store");
    let json = answer.json();
    assert_eq!((&json["token_type"], &json["expires_in"]), (&"Bearer".into(), &3600.into()));
    let (header, claims) = verified(json["access_token"].as_str().unwrap()).await;
    assert_eq!((&header["alg"], &header["typ"]), (&"RS256".into(), &"at+jwt".into()));
    assert_eq!((&claims["iss"], &claims["sub"]), (&ISSUER.into(), &"app".into()));
    assert_eq!((&claims["aud"], &claims["client_id"]), (&"default-audience".into(), &"app".into()));
    assert_eq!(claims["nbf"], claims["iat"]);
    assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 3600);
    // Nothing was asked for: what reads the gateway's statistics.
    assert_eq!((&claims["scope"], &json["scope"]), (&"metrics:read".into(), &"metrics:read".into()));
    assert!(json.get("id_token").is_none());
}

#[tokio::test]
async fn no_two_tokens_have_the_same_jti() {
    let form = [GRANT, ("client_id", "app")];
    assert_ne!(claims(&form).await["jti"], claims(&form).await["jti"]);
}

#[tokio::test]
async fn the_subject_the_audience_the_scope_and_the_life_are_what_was_asked_for() {
    for name in ["sub", "username"] {
        let form = [
            GRANT,
            ("client_id", "app"),
            (name, "älice"),
            ("audience", "api"),
            ("scope", "a b"),
            ("expires_in", "5"),
        ];
        let claims = claims(&form).await;
        assert_eq!(
            (&claims["sub"], &claims["aud"], &claims["scope"]),
            (&"älice".into(), &"api".into(), &"a b".into())
        );
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 5);
    }
}

#[tokio::test]
async fn several_resources_become_a_list_of_audiences() {
    let form = [GRANT, ("client_id", "app"), ("resource", "https://a.example/"), ("resource", "urn:b")];
    assert_eq!(claims(&form).await["aud"], serde_json::json!(["https://a.example/", "urn:b"]));
}

#[tokio::test]
async fn the_original_s_login_script_is_understood() {
    let body = r#"{"client_id": "app", "client_secret": null, "audience": "api", "grant_type": "client_credentials"}"#;
    let request = Request::post("/oauth/token").header("content-type", "application/json");
    let answer = send(request.body(body.into()).unwrap()).await;
    assert_eq!(verified(answer.json()["access_token"].as_str().unwrap()).await.1["aud"], "api");
}

#[tokio::test]
async fn basic_credentials_name_the_client_form_encoded() {
    let basic = base64::engine::general_purpose::STANDARD.encode("my%20app%3A1:any secret");
    let request = Request::post("/oauth/token")
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .header("authorization", format!("Basic {basic}"));
    let answer = send(request.body("grant_type=client_credentials".into()).unwrap()).await;
    assert_eq!(verified(answer.json()["access_token"].as_str().unwrap()).await.1["client_id"], "my app:1");
}

#[tokio::test]
async fn a_client_without_a_name_is_refused_with_a_challenge() {
    let answer = post_form("/oauth/token", &[GRANT]).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (StatusCode::UNAUTHORIZED, &"invalid_client".into())
    );
    assert!(answer.header("www-authenticate").starts_with("Basic "));
}

#[tokio::test]
async fn bad_requests_are_refused_in_the_words_of_rfc_6749() {
    let client = ("client_id", "app");
    let cases: [(&[(&str, &str)], &str); 9] = [
        (&[client], "invalid_request"),
        (&[GRANT, GRANT, client], "invalid_request"),
        (&[("grant_type", "password"), client], "unsupported_grant_type"),
        (&[GRANT, client, ("sub", "a"), ("username", "b")], "invalid_request"),
        (&[GRANT, client, ("scope", "\"")], "invalid_scope"),
        (&[GRANT, client, ("resource", "no-uri")], "invalid_target"),
        (&[GRANT, client, ("expires_in", "0")], "invalid_request"),
        (&[GRANT, client, ("expires_in", "86401")], "invalid_request"),
        (&[GRANT, client, ("expires_in", "soon")], "invalid_request"),
    ];
    for (form, code) in cases {
        assert_eq!(refused(form).await, (StatusCode::BAD_REQUEST, code.to_owned()), "{form:?}");
    }
}

#[tokio::test]
async fn a_body_of_another_type_is_refused() {
    let answer =
        send(Request::post("/oauth/token").body("grant_type=client_credentials".into()).unwrap()).await;
    assert_eq!(
        (answer.status, &answer.json()["error"]),
        (StatusCode::BAD_REQUEST, &"invalid_request".into())
    );
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let sub = "a".repeat(super::super::MAX_BODY);
    assert_eq!(
        post_form("/oauth/token", &[GRANT, ("sub", &sub)]).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
}
