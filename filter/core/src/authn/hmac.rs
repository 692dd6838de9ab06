//! JWTs of services that share a key with the gateway: HS256, HS384 and HS512 (RFC 7518 section 3.2).
//!
//! The key is found by `kid` among these services alone, and can verify nothing else: no published key is
//! ever used as one, and none of these for an algorithm with a public key. Whoever holds the key can write
//! what he likes, so scopes come from the operator's grants and not from the token.

use super::Refusal;
use super::claims;
use super::identity::{Credential, Identity, fits_header};
use super::jws::Jws;
use super::verdict::Accepted;
use crate::clock::UnixMillis;
use crate::crypto::{Hash, HmacKey};
use crate::json::Value;
use crate::secret::Secret;

/// The shortest key, in bytes: as long as HS256's code (RFC 7518 section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;
/// The longest service name.
const MAX_NAME: usize = 64;
/// The most services.
const MAX_SERVICES: usize = 256;

/// One service.
#[derive(Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub(super) name: Box<str>,
    /// The key that it shares.
    pub(super) key: HmacKey,
    /// [`HmacKey::fingerprint`], made once.
    pub(super) fingerprint: [u8; 32],
}

impl Service {
    /// The service of that name, which is its tokens' `kid`, and the key it shares.
    #[must_use]
    pub fn new(name: impl Into<Box<str>>, secret: &Secret) -> Self {
        let key = HmacKey::new(secret.clone());
        let fingerprint = key.fingerprint();
        Self { name: name.into(), key, fingerprint }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl core::fmt::Debug for Service {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Service").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Which services are accepted, and for whom their tokens must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The services; names are unique.
    pub services: Vec<Service>,
    /// The audiences that are this gateway's.
    pub audiences: Box<[Box<str>]>,
    /// Stands before the service's name in `X-Attach-User`.
    pub user_prefix: Box<str>,
}

/// Whether a token names an algorithm of shared keys.
#[must_use]
pub fn names_hmac(jws: &Jws<'_>) -> bool {
    hash_of(&jws.algorithm_name).is_some()
}

/// Judges a token.
///
/// # Errors
/// [`Refusal`].
pub fn authenticate(jws: &Jws<'_>, rules: &Rules, now: UnixMillis) -> Result<Accepted, Refusal> {
    let hash = hash_of(&jws.algorithm_name).ok_or(Refusal::AlgorithmUnknown)?;
    let id = jws.key_id.as_deref().ok_or(Refusal::KeyUnnamed)?;
    let service =
        rules.services.iter().find(|service| *service.name == *id).ok_or(Refusal::HmacKeyUnknown)?;
    if !service.key.verify(hash, jws.signing_input, &jws.signature) {
        return Err(Refusal::SignatureInvalid);
    }
    match jws.claims.get("iss") {
        None => {}
        Some(Value::String(issuer)) if **issuer == *service.name => {}
        Some(_) => return Err(Refusal::HmacIssuer),
    }
    let dates = claims::dates(&jws.claims, now)?;
    claims::audience(&jws.claims, &rules.audiences)?;
    let user = [&*rules.user_prefix, &*service.name].concat();
    if !fits_header(&user) {
        return Err(Refusal::SubjectUnfit);
    }
    Ok(Accepted {
        identity: Identity::new(user.into(), dates.expires, Credential::Hmac),
        source: None,
        key_fingerprint: service.fingerprint,
        refused_from: dates.refused_from,
    })
}

fn hash_of(algorithm: &str) -> Option<Hash> {
    match algorithm {
        "HS256" => Some(Hash::Sha256),
        "HS384" => Some(Hash::Sha384),
        "HS512" => Some(Hash::Sha512),
        _ => None,
    }
}

/// What is wrong with a list of keys. It names services, and never a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysError {
    /// The entry of that number, from 1, is not `kid=secret`.
    Form(usize),
    /// The name of the entry of that number is not 1 to 64 of `A-Z a-z 0-9 . _ -`. What stands there may
    /// be a key, so it is not repeated.
    Name(usize),
    /// The service's key is too short.
    Short(Box<str>),
    /// The service's key begins or ends with a space, or has a control character in it.
    Spaced(Box<str>),
    /// The service stands there twice.
    Twice(Box<str>),
    /// There are more services than that.
    TooMany,
    /// There is none.
    Empty,
}

impl core::fmt::Display for KeysError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Form(entry) => write!(f, "entry {entry} is not kid=secret"),
            Self::Name(entry) => {
                write!(f, "the kid of entry {entry} must be 1 to {MAX_NAME} letters, digits, '.', '_' or '-'")
            }
            Self::Short(name) => {
                write!(
                    f,
                    "the secret of {name} is shorter than {MIN_SECRET_BYTES} bytes; make one with: openssl rand -hex 32"
                )
            }
            Self::Spaced(name) => {
                write!(
                    f,
                    "the secret of {name} begins or ends with a space, or has a control character in it"
                )
            }
            Self::Twice(name) => write!(f, "{name} stands there twice"),
            Self::TooMany => write!(f, "there are more than {MAX_SERVICES} keys"),
            Self::Empty => f.write_str("there is no key in it"),
        }
    }
}

impl core::error::Error for KeysError {}

/// Reads `kid=secret` entries, one on a line or several separated by commas; blank ones are passed over. A
/// secret can have any character but a comma and a line's end, `=` too.
///
/// # Errors
/// [`KeysError`].
pub fn parse_keys(text: &str) -> Result<Vec<(Box<str>, Secret)>, KeysError> {
    let mut keys: Vec<(Box<str>, Secret)> = Vec::new();
    // Spaces around an entry are whoever wrote the list's, but for the secret's own edges.
    let entries = text.split(['\n', ',']).map(|entry| entry.strip_suffix('\r').unwrap_or(entry));
    for (place, entry) in entries.filter(|entry| !entry.trim().is_empty()).enumerate() {
        let number = place.saturating_add(1);
        if number > MAX_SERVICES {
            return Err(KeysError::TooMany);
        }
        let (name, secret) = entry.split_once('=').ok_or(KeysError::Form(number))?;
        // A secret in base64 whose name was left out ends like this, and must not be taken for a name.
        if secret.trim().bytes().all(|b| b == b'=') {
            return Err(KeysError::Form(number));
        }
        let name = name.trim();
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(fits) {
            return Err(KeysError::Name(number));
        }
        // A space at an edge is more likely a slip than a part of the key, and both sides would have to
        // make the same one.
        if secret.trim() != secret || secret.bytes().any(|b| b.is_ascii_control()) {
            return Err(KeysError::Spaced(name.into()));
        }
        if secret.len() < MIN_SECRET_BYTES {
            return Err(KeysError::Short(name.into()));
        }
        if keys.iter().any(|(have, _)| **have == *name) {
            return Err(KeysError::Twice(name.into()));
        }
        keys.push((name.into(), Secret::new(secret.as_bytes())));
    }
    if keys.is_empty() { Err(KeysError::Empty) } else { Ok(keys) }
}
