//! Requests that mean no good. A trap would take a worker's VM down: 503 for all that come after.

use std::io::Write as _;
use std::net::TcpStream;

use attach_tests::request::Request;
use attach_tests::wire::Wire;

use crate::fixture;

/// Every worker still verifies: connections are spread over them.
fn still_well() {
    let fixture = fixture();
    for _ in 0..8 {
        fixture.gateway.send(&Request::get("/still-well").bearer(&fixture.alice())).expect(200);
    }
    let log = fixture.gateway.log("envoy");
    for sign in ["panicked", "RuntimeError", "in-VM backtrace", "Plugin is crashed"] {
        assert!(!log.contains(sign), "{sign} in envoy.log");
    }
}

#[test]
fn bytes_that_are_not_utf8_get_a_normal_reply() {
    let fixture = fixture();
    let token = fixture.alice();
    let bad = b"\xff\xfe\x80 \xc3\x28";
    for name in [
        "user-agent",
        "x-anything",
        "cookie",
        "x-attach-user",
        "x_attach_user",
        "content-type",
        "origin",
        "referer",
    ] {
        let request = Request::get("/not-utf8").header(name, bad);
        let refused = fixture.gateway.send(&request).status;
        assert!(matches!(refused, 400 | 401), "{name} without a token: {refused}");
        let verified = fixture.gateway.send(&request.clone().bearer(&token)).status;
        assert!(matches!(verified, 200 | 400), "{name} with a token: {verified}");
    }
    still_well();
}

#[test]
fn a_user_agent_of_any_bytes_reaches_the_engine_as_it_is() {
    let fixture = fixture();
    let request = Request::get("/agent-bytes").bearer(&fixture.alice()).header("user-agent", b"\xff\xfe");
    fixture.gateway.send(&request).expect(200);
    assert_eq!(fixture.arrived("/agent-bytes").headers.all("user-agent"), [b"\xff\xfe"]);
}

#[test]
fn many_headers_and_long_ones_get_a_normal_reply() {
    let fixture = fixture();
    let mut many = Request::get("/many-headers").bearer(&fixture.alice());
    for number in 0..90 {
        many = many.header(format!("x-attach-{number}"), "x").header(format!("x-{number}"), "y");
    }
    let status = fixture.gateway.send(&many).status;
    assert!(matches!(status, 200 | 400 | 431), "{status}");
    let long = Request::get("/long-header").bearer(&fixture.alice()).header("x-long", vec![b'a'; 200_000]);
    if let Ok(response) = long.try_send(fixture.gateway.address) {
        assert!(matches!(response.status, 400 | 431), "{}", response.status);
    }
    let agent = Request::get("/long-agent").bearer(&fixture.alice()).header("user-agent", vec![b'a'; 30_000]);
    fixture.gateway.send(&agent).expect(200);
    still_well();
}

#[test]
fn what_is_no_http_is_refused_or_closed() {
    let fixture = fixture();
    for bytes in [
        &b"\x00\x01\x02\x03\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nx-\xff: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nnot a frame at all, really not",
    ] {
        let mut stream = TcpStream::connect(fixture.gateway.address).expect("a connection");
        stream.write_all(bytes).expect("bytes go out");
        stream.shutdown(std::net::Shutdown::Write).expect("that was all");
        let mut wire = Wire::tcp(stream).expect("a wire");
        if let Ok(Some(head)) = wire.head() {
            let status = head.start.split(' ').nth(1).unwrap_or_default().to_owned();
            assert!(status.starts_with('4'), "{}: {status}", bytes.escape_ascii());
        }
    }
    still_well();
}

#[test]
fn a_second_request_cannot_hide_in_the_first_ones_body() {
    let fixture = fixture();
    let inner = "GET /smuggled HTTP/1.1\r\nhost: x\r\nx-attach-user: admin\r\n\r\n";
    let request = Request::post("/smuggler", inner).bearer(&fixture.alice());
    fixture.gateway.send(&request).expect(200);
    assert_eq!(fixture.arrived("/smuggler").body, inner.as_bytes());
    fixture.nothing_arrived("/smuggled");
}

