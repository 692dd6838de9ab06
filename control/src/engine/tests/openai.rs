//! OpenAI's API.

use serde_json::json;

use super::*;

/// Five words in three messages; the answer has five: `You said: one two three`.
fn request(changes: Value) -> Value {
    let mut request = json!({
        "model": "any-model",
        "messages": [
            { "role": "system", "content": "be brief" },
            { "role": "assistant", "content": null, "tool_calls": [] },
            { "role": "user", "content": "one two three" },
        ],
    });
    request.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    request
}

async fn chat(changes: Value) -> Answer {
    let answer = post("/v1/chat/completions", request(changes)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer
}

#[tokio::test]
async fn a_chat_is_answered_with_the_last_user_message_and_true_usage() {
    let answer = chat(json!({})).await.json();
    assert_eq!((&answer["object"], &answer["model"]), (&"chat.completion".into(), &"any-model".into()));
    assert!(answer["id"].as_str().unwrap().starts_with("chatcmpl-"));
    assert!(answer["created"].is_u64());
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["content"], "You said: one two three");
    assert_eq!((&choice["index"], &choice["finish_reason"]), (&0.into(), &"stop".into()));
    assert_eq!(answer["usage"], json!({ "prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10 }));
}

#[tokio::test]
async fn a_stream_is_a_role_a_chunk_for_each_word_and_the_reason_of_its_end() {
    let events = chat(json!({ "stream": true })).await.events();
    assert_eq!(events.len(), 1 + 5 + 1);
    assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(joined(&events, "/choices/0/delta/content"), "You said: one two three");
    let (last, others) = events.split_last().unwrap();
    assert_eq!(
        last["choices"][0],
        json!({ "index": 0, "delta": {}, "logprobs": null, "finish_reason": "stop" })
    );
    for event in others {
        assert_eq!(event["choices"][0]["finish_reason"], Value::Null);
    }
    for event in &events {
        assert_eq!((&event["object"], &event["id"]), (&"chat.completion.chunk".into(), &events[0]["id"]));
        assert_eq!(event.get("usage"), None);
    }
}

#[tokio::test]
async fn with_include_usage_a_further_chunk_without_choices_has_the_usage_and_all_others_null() {
    let events = chat(json!({ "stream": true, "stream_options": { "include_usage": true } })).await.events();
    assert_eq!(events.len(), 1 + 5 + 1 + 1);
    let (last, others) = events.split_last().unwrap();
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"], json!({ "prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10 }));
    for event in others {
        assert_eq!(event.get("usage"), Some(&Value::Null));
    }
}

#[tokio::test]
async fn both_limits_cut_the_answer_and_say_so() {
    for limit in ["max_tokens", "max_completion_tokens"] {
        let answer = chat(json!({ limit: 3 })).await.json();
        assert_eq!(answer["choices"][0]["message"]["content"], "You said: one");
        assert_eq!(answer["choices"][0]["finish_reason"], "length");
        assert_eq!(answer["usage"]["completion_tokens"], 3);
        let events = chat(json!({ limit: 3, "stream": true })).await.events();
        assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "length");
        assert_eq!(chat(json!({ limit: 5 })).await.json()["choices"][0]["finish_reason"], "stop");
    }
}

#[tokio::test]
async fn the_texts_of_a_message_in_parts_are_joined_and_counted() {
    let parts = json!([
        { "type": "text", "text": "what is" },
        { "type": "image_url", "image_url": { "url": "data:," } },
        { "type": "text", "text": "this" },
    ]);
    let answer = chat(json!({ "messages": [{ "role": "user", "content": parts }] })).await.json();
    assert_eq!(answer["choices"][0]["message"]["content"], "You said: what is\nthis");
    assert_eq!(answer["usage"]["prompt_tokens"], 3);
}

#[tokio::test]
async fn bad_requests_are_refused_in_openai_s_shape() {
    for (changes, param) in [
        (json!({ "messages": null }), json!("messages")),
        (json!({ "messages": [] }), json!("messages")),
        (json!({ "model": "" }), json!("model")),
        (json!({ "n": 2 }), json!("n")),
        (json!({ "max_tokens": 0 }), json!("max_tokens")),
        (json!({ "max_completion_tokens": -1 }), json!("max_completion_tokens")),
        (json!({ "max_tokens": 1, "max_completion_tokens": 1 }), json!("max_tokens")),
        (json!({ "stream_options": { "include_usage": true } }), json!("stream_options")),
        (json!({ "messages": "hello" }), Value::Null),
    ] {
        let answer = post("/v1/chat/completions", request(changes.clone())).await;
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, &error["param"]), (StatusCode::BAD_REQUEST, &param), "{changes}");
        assert_eq!(error["type"], "invalid_request_error", "{changes}");
        assert!(error["message"].is_string() && error.get("code").is_some(), "{changes}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused_in_openai_s_shape() {
    for path in ["/v1/chat/completions", "/v1/completions"] {
        for body in ["", "{", "[]"] {
            let answer = send(Request::post(path).body(body.into()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST);
            assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
        }
    }
}

#[tokio::test]
async fn a_completion_is_answered_whole_and_in_events() {
    let request =
        |stream: bool| json!({ "model": "m", "prompt": ["a b"], "stream": stream, "max_tokens": 3 });
    let whole = post("/v1/completions", request(false)).await.json();
    assert_eq!(whole["object"], "text_completion");
    assert_eq!(
        (&whole["choices"][0]["text"], &whole["choices"][0]["finish_reason"]),
        (&"You said: a".into(), &"length".into())
    );
    assert_eq!(whole["usage"], json!({ "prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5 }));
    let events = post("/v1/completions", request(true)).await.events();
    assert_eq!(events.len(), 3 + 1);
    assert_eq!(joined(&events, "/choices/0/text"), "You said: a");
    assert_eq!(events[3]["choices"][0]["finish_reason"], "length");
}

#[tokio::test]
async fn models_are_listed_and_any_is_found_by_its_name() {
    let list = get("/v1/models").await.json();
    assert_eq!((&list["object"], &list["data"][0]["id"]), (&"list".into(), &crate::engine::MODEL.into()));
    let model = get("/v1/models/org/name").await.json();
    assert_eq!((&model["id"], &model["object"]), (&"org/name".into(), &"model".into()));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused_in_openai_s_shape() {
    let answer = get("/v1/nothing").await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["message"]),
        (StatusCode::NOT_FOUND, &"Invalid URL (GET /v1/nothing)".into())
    );
    let answer = get("/v1/chat/completions").await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["code"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"method_not_supported".into())
    );
}
