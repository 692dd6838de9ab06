//! A gateway with an issuer before it and an engine behind it.

use std::fs;

use attach_tests::gateway::{Builder, Gateway};
use attach_tests::issuer::Issuer;
use attach_tests::mint::Mint;
use attach_tests::request::{Request, Response};
use attach_tests::upstream::Upstream;
use serde_json::Value;

use crate::AUDIENCE;

/// The folder of authorised keys, beside the env file.
pub const KEYS: &str = "keys";

/// A gateway between its issuer and its engine.
pub struct Site {
    /// The gateway.
    pub gateway: Gateway,
    /// The engine.
    pub upstream: Upstream,
    /// Makes the issuer's tokens.
    pub mint: Mint,
}

impl Site {
    /// Starts one, with the keys of its folder of authorised keys: names of files, and what stands in them.
    pub fn start(name: &str, keys: &[(&str, &str)], change: impl FnOnce(Builder) -> Builder) -> Self {
        let mint = Mint::new("", AUDIENCE);
        let issuer = Issuer::start(mint.jwks());
        let mint = mint.of_issuer(&issuer.url());
        let builder = Builder::new(name).set("OIDC_ISSUER", issuer.url()).set("OIDC_AUD", AUDIENCE);
        Self::start_with(builder, mint, keys, change)
    }

    /// Starts one that knows no OIDC issuer.
    pub fn start_without_issuer(
        name: &str,
        keys: &[(&str, &str)],
        change: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        Self::start_with(Builder::new(name), Mint::new("https://nobody.example", AUDIENCE), keys, change)
    }

    /// Starts one whose issuer is somebody else.
    pub fn start_with(
        builder: Builder,
        mint: Mint,
        keys: &[(&str, &str)],
        change: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let site = Self::prepare_with(builder, mint, change);
        fs::create_dir_all(site.gateway.folder().join(KEYS)).expect("a folder of keys");
        for (name, content) in keys {
            site.put_key(name, content);
        }
        site.gateway.up().expect_success();
        site
    }

    /// Makes its folder, and starts nothing but the engine.
    pub fn prepare_with(builder: Builder, mint: Mint, change: impl FnOnce(Builder) -> Builder) -> Self {
        let upstream = Upstream::start();
        let builder = builder
            .set("ENGINE_URL", upstream.url())
            .set("ENGINE_REWRITE_CHAT", "off")
            .set("ENVOY_CONCURRENCY", 2);
        Self { gateway: change(builder).prepare(), upstream, mint }
    }

    /// Puts a file into the folder of authorised keys.
    pub fn put_key(&self, name: &str, content: &str) {
        self.gateway.write_file(&format!("{KEYS}/{name}"), content);
    }

    /// Removes a file from it.
    pub fn remove_key(&self, name: &str) {
        fs::remove_file(self.gateway.folder().join(KEYS).join(name)).expect("it was there");
    }

    /// Sends a request to the gateway.
    pub fn send(&self, request: &Request) -> Response {
        self.gateway.send(request)
    }

    /// Whom the engine was told the caller is, of the one request with `mark` in its target.
    pub fn user(&self, mark: &str) -> Option<String> {
        self.upstream.only(mark).headers.one("x-attach-user").map(str::to_owned)
    }

    /// Why the one request with `mark` in its path was refused, as the access log has it.
    pub fn reason(&self, mark: &str) -> String {
        let lines = self.gateway.access_log(mark, 1);
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines[0]["reason"].as_str().unwrap_or("no reason in the log").to_owned()
    }

    /// Says that nothing with `mark` in its target has reached the engine.
    pub fn nothing_arrived(&self, mark: &str) {
        let seen = self.upstream.seen(mark);
        assert!(seen.is_empty(), "reached the engine: {seen:#?}");
    }
}

/// A text of a JSON document.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// A request with the headers that a script gave.
pub fn with_headers(request: Request, headers: &Value) -> Request {
    let headers = headers.as_object().expect("headers");
    headers.iter().fold(request, |request, (name, value)| request.header(name, text(value)))
}

/// Sends the same request at the same time from many threads; the statuses, sorted.
pub fn all_at_once(count: usize, send: impl Fn(usize) -> u16 + Sync) -> Vec<u16> {
    let start = std::sync::Barrier::new(count);
    let mut statuses: Vec<u16> = std::thread::scope(|scope| {
        let (start, send) = (&start, &send);
        let threads: Vec<_> = (0..count)
            .map(|number| {
                scope.spawn(move || {
                    start.wait();
                    send(number)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("it ends")).collect()
    });
    statuses.sort_unstable();
    statuses
}
