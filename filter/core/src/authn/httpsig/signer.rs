//! Whose signature it is: the key that a signature names, and whether the signature is that key's.

use super::Rules;
use super::message::Style;
use super::parameters::Parameters;
use crate::authn::verdict::Failure;
use crate::authn::{Refusal, hmac};
use crate::clock::UnixMillis;
use crate::crypto::{Algorithm, Hash, HostVerifier};
use crate::keys::NoKey;
use crate::keys::cache::{JwksCache, Missing};

/// The algorithms (RFC 9421 section 3.3) and what a JSON Web Key calls them. A key has one of them, stated
/// or by its kind: an RSA key without `alg` is RS256's, so `rsa-pss-sha512` needs a key that says PS512.
const ALGORITHMS: [(&str, Algorithm); 5] = [
    ("ed25519", Algorithm::EdDsa),
    ("ecdsa-p256-sha256", Algorithm::Es256),
    ("ecdsa-p384-sha384", Algorithm::Es384),
    ("rsa-pss-sha512", Algorithm::Ps512),
    ("rsa-v1_5-sha256", Algorithm::Rs256),
];
/// The one with a shared key.
const HMAC: &str = "hmac-sha256";

/// Who signed.
#[derive(Debug)]
pub(super) struct Signer {
    /// The name with its prefix.
    pub(super) name: Box<str>,
    /// The key that signed.
    pub(super) key_fingerprint: [u8; 32],
    /// The source of that key; `None`: the configuration.
    pub(super) source: Option<usize>,
}

/// What is to be found right.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    /// What the signature says about itself.
    pub(super) parameters: &'a Parameters<'a>,
    /// The directory that it names.
    pub(super) agent: Option<&'a str>,
    /// The signature.
    pub(super) signature: &'a [u8],
    /// The ways its base may be written.
    pub(super) styles: &'a [Style],
}

/// Who signed, and the base it was made over; `base` writes that once the key is there.
///
/// # Errors
/// [`Failure`]; [`Failure::Wait`] where the key may come.
pub(super) fn verified(
    claim: &Claim<'_>,
    mut base: impl FnMut(Style) -> Result<String, Refusal>,
    rules: &Rules,
    services: Option<&hmac::Rules>,
    caches: &mut [JwksCache],
    host: &dyn HostVerifier,
    now: UnixMillis,
) -> Result<(Signer, String), Failure> {
    let Claim { parameters, agent, signature, styles } = *claim;
    if let Some((prefix, service)) = service(parameters, agent, services)? {
        let base = base(Style::Rfc)?;
        // A code over a JWT can never pass for one over a message: a base begins with a quote.
        if !service.key.verify(Hash::Sha256, base.as_bytes(), signature) {
            return Err(Refusal::SignatureWrong.into());
        }
        let name = [prefix, &*service.name].concat().into();
        let key_fingerprint = service.fingerprint;
        return Ok((Signer { name, key_fingerprint, source: None }, base));
    }
    let algorithm = match parameters.algorithm {
        None => None,
        Some(name) => Some(algorithm(name).ok_or(Refusal::SignatureAlgorithm)?),
    };
    let place = directory(parameters.key_id, agent, algorithm, rules, caches, now)?;
    let directory = rules.directories.get(place).ok_or(Refusal::SignatureAgent)?;
    let cache = caches.get_mut(directory.source).ok_or(Failure::NoKeys(1))?;
    let key = cache.find_signer(now, parameters.key_id, algorithm).map_err(missing)?;
    if !ALGORITHMS.iter().any(|(_, algorithm)| *algorithm == key.public.algorithm()) {
        return Err(Refusal::SignatureAlgorithm.into());
    }
    for style in styles {
        let base = base(*style)?;
        if key.public.verify(host, base.as_bytes(), signature) {
            let name = [&*rules.user_prefix, &*directory.name].concat().into();
            let signer = Signer { name, key_fingerprint: key.fingerprint, source: Some(directory.source) };
            return Ok((signer, base));
        }
        // Whoever writes the base in another way signs with Ed25519.
        if key.public.algorithm() != Algorithm::EdDsa {
            break;
        }
    }
    Err(Refusal::SignatureWrong.into())
}

fn algorithm(name: &str) -> Option<Algorithm> {
    ALGORITHMS.iter().find(|(have, _)| *have == name).map(|(_, algorithm)| *algorithm)
}

/// The service whose shared key is meant. Services' keys are the operator's own, so they come first; but a
/// signature that names an agent or another algorithm never means one.
fn service<'a>(
    parameters: &Parameters<'_>,
    agent: Option<&str>,
    services: Option<&'a hmac::Rules>,
) -> Result<Option<(&'a str, &'a hmac::Service)>, Refusal> {
    let found = services.and_then(|rules| {
        let service = rules.services.iter().find(|service| *service.name == *parameters.key_id)?;
        Some((&*rules.user_prefix, service))
    });
    match parameters.algorithm {
        Some(HMAC) if agent.is_some() => Err(Refusal::SignatureAlgorithm),
        Some(HMAC) => found.map(Some).ok_or(Refusal::SignatureKeyUnknown),
        None if agent.is_none() => Ok(found),
        _ => Ok(None),
    }
}

/// The place of the directory that has the key.
fn directory(
    key_id: &str,
    agent: Option<&str>,
    algorithm: Option<Algorithm>,
    rules: &Rules,
    caches: &mut [JwksCache],
    now: UnixMillis,
) -> Result<usize, Failure> {
    if let Some(agent) = agent {
        let place = rules.directories.iter().position(|directory| *directory.agent == *agent);
        return place.ok_or_else(|| Refusal::SignatureAgent.into());
    }
    // Nobody is named: whoever has the key, if it is one alone. First among the keys that are here, because
    // to ask for one makes every directory that lacks it be fetched.
    let mut having = rules.directories.iter().enumerate().filter(|(_, directory)| {
        let cache = caches.get(directory.source);
        cache.is_some_and(|cache| cache.has_signer(now, key_id, algorithm))
    });
    match (having.next(), having.next()) {
        (Some((place, _)), None) => return Ok(place),
        (Some(_), Some(_)) => return Err(Refusal::SignatureKeyUnknown.into()),
        (None, _) => {}
    }
    let mut worst = Failure::from(Refusal::SignatureKeyUnknown);
    for directory in &rules.directories {
        let Some(cache) = caches.get_mut(directory.source) else { continue };
        match cache.find_signer(now, key_id, algorithm).map(drop).map_err(missing) {
            Err(Failure::Wait) => worst = Failure::Wait,
            Err(Failure::NoKeys(seconds)) if worst != Failure::Wait => worst = Failure::NoKeys(seconds),
            Err(Failure::Refused(Refusal::SignatureAlgorithm)) if matches!(worst, Failure::Refused(_)) => {
                worst = Refusal::SignatureAlgorithm.into();
            }
            _ => {}
        }
    }
    Err(worst)
}

fn missing(missing: Missing) -> Failure {
    match missing {
        Missing::Wait => Failure::Wait,
        Missing::NoKeys(seconds) => Failure::NoKeys(seconds),
        Missing::Key(NoKey::Unknown | NoKey::Unnamed) => Refusal::SignatureKeyUnknown.into(),
        Missing::Key(NoKey::Algorithm) => Refusal::SignatureAlgorithm.into(),
    }
}
