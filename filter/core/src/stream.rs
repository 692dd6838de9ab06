//! One request from its first header to its last byte, as a state machine without a host.
//!
//! The edge gives it [`Input`]s and carries out the [`Effect`]s it puts out; the [`Flow`] it returns says
//! whether the host goes on with the request or waits. Each state is a struct with that state's data alone.
//!
//! ```text
//! Idle ──public──▶ Passthrough
//!   │ ──known token──▶ Forwarding ──response──▶ Responding
//!   │ ──anything else──▶ a Pending request, which waits where it must and is then Forwarding:
//!   │      FetchingKeys   for its issuer's keys
//!   │      Asking         for a token in exchange, or whether it was used before
//!   │      AwaitingBody   for the body that a signature vouches for, or that names a model
//!   │ ──would be refused, shadow mode, the engine's route──▶ Shadowed
//!   └ ──refused──▶ Replied             (all) ──▶ Closed
//! ```
//!
//! Rules, which are also what the property test checks: at most one reply; a resume only after a pause, and
//! once; nothing goes on without an [`Identity`](crate::authn::Identity) but from `Passthrough` and `Shadowed`, and
//! `Forwarding` cannot be written without one; every pause ends at a deadline, with a callout that has a
//! timeout, or with the body; a machine that failed stays failed; no state shows a credential.

mod body;
mod forward;
pub mod memo;
mod pending;
pub mod request;
mod shadow;
pub mod stop;

use std::rc::Rc;

use crate::authn::replay::OneUseStore;
use crate::clock::UnixMillis;
use crate::crypto::HostVerifier;
use crate::headers::{Pairs, is_attach};
use crate::keys::cache::JwksCache;
use crate::keys::discovery::Target;
use crate::policy::Policy;
use crate::reply::LocalReply;
use crate::stamp;
use crate::stamp::assertion::AssertionCache;

use forward::Forwarding;
use memo::Tokens;
use pending::Pending;
use request::Idle;
use stop::{Replies, Stop};

/// What a request is decided with: the policy, and what its worker remembers.
pub struct Env<'a> {
    /// The compiled configuration.
    pub policy: &'a Policy,
    /// The answers that are given often.
    pub replies: &'a Replies,
    /// The sources' keys.
    pub keys: &'a mut [JwksCache],
    /// Tokens verified lately.
    pub tokens: &'a mut Tokens,
    /// Statements signed lately.
    pub assertions: &'a mut AssertionCache,
    /// The host's signature check.
    pub host: &'a dyn HostVerifier,
    /// What all workers remember of what was used.
    pub once: &'a dyn OneUseStore,
    /// The request's body as far as the host has kept it, read when it is asked for.
    pub body: &'a dyn Fn() -> Vec<u8>,
    /// The time.
    pub now: UnixMillis,
}

impl Env<'_> {
    /// Whether there is any key that a caller could be verified with.
    #[must_use]
    pub fn can_verify(&self) -> bool {
        // Who gets one of the gateway's own tokens was verified by something else first.
        let own = self.policy.schemes.gateway.as_ref().map(|rules| rules.source);
        self.policy.schemes.has_own_keys()
            || self
                .keys
                .iter()
                .enumerate()
                .any(|(source, keys)| Some(source) != own && keys.can_verify(self.now))
    }
}

/// What happens to a stream.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// The request's headers are there; whether they are all of it.
    RequestHeaders(&'a Pairs, bool),
    /// More of the request's body is there: how much the host has kept of it, and whether that is all.
    RequestBody(usize, bool),
    /// The request's trailers are there.
    RequestTrailers(&'a Pairs),
    /// A while has passed, and the keys may have changed.
    Tick,
    /// What was asked has been answered; `None`: it has not, and will not be.
    Answer(Option<Answer<'a>>),
    /// The response's headers are there.
    ResponseHeaders,
}

/// An answer to a [`Effect::Ask`].
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    /// The HTTP status code.
    pub status: u16,
    /// The body; empty where it is larger than what was said to be read.
    pub body: &'a [u8],
}

/// What the host is to do.
#[derive(Clone, PartialEq, Eq)]
pub enum Effect<'a> {
    /// Set a request header, in place of all of its name.
    SetRequestHeader(&'a str, &'a [u8]),
    /// Remove a request header.
    RemoveRequestHeader(&'a str),
    /// Remove a request trailer.
    RemoveRequestTrailer(&'a str),
    /// Set a response header, in place of all of its name.
    SetResponseHeader(&'static str, &'a [u8]),
    /// Ask somebody; [`Input::Answer`] follows.
    Ask(Question),
    /// Count a request that would have been refused, by the reason.
    CountWouldDeny(&'static str),
    /// Answer the request.
    Reply(Rc<LocalReply>),
    /// Go on with a paused request.
    Resume,
}

impl core::fmt::Debug for Effect<'_> {
    /// Values are keys, tokens and statements: names alone are shown.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::SetRequestHeader(name, _) => write!(f, "SetRequestHeader({name})"),
            Self::RemoveRequestHeader(name) => write!(f, "RemoveRequestHeader({name})"),
            Self::RemoveRequestTrailer(name) => write!(f, "RemoveRequestTrailer({name})"),
            Self::SetResponseHeader(name, _) => write!(f, "SetResponseHeader({name})"),
            Self::Ask(question) => write!(f, "Ask({question:?})"),
            Self::CountWouldDeny(reason) => write!(f, "CountWouldDeny({reason})"),
            Self::Reply(reply) => write!(f, "Reply({})", reply.status),
            Self::Resume => f.write_str("Resume"),
        }
    }
}

