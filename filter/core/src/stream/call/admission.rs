//! Before a call goes upstream: its body is read as it comes, and counted where it must be.

use core::time::Duration;
use std::rc::Rc;

use super::head::{CallHead, Kind, route_tokens};
use super::looking::Looking;
use super::prompt::{Meter, Prompt};
use super::reserving::{Reserving, failure_mode};
use crate::clock::UnixMillis;
use crate::llm::bpe::Encoding;
use crate::llm::request::{RequestFacts, RequestReader};
use crate::meter::room::room_for;
use crate::mirror::transcript::Transcript;
use crate::outbox::Room;
use crate::policy::RoutePolicy;
use crate::policy::accounting::{Accounting, FailureMode};
use crate::policy::route::Destination;
use crate::stamp::assertion::Assertion;
use crate::stream::forward::{Forwarding, forward};
use crate::stream::stop::Stop;
use crate::stream::{Env, Flow, Output, Stream};

/// A prompt above this many bytes is counted as it comes, so that none of it is kept.
pub(super) const COUNTED_ABOVE: u64 = 32 * 1024;
/// How much of a body is taken from the host at a time, in bytes.
pub(super) const READ_AT_ONCE: usize = 32 * 1024;
/// One in so many prompts is counted although nothing asks for it, to see how far reports are off.
const SAMPLE: u64 = 64;
/// How long a body may take.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// A verified call whose body is not whole yet.
pub(in crate::stream) struct Admission {
    forwarding: Forwarding,
    assertion: Option<Rc<Assertion>>,
    route: RoutePolicy,
    head: CallHead,
    reader: RequestReader,
    /// Whether what was read can be what it must be.
    is_readable: bool,
    meter: Meter,
    /// How much of the body has been read.
    read: usize,
    /// How much of it the host has.
    there: usize,
    /// What has been read, while it is measured only: to be counted later if nobody says what it was.
    body: Option<Vec<u8>>,
    deadline: UnixMillis,
}

impl core::fmt::Debug for Admission {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Admission").field("read", &self.read).finish_non_exhaustive()
    }
}

/// What is let go when everything but its cost has been judged. `body` says how much of it the host has, and
/// whether that is all.
pub(in crate::stream) fn admit(
    env: &mut Env<'_>,
    route: RoutePolicy,
    forwarding: Forwarding,
    assertion: Option<Rc<Assertion>>,
    head: Option<CallHead>,
    body: (usize, bool),
    out: &mut dyn Output,
) -> Result<(Stream, Flow), Stop> {
    if route.to == Destination::Quota {
        return Looking::begin(env, &forwarding.accounts, out);
    }
    let (Some(accounting), Some(mut head)) = (&env.policy.accounting, head) else {
        return Ok(forward(env, route, forwarding, assertion.as_deref(), out));
    };
    // The tick's time is good enough for dates, not for how long a call takes.
    head.started = (env.clock)();
    let call = match &head.kind {
        Kind::Call(call) => call,
        Kind::Opaque => return admit_opaque(env, route, forwarding, assertion, head, out),
        Kind::Disguised => return Err(Stop::Uncountable),
    };
    if head.is_encoded {
        return Err(Stop::BodyEncoded);
    }
    let max = env.policy.max_request_bytes;
    if head.content_length.is_some_and(|length| length > max as u64) || body.0 > max {
        return Err(Stop::BodyTooLarge(max));
    }
    // Whoever has none is told before his body comes. It is kept for him when that is there: those whose bodies
    // never come take none from others.
    drop(promised(env, accounting, route, &forwarding, &head)?);
    let is_long = head.content_length.is_none_or(|length| length > COUNTED_ABOVE);
    let is_sample = accounting.counts_all || env.next_call().is_multiple_of(SAMPLE);
    // The model may follow; what it would be counted in if it were unknown is guessed until then.
    let guess = call.model.as_deref().and_then(Encoding::of_model).unwrap_or_default();
    let guess = accounting.encoding.unwrap_or(guess);
    let remembers = env.policy.memory.as_ref().filter(|_| call.generates && !head.is_forgotten);
    let transcript = remembers.map(|memory| Transcript::new(env.pool, memory.max_bytes));
    let reader = RequestReader::new(call.clone());
    let reader = if transcript.is_some() { reader.hearing() } else { reader };
    let meter = Meter::new((is_long || is_sample).then_some(guess), transcript);
    let kept = (!is_long).then(Vec::new);
    let admission = Box::new(Admission {
        forwarding,
        assertion,
        route,
        head,
        reader,
        is_readable: true,
        meter,
        read: 0,
        there: body.0,
        body: kept,
        deadline: env.now.after(BODY_DEADLINE),
    });
    if body.1 {
        return admission.on_whole_body(env, out);
    }
    Ok((Stream::Counting(admission), Flow::Pause))
}

