//! What a Weaviate does when it fails, which a real one does not do when asked to.

use std::sync::Mutex as StdMutex;

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, Uri};

use super::*;

type Judge = dyn Fn(usize, Value) -> (u16, String) + Send + Sync;

/// A stand-in whose class is there, and which does with batches what it is told.
async fn stand_in(judge: impl Fn(usize, Value) -> (u16, String) + Send + Sync + 'static) -> Weaviate {
    let judge: Arc<Judge> = Arc::new(judge);
    let number = Arc::new(StdMutex::new(0));
    let answer = move |uri: Uri, body: Bytes| {
        let (judge, number) = (Arc::clone(&judge), Arc::clone(&number));
        async move {
            let (status, text) = match uri.path() {
                "/v1/batch/objects" => {
                    let now = {
                        let mut number = number.lock().unwrap();
                        *number += 1;
                        *number
                    };
                    judge(now, serde_json::from_slice(&body).unwrap())
                }
                "/v1/schema/MemoryEvent" => {
                    (200, json!({"class": "MemoryEvent", "properties": []}).to_string())
                }
                _ => (200, String::new()),
            };
            if status == 0 {
                std::future::pending::<()>().await;
            }
            (StatusCode::from_u16(status).unwrap(), text)
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    Weaviate::new(url, None, false, None, client())
}

/// What a batch is answered with, each object by what is said of it.
fn taken(batch: &Value, said: impl Fn(&str) -> Option<&'static str>) -> (u16, String) {
    let answers = batch["objects"].as_array().unwrap().iter().map(|object| {
        let result = match said(object["properties"]["content"].as_str().unwrap()) {
            None => json!({"status": "SUCCESS"}),
            Some(said) => json!({"status": "FAILED", "errors": {"error": [{"message": said}]}}),
        };
        json!({"id": object["id"], "result": result})
    });
    (200, Value::Array(answers.collect()).to_string())
}

fn records() -> Vec<Record> {
    (0..10).map(|n| record(&format!("k{n}"), event("alice", n, &n.to_string()))).collect()
}

#[tokio::test]
async fn what_may_pass_is_an_error_and_what_will_not_is_named() {
    for status in [429, 500, 503] {
        let weaviate = stand_in(move |_, _| (status, String::new())).await;
        let error = weaviate.put(records()).await.unwrap_err();
        assert!(matches!(&error, Error::Unavailable(text) if text.contains(&status.to_string())), "{error}");
    }
    for (status, names) in [(401, "WEAVIATE_API_KEY"), (302, "WEAVIATE_URL")] {
        let weaviate = stand_in(move |_, _| (status, String::new())).await;
        let error = weaviate.put(records()).await.unwrap_err();
        assert!(matches!(&error, Error::Refused(text) if text.contains(names)), "{error}");
    }
    let weaviate = stand_in(|_, batch| {
        taken(&batch, |content| {
            (content == "3").then_some("invalid text property 'content': the value is 'my secret'")
        })
    })
    .await;
    let rejected = weaviate.put(records()).await.unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].id, records()[3].object.id);
    assert_eq!(rejected[0].error, "invalid text property content: the value is …");
    let weaviate =
        stand_in(|_, batch| taken(&batch, |content| (content == "3").then_some("store is read-only"))).await;
    assert!(matches!(weaviate.put(records()).await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn a_text_that_will_not_be_embedded_holds_up_no_other() {
    const LONG: &str =
        "update vector: connection to: OpenAI API failed with status: 400 error: it is too long";
    const BUSY: &str = "update vector: connection to: OpenAI API failed with status: 429 error: later";
    let weaviate = stand_in(|_, batch| taken(&batch, |content| (content == "3").then_some(LONG))).await;
    let rejected = weaviate.put(records()).await.unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].id, records()[3].object.id);
    // Where none is taken, it may be a setting.
    let weaviate = stand_in(|_, batch| taken(&batch, |_| Some(LONG))).await;
    assert!(matches!(weaviate.put(records()).await, Err(Error::Unavailable(_))));
    let weaviate = stand_in(|_, batch| taken(&batch, |content| (content == "3").then_some(BUSY))).await;
    assert!(matches!(weaviate.put(records()).await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn a_batch_that_is_refused_whole_is_halved_until_the_bad_one_is_alone() {
    let weaviate = stand_in(|_, batch| {
        let objects = batch["objects"].as_array().unwrap();
        if objects
            .iter()
            .any(|object| ["2", "9"].contains(&object["properties"]["content"].as_str().unwrap()))
        {
            return (
                422,
                json!({"code": 601, "message": "body.objects.1.id in body must be of type uuid"}).to_string(),
            );
        }
        taken(&batch, |_| None)
    })
    .await;
    let rejected: Vec<_> = weaviate.put(records()).await.unwrap().into_iter().map(|bad| bad.id).collect();
    assert_eq!(rejected, [records()[2].object.id.clone(), records()[9].object.id.clone()]);
}

#[tokio::test]
async fn an_answer_that_says_too_little_is_none() {
    for answer in ["[]", "{}", "", "<html>", "[{\"id\":\"x\",\"result\":{}}]", "null"] {
        let weaviate = stand_in(move |_, _| (200, answer.to_owned())).await;
        let error = weaviate.put(records()).await.unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{answer}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_given_up() {
    // Connections are made in real time, so the clock stands still until then.
    let weaviate = stand_in(|_, _| (0, String::new())).await;
    weaviate.inner.prepared.store(true, Ordering::Release);
    let error = weaviate.put(records()).await.unwrap_err();
    assert!(matches!(&error, Error::Unavailable(text) if text.contains("in time")), "{error}");
}
