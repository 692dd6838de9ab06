//! From headers to a decision: public, known by now, or to be judged.

use std::rc::Rc;

use super::call::CallHead;
use super::call::admission::admit;
use super::forward::{Forwarding, strip_credential};
use super::pending::Pending;
use super::stop::Stop;
use super::{Effect, Env, Flow, Output, Stream, memo, shadow};
use crate::authn::Refusal;
use crate::authn::extract::{bearer, usual_bearer};
use crate::headers::{Field, Pairs, RequestHead, is_attach, plain_path};
use crate::policy::RoutePolicy;
use crate::policy::route::{Access, Destination};
use crate::reply::LocalReply;
use crate::stamp::assertion::Assertion;

/// Nothing has been seen yet.
#[derive(Debug)]
pub struct Idle;

impl Idle {
    pub(super) fn on_headers(
        self,
        env: &mut Env<'_>,
        pairs: &Pairs,
        end_of_stream: bool,
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
        if route.to == Destination::Quota && !matches!(head.method, b"GET" | b"HEAD") {
            return Err(Stop::Method);
        }
        if route.access == Access::Public {
            strip_credential(env, route, head.authorization != Field::Absent, out);
            return Ok((Stream::Passthrough, Flow::Continue));
        }
        let is_signed = head.has_signature && env.policy.schemes.httpsig.is_some();
        // Every byte of a credential is looked at once, before its token is known; then it is compared.
        if !is_signed
            && route.rules.is_none()
            && let Some(token) = usual_bearer(head.authorization)
            && let Some((forwarding, assertion)) = recall(env, token, head.user_agent, route)
        {
            let call = CallHead::read(env.policy, route, &head, pairs, path);
            return admit(env, route, forwarding, assertion, call, (0, end_of_stream), out);
        }
        let has_credential = head.authorization != Field::Absent;
        let step = match token(env, &head, is_signed) {
            Ok(token) => {
                let pending = Pending::new(env.policy, token, &head, pairs, path, route, end_of_stream);
                Box::new(pending).begin(env, is_signed.then_some(pairs), out)
            }
            Err(refusal) => Err(Stop::Refused(refusal)),
        };
        step.or_else(|stop| shadow::instead_of(stop, env, route, has_credential, out))
    }
}

/// The request's token; a signed request needs none.
fn token(env: &Env<'_>, head: &RequestHead<'_>, is_signed: bool) -> Result<Option<Box<str>>, Refusal> {
    match bearer(head.authorization) {
        Ok(token) => Ok(Some(token.into())),
        Err(Refusal::CredentialMissing) if is_signed => Ok(None),
        Err(Refusal::CredentialMissing | Refusal::CredentialMalformed | Refusal::CredentialEmpty)
            if env.policy.schemes.is_rotagent_alone() =>
        {
            Err(Refusal::RotagentMissing)
        }
        Err(refusal) => Err(refusal),
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

/// Finds that a token was verified lately and needs no further look on this route.
fn recall(
    env: &mut Env<'_>,
    token: &[u8],
    user_agent: &[u8],
    route: RoutePolicy,
) -> Option<(Forwarding, Option<Rc<Assertion>>)> {
    let (policy, now) = (env.policy, env.now);
    let entry = env.tokens.get(token, now)?;
    if !entry.memo.is_plain {
        return None;
    }
    let session = memo::session(entry, user_agent);
    let assertion = policy.signer.as_ref().map(|signer| {
        let audience = policy.audience(route);
        let made = &mut *env.assertions;
        memo::assertion(entry, audience, now, |identity| made.get(signer, identity, &session, audience, now))
    });
    let accounts = memo::accounts(entry, policy);
    Some((Forwarding { session, identity: Rc::clone(&entry.identity), accounts, call: None }, assertion))
}
