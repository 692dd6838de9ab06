//! The folder of public keys that may sign requests (`AUTHORIZED_KEYS_DIR`): rotagent's `authorized_keys`.
//!
//! One file, one issuer: `planner.pem` is `planner`'s. The filter asks for the keys every two seconds, so the
//! folder is looked at when it asks and read again when a name, a size or a time in it has changed; a key that
//! is added or removed counts within seconds and nothing has to be watched.
//!
//! A file that is not what it should be is passed over with a warning, once, that says why, and the others
//! go on. A private key that was put there by mistake is never served, and its content never shown.

mod key;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

pub use key::{BadKey, Key};

/// The most keys that are served: as many as the filter reads.
pub const MAX_KEYS: usize = attach_core::keys::jwk::MAX_OWN_KEYS;
/// The most bytes of the set that is served: a set that is longer the filter would refuse whole, and with it
/// every key.
const MAX_SET: usize = 250 * 1024;
/// The most entries of a folder that is read at all.
const MAX_ENTRIES: usize = 10_000;
/// The longest issuer's name.
const MAX_ISSUER: usize = 128;
/// How key files end, as rotagent has it.
const ENDINGS: [&str; 3] = [".pem", ".pub", ".key"];

/// What is in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The keys by issuer.
    pub keys: BTreeMap<String, Authorized>,
    /// The files that were passed over, and why.
    pub refused: BTreeMap<String, Refused>,
}

/// A key that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorized {
    /// The file it stands in.
    pub file: String,
    /// The key.
    pub key: Key,
}

/// Why a file was passed over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// What is in it.
    #[error(transparent)]
    Key(#[from] BadKey),
    /// Its name makes no issuer.
    #[error(
        "its name before the ending must be 1 to {MAX_ISSUER} visible ASCII characters: it becomes the issuer"
    )]
    Name,
    /// Another file is the same issuer's.
    #[error("{0} is the same issuer's: keep one of them")]
    Twice(String),
    /// There are too many.
    #[error("there are more than {MAX_KEYS} keys, or {} KiB of them: remove those that are not needed", MAX_SET / 1024)]
    TooMany,
}

/// Reads a folder. One that does not exist holds no key.
///
/// # Errors
/// The folder cannot be listed, or has absurdly many entries.
pub fn read(folder: &Path) -> io::Result<Found> {
    Ok(judge(folder, &list(folder)?))
}

/// Whether a text can be an issuer of signed requests.
#[must_use]
pub fn is_issuer(name: &str) -> bool {
    (1..=MAX_ISSUER).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The key files of a folder by name; `None` where the file is gone again or a link leads nowhere.
type Listing = BTreeMap<String, Option<Stamp>>;

fn list(folder: &Path) -> io::Result<Listing> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Listing::new()),
        entries => entries?,
    };
    let mut listing = Listing::new();
    for (count, entry) in entries.enumerate() {
        if count >= MAX_ENTRIES {
            return Err(io::Error::other(format!("it has more than {MAX_ENTRIES} entries")));
        }
        let entry = entry?;
        // Of a name that is no text, the ending cannot be told apart from what it stands for here.
        let name = entry.file_name().to_string_lossy().into_owned();
        // Hidden ones are editors' drafts.
        if name.starts_with('.') || !ENDINGS.iter().any(|ending| name.ends_with(ending)) {
            continue;
        }
        // Links are followed: this is how Kubernetes mounts files.
        let stamp = match fs::metadata(entry.path()) {
            Ok(found) if found.is_dir() => continue,
            Ok(found) => Some(Stamp {
                inode: found.ino(),
                size: found.size(),
                modified: (found.mtime(), found.mtime_nsec()),
                changed: (found.ctime(), found.ctime_nsec()),
            }),
            Err(_) => None,
        };
        listing.insert(name, stamp);
    }
    Ok(listing)
}

