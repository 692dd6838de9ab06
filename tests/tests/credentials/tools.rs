//! `attach keys`, `attach sign` and `attach call`: what rotagent's users do with its library.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use attach_tests::gateway::{Builder, Ended, finish};
use attach_tests::mint::Mint;
use attach_tests::peers::{AgentAuth, python};
use attach_tests::request::Request;
use serde_json::json;

use crate::AUDIENCE;
use crate::site::{KEYS, Site};

const BODY: &str = r#"{"query":"What movies are playing?"}"#;

/// A gateway for rotagent's requests alone, not started yet.
fn site(name: &str) -> Site {
    let builder = Builder::new(name).set("AUTH_METHODS", "rotagent").set("AUTHORIZED_KEYS_DIR", KEYS);
    Site::prepare_with(builder, Mint::new("https://nobody.example", AUDIENCE), |builder| builder)
}

/// Some subcommand in the gateway's folder.
fn attach(site: &Site, arguments: &[&str]) -> Ended {
    finish(&mut site.gateway.command(arguments))
}

fn generate(site: &Site, issuer: &str) -> String {
    let private = format!("{issuer}.private");
    let arguments = ["keys", "generate", "--issuer", issuer, "--dir", KEYS, "--out", &private];
    attach(site, &arguments).expect_success();
    private
}

fn signed(site: &Site, issuer: &str, key: &str, body: &str) -> String {
    let arguments = ["sign", "--issuer", issuer, "--key", key, "--body", body];
    attach(site, &arguments).expect_success().stdout.trim().to_owned()
}

#[test]
fn a_generated_key_serves_both_the_gateways_tools_and_rotagents_client() {
    let site = site("tools");
    let private = generate(&site, "tooled");
    let file = site.gateway.folder().join(&private);
    let mode = fs::metadata(&file).expect("the private key").permissions().mode();
    assert_eq!(mode & 0o077, 0, "only its owner reads it");
    let listed = attach(&site, &["keys", "list", "--dir", KEYS]).expect_success();
    assert!(listed.stdout.contains("tooled"), "{}", listed.stdout);

    site.gateway.up().expect_success();
    let token = signed(&site, "tooled", &private, BODY);
    site.send(&Request::post("/tool-body", "{}").bearer(&token)).expect(401);
    site.send(&Request::post("/tool-good", BODY).bearer(&token)).expect(200);
    assert_eq!(site.user("/tool-good").as_deref(), Some("key:tooled"));

    site.upstream.on("/agent", |exchange| {
        exchange.reply("200 OK", &[("content-type", "application/json")], br#"{"response":"Hello"}"#)
    });
    let called = attach(
        &site,
        &["call", &site.gateway.url(), "--issuer", "tooled", "--key", &private, "--body", BODY],
    );
    assert_eq!(called.clone().expect_success().stdout.trim(), r#"{"response":"Hello"}"#);
    assert_eq!(site.upstream.only("/agent").body, BODY.as_bytes());
    let refused = attach(
        &site,
        &["call", &site.gateway.url(), "--issuer", "somebody", "--key", &private, "--body", BODY],
    );
    assert!(refused.expect_failure().stdout.contains("Unknown Issuer: somebody"));
    let sent = python(
        "orchestrator.py",
        &json!({
            "op": "send", "url": format!("{}/with-generated", site.gateway.url()), "issuer": "tooled",
            "private": fs::read_to_string(file).expect("the private key"), "payload": {"a": 1},
        }),
    );
    assert!(sent.get("error").is_none(), "{sent}");
}

#[test]
fn what_attach_signs_is_good_for_rotagents_own_server() {
    let site = site("tools-server");
    let private = generate(&site, "tooled");
    let server = AgentAuth::start(&site.gateway.folder().join(KEYS));
    let called =
        attach(&site, &["call", &server.url(), "--issuer", "tooled", "--key", &private, "--body", BODY]);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&called.expect_success().stdout).expect("JSON"),
        json!({"response": "What movies are playing?"})
    );
    let token = signed(&site, "tooled", &private, BODY);
    let send = |body: &str, token: &str| {
        let request = Request::post("/agent", body).bearer(token).header("content-type", "application/json");
        request.send(server.address)
    };
    send(BODY, &token).expect(200);
    assert_eq!(send(BODY, &token).expect(429).json()["error"], "Replay Detected");
    let other = signed(&site, "tooled", &private, BODY);
    assert_eq!(send(r#"{"query":"x"}"#, &other).expect(401).json()["error"], "Body Tampering Detected");
}

#[test]
fn the_tools_for_development_make_what_rotagents_make() {
    let site = site("tools-dev");
    site.gateway.set("APP_ENV", "development");
    let made = attach(&site, &["keys", "dev", "--dir", KEYS]).expect_success();
    let line = made.stdout.lines().find_map(|line| line.trim().strip_prefix("DEV_PRIVATE_KEY="));
    let key = line.unwrap_or_else(|| panic!("no DEV_PRIVATE_KEY in: {}", made.stdout));
    site.gateway.set("DEV_PRIVATE_KEY", key);
    let said = site.gateway.run(&["config", "check"]).expect_success();
    assert!(!format!("{}{}", said.stdout, said.stderr).contains(key));

    let env_file = site.gateway.env_file();
    let env_file = env_file.to_str().expect("a path of text");
    let made = attach(&site, &["keys", "dev", "--query", "test", "--env-file", env_file]).expect_success();
    let token =
        made.stdout.split_whitespace().find(|word| word.matches('.').count() == 2 && word.starts_with("eyJ"));
    let token = token.unwrap_or_else(|| panic!("no token in: {}", made.stdout)).to_owned();
    let body =
        made.stdout.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("{}", made.stdout));
    assert_eq!(body, r#"{"query":"test"}"#);
    site.gateway.up().expect_success();
    for _ in 0..4 {
        site.send(&Request::post("/dev-tool", body).bearer(&token)).expect(200);
    }
}
