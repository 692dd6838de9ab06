//! `/mem/docs`.

use attach_core::clock::UnixMillis;

use super::*;
use crate::memory::MemId;

async fn write(state: &State, asker: Asker<'_>, body: &Value) -> Value {
    let (status, answer) = ask(state, asker, "POST", "/mem/docs", &body.to_string()).await;
    assert_eq!(status, 201, "{answer}");
    answer
}

#[tokio::test]
async fn a_plan_is_written_fetched_and_continued() {
    let (_folder, state) = remembering();
    let plan = json!({ "content": "hello", "title": "Plan", "content_type": "text/markdown" });
    let first = write(&state, ALICE, &plan).await;
    assert_eq!(
        first,
        json!({
            "mem_id": first["mem_id"], "version": 1, "parent": null, "bytes": 5, "title": "Plan",
            "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
            "content_type": "text/markdown", "owner": "alice", "agent": "", "created": first["created"],
        })
    );
    let second = write(&state, ALICE, &json!({ "content": "hello 2", "parent": first["mem_id"] })).await;
    assert_eq!((&second["version"], &second["parent"]), (&json!(2), &first["mem_id"]));
    let path = format!("/mem/docs/{}", second["mem_id"].as_str().unwrap());
    let (status, headers, document) = send(&state, ALICE, "GET", &path, &[], "").await;
    assert_eq!((status, &document["content"]), (StatusCode::OK, &json!("hello 2")));
    let tag = headers.get("etag").unwrap().to_str().unwrap().to_owned();
    assert_eq!(tag, format!("\"{}\"", second["sha256"].as_str().unwrap()));
    for (shown, expected) in [
        (tag.as_str(), 304),
        (&format!("\"x\", W/{tag}"), 304),
        ("*", 304),
        ("\"x\"", 200),
        (tag.trim_matches('"'), 200),
    ] {
        let (status, headers, body) =
            send(&state, ALICE, "GET", &path, &[("if-none-match", shown)], "").await;
        assert_eq!((status.as_u16(), body.is_null()), (expected, expected == 304), "{shown}");
        assert_eq!(headers.get("etag").unwrap(), &tag);
    }
    let (_, history) = ask(&state, ALICE, "GET", &format!("{path}/history"), "").await;
    assert_eq!(history, json!({ "data": [second, first], "next": null }));
    let (_, page) = ask(&state, ALICE, "GET", &format!("{path}/history?limit=1"), "").await;
    assert_eq!(page, json!({ "data": [second], "next": "2" }));
    let (_, page) = ask(&state, ALICE, "GET", &format!("{path}/history?limit=1&before=2"), "").await;
    assert_eq!(page, json!({ "data": [first], "next": null }));
}

#[tokio::test]
async fn ones_own_are_listed_page_by_page() {
    let (_folder, state) = remembering();
    for n in 0..5 {
        write(&state, ALICE, &json!({ "content": format!("c-{n}") })).await;
    }
    let (mut seen, mut path) = (std::collections::BTreeSet::new(), "/mem/docs?limit=2".to_owned());
    for _ in 0..5 {
        let (_, answer) = ask(&state, ALICE, "GET", &path, "").await;
        for document in answer["data"].as_array().unwrap() {
            assert!(document["content"].is_null(), "what is known of it, and no more");
            assert!(seen.insert(document["mem_id"].as_str().unwrap().to_owned()));
        }
        let Some(next) = answer["next"].as_str() else { break };
        path = format!("/mem/docs?limit=2&before={next}");
    }
    assert_eq!(seen.len(), 5);
    assert_eq!(ask(&state, BOB, "GET", "/mem/docs", "").await.1, json!({ "data": [], "next": null }));
}

