//! One request from its first header to its last byte, as a state machine without a host.
//!
//! The edge gives it [`Input`]s and carries out the [`Effect`]s it puts out; the [`Flow`] it returns says
//! whether the host goes on with the request or waits. Each state is a struct with that state's data alone.
//!
//! ```text
//! Idle ──public──▶ Passthrough
//!   │ ──verified──▶ Forwarding ──response──▶ Responding
//!   │ ──no key yet──▶ FetchingKeys ──keys, deadline──▶ as Idle
//!   └ ──refused──▶ Replied             (all) ──▶ Closed
//! ```
//!
//! Rules, which are also what the property test checks: at most one reply; a resume only after a pause, and
//! once; nothing goes on without an [`Identity`] but from `Passthrough`, and
//! `Forwarding` cannot be written without one; every pause ends at a deadline; a machine that failed stays
//! failed; no state shows a credential.

pub mod request;
pub mod stop;

use std::rc::Rc;

use crate::authn::Identity;
use crate::authn::oidc::Provider;
use crate::authn::token_cache::TokenCache;
use crate::clock::UnixMillis;
use crate::crypto::HostVerifier;
use crate::headers::{Pairs, is_attach};
use crate::keys::cache::JwksCache;
use crate::policy::Policy;
use crate::reply::LocalReply;
use crate::stamp;

use request::{FetchingKeys, Idle};
use stop::{Replies, Stop};

/// What a request is decided with: the policy, and what its worker remembers.
pub struct Env<'a> {
    /// The compiled configuration.
    pub policy: &'a Policy,
    /// The answers that are given often.
    pub replies: &'a Replies,
    /// The providers' keys.
    pub keys: &'a mut [JwksCache],
    /// Tokens verified lately.
    pub tokens: &'a mut TokenCache,
    /// The host's signature check.
    pub host: &'a dyn HostVerifier,
    /// The time.
    pub now: UnixMillis,
}

impl Env<'_> {
    /// The issuers that are believed.
    #[must_use]
    pub fn providers(&self) -> &[Provider] {
        &self.policy.providers
    }

    /// Whether there is any key that a caller could be verified with.
    #[must_use]
    pub fn can_verify(&self) -> bool {
        self.keys.iter().any(|keys| keys.serves(self.now))
    }
}

