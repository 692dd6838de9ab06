//! PyPI's `rotagent`, unchanged, and every answer that its error table promises.

use std::sync::OnceLock;
use std::time::Duration;

use attach_tests::peers::python;
use attach_tests::request::Request;
use attach_tests::wait;
use serde_json::{Value, json};

use crate::site::{KEYS, Site, text};

/// Who signs: an issuer's name and its private key.
pub struct Orchestrator {
    pub issuer: &'static str,
    pub private: String,
    pub public: String,
}

impl Orchestrator {
    /// With a new key of rotagent's KeyManager.
    pub fn new(issuer: &'static str) -> Self {
        let pair = python("orchestrator.py", &json!({"op": "keypair"}));
        Self { issuer, private: text(&pair["private"]).into(), public: text(&pair["public"]).into() }
    }

    /// What its client sends as its token for a body, with claims changed as said; `null` removes one.
    pub fn token(&self, body: &str, claims: &Value) -> String {
        self.tokens(body, claims, 1).remove(0)
    }

    /// As many such tokens.
    pub fn tokens(&self, body: &str, claims: &Value, count: usize) -> Vec<String> {
        let one = json!({"issuer": self.issuer, "private": self.private, "body": body, "claims": claims});
        let made = python("orchestrator.py", &json!({"op": "tokens", "tokens": vec![one; count]}));
        made.as_array().expect("tokens").iter().map(|token| text(token).to_owned()).collect()
    }
}

/// A gateway that takes rotagent's requests alone, as the original's users have it, and who may send them.
fn alone() -> &'static (Site, Orchestrator) {
    static FIXTURE: OnceLock<(Site, Orchestrator)> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let orchestrator = Orchestrator::new("my_orchestrator");
        let keys = [("my_orchestrator.pem", &*orchestrator.public)];
        let site = Site::start_without_issuer("rotagent-alone", &keys, |builder| {
            builder.set("AUTH_METHODS", "rotagent").set("AUTHORIZED_KEYS_DIR", KEYS)
        });
        (site, orchestrator)
    })
}

fn post(path: &str, token: &str, body: &str) -> Request {
    Request::post(path, body).bearer(token).header("content-type", "application/json")
}

