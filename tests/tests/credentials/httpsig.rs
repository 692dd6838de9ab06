//! Requests signed by npm's `web-bot-auth` and by PyPI's `http-message-signatures`.

use std::sync::OnceLock;

use attach_tests::mint::Mint;
use attach_tests::peers::{node, python};
use attach_tests::request::Request;
use attach_tests::upstream::Upstream;
use serde_json::{Value, json};

use crate::BILLING_SECRET;
use crate::site::{Site, all_at_once, text, with_headers};

const DIRECTORY: &str = "/.well-known/http-message-signatures-directory";
const BODY: &str = r#"{"messages":[{"role":"user","content":"hello"}]}"#;
/// What a signature must cover here where a body is.
const COVERED: [&str; 4] = ["@method", "@authority", "@path", "content-digest"];
/// And where a query is.
const WITH_QUERY: [&str; 5] = ["@method", "@authority", "@path", "@query", "content-digest"];

struct Fixture {
    site: Site,
    /// Where the bot's directory is.
    agent: String,
    /// The bot's private key.
    bot: Value,
    /// Python's keys, by algorithm.
    keys: Value,
}

/// A gateway that knows a bot by its directory, a crawler by its set of keys, and a service by its secret.
fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let bot = node("bot.mjs", &json!({"op": "key"}));
        let asked = json!({
            "op": "keys",
            "algorithms": ["ed25519", "ecdsa-p256-sha256", "rsa-pss-sha512", "rsa-v1_5-sha256"],
        });
        let keys = python("message_signatures.py", &asked);
        let directory = Upstream::start();
        serve(&directory, DIRECTORY, &json!([bot["public"]]));
        let jwks: Vec<&Value> = keys.as_object().expect("keys").values().map(|key| &key["jwk"]).collect();
        serve(&directory, "/jwks/crawler.json", &json!(jwks));
        let url = directory.url();
        let site = Site::start("httpsig", &[], |builder| {
            builder
                .set("HTTPSIG_DIRECTORIES", format!("bot={url},crawler={url}/jwks/crawler.json"))
                .set("HMAC_KEYS", format!("billing={BILLING_SECRET}"))
                .set("ENVOY_CONCURRENCY", 4)
                .document(
                    "routes:\n  - path: /bots/**\n    httpsig: {components: [\"@authority\", signature-agent]}\n",
                )
        });
        Fixture { site, agent: url, bot: bot["private"].clone(), keys }
    })
}

fn serve(server: &Upstream, path: &str, keys: &Value) {
    let body = json!({ "keys": keys }).to_string();
    server.on(path, move |exchange| {
        let kind = [("content-type", "application/http-message-signatures-directory+json")];
        exchange.reply("200 OK", &kind, body.as_bytes())
    });
}

impl Fixture {
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.site.gateway.url())
    }

    /// The headers of one request of the bot's.
    fn bot(&self, request: &Value) -> Value {
        let mut request = request.clone();
        if request.get("agent").is_none() {
            request["agent"] = json!(self.agent);
        }
        node("bot.mjs", &json!({"op": "sign", "key": self.bot, "requests": [request]}))[0].take()
    }

    /// The headers of a `POST` by Python's library.
    fn crawler(&self, algorithm: &str, path: &str, over: &Value) -> Value {
        let key = if algorithm == "hmac-sha256" {
            json!(BILLING_SECRET)
        } else {
            self.keys[algorithm]["private"].clone()
        };
        let keyid = if algorithm == "hmac-sha256" { "billing" } else { algorithm };
        let usual = json!({
            "algorithm": algorithm, "key": key, "keyid": keyid, "method": "POST", "url": self.url(path),
            "headers": {"Content-Type": "application/json"}, "components": COVERED, "body": BODY,
        });
        let request = attach_tests::mint::merged(&usual, over);
        python("message_signatures.py", &json!({"op": "sign", "requests": [request]}))[0].take()
    }

    fn post(&self, path: &str, headers: &Value) -> u16 {
        self.site.send(&with_headers(Request::post(path, BODY), headers)).status
    }

    fn refused(&self, mark: &str, reason: &str) {
        assert!(self.site.reason(mark).starts_with(reason), "{mark}: {}", self.site.reason(mark));
        self.site.nothing_arrived(mark);
    }
}

