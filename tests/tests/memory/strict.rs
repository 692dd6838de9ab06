//! `MEM_ACK=strict`: an answer's last byte comes when what it said is kept, and not at all when it cannot be.

use std::time::{Duration, Instant};

use attach_tests::peers::{Version, Weaviate};
use attach_tests::request::Request;
use serde_json::json;

use crate::faulty::{Faulty, Mode};
use crate::kit::{self, Backend, CLASS, Site, WEAVIATES, listed};

/// In seconds.
const ACK_TIMEOUT: u64 = 3;

#[test]
fn an_answer_ends_when_it_is_remembered() {
    let backends = [Backend::Embedded].into_iter().chain(WEAVIATES.map(Backend::Weaviate));
    for backend in backends {
        let Some(site) = Site::start("memory-strict", backend, |builder| builder.set("MEM_ACK", "strict"))
        else {
            return;
        };
        for number in 0..10 {
            let token = site.token(&format!("alice-{number}"));
            let whole = site.said(&kit::chat(&token, "keep this", "kept")).json();
            assert_eq!(whole["choices"][0]["message"]["content"], "kept");
            // Not a moment later.
            assert_eq!(listed(&site.get(&token, "/mem/events").expect(200)).len(), 2, "{backend:?}");
            let streamed = site.said(&kit::stream(&token, "and this", &["kept ", "as well"])).text();
            assert!(streamed.contains("as well") && streamed.contains("data: [DONE]"), "{streamed}");
            assert_eq!(listed(&site.get(&token, "/mem/events").expect(200)).len(), 4, "{backend:?}");
        }
        // What has nothing to be remembered waits for nothing, and has its end.
        let token = site.token("bob");
        let _ = site.said(&kit::chat(&token, "not this", "no").header("x-attach-memory", "off"));
        let _ = site.said(&Request::get("/v1/models?strict").bearer(&token));
        let body = json!({"model": "embed", "input": "a text"});
        let _ = site.said(&Request::post_json("/v1/embeddings?strict", &body).bearer(&token));
        assert!(listed(&site.get(&token, "/mem/events").expect(200)).is_empty());
    }
}

fn behind(faulty: &Faulty, name: &str, seconds: u64) -> Site {
    Site::with(name, None, |builder| {
        builder
            .set("MEM_BACKEND", "weaviate")
            .set("WEAVIATE_URL", faulty.url())
            .set("MEM_ACK", "strict")
            .set("MEM_ACK_TIMEOUT", seconds)
    })
}

#[test]
fn while_weaviate_is_away_the_outbox_is_enough() {
    let Some(weaviate) = Weaviate::start(Version::New) else { return };
    let faulty = Faulty::before(weaviate.address());
    let site = behind(&faulty, "memory-strict-outbox", 15);
    let token = site.token("alice");
    for (number, mode) in [Mode::Status(503), Mode::Hang].into_iter().enumerate() {
        faulty.be(mode);
        let _ = site.said(&kit::chat(&token, "keep this", "kept"));
        let _ = site.said(&kit::stream(&token, "and this", &["kept ", "as well"]));
        assert_eq!(weaviate.objects(CLASS, None).len(), 4 * number);
        // It was acknowledged: who took it may be killed.
        kit::kill(site.gateway(), "control");
        faulty.be(Mode::Pass);
        site.gateway().up().expect_success();
        let _ = site.events(&token, 4 * (number + 1));
    }
}

#[test]
fn an_answer_that_nobody_keeps_is_broken_off() {
    let Some(weaviate) = Weaviate::start(Version::New) else { return };
    let faulty = Faulty::before(weaviate.address());
    let site = behind(&faulty, "memory-strict-reset", ACK_TIMEOUT);
    let token = site.token("alice");
    let _ = site.said(&kit::chat(&token, "while all is well", "it is"));
    faulty.be(Mode::Hang);
    kit::kill(site.gateway(), "control");
    let start = Instant::now();
    let whole = kit::chat(&token, "keep this", "kept").try_send(site.gateway().address);
    assert!(whole.is_err(), "it came to its end: {whole:?}");
    is_about_the_limit(start.elapsed());
    let start = Instant::now();
    let mut stream = kit::stream(&token, "and this", &["kept ", "as well"]).open(site.gateway().address);
    assert_eq!(stream.head().0, 200);
    let mut came = Vec::new();
    let is_whole = loop {
        match stream.wire().piece() {
            Ok(Some(piece)) => came.extend_from_slice(&piece),
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    let came = String::from_utf8_lossy(&came);
    // What the engine wrote at once with the last event is held back with it.
    assert!(!is_whole && !came.contains("[DONE]"), "{came}");
    is_about_the_limit(start.elapsed());
    // What asks for nothing to be kept is answered.
    let _ = site.said(&kit::chat(&token, "not this", "no").header("x-attach-memory", "off"));
    faulty.be(Mode::Pass);
    site.gateway().up().expect_success();
    let _ = site.said(&kit::chat(&token, "all is well again", "it is"));
}

fn is_about_the_limit(took: Duration) {
    let about = Duration::from_secs(ACK_TIMEOUT - 1)..Duration::from_secs(ACK_TIMEOUT + 5);
    assert!(about.contains(&took), "it took {} ms", took.as_millis());
}
