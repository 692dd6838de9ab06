//! A request that cannot be let go at once: what is known of it, and what is still to be done, in order.
//!
//! 1. Every credential is verified: keys may have to come, or another token in exchange.
//! 2. Scopes.
//! 3. The body, if a signature vouches for it or if its model matters.
//! 4. What may be used once is used up, when all else has been found good.

mod asking;
mod verified;

use core::time::Duration;
use std::rc::Rc;

use super::body::check_digests;
use super::call::CallHead;
use super::call::admission::admit;
use super::forward::Forwarding;
use super::stop::Stop;
use super::{Answer, Effect, Env, Flow, Output, Stream, shadow};
use crate::authn::replay::Consumed;
use crate::clock::UnixMillis;
use crate::headers::{Pairs, RequestHead, content_length};
use crate::policy::model::{self, ModelProblem};
use crate::policy::route::Destination;
use crate::policy::{Policy, RoutePolicy};
use crate::stamp;
use asking::{Asked, ask_once};
use verified::{Next, Verified};

/// How long a request waits for its issuer's keys.
pub(super) const KEYS_DEADLINE: Duration = Duration::from_secs(2);
/// How long a body that is to be judged may take.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

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

/// A request that is being judged.
pub(super) struct Pending {
    /// The bearer token.
    token: Option<Box<str>>,
    /// The headers, where a message signature in them is still to be verified: copied when the request has
    /// to wait before that, and not before.
    message: Option<Vec<(String, Vec<u8>)>>,
    user_agent: Box<[u8]>,
    path: Box<str>,
    route: RoutePolicy,
    body: Body,
    /// How much of the body the host has said that it keeps.
    kept: usize,
    /// Whether the headers say that the body is JSON and nothing else.
    is_json: bool,
    /// What `content-length` says.
    length: Option<u64>,
    /// What the headers say about what it will cost.
    call: Option<CallHead>,
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
        policy: &Policy,
        token: Option<Box<str>>,
        head: &RequestHead<'_>,
        pairs: &Pairs,
        path: &str,
        route: RoutePolicy,
        end_of_stream: bool,
    ) -> Self {
        Self {
            token,
            message: None,
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
            length: content_length(pairs),
            call: CallHead::read(policy, route, head, pairs, path),
            deadline: None,
            body_deadline: None,
            asked: None,
            exchanged: None,
            verified: None,
        }
    }

    /// Goes as far as it can while its headers are there; `signed` are they, if there is a message signature
    /// in them.
    pub(super) fn begin(
        mut self: Box<Self>,
        env: &mut Env<'_>,
        signed: Option<&Pairs>,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        let next = self.verify(env, signed)?;
        if !matches!(next, Next::Verified(_)) {
            self.message = signed.map(<[_]>::to_vec);
        }
        self.go_on(env, Some(next), out)
    }

    /// Goes as far as it can.
    fn advance(self: Box<Self>, env: &mut Env<'_>, out: &mut dyn Output) -> Result<(Stream, Flow), Stop> {
        let next = match self.verified {
            Some(_) => None,
            None => Some(self.verify(env, self.message.as_deref())?),
        };
        self.go_on(env, next, out)
    }

    fn go_on(
        mut self: Box<Self>,
        env: &mut Env<'_>,
        next: Option<Next>,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        if let Some(next) = next {
            match next {
                Next::Verified(verified) => {
                    env.caller = Some(Rc::clone(&verified.identity));
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
                        Err(Stop::late(env, self.token.as_deref(), self.message.is_some()))
                    };
                }
                Next::Exchange(at, issuer) => return self.ask_exchange(env, at, &issuer, out),
            }
        }
        let Some(verified) = &mut self.verified else { return Err(Stop::Fault) };
        verified.still_holds(env)?;
        env.caller = Some(Rc::clone(&verified.identity));
        if !verified.body_is_good {
            let names_model =
                self.route.to == Destination::Engine && env.policy.limits_models(&verified.identity);
            if names_model || !verified.digests.is_empty() {
                let body = match self.body {
                    Body::Coming => {
                        let max = env.policy.max_request_bytes;
                        if self.length.is_some_and(|length| length > max as u64) {
                            return Err(Stop::BodyTooLarge(max));
                        }
                        self.body_deadline.get_or_insert(env.now.after(BODY_DEADLINE));
                        return Ok((Stream::AwaitingBody(self), Flow::Pause));
                    }
                    Body::None => Vec::new(),
                    Body::Whole => (env.body)(0, self.kept),
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
        let accounts = env.policy.accounts(&identity);
        let forwarding = Forwarding { identity, session, accounts, call: None };
        if self.route.forward_credential
            && !verified.digests.is_empty()
            && let Some(call) = &mut self.call
        {
            call.bind();
        }
        let body = (self.kept, matches!(self.body, Body::None | Body::Whole));
        admit(env, self.route, forwarding, assertion, self.call, body, out)
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
        let (route, has_credential) = (self.route, self.token.is_some());
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
        if size > env.policy.max_request_bytes {
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
        if size > env.policy.max_request_bytes {
            return Err(Stop::BodyTooLarge(env.policy.max_request_bytes));
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
