//! Issuers' keys: how they come, change, stay away, and how often they are asked for.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use attach_tests::fixture::Fixture;
use attach_tests::gateway::Builder;
use attach_tests::issuer::{Answer, Issuer};
use attach_tests::mint::{Key, Mint};
use attach_tests::request::Request;
use attach_tests::tls::Authority;
use attach_tests::upstream::Upstream;
use attach_tests::wait;
use serde_json::json;

/// The least time between two fetches that unknown keys cause.
const INTERVAL: Duration = Duration::from_secs(10);
/// Some of these waits hold one such interval.
const PATIENCE: Duration = Duration::from_secs(40);

/// A token of the fixture's first issuer, signed by a key of a test's own.
fn token_by(fixture: &Fixture, key: &Key) -> String {
    key.token(&fixture.world.first.claims(&json!({})))
}

fn get(token: &str) -> Request {
    Request::get("/with-key").bearer(token)
}

/// The status of a request on each of many connections, which Envoy spreads over its workers.
fn statuses(fixture: &Fixture, token: &str) -> HashSet<u16> {
    (0..24).map(|_| fixture.gateway.send(&get(token)).status).collect()
}

#[test]
fn keys_are_fetched_once_however_many_workers_there_are() {
    let fixture = Fixture::start("one-fetch", |builder| builder.set("ENVOY_CONCURRENCY", 4));
    let by_envoy = || {
        let seen = fixture.first.keys_seen();
        seen.iter().filter(|seen| seen.headers.has("x-envoy-expected-rq-timeout-ms")).count()
    };
    assert_eq!(statuses(&fixture, &fixture.alice()), HashSet::from([200]));
    assert_eq!(by_envoy(), 1, "{:#?}", fixture.first.keys_seen());
}

#[test]
fn an_unknown_key_is_looked_for_at_most_once_in_ten_seconds() {
    let fixture = Fixture::start("unknown-kid", |builder| builder.set("ENVOY_CONCURRENCY", 4));
    let stranger = Key::new("ES256", "unknown");
    let before = fixture.first.fetches();
    let start = Instant::now();
    // Until one of them has caused a fetch, and then many more on all workers.
    wait::until_within(PATIENCE, "a fetch for an unknown key", || {
        fixture.gateway.send(&get(&token_by(&fixture, &stranger))).expect(401);
        (fixture.first.fetches() > before).then_some(())
    });
    let found = Instant::now();
    for number in 0.. {
        let key = Key::new("ES256", &format!("unknown-{number}"));
        fixture.gateway.send(&get(&token_by(&fixture, &key))).expect(401);
        if number > 40 && found.elapsed() > INTERVAL / 2 {
            break;
        }
    }
    let fetches = fixture.first.fetches() - before;
    let allowed = 1 + start.elapsed().as_secs() / INTERVAL.as_secs();
    assert!(fetches as u64 <= allowed, "{fetches} fetches within {:?}", start.elapsed());
    assert_eq!(fixture.gateway.send(&get(&fixture.alice())).status, 200);
}

#[test]
fn a_rotated_key_is_found_and_the_old_ones_tokens_die_with_it() {
    let fixture = Fixture::start("rotation", |builder| builder);
    let old = fixture.alice();
    assert_eq!(statuses(&fixture, &old), HashSet::from([200]));
    let new = Key::new("ES256", "new");
    fixture.first.answer(Answer::Keys(vec![new.jwk()]));
    wait::until_within(PATIENCE, "the new key to be accepted", || {
        (fixture.gateway.send(&get(&token_by(&fixture, &new))).status == 200).then_some(())
    });
    // Its tokens were verified before and may be remembered; no worker may go on doing so.
    wait::until("the old key's tokens to be refused", || {
        (statuses(&fixture, &old) == HashSet::from([401])).then_some(())
    });
    assert_eq!(statuses(&fixture, &token_by(&fixture, &new)), HashSet::from([200]));
}

