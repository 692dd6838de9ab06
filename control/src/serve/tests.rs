mod accounts;
mod mirrored;
mod remembered;
mod weaviate;

use super::*;
use attach_core::policy::route::{Access, DEFAULT, Destination};
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use tower::ServiceExt as _;

use crate::clock::unix_now;
use crate::replay::tests::Redis;
use crate::settings;
use crate::supervise::tests::Folder;

pub(super) const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A service with its keys in a folder and nothing else.
pub(super) fn options(folder: &Path) -> Options {
    Options {
        secret: Secret::new(SECRET.as_bytes().to_vec()),
        auth_config: AuthConfig {
            domain: Some("example.auth0.com".to_owned()),
            client_id: None,
            audience: "attach".to_owned(),
            issuer: "https://example.auth0.com/".to_owned(),
        },
        public_url: "https://gateway.example".to_owned(),
        issuers: vec!["https://example.auth0.com/".to_owned()],
        scopes: vec!["chat:run".to_owned()],
        authorized_keys: None,
        development: false,
        redis_url: None,
        agents: BTreeMap::new(),
        assertion_keys: folder.join("assertion-keys.json"),
        gateway_keys: folder.join("gateway-keys.json"),
        // Nobody is there.
        admin_port: 1,
        database: folder.join("control.db"),
        openmeter: None,
        outbox_limit: 1000,
        memory: settings::Memory { backend: settings::MemoryBackend::None, ..settings::Memory::default() },
        embed_by: crate::memory::EmbedBy { url: crate::discover::engine::local(1), key: None },
        ssl_cert_file: None,
    }
}

/// A service whose key files are gone again: it has read them.
fn state() -> State {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let folder = Folder::new(&format!("serve-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    options(folder.path()).open(unix_now()).unwrap()
}

async fn answer(state: State, request: Request<Body>) -> (StatusCode, HeaderMap, serde_json::Value) {
    let response = app(state).oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, headers, serde_json::from_slice(&body).unwrap_or_default())
}

/// A question of the filter's.
fn asked(method: &str, path: &str, body: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("x-attach-control-secret", SECRET)
        .body(Body::from(body.to_owned()))
        .unwrap()
}

async fn call(method: &str, path: &str, headers: &[(&str, &str)]) -> (StatusCode, serde_json::Value) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (status, _, body) = answer(state(), request.body(Body::empty()).unwrap()).await;
    (status, body)
}

const STAMPED: &[(&str, &str)] =
    &[("x-attach-control-secret", SECRET), ("x-attach-user", "alice"), ("x-attach-session", "abc")];

#[tokio::test]
async fn the_login_page_reads_what_the_original_gave_it_and_the_issuer() {
    let (status, body) = call("GET", "/auth/config", &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        body,
        serde_json::json!({
            "domain": "example.auth0.com", "client_id": null, "audience": "attach",
            "issuer": "https://example.auth0.com/"
        })
    );
}

#[tokio::test]
async fn a_stranger_is_refused_whatever_it_claims_to_be() {
    let wrong = SECRET.replace('0', "1");
    for path in [
        "/internal",
        "/internal/",
        "/internal/ping",
        "/internal/anything",
        "/internal/authorized-keys",
        "/internal/gateway-keys",
        "/internal/health",
        "/v1/usage",
        "/auth/token",
        "/mem/",
        "/mem/events",
        "/mem/docs",
        "/mem/spaces/team-a/events",
        "/v1/logs",
        "/a2a",
        "/v1/quota/me",
        "/metrics",
    ] {
        for headers in [
            &[][..],
            &[("x-attach-user", "alice"), ("x-attach-session", "abc")],
            &[
                ("x-attach-control-secret", wrong.as_str()),
                ("x-attach-user", "alice"),
                ("x-attach-session", "a"),
            ],
            &[
                ("x-attach-control-secret", SECRET.strip_prefix("0").unwrap()),
                ("x-attach-user", "alice"),
                ("x-attach-session", "a"),
            ],
            &[
                ("x-attach-control-secret", SECRET),
                ("x-attach-control-secret", SECRET),
                ("x-attach-user", "alice"),
                ("x-attach-session", "abc"),
            ],
        ] {
            assert_eq!(call("GET", path, headers).await.0, StatusCode::UNAUTHORIZED, "{path} {headers:?}");
        }
    }
}

#[tokio::test]
async fn the_filter_is_believed_with_its_secret() {
    assert_eq!(call("GET", "/internal/ping", &STAMPED[..1]).await.0, StatusCode::NO_CONTENT);
    let (status, body) = call("GET", "/tasks/send", STAMPED).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body["detail"].as_str().unwrap().contains("/tasks/send"), "{body}");
}

