//! Access tokens of OIDC issuers: JWTs (RFC 7519, RFC 9068) signed with a key of their issuer's set.

use super::Refusal;
use super::claims::{self, ReservedPrefixes};
use super::identity::{Credential, Identity, MappedClaim, fits_header};
use super::jws::Jws;
use super::verdict::{Accepted, Failure};
use crate::clock::UnixMillis;
use crate::crypto::HostVerifier;
use crate::json::{Members, Value};
use crate::keys::NoKey;
use crate::keys::cache::{JwksCache, Missing};

/// One issuer that is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its `iss`, without a trailing slash.
    pub issuer: Box<str>,
    /// The audiences that are this gateway's.
    pub audiences: Box<[Box<str>]>,
    /// Stands before its subjects.
    pub user_prefix: Box<str>,
    /// What its tokens must grant, all of it, on every route.
    pub required_scopes: Box<[Box<str>]>,
    /// Claims that travel on, each with the header it travels in.
    pub claim_headers: Box<[(Box<str>, Box<str>)]>,
    /// Spaces of memory that its claims admit to.
    pub spaces: Box<[Space]>,
}

/// A space of memory, and the claim that admits to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// What it is called.
    pub name: Box<str>,
    /// The claim.
    pub claim: Box<str>,
    /// The value that it must have, or as a list contain.
    pub value: Box<str>,
}

impl Space {
    fn admits(&self, claims: &Members) -> bool {
        match claims.get(&self.claim) {
            Some(Value::String(text)) => **text == *self.value,
            Some(Value::Array(list)) => {
                list.iter().filter_map(Value::as_str).any(|text| text == &*self.value)
            }
            _ => false,
        }
    }
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
    authenticate_jws(&Jws::parse(token)?, providers, reserved, caches, host, now)
}

/// Judges a token that has been taken apart.
///
/// # Errors
/// [`Failure`].
pub fn authenticate_jws(
    jws: &Jws<'_>,
    providers: &[Provider],
    reserved: &ReservedPrefixes,
    caches: &mut [JwksCache],
    host: &dyn HostVerifier,
    now: UnixMillis,
) -> Result<Accepted, Failure> {
    let algorithm = jws.algorithm()?;
    // Some issuers write no type, or one of their own; but no issuer's access token is an assertion.
    if jws.media_type.as_deref().is_some_and(|kind| kind.to_ascii_lowercase().ends_with("assertion+jwt")) {
        return Err(Refusal::TypeWrong.into());
    }
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
    let key = cache.find(now, jws.key_id.as_deref(), algorithm)?;
    if !key.public.verify(host, jws.signing_input, &jws.signature) {
        return Err(Refusal::SignatureInvalid.into());
    }
    // Only now are the claims the issuer's.
    let key_fingerprint = key.fingerprint;
    let dates = claims::dates(&jws.claims, now)?;
    claims::audience(&jws.claims, &rules.audiences)?;
    let user = subject(&jws.claims, rules, reserved)?;
    let identity = Identity::new(user, dates.expires, Credential::Oidc)
        .with_scopes(claims::scopes(&jws.claims)?)
        .with_claims(mapped(&jws.claims, rules)?)
        .with_spaces(
            rules.spaces.iter().filter(|space| space.admits(&jws.claims)).map(|space| space.name.clone()),
        );
    Ok(Accepted { identity, source: Some(provider), key_fingerprint, refused_from: dates.refused_from })
}

impl From<Missing> for Failure {
    fn from(missing: Missing) -> Self {
        match missing {
            Missing::Wait => Self::Wait,
            Missing::NoKeys(seconds) => Self::NoKeys(seconds),
            Missing::Key(NoKey::Unknown) => Refusal::KeyUnknown.into(),
            Missing::Key(NoKey::Unnamed) => Refusal::KeyUnnamed.into(),
            Missing::Key(NoKey::Algorithm) => Refusal::AlgorithmNotTheKeys.into(),
        }
    }
}

/// One trailing slash more or less does not make another issuer: Auth0's has it, and many settings do not.
#[must_use]
pub fn without_slash(issuer: &str) -> &str {
    issuer.strip_suffix('/').unwrap_or(issuer)
}

fn subject(claims: &Members, rules: &Provider, reserved: &ReservedPrefixes) -> Result<Box<str>, Refusal> {
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
    Ok(user.into())
}

/// The claims that travel on: strings, numbers, booleans, and lists of strings joined by commas.
fn mapped(claims: &Members, rules: &Provider) -> Result<Vec<MappedClaim>, Refusal> {
    let mut mapped = Vec::new();
    for (claim, header) in &rules.claim_headers {
        let is_list = matches!(claims.get(claim), Some(Value::Array(_)));
        let value = match claims.get(claim) {
            None | Some(Value::Null | Value::Object(_)) => continue,
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(truth)) => truth.to_string(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Array(list)) => {
                let texts: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
                // A comma inside an element would make two of it.
                if texts.len() != list.len() || texts.iter().any(|text| text.contains(',')) {
                    return Err(Refusal::ClaimUnfit);
                }
                texts.join(",")
            }
        };
        if value.is_empty() {
            continue;
        }
        if !fits_header(&value) {
            return Err(Refusal::ClaimUnfit);
        }
        mapped.push(MappedClaim { header: header.clone(), value: value.into(), is_list });
    }
    Ok(mapped)
}
