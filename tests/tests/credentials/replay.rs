//! A request that was signed for one use is used once, whichever worker and whichever gateway it reaches.

use attach_tests::peers::{Redis, python};
use attach_tests::request::Request;
use attach_tests::wait;
use serde_json::json;

use crate::BILLING_SECRET;
use crate::rotagent::Orchestrator;
use crate::site::{KEYS, Site, all_at_once, with_headers};

const BODY: &str = r#"{"query":"once"}"#;
const MANY: usize = 32;

fn post(path: &str, token: &str) -> Request {
    Request::post(path, BODY).bearer(token)
}

/// One got in, and every other one was told that it is a replay.
fn one_of(statuses: &[u16]) {
    let good = statuses.iter().filter(|status| **status == 200).count();
    let replays = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!((good, good + replays), (1, statuses.len()), "{statuses:?}");
}

#[test]
fn of_many_equal_requests_at_once_on_all_workers_one_gets_in() {
    let orchestrator = Orchestrator::new("racer");
    let site = Site::start("replay-workers", &[("racer.pem", &orchestrator.public)], |builder| {
        builder.set("AUTHORIZED_KEYS_DIR", KEYS).set("ENVOY_CONCURRENCY", 4)
    });
    // No worker may still be waiting for the keys when the race begins.
    for token in orchestrator.tokens(BODY, &json!({}), 24) {
        site.send(&post("/warm", &token)).expect(200);
    }
    for (round, token) in orchestrator.tokens(BODY, &json!({}), 8).iter().enumerate() {
        let path = format!("/race-{round}");
        one_of(&all_at_once(MANY, |_| site.send(&post(&path, token)).status));
        assert_eq!(site.upstream.seen(&path).len(), 1);
    }
}

#[test]
fn two_gateways_with_one_redis_share_what_was_used() {
    let orchestrator = Orchestrator::new("fleet");
    let mut redis = Redis::start();
    let start = |name: &str| {
        Site::start(name, &[("fleet.pem", &orchestrator.public)], |builder| {
            builder
                .set("AUTHORIZED_KEYS_DIR", KEYS)
                .set("REDIS_URL", redis.url())
                .set("PUBLIC_URL", "http://gateway.localhost:8080")
        })
    };
    let sites = [start("replay-one"), start("replay-two")];
    let mut tokens = orchestrator.tokens(BODY, &json!({}), 12).into_iter();
    let mut token = || tokens.next().expect("enough");

    let first = token();
    sites[0].send(&post("/fleet-first", &first)).expect(200);
    let refused = sites[1].send(&post("/fleet-first", &first)).expect(429);
    assert_eq!(refused.json()["error"], "Replay Detected");
    for limit in ["retry-after", "ratelimit", "ratelimit-policy"] {
        assert!(!refused.headers.has(limit), "a replay is no matter of limits: {limit}");
    }
    for round in 0..4 {
        let (path, token) = (format!("/fleet-race-{round}"), token());
        one_of(&all_at_once(MANY, |number| sites[number % 2].send(&post(&path, &token)).status));
        assert_eq!(sites.iter().map(|site| site.upstream.seen(&path).len()).sum::<usize>(), 1);
    }

    // Nobody can tell: nobody gets in, and what was not let in is not used up.
    redis.down();
    let waiting = token();
    for site in &sites {
        let refused = site.send(&post("/fleet-down", &waiting)).expect(503);
        assert!(!refused.detail().is_empty());
        // Who needs no such check is not touched by it.
        site.send(&Request::get("/fleet-down-oidc").bearer(&site.mint.token("alice"))).expect(200);
    }
    redis.up();
    wait::until("the store to be found again", || {
        (sites[0].send(&post("/fleet-up", &waiting)).status == 200).then_some(())
    });
    let second = wait::until("the other gateway to find it, too", || {
        let response = sites[1].send(&post("/fleet-up", &waiting));
        (response.status != 503).then_some(response)
    });
    second.expect(429);
    for site in &sites {
        assert!(site.upstream.seen("/fleet-down").iter().all(|seen| seen.target == "/fleet-down-oidc"));
    }
}

#[test]
fn a_signed_message_serves_once_in_a_whole_fleet() {
    let redis = Redis::start();
    // Both are one site to their clients.
    let start = |name: &str| {
        Site::start(name, &[], |builder| {
            builder
                .set("HMAC_KEYS", format!("billing={BILLING_SECRET}"))
                .set("HTTPSIG_DIRECTORIES", "https://bot.invalid")
                .set("REDIS_URL", redis.url())
                .set("PUBLIC_URL", "http://gateway.localhost:8080")
                .set("HTTPSIG_AUTHORITIES", "other.localhost")
        })
    };
    let sites = [start("once-one"), start("once-two")];
    let sign = |authority: &str, path: &str| {
        let request = json!({
            "algorithm": "hmac-sha256", "key": BILLING_SECRET, "keyid": "billing", "method": "GET",
            "url": format!("http://{authority}{path}"), "components": ["@method", "@authority", "@path"],
        });
        let headers = python("message_signatures.py", &json!({"op": "sign", "requests": [request]}));
        with_headers(Request::get(path).header("host", authority), &headers[0])
    };
    for (number, authority) in ["gateway.localhost:8080", "other.localhost"].into_iter().enumerate() {
        let path = format!("/once-in-fleet-{number}");
        let request = sign(authority, &path);
        let statuses = all_at_once(MANY, |number| sites[number % 2].send(&request).status);
        let good = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!((good, statuses[MANY - 1]), (1, 401), "{authority}: {statuses:?}");
    }
    let own = sites[0].gateway.address.to_string();
    sites[0].send(&sign(&own, "/not-its-public-name")).expect(401);
    assert!(sites[0].reason("/not-its-public-name").starts_with("signature_authority"));
}
