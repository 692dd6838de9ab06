//! The table of requests against `attach-core`, without Envoy.

use attach_tests::cases::{self, AUTHORITY, Case, Verdict, World};
use attach_tests::mint::{self, Signing};
use attach_tests::native::Native;
use attach_tests::sent::Sent;
use serde_json::{Value, json};

/// SHA-256 of nothing.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn world() -> World {
    World::new(
        "http://127.0.0.1:1/first",
        "http://127.0.0.1:1/second",
        ["http://127.0.0.1:1", "http://127.0.0.1:2"],
    )
}

fn judge(native: &mut Native, case: &Case) -> Verdict {
    for _ in 0..case.earlier {
        let verdict = native.judge(&case.sent);
        assert!(matches!(verdict, Verdict::User { .. }), "{}, before: {verdict:?}", case.name);
    }
    native.judge(&case.sent)
}

#[test]
fn every_request_of_the_table_is_judged_as_it_says() {
    let world = world();
    let now = mint::now();
    let mut native = Native::new(&world, now);
    let cases = cases::all(&world, now);
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let verdict = judge(&mut native, case);
            (!case.allows(&verdict)).then(|| format!("{}: {verdict:?}, not {:?}", case.name, case.expect))
        })
        .collect();
    let refused = cases.iter().filter(|case| case.is_refused()).count();
    println!("{} requests, {refused} of them to be refused", cases.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(refused >= 600 && cases.len() - refused >= 100, "{refused} of {}", cases.len());
}

#[test]
fn no_two_rows_of_the_table_have_one_name() {
    let world = world();
    let mut names: Vec<String> = cases::all(&world, mint::now()).into_iter().map(|case| case.name).collect();
    names.sort();
    let doubled: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
}

#[test]
fn a_token_is_refused_from_the_second_in_which_its_leeway_has_passed() {
    let world = world();
    let now = mint::now();
    let mut native = Native::new(&world, now);
    for (claims, good) in [
        (json!({"exp": now - 59}), true),
        (json!({"exp": now - 60}), false),
        (json!({"nbf": now + 60}), true),
        (json!({"nbf": now + 61}), false),
        (json!({"iat": now + 60}), true),
        (json!({"iat": now + 61}), false),
    ] {
        let sent = Sent::get("gateway", "/").bearer(&world.first.token_of(&claims));
        let verdict = native.judge(&sent);
        assert_eq!(matches!(verdict, Verdict::User { .. }), good, "{claims}: {verdict:?}");
    }
}

#[test]
fn every_scheme_keeps_its_times_to_the_second() {
    let world = world();
    let now = mint::now();
    let mut native = Native::new(&world, now);
    let holder = &world.dids.ed25519;
    let planner = &world.orchestrators[0];
    let service = &world.services[0];
    let did = |claims: Value| holder.token(&holder.claims(world.audience(), &claims));
    let plan = |claims: Value, jti: &str| {
        let usual =
            json!({"iss": "planner", "iat": now, "exp": now + 60, "jti": jti, "content_sha256": EMPTY});
        planner.token_with(&json!({"kid": null}), &mint::merged(&usual, &claims))
    };
    let gateway = |claims: Value| {
        let url = world.public_url();
        let usual =
            json!({"iss": url, "aud": url, "sub": "alice", "act": {"sub": "key:planner"}, "exp": now + 60});
        world.gateway.token(&mint::merged(&usual, &claims))
    };
    let hmac = |claims: Value| service.token("HS256", &json!({}), &service.claims(world.audience(), &claims));
    let day = 24 * 3600;
    for (name, token, good) in [
        ("a DID in its last second", did(json!({"exp": now - 59})), true),
        ("a DID past it", did(json!({"exp": now - 60})), false),
        ("a DID for a day and the leeway", did(json!({"exp": now + day + 60})), true),
        ("a DID for a second more", did(json!({"exp": now + day + 61})), false),
        ("a DID from a minute ahead", did(json!({"nbf": now + 60})), true),
        ("a DID from further ahead", did(json!({"nbf": now + 61})), false),
        ("rotagent in its last second", plan(json!({"iat": now - 200, "exp": now - 59}), "a"), true),
        ("rotagent past it", plan(json!({"iat": now - 200, "exp": now - 60}), "b"), false),
        ("rotagent for five minutes", plan(json!({"exp": now + 300}), "c"), true),
        ("rotagent for five minutes and a rounding", plan(json!({"exp": now + 301}), "d"), true),
        ("rotagent for longer", plan(json!({"exp": now + 302}), "e"), false),
        (
            "rotagent for five minutes from a minute ahead",
            plan(json!({"iat": now + 60, "exp": now + 360}), "f"),
            true,
        ),
        ("rotagent for longer from there", plan(json!({"iat": now + 60, "exp": now + 361}), "g"), false),
        ("rotagent of a minute ahead", plan(json!({"iat": now + 60, "exp": now + 120}), "h"), true),
        ("rotagent of further ahead", plan(json!({"iat": now + 61, "exp": now + 120}), "i"), false),
        ("a service in its last second", hmac(json!({"exp": now - 59})), true),
        ("a service past it", hmac(json!({"exp": now - 60})), false),
        ("the gateway in its last second", gateway(json!({"exp": now + 1})), true),
        ("the gateway past it, where nobody has a minute more", gateway(json!({"exp": now})), false),
        ("the gateway for a quarter of an hour and the leeway", gateway(json!({"exp": now + 960})), true),
        ("the gateway for a second more", gateway(json!({"exp": now + 961})), false),
    ] {
        let verdict = native.judge(&Sent::get(AUTHORITY, "/").bearer(&token));
        assert_eq!(matches!(verdict, Verdict::User { .. }), good, "{name}: {verdict:?}");
    }
    let bot = world.signers[0].key("EdDSA");
    for (parameters, good) in [
        (format!(";created={}", now + 60), true),
        (format!(";created={}", now + 61), false),
        (format!(";created={}", now - 359), true),
        (format!(";created={}", now - 360), false),
        (format!(";created={};expires={}", now - 100, now - 59), true),
        (format!(";created={};expires={}", now - 100, now - 60), false),
        (format!(";created={};expires={}", now - 360, now + 60), false),
        (format!(";created={};expires={}", now, now + day), true),
        (format!(";created={};expires={}", now, now + day + 1), false),
        (format!(";created={};expires={}", now + 1, now), false),
    ] {
        let signing =
            Signing::new(&["@method", "@authority", "@path"], format!("{parameters};keyid=\"bot-eddsa\""));
        let sent = signing.put(Sent::get(AUTHORITY, "/"), |base| bot.sign(base));
        let verdict = native.judge(&sent);
        assert_eq!(matches!(verdict, Verdict::User { .. }), good, "{parameters}: {verdict:?}");
    }
}

