//! `attach up`, `down` and the rest: what a person does, and what goes wrong.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use attach_tests::gateway::{Builder, Ended, Gateway, finish};
use attach_tests::issuer::{Answer, Issuer};
use attach_tests::mint::Mint;
use attach_tests::request::Request;
use attach_tests::upstream::Upstream;
use attach_tests::{env, ports, wait};

/// Its standard error says all of these.
fn says(ended: &Ended, words: &[&str]) {
    for word in words {
        assert!(ended.stderr.contains(word), "no {word:?} in:\n{}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

/// Nothing runs that `attach up` may have started, and all its ports are free.
fn nothing_runs(gateway: &Gateway) {
    assert_eq!(gateway.pids(), Vec::new());
    for address in [gateway.address, gateway.admin, gateway.control, gateway.idp, gateway.echo] {
        assert!(TcpListener::bind(address).is_ok(), "{address} is taken");
    }
}

/// An engine is given, so that an Ollama on this machine changes nothing.
fn dev(name: &str) -> (Builder, Upstream) {
    let upstream = Upstream::start();
    (Builder::new(name).set("ENGINE_URL", upstream.url()), upstream)
}

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
fn starting_twice_leaves_everything_as_it_is() {
    let (builder, _upstream) = dev("twice");
    let gateway = builder.start();
    let before = gateway.pids();
    assert_eq!(before.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["idp", "control", "envoy"]);
    let again = gateway.up().expect_success();
    assert_eq!(gateway.pids(), before);
    assert!(again.stdout.contains("curl "), "{}", again.stdout);
}

#[test]
fn a_changed_setting_restarts_what_it_touches_and_nothing_else() {
    let (builder, _upstream) = dev("changed");
    let gateway = builder.start();
    let before = gateway.pids();
    let pid =
        |pids: &[(&str, u64)], name: &str| pids.iter().find(|(have, _)| *have == name).map(|(_, pid)| *pid);

    gateway.set("CORS_ORIGINS", "https://app.example");
    gateway.up().expect_success();
    let after = gateway.pids();
    assert_eq!(pid(&after, "idp"), pid(&before, "idp"));
    assert_ne!(pid(&after, "envoy"), pid(&before, "envoy"));
    let preflight = Request::new("OPTIONS", "/x")
        .header("Origin", "https://app.example")
        .header("Access-Control-Request-Method", "GET");
    let allowed = gateway.send(&preflight);
    assert_eq!(allowed.headers.one("access-control-allow-origin"), Some("https://app.example"));
    let gone = pid(&before, "envoy").expect("it ran");
    wait::until("the old Envoy to be gone", || (!attach_tests::gateway::is_running(gone)).then_some(()));
}

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
fn two_starts_at_once_make_one_gateway() {
    let (builder, _upstream) = dev("at-once");
    let gateway = builder.prepare();
    let ended = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..2).map(|_| scope.spawn(|| gateway.up())).collect();
        starts.into_iter().map(|start| start.join().expect("it ends")).collect::<Vec<_>>()
    });
    assert!(ended.iter().any(|ended| ended.status == 0), "{ended:?}");
    for ended in ended.iter().filter(|ended| ended.status != 0) {
        assert_eq!(ended.stderr.trim().lines().count(), 1, "one sentence: {}", ended.stderr);
    }
    let before = gateway.pids();
    gateway.up().expect_success();
    assert_eq!(gateway.pids(), before);
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
fn control_lets_open_requests_end_before_it_stops() {
    let (builder, _upstream) = dev("drain");
    let gateway = builder.start();
    let pid = gateway.pid("control").expect("control runs");
    // A request whose head has not come to its end is open.
    let mut open = std::net::TcpStream::connect(gateway.control).expect("a connection");
    open.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n").expect("half a request");
    let whole = Request::get("/healthz");
    whole.send(gateway.control).expect(200);
    finish(Command::new("kill").args(["-TERM", &pid.to_string()])).expect_success();
    wait::until("control to take nothing new", || whole.try_send(gateway.control).is_err().then_some(()));
    open.write_all(b"connection: close\r\n\r\n").expect("the other half");
    let mut answer = String::new();
    open.read_to_string(&mut answer).expect("an answer");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 200"), "{answer}");
    wait::until("control to end", || (!attach_tests::gateway::is_running(pid)).then_some(()));
}

#[test]
fn controls_log_is_one_json_object_a_line() {
    let (builder, _upstream) = dev("json-log");
    let gateway = builder.start();
    gateway.send(&Request::get("/auth/config")).expect(200);
    let log = gateway.log("control");
    assert!(!log.trim().is_empty());
    for line in log.lines() {
        let object: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(object["level"].is_string() && object["timestamp"].is_string(), "{line}");
    }
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

#[test]
fn stopping_stops_everything_and_twice_is_no_error() {
    let (builder, _upstream) = dev("down");
    let gateway = builder.start();
    let before = gateway.pids();
    gateway.run(&["status"]).expect_success();
    let stopped = gateway.run(&["down"]).expect_success();
    for (name, pid) in before {
        assert!(stopped.stdout.contains(name), "{}", stopped.stdout);
        assert!(!attach_tests::gateway::is_running(pid), "{name} runs");
    }
    nothing_runs(&gateway);
    gateway.run(&["down"]).expect_success();
    gateway.run(&["status"]).expect_failure();
    // And it comes back, with the key that its tokens were signed with.
    gateway.up().expect_success();
}

#[test]
fn a_process_that_has_died_is_started_again_and_the_others_are_not() {
    let (builder, _upstream) = dev("died");
    let gateway = builder.start();
    let before = gateway.pids();
    let envoy = gateway.pid("envoy").expect("Envoy runs");
    finish(Command::new("kill").args(["-9", &envoy.to_string()])).expect_success();
    wait::until("Envoy to end", || gateway.pid("envoy").is_none().then_some(()));
    gateway.run(&["status"]).expect_failure();
    gateway.up().expect_success();
    let after = gateway.pids();
    assert_ne!(gateway.pid("envoy"), Some(envoy));
    for (name, pid) in before.iter().filter(|(name, _)| *name != "envoy") {
        assert!(after.contains(&(name, *pid)), "{name} was restarted");
    }
}

#[test]
fn a_token_outlives_a_restart_of_everything() {
    let (builder, upstream) = dev("kept-key");
    let gateway = builder.start();
    let token = gateway.run(&["token"]).expect_success().stdout.trim().to_owned();
    gateway.run(&["down"]).expect_success();
    gateway.up().expect_success();
    gateway.send(&Request::get("/outlives").bearer(&token)).expect(200);
    assert_eq!(upstream.seen("/outlives").len(), 1);
}

#[test]
fn the_logs_are_shown() {
    let (builder, _upstream) = dev("logs");
    let gateway = builder.start();
    gateway.send(&Request::get("/shown-in-logs")).expect(401);
    wait::until_within(std::time::Duration::from_secs(30), "the access log", || {
        let shown = gateway.run(&["logs", "access"]).expect_success();
        shown.stdout.contains("/shown-in-logs").then_some(())
    });
    assert!(gateway.run(&["logs"]).expect_success().stdout.contains("control"));
}

#[test]
fn the_tools_work_by_themselves() {
    let (builder, _upstream) = dev("tools");
    let gateway = builder.prepare();
    gateway.run(&["config", "check"]).expect_success();
    let rendered = gateway.run(&["config", "render"]).expect_success();
    assert!(rendered.stdout.contains("static_resources"), "{}", rendered.stdout);
    nothing_runs(&gateway);
    gateway.up().expect_success();
    let token = gateway.run(&["token"]).expect_success().stdout;
    assert_eq!(token.trim().split('.').count(), 3, "{token}");
    let doctor = gateway.run(&["doctor"]).expect_success();
    assert!(doctor.stdout.contains("engine"), "{}", doctor.stdout);
    gateway.run(&["down"]).expect_success();
    gateway.run(&["doctor"]).expect_failure();
}

#[test]
fn every_command_explains_itself() {
    let gateway = Builder::new("help").prepare();
    let help = finish(&mut gateway.command(&["--help"])).expect_success().stdout;
    let commands = ["up", "down", "status", "logs", "config", "token", "doctor", "idp", "engine", "serve"];
    for command in commands {
        assert!(help.contains(command), "no {command} in:\n{help}");
        let own = finish(&mut gateway.command(&[command, "--help"])).expect_success();
        assert!(own.stdout.contains("Usage:"), "{command}: {}", own.stdout);
    }
    assert_eq!(finish(&mut gateway.command(&["nonsense"])).status, 2);
}

#[test]
fn two_gateways_live_side_by_side() {
    let ((one, upstream_one), (two, upstream_two)) = (dev("side-one"), dev("side-two"));
    let (one, two) = (one.start(), two.start());
    let token = |gateway: &Gateway| gateway.run(&["token"]).expect_success().stdout.trim().to_owned();
    let (token_one, token_two) = (token(&one), token(&two));
    one.send(&Request::get("/one").bearer(&token_one)).expect(200);
    two.send(&Request::get("/two").bearer(&token_two)).expect(200);
    one.send(&Request::get("/one-with-two").bearer(&token_two)).expect(401);
    assert_eq!(upstream_one.seen("/one").len(), 1);
    assert_eq!(upstream_two.seen("/two").len(), 1);
    assert!(upstream_two.seen("/one").is_empty());
    one.run(&["down"]).expect_success();
    two.send(&Request::get("/healthz")).expect(200);
}
