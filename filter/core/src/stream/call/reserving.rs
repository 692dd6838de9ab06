//! Before a call goes upstream: what it may cost is reserved, and its body is edited where it must be.

use std::rc::Rc;

use super::admission::READ_AT_ONCE;
use super::head::{CallHead, Kind, route_tokens};
use super::memory::Memory;
use super::prompt::{self, Prompt};
use super::{Answer, Call, refusal};
use crate::clock::UnixMillis;
use crate::llm::bpe::Encoding;
use crate::llm::edit::{self, CapEdit, Edits};
use crate::llm::request::RequestFacts;
use crate::llm::request::cap::CapField;
use crate::llm::shape::Shape;
use crate::mirror::transcript::Transcript;
use crate::outbox::Room;
use crate::policy::RoutePolicy;
use crate::policy::accounting::{Accounting, Accounts, FailureMode, RouteTokens, UsageInjection};
use crate::quota::book::{Answered, Hold, Need, Refused, Taken};
use crate::stamp::assertion::Assertion;
use crate::stream::forward::{Forwarding, forward};
use crate::stream::over::OverLimit;
use crate::stream::stop::Stop;
use crate::stream::{Effect, Env, Flow, Output, Stream};

/// An answer whose length is only assumed must have this part of the limit at least, if not all.
const LEAST_SHARE: u64 = 16;

/// A verified call whose body is whole, and whose budget must be asked for.
pub(in crate::stream) struct Reserving {
    pub(super) forwarding: Forwarding,
    pub(super) assertion: Option<Rc<Assertion>>,
    pub(super) route: RoutePolicy,
    pub(super) head: CallHead,
    /// The room that was promised for its record.
    pub(super) room: Option<Room>,
    pub(super) facts: Option<RequestFacts>,
    pub(super) encoding: Encoding,
    pub(super) prompt: Prompt,
    /// The body's size.
    pub(super) size: usize,
    /// How much is reserved for the answer, in tokens.
    pub(super) for_output: u64,
    /// All that is left for an answer whose length is only assumed, where the whole of that was too much.
    pub(super) most_output: Option<u64>,
    /// What control was asked.
    pub(super) operation: Option<u64>,
    /// What the prompt says, if it is to be remembered.
    pub(super) transcript: Option<Transcript>,
}

impl core::fmt::Debug for Reserving {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Reserving").field("operation", &self.operation).finish_non_exhaustive()
    }
}

pub(super) fn failure_mode(accounting: &Accounting, tokens: Option<&RouteTokens>) -> FailureMode {
    tokens.and_then(|tokens| tokens.failure_mode).unwrap_or(accounting.failure_mode)
}

impl Reserving {
    /// Counts the prompt.
    pub(super) fn count(&mut self, env: &Env<'_>) {
        let Kind::Call(call) = &self.head.kind else { return };
        let counted = match &self.prompt.body {
            Some(body) => prompt::count(call, self.encoding, [&**body]),
            None => {
                let pieces = (0..self.size)
                    .step_by(READ_AT_ONCE)
                    .map(|start| (env.body)(start, self.size.saturating_sub(start).min(READ_AT_ONCE)));
                prompt::count(call, self.encoding, pieces)
            }
        };
        self.prompt.exact = counted.or(self.prompt.exact);
    }

    /// Control has answered, or will not.
    pub(in crate::stream) fn on_answer(
        mut self: Box<Self>,
        env: &mut Env<'_>,
        answered: Answered,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        self.operation = None;
        env.caller = Some(Rc::clone(&self.forwarding.identity));
        let (route, for_output) = (self.route, self.for_output);
        match answered {
            Answered::Granted(hold) => self.go(env, Some(hold), for_output, out),
            Answered::Refused(refused) => self.refused(env, &refused, out),
            Answered::Unavailable | Answered::Done => self.unavailable(env, route, out),
        }
    }

    /// The stream is over before control has answered.
    pub(in crate::stream) fn give_up(self, env: &mut Env<'_>) {
        if let Some(operation) = self.operation {
            env.quota.abandon(operation);
        }
    }

