//! Counting against an independent implementation, whose counts `tests/peers/tokens/make_corpus.mjs` wrote
//! down.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // A test.

use attach_core::llm::bpe::{Encoding, TextCounter, count};

const CORPUS: &str = include_str!("data/token_counts.jsonl");

fn corpus() -> Vec<(String, u64, u64)> {
    CORPUS.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_text_of_the_corpus_counts_as_the_peer_counted_it() {
    let corpus = corpus();
    assert!(corpus.len() >= 2_000, "{}", corpus.len());
    let mut wrong = Vec::new();
    for (text, cl100k, o200k) in &corpus {
        for (encoding, expected) in [(Encoding::Cl100k, *cl100k), (Encoding::O200k, *o200k)] {
            let counted = count(encoding, text);
            if counted != expected {
                wrong.push(format!("{} {counted} instead of {expected}: {text:?}", encoding.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), corpus.len(), wrong.join("\n"));
}

#[test]
fn every_text_of_the_corpus_counts_the_same_however_it_arrives() {
    for (text, cl100k, o200k) in corpus() {
        for (encoding, expected) in [(Encoding::Cl100k, cl100k), (Encoding::O200k, o200k)] {
            // One counter for all: nothing of a text is left when the next begins.
            let mut counter = TextCounter::new(encoding);
            for size in [1, 2, 3, 5, 16, 61] {
                for piece in text.as_bytes().chunks(size) {
                    counter.push(piece);
                }
                assert!(counter.counted() <= expected);
                assert!(expected <= counter.counted() + counter.pending_bytes() as u64);
                assert_eq!(counter.finish(), expected, "{} by {size}: {text:?}", encoding.name());
            }
        }
    }
}

#[test]
fn the_corpus_cut_in_two_anywhere_counts_the_same() {
    for (text, cl100k, o200k) in corpus().into_iter().filter(|(text, ..)| text.len() <= 60) {
        for (encoding, expected) in [(Encoding::Cl100k, cl100k), (Encoding::O200k, o200k)] {
            let mut counter = TextCounter::new(encoding);
            for at in 0..=text.len() {
                let (start, end) = text.as_bytes().split_at(at);
                counter.push(start);
                counter.push(end);
                assert_eq!(counter.finish(), expected, "{} at {at}: {text:?}", encoding.name());
            }
        }
    }
}

#[test]
fn models_have_the_encoding_that_tiktoken_gives_them() {
    const C: Option<Encoding> = Some(Encoding::Cl100k);
    const O: Option<Encoding> = Some(Encoding::O200k);
    for (model, expected) in [
        ("gpt-4", C),
        ("gpt-4-0314", C),
        ("gpt-4-32k", C),
        ("gpt-3.5-turbo", C),
        ("gpt-3.5-turbo-0125", C),
        ("gpt-3.5", C),
        ("gpt-35-turbo-16k", C),
        ("text-embedding-ada-002", C),
        ("text-embedding-3-large", C),
        ("davinci-002", C),
        ("ft:gpt-3.5-turbo:org::id", C),
        ("ft:gpt-4-0613:org::id", C),
        ("ft:davinci-002:org", C),
        ("gpt-4o", O),
        ("gpt-4o-mini", O),
        ("gpt-4.1", O),
        ("gpt-4.1-nano", O),
        ("gpt-4.5-preview", O),
        ("gpt-5", O),
        ("gpt-5.1-codex", O),
        ("gpt-5-mini", O),
        ("chatgpt-4o-latest", O),
        ("o1", O),
        ("o1-preview", O),
        ("o3-mini", O),
        ("o4-mini", O),
        ("o4-mini-2025-04-16", O),
        ("gpt-oss-20b", O),
        ("ft:gpt-4o-mini-2024-07-18:org", O),
        ("gpt-4.1x", None),
        ("gpt-3.5x", None),
        ("o4", None),
        ("o1x", None),
        ("text-davinci-003", None),
        ("davinci", None),
        ("gpt2", None),
        ("tinyllama", None),
        ("claude-sonnet-4", None),
        ("GPT-4", None),
        ("", None),
    ] {
        assert_eq!(Encoding::of_model(model), expected, "{model}");
    }
}

#[test]
fn encodings_are_known_by_tiktokens_names() {
    for encoding in [Encoding::Cl100k, Encoding::O200k] {
        assert_eq!(Encoding::parse(encoding.name()), Some(encoding));
        assert_eq!(TextCounter::new(encoding).encoding(), encoding);
    }
    for unknown in ["", "cl100k", "CL100K_BASE", "p50k_base", "o200k_base "] {
        assert_eq!(Encoding::parse(unknown), None, "{unknown}");
    }
}

#[test]
fn the_text_of_special_tokens_is_ordinary() {
    assert_eq!(count(Encoding::Cl100k, "<|endoftext|>"), 7);
    assert_eq!(count(Encoding::O200k, "<|endoftext|>"), 7);
}

#[test]
fn debug_output_has_nothing_of_the_text() {
    let mut counter = TextCounter::new(Encoding::Cl100k);
    counter.push("one secret".as_bytes());
    let shown = format!("{counter:?}");
    assert!(shown.contains("counted: 1") && !shown.contains("secret"), "{shown}");
}