#[test]
fn its_own_client_gets_through_and_the_body_arrives_as_it_was_sent() {
    let (site, orchestrator) = alone();
    site.upstream.on("/agent", |exchange| {
        exchange.reply("200 OK", &[("content-type", "application/json")], br#"{"response":"Hello"}"#)
    });
    let answer = python(
        "orchestrator.py",
        &json!({
            "op": "send", "url": site.gateway.url(), "issuer": orchestrator.issuer,
            "private": orchestrator.private,
            "payload": {"query": "What movies are playing? \u{20ac}", "list": [1, 2.5, null]},
        }),
    );
    assert_eq!(answer, json!({"response": "Hello", "agent_url": site.gateway.url()}));
    // Another test's requests go to an address that ends so, too.
    let seen = site.upstream.seen("/agent");
    let mut own = seen.iter().filter(|seen| seen.target == "/agent");
    let (Some(seen), None) = (own.next(), own.next()) else { panic!("not one request: {seen:#?}") };
    assert_eq!(seen.method, "POST");
    assert_eq!(seen.headers.one("x-attach-user"), Some("key:my_orchestrator"));
    assert_eq!(
        String::from_utf8_lossy(&seen.body),
        r#"{"list":[1,2.5,null],"query":"What movies are playing? \u20ac"}"#
    );
    assert!(!seen.headers.has("authorization"), "{:?}", seen.headers);
}

#[test]
fn each_of_its_six_errors_is_said_in_its_own_words() {
    let (site, orchestrator) = alone();
    let body = r#"{"query":"x"}"#;
    let stranger = Orchestrator { issuer: "nobody_knows_me", ..Orchestrator::new("x") };
    let replayed = orchestrator.token(body, &json!({}));
    site.send(&post("/rot-first", &replayed, body)).expect(200);
    let expired = json!({"iat": 1_700_000_000, "exp": 1_700_000_060});
    let rows: [(&str, Request, u16, &str); 8] = [
        ("missing", Request::post("/rot-missing", body), 401, "Missing/Invalid Authorization header"),
        (
            "not-bearer",
            Request::post("/rot-not-bearer", body).header("authorization", "Basic eDp5"),
            401,
            "Missing/Invalid Authorization header",
        ),
        (
            "unknown",
            post("/rot-unknown", &stranger.token(body, &json!({})), body),
            401,
            "Unknown Issuer: nobody_knows_me",
        ),
        ("expired", post("/rot-expired", &orchestrator.token(body, &expired), body), 401, "Token Expired"),
        (
            "no-jti",
            post("/rot-no-jti", &orchestrator.token(body, &json!({"jti": null})), body),
            401,
            "Invalid Claims",
        ),
        (
            "no-exp",
            post("/rot-no-exp", &orchestrator.token(body, &json!({"exp": null})), body),
            401,
            "Invalid Claims",
        ),
        (
            "tampered",
            post("/rot-tampered", &orchestrator.token(body, &json!({})), r#"{"query":"y"}"#),
            401,
            "Body Tampering Detected",
        ),
        ("replayed", post("/rot-replayed", &replayed, body), 429, "Replay Detected"),
    ];
    for (name, request, status, message) in rows {
        let response = site.send(&request);
        assert_eq!(response.status, status, "{name}: {}", response.text());
        assert_eq!(response.json()["error"], message, "{name}");
        assert_eq!(response.detail(), message, "{name}");
        if status == 429 {
            for limit in ["retry-after", "ratelimit", "ratelimit-policy"] {
                assert!(!response.headers.has(limit), "{name} has {limit}");
            }
        } else {
            assert!(response.headers.has("www-authenticate"), "{name}");
        }
        site.nothing_arrived(&format!("/rot-{name}"));
    }
}

#[test]
fn its_client_reads_the_answers_as_it_reads_the_originals() {
    let (site, orchestrator) = alone();
    let send = |url: String, issuer: &str| {
        let asked = json!({
            "op": "send", "url": url, "issuer": issuer, "private": orchestrator.private, "payload": {"a": 1},
        });
        python("orchestrator.py", &asked)
    };
    let url = format!("{}/read-answers", site.gateway.url());
    assert_eq!(send(url.clone(), "somebody_else")["error"], "Auth Failed");
    assert!(send(url, orchestrator.issuer).get("error").is_none());
}

#[test]
fn a_body_that_was_changed_does_not_use_the_token_up() {
    let (site, orchestrator) = alone();
    let body = r#"{"query":"mine"}"#;
    let token = orchestrator.token(body, &json!({}));
    for _ in 0..3 {
        site.send(&post("/not-used-up-bad", &token, r#"{"query":"evil"}"#)).expect(401);
    }
    site.send(&post("/not-used-up-good", &token, body)).expect(200);
    site.send(&post("/not-used-up-again", &token, body)).expect(429);
    site.nothing_arrived("/not-used-up-bad");
}

#[test]
fn a_token_may_not_live_longer_than_five_minutes() {
    let (site, orchestrator) = alone();
    let now = attach_tests::mint::now();
    let token = orchestrator.token("{}", &json!({"iat": now, "exp": now + 3600}));
    site.send(&post("/rot-long-lived", &token, "{}")).expect(401);
    assert!(site.reason("/rot-long-lived").starts_with("lifetime_too_long"));
    site.nothing_arrived("/rot-long-lived");
}

#[test]
fn an_audience_counts_where_there_is_one() {
    let (site, orchestrator) = alone();
    let other = orchestrator.token("{}", &json!({"aud": "https://other.example"}));
    site.send(&post("/rot-other-audience", &other, "{}")).expect(401);
    site.nothing_arrived("/rot-other-audience");
}

#[test]
fn beside_other_methods_a_missing_header_gets_the_gateways_own_answer() {
    let orchestrator = Orchestrator::new("beside");
    let site = Site::start("rotagent-beside", &[("beside.pub", &orchestrator.public)], |builder| {
        builder.set("AUTHORIZED_KEYS_DIR", KEYS)
    });
    assert_eq!(site.send(&Request::get("/beside-missing")).expect(401).detail(), "Missing Bearer token");
    // Each of the methods still finds its own.
    site.send(&Request::get("/beside-oidc").bearer(&site.mint.token("alice"))).expect(200);
    site.send(&post("/beside-key", &orchestrator.token("{}", &json!({})), "{}")).expect(200);
    assert_eq!(site.user("/beside-oidc").as_deref(), Some("alice"));
    assert_eq!(site.user("/beside-key").as_deref(), Some("key:beside"));
}

#[test]
fn development_relaxes_body_replay_and_lifetime_and_says_so() {
    let orchestrator = Orchestrator::new("relaxed");
    let keys = [("relaxed.pem", &*orchestrator.public)];
    let site = Site::start_without_issuer("rotagent-development", &keys, |builder| {
        builder.set("AUTH_METHODS", "rotagent").set("AUTHORIZED_KEYS_DIR", KEYS).set("APP_ENV", "development")
    });
    let again = site.gateway.up().expect_success();
    let said = format!("{}{}", again.stdout, again.stderr);
    assert!(said.contains("APP_ENV=development"), "{said}");

    // DevTools' own token, good for six hours, its public key saved by DevTools itself.
    let made = python(
        "orchestrator.py",
        &json!({
            "op": "dev", "folder": site.gateway.folder(), "keys": KEYS, "issuer": "dev_postman", "query": "test",
        }),
    );
    let (token, body) = (text(&made["token"]), text(&made["body"]));
    // On every worker.
    wait::until_within(Duration::from_secs(5), "the new key to act", || {
        (0..8).all(|_| site.send(&post("/dev-first", token, body)).status == 200).then_some(())
    });
    site.send(&post("/dev-again", token, body)).expect(200);
    site.send(&post("/dev-other-body", token, "other")).expect(200);
    assert_eq!(site.user("/dev-again").as_deref(), Some("key:dev_postman"));
    site.send(&post("/dev-no-jti", &orchestrator.token("{}", &json!({"jti": null})), "{}")).expect(200);

    // And nothing else: who signs and until when still count.
    let stranger = Orchestrator { issuer: "relaxed", ..Orchestrator::new("x") };
    site.send(&post("/dev-forged", &stranger.token("{}", &json!({})), "{}")).expect(401);
    let expired = orchestrator.token("{}", &json!({"iat": 1_700_000_000, "exp": 1_700_000_060}));
    assert_eq!(site.send(&post("/dev-expired", &expired, "{}")).expect(401).detail(), "Token Expired");
    let now = attach_tests::mint::now();
    let week = orchestrator.token("{}", &json!({"iat": now, "exp": now + 7 * 86_400}));
    site.send(&post("/dev-week", &week, "{}")).expect(401);
}
