//! `attach up`, `down` and the rest: what a person does, and what goes wrong.

mod refusing;
mod running;
mod starting;
mod tools;

use std::net::TcpListener;

use attach_tests::gateway::{Builder, Ended, Gateway};
use attach_tests::upstream::Upstream;

/// Its standard error says all of these.
fn says(ended: &Ended, words: &[&str]) {
    for word in words {
        assert!(ended.stderr.contains(word), "no {word:?} in:\n{}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

/// Nothing runs that `attach up` may have started, and all its ports are free.
fn nothing_runs(gateway: &Gateway) {
    assert_eq!(gateway.pids(), Vec::new());
    for address in [gateway.address, gateway.admin, gateway.control, gateway.idp, gateway.echo] {
        assert!(TcpListener::bind(address).is_ok(), "{address} is taken");
    }
}

/// An engine is given, so that an Ollama on this machine changes nothing.
fn dev(name: &str) -> (Builder, Upstream) {
    let upstream = Upstream::start();
    (Builder::new(name).set("ENGINE_URL", upstream.url()), upstream)
}
