//! What has no body that could be counted: upgrades, and gRPC.

use attach_tests::fixture::Fixture;
use attach_tests::grpc;
use attach_tests::request::Request;
use attach_tests::upstream::Exchange;

use crate::kit::{self, cost, row, settled};

fn handshake(fixture: &Fixture, path: &str, user: &str) -> Request {
    Request::get(path)
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("x-attach-project", "upgraded")
        .bearer(&fixture.world.first.token(user))
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

/// Upgrades, and says what came back.
fn talk(fixture: &Fixture, path: &str, user: &str) -> u16 {
    fixture.upstream.on(path, echo);
    let mut socket = handshake(fixture, path, user).open(fixture.gateway.address);
    let status = socket.head().0;
    if status == 101 {
        socket.wire().send(b"ping").expect("a frame goes out");
        assert_eq!(socket.wire().receive().expect("a frame comes back"), b"ping");
    }
    status
}

#[test]
fn an_upgrade_is_refused_under_a_limit() {
    let fixture = kit::limited();
    let refused = fixture.gateway.send(&handshake(fixture, "/realtime-refused", "hundred-ws")).expect(403);
    assert!(refused.detail().contains("cannot be counted"), "{}", refused.text());
    fixture.nothing_arrived("/realtime-refused");
}

#[test]
fn an_upgrade_is_nobodys_business_without_a_limit() {
    assert_eq!(talk(kit::limited(), "/realtime-open", "nobody-ws"), 101);
    assert_eq!(talk(kit::free(), "/realtime-open", "alice"), 101);
}

#[test]
fn an_upgrade_costs_what_its_route_says() {
    let fixture = kit::limited();
    let user = "hundred-flat";
    assert_eq!(talk(fixture, "/flat/realtime", user), 101);
    assert_eq!(cost(&row(fixture, user, "upgraded")).0, 60);
    settled(fixture, user, "hundred", 60);
    assert_eq!(talk(fixture, "/flat/realtime", user), 429);
}

#[test]
fn a_grpc_call_is_refused_under_a_limit_and_flat_charged_where_a_route_says_so() {
    let fixture = kit::limited();
    let user = "hundred-grpc";
    let bearer = format!("Bearer {}", fixture.world.first.token(user));
    let call =
        |path: &str| grpc::call(fixture.gateway.address, path, &[("authorization", &bearer)], &[b"one"], &[]);
    let is_refused = |outcome: &grpc::Outcome, status: u16, code: &str| {
        outcome.status == status || outcome.headers.one("grpc-status") == Some(code)
    };
    let refused = call("/attach.Test/Limited");
    assert!(is_refused(&refused, 403, "7"), "{refused:?}");
    fixture.nothing_arrived("/attach.Test/Limited");

    let good = call("/flat/attach.Test/Talk");
    assert_eq!((good.status, &good.echoes), (200, &vec![b"one".to_vec()]), "{good:?}");
    settled(fixture, user, "hundred", 60);
    let over = call("/flat/attach.Test/Talk");
    // In gRPC's own terms: 14 is UNAVAILABLE.
    assert!(over.echoes.is_empty() && is_refused(&over, 429, "14"), "{over:?}");
}
