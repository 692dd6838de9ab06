//! Shadow mode: what would be refused on the engine's routes is counted and goes on, without an identity.
//!
//! Only what concerns credentials is let through so. Paths that can be read in two ways, sizes and faults
//! are refused as ever, and the gateway's own routes and targets are, whatever the mode.

use super::forward::strip_credential;
use super::stop::Stop;
use super::{Effect, Env, Flow, Output, Stream};
use crate::policy::RoutePolicy;
use crate::policy::route::Destination;

/// What becomes of a request that was found wanting.
pub(super) fn instead_of(
    stop: Stop,
    env: &Env<'_>,
    route: RoutePolicy,
    has_credential: bool,
    out: &mut dyn Output,
) -> Result<(Stream, Flow), Stop> {
    match stop.would_deny() {
        Some(reason) if env.policy.is_shadow && route.to == Destination::Engine => {
            out.effect(Effect::CountWouldDeny(reason));
            strip_credential(env, route, has_credential, out);
            Ok((Stream::Shadowed, Flow::Continue))
        }
        _ => Err(stop),
    }
}
