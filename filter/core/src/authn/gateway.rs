//! The gateway's own tokens: control gives one to an agent that shows an assertion addressed to it, and with
//! it the agent acts for the user (RFC 8693, RFC 9068).
//!
//! The user's name in it is final: it was stamped once, by this filter, and gets no prefix again. Only the
//! keys that control publishes for this purpose count, only this type and only this gateway as audience: an
//! assertion, which has another type and other keys, is no token.

use super::Refusal;
use super::claims;
use super::identity::{Credential, Identity, MappedClaim, fits_header};
use super::jws::Jws;
use super::verdict::{Accepted, Failure};
use crate::clock::UnixMillis;
use crate::crypto::{Algorithm, HostVerifier};
use crate::json::{Members, Value};
use crate::keys::cache::JwksCache;

/// `typ` of the gateway's tokens (RFC 9068 section 2.1).
pub const TYPE: &str = "at+jwt";
/// The longest one may be good for, in seconds.
pub const MAX_LIFETIME: u64 = 900;

/// Whose tokens they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The gateway's public address: issuer and audience.
    pub issuer: Box<str>,
    /// Where among the sources control's keys are.
    pub source: usize,
}

/// Whether a token says that it is the gateway's own.
#[must_use]
pub fn is_own(jws: &Jws<'_>, rules: &Rules) -> bool {
    jws.claims.str("iss") == Some(&*rules.issuer)
}

/// Judges a token.
///
/// # Errors
/// [`Failure`].
pub fn authenticate(
    jws: &Jws<'_>,
    rules: &Rules,
    caches: &mut [JwksCache],
    host: &dyn HostVerifier,
    now: UnixMillis,
) -> Result<Accepted, Failure> {
    let kind = jws.media_type.as_deref().unwrap_or_default();
    let kind = kind.strip_prefix("application/").unwrap_or(kind);
    if !kind.eq_ignore_ascii_case(TYPE) {
        return Err(Refusal::TypeWrong.into());
    }
    if jws.algorithm()? != Algorithm::EdDsa {
        return Err(Refusal::AlgorithmNotTheKeys.into());
    }
    let key_id = jws.key_id.as_deref().ok_or(Refusal::KeyUnnamed)?;
    let cache = caches.get_mut(rules.source).ok_or(Failure::NoKeys(1))?;
    let key = cache.find(now, Some(key_id), Algorithm::EdDsa)?;
    if !key.public.verify(host, jws.signing_input, &jws.signature) {
        return Err(Refusal::SignatureInvalid.into());
    }
    let key_fingerprint = key.fingerprint;
    let dates = claims::dates(&jws.claims, now)?;
    if dates.expires.seconds() > now.seconds().saturating_add(MAX_LIFETIME).saturating_add(claims::LEEWAY) {
        return Err(Refusal::LifetimeTooLong.into());
    }
    claims::audience(&jws.claims, core::slice::from_ref(&rules.issuer))?;
    let user = name(jws.claims.get("sub")).ok_or(Refusal::GatewayTokenClaims)?;
    let Some(Value::Object(actor)) = jws.claims.get("act") else {
        return Err(Refusal::GatewayTokenClaims.into());
    };
    let agent = name(actor.get("sub")).ok_or(Refusal::GatewayTokenClaims)?;
    let identity = Identity::new(user.into(), dates.expires, Credential::Gateway)
        .with_scopes(claims::scopes(&jws.claims)?)
        .with_claims(mapped(&jws.claims)?)
        .acting(agent.into());
    // No leeway: control and the filter are parts of one gateway, and the user's own expiry stands behind it.
    // No leeway: control and the filter are parts of one gateway, and what ends here may be the user's own
    // expiry.
    if now >= dates.expires {
        return Err(Refusal::Expired.into());
    }
    Ok(Accepted { identity, source: Some(rules.source), key_fingerprint, refused_from: dates.expires })
}

fn name(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str).filter(|name| fits_header(name))
}

/// The claims that travel on, under the headers that the filter put them in when it signed the assertion.
fn mapped(claims: &Members) -> Result<Vec<MappedClaim>, Refusal> {
    match claims.get("claims") {
        None => Ok(Vec::new()),
        Some(Value::Object(members)) => members
            .iter()
            .map(|(header, value)| {
                let (text, is_list) = match value {
                    Value::String(text) => (text.clone(), false),
                    Value::Array(list) if list.iter().all(|element| element.as_str().is_some()) => {
                        (list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","), true)
                    }
                    _ => return Err(Refusal::GatewayTokenClaims),
                };
                if !fits_header(&text) || !is_mapped_header(header) {
                    return Err(Refusal::GatewayTokenClaims);
                }
                Ok(MappedClaim { header: header.into(), value: text.into(), is_list })
            })
            .collect(),
        Some(_) => Err(Refusal::GatewayTokenClaims),
    }
}

/// Whether a claim may travel in that header: one that is removed from every request, and not the gateway's.
#[must_use]
pub fn is_mapped_header(name: &str) -> bool {
    const OWN: [&str; 11] = [
        "user",
        "session",
        "agent",
        // Control takes rights from these.
        "scopes",
        "spaces",
        "assertion",
        "control-secret",
        "denied",
        "credential",
        "project",
        "memory",
    ];
    name.strip_prefix("x-attach-").is_some_and(|rest| {
        !rest.is_empty()
            && rest.len() <= 64
            && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !OWN.contains(&rest)
    })
}
