//! What is fuzzed, and what must hold of it. `tests/corpus.rs` runs the same on the seeds in `corpus/`.
//!
//! Inputs are text, so that seeds can be read and written by hand: `$alice` and the like stand for
//! credentials that are really signed ([`world`]), without which nothing would get past a signature.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)] // A test.

pub mod machine;
mod parsers;
mod redacting;
mod script;
pub mod world;

pub use parsers::{did, extractor, hmac, httpsig, jwks, jws};
pub use redacting::redact;

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 8] = [
    ("extractor", extractor),
    ("jws", jws),
    ("did", did),
    ("jwks", jwks),
    ("httpsig", httpsig),
    ("hmac", hmac),
    ("redact", redact),
    ("stream_machine", stream_machine),
];

/// The stream machine: whatever happens to a stream, in whatever order.
///
/// # Panics
/// When a rule is broken.
pub fn stream_machine(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    if let Err(broken) = machine::run(text) {
        panic!("{broken}");
    }
}
