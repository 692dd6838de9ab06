//! Authorization code with PKCE.

use sha2::{Digest, Sha256};
use url::Url;

use super::*;

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const REDIRECT: &str = "http://127.0.0.1:9000/callback?keep=1";

fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER))
}

/// The authorization request, with some parameters replaced, and those with an empty value left out.
fn request(changes: &[(&str, &str)]) -> String {
    let challenge = challenge();
    let mut params = vec![
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", REDIRECT),
        ("state", "s&t"),
        ("scope", "openid chat"),
        ("nonce", "n-1"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("login_hint", "alice"),
        ("prompt", "none"),
    ];
    for (name, value) in changes {
        params.retain(|(known, _)| known != name);
        params.push((name, value));
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
    format!("/authorize?{query}")
}

/// What stands in the query of the redirect.
async fn redirected(changes: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    let answer = get(&request(changes)).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
    let url = Url::parse(answer.header("location")).unwrap();
    assert!(url.as_str().starts_with(REDIRECT));
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    move |name| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

async fn code() -> String {
    redirected(&[]).await("code").unwrap()
}

async fn redeem(code: &str, changes: &[(&str, &str)]) -> Answer {
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("client_id", "app"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    for (name, value) in changes {
        form.retain(|(known, _)| known != name);
        form.push((name, value));
    }
    post_form("/oauth/token", &form).await
}

fn error(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
    answer.json()["error"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_code_becomes_an_access_token_and_an_id_token_in_the_user_s_name() {
    let back = redirected(&[]).await;
    assert_eq!(
        (back("state"), back("iss"), back("keep")),
        (Some("s&t".into()), Some(ISSUER.into()), Some("1".into()))
    );
    let answer = redeem(&back("code").unwrap(), &[]).await;
    assert_eq!((answer.status, answer.header("cache-control")), (StatusCode::OK, "no-store"));
    let json = answer.json();
    assert_eq!(json["scope"], "openid chat");
    let access_token = json["access_token"].as_str().unwrap();
    let (_, access) = verified(access_token).await;
    assert_eq!(
        (&access["sub"], &access["aud"], &access["scope"]),
        (&"alice".into(), &"default-audience".into(), &"openid chat".into())
    );
    let (header, id) = verified(json["id_token"].as_str().unwrap()).await;
    assert_eq!(header["typ"], "JWT");
    assert_eq!((&id["sub"], &id["aud"], &id["nonce"]), (&"alice".into(), &"app".into(), &"n-1".into()));
    assert_eq!(id["at_hash"], URL_SAFE_NO_PAD.encode(&Sha256::digest(access_token)[..16]));
}

#[tokio::test]
async fn without_the_openid_scope_there_is_no_id_token() {
    let code = redirected(&[("scope", "openidx")]).await("code").unwrap();
    assert!(redeem(&code, &[]).await.json().get("id_token").is_none());
}

#[tokio::test]
async fn a_code_that_was_used_is_refused() {
    let code = code().await;
    assert_eq!(redeem(&code, &[]).await.status, StatusCode::OK);
    assert_eq!(error(&redeem(&code, &[]).await), "invalid_grant");
}

#[tokio::test]
async fn a_code_is_bound_to_its_client_its_redirect_address_and_its_verifier() {
    let short = "a".repeat(42);
    let other = "a".repeat(43);
    let challenge = challenge();
    for change in [
        ("client_id", "other"),
        ("redirect_uri", "http://127.0.0.1:9000/callback"),
        ("code_verifier", other.as_str()),
        ("code_verifier", short.as_str()),
        ("code_verifier", challenge.as_str()),
        ("code", "made-up"),
    ] {
        assert_eq!(error(&redeem(&code().await, &[change]).await), "invalid_grant", "{change:?}");
    }
}

#[tokio::test]
async fn a_wrong_verifier_spends_the_code() {
    let code = code().await;
    assert_eq!(error(&redeem(&code, &[("code_verifier", &"a".repeat(43))]).await), "invalid_grant");
    assert_eq!(error(&redeem(&code, &[]).await), "invalid_grant");
}

#[tokio::test]
async fn a_missing_verifier_is_an_incomplete_request_and_leaves_the_code() {
    let code = code().await;
    assert_eq!(error(&redeem(&code, &[("code_verifier", "")]).await), "invalid_request");
    assert_eq!(redeem(&code, &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_token_is_for_what_was_granted_and_never_for_more() {
    let code = || async { redirected(&[("audience", "api"), ("resource", "urn:b")]).await("code").unwrap() };
    let audience = |answer: Answer| async move {
        verified(answer.json()["access_token"].as_str().unwrap()).await.1["aud"].clone()
    };
    assert_eq!(audience(redeem(&code().await, &[]).await).await, serde_json::json!(["api", "urn:b"]));
    assert_eq!(audience(redeem(&code().await, &[("resource", "urn:b")]).await).await, "urn:b");
    assert_eq!(error(&redeem(&code().await, &[("resource", "urn:c")]).await), "invalid_target");
}

#[tokio::test]
async fn a_redirect_address_beyond_this_machine_is_refused_on_a_page_and_never_followed() {
    for uri in [
        "https://example.com/",
        "http://example.com/",
        "http://127.0.0.1.example.com/",
        "http://localhost@example.com/",
        "http://user@127.0.0.1/",
        "https://127.0.0.1/",
        "http://127.0.0.1/#fragment",
        "http://0.0.0.0/",
        "javascript:alert(1)",
        "/relative",
        "",
    ] {
        let answer = get(&request(&[("redirect_uri", uri)])).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::BAD_REQUEST, ""), "{uri}");
        assert!(answer.text().contains("redirect_uri"), "{uri}");
    }
}

#[tokio::test]
async fn every_spelling_of_loopback_is_a_good_redirect_address() {
    for uri in ["http://127.0.0.1:1/", "http://127.1.2.3/", "http://[::1]:9/x", "http://localhost:3000"] {
        assert_eq!(get(&request(&[("redirect_uri", uri)])).await.status, StatusCode::SEE_OTHER, "{uri}");
    }
}

#[tokio::test]
async fn a_bad_request_goes_back_to_the_client_with_its_state() {
    for (change, code) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("response_type", ""), "invalid_request"),
        (("response_mode", "fragment"), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge_method", ""), "invalid_request"),
        (("prompt", "none login"), "invalid_request"),
        (("login_hint", ""), "login_required"),
        (("request", "eyJ"), "request_not_supported"),
        (("request_uri", "urn:x"), "request_uri_not_supported"),
        (("scope", "\\"), "invalid_scope"),
    ] {
        let changes = [change];
        let back = redirected(&changes).await;
        assert_eq!(back("error").as_deref(), Some(code), "{change:?}");
        assert_eq!((back("state").as_deref(), back("code")), (Some("s&t"), None), "{change:?}");
    }
}

#[tokio::test]
async fn the_form_asks_for_a_name_and_its_answer_is_a_code() {
    let answer = get(&request(&[("prompt", "")])).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.text().contains(r#"name="username" value="alice""#));
    assert!(answer.text().contains(r#"name="state" value="s&amp;t""#));
    let challenge = challenge();
    let form = [
        ("response_type", "code"),
        ("client_id", "app"),
        ("redirect_uri", REDIRECT),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("username", " bob "),
    ];
    let answer = post_form("/authorize", &form).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let url = Url::parse(answer.header("location")).unwrap();
    let code = url.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let token = redeem(&code, &[]).await.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(verified(&token).await.1["sub"], "bob");

    let nameless: Vec<_> = form.into_iter().filter(|(name, _)| *name != "username").collect();
    let again = post_form("/authorize", &nameless).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST);
    assert!(again.text().contains("Choose a name"));
}

#[tokio::test]
async fn what_a_client_sends_never_becomes_markup() {
    let evil = r#""><script>alert('x')</script>"#;
    let changes =
        [("prompt", ""), ("client_id", evil), ("state", evil), ("login_hint", evil), ("nonce", evil)];
    let answer = get(&request(&changes)).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(!answer.text().contains("<script"));
    assert!(answer.text().contains("&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)"));
    assert!(answer.header("content-security-policy").contains("default-src 'none'"));
}
