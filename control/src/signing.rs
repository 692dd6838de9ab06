//! The gateway's own Ed25519 keys: two rings, never mixed.
//!
//! *Assertions* are signed by the filter with the seed it was started with; *gateway tokens* by this service.
//! Each ring is one file in the state folder's `secrets`. A ring is rotated in three steps that overlap, so
//! that whoever verifies never meets a signature whose key was not published before:
//!
//! 1. [`rotate`] makes the next key. Its public half is published at once.
//! 2. The next key takes over: for assertions when Envoy is started with it ([`start_key`], [`promote`]), for
//!    gateway tokens by itself, [`TAKEOVER`] seconds after it was made, when every filter has fetched it.
//! 3. The old key's private half is forgotten there and then, its public half stays as long as something
//!    that it signed may still be shown.
//!
//! Files change under a lock and by renaming; whoever reads sees the old ring or the new one, and a running
//! service takes the new one up with its next request ([`Keyring`]).

mod file;
mod key;
mod keyring;
mod ring;

use std::io;
use std::path::{Path, PathBuf};

pub use key::{PublicKey, SigningKey};
pub use keyring::Keyring;
pub use ring::{Purpose, TAKEOVER};

use file::Guard;
use ring::Ring;

/// Why there is no ring, or why it was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file system refused.
    #[error("cannot {action} the signing keys {}: {source}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others may read the keys.
    #[error("the signing keys {} may be read by others than their owner: chmod 600 them", .0.display())]
    Exposed(PathBuf),
    /// The file holds something else.
    #[error("{} does not hold signing keys as `attach` writes them: delete it and new ones are made", .0.display())]
    Malformed(PathBuf),
    /// Another command holds the lock for longer than any change takes.
    #[error("another command is changing {}; wait until it has finished", .0.display())]
    Locked(PathBuf),
    /// There is no randomness.
    #[error("cannot make a signing key: the system gives no randomness ({0})")]
    Randomness(#[from] getrandom::Error),
    /// A key, or what was to be signed, could not be used.
    #[error("cannot sign with the gateway's key")]
    Sign,
}

/// What [`rotate`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// A next key was made; its id.
    Made(String),
    /// There was one that has not taken over yet; its id.
    Waiting(String),
}

/// Makes the next key of the ring in a file, and the ring where there is none. A next key that has not taken
/// over yet is kept: rotating twice must not withdraw what was just published.
///
/// # Errors
/// See [`Error`].
pub fn rotate(path: &Path, purpose: Purpose, now: u64) -> Result<Rotated, Error> {
    let guard = Guard::take(path)?;
    let mut ring = match file::read(path)? {
        Some(ring) => ring.settled(purpose, now),
        None => Ring::new(SigningKey::generate()?, now),
    };
    let rotated = match ring.next() {
        Some(next) => Rotated::Waiting(next.kid().to_owned()),
        None => Rotated::Made(ring.rotate(SigningKey::generate()?, now).to_owned()),
    };
    guard.write(&ring)?;
    Ok(rotated)
}

/// The key that Envoy's filter is to be started with, the next one where there is one; the ring is made where
/// it is missing and else left as it is. Both keys are published until [`promote`] is told that the start has
/// succeeded, so a start that fails harms nobody.
///
/// # Errors
/// See [`Error`].
pub fn start_key(path: &Path, now: u64) -> Result<SigningKey, Error> {
    Ok(file::read_or_make(path, now)?.into_newest())
}

/// Makes the next key the current one, if it is the one of this id: Envoy signs with it now. The old public
/// half stays published for ten minutes.
///
/// # Errors
/// See [`Error`].
pub fn promote(path: &Path, kid: &str, now: u64) -> Result<(), Error> {
    let guard = Guard::take(path)?;
    let Some(mut ring) = file::read(path)? else { return Ok(()) };
    if ring.next().is_some_and(|next| next.kid() == kid) {
        ring.promote(now.saturating_add(Purpose::Assertions.grace()));
        guard.write(&ring)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
