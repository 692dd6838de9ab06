//! The stream machine on random scripts: what must not happen, whatever comes in whatever order.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)] // A test.

#[allow(dead_code, unreachable_pub)] // The machine and its rules as they are fuzzed; its parsers are not tried here.
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use proptest::prelude::*;

/// A line of a script (`fuzz/src/script.rs`): a header, or something that happens.
fn any_line() -> impl Strategy<Value = String> {
    let words = |list: &'static [&'static str]| prop::sample::select(list).prop_map(str::to_owned);
    let header = (
        words(&[
            "authorization",
            "user-agent",
            "x-attach-user",
            "x_attach_session",
            "X-Attach-Foo",
            "accept",
            "upgrade",
        ]),
        "[ -~]{0,40}",
    )
        .prop_map(|(name, value)| format!("{name} {value}"));
    let credential = prop::sample::select(fuzz::world::credentials())
        .prop_map(|(name, _)| format!("authorization Bearer ${name}"));
    let path = words(&[
        "/api/chat",
        "/healthz",
        "/auth/config",
        "/mem/events",
        "/agent",
        "/agents/planner/x",
        "/a/../b",
        "/admin/x",
        "/open/x",
        "/forward/x",
        "/auth/token",
        "*",
        "",
    ])
    .prop_map(|path| format!(":path {path}"));
    let message = words(&[
        ":method GET",
        ":method POST",
        ":method CONNECT",
        ":authority gateway",
        ":authority other",
        "content-digest $digest",
        "signature-agent \"https://bot.example\"",
        "$signed",
        "$signed ;nonce=\"n\"",
        "signature s=:AAAA:",
        "signature-input s=()",
    ]);
    let happens = words(&[
        "headers",
        "headers end",
        "body {\"model\":",
        "body \"llama3\"}",
        "body! $body",
        "body! tampered",
        "body end",
        "body! \"llama3\"}",
        "large 900",
        "large 1024",
        "large 2000",
        "trailers",
        "tick",
        "later 1000",
        "later 2000",
        "later 29000",
        "later 70000",
        "keys 0",
        "keys 1",
        "keys 2",
        "keys 3",
        "fails 0",
        "fails 2",
        "answer 200 {\"fresh\":true}",
        "answer 200 {\"fresh\":false}",
        "answer 200 $exchanged",
        "answer 200 {}",
        "answer 400 {}",
        "answer 503",
        "answer none",
        "response",
        "close",
        "next",
    ]);
    prop_oneof![2 => header, 3 => credential, 2 => path, 3 => message, 6 => happens]
}

/// A whole request of somebody who may come in, so that what follows it finds something begun.
fn any_request() -> impl Strategy<Value = Vec<String>> {
    let credential = prop::sample::select(fuzz::world::credentials());
    (
        credential,
        prop::sample::select(&["/api/chat", "/agent", "/mem/events", "/forward/x"][..]),
        any::<(bool, bool)>(),
    )
        .prop_map(|((name, _), path, (signed, end))| {
            let mut lines =
                vec![":method POST".to_owned(), format!(":path {path}"), ":authority gateway".to_owned()];
            lines.push(format!("authorization Bearer ${name}"));
            if signed {
                lines.extend(["content-digest $digest".to_owned(), "$signed".to_owned()]);
            }
            lines.push(if end { "headers end" } else { "headers" }.to_owned());
            lines
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 1000 } else { 20_000 }))]

    #[test]
    fn whatever_comes_there_is_one_reply_at_most_and_nothing_passes_unverified(
        words in prop::sample::subsequence(
            vec!["shadow", "control", "models", "scopes", "development", "cold"], 0..=4
        ),
        first in prop::option::weighted(0.7, any_request()),
        lines in prop::collection::vec(any_line(), 1..16),
    ) {
        let first = first.unwrap_or_default();
        let script = [vec![format!("set {}", words.join(" "))], first, lines].concat().join("\n");
        if let Err(broken) = fuzz::machine::run(&script) {
            prop_assert!(false, "{broken}:\n{script}");
        }
    }
}
