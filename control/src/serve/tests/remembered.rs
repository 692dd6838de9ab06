//! What is remembered is its owner's alone, over every route.

mod documents;
mod lines;
mod notes;

use serde_json::{Value, json};

use super::*;

const SESSION: &str = "5e55104b5e55104b5e55104b5e55104b5e55104b5e55104b5e55104b5e55104b";

/// A service that remembers in its own database; the folder is to be held.
pub(super) fn remembering() -> (Folder, State) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let folder = Folder::new(&format!("serve-memory-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    let memory = settings::Memory::default();
    let state = Options { memory, ..options(folder.path()) }.open(unix_now()).unwrap();
    (folder, state)
}

/// Somebody who asks, as the filter stamps it.
#[derive(Clone, Copy)]
struct Asker<'a> {
    user: &'a str,
    session: &'a str,
    scopes: &'a str,
    spaces: &'a str,
}

const fn user(user: &str) -> Asker<'_> {
    Asker { user, session: SESSION, scopes: "", spaces: "" }
}

const ALICE: Asker<'_> = user("alice");
const BOB: Asker<'_> = user("bob");
const AUDITOR: Asker<'_> = Asker { scopes: "chat:run mem:read:all", ..user("eve") };

async fn send(
    state: &State,
    asker: Asker<'_>,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, HeaderMap, Value) {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("x-attach-control-secret", SECRET)
        .header("x-attach-user", asker.user)
        .header("x-attach-session", asker.session);
    for (name, value) in [("x-attach-scopes", asker.scopes), ("x-attach-spaces", asker.spaces)] {
        if !value.is_empty() {
            request = request.header(name, value);
        }
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answered = answer(state.clone(), request.body(Body::from(body.to_owned())).unwrap()).await;
    assert_eq!(answered.1.get("cache-control").unwrap(), "no-store", "{method} {path}");
    assert!(answered.0 != StatusCode::INTERNAL_SERVER_ERROR, "{method} {path}");
    answered
}

async fn ask(state: &State, asker: Asker<'_>, method: &str, path: &str, body: &str) -> (u16, Value) {
    let (status, _, answer) = send(state, asker, method, path, &[], body).await;
    (status.as_u16(), answer)
}

/// The texts of an answer in the original's shape.
fn texts(answer: &Value) -> Vec<&str> {
    let events = answer["data"]["Get"]["MemoryEvent"].as_array().unwrap();
    events.iter().map(|event| event["content"].as_str().unwrap()).collect()
}

async fn note(state: &State, asker: Asker<'_>, path: &str, content: &str) -> String {
    let (status, answer) = ask(state, asker, "POST", path, &json!({ "content": content }).to_string()).await;
    assert_eq!(status, 201, "{answer}");
    answer["id"].as_str().unwrap().to_owned()
}

const ROUTES: &[(&str, &str)] = &[
    ("GET", "/mem/events"),
    ("POST", "/mem/events"),
    ("DELETE", "/mem/events"),
    ("GET", "/mem/search?q=x"),
    ("GET", "/mem/spaces/team-a/events"),
    ("POST", "/mem/spaces/team-a/events"),
    ("DELETE", "/mem/spaces/team-a/events"),
    ("GET", "/mem/spaces/team-a/search?q=x"),
    ("GET", "/mem/docs"),
    ("POST", "/mem/docs"),
    ("GET", "/mem/docs/00112233445566778899aabbccddeeff"),
    ("DELETE", "/mem/docs/00112233445566778899aabbccddeeff"),
    ("GET", "/mem/docs/00112233445566778899aabbccddeeff/history"),
    ("GET", "/mem"),
    ("GET", "/mem/"),
    ("PUT", "/mem/events"),
    ("POST", "/mem/anything"),
    ("POST", "/v1/logs"),
    ("GET", "/v1/logs"),
];

#[tokio::test]
async fn a_gateway_that_remembers_nothing_says_which_setting_it_is() {
    let state = state();
    for (method, path) in ROUTES {
        let member = Asker { spaces: "team-a", ..ALICE };
        let (status, answer) = ask(&state, member, method, path, r#"{"content":"x"}"#).await;
        assert_eq!(status, 404, "{method} {path}");
        assert!(answer["detail"].as_str().unwrap().contains("MEM_BACKEND"), "{method} {path}: {answer}");
    }
}

#[tokio::test]
async fn a_stranger_is_told_nothing_on_any_route_and_by_any_method() {
    let (_folder, state) = remembering();
    for (method, path) in ROUTES {
        for headers in [&[][..], &[("x-attach-user", "alice"), ("x-attach-session", SESSION)]] {
            let mut request = Request::builder().method(*method).uri(*path);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(Body::from(r#"{"content":"x"}"#)).unwrap();
            assert_eq!(answer(state.clone(), request).await.0, StatusCode::UNAUTHORIZED, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let (_folder, state) = remembering();
    for (path, right) in [
        ("/mem/events", &["GET", "POST", "DELETE"][..]),
        ("/mem/search", &["GET"]),
        ("/mem/docs", &["GET", "POST"]),
        ("/v1/logs", &["POST"]),
    ] {
        let (status, headers, answer) = send(&state, ALICE, "PATCH", path, &[], "").await;
        assert_eq!((status, answer["detail"].is_string()), (StatusCode::METHOD_NOT_ALLOWED, true), "{path}");
        let allow = headers.get("allow").map(|allow| allow.to_str().unwrap().to_owned()).unwrap_or_default();
        for method in right {
            assert!(allow.contains(method), "{path}: {allow}");
        }
    }
}
