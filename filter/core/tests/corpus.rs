//! The fuzz targets on their seeds, so that what was found once is found again without a fuzzer.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)] // A test.

#[allow(dead_code, unreachable_pub)] // A crate of its own, where everything is fuzzed.
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

#[test]
fn no_seed_of_any_target_breaks_a_rule() {
    let mut broken = Vec::new();
    for (name, target) in fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let mut seeds: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        seeds.sort();
        assert!(seeds.len() >= 5, "{name} has {} seeds", seeds.len());
        for seed in seeds {
            let data = fs::read(&seed).unwrap();
            if catch_unwind(AssertUnwindSafe(|| target(&data))).is_err() {
                broken.push(seed.strip_prefix(&folder).unwrap().display().to_string());
            }
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn a_seed_cut_anywhere_breaks_no_rule() {
    for (name, target) in fuzz::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        for seed in fs::read_dir(&folder).unwrap() {
            let data = fs::read(seed.unwrap().path()).unwrap();
            let step = data.len() / 16 + 1;
            for end in (0..data.len()).step_by(step) {
                target(&data[..end]);
                target(&data[end..]);
            }
        }
    }
}

/// A seed that gets nowhere is none: these say what must become of their streams.
#[test]
fn seeds_of_the_machine_come_where_they_should() {
    for (seed, became) in [
        ("forwarded", "alice"),
        ("cached", "alice alice"),
        ("refused", "401"),
        ("no-credential", "401"),
        ("public", "nobody"),
        ("health", "200"),
        ("waits", "alice"),
        ("too-late", "503"),
        ("fetch-fails", "503"),
        ("unknown-key", "401"),
        ("rotagent", "key:orchestrator"),
        ("rotagent-replayed", "key:orchestrator 429"),
        ("rotagent-tampered", "401 key:orchestrator"),
        ("rotagent-empty", "key:orchestrator"),
        ("rotagent-waits", "key:orchestrator"),
        ("rotagent-large", "413"),
        ("rotagent-cold-large", "503"),
        ("rotagent-upgrade", "401"),
        ("rotagent-trailers", "key:orchestrator"),
        ("control-fresh", "key:orchestrator"),
        ("control-used", "429"),
        ("control-away", "503"),
        ("control-late", "-"),
        ("exchange", "alice"),
        ("exchange-refused", "401"),
        ("exchange-broken", "401"),
        ("exchange-away", "503"),
        ("shadow", "nobody"),
        ("shadow-control", "401"),
        ("shadow-body", "nobody"),
        ("shadow-waits", "nobody"),
        ("model", "alice"),
        ("model-forbidden", "403"),
        ("model-unnamed", "403"),
        ("model-in-path", "403"),
        ("scopes", "bob 403"),
        ("signed", "sig:bot"),
        ("signed-twice", "sig:bot 401"),
        ("signed-beside", "alice"),
        ("signed-agent", "401"),
        ("signed-body", "sig:bot"),
        ("signed-cold", "sig:bot"),
        ("hmac", "hmac:billing"),
        ("gateway", "carol"),
        ("statement", "401"),
        ("two-credentials", "401"),
        ("odd-path", "400"),
        ("ending", "alice 401"),
        ("held-back", "401"),
        ("held-back-signed", "401"),
        ("answered-late", "401"),
        ("body-late", "408"),
        ("development", "key:orchestrator key:orchestrator"),
        ("call", "alice"),
        ("call-pieces", "alice"),
        ("call-trailers", "alice"),
        ("call-refused", "alice 429"),
        ("call-streamed", "alice"),
        ("call-cut", "alice"),
        ("call-control", "alice"),
        ("call-control-away", "503"),
        ("call-control-gone", "-"),
        ("call-control-grows", "alice"),
        ("call-twice", "alice"),
        ("call-shadow", "alice"),
        ("call-refuses-options", "alice"),
        ("call-quota-me", "200 -"),
        ("call-upgrade", "403"),
        ("call-unreadable", "400"),
        ("memory", "alice"),
        ("memory-held", "alice"),
        ("memory-late", "alice alice"),
        ("memory-off", "alice"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/stream_machine").join(seed);
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(
            fuzz::machine::run(&text).map(|streams| streams.join(" ")),
            Ok(became.to_owned()),
            "{seed}"
        );
    }
}
