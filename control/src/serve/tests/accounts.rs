//! Usage records in, a caller's own usage out.

use serde_json::json;

use super::*;
use crate::ledger::tests::sample;

async fn send(state: &State, body: &str) -> (StatusCode, serde_json::Value) {
    let (status, _, body) = answer(state.clone(), asked("POST", "/internal/records", body)).await;
    (status, body)
}

async fn usage(state: &State, user: &str, query: &str) -> (StatusCode, serde_json::Value) {
    let request = Request::get(format!("/v1/usage{query}"))
        .header("x-attach-control-secret", SECRET)
        .header("x-attach-user", user)
        .header("x-attach-session", "abc")
        .body(Body::empty())
        .unwrap();
    let (status, headers, body) = answer(state.clone(), request).await;
    if status == StatusCode::OK {
        assert_eq!(headers.get("cache-control").unwrap(), "no-store");
    }
    (status, body)
}

#[tokio::test]
async fn a_call_is_remembered_and_told_to_its_caller_alone() {
    let state = state();
    let batch = json!({"records": [sample("a-1", 7)], "undelivered": ["a-1"]}).to_string();
    for _ in 0..2 {
        assert_eq!(send(&state, &batch).await.0, StatusCode::NO_CONTENT);
    }
    let (status, body) = usage(&state, "alice", "?limit=10&since=2023-01-01&model=llama3").await;
    assert_eq!(
        (status, &body["data"][0]["id"], &body["data"][1]),
        (StatusCode::OK, &json!("a-1"), &json!(null))
    );
    assert_eq!(body["totals"]["output"], 14);
    let (status, body) = usage(&state, "bob", "").await;
    assert_eq!((status, &body["data"], &body["next"]), (StatusCode::OK, &json!([]), &json!(null)));

    let (status, _, health) = answer(state.clone(), asked("GET", "/internal/health", "")).await;
    assert_eq!(status, StatusCode::OK);
    let oldest = health["oldest_seconds"].as_u64().unwrap();
    assert_eq!(health, json!({"outbox": 2, "set_aside": 0, "oldest_seconds": oldest}));
}

#[tokio::test]
async fn bad_records_are_told_and_a_body_that_is_none_is_refused() {
    let state = state();
    let batch = json!({"records": [sample("a-1", 7), {"id": "a-2"}]}).to_string();
    let told = (StatusCode::OK, json!({"rejected": ["a-2"]}));
    assert_eq!(send(&state, &batch).await, told);
    assert_eq!(usage(&state, "alice", "").await.1["totals"]["requests"], 1);
    for bad in ["", "x", "[]", "{}"] {
        assert_eq!(send(&state, bad).await.0, StatusCode::BAD_REQUEST, "{bad}");
    }
    let (status, body) = send(&state, &" ".repeat(records::MAX_BYTES + 1)).await;
    assert_eq!((status, body["detail"].is_string()), (StatusCode::PAYLOAD_TOO_LARGE, true));
    let request = Request::post("/internal/records").body(Body::from(batch)).unwrap();
    assert_eq!(answer(state, request).await.0, StatusCode::UNAUTHORIZED, "a stranger");
}

#[tokio::test]
async fn a_wrong_question_is_told_what_is_wrong() {
    let state = state();
    for (query, says) in [
        ("?limit=0", "limit"),
        ("?limit=1&limit=2", "once"),
        ("?since=yesterday", "RFC 3339"),
        ("?before=x", "next"),
        ("?user=bob", "no such parameter"),
    ] {
        let (status, body) = usage(&state, "alice", query).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}");
        assert!(body["detail"].as_str().unwrap().contains(says), "{query}: {body}");
    }
}

#[tokio::test]
async fn when_too_much_waits_the_filter_is_told_to_keep_its_records() {
    let folder = Folder::new("serve-outbox-full");
    let state = Options { outbox_limit: 1, ..options(folder.path()) }.open(unix_now()).unwrap();
    let batch = json!({"records": [sample("a-1", 7)], "undelivered": ["a-1"]}).to_string();
    let (status, body) = send(&state, &batch).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body["detail"].as_str().unwrap().contains("OPENMETER_URL"), "{body}");
    assert_eq!(usage(&state, "alice", "").await.1["totals"]["requests"], 0);
}

#[tokio::test]
async fn a_store_that_cannot_write_is_503_and_never_more() {
    let folder = Folder::new("serve-locked");
    let state = options(folder.path()).open(unix_now()).unwrap();
    let other = crate::store::rusqlite::Connection::open(folder.path().join("control.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let batch = json!({"records": [sample("a-1", 7)]}).to_string();
    let (status, body) = send(&state, &batch).await;
    assert_eq!((status, body["detail"].is_string()), (StatusCode::SERVICE_UNAVAILABLE, true));
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(send(&state, &batch).await.0, StatusCode::NO_CONTENT);
    // A database that was torn to pieces while it was open.
    drop(other);
    let path = folder.path().join("control.db");
    for file in [path.clone(), path.with_extension("db-wal")] {
        let length = std::fs::metadata(&file).unwrap().len();
        std::fs::write(&file, vec![0x5a; usize::try_from(length).unwrap()]).unwrap();
    }
    for n in 0..3 {
        let batch = json!({"records": [sample(&format!("b-{n}"), 7)], "undelivered": ["b-0"]}).to_string();
        let status = send(&state, &batch).await.0;
        assert!(status == StatusCode::SERVICE_UNAVAILABLE || status.is_success(), "{status}");
        let status = usage(&state, "alice", "").await.0;
        assert!(status == StatusCode::SERVICE_UNAVAILABLE || status.is_success(), "{status}");
    }
}
