use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::Value;

use super::*;

/// A stand-in for an engine: by the texts, a status; 200 embeds each as its length. And how many texts each request had.
async fn engine(
    judge: impl Fn(&[String]) -> u16 + Clone + Send + Sync + 'static,
) -> (Embedder, Arc<Mutex<Vec<usize>>>) {
    let seen: Arc<Mutex<Vec<usize>>> = Arc::default();
    let told = Arc::clone(&seen);
    let embed = move |body: Bytes| {
        let (judge, told) = (judge.clone(), Arc::clone(&told));
        async move {
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["model"], "m");
            let texts: Vec<String> = serde_json::from_value(body["input"].clone()).unwrap();
            told.lock().unwrap().push(texts.len());
            let status = judge(&texts);
            if status == 0 {
                std::future::pending::<()>().await;
            }
            let vectors: Vec<[f64; 2]> = texts.iter().map(|text| [text.len() as f64, 1.0]).collect();
            (StatusCode::from_u16(status).unwrap(), json!({ "embeddings": vectors }).to_string())
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/api/embed", post(embed))).await });
    let http = fetch::client(None, DEADLINE).unwrap();
    (Embedder::new(&url, None, "m".to_owned(), http), seen)
}

fn length(vector: &Option<Vec<f32>>) -> Option<usize> {
    vector.as_ref().map(|vector| vector[0] as usize)
}

#[tokio::test]
async fn each_text_gets_its_own_vector_and_an_empty_one_none() {
    let (embedder, seen) = engine(|_| 200).await;
    let long = "ä".repeat(MAX_TEXT);
    let mut texts: Vec<String> = (1..=70).map(|n| "x".repeat(n)).collect();
    texts.extend([String::new(), "  ".to_owned(), long]);
    let vectors = embedder.embed(texts.iter().map(String::as_str).collect()).await.unwrap();
    let lengths: Vec<_> = vectors.iter().map(length).collect();
    let mut expected: Vec<_> = (1..=70).map(Some).collect();
    expected.extend([None, None, Some(MAX_TEXT)]);
    assert_eq!(lengths, expected);
    assert_eq!(*seen.lock().unwrap(), [32, 32, 7]);
    assert_eq!(embedder.query("fox").await, Some(vec![3.0, 1.0]));
    assert_eq!(embedder.query(" ").await, None);
}

#[tokio::test]
async fn a_text_that_will_not_be_embedded_costs_no_other_its_vector() {
    let (embedder, _) = engine(|texts| if texts.iter().any(|text| text == "bad") { 400 } else { 200 }).await;
    let vectors = embedder.embed(vec!["a", "bb", "bad", "cccc"]).await.unwrap();
    assert_eq!(vectors.iter().map(length).collect::<Vec<_>>(), [Some(1), Some(2), None, Some(4)]);
}

#[tokio::test]
async fn a_model_that_is_not_there_holds_nothing_up_for_ever_and_an_engine_that_is_down_is_waited_for() {
    let (embedder, _) = engine(|_| 404).await;
    for _ in 1..ATTEMPTS {
        let Err(Failure::Later(why)) = embedder.embed(vec!["a"]).await else { panic!() };
        assert!(why.contains("MEM_EMBED_MODEL") && why.contains("ollama pull"), "{why}");
    }
    for _ in 0..3 {
        assert_eq!(embedder.embed(vec!["a"]).await, Ok(vec![None]));
    }
    for status in [500, 503, 429] {
        let (embedder, _) = engine(move |_| status).await;
        for _ in 0..ATTEMPTS * 2 {
            assert!(embedder.embed(vec!["a"]).await.is_err(), "{status}");
        }
        assert_eq!(embedder.query("a").await, None);
    }
}

#[tokio::test]
async fn a_query_does_not_wait_for_an_engine_that_hangs() {
    let (embedder, _) = engine(|_| 0).await;
    let begun = std::time::Instant::now();
    assert_eq!(embedder.query("a").await, None);
    assert!(begun.elapsed() < QUERY * 2);
}