#[tokio::test]
async fn a_document_is_its_owners_its_auditors_and_its_tasks_parties() {
    let (_folder, state) = remembering();
    let plan = write(&state, ALICE, &json!({ "content": "secret plan" })).await;
    let id = plan["mem_id"].as_str().unwrap();
    let mem_id = MemId::parse(id).unwrap();
    let shares = state.documents.clone().unwrap().shares();
    let parties = vec!["coder".to_owned()];
    shares.share(mem_id, "alice".to_owned(), parties, "t-1".to_owned(), UnixMillis(1)).await.unwrap();
    for (asker, expected) in [
        (ALICE, 200),
        (user("coder"), 200),
        (AUDITOR, 200),
        (BOB, 404),
        (Asker { spaces: "alice team-a", ..user("coder2") }, 404),
    ] {
        for path in [format!("/mem/docs/{id}"), format!("/mem/docs/{id}/history")] {
            let (status, answer) = ask(&state, asker, "GET", &path, "").await;
            assert_eq!(status, expected, "{} {path}", asker.user);
            assert!(expected == 200 || !answer.to_string().contains("plan\""), "{answer}");
        }
    }
    // To read is not to forget, and to audit is not to continue.
    for asker in [BOB, user("coder"), AUDITOR] {
        assert_eq!(ask(&state, asker, "DELETE", &format!("/mem/docs/{id}"), "").await.0, 404);
    }
    for (asker, expected) in [(BOB, 422), (AUDITOR, 422), (user("coder"), 201)] {
        let body = json!({ "content": "next", "parent": id }).to_string();
        let (status, answer) = ask(&state, asker, "POST", "/mem/docs", &body).await;
        assert_eq!(status, expected, "{answer}");
    }
    assert_eq!(ask(&state, ALICE, "DELETE", &format!("/mem/docs/{id}"), "").await.1, json!({ "deleted": 1 }));
    for asker in [ALICE, user("coder"), AUDITOR] {
        assert_eq!(ask(&state, asker, "GET", &format!("/mem/docs/{id}"), "").await.0, 404);
    }
}

#[tokio::test]
async fn an_id_that_is_guessed_is_none() {
    let (_folder, state) = remembering();
    write(&state, ALICE, &json!({ "content": "x" })).await;
    for id in
        ["0", "%", "%2e%2e", "00112233445566778899aabbccddeeff", "'%20OR%201=1--", "%00", "%C3%A4", "%ff"]
    {
        for (method, rest) in [("GET", ""), ("DELETE", ""), ("GET", "/history")] {
            for asker in [ALICE, BOB, AUDITOR] {
                let path = format!("/mem/docs/{id}{rest}");
                let Ok(path) = path.parse::<Uri>().map(|uri| uri.to_string()) else { continue };
                let (status, answer) = ask(&state, asker, method, &path, "").await;
                assert_eq!((status, answer["detail"].is_string()), (404, true), "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn a_document_that_cannot_be_kept_is_told_why() {
    let (_folder, state) = remembering();
    let long = json!({ "content": "x".repeat((1 << 20) + 1) }).to_string();
    let huge = json!({ "content": "x".repeat(3 << 20) }).to_string();
    let fits = json!({ "content": "\"".repeat(1 << 20) }).to_string();
    let title = json!({ "content": "x", "title": "t".repeat(513) }).to_string();
    for (body, status, says) in [
        ("[]", 422, "JSON object"),
        ("{}", 422, "content"),
        (r#"{"content":"x","parent":"y"}"#, 422, "parent"),
        (r#"{"content":"x","parent":"00112233445566778899aabbccddeeff"}"#, 422, "parent"),
        (r#"{"content":"x","owner":"bob"}"#, 422, "too many"),
        (r#"{"content":"x","content_type":"a\nb"}"#, 422, "content_type"),
        (&title, 413, "title"),
        (&long, 413, "content"),
        (&huge, 413, "KiB"),
    ] {
        let (told, answer) = ask(&state, ALICE, "POST", "/mem/docs", body).await;
        assert_eq!(told, status, "{answer}");
        assert!(answer["detail"].as_str().unwrap().contains(says), "{answer}");
    }
    assert_eq!(ask(&state, ALICE, "POST", "/mem/docs", &fits).await.0, 201);
}

#[tokio::test]
async fn a_retry_with_its_key_is_the_same_version() {
    let (_folder, state) = remembering();
    let key = [("idempotency-key", "k")];
    let (one, two) = (r#"{"content":"x"}"#, r#"{"content":"y"}"#);
    let first = send(&state, ALICE, "POST", "/mem/docs", &key, one).await;
    assert_eq!(send(&state, ALICE, "POST", "/mem/docs", &key, one).await.2, first.2);
    assert_eq!(send(&state, ALICE, "POST", "/mem/docs", &key, two).await.0, StatusCode::CONFLICT);
    assert_ne!(send(&state, BOB, "POST", "/mem/docs", &key, one).await.2["mem_id"], first.2["mem_id"]);
}
