//! What holds for both APIs, and `/echo`.

use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::*;
use crate::engine::MAX_BODY;

#[tokio::test(start_paused = true)]
async fn a_stream_waits_before_each_word_and_an_answer_in_one_piece_does_not() {
    let delay = Duration::from_millis(20);
    for (stream, waits) in [(true, 4), (false, 0)] {
        let request = json!({ "model": "m", "prompt": "a b", "stream": stream }).to_string();
        let begin = Instant::now();
        let app = app(State::new(delay));
        let response =
            app.oneshot(Request::post("/api/generate").body(Body::from(request)).unwrap()).await.unwrap();
        to_bytes(response.into_body(), 1 << 20).await.unwrap();
        assert_eq!(begin.elapsed().as_millis(), waits * 20, "stream: {stream}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_in_the_shape_of_each_api() {
    let body = || Body::from(vec![b' '; MAX_BODY + 1]);
    for path in ["/api/chat", "/api/generate", "/v1/chat/completions", "/v1/completions", "/echo"] {
        let answer = send(Request::post(path).body(body()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
        if path != "/echo" {
            assert!(
                answer.json()["error"].is_string() || answer.json()["error"]["message"].is_string(),
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn an_agent_says_what_it_was_asked_and_by_whom() {
    for (body, said) in [
        (r#"{"query":"hello"}"#, "You said: hello"),
        ("{}", "You said: nothing"),
        ("rubbish", "You said: nothing"),
    ] {
        let request = Request::post("/agent").header("x-attach-user", "key:planner");
        let answer = send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.json(), json!({"response": said, "user": "key:planner"}), "{body}");
    }
}

#[tokio::test]
async fn echo_tells_the_request_as_it_arrived() {
    let request = Request::builder()
        .method("PURGE")
        .uri("/echo/a%2fb//c?x=1&y=%20")
        .header("X-Many", "1")
        .header("X-Many", "2")
        .header("x-bytes", axum::http::HeaderValue::from_bytes(b"\xe9\xff").unwrap());
    let seen = send(request.body("hello".into()).unwrap()).await.json();
    assert_eq!(
        (&seen["method"], &seen["path"], &seen["query"]),
        (&"PURGE".into(), &"/echo/a%2fb//c".into(), &"x=1&y=%20".into())
    );
    assert_eq!(seen["headers"], json!([["x-many", "1"], ["x-many", "2"], ["x-bytes", "éÿ"]]));
    let digest: String = Sha256::digest("hello").iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((&seen["body_length"], &seen["body_sha256"]), (&5.into(), &digest.into()));
    assert_eq!(get("/echo").await.json()["query"], Value::Null);
}

#[tokio::test]
async fn a_request_for_a_websocket_without_an_upgrade_is_refused() {
    assert!(get("/ws").await.status.is_client_error());
}

#[tokio::test]
async fn two_answers_have_two_ids() {
    let state = State::new(Duration::ZERO);
    assert_ne!(state.next_id("x"), state.next_id("x"));
}
