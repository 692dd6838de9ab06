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
//!   │ ──a model call──▶ Counting, until its body is whole ──▶ Reserving, where control must be asked
//!   │ ──would be refused, shadow mode, the engine's route──▶ Shadowed
//!   └ ──refused──▶ Replied             (all) ──▶ Closed
//! ```
//!
//! Rules, which are also what the property test checks: at most one reply; a resume only after a pause, and
//! once; nothing goes on without an [`Identity`] but from `Passthrough` and `Shadowed`, and
//! `Forwarding` cannot be written without one; every pause ends at a deadline, with a callout that has a
//! timeout, or with the body; a machine that failed stays failed; no state shows a credential.

mod body;
mod call;
mod forward;
pub mod memo;
pub mod over;
mod pending;
mod ports;
pub mod request;
mod shadow;
pub mod stop;

use std::rc::Rc;

use crate::authn::Identity;
use crate::authn::replay::OneUseStore;
use crate::clock::UnixMillis;
use crate::crypto::HostVerifier;
use crate::headers::{Pairs, is_attach};
use crate::keys::cache::JwksCache;
use crate::mirror::pool::Pool;
use crate::outbox::Room;
use crate::policy::Policy;
use crate::quota::book::{Answered, Book};
use crate::quota::bucket::SharedWindows;
use crate::stamp;
use crate::stamp::assertion::AssertionCache;