#[tokio::test]
async fn a_verified_route_without_a_caller_is_refused_even_to_the_filter() {
    assert_eq!(call("GET", "/mem/events", &STAMPED[..1]).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn every_route_that_envoy_sends_here_is_answered_in_json() {
    for (path, access, to) in DEFAULT {
        if *to != Destination::Control {
            continue;
        }
        let path = path.replace("/**", "/x").replace('*', "y");
        let (status, body) = call("GET", &path, STAMPED).await;
        assert!(body.is_object(), "{path}: {status}");
        if *access == Access::Verified {
            assert_eq!(call("GET", &path, &[]).await.0, StatusCode::UNAUTHORIZED, "{path}");
        }
    }
}

#[tokio::test]
async fn a_wrong_method_and_an_unknown_path_have_a_detail() {
    let (status, body) = call("POST", "/auth/config", &[]).await;
    assert_eq!((status, body["detail"].is_string()), (StatusCode::METHOD_NOT_ALLOWED, true));
    let (status, body) = call("GET", "/nowhere", &[]).await;
    assert_eq!((status, body["detail"].is_string()), (StatusCode::NOT_FOUND, true));
}

#[tokio::test]
async fn the_keys_of_the_filter_s_statements_are_for_everyone_and_the_gateway_s_for_the_filter() {
    let request = Request::get("/.well-known/attach-jwks.json").body(Body::empty()).unwrap();
    let (status, headers, public) = answer(state(), request).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers.get("cache-control").unwrap(), "public, max-age=60");
    let (status, _, inner) = answer(state(), asked("GET", "/internal/gateway-keys", "")).await;
    assert_eq!(status, StatusCode::OK);
    for set in [&public, &inner] {
        let text = set.to_string();
        let set = attach_core::keys::KeySet::parse(text.as_bytes()).unwrap();
        assert_eq!(set.len(), 1);
        assert!(!text.contains("\"d\"") && !text.contains("seed"), "{text}");
    }
    assert_ne!(public["keys"][0]["kid"], inner["keys"][0]["kid"], "the rings are never mixed");
}

#[tokio::test]
async fn the_filter_gets_the_authorised_keys_of_the_folder_as_it_is_now() {
    let folder = Folder::new("serve-authorized");
    let path = folder.path().join("authorized_keys");
    let options = Options { authorized_keys: Some(path.clone()), ..options(folder.path()) };
    let state = options.open(unix_now()).unwrap();
    let keys = || answer(state.clone(), asked("GET", "/internal/authorized-keys", ""));
    assert_eq!(keys().await.2, serde_json::json!({ "keys": [] }));
    std::fs::create_dir(&path).unwrap();
    let (_, public) = crate::orchestrator::generate().unwrap();
    std::fs::write(path.join("planner.pem"), public).unwrap();
    let (status, headers, set) = keys().await;
    assert_eq!((status, set["keys"][0]["kid"].as_str()), (StatusCode::OK, Some("planner")));
    assert_eq!(headers.get("content-type").unwrap(), "application/json");
    std::fs::remove_dir_all(&path).unwrap();
    assert_eq!(keys().await.2, serde_json::json!({ "keys": [] }));
    std::fs::write(&path, "").unwrap();
    assert_eq!(keys().await.0, StatusCode::SERVICE_UNAVAILABLE, "no word about the keys");
}

#[tokio::test]
async fn a_replay_is_judged_by_redis_or_not_at_all() {
    let folder = Folder::new("serve-replay");
    let question = format!(r#"{{"key":"{}","until":{}}}"#, "ab".repeat(32), unix_now() + 60);
    let ask = |state: &State, body: &str| answer(state.clone(), asked("POST", "/internal/replay", body));
    let (status, _, body) = ask(&state(), &question).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body["detail"].as_str().unwrap().contains("REDIS_URL is not set"), "{body}");

    let gone = crate::settings::Secret::new("redis://:hunter2@127.0.0.1:1".to_owned());
    let gone = Options { redis_url: Some(gone), ..options(folder.path()) }.open(unix_now()).unwrap();
    assert!(!format!("{gone:?}").contains("hunter2"));
    assert_eq!(ask(&gone, &question).await.0, StatusCode::SERVICE_UNAVAILABLE);
    for bad in
        ["", "{}", r#"{"key":"ab","until":1}"#, &question.replace("}", r#","x":1}"#), &" ".repeat(2000)]
    {
        assert_eq!(ask(&gone, bad).await.0, StatusCode::BAD_REQUEST, "{bad}");
    }

    let Some(redis) = Redis::start("serve", &[]) else { return };
    let state = Options { redis_url: Some(redis.url()), ..options(folder.path()) }.open(unix_now()).unwrap();
    for fresh in [true, false, false] {
        let (status, _, body) = ask(&state, &question).await;
        assert_eq!((status, body), (StatusCode::OK, serde_json::json!({ "fresh": fresh })));
    }
    let request = Request::post("/internal/replay").body(Body::from(question)).unwrap();
    assert_eq!(answer(state, request).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_client_learns_where_tokens_come_from() {
    for (path, resource) in [("", ""), ("/", ""), ("/mcp", "/mcp"), ("/agents/planner", "/agents/planner")] {
        let uri = format!("/.well-known/oauth-protected-resource{path}");
        let (status, headers, body) = answer(state(), Request::get(uri).body(Body::empty()).unwrap()).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers.get("cache-control").unwrap(), "public, max-age=300");
        assert_eq!(
            body,
            serde_json::json!({
                "resource": format!("https://gateway.example{resource}"),
                "authorization_servers": ["https://example.auth0.com/"],
                "scopes_supported": ["chat:run"],
                "bearer_methods_supported": ["header"],
                "resource_name": "Attach Gateway",
            })
        );
    }
    let (status, body) = call("GET", "/.well-known/oauth-protected-resource/%2e%2e/x", &[]).await;
    assert_eq!((status, body["detail"].is_string()), (StatusCode::NOT_FOUND, true));
}
