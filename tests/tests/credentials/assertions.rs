//! `X-Attach-Assertion`: whoever stands behind the gateway can verify it with what the gateway publishes.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use attach_tests::env;
use attach_tests::gateway::finish;
use attach_tests::mint::now;
use attach_tests::peers::python;
use attach_tests::request::Request;
use attach_tests::wait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::agents::{Agents, usual};
use crate::site::{Site, text};

const JWKS: &str = "/.well-known/attach-jwks.json";

/// The claims of a token, unverified.
pub fn claims_of(token: &str) -> Value {
    part(token, 1)
}

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).expect("a JWT");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

fn site() -> &'static Site {
    static FIXTURE: OnceLock<Site> = OnceLock::new();
    FIXTURE.get_or_init(|| Site::start("assertions", &[], |builder| builder))
}

/// What the engine is handed when alice asks it.
fn handed(site: &Site, mark: &str, claims: &Value) -> String {
    site.send(&Request::get(mark).bearer(&site.mint.token_of(claims)).header("user-agent", "tester"))
        .expect(200);
    site.upstream.only(mark).headers.one("x-attach-assertion").expect("an assertion").to_owned()
}

fn published(site: &Site) -> Vec<Value> {
    site.send(&Request::get(JWKS)).expect(200).json()["keys"].as_array().expect("keys").clone()
}

#[test]
fn an_assertion_says_who_asks_and_for_whom_it_is() {
    let site = site();
    let expires = now() + 3000;
    let assertion = handed(site, "/says-who", &json!({"scope": "chat:run", "exp": expires}));
    let header = part(&assertion, 0);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("EdDSA"), &json!("attach-assertion+jwt")));
    let keys = published(site);
    assert!(keys.iter().any(|key| key["kid"] == header["kid"]), "{header} {keys:?}");
    assert!(keys.iter().all(|key| key.get("d").is_none()), "no private key is published");
    let claims = claims_of(&assertion);
    let made = claims["iat"].as_u64().expect("a date");
    let session: String =
        sha2::Sha256::digest("alice:tester").iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(made.abs_diff(now()) <= 5, "{claims}");
    let expected = json!({
        "iss": site.gateway.url(), "sub": "alice", "aud": "engine", "sid": session, "scope": "chat:run",
        "iat": made, "exp": made + 120, "user_exp": expires,
    });
    assert_eq!(claims, expected);
}

#[test]
fn an_assertion_never_outlives_the_users_own_credential() {
    let expires = now() + 40;
    let claims = claims_of(&handed(site(), "/short-lived", &json!({"exp": expires})));
    assert_eq!((&claims["exp"], &claims["user_exp"]), (&json!(expires), &json!(expires)));
}

#[test]
fn one_is_made_for_many_requests_of_one_caller() {
    let site = Site::start("assertion-once", &[], |builder| builder.set("ENVOY_CONCURRENCY", 1));
    let token = site.mint.token("alice");
    let start = now();
    let mut made: Vec<String> = (0..20)
        .map(|number| {
            let path = format!("/many-{number}-");
            site.send(&Request::get(&path).bearer(&token)).expect(200);
            site.upstream.only(&path).headers.one("x-attach-assertion").expect("an assertion").to_owned()
        })
        .collect();
    made.dedup();
    let minutes = usize::try_from((now() - start) / 60).expect("small");
    assert!(made.len() <= 1 + minutes, "{} assertions", made.len());
}

#[test]
fn a_caller_cannot_bring_an_assertion_of_his_own() {
    let site = site();
    let forged = attach_tests::mint::Key::new("EdDSA", "x").token(&json!({"sub": "admin", "aud": "engine"}));
    let request = Request::get("/brought-along")
        .bearer(&site.mint.token("alice"))
        .header("X-Attach-Assertion", &forged)
        .header("x_attach_assertion", &forged);
    site.send(&request).expect(200);
    let seen = site.upstream.only("/brought-along");
    assert_eq!(claims_of(seen.headers.one("x-attach-assertion").expect("one"))["sub"], "alice");
    assert!(!seen.headers.has("x_attach_assertion"));
}

