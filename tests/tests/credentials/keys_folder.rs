//! The folder of authorised keys: what is put into it counts, what is taken out does not, and no restart.

use std::fs;
use std::time::{Duration, Instant};

use attach_tests::gateway::Builder;
use attach_tests::mint::Mint;
use attach_tests::request::Request;
use attach_tests::wait;
use serde_json::json;

use crate::AUDIENCE;
use crate::rotagent::Orchestrator;
use crate::site::{KEYS, Site};

/// How soon a change acts.
const SOON: Duration = Duration::from_secs(5);
const BODY: &str = "{}";

fn site(name: &str, keys: &[(&str, &str)]) -> Site {
    Site::start(name, keys, |builder| builder.set("AUTHORIZED_KEYS_DIR", KEYS).set("ENVOY_CONCURRENCY", 2))
}

/// Waits until requests of an orchestrator all get that status, on connections enough for every worker.
fn until_all(site: &Site, orchestrator: &Orchestrator, path: &str, status: u16) {
    // Each is good for one request.
    let mut tokens = orchestrator.tokens(BODY, &json!({}), 400).into_iter();
    let start = Instant::now();
    wait::until_within(SOON, &format!("{path} to be {status}"), || {
        // The first that is told otherwise ends the look.
        let all = (0..8).all(|_| {
            let token = tokens.next().expect("enough tokens for five seconds");
            site.send(&Request::post(path, BODY).bearer(&token)).status == status
        });
        all.then_some(())
    });
    println!("{path} was {status} after {:?}", start.elapsed());
}

#[test]
fn a_key_acts_within_five_seconds_of_its_coming_and_going_without_a_restart() {
    let first = Orchestrator::new("first");
    let site = site("keys-come", &[("first.pem", &first.public)]);
    let before = site.gateway.pids();
    let late = Orchestrator::new("late");
    let refused = site.send(&Request::post("/late-before", BODY).bearer(&late.token(BODY, &json!({}))));
    assert_eq!(refused.expect(401).json()["error"], "Unknown Issuer: late");

    site.put_key("late.key", &late.public);
    until_all(&site, &late, "/late-came", 200);
    // The name stays, the key is another: the old one's days are over.
    let other = Orchestrator { issuer: "late", ..Orchestrator::new("x") };
    site.put_key("late.key", &other.public);
    until_all(&site, &other, "/late-changed", 200);
    until_all(&site, &late, "/late-old-key", 401);

    site.remove_key("late.key");
    until_all(&site, &other, "/late-went", 401);
    site.send(&Request::post("/first-stays", BODY).bearer(&first.token(BODY, &json!({})))).expect(200);
    assert_eq!(site.gateway.pids(), before, "nothing was restarted");
}

#[test]
fn a_private_key_in_the_folder_is_refused_and_shown_nowhere() {
    let leaky = Orchestrator::new("leaky");
    let good = Orchestrator::new("good");
    let both = Orchestrator::new("both");
    let together = format!("{}{}", both.private, both.public);
    let site = site(
        "keys-private",
        &[("leaky.pem", &leaky.private), ("good.pem", &good.public), ("both.pem", &together)],
    );
    site.send(&Request::post("/good-key", BODY).bearer(&good.token(BODY, &json!({})))).expect(200);
    for (orchestrator, path) in [(&leaky, "/leaky-key"), (&both, "/both-keys")] {
        let token = orchestrator.token(BODY, &json!({}));
        let response = site.send(&Request::post(path, BODY).bearer(&token)).expect(401);
        assert_eq!(response.detail(), format!("Unknown Issuer: {}", orchestrator.issuer));
        site.nothing_arrived(path);
        let log = site.gateway.log("control");
        assert!(log.contains(&format!("{}.pem", orchestrator.issuer)), "the file is not named: {log}");
        let secret = orchestrator.private.lines().nth(2).expect("a line of the key");
        assert!(!site.gateway.logs().contains(secret), "a private key is in a log");
    }
}

#[test]
fn a_gateway_may_start_with_an_empty_folder() {
    let site = site("keys-empty", &[]);
    site.send(&Request::get("/empty-oidc").bearer(&site.mint.token("alice"))).expect(200);
    let late = Orchestrator::new("first_of_all");
    site.put_key("first_of_all.pem", &late.public);
    until_all(&site, &late, "/empty-then-one", 200);
}

#[test]
fn the_folder_may_come_after_the_start() {
    let site = Site::start("keys-later", &[], |builder| builder.set("AUTHORIZED_KEYS_DIR", "later"));
    site.send(&Request::get("/later-oidc").bearer(&site.mint.token("alice"))).expect(200);
    let late = Orchestrator::new("afterwards");
    let folder = site.gateway.folder().join("later");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("afterwards.pem"), &late.public).expect("a key");
    until_all(&site, &late, "/later-then-one", 200);
    // Nor is its going a reason to go on believing what stood in it.
    fs::remove_dir_all(&folder).expect("it was there");
    until_all(&site, &late, "/later-gone", 401);
    site.send(&Request::get("/later-oidc").bearer(&site.mint.token("alice"))).expect(200);
}

#[test]
fn the_default_folder_counts_only_where_rotagent_is_named() {
    let orchestrator = Orchestrator::new("by_default");
    let start = |name: &str, methods: &str| {
        let builder = Builder::new(name).set("AUTH_METHODS", methods);
        let site =
            Site::prepare_with(builder, Mint::new("https://nobody.example", AUDIENCE), |builder| builder);
        let folder = site.gateway.folder().join("authorized_keys");
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("by_default.pem"), &orchestrator.public).expect("a key");
        site.gateway.up().expect_success();
        site
    };
    let named = start("keys-default", "oidc,rotagent");
    let token = orchestrator.token(BODY, &json!({}));
    named.send(&Request::post("/default-named", BODY).bearer(&token)).expect(200);
    assert_eq!(named.user("/default-named").as_deref(), Some("key:by_default"));
    let unnamed = start("keys-no-default", "oidc");
    let token = orchestrator.token(BODY, &json!({}));
    unnamed.send(&Request::post("/default-unnamed", BODY).bearer(&token)).expect(401);
    unnamed.nothing_arrived("/default-unnamed");
}
