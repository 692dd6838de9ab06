use attach_core::mirror::{MemoryEvent, Object};
use serde_json::{Value, json};

use super::*;

/// A service that would bring events to a Weaviate which is not there.
fn state(name: &str) -> (Folder, State) {
    let folder = Folder::new(&format!("serve-mirrored-{name}"));
    let weaviate = settings::Weaviate { url: crate::discover::engine::local(1), key: None, tenants: false };
    let memory = settings::Memory {
        backend: settings::MemoryBackend::Weaviate(weaviate),
        ..settings::Memory::default()
    };
    let state = Options { memory, ..options(folder.path()) }.open(unix_now()).unwrap();
    (folder, state)
}

fn object(key: &str) -> Value {
    let event =
        MemoryEvent { owner: "alice".into(), role: "user".into(), content: "x".into(), ..Default::default() };
    serde_json::to_value(Object::new(key, event, false)).unwrap()
}

#[tokio::test]
async fn what_weaviate_did_not_take_is_kept_here_and_the_filter_is_told_how_memory_is() {
    let (_folder, state) = state("kept");
    let body = json!({"objects": [object("a"), object("b")]}).to_string();
    for _ in 0..2 {
        let (status, ..) = answer(state.clone(), asked("POST", "/internal/memory", &body)).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
    }
    let (status, _, health) = answer(state.clone(), asked("GET", "/internal/health", "")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(health["memory"], json!({"direct": false, "waiting": 2, "set_aside": 0}));
    assert_eq!(health["outbox"], 0, "these are no usage events");
}

#[tokio::test]
async fn a_batch_that_is_none_is_refused_without_being_repeated() {
    let (_folder, state) = state("bad");
    let changed = |name: &str, value: Value| {
        let mut changed = object("a");
        changed[name] = value;
        json!({"objects": [object("b"), changed]})
    };
    let mut nobodys = object("a");
    nobodys["properties"]["owner"] = "".into();
    for (body, expected) in [
        (json!({}), 400),
        (json!([]), 400),
        (changed("properties", json!({"content": 7})), 400),
        (changed("class", json!("hunter2")), 422),
        (changed("id", json!("hunter2")), 422),
        (json!({"objects": [nobodys]}), 422),
        (json!({"objects": vec![object("a"); 2001]}), 422),
        (json!({"objects": []}), 204),
    ] {
        let (status, _, detail) =
            answer(state.clone(), asked("POST", "/internal/memory", &body.to_string())).await;
        assert_eq!(status.as_u16(), expected, "{detail}");
        assert!(!detail.to_string().contains("hunter2"));
    }
    let (status, ..) =
        answer(state.clone(), asked("POST", "/internal/memory", &"x".repeat(4 * 1024 * 1024 + 1))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let (_, _, health) = answer(state, asked("GET", "/internal/health", "")).await;
    assert_eq!(health["memory"]["waiting"], 0, "all or none");
}

#[tokio::test]
async fn where_nothing_is_remembered_nothing_is_taken() {
    let (status, body) = call("POST", "/internal/memory", STAMPED).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body["detail"].as_str().unwrap().contains("MEM_BACKEND"), "{body}");
    let (_, body) = call("GET", "/internal/health", STAMPED).await;
    assert_eq!(body.get("memory"), None);
}
