//! Requests that cannot be let go at once: bodies, uses, exchanges, scopes, models, shadow mode.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)] // A test.

mod attacks;
mod fixture;

use attach_core::crypto::{NoHost, PublicKey};
use attach_core::json;
use attach_core::stream::{Answer, Flow, Input, Machine};
use serde_json::{Value, json};

use fixture::{NOW, SECRET, Worker, denied, exchange, headers, oidc, rotagent, stamped, token};

#[test]
fn a_signed_request_waits_for_its_whole_body_and_is_good_for_once() {
    let mut worker = Worker::new(&json!({}));
    let token = rotagent("1", b"hello");
    let mut machine = Machine::default();
    let headers = headers("/agent", &token);
    assert_eq!(worker.step(&mut machine, Input::RequestHeaders(&headers, false)), (Flow::Pause, vec![]));
    worker.body = b"hel".to_vec();
    assert_eq!(worker.step(&mut machine, Input::RequestBody(3, false)), (Flow::Pause, vec![]));
    worker.body = b"hello".to_vec();
    let (flow, effects) = worker.step(&mut machine, Input::RequestBody(5, true));
    assert_eq!(flow, Flow::Continue);
    assert!(stamped(&effects, "x-attach-user: key:orchestrator"), "{effects:?}");
    // In the body's own callback, going on is all that is needed.
    assert!(!stamped(&effects, "resume"), "{effects:?}");

    let (flow, effects) = worker.send("/agent", &token, "hello");
    assert_eq!(flow, Flow::Pause);
    assert_eq!(
        effects.last().unwrap(),
        r#"reply 429 {"detail":"Replay Detected","error":"Replay Detected"}"#
    );
}

#[test]
fn a_body_that_was_not_signed_uses_nothing_up() {
    let mut worker = Worker::new(&json!({}));
    let token = rotagent("1", b"hello");
    for body in ["hello!", ""] {
        let (_, effects) = worker.send("/agent", &token, body);
        assert_eq!(
            effects.last().unwrap(),
            r#"reply 401 {"detail":"Body Tampering Detected","error":"Body Tampering Detected"}"#
        );
    }
    assert_eq!(worker.send("/agent", &token, "hello").0, Flow::Continue);
}

#[test]
fn trailers_end_a_body_too() {
    let mut worker = Worker::new(&json!({}));
    let mut machine = Machine::default();
    let headers = headers("/agent", &rotagent("1", b"hello"));
    worker.step(&mut machine, Input::RequestHeaders(&headers, false));
    worker.body = b"hello".to_vec();
    worker.step(&mut machine, Input::RequestBody(5, false));
    let trailers = [("x-attach-user".to_owned(), b"mallory".to_vec())];
    let (flow, effects) = worker.step(&mut machine, Input::RequestTrailers(&trailers));
    assert_eq!((flow, effects[0].as_str()), (Flow::Continue, "-x-attach-user"));
    assert!(stamped(&effects, "x-attach-user: key:orchestrator"));
}

#[test]
fn a_body_is_kept_up_to_a_megabyte() {
    let mut worker = Worker::new(&json!({}));
    let mut machine = Machine::default();
    let headers = headers("/agent", &rotagent("1", b"hello"));
    worker.step(&mut machine, Input::RequestHeaders(&headers, false));
    assert_eq!(worker.step(&mut machine, Input::RequestBody(1_000_000, false)).0, Flow::Pause);
    let (_, effects) = worker.step(&mut machine, Input::RequestBody(1_000_001, false));
    assert_eq!(denied(&effects), "body_too_large");
    assert!(effects.last().unwrap().starts_with("reply 413"));
}

#[test]
fn what_follows_an_upgrade_was_signed_by_nobody() {
    let mut worker = Worker::new(&json!({}));
    let mut headers = headers("/agent", &rotagent("1", b""));
    headers.push(("upgrade".to_owned(), b"websocket".to_vec()));
    let (_, effects) = worker.step(&mut Machine::default(), Input::RequestHeaders(&headers, false));
    assert_eq!(denied(&effects), "rotagent_body");
}

#[test]
fn an_unknown_issuer_is_named_in_the_answer_and_cannot_break_it() {
    let mut worker = Worker::new(&json!({}));
    let token = token("k", &json!({"iss": "no\"body\u{7}", "content_sha256": "", "exp": NOW + 60}));
    let (_, effects) = worker.send("/agent", &token, "");
    assert_eq!(denied(&effects), "rotagent_unknown_issuer");
    assert_eq!(
        effects.last().unwrap(),
        r#"reply 401 {"detail":"Unknown Issuer: no\"body","error":"Unknown Issuer: no\"body"}"#
    );
}

#[test]
fn where_nobody_can_tell_whether_it_was_used_nothing_goes_on() {
    let mut worker = Worker::new(&json!({}));
    *worker.uses.0.borrow_mut() = None;
    let (_, effects) = worker.send("/agent", &rotagent("1", b"hello"), "hello");
    assert_eq!(denied(&effects), "once_unknown");
    assert!(effects.last().unwrap().starts_with("reply 503"));
}

