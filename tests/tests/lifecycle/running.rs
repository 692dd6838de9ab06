//! A gateway that runs: started again, changed, stopped, broken.

use std::io::{Read as _, Write as _};
use std::process::Command;

use attach_tests::gateway::{Gateway, finish, is_running};
use attach_tests::request::Request;
use attach_tests::wait;

use crate::{dev, nothing_runs};

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
    wait::until("the old Envoy to be gone", || (!is_running(gone)).then_some(()));
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
    wait::until("control to end", || (!is_running(pid)).then_some(()));
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
        assert!(!is_running(pid), "{name} runs");
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
