//! Ollama's API.

use serde_json::json;

use super::*;

/// Five words in two messages; the answer has five: `You said: one two three`.
fn chat_request(changes: Value) -> Value {
    let mut request = json!({
        "model": "any-model",
        "messages": [
            { "role": "user", "content": "one two three" },
            { "role": "assistant", "content": "be brief" },
        ],
    });
    request.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    request
}

async fn chat(changes: Value) -> Answer {
    let answer = post("/api/chat", chat_request(changes)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer
}

fn assert_figures(last: &Value, prompt: u64, completion: u64) {
    assert_eq!((&last["done"], &last["prompt_eval_count"]), (&true.into(), &prompt.into()), "{last}");
    assert_eq!(last["eval_count"], completion, "{last}");
    for duration in ["total_duration", "prompt_eval_duration", "eval_duration"] {
        assert!(last[duration].as_u64().unwrap() > 0, "{duration}");
    }
}

#[tokio::test]
async fn a_chat_streams_unless_told_otherwise_a_line_for_each_word() {
    for changes in [json!({}), json!({ "stream": true }), json!({ "stream": null })] {
        let lines = chat(changes).await.lines();
        assert_eq!(lines.len(), 5 + 1);
        assert_eq!(joined(&lines, "/message/content"), "You said: one two three");
        let (last, others) = lines.split_last().unwrap();
        assert_figures(last, 5, 5);
        assert_eq!((&last["done_reason"], &last["message"]["content"]), (&"stop".into(), &"".into()));
        for line in others {
            assert_eq!((&line["done"], &line["model"]), (&false.into(), &"any-model".into()));
            assert_eq!((line.get("done_reason"), line.get("eval_count")), (None, None));
            assert!(line["created_at"].as_str().unwrap().ends_with('Z'));
        }
    }
}

#[tokio::test]
async fn a_chat_in_one_piece_has_the_text_and_the_figures() {
    let answer = chat(json!({ "stream": false })).await;
    assert_eq!(answer.header("content-type"), "application/json");
    let json = answer.json();
    assert_eq!(json["message"], json!({ "role": "assistant", "content": "You said: one two three" }));
    assert_figures(&json, 5, 5);
}

#[tokio::test]
async fn num_predict_cuts_the_answer_and_a_negative_one_does_not() {
    for stream in [false, true] {
        let answer = chat(json!({ "stream": stream, "options": { "num_predict": 3 } })).await;
        let last = if stream { answer.lines().pop().unwrap() } else { answer.json() };
        assert_eq!((&last["done_reason"], &last["eval_count"]), (&"length".into(), &3.into()));
    }
    for unlimited in [-1, -2, 0] {
        let json = chat(json!({ "stream": false, "options": { "num_predict": unlimited } })).await.json();
        assert_eq!(json["eval_count"], 5);
    }
}

#[tokio::test]
async fn a_stop_text_ends_the_answer() {
    for stop in [json!("two"), json!(["two"])] {
        let json = chat(json!({ "stream": false, "options": { "stop": stop } })).await.json();
        assert_eq!(
            (&json["message"]["content"], &json["done_reason"]),
            (&"You said: one ".into(), &"stop".into())
        );
    }
}

#[tokio::test]
async fn a_prompt_is_answered_whole_and_in_lines() {
    let request = |stream: Value| json!({ "model": "m", "prompt": "a b", "system": "c", "stream": stream });
    let whole = post("/api/generate", request(json!(false))).await.json();
    assert_eq!((&whole["response"], &whole["done_reason"]), (&"You said: a b".into(), &"stop".into()));
    assert_figures(&whole, 3, 4);
    let lines = post("/api/generate", request(Value::Null)).await.lines();
    assert_eq!((lines.len(), joined(&lines, "/response")), (5, "You said: a b".to_owned()));
    assert_figures(&lines[4], 3, 4);
}

#[tokio::test]
async fn a_request_without_anything_to_answer_loads_or_unloads_the_model() {
    for (keep_alive, reason) in
        [(Value::Null, "load"), (json!(0), "unload"), (json!("0s"), "unload"), (json!("5m"), "load")]
    {
        for (path, body) in
            [("/api/chat", json!({ "messages": [] })), ("/api/generate", json!({ "prompt": "" }))]
        {
            let mut body = body;
            body["model"] = json!("m");
            body["keep_alive"] = keep_alive.clone();
            let json = post(path, body).await.json();
            assert_eq!((&json["done"], &json["done_reason"]), (&true.into(), &reason.into()), "{path}");
        }
    }
}

#[tokio::test]
async fn bad_requests_are_refused_in_ollama_s_shape() {
    for path in ["/api/chat", "/api/generate", "/api/show"] {
        for (body, message) in
            [("", "missing request body"), ("{", ""), (r#"{"model": 1}"#, ""), ("{}", "model is required")]
        {
            let answer = send(Request::post(path).body(body.into()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {body}");
            assert!(answer.json()["error"].as_str().unwrap().contains(message), "{path} {body}");
        }
    }
}

#[tokio::test]
async fn the_model_is_listed_and_shown_and_the_version_says_who_this_is() {
    let tags = get("/api/tags").await.json();
    assert_eq!(tags["models"][0]["name"], format!("{}:latest", crate::engine::MODEL));
    let shown = post("/api/show", json!({ "model": "anything" })).await.json();
    assert_eq!(shown["capabilities"], json!(["completion"]));
    assert!(get("/api/version").await.json()["version"].as_str().unwrap().ends_with("+attach-echo"));
    let root = get("/").await;
    assert_eq!((root.text(), root.header("server")), ("Ollama is running", "attach-engine"));
    assert_eq!(get("/api/nothing").await.text(), "404 page not found");
}
