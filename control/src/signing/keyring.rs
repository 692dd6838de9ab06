//! A ring as a running service uses it: read again whenever its file has changed.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::{Value, json};

use super::file::{self, Guard};
use super::ring::Ring;
use super::{Error, PublicKey, Purpose};

/// The keys of one purpose, as their file holds them now. While the file cannot be read, the keys that were
/// read last go on: a slip of the operator's hand must not lock everybody out.
#[derive(Debug)]
pub struct Keyring {
    path: PathBuf,
    purpose: Purpose,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// `None`: the file was not to be found or not to be read.
    stamp: Option<Stamp>,
    ring: Ring,
}

/// What tells one state of a file from another. Renaming gives every state an inode of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    mode: u32,
}

impl Keyring {
    /// The ring in a file, which is made where it is missing.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(path: PathBuf, purpose: Purpose, now: u64) -> Result<Self, Error> {
        // The stamp is of before: a change between the two is then seen as one, at worst once too often.
        let stamp = stamp(&path);
        let ring = file::read_or_make(&path, now)?.settled(purpose, now);
        Ok(Self { path, purpose, seen: Mutex::new(Seen { stamp, ring }) })
    }

    /// The public keys as a JWK set (RFC 7517): the current one, the next, and those whose signatures may
    /// still be met.
    #[must_use]
    pub fn jwks(&self, now: u64) -> Value {
        let seen = self.refreshed(now);
        json!({ "keys": seen.ring.published(now).map(PublicKey::jwk).collect::<Vec<_>>() })
    }

    /// The published key of an id.
    #[must_use]
    pub fn find(&self, kid: &str, now: u64) -> Option<PublicKey> {
        self.refreshed(now).ring.published(now).find(|key| key.kid() == kid).cloned()
    }

    /// A compact JWS of `claims`, by the key whose turn it is.
    ///
    /// # Errors
    /// [`Error::Sign`].
    pub fn sign(&self, typ: &str, claims: &impl Serialize, now: u64) -> Result<String, Error> {
        self.refreshed(now).ring.current().sign(typ, claims)
    }

    fn refreshed(&self, now: u64) -> MutexGuard<'_, Seen> {
        // A panic elsewhere cannot leave a ring half changed: it is replaced whole.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(&self.path);
        if stamp != seen.stamp {
            seen.stamp = stamp;
            match file::read(&self.path) {
                Ok(Some(ring)) => {
                    tracing::info!(keys = self.purpose.file_name(), "signing keys were read again");
                    seen.ring = ring.settled(self.purpose, now);
                }
                Ok(None) => tracing::warn!(
                    file = %self.path.display(),
                    "the signing keys are gone; the ones that were read last go on until this service ends"
                ),
                Err(error) => tracing::warn!(%error, "the signing keys that were read last go on"),
            }
        }
        if seen.ring.takeover(self.purpose).is_some_and(|takeover| takeover <= now) {
            self.take_over(&mut seen, now);
        }
        seen
    }

    /// Lets the next key take over, in the file too, so that the old private half lies nowhere any more. A
    /// file that cannot be written changes nothing about who signs.
    fn take_over(&self, seen: &mut Seen, now: u64) {
        let written = Guard::try_take(&self.path).and_then(|guard| match (guard, file::read(&self.path)?) {
            (Some(guard), Some(ring)) => {
                let ring = ring.settled(self.purpose, now);
                guard.write(&ring)?;
                Ok(Some(ring))
            }
            _ => Ok(None),
        });
        match written {
            Ok(Some(ring)) => {
                seen.stamp = stamp(&self.path);
                seen.ring = ring;
            }
            Ok(None) | Err(_) => {
                if let Err(error) = &written {
                    tracing::warn!(%error, "the replaced signing key could not be removed from its file");
                }
                seen.ring.settle(self.purpose, now);
            }
        }
        tracing::info!(kid = seen.ring.current().kid(), "the next signing key has taken over");
    }
}

fn stamp(path: &std::path::Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp {
        inode: found.ino(),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        mode: found.mode(),
    })
}