/// A callout.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// Whom to ask.
    pub target: Target,
    /// The body's type.
    pub content_type: &'static str,
    /// Whether control's secret goes along.
    pub with_secret: bool,
    /// What to say.
    pub body: Vec<u8>,
    /// How long to wait.
    pub timeout: core::time::Duration,
}

impl core::fmt::Debug for Question {
    /// The body holds a token and a client's secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Question").field("target", &self.target).finish_non_exhaustive()
    }
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
    FetchingKeys(Box<Pending>),
    /// Somebody was asked.
    Asking(Box<Pending>),
    /// The body is needed before anything goes on.
    AwaitingBody(Box<Pending>),
    /// A verified request is on its way to its upstream.
    Forwarding(Forwarding),
    /// Its response is on its way back.
    Responding,
    /// A public route's request: nothing is done to it any more.
    Passthrough,
    /// A request that would have been refused, and was only counted. It has no identity.
    Shadowed,
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
        matches!(self.stream, Stream::FetchingKeys(_) | Stream::AwaitingBody(_))
    }

    /// Whether it waits for the request's body.
    #[must_use]
    pub fn awaits_body(&self) -> bool {
        matches!(self.stream, Stream::AwaitingBody(_))
    }

    /// Whether a tick can change anything now: keys have come or gone, or the wait is over.
    #[must_use]
    pub fn is_due(&self, keys_changed: bool, now: UnixMillis) -> bool {
        match &self.stream {
            Stream::FetchingKeys(waiting) => keys_changed || waiting.due().is_none_or(|due| now >= due),
            Stream::AwaitingBody(waiting) => waiting.due().is_none_or(|due| now >= due),
            _ => false,
        }
    }

    /// Whether the stream waits for [`Input::Answer`].
    #[must_use]
    pub fn is_asking(&self) -> bool {
        matches!(self.stream, Stream::Asking(_))
    }
}

impl Stream {
    fn handle(self, env: &mut Env<'_>, input: Input<'_>, out: &mut dyn Output) -> Result<(Self, Flow), Stop> {
        match (self, input) {
            (Self::Idle(idle), Input::RequestHeaders(pairs, end)) => idle.on_headers(env, pairs, end, out),
            // A response before a request: somebody in front of this filter has answered.
            (
                Self::Idle(_) | Self::FetchingKeys(_) | Self::Asking(_) | Self::AwaitingBody(_),
                Input::ResponseHeaders,
            ) => Ok((Self::Closed, Flow::Continue)),
            (Self::FetchingKeys(waiting), Input::Tick) => waiting.on_tick(env, out),
            (Self::AwaitingBody(waiting), Input::Tick) => waiting.on_tick_for_body(env),
            (Self::Asking(asking), Input::Answer(answer)) => asking.on_answer(env, answer, out),
            (Self::FetchingKeys(waiting), Input::RequestBody(size, end)) => {
                waiting.keep_body(env, size, end, Self::FetchingKeys, out)
            }
            (Self::Asking(asking), Input::RequestBody(size, end)) => {
                asking.keep_body(env, size, end, Self::Asking, out)
            }
            (Self::AwaitingBody(waiting), Input::RequestBody(size, end)) => {
                waiting.on_body(env, size, end, out)
            }
            (Self::FetchingKeys(mut waiting), Input::RequestTrailers(pairs)) => {
                strip_trailers(pairs, out);
                waiting.body_is_whole();
                Ok((Self::FetchingKeys(waiting), Flow::Pause))
            }
            (Self::Asking(mut asking), Input::RequestTrailers(pairs)) => {
                strip_trailers(pairs, out);
                asking.body_is_whole();
                Ok((Self::Asking(asking), Flow::Pause))
            }
            // With trailers, no other sign says that the body is whole.
            (Self::AwaitingBody(waiting), Input::RequestTrailers(pairs)) => {
                strip_trailers(pairs, out);
                waiting.on_whole_body(env, out)
            }
            (Self::Forwarding(forwarding), Input::ResponseHeaders) => {
                out.effect(Effect::SetResponseHeader(stamp::USER, stamp::client_user(&forwarding.identity)));
                out.effect(Effect::SetResponseHeader(
                    stamp::SESSION,
                    stamp::client_session(&forwarding.session),
                ));
                Ok((Self::Responding, Flow::Continue))
            }
            (
                stream @ (Self::Forwarding(_) | Self::Responding | Self::Passthrough | Self::Shadowed),
                Input::RequestTrailers(pairs),
            ) => {
                strip_trailers(pairs, out);
                Ok((stream, Flow::Continue))
            }
            (
                Self::Poisoned,
                Input::RequestHeaders(..)
                | Input::RequestBody(..)
                | Input::RequestTrailers(_)
                | Input::Tick
                | Input::Answer(_),
            ) => Err(Stop::Fault),
            // Nothing that was refused, or is over, goes on or is answered again.
            (
                stream @ (Self::Replied | Self::Closed),
                Input::RequestHeaders(..) | Input::RequestBody(..) | Input::RequestTrailers(_),
            ) => Ok((stream, Flow::Pause)),
            // Headers come once, and first; what comes otherwise was refused by the codec.
            (Self::Idle(_), Input::RequestTrailers(_) | Input::RequestBody(..))
            | (_, Input::RequestHeaders(..)) => Err(Stop::Fault),
            (stream, Input::Tick | Input::Answer(_) | Input::ResponseHeaders | Input::RequestBody(..)) => {
                Ok((stream, Flow::Continue))
            }
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