fn judge(folder: &Path, listing: &Listing) -> Found {
    let mut found = Found::default();
    let issuer = |name: &str| {
        let stem = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or_default();
        is_issuer(stem).then(|| stem.to_owned())
    };
    let mut files: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    for name in listing.keys() {
        match issuer(name) {
            Some(issuer) => files.entry(issuer).or_default().push(name),
            None => {
                found.refused.insert(name.clone(), Refused::Name);
            }
        }
    }
    let mut bytes = 0_usize;
    for (issuer, names) in files {
        let [name] = names.as_slice() else {
            // Which of them was meant nobody can say, so none counts.
            for (at, name) in names.iter().enumerate() {
                let other = names.iter().enumerate().find(|(other, _)| *other != at);
                let other = other.map(|(_, other)| (*other).clone()).unwrap_or_default();
                found.refused.insert((*name).clone(), Refused::Twice(other));
            }
            continue;
        };
        if found.keys.len() >= MAX_KEYS {
            found.refused.insert((*name).clone(), Refused::TooMany);
            continue;
        }
        match Key::read(&folder.join(name)) {
            Ok(key) => {
                let longer = bytes.saturating_add(jwk(&issuer, &key).to_string().len()).saturating_add(1);
                if longer > MAX_SET {
                    found.refused.insert((*name).clone(), Refused::TooMany);
                    continue;
                }
                bytes = longer;
                found.keys.insert(issuer, Authorized { file: (*name).clone(), key });
            }
            Err(bad) => {
                found.refused.insert((*name).clone(), bad.into());
            }
        }
    }
    found
}

/// The folder as a running service serves it.
#[derive(Debug, Default)]
pub struct AuthorizedKeys {
    folder: Option<PathBuf>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    listing: Option<Listing>,
    found: Found,
    jwks: Arc<str>,
    /// The complaint about the folder itself that was logged last.
    complaint: Option<String>,
}

impl AuthorizedKeys {
    /// The keys of a folder, or none at all.
    #[must_use]
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder, seen: Mutex::default() }
    }

    /// The keys as a JWK set (RFC 7517), each with its issuer as `kid`. The text is the same, byte for byte,
    /// as long as the folder is. It reads files: not for a thread that others wait for.
    ///
    /// # Errors
    /// The folder cannot be listed, which is no word about its keys: whoever has them keeps them.
    pub fn jwks(&self) -> io::Result<Arc<str>> {
        // Nothing panics while the lock is held; were it so, the next look would find everything anew.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let listing = match self.folder.as_deref().map_or_else(|| Ok(Listing::new()), list) {
            Ok(listing) => listing,
            Err(error) => {
                seen.complain(self.folder.as_deref(), &error);
                return Err(error);
            }
        };
        seen.complaint = None;
        if seen.listing.as_ref() != Some(&listing) {
            let found = self.folder.as_deref().map(|folder| judge(folder, &listing)).unwrap_or_default();
            report(&seen.found, &found, seen.jwks.is_empty());
            seen.jwks = jwks(&found.keys).to_string().into();
            // What could not be read may be readable the next time, and nothing in the listing tells.
            let unread = |why: &Refused| matches!(why, Refused::Key(BadKey::Unreadable(_)));
            let whole = !found.refused.values().any(unread);
            seen.listing = whole.then_some(listing);
            seen.found = found;
        }
        Ok(Arc::clone(&seen.jwks))
    }
}

impl Seen {
    fn complain(&mut self, folder: Option<&Path>, error: &io::Error) {
        let complaint = error.to_string();
        if self.complaint.as_ref() != Some(&complaint) {
            let folder = folder.unwrap_or(Path::new(""));
            tracing::warn!(folder = %folder.display(), %error, "AUTHORIZED_KEYS_DIR cannot be read");
            self.complaint = Some(complaint);
        }
    }
}

fn jwks(keys: &BTreeMap<String, Authorized>) -> Value {
    let keys = keys.iter().map(|(issuer, authorized)| jwk(issuer, &authorized.key));
    json!({ "keys": keys.collect::<Vec<_>>() })
}

fn jwk(issuer: &str, key: &Key) -> Value {
    json!({
        "kty": "RSA", "alg": "RS256", "use": "sig", "kid": issuer, "n": key.modulus(), "e": key.exponent()
    })
}

/// Says what has changed, and nothing twice.
fn report(before: &Found, after: &Found, first: bool) {
    for (file, why) in &after.refused {
        if before.refused.get(file) != Some(why) {
            tracing::warn!(file, reason = %why, "a file in AUTHORIZED_KEYS_DIR was passed over");
        }
    }
    let names = |found: &Found| found.keys.keys().cloned().collect::<BTreeSet<_>>();
    let (old, new) = (names(before), names(after));
    if first {
        tracing::info!(keys = new.len(), "authorised keys were read");
        return;
    }
    for issuer in new.difference(&old) {
        tracing::info!(issuer, "an authorised key was added");
    }
    for issuer in old.difference(&new) {
        tracing::info!(issuer, "an authorised key was removed");
    }
    for issuer in new.intersection(&old).filter(|issuer| before.keys.get(*issuer) != after.keys.get(*issuer))
    {
        tracing::info!(issuer, "an authorised key was replaced");
    }
}

#[cfg(test)]
mod tests;
