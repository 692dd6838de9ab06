//! Files of credentials, a line each, as the driver reads them.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use attach_core::authn::token_cache::GENERATION_BYTES;

use crate::credentials::Mint;
use crate::failure::{During as _, Failure};
use crate::rows::{Credential, Method, Scheme};

/// So many that each is new again when its turn comes round, since no memory of verified tokens holds them
/// all: in ours each counts as 2 KiB and more, and `jwt_authn` is asked without its own.
pub(crate) const MANY: u64 = 20_000;
const _: () = assert!(MANY as usize * 2048 > 4 * GENERATION_BYTES);

/// The files, and how far they were used.
pub(crate) struct Lists {
    folder: PathBuf,
    /// Who makes what stands in them.
    pub(crate) mint: Mint,
    /// The number of the next credential that was never made before.
    next: u64,
    /// Lists of tokens that are read round and round, with how many were read.
    kept: Vec<(Scheme, PathBuf, u64)>,
}

/// What one run reads.
pub(crate) struct List {
    /// The file.
    pub(crate) path: PathBuf,
    /// The place of the first line.
    pub(crate) first: u64,
    /// How many lines.
    pub(crate) count: u64,
    /// Whether none may be sent twice.
    pub(crate) once: bool,
}

impl Lists {
    /// In a folder.
    pub(crate) fn new(folder: &Path, mint: Mint) -> Self {
        Self { folder: folder.to_owned(), mint, next: 0, kept: Vec::new() }
    }

    /// Makes the lists that are read round and round, for all of some credentials.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(crate) fn prepare(&mut self, credentials: impl Iterator<Item = Credential>) -> Result<(), Failure> {
        for credential in credentials {
            let Credential::New(scheme) = credential else { continue };
            if !self.kept.iter().any(|(have, ..)| *have == scheme) {
                eprintln!("making {MANY} credentials: {scheme:?} …");
                let path = self.folder.join(format!("list-{}", self.kept.len()));
                self.write(&path, scheme, Method::Get, MANY)?;
                self.kept.push((scheme, path, 0));
            }
        }
        Ok(())
    }

    /// What a run of about `wanted` requests reads; `None` for a request without credentials.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn of(
        &mut self,
        credential: Credential,
        method: Method,
        wanted: u64,
    ) -> Result<Option<List>, Failure> {
        let path = self.folder.join("list");
        match credential {
            Credential::None => Ok(None),
            Credential::New(scheme) => {
                let kept = self.kept.iter().find(|(have, ..)| *have == scheme);
                let (_, path, used) = kept.ok_or_else(|| Failure(format!("no list of {scheme:?}")))?;
                Ok(Some(List { path: path.clone(), first: *used, count: wanted.min(MANY), once: false }))
            }
            // Made anew, since some are good for minutes only.
            Credential::Same(scheme) => {
                self.write(&path, scheme, method, 1)?;
                Ok(Some(List { path, first: 0, count: 1, once: false }))
            }
            Credential::Once(scheme) => {
                self.write(&path, scheme, method, wanted)?;
                Ok(Some(List { path, first: 0, count: wanted, once: true }))
            }
        }
    }

    /// So many requests were made with a credential.
    pub(crate) fn used(&mut self, credential: Credential, requests: u64) {
        if let Credential::New(scheme) = credential
            && let Some((.., used)) = self.kept.iter_mut().find(|(have, ..)| *have == scheme)
        {
            *used += requests;
        }
    }

    /// A number that no credential has had.
    pub(crate) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Writes credentials that were never made before, by as many threads as there are processors.
    fn write(&mut self, path: &Path, scheme: Scheme, method: Method, count: u64) -> Result<(), Failure> {
        let first = self.next + 1;
        self.next += count;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (mint, next) = (&self.mint, AtomicU64::new(first));
        let made: Vec<Vec<String>> = std::thread::scope(|scope| {
            let one = || {
                let mut lines = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= first + count {
                        return lines;
                    }
                    lines.push(mint.fields(scheme, method, number));
                }
            };
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
            running.into_iter().map(|thread| thread.join().unwrap_or_default()).collect()
        });
        let what = path.display();
        let mut file = BufWriter::new(fs::File::create(path).during(&what)?);
        for line in made.iter().flatten() {
            writeln!(file, "{line}").during(&what)?;
        }
        file.flush().during(&what)
    }
}
