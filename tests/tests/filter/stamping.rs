//! Who the caller is, towards the engine and back; and that nobody else can say it.

use attach_tests::cases::PREFIX;
use attach_tests::request::Request;
use serde_json::json;

use crate::{fixture, sha256};

/// Headers by which a client might pretend to be somebody.
const FORGED: [&str; 14] = [
    "X-Attach-User",
    "x-attach-user",
    "X-ATTACH-USER",
    "X_Attach_User",
    "x-attach_user",
    "x_attach-user",
    "X-Attach-Session",
    "x_attach_session",
    "X-Attach-Agent",
    "X-Attach-Assertion",
    "X-Attach-Control-Secret",
    "x_attach_control_secret",
    "X-Attach-Denied",
    "X-Attach-Anything-Else",
];

fn forge(mut request: Request) -> Request {
    for name in FORGED {
        request = request.header(name, "admin").header(name, "root");
    }
    request
}

/// The gateway's own headers on a request that has arrived, with `_` read as `-`.
fn attach_headers(names: &[String]) -> Vec<String> {
    let mut names: Vec<String> =
        names.iter().map(|name| name.replace('_', "-")).filter(|name| name.starts_with("x-attach")).collect();
    names.sort();
    names
}

#[test]
fn a_verified_request_arrives_with_its_user_and_session() {
    let fixture = fixture();
    let request = Request::get("/stamped").bearer(&fixture.alice()).header("user-agent", "curl/8.0");
    fixture.gateway.send(&request).expect(200);
    let seen = fixture.arrived("/stamped");
    assert_eq!(seen.headers.one("x-attach-user"), Some("alice"));
    assert_eq!(seen.headers.one("x-attach-session"), Some(sha256(b"alice:curl/8.0").as_str()));
    assert_eq!(
        attach_headers(&seen.headers.names()),
        ["x-attach-assertion", "x-attach-credential", "x-attach-session", "x-attach-user"]
    );
}

#[test]
fn without_a_user_agent_the_session_is_of_the_user_alone() {
    let fixture = fixture();
    fixture.gateway.send(&Request::get("/no-agent").bearer(&fixture.alice())).expect(200);
    let seen = fixture.arrived("/no-agent");
    assert_eq!(seen.headers.one("x-attach-session"), Some(sha256(b"alice:").as_str()));
}

#[test]
fn a_user_agent_beyond_ascii_is_hashed_as_the_original_hashes_it() {
    let fixture = fixture();
    let request = Request::get("/latin-agent").bearer(&fixture.alice()).header("user-agent", b"caf\xe9");
    fixture.gateway.send(&request).expect(200);
    let seen = fixture.arrived("/latin-agent");
    assert_eq!(seen.headers.one("x-attach-session"), Some(sha256("alice:café".as_bytes()).as_str()));
}

#[test]
fn two_sessions_of_one_token_differ_by_their_user_agents() {
    let fixture = fixture();
    let token = fixture.alice();
    for agent in ["one", "two"] {
        let request = Request::get(format!("/agent-{agent}")).bearer(&token).header("user-agent", agent);
        fixture.gateway.send(&request).expect(200);
        let expected = sha256(format!("alice:{agent}").as_bytes());
        let seen = fixture.arrived(&format!("/agent-{agent}"));
        assert_eq!(seen.headers.one("x-attach-session"), Some(expected.as_str()));
    }
}

#[test]
fn the_client_sees_the_beginning_of_its_user_and_session() {
    let fixture = fixture();
    let user = "auth0|0123456789abcdef0123456789abcdef";
    let request =
        Request::get("/seen-by-client").bearer(&fixture.world.first.token(user)).header("user-agent", "x");
    let response = fixture.gateway.send(&request).expect(200);
    assert_eq!(response.headers.one("x-attach-user"), Some(&user[..32]));
    let session = sha256(format!("{user}:x").as_bytes());
    assert_eq!(response.headers.one("x-attach-session"), Some(&session[..16]));
}

#[test]
fn the_second_issuers_users_have_its_prefix() {
    let fixture = fixture();
    let second = &fixture.world.second;
    let token = second.key("ES256").token(&second.claims(&json!({"sub": "bob"})));
    let request = Request::get("/second-issuer").bearer(&token).header("user-agent", "x");
    let response = fixture.gateway.send(&request).expect(200);
    let user = format!("{PREFIX}bob");
    assert_eq!(response.headers.one("x-attach-user"), Some(user.as_str()));
    let seen = fixture.arrived("/second-issuer");
    assert_eq!(seen.headers.one("x-attach-user"), Some(user.as_str()));
    assert_eq!(seen.headers.one("x-attach-session"), Some(sha256(format!("{user}:x").as_bytes()).as_str()));
}

