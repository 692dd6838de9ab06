//! The other subcommands.

use attach_tests::gateway::{Builder, finish};
use attach_tests::request::Request;
use attach_tests::wait;

use crate::{dev, nothing_runs};

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