#[test]
fn control_is_asked_whether_it_was_used_where_it_remembers_for_all() {
    for (answer, expected) in [
        (Some((200, r#"{"fresh":true}"#)), "resume"),
        (Some((200, r#"{"fresh":false}"#)), "reply 429"),
        (Some((200, "{}")), "reply 503"),
        (Some((503, r#"{"fresh":true}"#)), "reply 503"),
        (None, "reply 503"),
    ] {
        let mut worker = Worker::new(&json!({"replay": "control"}));
        let mut machine = Machine::default();
        let headers = headers("/agent", &rotagent("1", b"hello"));
        worker.step(&mut machine, Input::RequestHeaders(&headers, false));
        worker.body = b"hello".to_vec();
        let (flow, effects) = worker.step(&mut machine, Input::RequestBody(5, true));
        assert_eq!(flow, Flow::Pause);
        assert!(effects[0].starts_with("ask /internal/replay {\"key\":\""), "{effects:?}");
        assert!(machine.is_asking());
        let answer = answer.map(|(status, body)| Answer { status, body: body.as_bytes() });
        let (_, effects) = worker.step(&mut machine, Input::Answer(answer));
        assert!(effects.last().unwrap().starts_with(expected), "{effects:?}");
    }
}

#[test]
fn a_strangers_token_is_exchanged_once_and_the_new_one_verified() {
    let mut worker = Worker::new(&exchange());
    let external = oidc("https://elsewhere", &json!({"sub": "eve"}));
    let mut machine = Machine::default();
    let headers = headers("/v1/models", &external);
    let (flow, effects) = worker.step(&mut machine, Input::RequestHeaders(&headers, true));
    assert_eq!(flow, Flow::Pause);
    assert!(
        effects[0].starts_with(
            "ask /token grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion="
        ),
        "{effects:?}"
    );
    assert!(!format!("{machine:?}").contains(&external[..20]));
    let body = json!({"access_token": oidc("https://idp", &json!({}))}).to_string();
    let answer = Answer { status: 200, body: body.as_bytes() };
    let (flow, effects) = worker.step(&mut machine, Input::Answer(Some(answer)));
    assert_eq!((flow, effects.last().unwrap().as_str()), (Flow::Continue, "resume"));
    assert!(stamped(&effects, "x-attach-user: alice"), "{effects:?}");
    // The next request with it costs a look-up.
    let (flow, effects) = worker.send("/v1/models", &external, "");
    assert_eq!(flow, Flow::Continue);
    assert!(stamped(&effects, "x-attach-user: alice"), "{effects:?}");
}

#[test]
fn what_comes_back_from_an_exchange_must_be_what_was_asked_for() {
    let external = oidc("https://elsewhere", &json!({}));
    let strangers = json!({"access_token": external}).to_string();
    let forged = json!({"access_token": format!("{}x", oidc("https://idp", &json!({})))}).to_string();
    for (answer, expected) in [
        (Some((200, strangers.as_str())), "exchange_refused"),
        (Some((200, forged.as_str())), "token_encoding"),
        (Some((200, "{}")), "exchange_refused"),
        (Some((400, "{}")), "exchange_refused"),
        (Some((500, "{}")), "exchange_unavailable"),
        (None, "exchange_unavailable"),
    ] {
        let mut worker = Worker::new(&exchange());
        let mut machine = Machine::default();
        worker.step(&mut machine, Input::RequestHeaders(&headers("/v1/models", &external), true));
        let answer = answer.map(|(status, body)| Answer { status, body: body.as_bytes() });
        let (_, effects) = worker.step(&mut machine, Input::Answer(answer));
        assert_eq!(denied(&effects), expected);
    }
}

#[test]
fn a_scope_that_is_lacking_is_named() {
    let more = json!({"required_scopes": ["chat:run"], "grants": [{"user": "bob", "scopes": ["chat:run"]}],
        "routes": [{"path": "/admin/**", "scopes": ["admin"]}]});
    let mut worker = Worker::new(&more);
    for (claims, path, lacks) in [
        (json!({}), "/v1/models", Some("chat:run")),
        (json!({"scope": "chat:run"}), "/v1/models", None),
        (json!({"scp": ["chat:run"]}), "/v1/models", None),
        (json!({"scope": "chat:run"}), "/admin/x", Some("admin")),
        (json!({"scope": "chat:run admin"}), "/admin/x", None),
        (json!({"sub": "bob"}), "/v1/models", None),
        (json!({"scope": "chat:runs"}), "/v1/models", Some("chat:run")),
    ] {
        let token = oidc("https://idp", &claims);
        // The second time, the token is known.
        for _ in 0..2 {
            let (flow, effects) = worker.send(path, &token, "");
            match lacks {
                None => assert_eq!(flow, Flow::Continue, "{claims}: {effects:?}"),
                Some(scope) => {
                    assert_eq!(denied(&effects), "scope_missing", "{claims}");
                    let said = format!(r#"reply 403 {{"detail":"The token lacks the scope {scope}"}}"#);
                    assert_eq!(effects.last().unwrap(), &said);
                }
            }
        }
    }
}

#[test]
fn a_model_that_is_not_allowed_is_not_reached() {
    let more = json!({"models": [
        {"claim": {"header": "x-attach-tier", "value": "free"}, "allow": ["small*"]},
        {"user": "alice", "allow": ["small*", "large"]}]});
    let mut worker = Worker::new(&more);
    let free = json!({"sub": "carol", "tier": ["free", "x"]});
    for (claims, body, expected) in [
        (json!({}), r#"{"model":"large"}"#, None),
        (json!({}), r#"{"model":"huge"}"#, Some("model_forbidden")),
        (json!({"sub": "dave"}), r#"{"model":"huge"}"#, None),
        (free.clone(), r#"{"model":"small-1"}"#, None),
        (free.clone(), r#"{"model":"large"}"#, Some("model_forbidden")),
        (free.clone(), r#"{"model":"small","Model":"large"}"#, Some("model_unnamed")),
        (free.clone(), r#"{"prompt":"x"}"#, Some("model_unnamed")),
        (free.clone(), "", None),
    ] {
        let token = oidc("https://idp", &claims);
        let (flow, effects) = worker.send("/v1/chat/completions", &token, body);
        assert_eq!(flow == Flow::Continue, expected.is_none(), "{claims} {body}: {effects:?}");
        assert_eq!(denied(&effects), expected.unwrap_or("nothing"), "{claims} {body}");
    }
}

#[test]
fn shadow_mode_counts_and_lets_go_on_the_engines_routes_alone() {
    let mut worker = Worker::new(&json!({"mode": "shadow"}));
    let mut machine = Machine::default();
    let mut spoofed = headers("/v1/models", "rubbish");
    spoofed.push(("x-attach-user".to_owned(), b"root".to_vec()));
    let (flow, effects) = worker.step(&mut machine, Input::RequestHeaders(&spoofed, true));
    assert_eq!(flow, Flow::Continue);
    assert_eq!(effects, ["-x-attach-user", "count token_segments", "-authorization"]);
    // No identity, so nothing about one in the answer.
    assert_eq!(worker.step(&mut machine, Input::ResponseHeaders(&[], true)).1, Vec::<String>::new());
    assert_eq!(denied(&worker.send("/mem/events", "rubbish", "").1), "token_segments");
    assert_eq!(denied(&worker.send("/a/../b", "rubbish", "").1), "path_ambiguous");
    let (flow, effects) = worker.send("/agent", &rotagent("1", b"hello"), "other");
    assert_eq!(flow, Flow::Continue);
    assert!(stamped(&effects, "count rotagent_body"), "{effects:?}");
    let good = oidc("https://idp", &json!({}));
    assert!(stamped(&worker.send("/v1/models", &good, "").1, "x-attach-user: alice"));
}

#[test]
fn every_upstream_gets_a_statement_that_is_addressed_to_it() {
    let more = json!({"assertion": {"key_env": "SEED"}, "targets": ["planner"]});
    let mut worker = Worker::new(&more);
    let key = attach_core::crypto::SigningKey::from_seed(&{
        let mut seed = [0; 32];
        seed.iter_mut().zip(0..).for_each(|(byte, n)| *byte = n);
        seed
    });
    let public = PublicKey::ed25519(&key.public()).unwrap();
    let token = oidc("https://idp", &json!({"scope": "a b", "tier": "free"}));
    let mut last = String::new();
    for (path, audience) in [
        ("/v1/models", "engine"),
        ("/mem/events", "control"),
        ("/agents/planner/x", "planner"),
        ("/agents/other/x", "control"),
        ("/v1/models", "engine"),
    ] {
        let (_, effects) = worker.send(path, &token, "");
        let text = effects.iter().find_map(|effect| effect.strip_prefix("x-attach-assertion: ")).unwrap();
        let (input, signature) = text.rsplit_once('.').unwrap();
        let decode = |part: &str| attach_core::crypto::base64url(part.as_bytes()).unwrap();
        assert!(public.verify(&NoHost, input.as_bytes(), &decode(signature)));
        let (header, payload) = input.split_once('.').unwrap();
        let header = json::object(&decode(header)).unwrap();
        assert_eq!(header.str("typ"), Some("attach-assertion+jwt"));
        assert_eq!(header.str("kid"), Some(&*key.thumbprint()));
        let claims: Value = serde_json::from_slice(&decode(payload)).unwrap();
        assert_eq!(claims["aud"], audience, "{path}");
        assert_eq!(claims["sub"], "alice");
        assert_eq!(claims["scope"], "a b");
        assert_eq!(claims["claims"], json!({"x-attach-tier": "free"}));
        assert_eq!(claims["exp"], NOW + 120);
        assert_eq!(claims["user_exp"], NOW + 600);
        assert!(stamped(&effects, "x-attach-tier: free"));
        // The secret goes where the path goes, and nowhere else.
        assert_eq!(effects.iter().any(|effect| effect.contains(SECRET)), audience == "control", "{path}");
        assert_ne!(text, last);
        text.clone_into(&mut last);
        // An assertion is no token, not even at the gateway that made it.
        let (_, effects) = worker.send("/v1/models", text, "");
        assert_ne!(denied(&effects), "nothing");
    }
}