#[test]
fn identity_headers_from_outside_are_removed_in_every_spelling() {
    let fixture = fixture();
    let request = forge(Request::get("/forged")).bearer(&fixture.alice());
    fixture.gateway.send(&request).expect(200);
    let seen = fixture.arrived("/forged");
    assert_eq!(
        attach_headers(&seen.headers.names()),
        ["x-attach-assertion", "x-attach-credential", "x-attach-session", "x-attach-user"]
    );
    assert_eq!(seen.headers.one("x-attach-user"), Some("alice"));
}

#[test]
fn they_are_removed_on_public_routes_too() {
    let fixture = fixture();
    fixture.gateway.send(&forge(Request::get("/public/forged"))).expect(200);
    let seen = fixture.arrived("/public/forged");
    assert_eq!(attach_headers(&seen.headers.names()), Vec::<String>::new(), "{:?}", seen.headers);
}

#[test]
fn they_are_removed_where_the_credential_is_forwarded() {
    let fixture = fixture();
    fixture.gateway.send(&forge(Request::get("/forward/forged")).bearer(&fixture.alice())).expect(200);
    let seen = fixture.arrived("/forward/forged");
    assert_eq!(
        attach_headers(&seen.headers.names()),
        ["x-attach-assertion", "x-attach-credential", "x-attach-session", "x-attach-user"]
    );
    assert_eq!(seen.headers.one("x-attach-user"), Some("alice"));
}

#[test]
fn forged_headers_without_a_token_are_no_identity() {
    let fixture = fixture();
    fixture.gateway.send(&forge(Request::get("/forged-alone"))).expect(401);
    fixture.nothing_arrived("/forged-alone");
}

#[test]
fn identity_in_trailers_is_removed() {
    let fixture = fixture();
    let mut call = Request::post_chunked("/trailers").bearer(&fixture.alice()).open(fixture.gateway.address);
    call.send(b"body");
    call.end(&[("X-Attach-User", "admin"), ("x_attach_session", "x"), ("x-other", "stays")]);
    assert_eq!(call.head().0, 200);
    let seen = fixture.arrived("/trailers");
    assert_eq!(attach_headers(&seen.trailers.names()), Vec::<String>::new(), "{:?}", seen.trailers);
    assert_eq!(seen.body, b"body");
}

#[test]
fn a_stamped_header_cannot_be_declared_hop_by_hop() {
    let fixture = fixture();
    let request = Request::get("/hop-by-hop")
        .bearer(&fixture.alice())
        .header("connection", "close, X-Attach-User, X-Attach-Session");
    let response = fixture.gateway.send(&request);
    if response.status == 200 {
        let seen = fixture.arrived("/hop-by-hop");
        assert_eq!(seen.headers.one("x-attach-user"), Some("alice"));
        let named = seen.headers.all("connection").concat().to_ascii_lowercase();
        assert!(!named.windows(8).any(|part| part == b"x-attach"), "{:?}", seen.headers);
    } else {
        fixture.nothing_arrived("/hop-by-hop");
    }
}

#[test]
fn an_engine_cannot_tell_the_client_that_it_is_somebody_else() {
    let fixture = fixture();
    fixture.upstream.on("/impostor", |exchange| {
        exchange.reply("200 OK", &[("X-Attach-User", "admin"), ("x-attach-session", "0")], b"{}")
    });
    let response = fixture.gateway.send(&Request::get("/impostor").bearer(&fixture.alice())).expect(200);
    assert_eq!(response.headers.one("x-attach-user"), Some("alice"));
    assert_eq!(response.headers.one("x-attach-session"), Some(&sha256(b"alice:")[..16]));
}

#[test]
fn the_credential_does_not_reach_the_engine() {
    let fixture = fixture();
    fixture.gateway.send(&Request::get("/no-credential").bearer(&fixture.alice())).expect(200);
    assert!(!fixture.arrived("/no-credential").headers.has("authorization"));
}

#[test]
fn a_route_that_says_so_keeps_the_credential() {
    let fixture = fixture();
    let token = fixture.alice();
    fixture.gateway.send(&Request::get("/forward/kept").bearer(&token)).expect(200);
    let seen = fixture.arrived("/forward/kept");
    assert_eq!(seen.headers.one("authorization"), Some(format!("Bearer {token}").as_str()));
}

#[test]
fn a_public_routes_credential_goes_nowhere() {
    let fixture = fixture();
    fixture
        .gateway
        .send(&Request::get("/public/credential").header("authorization", "Basic YTpi"))
        .expect(200);
    assert!(!fixture.arrived("/public/credential").headers.has("authorization"));
}
