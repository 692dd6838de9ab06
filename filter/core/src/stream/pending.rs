//! A request that cannot be let go at once: what is known of it, and what is still to be done, in order.
//!
//! 1. Every credential is verified: keys may have to come, or another token in exchange.
//! 2. Scopes.
//! 3. The body, if a signature vouches for it or if its model matters.
//! 4. What may be used once is used up, when all else has been found good.

use core::time::Duration;
use std::rc::Rc;

use super::body::{MAX_KEPT, check_digests};
use super::forward::{Forwarding, forward};
use super::stop::Stop;
use super::{Answer, Effect, Env, Flow, Output, Question, Stream, shadow};
use crate::authn::claims::LEEWAY;
use crate::authn::extract::Judged;
use crate::authn::identity::Identity;
use crate::authn::replay::Consumed;
use crate::authn::verdict::{BodyDigest, Failure, OneUse};
use crate::authn::{Refusal, exchange, extract, httpsig};
use crate::clock::UnixMillis;
use crate::headers::{Pairs, RequestHead};
use crate::json;
use crate::keys::discovery::Target;
use crate::policy::RoutePolicy;
use crate::policy::model::{self, ModelProblem};
use crate::policy::route::Destination;
use crate::stamp;

/// How long a request waits for its issuer's keys.
pub(super) const KEYS_DEADLINE: Duration = Duration::from_secs(2);
/// How long a token endpoint may take.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long control may take to say whether something was used before.
const ONCE_TIMEOUT: Duration = Duration::from_secs(2);
/// Where control says so.
const ONCE_PATH: &str = "/internal/replay";

/// How long a body that is to be judged may take.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// What a request says who it is by, copied from its headers.
pub(super) struct Credentials {
    /// The bearer token.
    pub(super) token: Option<Box<str>>,
    /// The headers, where there is a message signature to be checked.
    pub(super) message: Option<Vec<(String, Vec<u8>)>>,
}

/// How much of the body is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// There is none.
    None,
    /// Some is still to come.
    Coming,
    /// All of it is there.
    Whole,
    /// The connection becomes something else than HTTP: what follows has no end to be waited for.
    Endless,
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Exchange(usize),
    Once,
}

/// A request that is being judged.
pub(super) struct Pending {
    credentials: Credentials,
    user_agent: Box<[u8]>,
    path: Box<str>,
    route: RoutePolicy,
    body: Body,
    /// How much of the body the host has said that it keeps.
    kept: usize,
    /// Whether the headers say that the body is JSON and nothing else.
    is_json: bool,
    /// When a wait for keys ends; set when it begins.
    deadline: Option<UnixMillis>,
    /// When a wait for the body ends.
    body_deadline: Option<UnixMillis>,
    asked: Option<Asked>,
    /// The token that came in exchange for the caller's.
    exchanged: Option<(usize, Box<str>)>,
    /// Who it is, when all credentials were verified.
    verified: Option<Verified>,
}

/// What all credentials together say.
struct Verified {
    identity: Rc<Identity>,
    source: Option<usize>,
    /// The keys that signed what is good for one request, with their sources: they must still be there at
    /// its end.
    keys: Vec<(usize, [u8; 32])>,
    digests: Vec<BodyDigest>,
    uses: Vec<OneUse>,
    body_is_good: bool,
}

/// What verifying came to.
enum Next {
    Verified(Verified),
    Wait,
    Exchange(usize, Box<str>),
}

impl core::fmt::Debug for Pending {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pending")
            .field("route", &self.route)
            .field("body", &self.body)
            .field("deadline", &self.deadline)
            .field("asked", &self.asked)
            .finish_non_exhaustive()
    }
}

impl Pending {
    pub(super) fn new(
        credentials: Credentials,
        head: &RequestHead<'_>,
        pairs: &Pairs,
        path: &str,
        route: RoutePolicy,
        end_of_stream: bool,
    ) -> Self {
        Self {
            credentials,
            user_agent: head.user_agent.into(),
            path: path.into(),
            route,
            body: match (end_of_stream, head.is_upgrade) {
                (true, _) => Body::None,
                (false, true) => Body::Endless,
                (false, false) => Body::Coming,
            },
            kept: 0,
            is_json: model::is_plain_json(pairs),
            deadline: None,
            body_deadline: None,
            asked: None,
            exchanged: None,
            verified: None,
        }
    }

