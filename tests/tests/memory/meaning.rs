//! `MEM_EMBED_MODEL`: a real Ollama embeds what is remembered and what is searched for. Its model's weights are random,
//! so that what it finds alike means nothing: that there are vectors, and that a search with them finds what has its
//! words, is all that can be said.

use attach_tests::peers::{Ollama, Version, Weaviate};
use attach_tests::request::Request;
use attach_tests::wait;
use serde_json::json;

use crate::kit::{self, CLASS, Site, contents, listed, text};

#[test]
fn what_is_remembered_is_embedded_by_the_engine_and_found_with_it() {
    let Some(ollama) = Ollama::start() else { return };
    let engine = format!("http://{}", ollama.address);
    for version in [None, Some(Version::Old), Some(Version::New)] {
        let weaviate = match version {
            None => None,
            Some(version) => match Weaviate::start(version) {
                Some(weaviate) => Some(weaviate),
                None => return,
            },
        };
        let site = Site::with("memory-meaning", weaviate, |builder| {
            builder.set("ENGINE_URL", &engine).set("MEM_EMBED_MODEL", Ollama::MODEL)
        });
        let (alice, bob) = (site.token("meaning-alice"), site.token("meaning-bob"));
        for (token, said) in
            [(&alice, "apricots in the morning"), (&alice, "bananas at night"), (&bob, "apricots of bob")]
        {
            let body = json!({
                "model": Ollama::MODEL, "max_tokens": 4, "messages": [{"role": "user", "content": said}],
            });
            let _ = site.said(&Request::post_json(kit::CHAT, &body).bearer(token));
        }
        // What such a model answers may be nothing at all.
        let prompts = |token: &str, count: usize| {
            wait::until_within(kit::PATIENCE, "the prompts to be remembered", || {
                let answer = site.get(token, "/mem/events?limit=100");
                let events = (answer.status == 200).then(|| listed(&answer))?;
                let prompts: Vec<_> = events.into_iter().filter(|event| event["event"] == "prompt").collect();
                (prompts.len() == count).then_some(prompts)
            })
        };
        let _ = (prompts(&alice, 2), prompts(&bob, 1));
        let found = contents(&site.found(&alice, "q=apricots"));
        assert!(found.contains("apricots in the morning") && !found.contains("apricots of bob"), "{found:?}");
        if let Some(weaviate) = &site.weaviate {
            for prompt in prompts(&alice, 2) {
                let id = text(&prompt["_additional"], "id");
                let target = format!("/v1/objects/{CLASS}/{id}?include=vector");
                let object = weaviate.send(Request::get(target)).expect(200).json();
                let vector = object["vector"].as_array().map_or(0, Vec::len);
                assert!(vector > 1, "{version:?}: no vector: {object:#}");
            }
        }
    }
}