use call::{Admission, Call, Looking, Reserving};
use forward::Forwarding;
use memo::Tokens;
use pending::Pending;
pub use ports::{Answer, Effect, Finished, Flow, Input, Output, Question, Remembered};
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
    /// A part of the request's body, from a place on, so many bytes, as far as the host has kept it.
    pub body: &'a dyn Fn(usize, usize) -> Vec<u8>,
    /// What the worker holds of limits.
    pub quota: &'a mut Book,
    /// What all workers share of them.
    pub windows: &'a dyn SharedWindows,
    /// Promises room for a record of so many bytes.
    pub room: &'a dyn Fn(usize) -> Option<Room>,
    /// The filter's own name for a call, another each time.
    pub record_id: &'a dyn Fn() -> String,
    /// The memory that there is for what is to be remembered.
    pub pool: &'a Pool,
    /// Whether the engine has refused to be asked for usage.
    pub refuses_stream_options: bool,
    /// How many calls the worker has seen.
    pub calls: &'a mut u64,
    /// Who sends the request, as soon as the step has found out: the log names him where he is refused.
    pub caller: Option<Rc<Identity>>,
    /// The time to the millisecond, which costs a look.
    pub clock: &'a dyn Fn() -> UnixMillis,
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

    /// Counts a call; its number.
    fn next_call(&mut self) -> u64 {
        *self.calls = self.calls.wrapping_add(1);
        *self.calls
    }
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
    /// A model call's body is read as it comes.
    Counting(Box<Admission>),
    /// Control was asked whether there is budget for a call.
    Reserving(Box<Reserving>),
    /// Control was asked how somebody's limits stand.
    Looking(Looking),
    /// A verified request is on its way to its upstream.
    Forwarding(Forwarding),
    /// Its response is on its way back.
    Responding(Option<Box<Call>>),
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
        let step = stream.handle(env, input, out);
        self.finish_step(env, step, out)
    }

    fn finish_step(
        &mut self,
        env: &Env<'_>,
        step: Result<(Stream, Flow), Stop>,
        out: &mut dyn Output,
    ) -> Flow {
        match step {
            Ok((stream, flow)) => {
                self.stream = stream;
                flow
            }
            Err(stop) => {
                self.stream = Stream::Replied;
                out.effect(Effect::CountDenied(stop.label()));
                out.effect(Effect::SetRequestHeader(stamp::DENIED, stop.code().as_bytes()));
                if let Some(caller) = &env.caller {
                    out.effect(Effect::SetRequestHeader(stamp::USER, caller.user().as_bytes()));
                    let credential = caller.credential().name();
                    out.effect(Effect::SetRequestHeader(stamp::CREDENTIAL, credential.as_bytes()));
                }
                out.effect(Effect::Reply(stop.reply(env.replies)));
                Flow::Pause
            }
        }
    }

    /// Control has answered about limits, or will not.
    pub fn ledger_answered(&mut self, env: &mut Env<'_>, answered: Answered, out: &mut dyn Output) -> Flow {
        let step = match core::mem::replace(&mut self.stream, Stream::Poisoned) {
            Stream::Reserving(reserving) => reserving.on_answer(env, answered, out),
            Stream::Looking(looking) => looking.on_answer(env, answered, out),
            Stream::Responding(Some(mut call)) => {
                call.on_answer(env, answered);
                self.stream = Stream::Responding(Some(call));
                return Flow::Continue;
            }
            // Nobody waits for it any more.
            stream => {
                if let Answered::Granted(hold) = answered {
                    env.quota.settle(hold, 0, env.now);
                }
                self.stream = stream;
                return Flow::Continue;
            }
        };
        let flow = self.finish_step(env, step, out);
        if flow == Flow::Continue {
            out.effect(Effect::Resume);
        }
        flow
    }

    /// Memory has what it was told of the call ([`Effect::Remember`]), or has not and will not: an answer whose last
    /// byte waited for that goes on, or is broken off.
    pub fn remembered(&mut self, _: &mut Env<'_>, kept: bool, out: &mut dyn Output) {
        if let Stream::Responding(Some(call)) = &mut self.stream {
            call.on_remembered(kept, out);
        }
    }

    /// The stream is over, whoever ended it: nothing that still comes has any effect. What a call has cost is
    /// settled here, and nowhere else.
    pub fn close(&mut self, env: &mut Env<'_>, out: &mut dyn Output) {
        match core::mem::replace(&mut self.stream, Stream::Closed) {
            Stream::Forwarding(Forwarding { call: Some(call), .. }) | Stream::Responding(Some(call)) => {
                call.finish(env, out);
            }
            Stream::Reserving(reserving) => reserving.give_up(env),
            Stream::Looking(looking) => looking.give_up(env),
            _ => {}
        }
    }

    /// Whether [`Machine::close`] has anything to do.
    #[must_use]
    pub fn is_call(&self) -> bool {
        matches!(
            self.stream,
            Stream::Forwarding(Forwarding { call: Some(_), .. })
                | Stream::Responding(Some(_))
                | Stream::Reserving(_)
                | Stream::Looking(_)
        )
    }

    /// Whether the response's headers and body are looked at.
    #[must_use]
    pub fn reads_response(&self) -> bool {
        match &self.stream {
            Stream::Forwarding(forwarding) => forwarding.call.is_some(),
            Stream::Responding(Some(call)) => call.reads_answer(),
            _ => false,
        }
    }

    /// Whether the stream waits for [`Input::Tick`].
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        match &self.stream {
            Stream::FetchingKeys(_) | Stream::AwaitingBody(_) | Stream::Counting(_) => true,
            Stream::Responding(Some(call)) => call.is_cut() || call.is_held(),
            _ => false,
        }
    }

    /// Whether it waits for the request's body.
    #[must_use]
    pub fn awaits_body(&self) -> bool {
        matches!(self.stream, Stream::AwaitingBody(_) | Stream::Counting(_))
    }

    /// Whether a tick can change anything now: keys have come or gone, or the wait is over.
    #[must_use]
    pub fn is_due(&self, keys_changed: bool, now: UnixMillis) -> bool {
        match &self.stream {
            Stream::FetchingKeys(waiting) => keys_changed || waiting.due().is_none_or(|due| now >= due),
            Stream::AwaitingBody(waiting) => waiting.due().is_none_or(|due| now >= due),
            Stream::Counting(admission) => now >= admission.deadline(),
            Stream::Responding(Some(call)) => call.is_cut() || call.is_hold_over(now),
            _ => false,
        }
    }

    /// Whether the stream waits for [`Input::Answer`].
    #[must_use]
    pub fn is_asking(&self) -> bool {
        matches!(self.stream, Stream::Asking(_))
    }

    /// Whether the request waits for [`Machine::ledger_answered`].
    #[must_use]
    pub fn is_reserving(&self) -> bool {
        matches!(self.stream, Stream::Reserving(_) | Stream::Looking(_))
    }
}

