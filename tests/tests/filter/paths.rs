//! Spellings of a path that somebody could read in another way.

use attach_tests::request::Request;

use crate::fixture;

/// Ways from a public route to a protected one, or past the table of routes; none may work.
const TRICKS: [&[u8]; 46] = [
    b"//a2a",
    b"//a2a/tasks/send",
    b"/a2a/..%2fapi/chat",
    b"/a2a/..%2Fapi/chat",
    b"/AUTH/config",
    b"/Auth/Config",
    b"/auth/config/../../api/chat",
    b"/auth/config/..%2f..%2fapi/chat",
    b"/auth/config/%2e%2e/%2e%2e/api/chat",
    b"/auth/config/.%2e/.%2E/api/chat",
    b"/auth/config/%252e%252e/%252e%252e/api/chat",
    b"/auth/config/..;/..;/api/chat",
    b"/auth/config;/../../api/chat",
    b"/auth/config/",
    b"/auth/config//",
    b"/auth/config%00",
    b"/auth/config%00/api/chat",
    b"/auth/config%20",
    b"/auth/config%2f",
    b"/auth%2fconfig",
    b"/auth\\config",
    b"/auth/config\\..\\..\\api\\chat",
    b"/auth/config%5c..%5c..%5capi%5cchat",
    b"/auth/config.json",
    b"/auth/configs",
    b"/%61uth/config/x",
    b"/healthz/../api/chat",
    b"/healthz/api/chat",
    b"/public/../api/chat",
    b"/public/x/../../api/chat",
    b"/public/..%2fapi/chat",
    b"/public/%2e%2e/api/chat",
    b"/public/%2e%2e%2fapi/chat",
    b"/public/..\\api/chat",
    b"/public/..%5capi/chat",
    b"/public/%252e%252e/api/chat",
    b"/public/%c0%ae%c0%ae/api/chat/%2e%2e/%2e%2e/%2e%2e/%2e%2e/api/chat",
    b"//public/../api/chat",
    b"/.//public/../api/chat",
    b"/public/./../api/chat",
    b"/PUBLIC/x",
    b"/publicly",
    b"/.well-known/oauth-protected-resource/../../api/chat",
    b"/a2a/x/.well-known/agent-card.json/../../../../api/chat",
    b"/a2a/x/y/.well-known/agent-card.json",
    b"http://gateway/auth/config/../../api/chat",
];

#[test]
fn no_spelling_of_a_path_leads_past_authentication() {
    let fixture = fixture();
    let public = fixture.gateway.send(&Request::get("/auth/config")).expect(200).text();
    let mut wrong = Vec::new();
    for (number, trick) in TRICKS.into_iter().enumerate() {
        let mark = format!("trick-{number}-");
        let target = [trick, b"?", mark.as_bytes()].concat();
        let shown = String::from_utf8_lossy(trick).into_owned();
        let response = fixture.gateway.send(&Request::get(target));
        // Envoy's normalisation may find a public path in it, and then that is what is served.
        let is_public = response.status == 200 && response.text() == public;
        if !is_public && !matches!(response.status, 400 | 401 | 403 | 404 | 307) {
            wrong.push(format!("{shown}: {}", response.status));
        }
        for seen in fixture.upstream.seen(&mark) {
            wrong.push(format!("{shown} arrived as {}", seen.target));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn bytes_that_no_path_has_are_refused() {
    let fixture = fixture();
    for target in [&b"/public/\xff\xfe"[..], b"/public/\x01", b"/auth/config\x7f", b"*", b"public", b"?x"] {
        let response = Request::get(target).try_send(fixture.gateway.address);
        // Envoy may also close the connection on what is no HTTP.
        if let Ok(response) = response {
            assert!((400..500).contains(&response.status), "{target:?}: {}", response.status);
        }
    }
}

#[test]
fn a_query_that_looks_like_a_path_changes_nothing() {
    let fixture = fixture();
    fixture.gateway.send(&Request::get("/query-path?/auth/config")).expect(401);
    let response = fixture.gateway.send(&Request::get("/query-path#/auth/config"));
    assert!(matches!(response.status, 400 | 401), "{}", response.status);
    fixture.nothing_arrived("/query-path");
    fixture.gateway.send(&Request::get("/auth/config?x=/../../api/chat")).expect(200);
}

#[test]
fn only_reading_is_public() {
    let fixture = fixture();
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"] {
        for path in ["/public/write", "/auth/config"] {
            let response = fixture.gateway.send(&Request::new(method, path));
            assert!(matches!(response.status, 401 | 405), "{method} {path}: {}", response.status);
        }
    }
    let overridden = Request::get("/write-override").header("X-HTTP-Method-Override", "GET");
    fixture.gateway.send(&overridden).expect(401);
    fixture.nothing_arrived("/public/write");
    fixture.gateway.send(&Request::new("HEAD", "/public/read")).expect(200);
}

#[test]
fn a_path_reaches_the_engine_as_it_was_written() {
    let fixture = fixture();
    let token = fixture.alice();
    for target in [
        "/written/a%20b?q=%2F..%2F&x=a+b&empty",
        "/written/plain;v=1,2/~user/a..b/...",
        "/written/%E4%BD%A0?%E4%BD%A0",
        "/written/end/",
    ] {
        fixture.gateway.send(&Request::get(target).bearer(&token)).expect(200);
        assert_eq!(fixture.arrived(target).target, target);
    }
}
