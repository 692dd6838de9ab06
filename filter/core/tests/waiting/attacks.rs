//! Ways in, and ways to do harm, that were found and closed.

use attach_core::authn::replay::Bucket;
use attach_core::authn::verdict::OneUse;
use attach_core::authn::{Refusal, replay};
use attach_core::crypto::{sha256, to_hex};
use attach_core::keys::cache::JwksCache;
use attach_core::stream::{Answer, Effect, Flow, Input, Machine};
use serde_json::{Value, json};

use crate::fixture::{NOW, Worker, compiled, denied, exchange, headers, oidc, rotagent, stamped, token};

/// A signed request whose last byte is held back.
fn held_back(worker: &mut Worker, headers: &[(String, Vec<u8>)]) -> Machine {
    let mut machine = Machine::default();
    worker.step(&mut machine, Input::RequestHeaders(headers, false));
    worker.body = b"hell".to_vec();
    worker.step(&mut machine, Input::RequestBody(4, false));
    machine
}

#[test]
fn a_body_that_is_held_back_until_its_token_has_ended_comes_too_late() {
    for later in [60 + 62, 3600] {
        let mut worker = Worker::new(&json!({}));
        let headers = headers("/agent", &rotagent("1", b"hello"));
        let mut machines: Vec<Machine> = (0..3).map(|_| held_back(&mut worker, &headers)).collect();
        worker.now = NOW + later;
        worker.body = b"hello".to_vec();
        for machine in &mut machines {
            let (_, effects) = worker.step(machine, Input::RequestBody(5, true));
            assert_eq!(denied(&effects), "rotagent_expired");
        }
    }
}

#[test]
fn a_body_that_does_not_come_is_waited_for_half_a_minute() {
    let mut worker = Worker::new(&json!({}));
    let mut machine = held_back(&mut worker, &headers("/agent", &rotagent("1", b"hello")));
    assert!(machine.is_waiting());
    worker.now = NOW + 29;
    assert_eq!(worker.step(&mut machine, Input::Tick), (Flow::Pause, vec![]));
    worker.now = NOW + 30;
    let (_, effects) = worker.step(&mut machine, Input::Tick);
    assert!(effects.last().unwrap().starts_with("reply 408"), "{effects:?}");
}

#[test]
fn a_key_that_is_taken_away_while_the_body_comes_lets_nobody_in() {
    let mut worker = Worker::new(&json!({}));
    let mut machine = held_back(&mut worker, &headers("/agent", &rotagent("1", b"hello")));
    let source = worker.policy.schemes.rotagent.as_ref().unwrap().source;
    let record = worker.keys[source].record();
    worker.keys[source] = JwksCache::new(worker.policy.sources[source].schedule);
    worker.keys[source].adopt(record, Default::default());
    worker.body = b"hello".to_vec();
    let (_, effects) = worker.step(&mut machine, Input::RequestBody(5, true));
    assert_eq!(denied(&effects), "key_unknown");
}

/// What becomes of a request of somebody who may use `small` alone.
fn limited(path: &str, kind: &str, body: &str) -> String {
    let mut worker = Worker::new(&json!({"models": [{"user": "alice", "allow": ["small"]}]}));
    let mut machine = Machine::default();
    let mut headers = headers(path, &oidc("https://idp", &json!({})));
    headers.push(("content-type".to_owned(), kind.as_bytes().to_vec()));
    let (_, mut effects) = worker.step(&mut machine, Input::RequestHeaders(&headers, body.is_empty()));
    if !body.is_empty() {
        worker.body = body.as_bytes().to_vec();
        effects.extend(worker.step(&mut machine, Input::RequestBody(body.len(), true)).1);
    }
    denied(&effects).to_owned()
}