    /// Reserves what the call may cost, and lets it go.
    pub(super) fn reserve(
        mut self: Box<Self>,
        env: &mut Env<'_>,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        let policy = env.policy;
        let Some(accounting) = &policy.accounting else { return Err(Stop::Fault) };
        let accounts = Rc::clone(&self.forwarding.accounts);
        let needs: Vec<Need<'_>> = needs(accounting, &accounts, &self.head.project, self.facts.as_ref());
        let Some(smallest) = needs.iter().map(|need| need.limit.tokens).min() else {
            return self.go(env, None, 0, out);
        };
        let is_flat = matches!(self.head.kind, Kind::Opaque);
        if self.facts.is_none() && !is_flat {
            return Err(Stop::BodyUnreadable);
        }
        let wanted = self.wanted_output(accounting);
        if self.prompt.exact.is_none() {
            let most = self.prompt.bound.saturating_add(wanted);
            let leaves_half = |need: &Need<'_>| {
                let half = need.limit.tokens / 2;
                env.quota.free_bound(core::slice::from_ref(need), env.now) >= half.saturating_add(most)
            };
            if !needs.iter().all(leaves_half) {
                self.count(env);
            }
        }
        let input = self.prompt.known();
        self.for_output = wanted.min(smallest.saturating_sub(input));
        // Nobody asks for less than a token of each answer.
        let is_too_large = input > smallest || self.for_output < wanted.min(self.choices());
        let amount = match is_too_large {
            true => smallest.saturating_add(1),
            false => input.saturating_add(self.for_output),
        };
        let (route, for_output) = (self.route, self.for_output);
        match env.quota.reserve(&needs, amount, env.now, env.windows) {
            Taken::Granted(hold) => self.go(env, Some(hold), for_output, out),
            Taken::Refused(refused) => self.refused(env, &refused, out),
            Taken::Ask(operation) => {
                self.operation = Some(operation.id);
                out.effect(Effect::AskLedger(operation));
                Ok((Stream::Reserving(self), Flow::Pause))
            }
            Taken::Unavailable => self.unavailable(env, route, out),
        }
    }

    fn refused(
        mut self: Box<Self>,
        env: &mut Env<'_>,
        refused: &Refused,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        let policy = env.policy;
        // What is only assumed need not be had in full: nobody has asked for so long an answer.
        if self.most_output.is_none() && self.facts.as_ref().is_some_and(|facts| facts.stated_cap().is_none())
        {
            if self.prompt.exact.is_none() {
                self.count(env);
            }
            let left = refused.view.remaining.saturating_sub(self.prompt.known());
            if left >= self.for_output.min(refused.view.limit / LEAST_SHARE).max(self.choices()) {
                self.most_output = Some(left);
                return self.reserve(env, out);
            }
        }
        if policy.is_shadow {
            out.effect(Effect::CountWouldDeny(Stop::OVER_LIMIT));
            return self.go(env, None, 0, out);
        }
        let accounting = policy.accounting.as_ref().ok_or(Stop::Fault)?;
        let of_key = self.forwarding.accounts.iter().find(|(_, key)| *key == refused.key);
        let rule = of_key.and_then(|(at, _)| accounting.limits.get(*at)).ok_or(Stop::Fault)?;
        Err(Stop::OverLimit(Box::new(OverLimit::new(&rule.limit, refused, env.now))))
    }

    /// Nobody can be asked about the limits.
    fn unavailable(
        self: Box<Self>,
        env: &mut Env<'_>,
        route: RoutePolicy,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        let accounting = env.policy.accounting.as_ref().ok_or(Stop::Fault)?;
        match failure_mode(accounting, route_tokens(env.policy, route)) {
            FailureMode::Allow => {
                out.effect(Effect::CountUnlimited);
                self.go(env, None, 0, out)
            }
            FailureMode::Deny => Err(Stop::QuotaUnavailable),
        }
    }

    fn choices(&self) -> u64 {
        self.facts.as_ref().map_or(1, |facts| facts.choices.max(1))
    }

    /// What the answer may cost, by what the request states or by what is assumed.
    fn wanted_output(&self, accounting: &Accounting) -> u64 {
        match &self.facts {
            Some(facts) => {
                let most = self.most_output.unwrap_or(u64::MAX);
                facts.output_bound(accounting.default_output).min(most)
            }
            None => 0,
        }
    }

    /// Lets the call go, edited where it must be.
    fn go(
        mut self: Box<Self>,
        env: &mut Env<'_>,
        hold: Option<Hold>,
        for_output: u64,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        let for_output = match (&hold, &env.policy.accounting) {
            (None, Some(accounting)) => self.wanted_output(accounting),
            _ => for_output,
        };
        let edits = match &self.facts {
            Some(facts) => self.edits(env, facts, hold.is_some(), for_output),
            None => Edits::default(),
        };
        let facts = self.facts.as_ref();
        let is_lowered = edits.cap.is_some_and(|cap| {
            facts.and_then(RequestFacts::stated_cap).is_some_and(|stated| stated > cap.most)
        });
        if is_lowered && self.head.is_bound {
            // The engine would answer more than there is budget for.
            if let Some(hold) = hold {
                env.quota.settle(hold, 0, env.now);
            }
            return Err(Stop::CapBound);
        }
        let is_edited = !self.head.is_bound && edits != Edits::default();
        let fetched = match (is_edited, &self.prompt.body) {
            (true, None) => (env.body)(0, self.size),
            _ => Vec::new(),
        };
        let body = self.prompt.body.as_deref().unwrap_or(&fetched);
        let edited = facts.filter(|_| is_edited).and_then(|facts| edit::edit(body, facts, &edits));
        let asked_for_usage = edits.ask_for_usage && edited.is_some();
        let may_learn = asked_for_usage && !refusal::can_be_said_by(body);
        if let Some(body) = edited {
            out.effect(Effect::SetRequestHeader("content-length", body.len().to_string().as_bytes()));
            out.effect(Effect::ReplaceRequestBody(self.size, body));
        }
        if self.head.accepts_coding && self.facts.is_some() {
            out.effect(Effect::SetRequestHeader("accept-encoding", b"identity"));
        }
        if self.prompt.exact.is_some() {
            self.prompt.body = None;
        }
        let Self {
            mut forwarding, assertion, route, head, room, facts, encoding, prompt, transcript, ..
        } = *self;
        let shape = facts.as_ref().map_or(Shape::Unknown, |facts| facts.shape);
        let flat = matches!(head.kind, Kind::Opaque).then_some(prompt.bound);
        forwarding.call = Some(Box::new(Call {
            identity: Rc::clone(&forwarding.identity),
            room,
            project: head.project,
            request_id: head.request_id,
            wire: match head.kind {
                Kind::Call(call) => call,
                Kind::Opaque | Kind::Disguised => Shape::Unknown.into(),
            },
            started: head.started,
            shape,
            encoding,
            is_streamed: facts.as_ref().is_some_and(|facts| facts.stream),
            is_capped: facts.as_ref().is_some_and(RequestFacts::is_capped),
            generates: facts.as_ref().is_some_and(|facts| facts.generates),
            model: facts.and_then(|facts| facts.model).unwrap_or_default(),
            prompt,
            hold,
            for_output,
            flat,
            asked_for_usage,
            may_learn,
            asks_from: UnixMillis(0),
            operation: None,
            grown: 0,
            last_step: None,
            answer: Answer::default(),
            memory: transcript.map(|prompt| Box::new(Memory::new(prompt, forwarding.session))),
        }));
        Ok(forward(env, route, forwarding, assertion.as_deref(), out))
    }

    /// What must change in the body.
    fn edits(&self, env: &Env<'_>, facts: &RequestFacts, is_held: bool, for_output: u64) -> Edits {
        let tokens = route_tokens(env.policy, self.route);
        let general = env.policy.accounting.as_ref().map(|accounting| accounting.usage_injection);
        let injects = match tokens.and_then(|tokens| tokens.usage_injection).or(general) {
            Some(UsageInjection::On) => true,
            Some(UsageInjection::Auto) => !env.refuses_stream_options,
            Some(UsageInjection::Off) | None => false,
        };
        let ask_for_usage = injects && facts.can_ask_for_usage() && !self.head.is_bound;
        let mut edits = Edits { ask_for_usage, cap: None };
        // Whoever is only watched is answered as if nobody did.
        if is_held && facts.generates && !env.policy.is_shadow {
            let most = for_output.checked_div(self.choices()).unwrap_or(0).max(1);
            let field = tokens.and_then(|tokens| tokens.cap_field).or_else(|| cap_field(facts.shape));
            // A stream without a cap gets none: its hold grows. What may not be one cannot be ended.
            let is_stream = facts.stream && !facts.is_stream_unclear;
            let insert = field.filter(|field| !is_stream && facts.can_cap(*field));
            let is_over = facts.stated_cap().is_some_and(|stated| stated > most);
            if is_over || (insert.is_some() && !facts.is_capped()) {
                edits.cap = Some(CapEdit { most, insert });
            }
        }
        edits
    }
}