#[test]
fn what_was_used_once_stays_used_for_as_long_as_it_could_be_used() {
    let world = world();
    let now = mint::now();
    let mut native = Native::new(&world, now);
    let claims = json!({"iss": "planner", "exp": now + 300, "jti": "once", "content_sha256": EMPTY});
    let token = world.orchestrators[0].token_with(&json!({"kid": null}), &claims);
    let planned = Sent::get(AUTHORITY, "/").bearer(&token);
    let parameters = format!(";created={now};expires={};keyid=\"bot-eddsa\";nonce=\"once\"", now + 300);
    let signing = Signing::new(&["@method", "@authority", "@path"], parameters);
    let signed = signing.put(Sent::get(AUTHORITY, "/"), |base| world.signers[0].key("EdDSA").sign(base));
    for sent in [planned, signed] {
        native.at(now);
        assert!(matches!(native.judge(&sent), Verdict::User { .. }));
        // A token or signature lasts 300 seconds and the leeway; not for one of them may it be used again.
        for later in (0..=370).chain([3600]) {
            native.at(now + later);
            let verdict = native.judge(&sent);
            assert!(matches!(verdict, Verdict::Reason { .. }), "after {later} s: {verdict:?}");
        }
    }
}

#[test]
fn rotagents_clients_read_its_own_words() {
    let world = world();
    let now = mint::now();
    let mut native = Native::with(&world, now, |mut document| {
        for method in ["issuers", "did", "hmac", "httpsig"] {
            document.as_object_mut().expect("an object").remove(method);
        }
        document
    });
    let planner = &world.orchestrators[0];
    let of = |claims: Value| {
        let usual = json!({"iss": "planner", "exp": now + 60, "jti": "words", "content_sha256": EMPTY});
        let token = planner.token_with(&json!({"kid": null}), &mint::merged(&usual, &claims));
        Sent::get(AUTHORITY, "/agent").bearer(&token)
    };
    assert!(matches!(native.judge(&of(json!({}))), Verdict::User { .. }));
    let missing = "Missing/Invalid Authorization header";
    for (sent, status, words) in [
        (Sent::get(AUTHORITY, "/agent"), 401, missing),
        (Sent::get(AUTHORITY, "/agent").header("authorization", "Basic YTpi"), 401, missing),
        (Sent::get(AUTHORITY, "/agent").header("authorization", "Bearer "), 401, missing),
        (of(json!({"iss": "nobody"})), 401, "Unknown Issuer: nobody"),
        (of(json!({"exp": now - 90})), 401, "Token Expired"),
        (of(json!({"jti": null})), 401, "Invalid Claims"),
        (of(json!({"exp": null})), 401, "Invalid Claims"),
        (of(json!({"content_sha256": "0".repeat(64)})), 401, "Body Tampering Detected"),
        (of(json!({"content_sha256": null})), 401, "Body Tampering Detected"),
        (of(json!({})), 429, "Replay Detected"),
    ] {
        let (verdict, body) = native.answer(&sent);
        let body = body.unwrap_or_default();
        assert!(
            matches!(&verdict, Verdict::Reason { status: have, .. } if *have == status),
            "{words}: {verdict:?}"
        );
        assert_eq!((&body["error"], &body["detail"]), (&json!(words), &json!(words)), "{verdict:?}");
    }
}

