//! Shadow mode: at the engine nobody is refused, and who would be is counted.

use attach_tests::mint::Key;
use attach_tests::request::Request;
use attach_tests::wait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::site::Site;

/// How often a reason was counted, as Prometheus would read it from Envoy.
fn counted(site: &Site, reason: &str) -> u64 {
    let text = Request::get("/stats/prometheus").send(site.gateway.admin).expect(200).text();
    let wanted = format!("reason=\"{reason}\"");
    text.lines()
        .filter(|line| line.starts_with("attach_would_deny_total{") && line.contains(&wanted))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

#[test]
fn what_would_be_refused_at_the_engine_goes_on_without_an_identity_and_is_counted() {
    let site = Site::start("shadow", &[], |builder| {
        builder.set("AUTH_MODE", "shadow").set("REQUIRED_SCOPES", "chat:run")
    });
    let said = site.gateway.up().expect_success();
    assert!(format!("{}{}", said.stdout, said.stderr).contains("AUTH_MODE"), "a start says what it means");

    let good = site.mint.token_of(&json!({"scope": "chat:run"}));
    site.send(&Request::get("/shadow-good").bearer(&good)).expect(200);
    assert_eq!(site.user("/shadow-good").as_deref(), Some("alice"));

    let stranger = Key::new("RS256", "other");
    let rows = [
        ("missing", None, "credential_missing"),
        ("expired", Some(site.mint.token_of(&json!({"exp": 1, "scope": "chat:run"}))), "expired"),
        ("issuer", Some(site.mint.token_of(&json!({"iss": "https://evil.example"}))), "issuer_unknown"),
        ("garbage", Some("garbage".to_owned()), "token_segments"),
        ("scope", Some(site.mint.token("alice")), "scope_missing"),
        ("forged", Some(forged(&stranger, &good)), "signature_invalid"),
    ];
    for (name, token, reason) in rows {
        let before = counted(&site, reason);
        let mark = format!("/shadow-{name}-");
        let request = Request::post(&mark, "the body")
            .header("X-Attach-User", "admin")
            .header("x_attach_user", "admin")
            .header("X-Attach-Agent", "key:admin");
        let request = token.iter().fold(request, |request, token| request.bearer(token));
        let response = site.send(&request);
        assert_eq!(response.status, 200, "{name}: {}", response.text());
        let seen = site.upstream.only(&mark);
        assert_eq!(seen.body, b"the body", "{name}");
        let stamped = seen
            .headers
            .names()
            .into_iter()
            .filter(|header| header.replace('_', "-").starts_with("x-attach"));
        assert_eq!(stamped.collect::<Vec<_>>(), Vec::<String>::new(), "{name}");
        assert!(!seen.headers.has("authorization"), "{name}: the engine learns no credential");
        wait::until(&format!("{reason} to be counted"), || {
            (counted(&site, reason) == before + 1).then_some(())
        });
    }
}

/// The header and the claims of one token, signed by another key.
fn forged(key: &Key, token: &str) -> String {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).expect("base64url"));
    let (header, payload) = (parts.next().expect("a header"), parts.next().expect("claims"));
    key.raw(header, payload)
}

#[test]
fn everything_but_the_engine_refuses_in_shadow_mode_as_ever() {
    let target = attach_tests::upstream::Upstream::start();
    let site = Site::start("shadow-control", &[], |builder| {
        builder.set("AUTH_MODE", "shadow").set("A2A_TARGETS", format!("planner={}", target.url()))
    });
    for path in
        ["/mem/events", "/mem/search?q=x", "/auth/token", "/v1/usage", "/v1/quota/me", "/agents/planner/run"]
    {
        let response = site.send(&Request::get(path));
        assert_eq!(response.status, 401, "{path}: {}", response.text());
        let bad = site.send(&Request::get(path).bearer("garbage"));
        assert_eq!(bad.status, 401, "{path}: {}", bad.text());
    }
    assert!(target.seen("/").is_empty());
    // A path that can be read in two ways is refused at the engine, too.
    let status = site.send(&Request::get("/a%00b")).status;
    assert!((400..500).contains(&status), "{status}");
}
