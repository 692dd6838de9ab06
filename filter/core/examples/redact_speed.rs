//! How fast secrets are looked for: prints MB/s by kind of text, with and without findings and custom patterns.
//!
//! Runs natively, and inside a wasm VM as `vm_speed` does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // No part of the filter.

use std::hint::black_box;
use std::time::Instant;

use attach_core::redact::{CustomPattern, Redactor, Rules};

const ENGLISH: &str = include_str!("../../../README.md");
const CODE: &str = include_str!("../src/stream.rs");
const SECRETS: &str = include_str!("../tests/redact/secrets.txt");
const CHINESE: &str = "网关在请求到达模型之前验证调用者的身份，并按照每个用户的限额预留令牌。";
const JSON: &str = r#"{"id":"chatcmpl-9f2","model":"gpt-4o","created":1718345013,"choices":[{"index":0,"delta":{"content":" of"}}]}"#;
const NUMBERS: &str = "2024-01-31 12:34:56.789 10.0.0.1 1718345013000 99.95 1234 ";

/// How long each text is, in bytes.
const BYTES: usize = 1_000_000;

fn speed(redactor: &Redactor, text: &str) -> f64 {
    let mut seconds: Vec<f64> = (0..9)
        .map(|_| {
            let start = Instant::now();
            black_box(redactor.redact(black_box(text)));
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    text.len() as f64 / 1e6 / seconds[4]
}

fn main() {
    let plain = Redactor::new(&Rules::default()).unwrap();
    let ids = Redactor::new(&Rules { national_ids: true, custom: Vec::new() }).unwrap();
    let pattern = |kind: &str, pattern: &str| CustomPattern { kind: kind.into(), pattern: pattern.into() };
    let custom =
        vec![pattern("employee", r"\bEMP-\d{6}\b"), pattern("project", "(?i)project (neptune|pluto)")];
    let custom = Redactor::new(&Rules { national_ids: false, custom }).unwrap();
    let prose = ENGLISH.lines().filter(|line| !line.contains("https://")).collect::<Vec<_>>().join("\n");
    let texts = [
        ("prose", plain.redact(&prose).into_owned()),
        ("code", plain.redact(CODE).into_owned()),
        ("JSON", JSON.to_owned()),
        ("Chinese", CHINESE.to_owned()),
        ("numbers", NUMBERS.to_owned()),
        ("secrets", SECRETS.replace(['«', '»', '¦'], "")),
    ];
    for (name, part) in texts {
        let text = part.repeat(BYTES / part.len() + 1);
        let is_found = plain.redact(&text) != text;
        println!(
            "{name:8} {:8.0} MB/s, {:8.0} with national ids, {:8.0} with custom patterns, {}",
            speed(&plain, &text),
            speed(&ids, &text),
            speed(&custom, &text),
            if is_found { "with findings" } else { "without findings" },
        );
    }
}
