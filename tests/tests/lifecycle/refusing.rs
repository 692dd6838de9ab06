//! What stops a start, and that nothing is left of it.

use std::net::TcpListener;
use std::process::{Command, Stdio};

use attach_tests::gateway::{Builder, finish};
use attach_tests::issuer::{Answer, Issuer};
use attach_tests::mint::Mint;
use attach_tests::request::Request;
use attach_tests::upstream::Upstream;
use attach_tests::{ports, wait};

use crate::{dev, nothing_runs, says};

#[test]
fn a_bad_change_leaves_the_running_gateway_alone() {
    let (builder, _upstream) = dev("bad-change");
    let gateway = builder.start();
    let before = gateway.pids();
    for (name, bad, good) in [
        ("LOG_LEVEL", "loud", "info"),
        ("CORS_ORIGINS", "nonsense", "http://localhost:9000"),
        ("SSL_CERT_FILE", "/nowhere/at/all.pem", ""),
    ] {
        gateway.set(name, bad);
        let ended = gateway.up().expect_failure();
        says(&ended, &[name]);
        gateway.set(name, good);
        assert_eq!(gateway.pids(), before, "after {name}={bad}");
    }
    // An issuer that does not answer is found out before anything is touched, too.
    gateway.set("OIDC_ISSUER", format!("http://127.0.0.1:{}", ports::free()));
    gateway.set("OIDC_AUD", "x");
    says(&gateway.up().expect_failure(), &["OIDC_ISSUER"]);
    assert_eq!(gateway.pids(), before);
    gateway.send(&Request::get("/healthz")).expect(200);
}

#[test]
fn every_bad_setting_is_named_at_once() {
    let gateway = Builder::new("bad-settings")
        .set("LOG_LEVEL", "loud")
        .set("ENGINE_URL", "ftp://engine")
        .set("ENGINE_REWRITE_CHAT", "maybe")
        .set("CONTROL_PORT", "many")
        .set("OIDC_JWKS_URL", "https://idp.example/keys")
        .set("PUBLIC_URL", "gateway.example")
        .set("CORS_ORIGINS", "*.example")
        .set("ENVOY_CONCURRENCY", "0")
        .set("ENABLE_DESCOPE_EXCHANGE", "true")
        .document(
            "issuers:\n  - issuer: https://a.example\n    audiences: [x]\n    user_prefix: \"did:\"\n\
             routes:\n  - path: nowhere\nunknown_member: 1\n",
        )
        .prepare();
    let named = [
        "LOG_LEVEL",
        "ENGINE_URL",
        "ENGINE_REWRITE_CHAT",
        "CONTROL_PORT",
        "OIDC_JWKS_URL",
        "PUBLIC_URL",
        "CORS_ORIGINS",
        "ENVOY_CONCURRENCY",
        "ENABLE_DESCOPE_EXCHANGE",
        "issuers[0].user_prefix",
        "routes[0].path",
        "unknown_member",
    ];
    says(&gateway.up().expect_failure(), &named);
    nothing_runs(&gateway);
    says(&gateway.run(&["config", "check"]).expect_failure(), &named);
}

#[test]
fn prefixes_that_could_make_two_users_one_are_refused() {
    let issuer = |name: &str, prefix: &str| {
        format!("  - issuer: https://{name}.example\n    audiences: [x]\n    user_prefix: \"{prefix}\"\n")
    };
    let gateway = Builder::new("prefixes").prepare();
    for document in [
        issuer("a", ""),
        format!("{}{}", issuer("a", "team"), issuer("b", "team-b")),
        format!("{}{}", issuer("a", "same|"), issuer("b", "same|")),
        issuer("a", "did:web:"),
        issuer("a", "d"),
    ] {
        gateway.write_file("attach.yaml", &format!("issuers:\n{document}"));
        says(&gateway.run(&["config", "check"]).expect_failure(), &["user_prefix"]);
    }
}

