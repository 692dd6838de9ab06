//! What it takes to get a gateway, and what one gets.

use std::process::Command;

use attach_tests::gateway::{Builder, finish};
use attach_tests::issuer::Issuer;
use attach_tests::mint::Mint;
use attach_tests::request::Request;
use attach_tests::upstream::Upstream;
use attach_tests::{env, ports};

use crate::{dev, nothing_runs};

#[test]
fn the_printed_curl_answers_with_a_token_and_not_without() {
    let gateway = Builder::new("curl").prepare();
    let ended = gateway.up().expect_success();
    let at = ended.stdout.find("curl ").unwrap_or_else(|| panic!("no curl in:\n{}", ended.stdout));
    let curl = ended.stdout[at..].split("\n\n").next().expect("a command").to_owned();
    for word in [gateway.url().as_str(), "down", "logs"] {
        assert!(ended.stdout.contains(word), "no {word:?} in:\n{}", ended.stdout);
    }
    let run = |command: &str| finish(Command::new("sh").args(["-c", command]).current_dir(gateway.folder()));

    let whole = run(&curl.replacen("curl ", "curl -sS --fail ", 1)).expect_success();
    let answer: serde_json::Value = serde_json::from_str(&whole.stdout).expect("JSON");
    assert!(answer["message"]["content"].as_str().is_some_and(|said| !said.is_empty()), "{answer}");

    let streaming = curl.replacen("\"stream\": false", "\"stream\": true", 1);
    assert_ne!(streaming, curl, "no \"stream\": false in {curl}");
    let streamed = run(&streaming.replacen("curl ", "curl -sS --fail --no-buffer ", 1)).expect_success();
    assert!(streamed.stdout.lines().count() > 1, "{}", streamed.stdout);

    let header = curl.lines().find(|line| line.contains("Authorization")).expect("a token");
    let without = curl.replacen(&format!("{header}\n"), "", 1);
    let refused =
        run(&without.replacen("curl ", "curl -sS -o /dev/null -w '%{http_code}' ", 1)).expect_success();
    assert_eq!(refused.stdout.trim(), "401");
}

#[test]
fn relative_paths_count_from_the_env_file() {
    let (builder, _upstream) = dev("relative");
    let gateway = builder.set("ATTACH_CONFIG", "own/rules.yaml").prepare();
    std::fs::create_dir(gateway.folder().join("own")).expect("a folder");
    std::fs::write(
        gateway.folder().join("own/rules.yaml"),
        "routes:\n  - path: /open/**\n    access: public\n",
    )
    .expect("rules");
    let mut command = gateway.command(&["up"]);
    command.arg("--env-file").arg(gateway.env_file()).arg("--state-dir").arg(gateway.state());
    finish(command.current_dir("/")).expect_success();
    gateway.send(&Request::get("/open/door")).expect(200);
    gateway.send(&Request::get("/closed/door")).expect(401);
}

#[test]
fn without_a_flag_the_state_is_in_the_users_state_folder() {
    let (builder, _upstream) = dev("xdg");
    let gateway = builder.prepare();
    let run = |subcommand: &str| {
        let mut command = gateway.command(&[subcommand, "--port", &gateway.address.port().to_string()]);
        if subcommand == "up" {
            command.arg("--env-file").arg(gateway.env_file());
        }
        finish(&mut command)
    };
    run("up").expect_success();
    let state = gateway.folder().join("xdg-state/attach").join(gateway.address.port().to_string());
    let running = state.join("run/envoy.json").exists();
    let stopped = run("down").expect_success();
    assert!(running, "no state in {}", state.display());
    assert!(stopped.stdout.contains("envoy"), "{}", stopped.stdout);
    nothing_runs(&gateway);
}

#[test]
fn a_foreign_issuers_gateway_may_listen_everywhere() {
    let mint = Mint::new("", "attach-test");
    let (issuer, upstream) = (Issuer::start(mint.jwks()), Upstream::start());
    let gateway = Builder::new("wildcard")
        .set("HOST", "0.0.0.0")
        .set("OIDC_ISSUER", issuer.url())
        .set("OIDC_AUD", "attach-test")
        .set("ENGINE_URL", upstream.url())
        .start();
    let token = mint.of_issuer(&issuer.url()).token("alice");
    gateway.send(&Request::get("/everywhere").bearer(&token)).expect(200);
    let refused = gateway.send(&Request::get("/everywhere")).expect(401);
    let challenge = refused.headers.one("www-authenticate").expect("a challenge").to_owned();
    assert!(challenge.contains(&format!("http://localhost:{}/", gateway.address.port())), "{challenge}");
}

#[test]
fn the_binary_alone_is_a_whole_gateway_from_any_folder() {
    std::fs::create_dir_all(env::state()).expect("a folder");
    let folder = env::state().canonicalize().expect("it").join(format!("binary-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let binary = folder.join("attach-copy");
    std::fs::copy(env::attach(), &binary).expect("a copy");
    let upstream = Upstream::start();
    // Prepared for its settings; the command below is run from elsewhere and told nothing but flags.
    let gateway = Builder::new("binary").binary(&binary).set("ENGINE_URL", upstream.url()).prepare();
    let up = |flags: &[&str]| {
        let mut command = gateway.command(&["up"]);
        finish(command.args(flags).arg("--state-dir").arg(gateway.state()).current_dir("/"))
    };
    let settings = gateway.env_file();
    up(&["--env-file", settings.to_str().expect("text")]).expect_success();
    let token = gateway.run(&["token"]).expect_success().stdout;
    gateway.send(&Request::get("/from-copy").bearer(token.trim())).expect(200);
    assert_eq!(upstream.only("/from-copy").method, "GET");
    gateway.stop();
    let _ = std::fs::remove_dir_all(folder);
}

#[test]
fn flags_win_over_the_env_file() {
    let (builder, _upstream) = dev("flags");
    let gateway = builder.prepare();
    let port = ports::free();
    let mut command = gateway.command(&["up", "--port", &port.to_string()]);
    let ended =
        finish(command.arg("--env-file").arg(gateway.env_file()).arg("--state-dir").arg(gateway.state()));
    ended.expect_success();
    let address = ([127, 0, 0, 1], port).into();
    Request::get("/healthz").send(address).expect(200);
}