#[test]
fn a_method_that_is_off_lets_nobody_in_and_says_so_in_the_log() {
    let world = world();
    let now = mint::now();
    let mut native = Native::with(&world, now, |mut document| {
        for method in ["did", "rotagent", "hmac", "httpsig", "gateway_tokens"] {
            document.as_object_mut().expect("an object").remove(method);
        }
        document
    });
    let (holder, service, audience) = (&world.dids.ed25519, &world.services[0], world.audience());
    let did = holder.token(&holder.claims(audience, &json!({})));
    let plan = json!({"iss": "planner", "exp": now + 60, "jti": "a", "content_sha256": EMPTY});
    let hmac = service.token("HS256", &json!({}), &service.claims(audience, &json!({})));
    let url = world.public_url();
    let own = json!({"iss": url, "aud": url, "sub": "alice", "act": {"sub": "key:planner"}, "exp": now + 60});
    for (token, reason) in [
        (did.clone(), "did_off"),
        (format!("{}.{did}", holder.did), "did_off"),
        (holder.did.clone(), "did_off"),
        (world.orchestrators[0].token_with(&json!({"kid": null}), &plan), "issuer_unknown"),
        (hmac, "algorithm_symmetric"),
        (world.gateway.token(&own), "issuer_unknown"),
    ] {
        let verdict = native.judge(&Sent::get(AUTHORITY, "/").bearer(&token));
        assert!(
            matches!(&verdict, Verdict::Reason { reason: have, .. } if have.starts_with(reason)),
            "{reason}: {verdict:?}"
        );
    }
    // Its headers are no credential, good or bad.
    let parameters = format!(";created={now};keyid=\"bot-eddsa\"");
    let signing = Signing::new(&["@method", "@authority", "@path"], parameters);
    let alone = signing.put(Sent::get(AUTHORITY, "/"), |base| world.signers[0].key("EdDSA").sign(base));
    let verdict = native.judge(&alone);
    assert!(
        matches!(&verdict, Verdict::Reason { reason, .. } if reason == "credential_missing"),
        "{verdict:?}"
    );
    let beside = signing.put_raw(Sent::get(AUTHORITY, "/").bearer(&world.first.token("alice")), &[0; 64]);
    assert_eq!(native.judge(&beside), Verdict::User { user: "alice".to_owned(), agent: None });
}

#[test]
fn whoever_makes_a_key_may_come_in_and_still_needs_a_key_that_is_one() {
    let world = world();
    let now = mint::now();
    let mut native = Native::with(&world, now, |mut document| {
        document["did"]["allow"] = json!(["*"]);
        document
    });
    let outsider = &world.dids.outsider;
    let judge = |native: &mut Native, did: &str| {
        let holder = outsider.named(did);
        let token = holder.token(&holder.claims(world.audience(), &json!({})));
        native.judge(&Sent::get(AUTHORITY, "/").bearer(&token))
    };
    assert_eq!(judge(&mut native, &outsider.did), Verdict::User { user: outsider.did.clone(), agent: None });
    let key = |bytes: &[u8]| format!("did:key:z{}", mint::base58(bytes));
    let neutral = [&[0xed, 0x01, 1][..], &[0; 31]].concat();
    // Order eight.
    let eighth = mint::decode("xxdqcD0N2E-6PAt2DRBnDyogU_osOczGTsf9d5Ks13oA");
    let eighth = [&[0xed, 0x01][..], &eighth[..32]].concat();
    for (name, did) in [
        ("no point", key(&[&[0xed, 0x01][..], &[0xff; 32]].concat())),
        ("the neutral point", key(&neutral)),
        ("a point of small order", key(&eighth)),
        ("y past the field", key(&[&[0xed, 0x01, 0xee][..], &[0xff; 30], &[0x7f]].concat())),
        ("no point of P-256", key(&[&[0x80, 0x24, 2][..], &[0xff; 32]].concat())),
        ("P-256's hybrid form", key(&[&[0x80, 0x24, 6][..], &[1; 32]].concat())),
        ("no point of secp256k1", key(&[&[0xe7, 0x01, 2][..], &[0xff; 32]].concat())),
        ("no point of P-384", key(&[&[0x81, 0x24, 2][..], &[0xff; 48]].concat())),
    ] {
        let verdict = judge(&mut native, &did);
        assert!(matches!(&verdict, Verdict::Reason { status: 401, .. }), "{name}: {verdict:?}");
    }
}
