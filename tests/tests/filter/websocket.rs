//! Upgrades, as realtime APIs use them.

use attach_tests::request::Request;
use attach_tests::upstream::Exchange;

use crate::fixture;

fn handshake(path: &str) -> Request {
    Request::get(path)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

/// Accepts the upgrade and sends back whatever comes.
fn echo(exchange: &mut Exchange) -> std::io::Result<()> {
    exchange.wire().send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    )?;
    loop {
        let bytes = exchange.wire().receive()?;
        if bytes.is_empty() {
            return Ok(());
        }
        exchange.wire().send(&bytes)?;
    }
}

#[test]
fn a_websocket_without_a_token_is_refused_at_its_handshake() {
    let fixture = fixture();
    fixture.gateway.send(&handshake("/ws-refused")).expect(401);
    fixture.nothing_arrived("/ws-refused");
}

#[test]
fn a_websocket_with_a_token_talks_both_ways() {
    let fixture = fixture();
    fixture.upstream.on("/ws-open", echo);
    let mut socket = handshake("/ws-open").bearer(&fixture.alice()).open(fixture.gateway.address);
    let (status, headers) = socket.head();
    assert_eq!(status, 101, "{headers:?}");
    let seen = &fixture.upstream.seen("/ws-open")[0];
    assert_eq!(seen.headers.one("x-attach-user"), Some("alice"));
    assert!(!seen.headers.has("authorization"));
    for message in [&b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..], b"\x00\xff any bytes at all"] {
        socket.wire().send(message).expect("a frame goes out");
        let mut back = Vec::new();
        while back.len() < message.len() {
            let bytes = socket.wire().receive().expect("a frame comes back");
            assert!(!bytes.is_empty(), "closed");
            back.extend_from_slice(&bytes);
        }
        assert_eq!(back, message);
    }
}
