//! Access tokens of OIDC issuers: JWTs (RFC 7519, RFC 9068) signed with a key of their issuer's set.

use super::Refusal;
use super::identity::{Identity, fits_header};
use super::jws::Jws;
use crate::clock::UnixMillis;
use crate::crypto::HostVerifier;
use crate::json::{Members, Value};
use crate::keys::NoKey;
use crate::keys::cache::{JwksCache, Missing};

/// How far the clocks of issuer and gateway may differ, in seconds.
pub const LEEWAY: u64 = 60;

/// One issuer that is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its `iss`, without a trailing slash.
    pub issuer: Box<str>,
    /// The audiences that are this gateway's.
    pub audiences: Box<[Box<str>]>,
    /// Stands before its subjects.
    pub user_prefix: Box<str>,
}

/// What no subject without a prefix may begin with: it would be another source's name.
pub type ReservedPrefixes = [Box<str>];

/// Why a token was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// For good.
    Refused(Refusal),
    /// Its issuer's keys may come: ask again when they have.
    Wait,
    /// There are no keys of its issuer; seconds after which there may be.
    NoKeys(u64),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A token that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// Whose it is.
    pub identity: Identity,
    /// Which provider's, by its place in the list.
    pub provider: usize,
    /// The key that signed it.
    pub key_fingerprint: [u8; 32],
    /// The moment from which it is refused: its `exp` and the leeway.
    pub refused_from: UnixMillis,
}

/// Judges a token. `caches` are the providers' keys, in the same order.
///
/// # Errors
/// [`Failure`].
pub fn authenticate(
    token: &str,
    providers: &[Provider],
    reserved: &ReservedPrefixes,
    caches: &mut [JwksCache],
    host: &dyn HostVerifier,
    now: UnixMillis,
) -> Result<Accepted, Failure> {
    let jws = Jws::parse(token)?;
    let issuer = match jws.claims.get("iss") {
        Some(Value::String(issuer)) if !issuer.is_empty() => without_slash(issuer),
        _ => return Err(Refusal::IssuerMissing.into()),
    };
    let (provider, rules) = providers
        .iter()
        .enumerate()
        .find(|(_, provider)| *provider.issuer == *issuer)
        .ok_or(Refusal::IssuerUnknown)?;
    let cache = caches.get_mut(provider).ok_or(Failure::NoKeys(1))?;
    let key = cache.find(now, jws.key_id.as_deref(), jws.algorithm).map_err(|missing| match missing {
        Missing::Wait => Failure::Wait,
        Missing::NoKeys(seconds) => Failure::NoKeys(seconds),
        Missing::Key(NoKey::Unknown) => Refusal::KeyUnknown.into(),
        Missing::Key(NoKey::Unnamed) => Refusal::KeyUnnamed.into(),
        Missing::Key(NoKey::Algorithm) => Refusal::AlgorithmNotTheKeys.into(),
    })?;
    if !key.public.verify(host, jws.signing_input, &jws.signature) {
        return Err(Refusal::SignatureInvalid.into());
    }
    // Only now are the claims the issuer's.
    let key_fingerprint = key.fingerprint;
    let refused_from = dates(&jws.claims, now)?;
    audience(&jws.claims, &rules.audiences)?;
    let identity = subject(&jws.claims, rules, reserved)?;
    Ok(Accepted { identity, provider, key_fingerprint, refused_from })
}

/// One trailing slash more or less does not make another issuer: Auth0's has it, and many settings do not.
#[must_use]
pub fn without_slash(issuer: &str) -> &str {
    issuer.strip_suffix('/').unwrap_or(issuer)
}

fn dates(claims: &Members, now: UnixMillis) -> Result<UnixMillis, Refusal> {
    let seconds = now.seconds();
    let expiry = date(claims, "exp")?.ok_or(Refusal::ExpiryMissing)?;
    let refused_from = expiry.saturating_add(LEEWAY);
    if seconds >= refused_from {
        return Err(Refusal::Expired);
    }
    let latest = seconds.saturating_add(LEEWAY);
    if date(claims, "nbf")?.is_some_and(|from| from > latest) {
        return Err(Refusal::NotYetValid);
    }
    if date(claims, "iat")?.is_some_and(|issued| issued > latest) {
        return Err(Refusal::IssuedInFuture);
    }
    Ok(UnixMillis(refused_from.saturating_mul(1000)))
}

/// A `NumericDate` (RFC 7519 section 2): seconds, with or without a fraction, within the numbers that a
/// double holds exactly.
fn date(claims: &Members, name: &str) -> Result<Option<u64>, Refusal> {
    const MAX: f64 = 9_007_199_254_740_992.0;
    match claims.get(name) {
        None => Ok(None),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Both ends were just checked.
        Some(Value::Number(number)) if (0.0..MAX).contains(number) => Ok(Some(*number as u64)),
        Some(_) => Err(Refusal::DateMalformed),
    }
}

fn audience(claims: &Members, ours: &[Box<str>]) -> Result<(), Refusal> {
    let is_ours = |name: &str| ours.iter().any(|our| **our == *name);
    match claims.get("aud") {
        None | Some(Value::Null) => Err(Refusal::AudienceMissing),
        Some(Value::String(name)) if is_ours(name) => Ok(()),
        Some(Value::Array(names)) if names.is_empty() => Err(Refusal::AudienceMissing),
        // Every element must be a string: a list that cannot be read is not a list that names this gateway.
        Some(Value::Array(names))
            if names.iter().all(|name| name.as_str().is_some())
                && names.iter().filter_map(Value::as_str).any(is_ours) =>
        {
            Ok(())
        }
        Some(_) => Err(Refusal::AudienceWrong),
    }
}

fn subject(claims: &Members, rules: &Provider, reserved: &ReservedPrefixes) -> Result<Identity, Refusal> {
    let subject = match claims.get("sub") {
        Some(Value::String(subject)) if !subject.is_empty() => subject,
        _ => return Err(Refusal::SubjectMissing),
    };
    if rules.user_prefix.is_empty() && reserved.iter().any(|prefix| subject.starts_with(&**prefix)) {
        return Err(Refusal::SubjectReserved);
    }
    let user = [&*rules.user_prefix, subject].concat();
    // The subject alone as well: a space that begins it would hide behind the prefix.
    if !fits_header(subject) || !fits_header(&user) {
        return Err(Refusal::SubjectUnfit);
    }
    Ok(Identity::new(user.into()))
}
