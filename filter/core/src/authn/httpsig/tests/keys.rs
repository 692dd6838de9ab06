//! Whose key a signature names: by id, by thumbprint, by agent, and while keys are still on their way.

use super::rules::{PLAIN, plain, signed};
use super::*;

#[test]
fn a_key_is_the_one_that_is_named_and_its_algorithm_is_its_own() {
    for (more, expected) in [
        (";alg=\"ed25519\"", None),
        (";alg=\"hmac-sha256\"", Some(Refusal::SignatureKeyUnknown)),
        (";alg=\"rsa-pss-sha512\"", Some(Refusal::SignatureAlgorithm)),
        (";alg=\"rsa-v1_5-sha256\"", Some(Refusal::SignatureAlgorithm)),
        (";alg=\"ecdsa-p256-sha256\"", Some(Refusal::SignatureAlgorithm)),
        (";alg=\"EdDSA\"", Some(Refusal::SignatureAlgorithm)),
        (";alg=\"none\"", Some(Refusal::SignatureAlgorithm)),
        (";alg=\"\"", Some(Refusal::SignatureAlgorithm)),
    ] {
        let result = World::new().judge(&plain(more)).map(|_| ());
        assert_eq!(result.err(), expected.map(Failure::from), "{more}");
    }
    for (key_id, expected) in [
        ("test-key-ed25519", None),
        ("poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U", None),
        ("test-key-rsa", Some(Refusal::SignatureWrong)),
        ("test-shared-secret", Some(Refusal::SignatureWrong)),
        ("other", Some(Refusal::SignatureWrong)),
        ("unknown", Some(Refusal::SignatureKeyUnknown)),
    ] {
        let mut headers = request(PLAIN);
        let input = format!("(\"@authority\");created={CREATED};keyid=\"{key_id}\"");
        sign(&mut headers, "a", &input, "\"@authority\": example.com\n");
        let result = World::new().judge(&headers).map(|_| ());
        assert_eq!(result.err(), expected.map(Failure::from), "{key_id}");
    }
}

#[test]
fn a_key_that_two_directories_have_is_nobodys_until_the_agent_is_named() {
    let mut world = World::new();
    world.caches[1] = cache(super::rfc9421::KEYS);
    assert_eq!(world.refusal(&plain("")), Refusal::SignatureKeyUnknown);
    for (agent, line, user) in [
        ("\"https://bot.example\"", "\"https://bot.example\"", "sig:bot.example"),
        ("https://other.example/jwks/a.json", "https://other.example/jwks/a.json", "sig:other.example"),
    ] {
        let mut headers = signed(
            "\"@authority\" \"signature-agent\"",
            &format!("\"@authority\": example.com\n\"signature-agent\": {line}\n"),
            ";tag=\"web-bot-auth\"",
        );
        add(&mut headers, "signature-agent", agent);
        assert_eq!(world.judge(&headers).unwrap().identity.user(), user);
    }
    // The later drafts' form, each signature with its own agent.
    let mut headers = signed(
        "\"@authority\" \"signature-agent\";key=\"sig1\"",
        "\"@authority\": example.com\n\"signature-agent\";key=\"sig1\": \"https://other.example/jwks/a.json\"\n",
        "",
    );
    add(&mut headers, "signature-agent", "sig1=\"https://other.example/jwks/a.json\"");
    assert_eq!(world.judge(&headers).unwrap().identity.user(), "sig:other.example");
}

#[test]
fn an_agent_is_one_of_ours_and_signed() {
    let line = |agent: &str| format!("\"@authority\": example.com\n\"signature-agent\": {agent}\n");
    for (agent, expected) in [
        ("\"https://evil.example\"", Refusal::SignatureAgent),
        ("\"https://bot.example.evil.example\"", Refusal::SignatureAgent),
        ("\"http://bot.example\"", Refusal::SignatureAgent),
        // It is another directory's key.
        ("\"https://other.example/jwks/a.json\"", Refusal::SignatureKeyUnknown),
        ("\"https://other.example\"", Refusal::SignatureAgent),
    ] {
        let mut headers = signed("\"@authority\" \"signature-agent\"", &line(agent), "");
        add(&mut headers, "signature-agent", agent);
        assert_eq!(World::new().refusal(&headers), expected, "{agent}");
    }
    let mut headers = plain("");
    add(&mut headers, "signature-agent", "\"https://bot.example\"");
    assert_eq!(World::new().refusal(&headers), Refusal::SignatureAgentUnsigned);
    // A shared key is no directory's.
    let mut headers = request(super::rfc9421::REQUEST);
    add(&mut headers, "signature-agent", "\"https://bot.example\"");
    let input = super::rfc9421::B25.0.replace("\"date\"", "\"date\" \"signature-agent\"");
    add(&mut headers, "signature-input", &format!("{input};alg=\"hmac-sha256\""));
    add(&mut headers, "signature", super::rfc9421::B25.1);
    assert_eq!(World::new().refusal(&headers), Refusal::SignatureAlgorithm);
}

#[test]
fn a_key_that_is_not_here_yet_is_waited_for() {
    let mut world = World::new();
    world.caches[0] = JwksCache::new(schedule());
    assert_eq!(world.judge(&plain("")).map(|_| ()), Err(Failure::Wait));
    // One that is here needs nobody else's.
    world.caches = vec![cache(super::rfc9421::KEYS), JwksCache::new(schedule())];
    assert!(world.judge(&plain("")).is_ok());
    // An unknown one is asked for once, then refused until the next fetch is due.
    world.caches = vec![cache(OTHER_KEYS), cache(OTHER_KEYS)];
    world.now = CREATED + 11;
    assert_eq!(world.judge(&plain("")).map(|_| ()), Err(Failure::Wait));
    world.now = CREATED + 9;
    assert_eq!(world.refusal(&plain("")), Refusal::SignatureKeyUnknown);
}
