//! The last step before the upstream: what goes on the request, and what comes off it.

use std::rc::Rc;

use super::call::Call;
use super::{Effect, Env, Flow, Output, Stream};
use crate::authn::Identity;
use crate::policy::RoutePolicy;
use crate::policy::accounting::Accounts;
use crate::policy::route::Destination;
use crate::stamp;
use crate::stamp::assertion::Assertion;

/// A verified request on its way.
#[derive(Debug)]
pub(super) struct Forwarding {
    pub(super) identity: Rc<Identity>,
    pub(super) session: [u8; 64],
    /// The accounts that its calls may count against.
    pub(super) accounts: Accounts,
    /// What it costs, if it is a model call.
    pub(super) call: Option<Box<Call>>,
}

/// Stamps a verified request and lets it go.
pub(super) fn forward(
    env: &Env<'_>,
    route: RoutePolicy,
    forwarding: Forwarding,
    assertion: Option<&Assertion>,
    out: &mut dyn Output,
) -> (Stream, Flow) {
    let identity = &forwarding.identity;
    out.effect(Effect::SetRequestHeader(stamp::USER, identity.user().as_bytes()));
    out.effect(Effect::SetRequestHeader(stamp::SESSION, &forwarding.session));
    out.effect(Effect::SetRequestHeader(stamp::CREDENTIAL, identity.credential().name().as_bytes()));
    if let Some(agent) = identity.agent() {
        out.effect(Effect::SetRequestHeader(stamp::AGENT, agent.as_bytes()));
    }
    for claim in identity.claims() {
        out.effect(Effect::SetRequestHeader(&claim.header, claim.value.as_bytes()));
    }
    if let Some(assertion) = assertion {
        out.effect(Effect::SetRequestHeader(stamp::ASSERTION, assertion.text.as_bytes()));
    }
    if route.to == Destination::Control {
        for (name, words) in [(stamp::SCOPES, identity.scopes()), (stamp::SPACES, identity.spaces())] {
            if !words.is_empty() {
                out.effect(Effect::SetRequestHeader(name, words.join(" ").as_bytes()));
            }
        }
    }
    strip_credential(env, route, true, out);
    out.effect(Effect::CountAllowed);
    (Stream::Forwarding(forwarding), Flow::Continue)
}

/// Takes the caller's credential off the request, and puts on what its upstream is to have.
pub(super) fn strip_credential(
    env: &Env<'_>,
    route: RoutePolicy,
    has_credential: bool,
    out: &mut dyn Output,
) {
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
