use attach_core::mirror::{BATCH_PATH, EMBEDDED_PREFIX, MemoryEvent, Object};
use serde_json::{Value, json};

use super::*;

/// A service that remembers in its own database, whose files are gone again: it holds them open.
fn state() -> State {
    super::remembered::remembering().1
}

fn object(key: &str, content: &str) -> Object {
    let event = MemoryEvent {
        owner: "alice".into(),
        role: "user".into(),
        content: content.into(),
        ..MemoryEvent::default()
    };
    Object::new(key, event, true)
}

async fn ask(state: &State, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (status, _, answer) =
        answer(state.clone(), asked(method, &format!("{EMBEDDED_PREFIX}{path}"), &body)).await;
    (status, answer)
}

#[tokio::test]
async fn a_batch_is_answered_as_weaviate_does_and_read_back() {
    let state = state();
    assert_eq!(ask(&state, "GET", "/v1/.well-known/ready", &Value::Null).await.0, StatusCode::OK);
    let schema = ask(&state, "GET", "/v1/schema", &Value::Null).await.1;
    let class = ask(&state, "GET", "/v1/schema/MemoryEvent", &Value::Null).await.1;
    assert_eq!((&schema["classes"][0], &class["vectorizer"]), (&class, &json!("none")));
    assert_eq!(ask(&state, "GET", "/v1/schema/Other", &Value::Null).await.0, StatusCode::NOT_FOUND);

    let (one, two) = (object("1", "hello"), object("2", "there"));
    let batch = json!({ "objects": [one, { "class": "Other", "id": "x", "properties": {} }, 7, two] });
    for _ in 0..2 {
        let (status, told) = ask(&state, "POST", BATCH_PATH, &batch).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(told[0], json!({"class": "MemoryEvent", "id": one.id, "result": {"status": "SUCCESS"}}));
        for failed in [&told[1], &told[2]] {
            assert_eq!(failed["result"]["status"], "FAILED");
            assert!(failed["result"]["errors"]["error"][0]["message"].is_string());
        }
        assert_eq!(told.to_string().matches("\"status\":\"SUCCESS\"").count(), 2);
    }
    let listed = ask(&state, "GET", "/v1/objects?class=MemoryEvent", &Value::Null).await.1;
    assert_eq!(listed["objects"].as_array().unwrap().len(), 2);
    let first = listed["objects"][0]["id"].as_str().unwrap();
    let path = format!("/v1/objects?class=MemoryEvent&limit=5&after={first}");
    assert_eq!(ask(&state, "GET", &path, &Value::Null).await.1["objects"][0], listed["objects"][1]);
    let path = "/v1/objects?limit=1&offset=1";
    assert_eq!(ask(&state, "GET", path, &Value::Null).await.1["objects"][0], listed["objects"][1]);
    let path = format!("/v1/objects/MemoryEvent/{}", one.id);
    let (status, found) = ask(&state, "GET", &path, &Value::Null).await;
    assert_eq!((status, &found["properties"]["content"]), (StatusCode::OK, &json!("hello")));
    for path in ["/v1/objects/MemoryEvent/x", "/v1/objects/Other/x"] {
        assert_eq!(ask(&state, "GET", path, &Value::Null).await.0, StatusCode::NOT_FOUND);
    }

    let three = object("3", "more");
    let (status, told) = ask(&state, "POST", "/v1/objects", &json!(three)).await;
    assert_eq!((status, &told["id"]), (StatusCode::OK, &json!(three.id)));
}

#[tokio::test]
async fn what_weaviate_would_refuse_is_refused_in_its_form() {
    let state = state();
    for (method, path, body) in [
        ("POST", BATCH_PATH, Value::Null),
        ("POST", BATCH_PATH, json!([])),
        ("POST", BATCH_PATH, json!({ "objects": {} })),
        ("POST", BATCH_PATH, json!({ "objects": vec![0; 10_001] })),
        ("POST", "/v1/objects", json!({ "class": "Other" })),
        ("GET", "/v1/objects?class=Other", Value::Null),
        ("GET", "/v1/objects?limit=x", Value::Null),
        ("GET", "/v1/objects?limit=18446744073709551615&offset=1", Value::Null),
        ("GET", "/v1/objects?after=' OR 1", Value::Null),
    ] {
        let path = path.replace(' ', "%20");
        let (status, answer) = ask(&state, method, &path, &body).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        assert!(answer["error"][0]["message"].is_string(), "{path}: {answer}");
    }
    let long = json!({ "objects": [object("1", &"x".repeat(5 << 20))] });
    assert_eq!(ask(&state, "POST", BATCH_PATH, &long).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn nobody_but_the_filter_is_answered() {
    for path in ["/v1/.well-known/ready", "/v1/schema", "/v1/schema/MemoryEvent", "/v1/objects"] {
        let uri = format!("{EMBEDDED_PREFIX}{path}");
        for headers in [&[][..], &[("x-attach-user", "alice"), ("x-attach-session", "abc")]] {
            assert_eq!(call("GET", &uri, headers).await.0, StatusCode::UNAUTHORIZED, "{uri}");
        }
    }
    let uri = format!("{EMBEDDED_PREFIX}{BATCH_PATH}");
    assert_eq!(call("POST", &uri, &[]).await.0, StatusCode::UNAUTHORIZED);
}