/// What has no body that could be read: a limit lets it pass for a price that the operator has named.
fn admit_opaque(
    env: &mut Env<'_>,
    route: RoutePolicy,
    forwarding: Forwarding,
    assertion: Option<Rc<Assertion>>,
    head: CallHead,
    out: &mut dyn Output,
) -> Result<(Stream, Flow), Stop> {
    let flat = route_tokens(env.policy, route).and_then(|tokens| tokens.flat_charge);
    let Some(accounting) = &env.policy.accounting else { return Err(Stop::Fault) };
    let is_limited = forwarding
        .accounts
        .iter()
        .any(|(at, _)| accounting.limits.get(*at).is_some_and(|rule| rule.covers(&head.project, None)));
    match (is_limited, flat) {
        (true, None) => Err(Stop::Uncountable),
        (false, None) => Ok(forward(env, route, forwarding, assertion.as_deref(), out)),
        (_, Some(flat)) => {
            let prompt = Prompt { bound: flat, exact: Some(flat), body: None };
            let room = promised(env, accounting, route, &forwarding, &head)?;
            let reserving = Reserving {
                forwarding,
                assertion,
                route,
                room,
                head,
                facts: None,
                encoding: Encoding::Cl100k,
                prompt,
                size: 0,
                for_output: 0,
                operation: None,
                most_output: None,
                transcript: None,
            };
            Box::new(reserving).reserve(env, out)
        }
    }
}

/// The room that is promised for a call's record; `None` where the route lets it go without.
fn promised(
    env: &Env<'_>,
    accounting: &Accounting,
    route: RoutePolicy,
    forwarding: &Forwarding,
    head: &CallHead,
) -> Result<Option<Room>, Stop> {
    let identity = &forwarding.identity;
    let room = (env.room)(room_for(identity.user(), identity.agent(), &head.project));
    if room.is_none() && failure_mode(accounting, route_tokens(env.policy, route)) == FailureMode::Deny {
        return Err(Stop::RecordsFull);
    }
    Ok(room)
}

impl Admission {
    pub(in crate::stream) fn deadline(&self) -> UnixMillis {
        self.deadline
    }

    /// More of the body is there: `size` is how much the host has.
    pub(in crate::stream) fn on_body(
        mut self: Box<Self>,
        env: &mut Env<'_>,
        size: usize,
        end: bool,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        self.there = size;
        self.name(env);
        self.take(env)?;
        if end { self.on_whole_body(env, out) } else { Ok((Stream::Counting(self), Flow::Pause)) }
    }

    /// A while has passed.
    pub(in crate::stream) fn on_tick(self: Box<Self>, env: &mut Env<'_>) -> Result<(Stream, Flow), Stop> {
        self.name(env);
        if env.now >= self.deadline {
            return Err(Stop::BodyLate);
        }
        Ok((Stream::Counting(self), Flow::Pause))
    }

    /// Says who it is, should he be refused.
    fn name(&self, env: &mut Env<'_>) {
        env.caller = Some(Rc::clone(&self.forwarding.identity));
    }

    /// Reads what has not been read, in pieces.
    fn take(&mut self, env: &Env<'_>) -> Result<(), Stop> {
        if self.there > env.policy.max_request_bytes {
            return Err(Stop::BodyTooLarge(env.policy.max_request_bytes));
        }
        while self.read < self.there {
            let size = self.there.saturating_sub(self.read).min(READ_AT_ONCE);
            let piece = (env.body)(self.read, size);
            // Less than the host said would pass for less than there is.
            if piece.len() != size {
                return Err(Stop::Fault);
            }
            if self.is_readable {
                self.is_readable = self.reader.push(&piece, &mut self.meter).is_ok();
            }
            self.read = self.read.saturating_add(size);
            if self.read as u64 > COUNTED_ABOVE {
                // Its length was said to be another.
                self.body = None;
            }
            if let Some(body) = &mut self.body {
                body.extend_from_slice(&piece);
            }
        }
        Ok(())
    }

    /// The body is whole.
    pub(in crate::stream) fn on_whole_body(
        mut self: Box<Self>,
        env: &mut Env<'_>,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        self.name(env);
        self.take(env)?;
        let Some(accounting) = &env.policy.accounting else { return Err(Stop::Fault) };
        let Self { forwarding, assertion, route, head, reader, is_readable, meter, body, read, .. } = *self;
        let room = promised(env, accounting, route, &forwarding, &head)?;
        let facts = if is_readable { reader.finish().ok() } else { None };
        let model = facts.as_ref().and_then(|facts| facts.model.as_deref());
        let encoding = accounting.encoding.or_else(|| Encoding::of_model(model?)).unwrap_or_default();
        let counted = meter.encoding().filter(|guess| *guess == encoding);
        let (is_counted, tokens) = (meter.encoding().is_some(), meter.tokens());
        let mut transcript = meter.into_transcript();
        match &facts {
            // The body says what the path did not: no model will write.
            Some(facts) if !facts.generates => transcript = None,
            None => transcript.iter_mut().for_each(Transcript::cut),
            Some(_) => {}
        }
        let mut reserving = Box::new(Reserving {
            forwarding,
            assertion,
            route,
            head,
            room,
            prompt: Prompt {
                bound: facts.as_ref().map_or(0, RequestFacts::prompt_bound),
                exact: facts
                    .as_ref()
                    .filter(|_| counted.is_some())
                    .map(|facts| tokens.saturating_add(facts.overhead)),
                body: body.map(Vec::into_boxed_slice),
            },
            facts,
            encoding,
            size: read,
            for_output: 0,
            operation: None,
            most_output: None,
            transcript,
        });
        // The guess was wrong, or nothing is kept that could be counted later.
        if counted.is_none() && (is_counted || reserving.prompt.body.is_none()) {
            reserving.count(env);
        }
        reserving.reserve(env, out)
    }
}
