//! How fast tokens are counted: prints MB/s by kind of text, and what the first use costs.
//!
//! With the arguments `texts FILE` it writes the ordinary ones of its texts to a file, for others to count.
//!
//! Runs natively, and inside a wasm VM as `vm_speed` does: built for `wasm32-wasip1` with the module's
//! profile and run by node's WASI, whose V8 is the engine that Envoy runs the filter in.

#![allow(clippy::string_slice, clippy::unwrap_used, clippy::indexing_slicing)] // No part of the filter.

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

/// The median seconds of a step that is run so often.
fn median(times: usize, mut step: impl FnMut()) -> f64 {
    let mut seconds: Vec<f64> = (0..times)
        .map(|_| {
            let start = Instant::now();
            step();
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[times / 2]
}

/// How long each text is, in bytes.
const BYTES: usize = 250_000;
/// So many of the texts are what people and machines write; the others are hard.
const ORDINARY: usize = 5;

fn texts() -> [(&'static str, String); 13] {
    [
        ("English", repeated(ENGLISH, BYTES)),
        ("code", repeated(CODE, BYTES)),
        (
            "JSON",
            repeated(
                r#"{"id":"chatcmpl-9f2","model":"gpt-4o","created":1718345013,"choices":[{"index":0,"delta":{"content":" of"}}]}"#,
                BYTES,
            ),
        ),
        ("Chinese", repeated(CHINESE, BYTES)),
        ("Russian", repeated(RUSSIAN, BYTES)),
        ("emoji", repeated("🙂 👩‍👩‍👧 🏽 ok ", BYTES)),
        ("random words", random(BYTES, 9)),
        ("base64-like", random(BYTES, 77)),
        ("one word", random(BYTES, BYTES + 1)),
        ("only a", "a".repeat(BYTES)),
        ("only spaces", " ".repeat(BYTES)),
        ("only newlines", "\n".repeat(BYTES)),
        ("one emoji", repeated("🙂", BYTES)),
    ]
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [what, path] = &*arguments
        && what == "texts"
    {
        let texts = serde_json::to_vec(&texts()[..ORDINARY]).unwrap();
        std::fs::write(path, texts).unwrap();
        return;
    }
    let kilobyte = &ENGLISH[..1_000];
    for encoding in [Encoding::Cl100k, Encoding::O200k] {
        let start = Instant::now();
        black_box(count(encoding, black_box(kilobyte)));
        println!("{:12} first use {:8.0} µs", encoding.name(), start.elapsed().as_secs_f64() * 1e6);
    }

    let texts = texts();
    for encoding in [Encoding::Cl100k, Encoding::O200k] {
        let kilo = median(2_001, || {
            black_box(count(encoding, black_box(kilobyte)));
        });
        println!("{:12} {:14} {:8.2} µs", encoding.name(), "1 KB", kilo * 1e6);
        for (name, text) in &texts {
            let whole = median(7, || {
                black_box(count(encoding, black_box(text)));
            });
            // As a body arrives, and as an answer does.
            let [body, answer] = [16_384, 20].map(|chunk| {
                median(3, || {
                    let mut counter = TextCounter::new(encoding);
                    for bytes in text.as_bytes().chunks(chunk) {
                        counter.push(black_box(bytes));
                    }
                    black_box(counter.finish());
                })
            });
            let speed = |seconds: f64| text.len() as f64 / 1e6 / seconds;
            println!(
                "{:12} {name:14} {:8.1} MB/s whole, {:8.1} in 16 KiB, {:8.1} in 20 bytes, {} tokens",
                encoding.name(),
                speed(whole),
                speed(body),
                speed(answer),
                count(encoding, text),
            );
        }
    }
}