#[test]
fn pyjwt_verifies_it_with_the_published_keys_and_refuses_another_audience() {
    let site = site();
    let assertion = handed(site, "/by-pyjwt", &json!({}));
    let verify = |token: &str, audience: &str| {
        let asked = json!({
            "token": token, "audience": audience, "issuer": site.gateway.url(),
            "jwks": format!("{}{JWKS}", site.gateway.url()),
        });
        python("verify.py", &asked)
    };
    assert_eq!(verify(&assertion, "engine")["claims"]["sub"], "alice");
    assert_eq!(verify(&assertion, "planner")["error"], "InvalidAudienceError");
    let mut changed: Vec<String> = assertion.split('.').map(str::to_owned).collect();
    changed[1] = attach_tests::mint::encode(
        attach_tests::mint::merged(&claims_of(&assertion), &json!({"sub": "admin"})).to_string(),
    );
    assert_eq!(verify(&changed.join("."), "engine")["error"], "InvalidSignatureError");
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../control/examples").join(name)
}

#[test]
fn the_examples_verify_it_and_refuse_another_audience() {
    let site = site();
    let assertion = handed(site, "/by-examples", &json!({}));
    let interpreter =
        env::required_peer("ATTACH_TEST_PYTHON", "Python 3 with venv (the package python3-venv)");
    let url = site.gateway.url();
    let rust = env::required_peer("ATTACH_TEST_VERIFY_EXAMPLE", "nothing: it is built here");
    for (name, program, first) in
        [("Python", interpreter, Some(example("verify_assertion.py"))), ("Rust", rust, None)]
    {
        let run = |audience: &str| {
            let mut command = Command::new(&program);
            command.args(&first).args([&*url, audience, &*assertion]).stdin(Stdio::null());
            finish(&mut command)
        };
        let good = run("engine");
        assert_eq!(good.status, 0, "{name}: {}{}", good.stdout, good.stderr);
        assert!(good.stdout.contains("alice"), "{name}: {}", good.stdout);
        assert_ne!(run("planner").status, 0, "{name} believes what is for another");
    }
}

#[test]
fn a_rotation_changes_the_key_at_the_next_start_and_old_statements_stay_verifiable() {
    let agents = Agents::start("rotate");
    let site = &agents.site;
    let old = agents.handed("planner", "task-before", &json!({}));
    let granted = agents.swap(&usual(&old)).expect(200).json();
    let old_token = text(&granted["access_token"]).to_owned();
    let before = published(site);
    assert_eq!(before.len(), 1, "{before:?}");

    site.gateway.run(&["keys", "rotate"]).expect_success();
    // The next one is published at once, before anybody signs with it.
    let both = wait::until_within(Duration::from_secs(5), "both keys to be published", || {
        let keys = published(site);
        (keys.len() == 2).then_some(keys)
    });
    assert!(both.contains(&before[0]));
    let kid = |token: &str| part(token, 0)["kid"].clone();
    assert_eq!(kid(&old), before[0]["kid"]);

    site.gateway.up().expect_success();
    let new = wait::until("the new key to sign", || {
        static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let new = agents.handed("planner", &format!("task-after-{number}-"), &json!({}));
        (kid(&new) != kid(&old)).then_some(new)
    });
    let keys = published(site);
    for token in [&old, &new] {
        assert!(keys.iter().any(|key| key["kid"] == kid(token)), "{keys:?}");
    }
    // Both kinds of what was signed before still count, and so does what is signed now.
    agents.swap(&usual(&old)).expect(200);
    let granted = agents.swap(&usual(&new)).expect(200).json();
    for (path, token) in
        [("/with-old-token", &*old_token), ("/with-new-token", text(&granted["access_token"]))]
    {
        site.send(&Request::get(path).bearer(token)).expect(200);
        assert_eq!(site.user(path).as_deref(), Some("alice"));
    }
}
