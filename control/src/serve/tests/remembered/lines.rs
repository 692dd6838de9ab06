//! `POST /v1/logs`.

use super::*;

const LINE: &str =
    r#"{"run_id":"r-1","level":"warn","message":"disk is full","timestamp":1700000000.5,"agent":"planner"}"#;

async fn events(state: &State, asker: Asker<'_>) -> Vec<Value> {
    let (_, answer) = ask(state, asker, "GET", "/mem/events?limit=100", "").await;
    answer["data"]["Get"]["MemoryEvent"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_line_is_remembered_as_its_callers() {
    let (_folder, state) = remembering();
    let (status, _, body) = send(&state, ALICE, "POST", "/v1/logs", &[], LINE).await;
    assert_eq!((status, body), (StatusCode::ACCEPTED, Value::Null));
    let events_of_alice = events(&state, ALICE).await;
    let event = &events_of_alice[0];
    assert_eq!(
        *event,
        json!({
            "timestamp": "2023-11-14T22:13:20.500Z", "event": "log", "session_id": SESSION, "user": "alice",
            "owner": "alice", "agent": "planner", "role": "agent", "content": "disk is full",
            "truncated": false, "model": "", "tokens": 0, "request_id": "", "state": "done", "run_id": "r-1",
            "level": "warn", "_additional": event["_additional"],
        })
    );
    assert_eq!(events_of_alice.len(), 1);
    assert!(events(&state, BOB).await.is_empty());
}

#[tokio::test]
async fn several_lines_are_taken_all_or_none() {
    let (_folder, state) = remembering();
    let bad = r#"{"run_id":"r-1","level":"loud","message":"x"}"#;
    let types = [("content-type", "application/x-ndjson; charset=utf-8")];
    let json = [("content-type", "application/json")];
    let mut count = 0;
    for (body, headers) in [
        (format!("[{LINE},{LINE}]"), &json[..]),
        (format!("{LINE}\n{LINE}\n"), &json[..]),
        (format!("{LINE}\r\n\r\n{LINE}"), &types[..]),
        (format!("{LINE}\n{LINE}"), &[]),
    ] {
        let (status, _, answer) = send(&state, ALICE, "POST", "/v1/logs", headers, &body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        count += 2;
        assert_eq!(events(&state, ALICE).await.len(), count);
        let wrong = body.replacen(LINE, bad, 2).replacen(bad, LINE, 1);
        let (status, _, answer) = send(&state, ALICE, "POST", "/v1/logs", headers, &wrong).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer["detail"][0]["loc"], json!(["body", 1, "level"]));
        assert_eq!(events(&state, ALICE).await.len(), count, "none of them");
    }
    assert_eq!(ask(&state, ALICE, "POST", "/v1/logs", "[]").await.0, 202);
}

#[tokio::test]
async fn what_is_wrong_is_told_in_fastapis_form() {
    let (_folder, state) = remembering();
    for (body, loc, kind) in [
        ("", json!(["body"]), "missing"),
        ("{", json!(["body"]), "json_invalid"),
        (r#"{"level":"info","message":"m"}"#, json!(["body", "run_id"]), "missing"),
        (r#"{"run_id":"r","level":"loud","message":"m"}"#, json!(["body", "level"]), "enum"),
        (r#"{"run_id":"r","level":"info"}"#, json!(["body", "message"]), "missing"),
    ] {
        let (status, answer) = ask(&state, ALICE, "POST", "/v1/logs", body).await;
        let fault = &answer["detail"][0];
        assert_eq!((status, &fault["loc"], &fault["type"]), (422, &loc, &json!(kind)), "{body}");
        assert!(fault["msg"].is_string());
    }
    let (status, answer) = ask(&state, ALICE, "POST", "/v1/logs", &" ".repeat((1 << 20) + 1)).await;
    assert_eq!((status, answer["detail"].is_string()), (413, true));
    assert!(events(&state, ALICE).await.is_empty());
}

#[tokio::test]
async fn a_retry_with_its_key_never_doubles() {
    let (_folder, state) = remembering();
    let body = format!("{LINE}\n{LINE}");
    let key = [("idempotency-key", "batch-7")];
    for asker in [ALICE, ALICE, BOB] {
        assert_eq!(send(&state, asker, "POST", "/v1/logs", &key, &body).await.0, StatusCode::ACCEPTED);
    }
    assert_eq!((events(&state, ALICE).await.len(), events(&state, BOB).await.len()), (2, 2));
    for _ in 0..2 {
        ask(&state, ALICE, "POST", "/v1/logs", &body).await;
    }
    assert_eq!(events(&state, ALICE).await.len(), 6, "without one they are others");
}

#[tokio::test]
async fn a_long_message_is_cut_and_says_so() {
    let (_folder, state) = remembering();
    let message = format!("x{}", "ä".repeat(40 * 1024));
    let body = json!({ "run_id": "r", "level": "info", "message": message }).to_string();
    assert_eq!(ask(&state, ALICE, "POST", "/v1/logs", &body).await.0, 202);
    let event = events(&state, ALICE).await.remove(0);
    assert_eq!(event["truncated"], true);
    assert_eq!(event["content"].as_str().unwrap().len(), 64 * 1024 - 1);
}