/// The limits that a call counts against.
pub(super) fn needs<'a>(
    accounting: &'a Accounting,
    accounts: &Accounts,
    project: &str,
    facts: Option<&RequestFacts>,
) -> Vec<Need<'a>> {
    // Of two names one engine reads the one, the next the other.
    let facts = facts.filter(|facts| !facts.is_model_unclear);
    let model = facts.and_then(|facts| facts.model.as_deref());
    let other = facts.and_then(|facts| facts.other_model.as_deref());
    let needs = accounts.iter().filter_map(|(at, key)| {
        let rule = accounting.limits.get(*at)?;
        let is_covered =
            rule.covers(project, model) || other.is_some_and(|other| rule.covers(project, Some(other)));
        is_covered.then_some(Need { key: *key, limit: &rule.limit })
    });
    needs.collect()
}

/// The field in which an engine of that format reads a cap.
fn cap_field(shape: Shape) -> Option<CapField> {
    CapField::parse(match shape {
        Shape::OpenAiChat | Shape::OpenAiCompletions | Shape::AnthropicMessages => "max_tokens",
        Shape::OpenAiResponses => "max_output_tokens",
        Shape::Gemini => "generationConfig.maxOutputTokens",
        Shape::OllamaChat | Shape::OllamaGenerate => "options.num_predict",
        Shape::OpenAiEmbeddings | Shape::OllamaEmbed | Shape::Unknown => return None,
    })
}
