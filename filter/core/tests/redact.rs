//! Redaction: a corpus of secrets and of what looks like them, with precision and recall, and what holds of any text.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)] // A test.

use attach_core::redact::{CustomPattern, Redactor, Rules};

#[path = "redact/corpus.rs"]
mod redact_corpus;
#[path = "redact/custom.rs"]
mod redact_custom;
#[path = "redact/properties.rs"]
mod redact_properties;

/// One that looks for national ids as well.
fn redactor() -> Redactor {
    Redactor::new(&Rules { national_ids: true, custom: Vec::new() }).unwrap()
}

fn custom(patterns: &[(&str, &str)]) -> Vec<CustomPattern> {
    let one =
        |(kind, pattern): &(&str, &str)| CustomPattern { kind: (*kind).into(), pattern: (*pattern).into() };
    patterns.iter().map(one).collect()
}

/// A text with a secret in it.
struct Sample {
    kind: &'static str,
    text: String,
    /// What of it must go.
    secret: String,
}

/// A line as it is meant: marks that hide a prefix from scanners are taken out.
fn plain(line: &str) -> String {
    line.replace('¦', "").replace('⏎', "\n")
}

fn lines(file: &'static str) -> impl Iterator<Item = &'static str> {
    file.lines().filter(|line| !line.starts_with("# ") && !line.is_empty())
}

fn samples() -> Vec<Sample> {
    lines(include_str!("redact/secrets.txt"))
        .map(|line| {
            let (kind, text) = line.split_once('\t').unwrap();
            let text = plain(text);
            let (_, rest) = text.split_once('«').unwrap();
            let (secret, _) = rest.split_once('»').unwrap();
            Sample { kind, secret: secret.into(), text: text.replace(['«', '»'], "") }
        })
        .collect()
}

fn look_alikes() -> Vec<String> {
    lines(include_str!("redact/look_alikes.txt")).map(plain).collect()
}
