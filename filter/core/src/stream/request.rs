//! From headers to a decision: public, verified, refused, or not yet.

use core::time::Duration;
use std::rc::Rc;

use super::stop::Stop;
use super::{Effect, Env, Flow, Forwarding, Output, Stream};
use crate::authn::extract::bearer;
use crate::authn::oidc::{self, Failure};
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
    out.effect(Effect::Reply(LocalReply::json(200, r#"{"status":"ok"}"#.to_owned())));
    Ok((Stream::Replied, Flow::Pause))
}

/// Verifies a token, or finds that it was verified lately.
fn judge(env: &mut Env<'_>, token: &str, user_agent: &[u8]) -> Result<Forwarding, Failure> {
    let make = |identity: &_| stamp::session_id(identity, user_agent);
    if let Some(entry) = env.tokens.get(token, env.now) {
        return Ok(Forwarding {
            session: entry.session(user_agent, make),
            identity: Rc::clone(&entry.identity),
        });
    }
    let accepted =
        oidc::authenticate(token, &env.policy.providers, &env.policy.reserved, env.keys, env.host, env.now)?;
    let entry = env.tokens.insert(token, accepted);
    Ok(Forwarding { session: entry.session(user_agent, make), identity: Rc::clone(&entry.identity) })
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
