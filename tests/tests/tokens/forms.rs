//! Bodies that are too large, that cannot be read, or that say something else than they are.

use attach_tests::request::Request;
use serde_json::{Value, json};

use crate::kit::{self, CHAT, MAX_BYTES, PROMPT, cost, row};

/// A chat of exactly so many bytes.
fn chat_of(length: usize) -> Vec<u8> {
    let empty = kit::chat("", &json!({"max_tokens": 1})).to_string().len();
    kit::chat(&"a".repeat(length - empty), &json!({"max_tokens": 1})).to_string().into_bytes()
}

fn json(body: &[u8]) -> Value {
    serde_json::from_slice(body).expect("JSON")
}

#[test]
fn a_call_that_is_too_large_is_told_how_large_it_may_be() {
    let fixture = kit::limited();
    let token = fixture.world.first.token("plenty-large");
    let target = format!("{CHAT}?too-large-call");
    let too_large = json!({"detail": "request too large", "limit_bytes": MAX_BYTES});

    // By its length alone, before any of it has come.
    let mut announced = Request::new("POST", &target)
        .bearer(&token)
        .header("content-length", (MAX_BYTES + 1).to_string())
        .open(fixture.gateway.address);
    assert_eq!(announced.head().0, 413);
    assert_eq!(json(&announced.rest()), too_large);

    let whole = Request::post(&target, chat_of(MAX_BYTES + 1)).bearer(&token);
    assert_eq!(fixture.gateway.send(&whole).expect(413).json(), too_large);

    // Without a length, as soon as there is too much.
    let mut chunked = Request::post_chunked(&target).bearer(&token).open(fixture.gateway.address);
    for piece in chat_of(MAX_BYTES + 1).chunks(4096) {
        chunked.send(piece);
    }
    assert_eq!(chunked.head().0, 413);
    assert_eq!(json(&chunked.rest()), too_large);
    fixture.nothing_arrived(&target);

    let fits = Request::post(format!("{CHAT}?fits"), chat_of(MAX_BYTES)).bearer(&token);
    fixture.gateway.send(&fits).expect(200);
    let mut chunked =
        Request::post_chunked(format!("{CHAT}?fits")).bearer(&token).open(fixture.gateway.address);
    for piece in chat_of(MAX_BYTES).chunks(4096) {
        chunked.send(piece);
    }
    chunked.end(&[]);
    assert_eq!(chunked.head().0, 200);
}

/// The default is the original's, and the filter's own answer comes before Envoy's.
#[test]
fn a_megabyte_is_the_most_where_nobody_says_otherwise() {
    let fixture = kit::free();
    let target = format!("{CHAT}?megabyte");
    let send =
        |length| fixture.gateway.send(&Request::post(&target, chat_of(length)).bearer(&fixture.alice()));
    let refused = send(1_000_001).expect(413);
    assert_eq!(refused.json(), json!({"detail": "request too large", "limit_bytes": 1_000_000}));
    fixture.nothing_arrived(&target);
    send(1_000_000).expect(200);
    assert_eq!(fixture.arrived(&target).body.len(), 1_000_000);
}

#[test]
fn other_routes_stream_whatever_their_size() {
    let fixture = kit::limited();
    let token = fixture.world.first.token("plenty-other");
    let body = vec![b'x'; 3_000_000];
    fixture.gateway.send(&Request::post("/api/blobs/sha256:other-routes", &body).bearer(&token)).expect(200);
    assert!(fixture.arrived("other-routes").body == body);
    // In an encoding, too: nobody reads them.
    let encoded = Request::post("/api/blobs/sha256:other-coding", &body).bearer(&token);
    fixture.gateway.send(&encoded.header("content-encoding", "gzip")).expect(200);
}

