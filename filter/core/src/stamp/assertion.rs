//! `X-Attach-Assertion`: a signed statement of who the caller is, for one upstream.
//!
//! The upstream verifies it offline with the keys that control publishes, and must check that `aud` is its
//! own name. It is a JWT with a type of its own, signed with a key that signs nothing else, so that it can
//! never pass for a token at this gateway. One costs 90 µs to sign, so it is used again for
//! [`RENEWED_AFTER`]; what a cached one says never outlives the credential that it is sent for.

use std::rc::Rc;

use hashbrown::HashMap;
use serde_json::{Map, Value, json};

use crate::authn::Identity;
use crate::clock::UnixMillis;
use crate::crypto::{SigningKey, sha256, to_base64url};

/// `typ` of an assertion.
pub const TYPE: &str = "attach-assertion+jwt";
/// How long one is valid, in seconds.
pub const LIFETIME: u64 = 120;
/// How long one is used again, in seconds.
pub const RENEWED_AFTER: u64 = 60;
/// What an upstream must have left of it at least, in seconds, unless the caller's own credential ends sooner.
const LEAST_LEFT: u64 = 30;
/// How many are kept in each of two generations; the older is dropped whole when the younger is full.
const GENERATION: usize = 2048;

/// Who signs them.
pub struct Signer {
    key: SigningKey,
    header: String,
    issuer: Box<str>,
}

impl core::fmt::Debug for Signer {
    /// A key signs for whoever sees it.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Signer").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// One that was made. Who holds it is believed by its upstream, so it is not shown.
pub struct Assertion {
    audience: Box<str>,
    made: u64,
    expires: u64,
    user_expires: u64,
    /// The whole token.
    pub text: Box<str>,
}

impl core::fmt::Debug for Assertion {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Assertion").field("audience", &self.audience).finish_non_exhaustive()
    }
}

impl Signer {
    /// A signer for the gateway at a public address.
    #[must_use]
    pub fn new(key: SigningKey, issuer: &str) -> Self {
        let header = json!({ "alg": "EdDSA", "typ": TYPE, "kid": key.thumbprint() });
        Self { header: to_base64url(header.to_string().as_bytes()), key, issuer: issuer.into() }
    }

    /// Signs a statement about a caller for an upstream.
    #[must_use]
    pub fn sign(
        &self,
        identity: &Identity,
        session: &[u8; 64],
        audience: &str,
        now: UnixMillis,
    ) -> Rc<Assertion> {
        let made = now.seconds();
        let user_expires = identity.expires().seconds();
        let expires = made.saturating_add(LIFETIME).min(user_expires);
        let mut claims = Map::new();
        let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        put("iss", (*self.issuer).into());
        put("sub", identity.user().into());
        put("sid", String::from_utf8_lossy(session).into());
        put("aud", audience.into());
        put("iat", made.into());
        put("exp", expires.into());
        put("user_exp", user_expires.into());
        if let Some(agent) = identity.agent() {
            put("act", json!({ "sub": agent }));
        }
        if !identity.scopes().is_empty() {
            put("scope", identity.scopes().join(" ").into());
        }
        if !identity.claims().is_empty() {
            let mapped = identity.claims().iter();
            let mapped = mapped.map(|claim| {
                let value = match claim.is_list {
                    true => claim.value.split(',').collect::<Value>(),
                    false => Value::from(&*claim.value),
                };
                (claim.header.to_string(), value)
            });
            put("claims", Value::Object(mapped.collect()));
        }
        let payload = to_base64url(Value::Object(claims).to_string().as_bytes());
        let mut text = format!("{}.{payload}", self.header);
        let signature = self.key.sign(text.as_bytes());
        text.push('.');
        text.push_str(&to_base64url(&signature));
        Rc::new(Assertion { audience: audience.into(), made, expires, user_expires, text: text.into() })
    }
}

impl Assertion {
    /// Whether it can be sent once more, for the same caller, to that upstream.
    #[must_use]
    pub fn serves(&self, identity: &Identity, audience: &str, now: UnixMillis) -> bool {
        let now = now.seconds();
        let end = identity.expires().seconds();
        *self.audience == *audience
            && (self.made..self.made.saturating_add(RENEWED_AFTER)).contains(&now)
            && self.expires >= now.saturating_add(LEAST_LEFT).min(end)
            && self.user_expires <= end
    }
}

/// Assertions made lately.
#[derive(Debug, Default)]
pub struct AssertionCache {
    young: HashMap<[u8; 32], Rc<Assertion>>,
    old: HashMap<[u8; 32], Rc<Assertion>>,
}

impl AssertionCache {
    /// The assertion for a caller, an earlier one if it serves.
    pub fn get(
        &mut self,
        signer: &Signer,
        identity: &Identity,
        session: &[u8; 64],
        audience: &str,
        now: UnixMillis,
    ) -> Rc<Assertion> {
        let key = key(identity, session, audience);
        let found = self.young.get(&key).or_else(|| self.old.get(&key));
        if let Some(found) = found.filter(|found| found.serves(identity, audience, now)) {
            return Rc::clone(found);
        }
        let made = signer.sign(identity, session, audience, now);
        if self.young.len() >= GENERATION {
            self.old = core::mem::take(&mut self.young);
        }
        self.young.insert(key, Rc::clone(&made));
        made
    }
}

/// Everything that an assertion says but its dates.
fn key(identity: &Identity, session: &[u8; 64], audience: &str) -> [u8; 32] {
    let mut parts: Vec<&[u8]> = vec![
        session,
        audience.as_bytes(),
        b"\0",
        identity.user().as_bytes(),
        b"\0",
        identity.agent().unwrap_or_default().as_bytes(),
    ];
    for scope in identity.scopes() {
        parts.extend([&b"\0s"[..], scope.as_bytes()]);
    }
    for claim in identity.claims() {
        parts.extend([&b"\0c"[..], claim.header.as_bytes(), b"\0", claim.value.as_bytes()]);
    }
    sha256(&parts)
}
