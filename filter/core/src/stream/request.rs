//! From headers to a decision: public, verified, refused, or not yet.

use core::time::Duration;
use std::rc::Rc;

use super::stop::Stop;
use super::{Effect, Env, Flow, Forwarding, Output, Stream};
use crate::authn::extract::{bearer, usual_bearer};
use crate::authn::oidc;
use crate::authn::token_cache::Entry;
use crate::authn::verdict::Failure;
use crate::clock::UnixMillis;
use crate::headers::{Field, Pairs, RequestHead, is_attach, plain_path};
use crate::policy::RoutePolicy;
use crate::policy::route::{Access, Destination};
use crate::reply::LocalReply;
use crate::stamp;

/// How long a request waits for its issuer's keys.
pub const KEYS_DEADLINE: Duration = Duration::from_secs(2);

/// Nothing has been seen yet.
#[derive(Debug)]
pub struct Idle;

/// The request waits for its issuer's keys: what it takes to judge it again.
pub struct FetchingKeys {
    token: Box<str>,
    user_agent: Box<[u8]>,
    route: RoutePolicy,
    deadline: UnixMillis,
}

impl core::fmt::Debug for FetchingKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("FetchingKeys")
            .field("route", &self.route)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl Idle {
    pub(super) fn on_headers(
        self,
        env: &mut Env<'_>,
        pairs: &Pairs,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        let head = RequestHead::read(pairs);
        if head.has_attach {
            for (name, _) in pairs.iter().filter(|(name, _)| is_attach(name)) {
                out.effect(Effect::RemoveRequestHeader(name));
            }
        }
        let path = plain_path(head.path).ok_or(Stop::Path)?;
        let route = env.policy.route(head.method, path);
        if route.to == Destination::Filter {
            return health(env, route, out);
        }
        if route.access == Access::Public {
            strip_credential(env, route, head.authorization != Field::Absent, out);
            return Ok((Stream::Passthrough, Flow::Continue));
        }
        // Every byte of a credential is looked at once, before its token is known; then it is compared.
        if let Some(token) = usual_bearer(head.authorization)
            && let Some(forwarding) = recall(env, token, head.user_agent)
        {
            return Ok(forward(env, route, forwarding, out));
        }
        let token = bearer(head.authorization).map_err(Stop::Refused)?;
        match judge(env, token, head.user_agent) {
            Ok(forwarding) => Ok(forward(env, route, forwarding, out)),
            Err(Failure::Wait) => {
                let waiting = FetchingKeys {
                    token: token.into(),
                    user_agent: head.user_agent.into(),
                    route,
                    deadline: env.now.after(KEYS_DEADLINE),
                };
                Ok((Stream::FetchingKeys(Box::new(waiting)), Flow::Pause))
            }
            Err(failure) => Err(failure.into()),
        }
    }
}

impl FetchingKeys {
    pub(super) fn on_tick(
        self: Box<Self>,
        env: &mut Env<'_>,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        match judge(env, &self.token, &self.user_agent) {
            Ok(forwarding) => {
                let step = forward(env, self.route, forwarding, out);
                out.effect(Effect::Resume);
                Ok(step)
            }
            Err(Failure::Wait) if env.now < self.deadline => Ok((Stream::FetchingKeys(self), Flow::Pause)),
            Err(Failure::Wait) => Err(Stop::late(env, &self.token)),
            Err(failure) => Err(failure.into()),
        }
    }
}

/// The health check, which the filter answers itself: well while there is a key to verify anyone with.
fn health(env: &Env<'_>, route: RoutePolicy, out: &mut dyn Output) -> Result<(Stream, Flow), Stop> {
    if route.access == Access::Verified {
        return Err(Stop::Method);
    }
    if !env.can_verify() {
        return Err(Stop::Unhealthy);
    }
    out.effect(Effect::Reply(Rc::new(LocalReply::json(200, r#"{"status":"ok"}"#.to_owned()))));
    Ok((Stream::Replied, Flow::Pause))
}

/// Finds that a token was verified lately.
fn recall(env: &mut Env<'_>, token: &[u8], user_agent: &[u8]) -> Option<Forwarding> {
    env.tokens.get(token, env.now).map(|entry| forwarding(entry, user_agent))
}

/// Verifies a token, if it is not known by now.
fn judge(env: &mut Env<'_>, token: &str, user_agent: &[u8]) -> Result<Forwarding, Failure> {
    if let Some(forwarding) = recall(env, token.as_bytes(), user_agent) {
        return Ok(forwarding);
    }
    let (policy, now) = (env.policy, env.now);
    let accepted = oidc::authenticate(token, &policy.providers, &policy.reserved, env.keys, env.host, now)?;
    Ok(forwarding(env.tokens.insert(token.as_bytes(), accepted), user_agent))
}

fn forwarding(entry: &mut Entry, user_agent: &[u8]) -> Forwarding {
    let session = entry.session(user_agent, |identity| stamp::session_id(identity, user_agent));
    Forwarding { session, identity: Rc::clone(&entry.identity) }
}

fn forward(
    env: &Env<'_>,
    route: RoutePolicy,
    forwarding: Forwarding,
    out: &mut dyn Output,
) -> (Stream, Flow) {
    out.effect(Effect::SetRequestHeader(stamp::USER, forwarding.identity.user().as_bytes()));
    out.effect(Effect::SetRequestHeader(stamp::SESSION, &forwarding.session));
    strip_credential(env, route, true, out);
    (Stream::Forwarding(forwarding), Flow::Continue)
}

/// Takes the caller's credential off the request, and puts on what its upstream is to have.
fn strip_credential(env: &Env<'_>, route: RoutePolicy, has_credential: bool, out: &mut dyn Output) {
    match (route.to, &env.policy.engine_authorization) {
        _ if route.forward_credential => {}
        (Destination::Engine, Some(authorization)) => {
            out.effect(Effect::SetRequestHeader("authorization", authorization.expose()));
        }
        _ if has_credential => out.effect(Effect::RemoveRequestHeader("authorization")),
        _ => {}
    }
    if route.to == Destination::Control {
        out.effect(Effect::SetRequestHeader(stamp::CONTROL_SECRET, env.policy.control_secret.expose()));
    }
}
