//! Tokens: access tokens as RFC 9068, ID tokens as OpenID Connect Core section 2.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::State;
use super::codes::Grant;
use super::error::Refusal;

/// One audience is a text, several are a list (RFC 7519 section 4.1.3).
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Audience<'a> {
    One(&'a str),
    Many(&'a [String]),
}

#[derive(Debug, Serialize)]
struct AccessClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: Audience<'a>,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: String,
    scope: &'a str,
    client_id: &'a str,
}

#[derive(Debug, Serialize)]
struct IdClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    auth_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    at_hash: String,
}

/// Whom an access token is for, and what it allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    pub(super) subject: &'a str,
    pub(super) client_id: &'a str,
    /// Empty: the provider's default audience.
    pub(super) audiences: &'a [String],
    pub(super) scope: &'a str,
    /// Seconds.
    pub(super) lifetime: u64,
}

/// A signed access token, issued at `now` (seconds of Unix time).
pub(super) fn access_token(state: &State, wish: Wish<'_>, now: u64) -> Result<String, Refusal> {
    let mut jti = [0; 16];
    getrandom::fill(&mut jti)?;
    let claims = AccessClaims {
        iss: state.issuer().as_str(),
        sub: wish.subject,
        aud: match wish.audiences {
            [] => Audience::One(state.default_audience()),
            [one] => Audience::One(one),
            many => Audience::Many(many),
        },
        iat: now,
        nbf: now,
        exp: now.saturating_add(wish.lifetime),
        jti: URL_SAFE_NO_PAD.encode(jti),
        scope: wish.scope,
        client_id: wish.client_id,
    };
    Ok(state.key().sign("at+jwt", &claims)?)
}

/// A signed ID token for the client of `grant`, bound to the access token that goes with it.
pub(super) fn id_token(
    state: &State,
    grant: &Grant,
    access_token: &str,
    lifetime: u64,
    now: u64,
) -> Result<String, Refusal> {
    let digest = Sha256::digest(access_token);
    let half: Vec<u8> = digest.iter().take(digest.len() / 2).copied().collect();
    let claims = IdClaims {
        iss: state.issuer().as_str(),
        sub: &grant.subject,
        aud: &grant.client_id,
        iat: now,
        exp: now.saturating_add(lifetime),
        auth_time: grant.auth_time,
        nonce: grant.nonce.as_deref(),
        at_hash: URL_SAFE_NO_PAD.encode(half),
    };
    Ok(state.key().sign("JWT", &claims)?)
}

/// Seconds of Unix time; 0 on a machine whose clock stands before 1970.
pub(super) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
