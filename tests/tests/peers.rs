//! The gateway between a certified identity provider, a real engine, and the clients that people use.

use std::time::Duration;

use attach_tests::gateway::Builder;
use attach_tests::issuer::Issuer;
use attach_tests::mint::{Key, Mint};
use attach_tests::peers::{OidcProvider, Ollama};
use attach_tests::request::Request;
use attach_tests::upstream::Upstream;
use attach_tests::wait;

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