#[test]
fn a_web_bot_gets_in_by_the_key_of_its_directory() {
    let fixture = fixture();
    let headers = fixture.bot(&json!({"method": "GET", "url": fixture.url("/bots/page")}));
    fixture.site.send(&with_headers(Request::get("/bots/page"), &headers)).expect(200);
    let seen = fixture.site.upstream.only("/bots/page");
    assert_eq!(seen.headers.one("x-attach-user"), Some("sig:bot"));
    assert!(!seen.headers.has("x-attach-agent"));
}

#[test]
fn what_a_signature_must_cover_is_each_routes_own() {
    let fixture = fixture();
    // Web Bot Auth's own choice is enough where the operator says so, and there alone.
    let headers = fixture.bot(&json!({"method": "GET", "url": fixture.url("/covers-little")}));
    fixture.site.send(&with_headers(Request::get("/covers-little"), &headers)).expect(401);
    fixture.refused("/covers-little", "signature_coverage");
    let components = ["@method", "@authority", "@path", "signature-agent"];
    let more = json!({"method": "GET", "url": fixture.url("/covers-enough"), "components": components});
    fixture.site.send(&with_headers(Request::get("/covers-enough"), &fixture.bot(&more))).expect(200);
    // With a body, its digest must be covered as well.
    let post = json!({"method": "POST", "url": fixture.url("/covers-no-body"), "components": components});
    assert_eq!(fixture.post("/covers-no-body", &fixture.bot(&post)), 401);
    fixture.refused("/covers-no-body", "signature_coverage");
}

#[test]
fn every_algorithm_of_another_library_gets_in() {
    let fixture = fixture();
    for (algorithm, user) in [
        ("ed25519", "sig:crawler"),
        ("ecdsa-p256-sha256", "sig:crawler"),
        ("rsa-pss-sha512", "sig:crawler"),
        ("rsa-v1_5-sha256", "sig:crawler"),
        ("hmac-sha256", "hmac:billing"),
    ] {
        for (name, over) in [
            ("alg", json!({"components": WITH_QUERY})),
            ("no-alg", json!({"components": WITH_QUERY, "include_alg": false})),
            (
                "all",
                json!({
                    "components": ["@method", "@authority", "@path", "@query", "@target-uri", "@request-target",
                        "@scheme", "content-type", "content-digest"],
                    "nonce": "n-1", "tag": "test", "lifetime": 60,
                }),
            ),
        ] {
            let path = format!("/signed/{algorithm}/{name}?a=1&b=%20x");
            let headers = fixture.crawler(algorithm, &path, &over);
            let response = fixture.site.send(&with_headers(Request::post(&path, BODY), &headers));
            assert_eq!(response.status, 200, "{algorithm} {name}: {}", response.text());
            let seen = fixture.site.upstream.only(&path);
            assert_eq!(seen.headers.one("x-attach-user"), Some(user), "{algorithm} {name}");
            assert_eq!(seen.body, BODY.as_bytes(), "{algorithm} {name}");
        }
    }
}

#[test]
fn a_query_is_signed_or_there_is_none() {
    let fixture = fixture();
    let signed = |path: &str, components: &[&str]| {
        fixture.crawler("ed25519", path, &json!({ "components": components }))
    };
    assert_eq!(fixture.post("/query-put-on?admin=1", &signed("/query-put-on", &COVERED)), 401);
    fixture.refused("/query-put-on", "signature_coverage");
    assert_eq!(fixture.post("/query-changed?a=2", &signed("/query-changed?a=1", &WITH_QUERY)), 401);
    fixture.refused("/query-changed", "signature_wrong");
    assert_eq!(fixture.post("/query-taken-off", &signed("/query-taken-off?a=1", &WITH_QUERY)), 401);
    fixture.refused("/query-taken-off", "signature_wrong");
}

