//! rotagent's signed requests: an RS256 JWT that is good for one request with one body.
//!
//! The original burns the `jti` before it has looked at the body, keeps it in one process and knows neither
//! audience nor lifetime. Here the `jti` is used up when signature and body have been found good.

use super::Refusal;
use super::claims::{self, LEEWAY};
use super::identity::{Credential, Identity, fits_header};
use super::jws::Jws;
use super::verdict::{BodyDigest, Digest, Failure, OneUse, Signed};
use crate::clock::UnixMillis;
use crate::crypto::{Algorithm, HostVerifier, hex_32, sha256};
use crate::json::Value;
use crate::keys::NoKey;
use crate::keys::cache::{JwksCache, Missing};

/// The longest a token may be good for, in seconds.
pub const MAX_LIFETIME: u64 = 300;
/// The same under `APP_ENV=development`: the original's development tools make such tokens.
pub const MAX_DEVELOPMENT_LIFETIME: u64 = 6 * 3600;
/// The longest issuer that is repeated in an answer, in bytes.
const MAX_SHOWN_ISSUER: usize = 128;
/// The longest `jti`, in bytes.
const MAX_ID_BYTES: usize = 256;

/// Whose requests are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A token that has an `aud` must name one of these.
    pub audiences: Box<[Box<str>]>,
    /// Stands before the issuer.
    pub user_prefix: Box<str>,
    /// Where among the sources the authorised keys are.
    pub source: usize,
    /// Whether `jti`, body and replay are left unchecked.
    pub development: bool,
}

/// Whether a token is one of rotagent's: it speaks of a body, or a key file has its issuer's name.
#[must_use]
pub fn is_rotagents(jws: &Jws<'_>, rules: &Rules, caches: &[JwksCache], now: UnixMillis) -> bool {
    jws.claims.get("content_sha256").is_some()
        || jws
            .claims
            .str("iss")
            .is_some_and(|issuer| caches.get(rules.source).is_some_and(|cache| cache.names(now, issuer)))
}

/// Judges a token; the body and the one use are left to be checked.
///
/// # Errors
/// [`Failure`].
pub fn authenticate(
    jws: &Jws<'_>,
    rules: &Rules,
    caches: &mut [JwksCache],
    host: &dyn HostVerifier,
    now: UnixMillis,
) -> Result<Signed, Failure> {
    if jws.algorithm_name != Algorithm::Rs256.name() {
        return Err(Refusal::RotagentAlgorithm.into());
    }
    let issuer = jws.claims.str("iss").unwrap_or_default();
    let cache = caches.get_mut(rules.source).ok_or(Failure::NoKeys(1))?;
    let key = cache.find(now, Some(issuer), Algorithm::Rs256).map_err(|missing| match missing {
        Missing::Wait => Failure::Wait,
        Missing::NoKeys(seconds) => Failure::NoKeys(seconds),
        Missing::Key(NoKey::Unknown | NoKey::Unnamed | NoKey::Algorithm) => {
            Failure::UnknownIssuer(shown(issuer))
        }
    })?;
    if !key.public.verify(host, jws.signing_input, &jws.signature) {
        return Err(Refusal::SignatureInvalid.into());
    }
    let key_fingerprint = key.fingerprint;
    if jws.claims.get("aud").is_some() {
        claims::audience(&jws.claims, &rules.audiences)?;
    }
    let user = [&*rules.user_prefix, issuer].concat();
    if !fits_header(issuer) || !fits_header(&user) {
        return Err(Refusal::SubjectUnfit.into());
    }
    let expires = lifetime(jws, rules, now)?;
    let mut signed = Signed {
        identity: Identity::new(user.into(), expires, Credential::Rotagent),
        source: Some(rules.source),
        key_fingerprint,
        digests: Vec::new(),
        uses: Vec::new(),
    };
    if !rules.development {
        let id = match jws.claims.get("jti") {
            Some(Value::String(id)) if !id.is_empty() && id.len() <= MAX_ID_BYTES => id,
            _ => return Err(Refusal::RotagentClaims.into()),
        };
        let expected = jws.claims.str("content_sha256").and_then(|text| hex_32(text.as_bytes()));
        signed.digests.push(BodyDigest {
            expected: Digest::Sha256(expected.ok_or(Refusal::RotagentBody)?),
            otherwise: Refusal::RotagentBody,
        });
        signed.uses.push(OneUse {
            key: sha256(&[b"rotagent\0", issuer.as_bytes(), b"\0", id.as_bytes()]),
            until: expires.seconds().saturating_add(LEEWAY).saturating_add(1),
            signer: key_fingerprint,
            otherwise: Refusal::RotagentReplay,
            late: Refusal::RotagentExpired,
        });
    }
    Ok(signed)
}

/// Until when the token is good.
fn lifetime(jws: &Jws<'_>, rules: &Rules, now: UnixMillis) -> Result<UnixMillis, Refusal> {
    let longest = if rules.development { MAX_DEVELOPMENT_LIFETIME } else { MAX_LIFETIME };
    if jws.claims.get("exp").is_none() {
        // The original asks for it in production alone.
        return if rules.development {
            Ok(UnixMillis(now.seconds().saturating_add(longest).saturating_mul(1000)))
        } else {
            Err(Refusal::RotagentClaims)
        };
    }
    let dates = claims::dates(&jws.claims, now).map_err(|refusal| match refusal {
        Refusal::Expired => Refusal::RotagentExpired,
        Refusal::DateMalformed => Refusal::RotagentClaims,
        other => other,
    })?;
    let expires = dates.expires.seconds();
    let from = claims::date(&jws.claims, "iat")?.unwrap_or_else(|| now.seconds());
    // Fractions of seconds are cut off both, so that a second may be won.
    if expires > from.saturating_add(longest).saturating_add(1)
        || expires > now.seconds().saturating_add(longest).saturating_add(LEEWAY)
    {
        return Err(Refusal::LifetimeTooLong);
    }
    Ok(dates.expires)
}

/// As much of an issuer as an answer repeats.
fn shown(issuer: &str) -> Box<str> {
    issuer.chars().filter(|c| !c.is_control()).take(MAX_SHOWN_ISSUER).collect::<String>().into()
}
