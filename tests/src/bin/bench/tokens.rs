//! Tokens as issuers make them: RS256, some 730 bytes. One for the rows that repeat it, many for the others.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use attach_core::authn::token_cache::GENERATION_BYTES;
use attach_tests::mint::{Key, now};
use serde_json::json;

use crate::failure::{During as _, Failure};

/// `aud` of the tokens.
pub(crate) const AUDIENCE: &str = "attach-bench";
/// So many that each is new again when its turn comes round, since no memory of verified tokens holds them
/// all: ours is bounded by bytes, and `jwt_authn` is asked without its own.
pub(crate) const MANY: usize = 50_000;
const _: () = assert!(MANY * 700 > 4 * GENERATION_BYTES);
/// How long they are good for, in seconds: longer than any run.
const LIFE: u64 = 24 * 3600;

/// The files of tokens.
pub(crate) struct Tokens {
    /// One token.
    pub(crate) same: PathBuf,
    /// Many, all of the same length; as `same` where no row needs them.
    pub(crate) new: PathBuf,
    /// That one token.
    pub(crate) good: String,
    /// The same with another signature.
    pub(crate) forged: String,
}

impl Tokens {
    /// Makes them.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn mint(folder: &Path, key: &Key, issuer: &str, many: bool) -> Result<Self, Failure> {
        let same = folder.join("token");
        let good = write(&same, key, issuer, 1)?;
        let new = if many { folder.join("tokens") } else { same.clone() };
        if many {
            write(&new, key, issuer, MANY)?;
        }
        let (signed, signature) = good.rsplit_once('.').unwrap_or_default();
        let forged = format!("{signed}.{}", signature.chars().rev().collect::<String>());
        Ok(Self { same, new, good, forged })
    }
}

/// Writes `count` tokens, a line each, made by as many threads as there are processors; gives the first.
fn write(path: &Path, key: &Key, issuer: &str, count: usize) -> Result<String, Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (made, now) = (AtomicUsize::new(0), now());
    let minted: Vec<Vec<String>> = std::thread::scope(|scope| {
        let mint = |first: usize| {
            let made = &made;
            scope.spawn(move || {
                let one = |number| {
                    let so_far = made.fetch_add(1, Ordering::Relaxed) + 1;
                    if so_far.is_multiple_of(10_000) {
                        eprintln!("made {so_far} of {count} tokens");
                    }
                    token(key, issuer, now, number)
                };
                (first..count).step_by(threads).map(one).collect()
            })
        };
        let running: Vec<_> = (0..threads).map(mint).collect();
        running.into_iter().map(|thread| thread.join().unwrap_or_default()).collect()
    });
    let what = path.display();
    let mut file = BufWriter::new(fs::File::create(path).during(&what)?);
    for token in minted.iter().flatten() {
        writeln!(file, "{token}").during(&what)?;
    }
    file.flush().during(&what)?;
    let first = minted.iter().flatten().next();
    first.cloned().ok_or_else(|| Failure("no token could be made".into()))
}

/// The numbers stand with leading zeros, so that all tokens have one length.
fn token(key: &Key, issuer: &str, now: u64, number: usize) -> String {
    key.token(&json!({
        "iss": issuer,
        "sub": format!("user-{number:06}"),
        "aud": AUDIENCE,
        "azp": "c2f1b6a0d94e4f7ea3b5",
        "scope": "openid profile email models:read chat:write",
        "iat": now - 1,
        "exp": now + LIFE,
        "jti": format!("5f0c7a52-2d1e-4b8a-9c3f-{number:012}"),
    }))
}