impl Stream {
    fn handle(self, env: &mut Env<'_>, input: Input<'_>, out: &mut dyn Output) -> Result<(Self, Flow), Stop> {
        match (self, input) {
            (Self::Idle(idle), Input::RequestHeaders(pairs, end)) => idle.on_headers(env, pairs, end, out),
            // A response before a request: somebody in front of this filter has answered.
            (
                Self::Idle(_)
                | Self::FetchingKeys(_)
                | Self::Asking(_)
                | Self::AwaitingBody(_)
                | Self::Counting(_),
                Input::ResponseHeaders(..),
            ) => Ok((Self::Closed, Flow::Continue)),
            (Self::Reserving(reserving), Input::ResponseHeaders(..)) => {
                reserving.give_up(env);
                Ok((Self::Closed, Flow::Continue))
            }
            (Self::Looking(looking), Input::ResponseHeaders(..)) => {
                looking.give_up(env);
                Ok((Self::Closed, Flow::Continue))
            }
            (Self::Counting(admission), Input::RequestBody(size, end)) => {
                admission.on_body(env, size, end, out)
            }
            (Self::Counting(admission), Input::RequestTrailers(pairs)) => {
                strip_trailers(pairs, out);
                admission.on_whole_body(env, out)
            }
            (Self::Counting(admission), Input::Tick) => admission.on_tick(env),
            // The body of the one was whole before, that of the other matters to nobody.
            (stream @ (Self::Reserving(_) | Self::Looking(_)), Input::RequestBody(..)) => {
                Ok((stream, Flow::Pause))
            }
            (stream @ (Self::Reserving(_) | Self::Looking(_)), Input::RequestTrailers(pairs)) => {
                strip_trailers(pairs, out);
                Ok((stream, Flow::Pause))
            }
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
            (Self::Forwarding(mut forwarding), Input::ResponseHeaders(pairs, end)) => {
                out.effect(Effect::SetResponseHeader(stamp::USER, stamp::client_user(&forwarding.identity)));
                out.effect(Effect::SetResponseHeader(
                    stamp::SESSION,
                    stamp::client_session(&forwarding.session),
                ));
                let mut flow = Flow::Continue;
                if let Some(call) = &mut forwarding.call {
                    flow = call.on_headers(env, pairs, end, out);
                }
                Ok((Self::Responding(forwarding.call), flow))
            }
            (Self::Responding(Some(mut call)), Input::ResponseBody(chunk, end)) => {
                let flow = call.on_body(env, chunk, end, out);
                Ok((Self::Responding(Some(call)), flow))
            }
            (Self::Responding(Some(mut call)), Input::ResponseTrailers) => {
                let flow = call.on_trailers(env, out);
                Ok((Self::Responding(Some(call)), flow))
            }
            (Self::Responding(Some(mut call)), Input::Tick) => {
                call.on_tick(env, out);
                Ok((Self::Responding(Some(call)), Flow::Continue))
            }
            (
                stream @ (Self::Forwarding(_) | Self::Responding(_) | Self::Passthrough | Self::Shadowed),
                Input::RequestTrailers(pairs),
            ) => {
                strip_trailers(pairs, out);
                Ok((stream, Flow::Continue))
            }
            // What was reserved is settled, whatever has gone wrong.
            (
                Self::Forwarding(Forwarding { call: Some(call), .. }) | Self::Responding(Some(call)),
                Input::RequestHeaders(..),
            ) => {
                call.finish(env, out);
                Err(Stop::Fault)
            }
            (Self::Reserving(reserving), Input::RequestHeaders(..)) => {
                reserving.give_up(env);
                Err(Stop::Fault)
            }
            (Self::Looking(looking), Input::RequestHeaders(..)) => {
                looking.give_up(env);
                Err(Stop::Fault)
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
            (
                stream,
                Input::Tick
                | Input::Answer(_)
                | Input::ResponseHeaders(..)
                | Input::ResponseBody(..)
                | Input::ResponseTrailers
                | Input::RequestBody(..),
            ) => Ok((stream, Flow::Continue)),
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
