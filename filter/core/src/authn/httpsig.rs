//! HTTP message signatures (RFC 9421): who signed a request, by `Signature-Input` and `Signature`.
//!
//! A request is accepted when **every** signature on it passes **every** line of this table, in this order,
//! and all of them are one signer's:
//!
//! | what | rule | else |
//! |---|---|---|
//! | form | both headers are dictionaries of at most 16 KiB, with the same labels, at most four, nothing twice | `signature_malformed`, `signature_unmatched`, `signature_too_many` |
//! | components | at most 32, known, none twice; of a request, so no `@status`, `;req`, `;tr` | `signature_component` |
//! | coverage | `@authority` or `@target-uri`; and what the route wants, `content-digest` where there is a body | `signature_coverage` |
//! | authority | `@authority` is one of ours: a signature for another site is none for this one | `signature_authority` |
//! | time | `created` is there and past; not older than `max_age`, or before `expires`, a day later at most | `signature_created`, `signature_expired` |
//! | agent | a `Signature-Agent` is covered, and one of the directories | `signature_agent`, `signature_agent_unsigned` |
//! | key | `keyid` names a key (by `kid` or RFC 7638 thumbprint) of that directory, else of just one; `alg` is its algorithm | `signature_key_unknown`, `signature_algorithm` |
//! | signature | is that key's over the signature base | `signature_wrong` |
//! | body | `Content-Digest`, where covered, is the body's: the caller's to see, [`Signed::digests`] | `digest_wrong` |
//! | once | the nonce, else the signature itself, was not used before: the caller's too, [`Signed::uses`] | `signature_replayed` |
//!
//! The scheme of a request is what the gateway's public address says, whatever the connection was. Its
//! target is what the listener made of it: if normalisation changed it, the signature is wrong.
//!
//! Structured fields are the crate `sfv`'s: maintained, what Firefox reads them with, and no dependency of
//! its own but a base64 that is here anyway. The crates above it do not fit a filter: `web-bot-auth` 0.7
//! verifies Ed25519 alone and brings `regex`, `data-url` and, in wasm, `time` for a browser; `httpsig` 0.0.26
//! brings a second set of elliptic curves, `rand` and a pre-release of `rsa`. Both read the clock themselves. What is left without them is the table above.

mod agent;
mod component;
mod digest;
mod message;
mod parameters;
mod query;
mod signer;
mod structured;
#[cfg(test)]
mod tests;

pub use agent::normal_agent;
pub use component::Component;
pub use message::{Message, normal_authority};

use super::claims::LEEWAY;
use super::identity::{Credential, Identity, fits_header};
use super::verdict::{Failure, OneUse, Signed};
use super::{Refusal, hmac};
use crate::clock::UnixMillis;
use crate::crypto::{HostVerifier, sha256};
use crate::headers::Pairs;
use crate::keys::cache::JwksCache;
use message::MAX_COVERED_BYTES;
use parameters::Parameters;
use sfv::BareItem;
use signer::Claim;
use structured::{Member, Members};

/// The longest `Signature-Input` and the longest `Signature`, in bytes.
const MAX_FIELD_BYTES: usize = 16 * 1024;
/// The most signatures on one request.
const MAX_SIGNATURES: usize = 4;
/// The most components that one signature covers.
const MAX_COMPONENTS: usize = 32;

/// What signatures are judged by.
#[derive(Clone, Debug)]
pub struct Rules {
    /// What `@authority` may be, each [normalised](normal_authority).
    pub authorities: Box<[Box<str>]>,
    /// The gateway's own scheme, `https` or `http`, by its public address.
    pub scheme: Box<str>,
    /// The signers' directories.
    pub directories: Vec<Directory>,
    /// Stands before a directory's name in an identity: `sig:`.
    pub user_prefix: Box<str>,
    /// What must be covered where a route says nothing.
    pub components: Box<[Component]>,
    /// How many seconds a signature is valid that says no end.
    pub max_age: u64,
}

/// One signer's directory of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The signer's name.
    pub name: Box<str>,
    /// What `Signature-Agent` says for it, [normalised](normal_agent).
    pub agent: Box<str>,
    /// Where its keys are among the policy's sources, and among the caches.
    pub source: usize,
}

impl Directory {
    /// A directory; `agent` in any spelling. `None` if that is no address.
    #[must_use]
    pub fn new(name: &str, agent: &str, source: usize) -> Option<Self> {
        Some(Self { name: name.into(), agent: normal_agent(agent)?.into(), source })
    }
}

/// Whether a request says that it is signed.
#[must_use]
pub fn present(pairs: &Pairs) -> bool {
    pairs.iter().any(|(name, _)| matches!(&**name, "signature-input" | "signature"))
}

