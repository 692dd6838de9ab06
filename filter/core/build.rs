//! Lays the vocabularies of `cl100k_base` and `o200k_base` and the classes of Unicode's characters out as
//! the flat tables that `llm/bpe` reads in place. What is written depends on nothing but the two crates it
//! comes from, whose versions Cargo.lock holds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // Fails the build.

use std::path::Path;
use std::{env, fs};

use regex_syntax::hir::{Class, HirKind};

#[path = "src/llm/bpe/hash.rs"]
#[allow(dead_code)]
mod hash;

/// The share of the slots that is taken: 3 in 5, at which a search ends after a few.
const TAKEN: (usize, usize) = (3, 5);

/// Characters per block of the class table.
const BLOCK: usize = 128;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/llm/bpe/hash.rs");
    let out = env::var("OUT_DIR").expect("Cargo sets OUT_DIR");
    let out = Path::new(&out);
    // As many as the published rank files hold.
    vocabulary(out, "cl100k", &tiktoken_rs::cl100k_base().expect("the crate's own file"), 100_256);
    vocabulary(out, "o200k", &tiktoken_rs::o200k_base().expect("the crate's own file"), 199_998);
    classes(out);
}

/// Writes a vocabulary as three files:
///
/// - `bytes`: the bytes of all tokens one after the other, by rank. So where a token starts orders tokens
///   as their ranks do, and no table of ranks is needed.
/// - `slots`: an open-addressed hash table of all tokens of at least two bytes. A slot is a little-endian
///   u32: 4 bits of the hash, 7 bits of length less 1, 21 bits of the start in `bytes`. Zero is an empty
///   slot: at 0 starts a token of one byte.
/// - `pairs`: for every two bytes the start of their token, or `u32::MAX`: where each merging begins.
fn vocabulary(out: &Path, name: &str, ranks: &tiktoken_rs::CoreBPE, tokens: u32) {
    let mut bytes: Vec<u8> = Vec::new();
    let mut slots = vec![0_u32; tokens as usize * TAKEN.1 / TAKEN.0];
    let mut pairs = vec![u32::MAX; 1 << 16];
    for rank in 0..tokens {
        let token = ranks.decode_bytes(&[rank]).expect("ranks without a gap");
        let start = u32::try_from(bytes.len()).unwrap();
        assert!(
            start < 1 << 21 && (1..=128).contains(&token.len()),
            "{name}: rank {rank} does not fit a slot"
        );
        bytes.extend(&token);
        match token[..] {
            [_] => continue,
            [first, second] => pairs[usize::from(first) << 8 | usize::from(second)] = start,
            _ => {}
        }
        let hash = hash::hash(&token);
        let mut slot = hash::home(hash, slots.len());
        while slots[slot] != 0 {
            slot = (slot + 1) % slots.len();
        }
        slots[slot] = hash::mark(hash) << 28 | (token.len() as u32 - 1) << 21 | start;
    }
    assert!(ranks.decode_bytes(&[tokens]).is_err(), "{name}: more ranks than published");
    write(out, &format!("{name}.bytes"), &bytes);
    write(out, &format!("{name}.slots"), &little_endian(&slots));
    write(out, &format!("{name}.pairs"), &little_endian(&pairs));
}

/// Writes the class of every character as two tables: `classes.index` says for every block of 128
/// characters which block of `classes.blocks` holds theirs. The numbers are `class.rs`'s.
fn classes(out: &Path) {
    let mut all = vec![0_u8; 0x11_0000];
    for (number, pattern) in [
        (1, r"\s"),
        (4, r"\p{N}"),
        (5, r"[\p{Lu}\p{Lt}]"),
        (6, r"\p{Ll}"),
        (7, r"[\p{Lm}\p{Lo}]"),
        (8, r"\p{M}"),
    ] {
        let parsed = regex_syntax::parse(pattern).expect("a class");
        let HirKind::Class(Class::Unicode(class)) = parsed.kind() else { panic!("{pattern} is no class") };
        for range in class.ranges() {
            all[range.start() as usize..=range.end() as usize].fill(number);
        }
    }
    all[usize::from(b' ')] = 2;
    all[usize::from(b'\r')] = 3;
    all[usize::from(b'\n')] = 3;
    let mut index = Vec::new();
    let mut blocks: Vec<&[u8]> = Vec::new();
    for block in all.chunks(BLOCK) {
        let known = blocks.iter().position(|known| *known == block).unwrap_or_else(|| {
            blocks.push(block);
            blocks.len() - 1
        });
        index.push(u8::try_from(known).expect("at most 256 different blocks"));
    }
    write(out, "classes.index", &index);
    write(out, "classes.blocks", &blocks.concat());
}

fn little_endian(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn write(out: &Path, name: &str, bytes: &[u8]) {
    fs::write(out.join(name), bytes).unwrap_or_else(|error| panic!("cannot write {name}: {error}"));
}
