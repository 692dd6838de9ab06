//! Filter and control know each other by a secret, and nobody else knows it.

use std::os::unix::fs::PermissionsExt as _;

use attach_tests::request::Request;

use crate::fixture;

const PROOF: &str = "x-attach-control-secret";

fn secret() -> String {
    let path = fixture().gateway.state().join("secrets/control");
    std::fs::read_to_string(path).expect("the secret").trim().to_owned()
}

#[test]
fn the_secret_has_256_bits_and_one_reader() {
    let state = fixture().gateway.state();
    let secret = secret();
    assert_eq!(secret.len(), 64);
    assert!(secret.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let mode = |path: &str| std::fs::metadata(state.join(path)).expect(path).permissions().mode() & 0o777;
    assert_eq!(mode("secrets/control"), 0o600);
    assert_eq!(mode("secrets"), 0o700);
}

#[test]
fn another_process_on_this_machine_is_a_stranger_to_control() {
    let control = fixture().gateway.control;
    for path in ["/internal/anything", "/internal/", "/a2a/tasks/status/1", "/mem/events"] {
        let forged = Request::get(path).header("x-attach-user", "admin").header("x-attach-session", "0");
        for request in [
            forged.clone(),
            forged.clone().header(PROOF, ""),
            forged.clone().header(PROOF, "0".repeat(64)),
            forged.clone().header(PROOF, &secret()[..63]),
            forged.clone().header(PROOF, format!("{}0", secret())),
            forged.clone().header("authorization", format!("Bearer {}", secret())),
            forged.clone().header(PROOF, "0".repeat(64)).header(PROOF, secret()),
            forged.clone().header(PROOF, b"\xff\xfe"),
        ] {
            assert_eq!(request.send(control).status, 401, "{path}");
        }
    }
}

#[test]
fn whoever_has_the_secret_is_believed() {
    let request = Request::get("/internal/anything").header(PROOF, secret()).header("x-attach-user", "alice");
    assert_eq!(request.send(fixture().gateway.control).status, 404);
}

#[test]
fn controls_own_health_check_needs_no_secret() {
    assert_eq!(Request::get("/healthz").send(fixture().gateway.control).status, 200);
}

#[test]
fn control_listens_on_loopback_alone() {
    let port = format!("{:04X}", fixture().gateway.control.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let bound: Vec<&str> = table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1)?.split_once(':'))
        .filter(|(_, have)| *have == port)
        .map(|(address, _)| address)
        .collect();
    // 127.0.0.1 as the kernel writes it; connections have the same local end.
    assert!(bound.iter().all(|address| *address == "0100007F"), "{bound:?}");
}

#[test]
fn the_secret_never_leaves_the_gateway() {
    let fixture = fixture();
    let token = fixture.alice();
    let secret = secret();
    for path in ["/secret-verified", "/public/secret", "/forward/secret", "/internal/secret"] {
        let request = Request::get(path).bearer(&token).header(PROOF, "x");
        let response = fixture.gateway.send(&request);
        assert!(!format!("{:?}{}", response.headers, response.text()).contains(&secret), "{path}");
        let seen = fixture.arrived(path);
        assert!(!seen.headers.has(PROOF), "{path}");
        assert!(!format!("{:?}", seen.headers).contains(&secret), "{path}");
    }
    for path in ["/auth/config", "/a2a/tasks/status/1", "/demo/x"] {
        let response = fixture.gateway.send(&Request::get(path).bearer(&token));
        assert!(!format!("{:?}{}", response.headers, response.text()).contains(&secret), "{path}");
    }
    assert!(!fixture.gateway.logs().contains(&secret), "in a log");
    let rendered = std::fs::read_to_string(fixture.gateway.state().join("envoy.yaml")).expect("envoy.yaml");
    assert!(!rendered.contains(&secret), "in envoy.yaml");
}
