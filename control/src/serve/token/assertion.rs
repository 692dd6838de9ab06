//! The filter's statement about a user (`X-Attach-Assertion`), verified.

use std::collections::BTreeMap;

use attach_core::authn::identity::fits_header;
use attach_core::authn::jws::Jws;
use attach_core::crypto::base64url;
use serde::{Deserialize, Serialize};

use super::refusal::Refusal;
use crate::signing::Keyring;

/// What tells a statement from every other token.
const MEDIA_TYPE: &str = "attach-assertion+jwt";
/// How far the clocks of Envoy's machine and this one may differ, in seconds.
const LEEWAY: u64 = 60;

/// What the statement says, as far as it is needed. It was written by the filter: one of another form is none.
#[derive(Debug, Deserialize)]
pub(super) struct Assertion {
    iss: String,
    /// The user, as stamped.
    pub(super) sub: String,
    /// The target that it is addressed to.
    pub(super) aud: String,
    iat: u64,
    exp: u64,
    /// When the user's own credential expires.
    pub(super) user_exp: u64,
    /// Who acts for the user.
    pub(super) act: Option<Act>,
    /// What the user was granted.
    #[serde(default)]
    pub(super) scope: String,
    /// What else is known of the user.
    #[serde(default)]
    pub(super) claims: BTreeMap<String, Claim>,
}

/// A claim that travels on.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Claim {
    /// A text.
    One(String),
    /// A list of texts.
    Many(Vec<String>),
}

/// Who acts.
#[derive(Debug, Deserialize)]
pub(super) struct Act {
    /// Its name, as stamped.
    pub(super) sub: String,
}

impl Assertion {
    /// Reads and verifies a statement of the filter with these keys, for the gateway at this address.
    pub(super) fn verify(token: &str, keys: &Keyring, public_url: &str, now: u64) -> Result<Self, Refusal> {
        let no_token = || Refusal::request("subject_token is not an X-Attach-Assertion of this gateway");
        // The same reader as the filter's: strict about encodings, duplicate members and extensions.
        let jws = Jws::parse(token).map_err(|_| no_token())?;
        if jws.algorithm_name != "EdDSA" || jws.media_type.as_deref() != Some(MEDIA_TYPE) {
            return Err(no_token());
        }
        let key = jws.key_id.as_deref().and_then(|kid| keys.find(kid, now)).ok_or_else(no_token)?;
        if !key.verifies(jws.signing_input, &jws.signature) {
            return Err(no_token());
        }
        let payload = token.split('.').nth(1).and_then(|payload| base64url(payload.as_bytes()));
        let assertion: Self =
            payload.and_then(|payload| serde_json::from_slice(&payload).ok()).ok_or_else(no_token)?;
        let named = fits_header(&assertion.sub) && assertion.act.iter().all(|act| fits_header(&act.sub));
        if assertion.iss != public_url || !named {
            return Err(no_token());
        }
        if assertion.exp.saturating_add(LEEWAY) <= now {
            return Err(Refusal::request("subject_token has expired: it lives two minutes"));
        }
        if assertion.iat > now.saturating_add(LEEWAY) {
            return Err(Refusal::request("subject_token is of the future: the clocks differ"));
        }
        Ok(assertion)
    }
}