#[test]
fn every_request_of_a_connection_is_verified_by_itself() {
    let fixture = fixture();
    let mut wire =
        Wire::tcp(TcpStream::connect(fixture.gateway.address).expect("a connection")).expect("a wire");
    let token = fixture.alice();
    for (with_token, expected) in [(true, "200"), (false, "401"), (true, "200"), (false, "401")] {
        let credential =
            if with_token { format!("authorization: Bearer {token}\r\n") } else { String::new() };
        wire.send(format!("GET /kept-alive HTTP/1.1\r\nhost: x\r\n{credential}\r\n").as_bytes())
            .expect("a request");
        let head = wire.head().expect("a response").expect("the connection is kept");
        assert_eq!(head.start.split(' ').nth(1), Some(expected));
        wire.expect_body(&head, Some("GET"));
        wire.body().expect("its body");
    }
}

#[test]
fn other_protocols_cannot_be_upgraded_to() {
    let fixture = fixture();
    for (number, protocol) in ["h2c", "TLS/1.0", "websocket, h2c", "anything"].into_iter().enumerate() {
        let path = format!("/upgrade-other-{number}-");
        let request = Request::get(&path)
            .header("Connection", "Upgrade, HTTP2-Settings")
            .header("Upgrade", protocol)
            .header("HTTP2-Settings", "AAMAAABkAAQAAP__");
        let status = request.open(fixture.gateway.address).head().0;
        assert!((400..500).contains(&status), "{protocol} without a token: {status}");
        fixture.nothing_arrived(&path);
        let status = request.bearer(&fixture.alice()).open(fixture.gateway.address).head().0;
        assert_ne!(status, 101, "{protocol}");
    }
}

#[test]
fn a_client_cannot_tell_envoy_how_to_treat_its_request() {
    let fixture = fixture();
    fixture.upstream.on("/treated", |exchange| exchange.reply("503 Service Unavailable", &[], b"busy"));
    let request = Request::get("/treated")
        .bearer(&fixture.alice())
        .header("x-envoy-retry-on", "5xx")
        .header("x-envoy-max-retries", "5")
        .header("x-envoy-upstream-rq-timeout-ms", "1")
        .header("x-envoy-original-path", "/healthz");
    fixture.gateway.send(&request).expect(503);
    let seen = fixture.upstream.seen("/treated");
    assert_eq!(seen.len(), 1, "it was tried {} times", seen.len());
    for name in ["x-envoy-retry-on", "x-envoy-max-retries", "x-envoy-upstream-rq-timeout-ms"] {
        assert!(!seen[0].headers.has(name), "{name} was obeyed: {:?}", seen[0].headers);
    }
}

#[test]
fn nobody_is_connected_to_somewhere_else() {
    let fixture = fixture();
    let target = fixture.upstream.address().to_string();
    for request in
        [Request::new("CONNECT", &target), Request::new("CONNECT", &target).bearer(&fixture.alice())]
    {
        let status = request.open(fixture.gateway.address).head().0;
        assert!((400..500).contains(&status), "{status}");
    }
    // A proxy's form of the target names a host, which means nothing here.
    let elsewhere = attach_tests::upstream::Upstream::start();
    let proxied = Request::get(format!("{}/proxied", elsewhere.url()));
    fixture.gateway.send(&proxied).expect(401);
    fixture.gateway.send(&proxied.bearer(&fixture.alice())).expect(200);
    assert!(elsewhere.seen("/proxied").is_empty());
}

#[test]
fn an_expectation_opens_no_door() {
    let fixture = fixture();
    let request = Request::post_chunked("/expect-refused").header("Expect", "100-continue");
    let mut refused = request.open(fixture.gateway.address);
    // Envoy itself says that the body may come; whoever has no token is refused before it does.
    let statuses = [refused.head().0, refused.head().0];
    assert_eq!(statuses, [100, 401]);
    fixture.nothing_arrived("/expect-refused");
    let request = Request::post_chunked("/expect-body").header("Expect", "100-continue");
    let mut asked = request.bearer(&fixture.alice()).open(fixture.gateway.address);
    assert_eq!(asked.head().0, 100);
    asked.send(b"body");
    asked.end(&[]);
    assert_eq!(asked.head().0, 200);
    assert_eq!(fixture.arrived("/expect-body").body, b"body");
}
