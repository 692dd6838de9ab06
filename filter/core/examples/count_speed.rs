//! How fast tokens are counted: prints MB/s by kind of text, and what the first use costs.
//!
//! Runs natively, and inside a wasm VM as `vm_speed` does: built for `wasm32-wasip1` with the module's
//! profile and run by node's WASI, whose V8 is the engine that Envoy runs the filter in.

#![allow(clippy::string_slice)] // No part of the filter.

use std::hint::black_box;
use std::time::Instant;

use attach_core::llm::bpe::{Encoding, TextCounter, count};

const ENGLISH: &str = include_str!("../../../README.md");
const CODE: &str = include_str!("../src/stream.rs");
const CHINESE: &str = "网关在请求到达模型之前验证调用者的身份，并按照每个用户的限额预留令牌。\
如果预算不够，请求会被拒绝，而不会产生任何费用；流式回答结束之后，实际使用的数量会被记入账本。";
const RUSSIAN: &str = "Шлюз проверяет, кто вызывает модель, и заранее резервирует токены из его бюджета. \
Когда ответ закончен, записывается действительное количество, а остаток возвращается. ";

/// A text of about `bytes` bytes, of a part over and over.
fn repeated(part: &str, bytes: usize) -> String {
    part.repeat(bytes / part.len() + 1)
}

/// Letters without order, a word of them every `word` characters.
fn random(bytes: usize, word: usize) -> String {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    (0..bytes)
        .map(|at| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if at % word == word - 1 { ' ' } else { char::from(b'a' + (state % 26) as u8) }
        })
        .collect()
}

/// The seconds of the quickest of so many runs: what else the machine does only ever adds.
fn quickest(times: usize, mut step: impl FnMut()) -> f64 {
    (0..times)
        .map(|_| {
            let start = Instant::now();
            step();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

fn main() {
    let kilobyte = &ENGLISH[..1_000];
    for encoding in [Encoding::Cl100k, Encoding::O200k] {
        let start = Instant::now();
        black_box(count(encoding, black_box(kilobyte)));
        println!("{:12} first use {:8.0} µs", encoding.name(), start.elapsed().as_secs_f64() * 1e6);
    }

    let rows: [(&str, String); 13] = [
        ("English", repeated(ENGLISH, 1_000_000)),
        ("code", repeated(CODE, 1_000_000)),
        (
            "JSON",
            repeated(
                r#"{"id":"chatcmpl-9f2","model":"gpt-4o","created":1718345013,"choices":[{"index":0,"delta":{"content":" of"}}]}"#,
                1_000_000,
            ),
        ),
        ("Chinese", repeated(CHINESE, 1_000_000)),
        ("Russian", repeated(RUSSIAN, 1_000_000)),
        ("emoji", repeated("🙂 👩‍👩‍👧 🏽 ok ", 1_000_000)),
        ("random words", random(1_000_000, 9)),
        ("base64-like", random(1_000_000, 77)),
        ("one word", random(1_000_000, 1_000_001)),
        ("only a", "a".repeat(1_000_000)),
        ("only spaces", " ".repeat(1_000_000)),
        ("only newlines", "\n".repeat(1_000_000)),
        ("one emoji", repeated("🙂", 1_000_000)),
    ];
    for encoding in [Encoding::Cl100k, Encoding::O200k] {
        let kilo = quickest(2_001, || {
            black_box(count(encoding, black_box(kilobyte)));
        });
        println!("{:12} {:14} {:8.2} µs", encoding.name(), "1 KB", kilo * 1e6);
        for (name, text) in &rows {
            let whole = quickest(9, || {
                black_box(count(encoding, black_box(text)));
            });
            // As a body arrives, and as an answer does.
            let [body, answer] = [16_384, 20].map(|chunk| {
                quickest(5, || {
                    let mut counter = TextCounter::new(encoding);
                    for bytes in text.as_bytes().chunks(chunk) {
                        counter.push(black_box(bytes));
                    }
                    black_box(counter.finish());
                })
            });
            let speed = |seconds: f64| text.len() as f64 / 1e6 / seconds;
            println!(
                "{:12} {name:14} {:8.1} MB/s whole, {:8.1} in 16 KiB, {:8.1} in 20 bytes, {:.2} bytes per token",
                encoding.name(),
                speed(whole),
                speed(body),
                speed(answer),
                text.len() as f64 / count(encoding, text) as f64,
            );
        }
    }
}
