//! A JWS in compact serialisation (RFC 7515 section 7.1) with claims in it, taken apart and not yet believed.
//!
//! `jwk`, `jku`, `x5u` and `x5c` in a header are never read: a token cannot bring its own key.

use super::Refusal;
use crate::crypto::{Algorithm, base64url};
use crate::json::{self, JsonError, Members, Value};

/// The longest token, in bytes. A longer one costs memory before it can be judged.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The parts of a token.
pub struct Jws<'a> {
    /// `alg`, not empty and not `none`; what it may be is the scheme's to say.
    pub algorithm_name: String,
    /// `typ`, if it is there.
    pub media_type: Option<String>,
    /// `kid`.
    pub key_id: Option<String>,
    /// The payload's members.
    pub claims: Members,
    /// The bytes that are signed.
    pub signing_input: &'a [u8],
    /// The signature.
    pub signature: Vec<u8>,
}

impl core::fmt::Debug for Jws<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Jws").field("algorithm", &self.algorithm_name).finish_non_exhaustive()
    }
}

impl<'a> Jws<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// Whatever is wrong with its form, its header or its encoding.
    pub fn parse(token: &'a str) -> Result<Self, Refusal> {
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), rest) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::TokenSegments);
        };
        if rest.is_some() {
            return Err(if parts.next().is_some() && parts.next().is_none() {
                Refusal::TokenEncrypted
            } else {
                Refusal::TokenSegments
            });
        }
        let signing_input = token
            .as_bytes()
            .get(..header.len().saturating_add(1).saturating_add(payload.len()))
            .ok_or(Refusal::TokenSegments)?;

        let header = object(header)?;
        let algorithm_name = header.str("alg").ok_or(Refusal::AlgorithmUnknown)?.to_owned();
        if algorithm_name.eq_ignore_ascii_case("none") || algorithm_name.is_empty() {
            return Err(Refusal::AlgorithmNone);
        }
        // Every extension that must be understood is one that is not (RFC 7515 section 4.1.11), but for
        // `b64`, which is understood and refused (RFC 7797).
        if header.get("b64").is_some_and(|encoded| *encoded != Value::Bool(true)) {
            return Err(Refusal::UnencodedPayload);
        }
        if header.get("crit").is_some() {
            return Err(Refusal::CriticalExtension);
        }
        if header.get("enc").is_some() {
            return Err(Refusal::TokenEncrypted);
        }
        let text = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(Refusal::TokenJson),
        };
        let key_id = text("kid")?;
        let media_type = text("typ")?;
        let claims = object(payload)?;
        let signature = base64url(signature.as_bytes()).ok_or(Refusal::TokenEncoding)?;
        Ok(Self { algorithm_name, media_type, key_id, claims, signing_input, signature })
    }

    /// The algorithm, where it must be one that a published key can have.
    ///
    /// # Errors
    /// It is symmetric, or none that is known.
    pub fn algorithm(&self) -> Result<Algorithm, Refusal> {
        match self.algorithm_name.as_str() {
            "HS256" | "HS384" | "HS512" => Err(Refusal::AlgorithmSymmetric),
            name => Algorithm::of_name(name).ok_or(Refusal::AlgorithmUnknown),
        }
    }
}

fn object(part: &str) -> Result<Members, Refusal> {
    let text = base64url(part.as_bytes()).ok_or(Refusal::TokenEncoding)?;
    json::object(&text).map_err(|error| match error {
        JsonError::Malformed => Refusal::TokenJson,
        JsonError::Duplicate => Refusal::TokenDuplicateMember,
    })
}