#[test]
fn a_body_that_is_not_the_signed_one_never_reaches_the_engine() {
    let fixture = fixture();
    for algorithm in ["ed25519", "hmac-sha256"] {
        let path = format!("/tampered-{algorithm}");
        let headers = fixture.crawler(algorithm, &path, &json!({}));
        let evil = BODY.replace("hello", "evil!");
        fixture.site.send(&with_headers(Request::post(&path, &evil), &headers)).expect(401);
        fixture.refused(&path, "digest_wrong");
    }
    // Nor does it use the signature up.
    let headers = fixture.crawler("ed25519", "/tampered-then-good", &json!({}));
    fixture.site.send(&with_headers(Request::post("/tampered-then-good", "evil"), &headers)).expect(401);
    assert_eq!(fixture.post("/tampered-then-good", &headers), 200);
    // A body in pieces is judged as a whole.
    let headers = fixture.crawler("ecdsa-p256-sha256", "/tampered-chunked", &json!({}));
    let mut chunked =
        with_headers(Request::post_chunked("/tampered-chunked"), &headers).open(fixture.site.gateway.address);
    let (half, rest) = BODY.as_bytes().split_at(10);
    chunked.send(half);
    chunked.send(rest);
    chunked.send(b" and more");
    chunked.end(&[]);
    assert_eq!(chunked.head().0, 401);
    fixture.refused("/tampered-chunked", "digest_wrong");
}

#[test]
fn a_signature_serves_once_on_whatever_worker() {
    let fixture = fixture();
    for (number, (algorithm, over)) in
        [("ed25519", json!({"nonce": "once-only"})), ("ed25519", json!({})), ("hmac-sha256", json!({}))]
            .into_iter()
            .enumerate()
    {
        let path = format!("/once-{number}-");
        let headers = fixture.crawler(algorithm, &path, &over);
        let statuses = all_at_once(24, |_| fixture.post(&path, &headers));
        let good = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!((good, statuses[23]), (1, 401), "{algorithm} {over}: {statuses:?}");
        assert_eq!(fixture.site.upstream.seen(&path).len(), 1);
    }
}

#[test]
fn a_signature_for_another_site_is_none_for_this_one() {
    let fixture = fixture();
    let signed_for = |url: &str| fixture.crawler("ed25519", "/", &json!({"url": url}));
    assert_eq!(fixture.post("/other-site", &signed_for("http://other.example/other-site")), 401);
    assert!(fixture.site.reason("/other-site").starts_with("signature_"));
    // Not even if the request says that it is for the other site.
    let mut headers = signed_for("http://other.example/other-host");
    headers["Host"] = json!("other.example");
    assert_eq!(fixture.post("/other-host", &headers), 401);
    fixture.refused("/other-host", "signature_authority");
    let bot = fixture.bot(&json!({"method": "GET", "url": "http://other.example/bots/other"}));
    fixture
        .site
        .send(&with_headers(Request::get("/bots/other").header("host", "other.example"), &bot))
        .expect(401);
    fixture.refused("/bots/other", "signature_authority");
}

#[test]
fn a_signature_counts_for_its_own_request_alone() {
    let fixture = fixture();
    let rows: [(&str, Value, &str); 6] = [
        ("/own-path", json!({"url": fixture.url("/own-other-path")}), "signature_wrong"),
        ("/own-method", json!({"method": "PUT"}), "signature_wrong"),
        (
            "/own-key",
            json!({"key": self::fixture().keys["rsa-v1_5-sha256"]["private"], "algorithm": "rsa-v1_5-sha256",
            "keyid": "rsa-pss-sha512", "include_alg": false}),
            "signature_wrong",
        ),
        ("/own-unknown", json!({"keyid": "nobodys-key"}), "signature_key_unknown"),
        ("/own-old", json!({"age": 3600}), "signature_expired"),
        ("/own-future", json!({"age": -3600}), "signature_created"),
    ];
    for (path, over, reason) in rows {
        let headers = fixture.crawler("ed25519", path, &over);
        assert_eq!(fixture.post(path, &headers), 401, "{path}");
        fixture.refused(path, reason);
    }
}

#[test]
fn a_target_that_the_listener_has_changed_is_a_bad_signature_and_the_log_shows_what_it_became() {
    let fixture = fixture();
    let headers = fixture.crawler("ed25519", "/normal//changed-target", &json!({}));
    assert_eq!(fixture.post("/normal//changed-target", &headers), 401);
    let line = &fixture.site.gateway.access_log("changed-target", 1)[0];
    assert_eq!(line["path"], "/normal/changed-target", "{line}");
    assert!(line["reason"].as_str().is_some_and(|reason| reason.starts_with("signature_wrong")), "{line}");
}

