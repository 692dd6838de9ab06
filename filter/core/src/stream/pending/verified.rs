//! Verifying all credentials of a request, and what they say together.

use std::rc::Rc;

use super::{Body, Pending};
use crate::authn::claims::LEEWAY;
use crate::authn::extract::Judged;
use crate::authn::verdict::{BodyDigest, Failure, OneUse};
use crate::authn::{Identity, Refusal, extract, httpsig};
use crate::headers::Pairs;
use crate::policy::RoutePolicy;
use crate::stream::Env;
use crate::stream::stop::Stop;

/// What all credentials together say.
pub(super) struct Verified {
    pub(super) identity: Rc<Identity>,
    pub(super) source: Option<usize>,
    /// The keys that signed what is good for one request, with their sources: they must still be there at
    /// its end.
    keys: Vec<(usize, [u8; 32])>,
    pub(super) digests: Vec<BodyDigest>,
    pub(super) uses: Vec<OneUse>,
    pub(super) body_is_good: bool,
}

/// What verifying came to.
pub(super) enum Next {
    Verified(Verified),
    Wait,
    Exchange(usize, Box<str>),
}

impl Pending {
    /// Verifies what is there to be verified; `signed` are the headers with a message signature in them.
    pub(super) fn verify(&self, env: &mut Env<'_>, signed: Option<&Pairs>) -> Result<Next, Stop> {
        let mut verified: Option<Verified> = None;
        if let Some(token) = &self.token {
            match self.verify_token(env, token) {
                Ok(Next::Verified(of_token)) => verified = Some(of_token),
                Ok(next) => return Ok(next),
                Err(Failure::Wait) => return Ok(Next::Wait),
                Err(failure) => return Err(failure.into()),
            }
        }
        let Some(rules) = env.policy.schemes.httpsig.as_ref() else {
            return verified.map(Next::Verified).ok_or(Stop::Fault);
        };
        if let Some(pairs) = signed {
            let required = self.route.rules.and_then(|at| env.policy.rules.get(at));
            let required = required.and_then(|rules| rules.components.as_deref());
            let hmac = env.policy.schemes.hmac.as_ref();
            let message = httpsig::Message::read(pairs, self.body != Body::None);
            let signed = httpsig::authenticate(&message, rules, required, env.keys, hmac, env.host, env.now);
            let signed = match signed {
                Ok(signed) => signed,
                Err(Failure::Wait) => return Ok(Next::Wait),
                Err(failure) => return Err(failure.into()),
            };
            verified = Some(match verified {
                None => Verified {
                    identity: Rc::new(env.policy.schemes.granted_alone(signed.identity)),
                    source: signed.source,
                    keys: key_of(signed.source, signed.key_fingerprint),
                    digests: signed.digests,
                    uses: signed.uses,
                    body_is_good: false,
                },
                Some(mut both) => {
                    let user = Rc::unwrap_or_clone(both.identity);
                    let acting = extract::acting(user, &signed.identity).map_err(Stop::Refused)?;
                    both.identity = Rc::new(acting);
                    both.keys.extend(key_of(signed.source, signed.key_fingerprint));
                    both.digests.extend(signed.digests);
                    both.uses.extend(signed.uses);
                    both
                }
            });
        }
        verified.map(Next::Verified).ok_or(Stop::Fault)
    }

    fn verify_token(&self, env: &mut Env<'_>, token: &str) -> Result<Next, Failure> {
        if let Some(entry) = env.tokens.get(token.as_bytes(), env.now) {
            return Ok(Next::Verified(Verified::good(Rc::clone(&entry.identity), entry.source)));
        }
        let (policy, now) = (env.policy, env.now);
        let accepted = match &self.exchanged {
            Some((at, exchanged)) => {
                let exchange = policy.schemes.exchanges.get(*at).ok_or(Refusal::ExchangeRefused)?;
                policy.schemes.judge_exchanged(exchanged, exchange, env.keys, env.host, now)?
            }
            None => match policy.schemes.judge_bearer(token, env.keys, env.host, now)? {
                Judged::Accepted(accepted) => accepted,
                Judged::Signed(signed) => {
                    return Ok(Next::Verified(Verified {
                        identity: Rc::new(signed.identity),
                        source: signed.source,
                        keys: key_of(signed.source, signed.key_fingerprint),
                        digests: signed.digests,
                        uses: signed.uses,
                        body_is_good: false,
                    }));
                }
                Judged::Exchange(..) if env.tokens.is_refused(token.as_bytes(), now) => {
                    return Err(Refusal::ExchangeRefused.into());
                }
                Judged::Exchange(at, issuer) => return Ok(Next::Exchange(at, issuer)),
            },
        };
        let source = accepted.source;
        let entry = env.tokens.insert(token.as_bytes(), accepted);
        entry.memo.is_plain = policy.missing_scope(&entry.identity, source, RoutePolicy::ENGINE).is_none()
            && !policy.limits_models(&entry.identity);
        Ok(Next::Verified(Verified::good(Rc::clone(&entry.identity), source)))
    }
}

impl Verified {
    fn good(identity: Rc<Identity>, source: Option<usize>) -> Self {
        let (keys, digests, uses) = (Vec::new(), Vec::new(), Vec::new());
        Self { identity, source, keys, digests, uses, body_is_good: false }
    }

    /// Whether what was verified is good still: waiting takes time, in which it may end and keys may go.
    pub(super) fn still_holds(&self, env: &Env<'_>) -> Result<(), Stop> {
        let now = env.now.seconds();
        if let Some(late) = self.uses.iter().find(|one| now >= one.until) {
            return Err(Stop::Refused(late.late));
        }
        if now >= self.identity.expires().seconds().saturating_add(LEEWAY) {
            return Err(Stop::Refused(Refusal::Expired));
        }
        let is_there = |(source, key): &(usize, [u8; 32])| {
            env.keys.get(*source).is_some_and(|keys| keys.serves(env.now) && keys.holds(key))
        };
        if self.keys.iter().all(is_there) { Ok(()) } else { Err(Stop::Refused(Refusal::KeyUnknown)) }
    }
}

fn key_of(source: Option<usize>, fingerprint: [u8; 32]) -> Vec<(usize, [u8; 32])> {
    source.map(|source| (source, fingerprint)).into_iter().collect()
}
