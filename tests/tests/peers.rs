//! The gateway between a certified identity provider, a real engine, and the clients that people use.

use std::time::Duration;

use attach_tests::gateway::Builder;
use attach_tests::issuer::Issuer;
use attach_tests::mint::{Key, Mint};
use attach_tests::peers::{OidcProvider, Ollama, Version, Weaviate};
use attach_tests::request::Request;
use attach_tests::upstream::Upstream;
use attach_tests::wait;
use serde_json::json;

#[test]
fn tokens_of_a_certified_provider_are_verified_through_its_rotation() {
    let Some(mut provider) = OidcProvider::start("first", "urn:attach:test") else { return };
    let upstream = Upstream::start();
    // Nothing is known of the provider but its issuer: discovery says the rest.
    let gateway = Builder::new("oidc-provider")
        .set("OIDC_ISSUER", provider.url())
        .set("OIDC_AUD", "urn:attach:test")
        .set("ENGINE_URL", upstream.url())
        .set("ENGINE_REWRITE_CHAT", "off")
        .start();
    let get = |token: &str| gateway.send(&Request::get("/certified").bearer(token));
    let old = provider.token();
    get(&old).expect(200);
    assert_eq!(upstream.only("/certified").headers.one("x-attach-user"), Some("agent"));
    get(&Key::new("RS256", "first")
        .token(&Mint::new(&provider.url(), "urn:attach:test").claims(&serde_json::json!({}))))
    .expect(401);

    provider.rotate("second");
    let new = provider.token();
    wait::until_within(Duration::from_secs(40), "the new key to be accepted", || {
        (get(&new).status == 200).then_some(())
    });
    wait::until("the old key to be refused", || (get(&old).status == 401).then_some(()));
}

#[test]
fn real_clients_talk_to_a_real_engine_through_the_gateway() {
    let Some(ollama) = Ollama::start() else { return };
    let mint = Mint::new("", "attach-test");
    let issuer = Issuer::start(mint.jwks());
    let mint = mint.of_issuer(&issuer.url());
    let gateway = Builder::new("ollama")
        .set("OIDC_ISSUER", issuer.url())
        .set("OIDC_AUD", "attach-test")
        .set("ENGINE_URL", format!("http://{}", ollama.address))
        .start();
    let found = Ollama::clients(&gateway.url(), &mint.token("alice"));

    let native = &found["ollama"];
    assert_eq!(native["models"][0], Ollama::MODEL, "{found:#}");
    // One seed, one temperature: the same words, however they travel.
    let said = native["chat"].as_str().expect("an answer");
    assert!(!said.is_empty());
    assert_eq!(native["chat_stream"], said, "{found:#}");
    assert_eq!(native["chat_stream_done"], true);
    assert_eq!(native["chat_stream_tokens"], native["chat_tokens"]);
    assert!(native["chat_stream_parts"].as_u64().is_some_and(|parts| parts > 1), "{found:#}");
    assert_eq!(native["generate_stream"], native["generate"], "{found:#}");

    let openai = &found["openai"];
    assert_eq!(openai["models"][0], Ollama::MODEL);
    assert_eq!(openai["chat"], said, "{found:#}");
    assert_eq!(openai["chat_stream"], said, "{found:#}");
    assert_eq!(openai["chat_stream_tokens"], openai["chat_tokens"]);

    assert_eq!(found["refused"]["ollama"], 401, "{found:#}");
    assert_eq!(found["refused"]["openai"], 401, "{found:#}");
}

/// The one that memory's tests kill is one that keeps what it has said yes to.
#[test]
fn a_weaviate_that_is_killed_keeps_what_it_has_taken() {
    for version in [Version::Old, Version::New] {
        let Some(mut weaviate) = Weaviate::with_key(version) else { return };
        let object = |number: u32| {
            let id = format!("7a0e7d1c-0000-4000-8000-{number:012}");
            json!({"class": "Note", "id": id, "properties": {"content": format!("note {number}"), "number": number}})
        };
        let put = |weaviate: &Weaviate, numbers: std::ops::Range<u32>| {
            let objects: Vec<_> = numbers.map(object).collect();
            let batch = Request::post_json("/v1/batch/objects", &json!({ "objects": objects }));
            let answer = weaviate.send(batch).expect(200).json();
            let results = answer.as_array().expect("results").iter();
            results.for_each(|result| assert_eq!(result["result"]["status"], "SUCCESS", "{result:#}"));
        };
        assert!(weaviate.class("Note").is_none() && weaviate.objects("Note", None).is_empty());
        assert_eq!(Request::get("/v1/schema").send(weaviate.address()).status, 401);
        put(&weaviate, 0..700);
        weaviate.kill();
        assert!(!weaviate.is_ready());
        weaviate.up();
        // Some again: they are not there twice.
        put(&weaviate, 600..800);
        assert_eq!(weaviate.objects("Note", None).len(), 800);
        let read = weaviate.read("Note", None);
        assert_eq!(read.len(), 800);
        assert!(read.iter().any(|object| object["properties"]["content"] == "note 799"), "{:#}", read[0]);
        assert!(weaviate.keeps("note 700") && !weaviate.keeps("note 900"));
    }
}