    /// Goes as far as it can.
    pub(super) fn advance(
        mut self: Box<Self>,
        env: &mut Env<'_>,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        if self.verified.is_none() {
            match self.verify(env)? {
                Next::Verified(verified) => {
                    let (policy, route) = (env.policy, self.route);
                    if let Some(scope) = policy.missing_scope(&verified.identity, verified.source, route) {
                        return Err(Stop::Scope(scope.into()));
                    }
                    self.verified = Some(verified);
                }
                Next::Wait => {
                    let deadline = *self.deadline.get_or_insert(env.now.after(KEYS_DEADLINE));
                    return if env.now < deadline {
                        Ok((Stream::FetchingKeys(self), Flow::Pause))
                    } else {
                        Err(Stop::late(
                            env,
                            self.credentials.token.as_deref(),
                            self.credentials.message.is_some(),
                        ))
                    };
                }
                Next::Exchange(at, issuer) => return self.ask_exchange(env, at, &issuer, out),
            }
        }
        let Some(verified) = &mut self.verified else { return Err(Stop::Fault) };
        verified.still_holds(env)?;
        if !verified.body_is_good {
            let names_model =
                self.route.to == Destination::Engine && env.policy.limits_models(&verified.identity);
            if names_model || !verified.digests.is_empty() {
                let body = match self.body {
                    Body::Coming => {
                        self.body_deadline.get_or_insert(env.now.after(BODY_DEADLINE));
                        return Ok((Stream::AwaitingBody(self), Flow::Pause));
                    }
                    Body::None => Vec::new(),
                    Body::Whole => (env.body)(),
                    // Nobody has signed what follows, and it names its model out of sight.
                    Body::Endless => {
                        let unsigned = verified.digests.first().map(|digest| digest.otherwise);
                        return Err(unsigned.map_or(Stop::ModelUnnamed, Stop::Refused));
                    }
                };
                // Less than the host said would pass for less than there is.
                if body.len() != self.kept {
                    return Err(Stop::Fault);
                }
                check_digests(&verified.digests, &body)?;
                if names_model {
                    let rules = &env.policy.models;
                    model::check(rules, &verified.identity, &self.path, self.is_json, &body).map_err(
                        |problem| match problem {
                            ModelProblem::Unnamed => Stop::ModelUnnamed,
                            ModelProblem::Forbidden => Stop::Model,
                        },
                    )?;
                }
            }
            verified.body_is_good = true;
        }
        if let Some(one) = verified.uses.first() {
            if env.policy.control_remembers {
                let question = ask_once(env, one)?;
                self.asked = Some(Asked::Once);
                out.effect(Effect::Ask(question));
                return Ok((Stream::Asking(self), Flow::Pause));
            }
            for one in verified.uses.drain(..) {
                match env.once.consume(&one, env.now.seconds()) {
                    Consumed::Fresh => {}
                    Consumed::Used => return Err(Stop::Refused(one.otherwise)),
                    Consumed::Unknown => return Err(Stop::OnceUnknown),
                }
            }
        }
        let identity = Rc::clone(&verified.identity);
        let session = stamp::session_id(&identity, &self.user_agent);
        let assertion = env.policy.signer.as_ref().map(|signer| {
            let audience = env.policy.audience(self.route);
            env.assertions.get(signer, &identity, &session, audience, env.now)
        });
        let forwarding = Forwarding { identity, session };
        Ok(forward(env, self.route, forwarding, assertion.as_deref(), out))
    }

    fn verify(&self, env: &mut Env<'_>) -> Result<Next, Stop> {
        let mut verified: Option<Verified> = None;
        if let Some(token) = &self.credentials.token {
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
        if let Some(pairs) = &self.credentials.message {
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

    fn ask_exchange(
        mut self: Box<Self>,
        env: &Env<'_>,
        at: usize,
        issuer: &str,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        let exchange = env.policy.schemes.exchanges.get(at).ok_or(Stop::Fault)?;
        let token = self.credentials.token.as_deref().ok_or(Stop::Fault)?;
        out.effect(Effect::Ask(Question {
            target: exchange.endpoint.clone(),
            content_type: "application/x-www-form-urlencoded",
            with_secret: false,
            body: exchange.form(token, issuer),
            timeout: EXCHANGE_TIMEOUT,
        }));
        self.asked = Some(Asked::Exchange(at));
        Ok((Stream::Asking(self), Flow::Pause))
    }

    pub(super) fn on_tick(
        self: Box<Self>,
        env: &mut Env<'_>,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        self.resumed(env, out, Self::advance)
    }

    /// The wait for the body goes on, or has gone on for too long.
    pub(super) fn on_tick_for_body(self: Box<Self>, env: &Env<'_>) -> Result<(Stream, Flow), Stop> {
        if self.body_deadline.is_some_and(|deadline| env.now >= deadline) {
            return Err(Stop::BodyLate);
        }
        Ok((Stream::AwaitingBody(self), Flow::Pause))
    }

    /// From when on a tick may change something, whatever else has.
    pub(super) fn due(&self) -> Option<UnixMillis> {
        self.body_deadline.or(self.deadline)
    }

    pub(super) fn on_answer(
        self: Box<Self>,
        env: &mut Env<'_>,
        answer: Option<Answer<'_>>,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        self.resumed(env, out, |pending, env, out| pending.answered(env, answer, out))
    }

    fn answered(
        mut self: Box<Self>,
        env: &mut Env<'_>,
        answer: Option<Answer<'_>>,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        match self.asked.take() {
            Some(Asked::Exchange(at)) => match answer {
                Some(Answer { status: 200..=299, body }) => {
                    let token = exchange::token_of(body).map_err(Stop::Refused)?;
                    self.exchanged = Some((at, token));
                }
                // RFC 6749 section 5.2: the endpoint has judged the token; anything else is its own trouble.
                Some(Answer { status: 400 | 401 | 403, .. }) => {
                    if let Some(token) = &self.credentials.token {
                        env.tokens.refuse(token.as_bytes(), env.now);
                    }
                    return Err(Stop::Refused(Refusal::ExchangeRefused));
                }
                _ => return Err(Stop::ExchangeUnavailable),
            },
            Some(Asked::Once) => {
                let fresh = match answer {
                    Some(Answer { status: 200, body }) => json::object(body)
                        .ok()
                        .and_then(|answer| answer.get("fresh").and_then(json::Value::as_bool)),
                    _ => None,
                };
                let uses = self.verified.as_mut().map(|verified| &mut verified.uses).ok_or(Stop::Fault)?;
                if uses.is_empty() {
                    return Err(Stop::Fault);
                }
                let one = uses.remove(0);
                match fresh {
                    Some(true) => {}
                    Some(false) => return Err(Stop::Refused(one.otherwise)),
                    None => return Err(Stop::OnceUnknown),
                }
            }
            None => return Err(Stop::Fault),
        }
        self.advance(env, out)
    }

    /// Goes on outside of the request's own callbacks, where the host must be told to.
    fn resumed(
        self: Box<Self>,
        env: &mut Env<'_>,
        out: &mut dyn Output,
        go_on: impl FnOnce(Box<Self>, &mut Env<'_>, &mut dyn Output) -> Result<(Stream, Flow), Stop>,
    ) -> Result<(Stream, Flow), Stop> {
        let step = self.or_shadow(env, out, go_on)?;
        if step.1 == Flow::Continue {
            out.effect(Effect::Resume);
        }
        Ok(step)
    }

    fn or_shadow(
        self: Box<Self>,
        env: &mut Env<'_>,
        out: &mut dyn Output,
        go_on: impl FnOnce(Box<Self>, &mut Env<'_>, &mut dyn Output) -> Result<(Stream, Flow), Stop>,
    ) -> Result<(Stream, Flow), Stop> {
        let (route, has_credential) = (self.route, self.credentials.token.is_some());
        go_on(self, env, out).or_else(|stop| shadow::instead_of(stop, env, route, has_credential, out))
    }

    /// More of the body has come while something else is waited for.
    pub(super) fn keep_body(
        mut self: Box<Self>,
        env: &Env<'_>,
        size: usize,
        end: bool,
        state: fn(Box<Self>) -> Stream,
        _: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        self.kept = size;
        if end {
            self.body_is_whole();
        }
        // Whoever waits for keys has done nothing wrong, whatever the size: let him come again.
        if size >= MAX_KEPT {
            return Err(Stop::Busy(self.retry_after(env)));
        }
        Ok((state(self), Flow::Pause))
    }

    fn retry_after(&self, env: &Env<'_>) -> u64 {
        self.deadline.map_or(1, |deadline| deadline.0.saturating_sub(env.now.0).div_ceil(1000).max(1))
    }

    pub(super) fn body_is_whole(&mut self) {
        if self.body == Body::Coming {
            self.body = Body::Whole;
        }
    }

    pub(super) fn on_body(
        mut self: Box<Self>,
        env: &mut Env<'_>,
        size: usize,
        end: bool,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        if size > MAX_KEPT {
            return Err(Stop::BodyTooLarge);
        }
        self.kept = size;
        if !end {
            return Ok((Stream::AwaitingBody(self), Flow::Pause));
        }
        self.on_whole_body(env, out)
    }

    pub(super) fn on_whole_body(
        mut self: Box<Self>,
        env: &mut Env<'_>,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        self.body_is_whole();
        self.or_shadow(env, out, Self::advance)
    }
}

impl Verified {
    fn good(identity: Rc<Identity>, source: Option<usize>) -> Self {
        let (keys, digests, uses) = (Vec::new(), Vec::new(), Vec::new());
        Self { identity, source, keys, digests, uses, body_is_good: false }
    }

    /// Whether what was verified is good still: waiting takes time, in which it may end and keys may go.
    fn still_holds(&self, env: &Env<'_>) -> Result<(), Stop> {
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

/// Asks control whether something was used before, at whichever Envoy.
fn ask_once(env: &Env<'_>, one: &OneUse) -> Result<Question, Stop> {
    let control = env.policy.control.as_ref().ok_or(Stop::OnceUnknown)?;
    let key = crate::crypto::to_hex(&one.key);
    Ok(Question {
        target: Target { path: ONCE_PATH.into(), ..control.clone() },
        content_type: "application/json",
        with_secret: true,
        body: serde_json::json!({ "key": key, "until": one.until }).to_string().into_bytes(),
        timeout: ONCE_TIMEOUT,
    })
}