#[test]
fn no_model_hides_where_only_the_engine_looks() {
    const JSON: &str = "application/json";
    for (path, kind, body, expected) in [
        ("/v1/x", JSON, r#"{"model":"small"}"#, "nothing"),
        ("/openai/deployments/gpt-4/chat/completions", JSON, r#"{"model":"small"}"#, "model_forbidden"),
        ("/v1beta/%6dodels/big:generateContent", JSON, r#"{"model":"small"}"#, "model_unnamed"),
        ("/v1/x", JSON, r#"{"model":"small","models":["big"]}"#, "model_unnamed"),
        (
            "/v1/x",
            "application/x-www-form-urlencoded",
            r#"{"model":"small","&model=big&x":1}"#,
            "model_unnamed",
        ),
        ("/v1/x", "application/json; charset=utf-7", r#"{"model":"small"}"#, "model_unnamed"),
        ("/v1/models/small:70b", JSON, "", "model_forbidden"),
        ("/api/create", JSON, r#"{"model":"small","modelfile":"FROM big"}"#, "model_unnamed"),
        ("/api/copy", JSON, r#"{"source":"small","destination":"big"}"#, "model_forbidden"),
    ] {
        assert_eq!(limited(path, kind, body), expected, "{path} {body}");
    }
}

#[test]
fn a_body_that_cannot_be_read_is_not_an_empty_one() {
    let mut worker = Worker::new(&json!({"models": [{"user": "alice", "allow": ["small"]}]}));
    let mut machine = Machine::default();
    let headers = headers("/v1/x", &oidc("https://idp", &json!({})));
    worker.step(&mut machine, Input::RequestHeaders(&headers, false));
    let (_, effects) = worker.step(&mut machine, Input::RequestBody(500, true));
    assert_eq!(denied(&effects), "filter_fault");
}

#[test]
fn a_comma_in_a_text_makes_no_list_of_it() {
    let more = json!({"models": [
        {"user": "*", "allow": ["small"]},
        {"claim": {"header": "x-attach-tier", "value": "admin"}, "allow": ["*"]}]});
    for (tier, expected) in [(json!("Smith,admin"), Flow::Pause), (json!(["Smith", "admin"]), Flow::Continue)]
    {
        let token = oidc("https://idp", &json!({ "tier": tier }));
        let (flow, _) = Worker::new(&more).send("/v1/x", &token, r#"{"model":"big"}"#);
        assert_eq!(flow, expected, "{tier}");
    }
}

fn assertion(effects: &[String]) -> String {
    effects.iter().find_map(|effect| effect.strip_prefix("x-attach-assertion: ")).unwrap().to_owned()
}

#[test]
fn an_assertion_is_signed_once_a_minute_whatever_comes_in_between() {
    let mut worker = Worker::new(&json!({"assertion": {"key_env": "SEED"}}));
    for claims in [json!({}), json!({"exp": NOW + 25})] {
        let token = oidc("https://idp", &claims);
        worker.now = NOW;
        let first = assertion(&worker.send("/v1/x", &token, "").1);
        worker.now = NOW + 1;
        worker.send("/mem/events", &token, "");
        worker.now = NOW + 2;
        assert_eq!(assertion(&worker.send("/v1/x", &token, "").1), first, "{claims}");
    }
}

#[test]
fn an_assertion_never_speaks_of_a_later_end_than_its_credential_has() {
    let mut worker = Worker::new(&json!({"assertion": {"key_env": "SEED"}}));
    let long = assertion(&worker.send("/v1/x", &oidc("https://idp", &json!({"exp": NOW + 7200})), "").1);
    let short = assertion(&worker.send("/v1/x", &oidc("https://idp", &json!({"exp": NOW + 600})), "").1);
    assert_ne!(long, short);
}

#[test]
fn the_prefix_of_a_method_that_is_off_is_kept_for_it() {
    let mut worker = Worker::new(&json!({}));
    for sub in ["hmac:billing", "sig:bot.example", "key:planner", "did:key:z6Mk"] {
        let token = oidc("https://idp", &json!({ "sub": sub }));
        assert_eq!(denied(&worker.send("/v1/x", &token, "").1), "subject_reserved", "{sub}");
    }
}

#[test]
fn a_gateway_that_knows_its_own_keys_alone_is_not_well() {
    let at = json!({"cluster": "c", "scheme": "http", "authority": "idp", "path": "/gateway"});
    let more = json!({"gateway_tokens": {"jwks": {"keys": at, "internal": true, "refresh_seconds": 2}}});
    let mut worker = Worker::new(&more);
    let own = worker.policy.schemes.gateway.as_ref().unwrap().source;
    for (place, source) in worker.policy.sources.iter().enumerate().filter(|(place, _)| *place != own) {
        worker.keys[place] = JwksCache::new(source.schedule);
    }
    let headers: Vec<(String, Vec<u8>)> =
        vec![(":method".into(), b"GET".to_vec()), (":path".into(), b"/healthz".to_vec())];
    let (_, effects) = worker.step(&mut Machine::default(), Input::RequestHeaders(&headers, true));
    assert!(effects.last().unwrap().starts_with("reply 503"), "{effects:?}");
}

#[test]
fn a_rule_for_a_did_holds_however_it_is_spelt() {
    let lower = "did:pkh:eip155:1:0x2c7536e3605d9c16a7a3d7b1898e529396a65c23";
    let more = |user: &str| json!({"did": {"allow": [lower], "audiences": ["attach"]}, "models": [{"user": user, "allow": ["small"]}]});
    let policy = compiled(&more(lower)).unwrap();
    assert!(format!("{:?}", policy.models).contains("0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"));
    for wrong in ["did:key:zz", "did:pkh:eip155:1:0x2c*", "did:web:x"] {
        assert_eq!(compiled(&more(wrong)).unwrap_err()[0].path, "models[0].user", "{wrong}");
    }
}

#[test]
fn a_signer_cannot_choose_the_bucket_that_others_need() {
    let one = |n: u64| OneUse {
        key: sha256(&[b"rotagent", &n.to_le_bytes()]),
        signer: [1; 32],
        until: NOW + 361,
        otherwise: Refusal::RotagentReplay,
        late: Refusal::RotagentExpired,
    };
    // As many as fill one bucket when its number is known.
    let mut table = std::collections::HashMap::<usize, Vec<u8>>::new();
    for n in (0..).filter(|n| one(*n).key[0] == 7).take(replay::ENTRIES) {
        let bucket = table.entry(replay::bucket_of(&one(n), &[9; 32])).or_default();
        let Bucket::Write(bytes) = replay::add(bucket, &one(n), NOW) else { panic!("full after {n}") };
        *bucket = bytes;
    }
    assert!(table.values().all(|bucket| bucket.len() < 20 * 8));
}

#[test]
fn nothing_shows_what_is_set() {
    let shown = format!("{:?}", Effect::SetRequestHeader("authorization", b"Bearer sk-engine"));
    assert_eq!(shown, "SetRequestHeader(authorization)");
}

#[test]
fn rubbish_makes_nobody_be_asked() {
    let mut worker = Worker::new(&exchange());
    for (claims, expected) in [
        (json!({"exp": NOW - 600}), "expired"),
        (json!({"exp": Value::Null}), "date_malformed"),
        (json!({"iss": ""}), "issuer_missing"),
    ] {
        let token = oidc("https://elsewhere", &claims);
        assert_eq!(denied(&worker.send("/v1/x", &token, "").1), expected);
    }
    let token = oidc("https://elsewhere", &json!({}));
    let mut machine = Machine::default();
    worker.step(&mut machine, Input::RequestHeaders(&headers("/v1/x", &token), true));
    worker.step(&mut machine, Input::Answer(Some(Answer { status: 400, body: b"{}" })));
    let (_, effects) = worker.send("/v1/x", &token, "");
    assert_eq!(denied(&effects), "exchange_refused");
    assert!(!effects.iter().any(|effect| effect.starts_with("ask")), "{effects:?}");
    worker.now = NOW + 31;
    assert!(worker.send("/v1/x", &token, "").1[0].starts_with("ask"));
}

#[test]
fn what_may_be_rotagents_is_shown_to_nobody_before_its_keys_are_there() {
    let mut worker = Worker::new(&exchange());
    let source = worker.policy.schemes.rotagent.as_ref().unwrap().source;
    worker.keys[source] = JwksCache::new(worker.policy.sources[source].schedule);
    let token = token("k", &json!({"iss": "orchestrator", "exp": NOW + 60}));
    let (flow, effects) = worker.send("/agent", &token, "");
    assert_eq!((flow, effects.len()), (Flow::Pause, 0), "{effects:?}");
}

#[test]
fn every_refusal_says_error_where_rotagents_clients_may_read_it() {
    let mut worker = Worker::new(&json!({}));
    let claims = json!({"iss": "orchestrator", "exp": NOW + 6000, "jti": "1",
        "content_sha256": to_hex(&sha256(&[b""]))});
    let (_, effects) = worker.send("/agent", &token("k", &claims), "");
    assert!(effects.last().unwrap().contains(r#""error":"Token is valid for longer"#), "{effects:?}");
    assert!(!stamped(&effects, "resume"));
}