#[test]
fn a_secret_in_a_bad_setting_is_not_shown() {
    let gateway = Builder::new("secret-setting").set("ENGINE_API_KEY", "hunter2 with blanks").prepare();
    let ended = gateway.up().expect_failure();
    says(&ended, &["ENGINE_API_KEY"]);
    assert!(!ended.stderr.contains("hunter2"), "{}", ended.stderr);
}

#[test]
fn a_port_in_use_is_named_with_its_setting() {
    let taken = TcpListener::bind(("127.0.0.1", ports::free())).expect("a port");
    let port = taken.local_addr().expect("an address").port();
    for setting in ["PORT", "ADMIN_PORT", "CONTROL_PORT", "IDP_PORT"] {
        let (builder, _upstream) = dev("port-in-use");
        let gateway = builder.set(setting, port).prepare();
        let ended = gateway.up().expect_failure();
        says(&ended, &[setting, &port.to_string()]);
        assert_eq!(gateway.pids(), Vec::new(), "{setting}");
    }
}

#[test]
fn an_issuer_that_does_not_answer_is_named_and_nothing_is_left_running() {
    let nobody = format!("http://127.0.0.1:{}", ports::free());
    let gateway = Builder::new("no-issuer").set("OIDC_ISSUER", &nobody).set("OIDC_AUD", "x").prepare();
    let ended = gateway.up().expect_failure();
    says(&ended, &["OIDC_ISSUER", &nobody]);
    nothing_runs(&gateway);
}

#[test]
fn an_issuer_without_usable_keys_is_an_error_and_nothing_is_left_running() {
    let (issuer, upstream) = (Issuer::start(Vec::new()), Upstream::start());
    let gateway = Builder::new("no-keys")
        .set("OIDC_ISSUER", issuer.url())
        .set("OIDC_AUD", "x")
        .set("ENGINE_URL", upstream.url())
        .prepare();
    let ended = gateway.up().expect_failure();
    assert!(!ended.stderr.trim().is_empty());
    nothing_runs(&gateway);
}

#[test]
fn an_issuer_that_says_it_is_another_is_refused() {
    let (issuer, upstream) = (Issuer::start(Vec::new()), Upstream::start());
    // The same server by another name: its document still says the first one.
    let alias = issuer.url().replacen("127.0.0.1", "localhost", 1);
    let gateway = Builder::new("other-issuer")
        .set("OIDC_ISSUER", &alias)
        .set("OIDC_AUD", "x")
        .set("ENGINE_URL", upstream.url())
        .prepare();
    says(&gateway.up().expect_failure(), &["OIDC_ISSUER", &issuer.url()]);
    nothing_runs(&gateway);
}

#[test]
fn interrupting_a_start_leaves_nothing_running() {
    let mint = Mint::new("", "attach-test");
    let (issuer, upstream) = (Issuer::start(mint.jwks()), Upstream::start());
    // Without keys the gateway never gets ready, so that there is something to interrupt.
    issuer.answer(Answer::Silence);
    let gateway = Builder::new("interrupted")
        .set("OIDC_ISSUER", issuer.url())
        .set("OIDC_AUD", "attach-test")
        .set("ENGINE_URL", upstream.url())
        .prepare();
    let mut command = gateway.command(&["up"]);
    command.arg("--env-file").arg(gateway.env_file()).arg("--state-dir").arg(gateway.state());
    let mut up = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("attach starts");
    wait::until("Envoy to be started", || gateway.pid("envoy"));
    finish(Command::new("kill").args(["-INT", &up.id().to_string()])).expect_success();
    let status = wait::until("the command to end", || up.try_wait().ok().flatten());
    assert!(!status.success());
    nothing_runs(&gateway);
}

#[test]
fn the_dev_identity_provider_is_for_loopback_alone() {
    let (builder, _upstream) = dev("dev-bind");
    let gateway = builder.set("HOST", "0.0.0.0").prepare();
    says(&gateway.up().expect_failure(), &["HOST"]);
    nothing_runs(&gateway);
    let own = finish(&mut gateway.command(&["idp", "--host", "0.0.0.0", "--port", "0"]));
    assert!(own.expect_failure().stderr.contains("loopback"));
}