/// What happens to a stream.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// The request's headers are there.
    RequestHeaders(&'a Pairs),
    /// The request's trailers are there.
    RequestTrailers(&'a Pairs),
    /// A while has passed, and the keys may have changed.
    Tick,
    /// The response's headers are there.
    ResponseHeaders,
}

/// What the host is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// Set a request header, in place of all of its name.
    SetRequestHeader(&'static str, &'a [u8]),
    /// Remove a request header.
    RemoveRequestHeader(&'a str),
    /// Remove a request trailer.
    RemoveRequestTrailer(&'a str),
    /// Set a response header, in place of all of its name.
    SetResponseHeader(&'static str, &'a [u8]),
    /// Answer the request.
    Reply(Rc<LocalReply>),
    /// Go on with a paused request.
    Resume,
}

/// Who carries effects out.
pub trait Output {
    /// Carries one out, or keeps it until the callback returns.
    fn effect(&mut self, effect: Effect<'_>);
}

/// Whether the host goes on with the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Continue,
    /// It waits, for a resume or a reply.
    Pause,
}

/// The machine of one stream.
#[derive(Debug, Default)]
pub struct Machine {
    stream: Stream,
}

#[derive(Debug)]
enum Stream {
    /// Nothing has been seen.
    Idle(Idle),
    /// The token's key may come.
    FetchingKeys(Box<FetchingKeys>),
    /// A verified request is on its way to its upstream.
    Forwarding(Forwarding),
    /// Its response is on its way back.
    Responding,
    /// A public route's request: nothing is done to it any more.
    Passthrough,
    /// The filter has answered itself.
    Replied,
    /// The stream is over.
    Closed,
    /// A step was begun and not finished.
    Poisoned,
}

impl Default for Stream {
    fn default() -> Self {
        Self::Idle(Idle)
    }
}

/// A verified request on its way.
#[derive(Debug)]
struct Forwarding {
    identity: Rc<Identity>,
    session: [u8; 64],
}

impl Machine {
    /// Takes one step.
    pub fn step(&mut self, env: &mut Env<'_>, input: Input<'_>, out: &mut dyn Output) -> Flow {
        // Whatever goes wrong in between, the stream is not taken up again where it was.
        let stream = core::mem::replace(&mut self.stream, Stream::Poisoned);
        match stream.handle(env, input, out) {
            Ok((stream, flow)) => {
                self.stream = stream;
                flow
            }
            Err(stop) => {
                self.stream = Stream::Replied;
                out.effect(Effect::SetRequestHeader(stamp::DENIED, stop.code().as_bytes()));
                out.effect(Effect::Reply(stop.reply(env.replies)));
                Flow::Pause
            }
        }
    }

    /// The stream is over, whoever ended it: nothing that still comes has any effect.
    pub fn close(&mut self) {
        self.stream = Stream::Closed;
    }

    /// Whether the stream waits for [`Input::Tick`].
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        matches!(self.stream, Stream::FetchingKeys(_))
    }
}

impl Stream {
    fn handle(self, env: &mut Env<'_>, input: Input<'_>, out: &mut dyn Output) -> Result<(Self, Flow), Stop> {
        match (self, input) {
            (Self::Idle(idle), Input::RequestHeaders(pairs)) => idle.on_headers(env, pairs, out),
            // A response before a request: somebody in front of this filter has answered.
            (Self::Idle(_), Input::ResponseHeaders) => Ok((Self::Closed, Flow::Continue)),
            (Self::FetchingKeys(waiting), Input::Tick) => waiting.on_tick(env, out),
            (stream @ Self::FetchingKeys(_), Input::RequestTrailers(pairs)) => {
                strip_trailers(pairs, out);
                Ok((stream, Flow::Pause))
            }
            (Self::FetchingKeys(_), Input::ResponseHeaders) => Ok((Self::Closed, Flow::Continue)),
            (Self::Forwarding(forwarding), Input::ResponseHeaders) => {
                out.effect(Effect::SetResponseHeader(stamp::USER, stamp::client_user(&forwarding.identity)));
                out.effect(Effect::SetResponseHeader(
                    stamp::SESSION,
                    stamp::client_session(&forwarding.session),
                ));
                Ok((Self::Responding, Flow::Continue))
            }
            (
                stream @ (Self::Forwarding(_) | Self::Responding | Self::Passthrough),
                Input::RequestTrailers(pairs),
            ) => {
                strip_trailers(pairs, out);
                Ok((stream, Flow::Continue))
            }
            (Self::Poisoned, Input::RequestHeaders(_) | Input::RequestTrailers(_) | Input::Tick) => {
                Err(Stop::Fault)
            }
            // Nothing that was refused, or is over, goes on or is answered again.
            (
                stream @ (Self::Replied | Self::Closed),
                Input::RequestHeaders(_) | Input::RequestTrailers(_),
            ) => Ok((stream, Flow::Pause)),
            // Headers come once, and first; what comes otherwise was refused by the codec.
            (Self::Idle(_), Input::RequestTrailers(_)) | (_, Input::RequestHeaders(_)) => Err(Stop::Fault),
            (stream, Input::Tick | Input::ResponseHeaders) => Ok((stream, Flow::Continue)),
        }
    }
}

/// Trailers can be folded into headers by whoever comes next (RFC 9110 section 6.5.2).
fn strip_trailers(pairs: &Pairs, out: &mut dyn Output) {
    for (name, _) in pairs {
        if is_attach(name) {
            out.effect(Effect::RemoveRequestTrailer(name));
        }
    }
}
