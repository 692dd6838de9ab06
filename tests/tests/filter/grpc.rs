//! gRPC-like calls: HTTP/2 to the engine, both directions open at once.

use attach_tests::grpc::{GREETING, call, call_with};

use crate::fixture;

#[test]
fn a_verified_call_talks_both_ways_and_keeps_its_trailers() {
    let fixture = fixture();
    let bearer = format!("Bearer {}", fixture.alice());
    // The call sends nothing before it has heard the engine: a filter that waited for a body would hang.
    let outcome = call(
        fixture.gateway.address,
        "/attach.Test/Talk",
        &[("authorization", &bearer), ("x-attach-user", "admin")],
        &[b"one", b"two", b"three"],
        &[("x-attach-user", "admin"), ("x-attach-session", "0"), ("x-own", "stays")],
    );
    assert_eq!(outcome.status, 200, "{outcome:?}");
    assert_eq!(outcome.greeting, GREETING);
    assert_eq!(outcome.echoes, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
    assert_eq!(outcome.trailers.one("grpc-status"), Some("0"));
    assert_eq!(outcome.headers.one("x-attach-user"), Some("alice"));

    let seen = fixture.arrived("/attach.Test/Talk");
    assert_eq!(seen.headers.one("x-attach-user"), Some("alice"));
    assert!(!seen.headers.has("authorization"));
    let names = seen.trailers.names();
    assert!(!names.iter().any(|name| name.starts_with("x-attach")), "{names:?}");
}

#[test]
fn a_call_without_a_token_is_refused() {
    let fixture = fixture();
    let outcome = call(fixture.gateway.address, "/attach.Test/Refused", &[], &[], &[]);
    // Envoy tells a gRPC client in its own terms: 16 is UNAUTHENTICATED.
    let refused = outcome.status == 401 || outcome.headers.one("grpc-status") == Some("16");
    assert!(refused, "{outcome:?}");
    fixture.nothing_arrived("/attach.Test/Refused");
}

/// Over HTTP/2 two headers arrive as two, and names cannot hide in capitals.
#[test]
fn a_call_with_two_credentials_is_refused() {
    let fixture = fixture();
    let bearer = format!("Bearer {}", fixture.alice());
    let other = format!("Bearer {}", fixture.world.first.token("mallory"));
    for second in [bearer.as_str(), other.as_str(), "Basic YTpi"] {
        let headers = [("authorization", bearer.as_str()), ("authorization", second)];
        let outcome = call(fixture.gateway.address, "/attach.Test/Twice", &headers, &[], &[]);
        let refused = outcome.status == 401 || outcome.headers.one("grpc-status") == Some("16");
        assert!(refused, "{outcome:?}");
    }
    fixture.nothing_arrived("/attach.Test/Twice");
}

#[test]
fn bytes_that_are_not_utf8_get_a_normal_reply_over_http2() {
    let fixture = fixture();
    let bearer = format!("Bearer {}", fixture.alice());
    let value = http::HeaderValue::from_bytes(b"\xff\xfe\x80").expect("a value");
    let outcome = call_with(
        fixture.gateway.address,
        "/attach.Test/Bytes",
        &[("authorization", &bearer)],
        &[("user-agent", value.clone()), ("x-attach-user", value)],
    );
    assert!(outcome.status == 200 && outcome.greeting == GREETING, "{outcome:?}");
    let seen = fixture.arrived("/attach.Test/Bytes");
    assert_eq!(seen.headers.one("x-attach-user"), Some("alice"));
}
