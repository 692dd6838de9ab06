use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::settings::{RewriteChat, Sources, load};
use crate::token::{self, TokenError, Wish};

/// Serves a router on a free port for as long as the test runs; `{base}` in the answers is its address.
async fn serve(routes: impl FnOnce(String) -> Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = routes(base.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

/// A port nobody listens on.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

fn settings(environment: &[(&str, &str)]) -> Settings {
    let mut variables: std::collections::BTreeMap<_, _> =
        environment.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    variables.insert("HOME".into(), "/home/someone".into());
    let folder = std::env::temp_dir().join("attach-discover-no-such-folder");
    load(&Sources { folder, environment: variables, ..Sources::default() }).unwrap()
}

fn answer(path: &str, status: u16, body: Value) -> Router {
    let reply =
        move || async move { (StatusCode::from_u16(status).unwrap(), axum::Json(body)).into_response() };
    Router::new().route(path, get(reply))
}

const DISCOVERY: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/.well-known/jwks.json";

async fn resolve_issuer(issuer: &str, more: &[(&str, &str)], keys: Keys) -> Result<Resolved, String> {
    let engine = nobody().await;
    let mut environment = vec![("OIDC_ISSUER", issuer), ("OIDC_AUD", "api"), ("ENGINE_URL", &engine)];
    environment.extend(more);
    resolve(settings(&environment), keys).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_discovery_document_says_where_the_keys_are() {
    for slash in ["", "/"] {
        let base = serve(|base| {
            answer(
                DISCOVERY,
                200,
                json!({"issuer": format!("{base}/"), "jwks_uri": format!("{base}/keys?x=1"), "token_endpoint": format!("{base}/token")}),
            )
        })
        .await;
        let resolved = resolve_issuer(&format!("{base}{slash}"), &[], Keys::MustAnswer).await.unwrap();
        let issuer = &resolved.issuers[0];
        assert_eq!(issuer.from, KeysFrom::Discovery);
        assert_eq!(issuer.jwks_url.as_str(), format!("{base}/keys?x=1"));
        assert_eq!(issuer.discovery_url.as_ref().unwrap().as_str(), format!("{base}{DISCOVERY}"));
        assert_eq!(issuer.token_endpoint.as_ref().unwrap().as_str(), format!("{base}/token"));
    }
}

#[tokio::test]
async fn an_issuer_without_discovery_has_its_keys_where_the_original_looked() {
    let base = serve(|_| answer(JWKS, 200, json!({"keys": []}))).await;
    let resolved = resolve_issuer(&base, &[], Keys::MustAnswer).await.unwrap();
    assert_eq!(resolved.issuers[0].from, KeysFrom::WellKnown);
    assert_eq!(resolved.issuers[0].jwks_url.as_str(), format!("{base}{JWKS}"));
}

#[tokio::test]
async fn an_issuer_that_is_not_what_it_should_be_is_named_with_its_setting() {
    for (document, says) in [
        (json!({"issuer": "https://other.example", "jwks_uri": "https://other.example/k"}), "other.example"),
        (json!({"jwks_uri": "https://other.example/k"}), "names no issuer"),
        (json!({"issuer": "BASE"}), "names no jwks_uri"),
        (json!({"issuer": "BASE", "jwks_uri": "http://far.example/k"}), "must be https"),
        (json!({"issuer": "BASE", "jwks_uri": "file:///etc/passwd"}), "https://"),
        (json!({"issuer": "BASE//", "jwks_uri": "https://other.example/k"}), "calls itself"),
    ] {
        let base = serve(|base| {
            let document = document.to_string().replace("BASE", &base);
            answer(DISCOVERY, 200, serde_json::from_str(&document).unwrap())
        })
        .await;
        let error = resolve_issuer(&base, &[], Keys::MayBeDown).await.unwrap_err();
        assert!(error.starts_with("OIDC_ISSUER: ") && error.contains(says), "{document}: {error}");
    }
}

#[tokio::test]
async fn what_does_not_answer_is_one_sentence_with_the_setting() {
    let gone = nobody().await;
    let error = resolve_issuer(&gone, &[], Keys::MayBeDown).await.unwrap_err();
    assert!(
        error.starts_with("OIDC_ISSUER: ") && error.contains("refused") && !error.contains('\n'),
        "{error}"
    );

    let empty = serve(|_| Router::new()).await;
    let error = resolve_issuer(&empty, &[], Keys::MayBeDown).await.unwrap_err();
    assert!(error.contains("404") && error.contains("OIDC_JWKS_URL"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let base = serve(|_| {
        let redirect = || async { axum::response::Redirect::temporary("/elsewhere") };
        Router::new().route(DISCOVERY, get(redirect)).merge(answer("/elsewhere", 200, json!({"keys": []})))
    })
    .await;
    let error = resolve_issuer(&base, &[], Keys::MayBeDown).await.unwrap_err();
    assert!(error.contains("307"), "{error}");
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let base = serve(|_| {
        let huge = || async { "x".repeat(crate::fetch::MAX_BYTES + 1) };
        Router::new().route(DISCOVERY, get(huge))
    })
    .await;
    let error = resolve_issuer(&base, &[], Keys::MayBeDown).await.unwrap_err();
    assert!(error.contains("longer than 256 KiB"), "{error}");
}

#[tokio::test]
async fn keys_whose_address_is_set_need_no_discovery() {
    let base = serve(|_| answer("/keys", 200, json!({"keys": []}))).await;
    let issuer = "https://idp.example.com/";
    let set = format!("{base}/keys");
    let resolved = resolve_issuer(issuer, &[("OIDC_JWKS_URL", &set)], Keys::MustAnswer).await.unwrap();
    assert_eq!(
        (resolved.issuers[0].from, resolved.issuers[0].jwks_url.as_str()),
        (KeysFrom::Setting, set.as_str())
    );

    let gone = nobody().await;
    let error = resolve_issuer(issuer, &[("OIDC_JWKS_URL", &gone)], Keys::MustAnswer).await.unwrap_err();
    assert!(error.starts_with("OIDC_JWKS_URL: "), "{error}");
    let resolved = resolve_issuer(issuer, &[("OIDC_JWKS_URL", &gone)], Keys::MayBeDown).await.unwrap();
    assert!(
        resolved.notices.iter().any(|notice| notice.starts_with("OIDC_JWKS_URL")),
        "{:?}",
        resolved.notices
    );
}

#[tokio::test]
async fn the_dev_identity_provider_and_the_echo_engine_need_not_run() {
    let settings = settings(&[("IDP_PORT", "1"), ("ECHO_PORT", "2"), ("PORT", "11434")]);
    let resolved = resolve(settings, Keys::MustAnswer).await.unwrap();
    assert_eq!(resolved.issuers[0].jwks_url.as_str(), "http://127.0.0.1:1/.well-known/jwks.json");
    // The gateway has Ollama's port, so nobody is taken for Ollama.
    assert_eq!(
        (resolved.engine.kind, resolved.engine.url.as_str()),
        (EngineKind::Echo, "http://127.0.0.1:2/")
    );
    assert!(!resolved.engine.rewrite_chat);
}

#[tokio::test]
async fn an_engine_is_asked_once_whether_it_has_api_chat() {
    let ollama = serve(|_| answer("/base/api/version", 200, json!({"version": "0.5"}))).await;
    let tags_only = serve(|_| answer("/api/tags", 200, json!({"models": []}))).await;
    let vllm = serve(|_| answer("/version", 200, json!({"version": "1"}))).await;
    let page = serve(|_| Router::new().fallback(|| async { "<html>anything</html>" })).await;
    for (url, wish, rewritten) in [
        (format!("{ollama}/base"), "auto", false),
        (tags_only, "auto", false),
        (vllm.clone(), "auto", true),
        (page, "auto", true),
        (vllm, "off", false),
        (format!("{ollama}/base"), "on", true),
    ] {
        let resolved =
            resolve(settings(&[("ENGINE_URL", &url), ("ENGINE_REWRITE_CHAT", wish)]), Keys::MayBeDown)
                .await
                .unwrap();
        assert_eq!(resolved.engine.rewrite_chat, rewritten, "{url} {wish}");
        assert_eq!(resolved.notices, Vec::<String>::new());
    }
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_a_notice_and_not_rewritten() {
    let gone = nobody().await;
    let resolved = resolve(settings(&[("ENGINE_URL", &gone)]), Keys::MayBeDown).await.unwrap();
    assert_eq!(resolved.settings.engine.rewrite_chat, RewriteChat::Auto);
    assert!(!resolved.engine.rewrite_chat);
    assert!(resolved.notices[0].starts_with("ENGINE_URL "), "{:?}", resolved.notices);
}

#[tokio::test]
async fn a_client_of_a_foreign_issuer_gets_a_token_and_nobody_sees_the_secret() {
    let base = serve(|base| {
        let token = |body: String| async move {
            for part in ["grant_type=client_credentials", "client_id=me", "client_secret=hunter2", "audience=api"] {
                if !body.contains(part) {
                    return (StatusCode::BAD_REQUEST, axum::Json(json!({"error": format!("no {part}")})));
                }
            }
            if body.contains("scope=nothing") {
                return (StatusCode::FORBIDDEN, axum::Json(json!({"error_description": "no such\nscope"})));
            }
            (StatusCode::OK, axum::Json(json!({"access_token": "a.b.c"})))
        };
        let document = json!({"issuer": base, "jwks_uri": format!("{base}/k"), "token_endpoint": format!("{base}/token")});
        answer(DISCOVERY, 200, document).route("/token", axum::routing::post(token))
    })
    .await;
    let client = [
        ("OIDC_ISSUER", base.as_str()),
        ("OIDC_AUD", "api"),
        ("AUTH0_CLIENT", "me"),
        ("AUTH0_SECRET", "hunter2"),
    ];
    let token = token::fetch(&settings(&client), &Wish::default()).await.unwrap();
    assert_eq!(token.expose(), "a.b.c");

    let wish = Wish { scope: Some("nothing".into()), ..Wish::default() };
    let error = token::fetch(&settings(&client), &wish).await.unwrap_err().to_string();
    assert!(error.contains("403: no such scope") && !error.contains("hunter2"), "{error}");

    let wish = Wish { subject: Some("someone".into()), ..Wish::default() };
    let error = token::fetch(&settings(&client), &wish).await.unwrap_err();
    assert!(matches!(error, TokenError::NotOurs { flag: "--sub", .. }), "{error}");

    let error = token::fetch(&settings(&client[..2]), &Wish::default()).await.unwrap_err().to_string();
    assert!(error.contains("AUTH0_CLIENT") && error.contains("AUTH0_SECRET"), "{error}");
}
