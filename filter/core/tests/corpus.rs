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