#[test]
fn keys_that_move_within_their_host_are_followed() {
    let fixture = Fixture::start("moved", |builder| builder);
    let new = Key::new("ES256", "moved");
    fixture.first.move_keys("/elsewhere/keys");
    fixture.first.answer(Answer::Keys(vec![new.jwk()]));
    wait::until_within(PATIENCE, "the moved key to be accepted", || {
        (fixture.gateway.send(&get(&token_by(&fixture, &new))).status == 200).then_some(())
    });
}

#[test]
fn keys_that_move_to_another_host_are_not_followed() {
    let fixture = Fixture::start("moved-away", |builder| builder);
    let stranger = Key::new("ES256", "moved-away");
    let elsewhere = Issuer::start(vec![stranger.jwk()]);
    fixture.first.move_keys(&elsewhere.keys_url());
    wait::until_within(PATIENCE, "a line in the log", || {
        let refused = fixture.gateway.send(&get(&token_by(&fixture, &stranger)));
        assert_eq!(refused.status, 401, "{}", refused.text());
        fixture.gateway.log("envoy").contains("moved to a host that was not rendered").then_some(())
    });
    assert_eq!(elsewhere.fetches(), 0);
    assert_eq!(fixture.gateway.send(&get(&fixture.alice())).status, 200);
}

#[test]
fn an_https_issuer_is_verified_by_the_command_and_by_the_filter() {
    let authority = Authority::new();
    let upstream = Upstream::start();
    let builder = |name: &str, issuer: &Upstream| {
        Builder::new(name)
            .set("OIDC_ISSUER", format!("https://localhost:{}", issuer.address().port()))
            .set("OIDC_AUD", "attach-test")
            .set("ENGINE_URL", upstream.url())
            .set("SSL_CERT_FILE", "authority.pem")
            .file("authority.pem", &authority.pem())
    };
    let serve = |issuer: &Upstream| {
        let url = format!("https://localhost:{}", issuer.address().port());
        let mint = Mint::new(&url, "attach-test");
        let discovery = json!({"issuer": url, "jwks_uri": format!("{url}/keys")}).to_string();
        let keys = json!({"keys": mint.jwks()}).to_string();
        issuer.on("/", |exchange| exchange.reply("404 Not Found", &[], b""));
        issuer.on("/.well-known/openid-configuration", move |exchange| {
            exchange.reply("200 OK", &[], discovery.as_bytes())
        });
        issuer.on("/keys", move |exchange| exchange.reply("200 OK", &[], keys.as_bytes()));
        mint
    };
    let trusted = Upstream::start_tls(authority.server("localhost"));
    let mint = serve(&trusted);
    let gateway = builder("https-issuer", &trusted).start();
    assert_eq!(gateway.send(&get(&mint.token("alice"))).status, 200);

    for (name, server) in [
        ("https-issuer-name", authority.server("other.example")),
        ("https-issuer-unknown", Authority::new().server("localhost")),
    ] {
        let issuer = Upstream::start_tls(server);
        serve(&issuer);
        let gateway = builder(name, &issuer).prepare();
        let ended = gateway.up().expect_failure();
        assert!(ended.stderr.contains("OIDC_ISSUER"), "{}", ended.stderr);
        assert_eq!(gateway.pids(), Vec::new());
        assert!(issuer.seen("/").is_empty(), "{name}: something was asked all the same");
    }
}

