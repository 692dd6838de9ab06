use attach_core::quota::wire;
use axum::body::Body;
use axum::http::Request as HttpRequest;
use serde_json::{Value, json};

use super::*;
use crate::clock::unix_now;
use crate::serve::tests::{SECRET, options};
use crate::serve::{Options, app};
use crate::settings;
use crate::supervise::tests::Folder;
use tower::ServiceExt as _;

async fn post(state: &State, secret: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let request = HttpRequest::post(wire::PATH).header("x-attach-control-secret", secret);
    let response = app(state.clone()).oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let status = response.status();
    assert_eq!(response.headers().get("content-type").unwrap(), "application/json");
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

fn body(id: &str, accounts: &[u8], need: u64) -> String {
    let account = |number: &u8| json!({"key": format!("{number:02x}").repeat(16), "tokens": 100, "window": "day", "need": need, "want": need});
    json!({"id": id, "worker": "ab-0", "accounts": accounts.iter().map(account).collect::<Vec<_>>()})
        .to_string()
}

#[tokio::test]
async fn a_worker_gets_what_it_needs_until_there_is_no_more() {
    let folder = Folder::new("serve-quota");
    let state = options(folder.path()).open(unix_now()).unwrap();
    let (status, answer) = post(&state, SECRET, body("ab-0-1", &[1, 2], 60)).await;
    assert_eq!((status, &answer["granted"]), (StatusCode::OK, &json!([60, 60])));
    let left = &answer["left"][0];
    assert_eq!((&left["used"], &left["held"], &left["lease"]), (&json!(0), &json!(60), &json!(60)));
    assert_eq!(post(&state, SECRET, body("ab-0-1", &[1, 2], 60)).await.1, answer, "the same id");
    let (status, answer) = post(&state, SECRET, body("ab-0-2", &[3, 2], 60)).await;
    assert_eq!((status, &answer["refused"]["account"]), (StatusCode::OK, &json!(1)), "{answer}");
    // What `/v1/quota/me` asks.
    let (status, answer) = post(&state, SECRET, body("ab-0-3", &[1], 0)).await;
    assert_eq!((status, &answer["granted"]), (StatusCode::OK, &json!([0])));
    assert_eq!(answer["left"][0]["held"], 60);
    let (status, answer) = post(&state, SECRET, body("ab-0-1", &[1], 60)).await;
    assert_eq!((status, answer["detail"].is_string()), (StatusCode::CONFLICT, true));
}

#[tokio::test]
async fn what_is_no_request_is_told_what_is_wrong() {
    let folder = Folder::new("serve-quota-bad");
    let state = options(folder.path()).open(unix_now()).unwrap();
    let good = body("ab-0-1", &[1], 60);
    for (bad, word) in [
        (String::new(), "EOF"),
        ("{}".to_owned(), "id"),
        (good.replace("ab-0-1", ""), "id"),
        (good.replace("day", "week"), "week"),
        (good.replace("\"tokens\":100", "\"tokens\":0"), "tokens"),
        (good.replace("\"want\":60", "\"want\":59"), "want"),
        (good.replace("\"need\"", "\"knead\""), "knead"),
        (body("ab-0-1", &[], 60), "accounts"),
        (body("ab-0-1", &[1, 1], 60), "twice"),
    ] {
        let (status, answer) = post(&state, SECRET, bad.clone()).await;
        let detail = answer["detail"].as_str().unwrap();
        assert!(status == StatusCode::BAD_REQUEST && detail.contains(word), "{bad}: {detail}");
    }
    let (status, _) = post(&state, SECRET, vec![b' '; MAX_BYTES + 1]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let wrong = SECRET.replace('0', "1");
    assert_eq!(post(&state, &wrong, good).await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn without_the_redis_that_is_set_there_is_no_answer() {
    let folder = Folder::new("serve-quota-gone");
    let gone = settings::Secret::new("redis://:hunter2@127.0.0.1:1".to_owned());
    let state = Options { redis_url: Some(gone), ..options(folder.path()) }.open(unix_now()).unwrap();
    let (status, answer) = post(&state, SECRET, body("ab-0-1", &[1], 60)).await;
    let detail = answer["detail"].as_str().unwrap();
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(detail.contains("REDIS_URL") && !detail.contains("hunter2"), "{detail}");
}