/// Judges all signatures of a request. `required`: what its route wants covered, in place of
/// [`Rules::components`]. `caches`: the policy's sources' keys.
///
/// # Errors
/// [`Failure`]; with [`Failure::Wait`] nothing was used up and the same request may be judged again.
pub fn authenticate(
    message: &Message<'_>,
    rules: &Rules,
    required: Option<&[Component]>,
    caches: &mut [JwksCache],
    services: Option<&hmac::Rules>,
    host: &dyn HostVerifier,
    now: UnixMillis,
) -> Result<Signed, Failure> {
    let (inputs, signatures) = (dictionary(message, "signature-input")?, dictionary(message, "signature")?);
    if inputs.len() > MAX_SIGNATURES || signatures.len() > MAX_SIGNATURES {
        return Err(Refusal::SignatureTooMany.into());
    }
    if inputs.len() != signatures.len() {
        return Err(Refusal::SignatureUnmatched.into());
    }
    let required = required.unwrap_or(&rules.components);
    let mut left = MAX_COVERED_BYTES;
    let mut signed: Option<Signed> = None;
    for input in inputs.iter() {
        let Some(BareItem::ByteSequence(signature)) =
            signatures.get(input.key()).ok_or(Refusal::SignatureUnmatched)?.item()
        else {
            return Err(Refusal::SignatureMalformed.into());
        };
        let covered = covered(input)?;
        coverage(&covered, required, message)?;
        let authority = message.authority(&rules.scheme).ok_or(Refusal::SignatureAuthority)?;
        if !rules.authorities.iter().any(|ours| **ours == *authority) {
            return Err(Refusal::SignatureAuthority.into());
        }
        let parameters = Parameters::read(&input.parameters, rules.max_age, now)?;
        let agent = agent::claimed(message, &covered, input.key())?;
        let claim = Claim {
            parameters: &parameters,
            agent: agent.as_deref(),
            signature,
            styles: agent::styles(&covered),
        };
        let base = |style| message.signature_base(input, &covered, &rules.scheme, style, &mut left);
        let (signer, base) = signer::verified(&claim, base, rules, services, caches, host, now)?;
        // Only now is what it says the signer's.
        let digests = if digest::is_covered(&covered) { digest::of(message, &covered)? } else { Vec::new() };
        let one_use = one_use(&parameters, &signer.key_fingerprint, &base);
        match &mut signed {
            None => {
                if !fits_header(&signer.name) {
                    return Err(Refusal::SubjectUnfit.into());
                }
                let expires = UnixMillis(parameters.valid_until.saturating_mul(1000));
                signed = Some(Signed {
                    identity: Identity::new(signer.name, expires, Credential::Httpsig),
                    digests,
                    uses: vec![one_use],
                    key_fingerprint: signer.key_fingerprint,
                    source: signer.source,
                });
            }
            Some(signed) if *signed.identity.user() == *signer.name => {
                signed.digests.extend(digests);
                signed.uses.push(one_use);
            }
            Some(_) => return Err(Refusal::AgentDiffers.into()),
        }
    }
    signed.ok_or_else(|| Refusal::SignatureMalformed.into())
}

/// One of the two headers. A label or parameter that is there twice is legal, and one reader's last may be
/// another's first; no signer writes such a header.
fn dictionary(message: &Message<'_>, name: &str) -> Result<Members, Refusal> {
    let field = message.field(name, MAX_FIELD_BYTES).ok_or(Refusal::SignatureMalformed)?;
    Members::dictionary(&field).filter(|members| !members.has_repetition()).ok_or(Refusal::SignatureMalformed)
}

fn covered(input: &Member) -> Result<Vec<Component>, Refusal> {
    let items = input.inner_list().ok_or(Refusal::SignatureMalformed)?;
    if items.len() > MAX_COMPONENTS {
        return Err(Refusal::SignatureComponent);
    }
    let mut covered = Vec::with_capacity(items.len());
    for item in items {
        let component = Component::of(item)?;
        if covered.contains(&component) {
            return Err(Refusal::SignatureMalformed);
        }
        covered.push(component);
    }
    Ok(covered)
}

/// Whether enough is covered: always whom the request is for, and what the route wants. A digest is wanted
/// where there is something to digest, and the query where there is one: nobody signs what is not there, and
/// what is put there afterwards is then not covered.
fn coverage(covered: &[Component], required: &[Component], message: &Message<'_>) -> Result<(), Refusal> {
    let has_authority = covered
        .iter()
        .any(|component| component.is_all_of("@authority") || component.is_all_of("@target-uri"));
    let has_required = required.iter().all(|required| {
        if required.is_all_of(digest::FIELD) {
            !message.has_body || digest::is_covered(covered)
        } else if required.is_all_of("@query") {
            !message.has_query() || required.is_in(covered)
        } else {
            required.is_in(covered)
        }
    });
    if has_authority && has_required { Ok(()) } else { Err(Refusal::SignatureCoverage) }
}

/// What a signature uses up: its nonce, else what was signed. Without a nonce the request could be sent
/// again as long as the signature is valid, so every signature counts once. It is not the signature's bytes
/// that are remembered: of an ECDSA signature anybody can make a second one over the same base.
fn one_use(parameters: &Parameters<'_>, fingerprint: &[u8; 32], base: &str) -> OneUse {
    let (kind, value): (&[u8], &str) = match parameters.nonce {
        Some(nonce) => (b"httpsig nonce\0", nonce),
        None => (b"httpsig base\0", base),
    };
    OneUse {
        key: sha256(&[kind, fingerprint, value.as_bytes()]),
        signer: *fingerprint,
        // Workers' clocks are a tick apart.
        until: parameters.valid_until.saturating_add(LEEWAY).saturating_add(1),
        otherwise: Refusal::SignatureReplayed,
        late: Refusal::SignatureExpired,
    }
}