/// What an issuer may answer that is no key set.
fn faults() -> Vec<(&'static str, Answer)> {
    let many: Vec<_> = (0..10_000).map(|number| json!({"kty": "oct", "kid": number.to_string()})).collect();
    let good = Key::new("ES256", "good").jwk();
    let mut crowd = vec![good.clone(); 1];
    crowd.extend((0..200).map(|number| {
        let mut key = good.clone();
        key["kid"] = json!(format!("good-{number}"));
        key
    }));
    let padded = json!({"keys": [good], "padding": "x".repeat(5 << 20)});
    vec![
        ("ten thousand keys", Answer::Keys(many)),
        ("two hundred good keys", Answer::Keys(crowd)),
        ("five megabytes", Answer::Text(padded.to_string())),
        ("a page of HTML", Answer::Html),
        ("nothing", Answer::Text(String::new())),
        ("no keys", Answer::Keys(Vec::new())),
        ("keys that are none", Answer::Text(r#"{"keys":{"kty":"RSA"}}"#.to_owned())),
        ("an error", Answer::Error),
    ]
}

#[test]
fn a_bad_key_set_is_kept_out_and_the_last_good_one_stays() {
    // One issuer for each fault, so that all of them are waited for at once.
    let first = Issuer::start(Vec::new());
    let main = Mint::new(&first.url(), "attach-test");
    first.answer(Answer::Keys(main.jwks()));
    let upstream = Upstream::start();
    let mut document = String::from("jwks:\n  refresh_seconds: 10\nissuers:\n");
    let mut issuers = Vec::new();
    for (at, (name, fault)) in faults().into_iter().enumerate() {
        let key = Key::new("ES256", &format!("fault-{at}"));
        let issuer = Issuer::start(vec![key.jwk()]);
        document += &format!(
            "  - issuer: {}\n    audiences: [attach-test]\n    user_prefix: \"fault{at}|\"\n",
            issuer.url()
        );
        issuers.push((name, fault, key, issuer));
    }
    let gateway = Builder::new("bad-keys")
        .set("OIDC_ISSUER", first.url())
        .set("OIDC_AUD", "attach-test")
        .set("ENGINE_URL", upstream.url())
        .document(&document)
        .start();
    let token = |key: &Key, issuer: &Issuer, kid: &str| {
        let mint = Mint { issuer: issuer.url(), audience: "attach-test".to_owned(), keys: Vec::new() };
        key.token_with(&json!({ "kid": kid }), &mint.claims(&json!({})))
    };
    for (name, fault, key, issuer) in &issuers {
        wait::until(name, || (gateway.send(&get(&token(key, issuer, &key.id))).status == 200).then_some(()));
        issuer.answer(fault.clone());
    }
    let before: Vec<usize> = issuers.iter().map(|(.., issuer)| issuer.fetches()).collect();
    wait::until_within(PATIENCE, "every bad set to be fetched", || {
        issuers.iter().zip(&before).all(|((.., issuer), before)| issuer.fetches() > *before).then_some(())
    });
    wait::until_within(PATIENCE, "a line in the log about each", || {
        let log = gateway.log("envoy");
        let said = |issuer: &Issuer| {
            log.lines().any(|line| line.contains(&issuer.url()) && line.contains("last good set stays"))
        };
        issuers.iter().all(|(.., issuer)| said(issuer)).then_some(())
    });
    for (name, _, key, issuer) in &issuers {
        let good = gateway.send(&get(&token(key, issuer, &key.id)));
        assert_eq!(good.status, 200, "after {name}: {}", good.text());
        let good = gateway.send(&get(&token(key, issuer, "good")));
        assert_eq!(good.status, 401, "a key out of {name} was taken");
    }
    assert_eq!(gateway.send(&get(&main.token("alice"))).status, 200);
    assert_eq!(gateway.send(&Request::get("/healthz")).status, 200);
}

#[test]
fn the_last_good_set_serves_for_a_bounded_time() {
    let first = Issuer::start(Vec::new());
    let main = Mint::new(&first.url(), "attach-test");
    first.answer(Answer::Keys(main.jwks()));
    let upstream = Upstream::start();
    let gateway = Builder::new("stale")
        .set("OIDC_ISSUER", first.url())
        .set("OIDC_AUD", "attach-test")
        .set("ENGINE_URL", upstream.url())
        .document("jwks:\n  refresh_seconds: 10\n  max_stale_seconds: 60\n")
        .start();
    let token = main.token("alice");
    assert_eq!(gateway.send(&get(&token)).status, 200);
    first.answer(Answer::Error);
    let refused = wait::until_within(2 * PATIENCE, "the stale keys to be given up", || {
        let response = gateway.send(&get(&token));
        (response.status != 200).then_some(response)
    });
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(
        refused.headers.one("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok_and(|s| s > 0))
    );
    assert_eq!(gateway.send(&Request::get("/healthz")).status, 503);
    first.answer(Answer::Keys(main.jwks()));
    wait::until_within(PATIENCE, "the keys to be back", || {
        (gateway.send(&get(&token)).status == 200).then_some(())
    });
}

#[test]
fn a_cold_start_without_keys_is_a_503_until_there_are_some() {
    let fixture = Fixture::start("cold", |builder| builder);
    fixture.first.answer(Answer::Silence);
    fixture.second.answer(Answer::Error);
    let _envoy = fixture.gateway.restart_envoy();
    let start = Instant::now();
    let response = fixture.gateway.send(&get(&fixture.alice()));
    // Two seconds of waiting, and generously more for a busy machine.
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert_eq!(response.status, 503, "{}", response.text());
    assert!(!response.detail().is_empty());
    assert!(
        response
            .headers
            .one("retry-after")
            .is_some_and(|seconds| seconds.parse::<u64>().is_ok_and(|s| s > 0))
    );
    assert_eq!(fixture.gateway.send(&Request::get("/healthz")).status, 503);
    assert_eq!(fixture.gateway.send(&Request::get("/with-key")).status, 401);
    let known = fixture.upstream.seen("/with-key").len();
    assert_eq!(known, 0, "something reached the engine");

    fixture.first.answer(Answer::Keys(fixture.world.first_keys()));
    wait::until_within(PATIENCE, "the first issuer's users to get in", || {
        (fixture.gateway.send(&get(&fixture.alice())).status == 200).then_some(())
    });
    assert_eq!(fixture.gateway.send(&Request::get("/healthz")).status, 200);
    // The other one still has no keys, which is its own users' trouble alone.
    let second = &fixture.world.second;
    let token = second.key("ES256").token(&second.claims(&json!({})));
    assert_eq!(fixture.gateway.send(&get(&token)).status, 503);
    assert_eq!(statuses(&fixture, &fixture.alice()), HashSet::from([200]));
}

#[test]
fn a_request_that_waits_for_the_keys_goes_on_when_they_come() {
    let fixture = Fixture::start("waits", |builder| builder.set("ENVOY_CONCURRENCY", 4));
    fixture.first.answer(Answer::Silence);
    let before = fixture.first.fetches();
    let _envoy = fixture.gateway.restart_envoy();
    wait::until("the fetch to begin", || (fixture.first.fetches() > before).then_some(()));
    // On all workers, of which one alone has asked.
    let mut waiting: Vec<_> = (0..8).map(|_| get(&fixture.alice()).open(fixture.gateway.address)).collect();
    fixture.first.answer(Answer::Keys(fixture.world.first_keys()));
    for request in &mut waiting {
        assert_eq!(request.head().0, 200);
    }
}

#[test]
fn keys_are_found_where_the_operator_says_and_where_the_original_looked() {
    let upstream = Upstream::start();
    for (name, path, by_setting) in
        [("jwks-url", "/some/where/keys", true), ("auth0-form", "/.well-known/jwks.json", false)]
    {
        // An issuer without discovery.
        let server = Upstream::start();
        let mint = Mint::new(&server.url(), "attach-test");
        let set = json!({"keys": mint.jwks()}).to_string();
        server.on("/", |exchange| exchange.reply("404 Not Found", &[], b""));
        server.on(path, move |exchange| exchange.reply("200 OK", &[], set.as_bytes()));
        let mut builder = Builder::new(name)
            .set("OIDC_ISSUER", format!("{}/", server.url()))
            .set("OIDC_AUD", "attach-test")
            .set("ENGINE_URL", upstream.url());
        if by_setting {
            builder = builder.set("OIDC_JWKS_URL", format!("{}{path}", server.url()));
        }
        let gateway = builder.start();
        assert_eq!(gateway.send(&get(&mint.token("alice"))).status, 200, "{name}");
    }
}
