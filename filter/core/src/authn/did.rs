//! Tokens signed with the key that a DID itself names: did:key, and did:pkh for wallets.
//!
//! They come as a JWS whose `iss` is the DID, or without one whose `kid` is, or in the original's form `did:….header.payload.signature`.
//! Anybody can make such a key and sign anything with it, so a correct signature alone lets nobody in:
//! the operator says who may ([`AllowedDid`]), and what such a token says about its own rights is not
//! read. Scopes come from the operator's grants.

mod allow;
mod key;
mod name;
mod pkh;

pub use allow::AllowedDid;

use super::Refusal;
use super::claims::{self, LEEWAY};
use super::identity::{Credential, Identity};
use super::jws::Jws;
use super::verdict::Accepted;
use crate::clock::UnixMillis;
use crate::crypto::{Algorithm, HostVerifier, keccak256, recover_address, sha256};
use crate::json::Value;
use name::{Did, Holder};

/// How far ahead an expiry may lie, in seconds. There is nobody to take a key back, so a token that was
/// stolen is good until it ends.
const MAX_LIFETIME: u64 = 24 * 60 * 60;

/// Which DIDs are accepted, and for whom their tokens must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Who may; empty: nobody, the method is off.
    pub allow: Vec<AllowedDid>,
    /// The audiences that are this gateway's.
    pub audiences: Box<[Box<str>]>,
}

/// Whether a bearer token is in the form that begins with its DID.
#[must_use]
pub fn is_prefix_form(token: &str) -> bool {
    token.starts_with("did:")
}

/// Whether a token says that a DID's key signed it.
#[must_use]
pub fn names_did(jws: &Jws<'_>) -> bool {
    jws.claims.str("iss").is_some_and(is_prefix_form) || jws.key_id.as_deref().is_some_and(is_prefix_form)
}

/// Judges a token of either form.
///
/// # Errors
/// [`Refusal`].
pub fn authenticate(
    token: &str,
    rules: &Rules,
    host: &dyn HostVerifier,
    now: UnixMillis,
) -> Result<Accepted, Refusal> {
    if rules.allow.is_empty() {
        return Err(Refusal::DidOff);
    }
    if !is_prefix_form(token) {
        return authenticate_jws(&Jws::parse(token)?, rules, host, now);
    }
    let (did, token) = split(token)?;
    let jws = Jws::parse(token)?;
    match jws.claims.get("iss") {
        None => {}
        Some(Value::String(issuer)) if did.is(issuer) => {}
        Some(_) => return Err(Refusal::DidMismatch),
    }
    judge(&did, &jws, rules, host, now)
}

/// Judges a token without a DID before it, taken apart.
///
/// # Errors
/// [`Refusal`].
pub fn authenticate_jws(
    jws: &Jws<'_>,
    rules: &Rules,
    host: &dyn HostVerifier,
    now: UnixMillis,
) -> Result<Accepted, Refusal> {
    if rules.allow.is_empty() {
        return Err(Refusal::DidOff);
    }
    let did = match jws.claims.get("iss") {
        Some(Value::String(issuer)) if is_prefix_form(issuer) => Did::parse(issuer)?,
        // `kid` says that it is a DID's; then the issuer is that DID, and nobody else.
        Some(Value::String(issuer)) if !issuer.is_empty() => return Err(Refusal::DidMismatch),
        None => {
            let key_id = jws.key_id.as_deref().ok_or(Refusal::IssuerMissing)?;
            Did::parse(key_id.split_once('#').map_or(key_id, |(did, _)| did))?
        }
        Some(_) => return Err(Refusal::IssuerMissing),
    };
    judge(&did, jws, rules, host, now)
}

/// The DID before the first dot and the JWS after it.
fn split(token: &str) -> Result<(Did, &str), Refusal> {
    // The methods first: a did:web has dots of its own.
    name::method(token)?;
    let Some((did, rest)) = token.split_once('.') else {
        return Err(Did::parse(token).err().unwrap_or(Refusal::DidUnsigned));
    };
    // `did:key:z6Mki...<sig>.<payload>.<sig>`, as the original's README has it.
    if rest.starts_with("..") {
        return Err(Refusal::DidReadmeForm);
    }
    let did = Did::parse(did)?;
    if rest.is_empty() { Err(Refusal::DidUnsigned) } else { Ok((did, rest)) }
}

fn judge(
    did: &Did,
    jws: &Jws<'_>,
    rules: &Rules,
    host: &dyn HostVerifier,
    now: UnixMillis,
) -> Result<Accepted, Refusal> {
    // A DID URL of the same DID; a key of another's would not be the one that is checked.
    if jws.key_id.as_deref().is_some_and(|id| !did.owns_key(id)) {
        return Err(Refusal::DidMismatch);
    }
    // Before the signature, so that a DID that nobody listed costs no curve arithmetic. What is learnt
    // from it, that a DID is listed, is no secret.
    if !rules.allow.iter().any(|allowed| allowed.holds(did)) {
        return Err(Refusal::DidNotAllowed);
    }
    if jws.signature.is_empty() {
        return Err(Refusal::DidUnsigned);
    }
    let key_fingerprint = verify(did, jws, host)?;
    let dates = claims::dates(&jws.claims, now)?;
    claims::audience(&jws.claims, &rules.audiences)?;
    let latest = now.seconds().saturating_add(MAX_LIFETIME).saturating_add(LEEWAY);
    if dates.expires.seconds() > latest {
        return Err(Refusal::LifetimeTooLong);
    }
    // Neither `scope` nor `sub` counts: who signs for himself would grant himself everything.
    let identity = Identity::new(did.name().into(), dates.expires, Credential::Did);
    Ok(Accepted { identity, source: None, key_fingerprint, refused_from: dates.refused_from })
}

/// The fingerprint of the key that signed, if it is the DID's.
fn verify(did: &Did, jws: &Jws<'_>, host: &dyn HostVerifier) -> Result<[u8; 32], Refusal> {
    let algorithm = jws.algorithm_name.as_str();
    if algorithm.starts_with("HS") {
        return Err(Refusal::AlgorithmSymmetric);
    }
    match did.holder() {
        Holder::Key(material) => {
            // The key's algorithm and no other; `Ed25519` is another name of `EdDSA` (RFC 9864).
            let its_own = algorithm == material.algorithm().name()
                || (algorithm == "Ed25519" && material.algorithm() == Algorithm::EdDsa);
            if !its_own {
                return Err(Refusal::DidAlgorithm);
            }
            let key = material.public()?;
            if !key.verify(host, jws.signing_input, &jws.signature) {
                return Err(Refusal::SignatureInvalid);
            }
            Ok(key.fingerprint())
        }
        Holder::Address(address) => {
            let digest = match algorithm {
                // Of did-jwt and the drafts before it: ES256K with the key to be recovered.
                "ES256K-R" => sha256(&[jws.signing_input]),
                // What a wallet's personal_sign signs (EIP-191, version 0x45).
                "EIP191" => keccak256(&[
                    b"\x19Ethereum Signed Message:\n",
                    jws.signing_input.len().to_string().as_bytes(),
                    jws.signing_input,
                ]),
                _ => return Err(Refusal::DidAlgorithm),
            };
            // An address is a hash, so the key is found and hashed, not looked up.
            if recover_address(&digest, &jws.signature) != Some(*address) {
                return Err(Refusal::SignatureInvalid);
            }
            Ok(sha256(&[address]))
        }
    }
}
