//! Who may import whom, held against the sources' `use` lines: imports only point downwards.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)] // A test.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers of `attach-core`, lowest first. A module imports from lower layers, and a folder its own files.
const LAYERS: &[&[&str]] = &[
    &["clock", "headers", "json", "reply", "secret"],
    &["crypto"],
    &["keys", "llm", "quota", "outbox", "redact"],
    &["authn"],
    &["stamp", "meter", "mirror"],
    &["policy"],
    &["config"],
    &["stream"],
];

/// Crates that only `crypto.rs` and its folder may name.
const CRYPTO_CRATES: &[&str] = &[
    "base64",
    "crypto_bigint",
    "ed25519_dalek",
    "rust_hmac",
    "k256",
    "p256",
    "p384",
    "rsa",
    "sha1",
    "sha2",
    "sha3",
    "subtle",
    "signature",
    "ring",
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file of a crate with its path from `src` and its text without comments and test modules.
fn read(src: &str) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(src);
    let mut found = Vec::new();
    sources(&root, &mut found);
    assert!(!found.is_empty(), "no sources in {}", root.display());
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let code = code
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            (path.strip_prefix(&root).unwrap().to_string_lossy().into_owned(), code)
        })
        .collect()
}

/// The first word after every `crate::`, and after every member of `use crate::{…}`.
fn crate_imports(code: &str) -> Vec<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let list = list.split(';').next().unwrap_or_default();
            let mut depth = 0;
            let mut start = true;
            for (place, c) in list.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if c.is_alphanumeric() && start => {
                        found.push(word(&list[place..]));
                        start = false;
                    }
                    _ => {}
                }
            }
        } else {
            found.push(word(rest));
        }
    }
    found
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

fn module_of(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

#[test]
fn core_imports_only_point_downwards() {
    let mut wrong = Vec::new();
    for (file, code) in read("src") {
        let module = module_of(&file);
        if module == "lib" {
            continue;
        }
        let own = layer(module).unwrap_or_else(|| panic!("{file}: give the module {module} a layer"));
        for imported in crate_imports(&code) {
            if imported == module {
                continue;
            }
            match layer(&imported) {
                Some(theirs) if theirs < own => {}
                Some(_) => wrong.push(format!("{file} imports crate::{imported}, which is not below it")),
                None => wrong.push(format!("{file} imports crate::{imported}, which has no layer")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_crypto_names_a_cryptography_crate() {
    for (file, code) in read("src") {
        if module_of(&file) == "crypto" || file == "secret.rs" {
            continue;
        }
        for name in CRYPTO_CRATES {
            let named = code
                .match_indices(&format!("{name}::"))
                .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
            assert!(!named, "{file} names {name}");
        }
    }
}

#[test]
fn core_reaches_no_host_clock_or_network() {
    for (file, code) in read("src") {
        for word in [
            "proxy_wasm",
            "std::time::SystemTime",
            "std::time::Instant",
            "std::env",
            "std::net",
            "std::fs",
            "tokio",
        ] {
            assert!(!code.contains(word), "{file} names {word}");
        }
    }
}

#[test]
fn only_host_rs_calls_the_host() {
    for (file, code) in read("../src") {
        assert!(file == "host.rs" || !code.contains("hostcalls"), "{file} calls the host itself");
    }
}

#[test]
fn filter_and_control_never_see_each_other() {
    let manifest = |path: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    assert!(!manifest("../Cargo.toml").contains("attach-control"));
    assert!(!manifest("../../control/Cargo.toml").contains("attach-filter"));
    let core = manifest("Cargo.toml");
    assert!(
        !core.contains("attach-") || core.matches("attach-").count() == core.matches("attach-core").count()
    );
}

#[test]
fn an_upward_import_would_be_found() {
    assert_eq!(crate_imports("use crate::stream::stop::Stop;"), ["stream"]);
    assert_eq!(crate_imports("use crate::{keys::{a, b}, clock};"), ["keys", "clock"]);
    assert!(layer("keys") < layer("stream"));
}