#[test]
fn only_the_directories_that_are_listed_count() {
    let fixture = fixture();
    let stranger = Upstream::start();
    let sign = |agent: &str, path: &str| {
        fixture.bot(&json!({"method": "GET", "url": fixture.url(path), "agent": agent}))
    };
    let headers = sign(&stranger.url(), "/bots/stranger");
    fixture.site.send(&with_headers(Request::get("/bots/stranger"), &headers)).expect(401);
    fixture.refused("/bots/stranger", "signature_agent");
    assert!(stranger.seen("/").is_empty(), "nobody's address is fetched because a request names it");
    // A directory that was put on afterwards is not covered by the signature.
    let mut headers = fixture.crawler("ed25519", "/agent-put-on", &json!({}));
    headers["Signature-Agent"] = json!(format!("\"{}\"", fixture.agent));
    assert_eq!(fixture.post("/agent-put-on", &headers), 401);
    fixture.refused("/agent-put-on", "signature_agent_unsigned");
}

#[test]
fn a_bearer_names_the_user_and_the_signature_beside_it_the_agent() {
    let fixture = fixture();
    let signed =
        |path: &str| with_headers(Request::post(path, BODY), &fixture.crawler("ed25519", path, &json!({})));
    fixture.site.send(&signed("/both-good").bearer(&fixture.site.mint.token("alice"))).expect(200);
    let seen = fixture.site.upstream.only("/both-good");
    assert_eq!(seen.headers.one("x-attach-user"), Some("alice"));
    assert_eq!(seen.headers.one("x-attach-agent"), Some("sig:crawler"));
    assert!(!seen.headers.has("authorization"));

    // All that is there must verify.
    let evil = Mint::new(&fixture.site.mint.issuer, "other");
    for (path, token) in
        [("/both-bad-bearer", evil.token("alice")), ("/both-no-bearer", "garbage".to_owned())]
    {
        fixture.site.send(&signed(path).bearer(&token)).expect(401);
        fixture.site.nothing_arrived(path);
    }
    let mut headers = fixture.crawler("ed25519", "/both-bad-signature", &json!({}));
    headers["Signature"] = json!(text(&headers["Signature"]).replacen(":", ":AAAA", 1));
    let request = with_headers(Request::post("/both-bad-signature", BODY), &headers);
    fixture.site.send(&request.bearer(&fixture.site.mint.token("alice"))).expect(401);
    fixture.site.nothing_arrived("/both-bad-signature");
    let half = Request::post("/both-half", BODY).bearer(&fixture.site.mint.token("alice"));
    fixture.site.send(&half.header("signature", "sig=:AAAA:")).expect(401);
    fixture.site.nothing_arrived("/both-half");
}

#[test]
fn a_key_that_leaves_its_directory_verifies_nothing_any_more() {
    // Its own server and gateway: the others' keys must stay.
    let bot = node("bot.mjs", &json!({"op": "key"}));
    let directory = Upstream::start();
    serve(&directory, DIRECTORY, &json!([bot["public"]]));
    let next = node("bot.mjs", &json!({"op": "key"}));
    let site = Site::start("httpsig-rotation", &[], |builder| {
        builder
            .set("HTTPSIG_DIRECTORIES", format!("bot={}", directory.url()))
            .document("jwks: {refresh_seconds: 10}\n")
    });
    let send = |key: &Value, path: &str| {
        let components = ["@method", "@authority", "@path", "signature-agent"];
        let url = format!("{}{path}", site.gateway.url());
        let request =
            json!({"method": "GET", "url": url, "agent": directory.url(), "components": components});
        let headers = node("bot.mjs", &json!({"op": "sign", "key": key["private"], "requests": [request]}));
        site.send(&with_headers(Request::get(path), &headers[0])).status
    };
    assert_eq!(send(&bot, "/rotation-old"), 200);
    assert_eq!(send(&next, "/rotation-early"), 401);
    serve(&directory, DIRECTORY, &json!([next["public"]]));
    let limit = std::time::Duration::from_secs(40);
    attach_tests::wait::until_within(limit, "the next key to count", || {
        (send(&next, "/rotation-new") == 200).then_some(())
    });
    attach_tests::wait::until_within(limit, "the old key to count no more", || {
        (send(&bot, "/rotation-gone") == 401).then_some(())
    });
}