#[test]
fn a_call_in_an_encoding_is_refused() {
    let fixture = kit::limited();
    let token = fixture.world.first.token("plenty-encoded");
    for coding in ["gzip", "br", "zstd", "identity, gzip"] {
        let request = Request::post(format!("{CHAT}?encoded"), chat_of(500)).bearer(&token);
        let refused = fixture.gateway.send(&request.header("content-encoding", coding)).expect(415);
        assert!(refused.detail().contains("content-encoding"), "{}", refused.text());
    }
    fixture.nothing_arrived("encoded");
    let plain = Request::post(format!("{CHAT}?identity"), chat_of(500)).bearer(&token);
    fixture.gateway.send(&plain.header("content-encoding", "identity")).expect(200);
}

/// An answer in an encoding cannot be counted: none is asked for.
#[test]
fn the_engine_is_asked_for_a_plain_answer() {
    let fixture = kit::limited();
    let target = format!("{CHAT}?accepts");
    let body = kit::chat(kit::HI, &json!({"max_tokens": 5}));
    let request = kit::call(fixture, "plenty-accepts", "accepts", &target, &body);
    fixture.gateway.send(&request.header("accept-encoding", "gzip, br")).expect(200);
    assert_eq!(fixture.arrived(&target).headers.one("accept-encoding"), Some("identity"));
}

/// `curl -d` says that it sends a form.
#[test]
fn a_call_is_counted_whatever_type_it_says_it_has() {
    let fixture = kit::limited();
    let token = fixture.world.first.token("plenty-types");
    for (at, content_type) in
        ["application/x-www-form-urlencoded", "text/plain", "application/json; charset=utf-8", ""]
            .into_iter()
            .enumerate()
    {
        let project = format!("type-{at}");
        let target = format!("{CHAT}?{project}");
        fixture.upstream.on(&target, |exchange| kit::reply(exchange, &kit::silent(kit::WORD)));
        let body = kit::chat(kit::HI, &json!({"max_tokens": 5})).to_string();
        let mut request = Request::post(&target, body).bearer(&token).header("x-attach-project", &project);
        if !content_type.is_empty() {
            request = request.header("content-type", content_type);
        }
        fixture.gateway.send(&request).expect(200);
        assert_eq!(cost(&row(fixture, "plenty-types", &project)), (PROMPT, 1, "counted"), "{content_type}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_under_a_limit_and_nowhere_else() {
    let fixture = kit::limited();
    let token = fixture.world.first.token("plenty-unread");
    for body in ["", "hello", "[]", "{\"model\":", "{\"a\":1}}", "model=x&prompt=y"] {
        let request = Request::post(format!("{CHAT}?unread"), body).bearer(&token);
        let refused = fixture.gateway.send(&request).expect(400);
        assert!(refused.detail().contains("JSON"), "{}", refused.text());
    }
    fixture.nothing_arrived("?unread");
    let request = Request::post(format!("{CHAT}?unread-free"), "hello").bearer(&fixture.alice());
    fixture.gateway.send(&request).expect(200);
    assert_eq!(fixture.arrived("unread-free").body, b"hello");
}

/// However a path is written, the engine reads the same call.
#[test]
fn no_spelling_of_a_path_is_a_way_around_a_limit() {
    let fixture = kit::limited();
    let body = kit::chat(kit::HI, &json!({"max_tokens": 91}));
    for (at, path) in [
        "/v1/chat/completions/",
        "//v1//chat/completions",
        "/v1/./chat/completions",
        "/v1/models/../chat/completions",
        "/V1/CHAT/Completions",
        "/v1/ch%61t/completions",
        "/prefix/v1/chat/completions",
    ]
    .into_iter()
    .enumerate()
    {
        let token = fixture.world.first.token(&format!("hundred-path-{at}"));
        let request = Request::post_json(path, &body).bearer(&token);
        let all: Vec<u16> = (0..3).map(|_| fixture.gateway.send(&request).status).collect();
        // The engine's usual answer reports nothing: the prompt and a few tokens are used of each hundred.
        assert!(all[1..].iter().all(|status| *status != 200), "{path}: {all:?}");
    }
}
