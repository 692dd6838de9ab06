//! What one worker's requests have in common: the policy, and what the worker remembers.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use attach_core::clock::UnixMillis;
use attach_core::keys::KeySet;
use attach_core::keys::cache::JwksCache;
use attach_core::keys::discovery::Target;
use attach_core::keys::jwk::SetError;
use attach_core::keys::turn::{Record, Turn};
use attach_core::meter::tally::Callout;
use attach_core::policy::Policy;
use attach_core::quota::book::{Answered, Book, Operation};
use attach_core::quota::wire;
use attach_core::reply::LocalReply;
use attach_core::stamp::assertion::AssertionCache;
use attach_core::stream::memo::Tokens;
use attach_core::stream::stop::{Replies, Stop};
use attach_core::stream::{Answer, Effect, Env, Finished, Flow, Input, Machine, Output, Question};
use proxy_wasm::types::Action;

use crate::courier::Courier;
use crate::host;
use crate::metrics::Metrics;
use crate::shared::SharedUses;
use crate::windows::Windows;

/// The most questions that one worker has open at a time, each of which holds a request up.
const MAX_QUESTIONS: usize = 256;
/// The most of them that may go to token endpoints: anybody can send a token that makes one be asked.
const MAX_EXCHANGES: usize = 32;
/// How long control may take to say whether there is budget.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(2);
/// The largest answer to a question that is read, in bytes.
const MAX_ANSWER: usize = attach_core::authn::exchange::MAX_ANSWER_BYTES;

/// A stream that waits: its context, and its machine while there is one.
type Waiter = (u32, Weak<RefCell<Machine>>);

/// A stream's machine, where the root can reach it while the stream waits.
pub(crate) type SharedMachine = Rc<RefCell<Machine>>;

/// One worker.
pub(crate) struct Worker {
    /// The root's context.
    root: u32,
    /// Whether anything about any source's keys has changed since waiting streams looked last.
    keys_changed: Cell<bool>,
    pub(crate) policy: Policy,
    replies: Replies,
    /// The time of the last tick: dates have a minute of leeway, and asking the host costs each request.
    now: Cell<UnixMillis>,
    memory: RefCell<Memory>,
    /// Streams that wait for keys, by context. As many as there are paused streams, which Envoy's own
    /// limits bound; each leaves at its deadline.
    waiting: RefCell<Vec<Waiter>>,
    /// Questions that have not been answered, by callout, with the stream that asked; at most
    /// [`MAX_QUESTIONS`]. `true`: control is asked.
    questions: RefCell<BTreeMap<u32, (Waiter, bool)>>,
    /// Counters of what would have been refused, by the reason; defined when they are first needed.
    would_deny: RefCell<BTreeMap<&'static str, u32>>,
    uses: SharedUses,
    windows: Windows,
    /// What control was asked about limits, by callout, with the stream that waits for it, if one does.
    operations: RefCell<BTreeMap<u32, (u64, Option<Waiter>)>>,
    /// Whether the engine has refused to be asked for usage.
    refuses_stream_options: Cell<bool>,
    /// Where records of calls go.
    pub(crate) courier: Rc<Courier>,
    /// Where everything is counted.
    pub(crate) metrics: Rc<Metrics>,
}

/// What changes.
struct Memory {
    keys: Vec<JwksCache>,
    tokens: Tokens,
    assertions: AssertionCache,
    /// What is leased of limits, and who holds it.
    quota: Book,
    /// How much was held when it was told last.
    told_held: i64,
    /// How many calls there were.
    calls: u64,
    /// Whether each source's keys could be used when they were looked at last.
    serving: Vec<bool>,
}

impl Worker {
    pub(crate) fn new(
        policy: Policy,
        uses: SharedUses,
        root: u32,
        courier: Rc<Courier>,
        metrics: Rc<Metrics>,
    ) -> Self {
        let keys = policy.sources.iter().map(|source| JwksCache::new(source.schedule)).collect();
        let serving = policy.sources.iter().map(|_| false).collect();
        let is_strict = policy.accounting.as_ref().is_some_and(|accounting| accounting.strict);
        Self {
            windows: Windows::new(&policy.control_secret),
            operations: RefCell::default(),
            refuses_stream_options: Cell::new(false),
            root,
            keys_changed: Cell::new(true),
            replies: Replies::new(&policy),
            policy,
            now: Cell::new(host::now()),
            memory: RefCell::new(Memory {
                keys,
                tokens: Tokens::default(),
                assertions: AssertionCache::default(),
                // An id of a record that there is not: no other book has it, this worker's last one neither.
                quota: Book::new(&courier.next_record_id(), is_strict),
                told_held: 0,
                calls: 0,
                serving,
            }),
            waiting: RefCell::default(),
            questions: RefCell::default(),
            would_deny: RefCell::default(),
            uses,
            courier,
            metrics,
        }
    }

    /// A tick has come.
    pub(crate) fn set_now(&self, now: UnixMillis) {
        self.now.set(now);
    }

    /// Takes note of what all workers share of an issuer's keys, `set` giving the set itself where this
    /// worker lacks it, and says what there is to do.
    pub(crate) fn observe(
        &self,
        issuer: usize,
        record: Record,
        now: UnixMillis,
        set: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Option<Turn> {
        let mut memory = self.memory.try_borrow_mut().ok()?;
        let Memory { keys, tokens, serving, .. } = &mut *memory;
        let (cache, serving) = (keys.get_mut(issuer)?, serving.get_mut(issuer)?);
        let before = cache.record();
        if cache.observe(record)
            && let Some(set) = set().and_then(|text| self.parse(issuer, &text).ok())
        {
            cache.adopt(record, set);
            tokens.retain(issuer, |key| cache.holds(key));
        }
        if cache.record() != before {
            self.keys_changed.set(true);
        }
        if *serving && !cache.serves(now) {
            tokens.retain(issuer, |_| false);
        }
        *serving = cache.serves(now);
        Some(cache.turn(now))
    }

    /// Reads a source's set.
    pub(crate) fn parse(&self, source: usize, text: &[u8]) -> Result<KeySet, SetError> {
        match self.policy.sources.get(source) {
            Some(source) if source.is_internal => KeySet::parse_own(text),
            _ => KeySet::parse(text),
        }
    }

    /// Takes an issuer's new keys; tokens whose key is not among them are forgotten.
    pub(crate) fn adopt(&self, issuer: usize, record: Record, set: KeySet) {
        if let Ok(mut memory) = self.memory.try_borrow_mut() {
            let Memory { keys, tokens, .. } = &mut *memory;
            if let Some(cache) = keys.get_mut(issuer) {
                self.keys_changed.set(true);
                cache.adopt(record, set);
                tokens.retain(issuer, |key| cache.holds(key));
            }
        }
    }

    /// One step of a stream, on whose behalf host calls are made.
    pub(crate) fn drive(&self, context: u32, machine: &SharedMachine, input: Input<'_>) -> Action {
        let is_callback =
            matches!(input, Input::RequestHeaders(..) | Input::RequestBody(..) | Input::RequestTrailers(_));
        let (mut flow, mut output) = self.step(context, machine, input);
        if let Some(question) = output.question.take()
            && !self.ask(context, machine, &question)
        {
            // Nobody was asked, so nobody answers.
            (flow, output) = self.step(context, machine, Input::Answer(None));
            // In the request's own callback its flow says that it goes on; a resume as well would send it
            // upstream twice.
            output.resume &= !is_callback;
        }
        if let Some(operation) = output.operation.take()
            && !self.ask_ledger(Some((context, machine)), &operation)
        {
            let refused = self.ledger_failed(operation.id);
            let (later, more) = self.ledger_step(context, machine, refused);
            // In a response's callback nothing waits for it.
            if output.waits {
                (flow, output) = (later, more);
                output.resume &= !is_callback;
            }
        }
        output.finish();
        match flow {
            Flow::Continue => Action::Continue,
            Flow::Pause => Action::Pause,
        }
    }

    fn step(&self, context: u32, machine: &SharedMachine, input: Input<'_>) -> (Flow, HostOutput<'_>) {
        self.with(context, machine, |machine, env, output| machine.step(env, input, output))
    }

    fn ledger_step(
        &self,
        context: u32,
        machine: &SharedMachine,
        answered: Answered,
    ) -> (Flow, HostOutput<'_>) {
        self.with(context, machine, |machine, env, output| machine.ledger_answered(env, answered, output))
    }

    /// The stream is over.
    pub(crate) fn close(&self, context: u32, machine: &SharedMachine) {
        if machine.try_borrow().is_ok_and(|machine| machine.is_call()) {
            let (_, output) = self.with(context, machine, |machine, env, output| {
                machine.close(env, output);
                Flow::Continue
            });
            output.finish();
        }
    }

    fn with(
        &self,
        context: u32,
        machine: &SharedMachine,
        act: impl FnOnce(&mut Machine, &mut Env<'_>, &mut HostOutput<'_>) -> Flow,
    ) -> (Flow, HostOutput<'_>) {
        let mut output = HostOutput::new(self);
        let mut flow = Flow::Pause;
        match (self.memory.try_borrow_mut(), machine.try_borrow_mut()) {
            (Ok(mut memory), Ok(mut machine_)) => {
                let Memory { keys, tokens, assertions, quota, calls, .. } = &mut *memory;
                let mut env = Env {
                    policy: &self.policy,
                    replies: &self.replies,
                    keys,
                    tokens,
                    assertions,
                    host: &host::EnvoyVerifier,
                    once: &self.uses,
                    body: &host::request_body,
                    quota,
                    windows: &self.windows,
                    room: &|bytes| self.courier.admit(bytes),
                    refuses_stream_options: self.refuses_stream_options.get(),
                    caller: None,
                    calls,
                    clock: &host::now,
                    now: self.now.get(),
                };
                let waited = machine_.is_waiting();
                flow = act(&mut machine_, &mut env, &mut output);
                output.waits = machine_.is_reserving();
                if machine_.is_waiting()
                    && !waited
                    && let Ok(mut waiting) = self.waiting.try_borrow_mut()
                {
                    waiting.push((context, Rc::downgrade(machine)));
                }
            }
            // Nothing that is called from here calls back, so this cannot be; if it is, nobody gets in.
            _ => output.reply = Some(Stop::Fault.reply(&self.replies)),
        }
        (flow, output)
    }

    /// Asks control about limits, for the root; `false` if it was not asked.
    fn ask_ledger(&self, waiter: Option<(u32, &SharedMachine)>, operation: &Operation) -> bool {
        let Some(control) = &self.policy.control else { return false };
        let target = Target { path: wire::PATH.into(), ..control.clone() };
        let Ok(mut operations) = self.operations.try_borrow_mut() else { return false };
        host::act_for(self.root);
        let secret = Some(&self.policy.control_secret);
        let callout = host::post(&target, "application/json", None, secret, &operation.body, LEDGER_TIMEOUT);
        if let Some((context, _)) = waiter {
            host::act_for(context);
        }
        let Some(callout) = callout else { return false };
        let waiter = waiter.map(|(context, machine)| (context, Rc::downgrade(machine)));
        operations.insert(callout, (operation.id, waiter));
        true
    }

    /// Takes note that control has not answered. Whoever waits for it must not.
    fn ledger_failed(&self, operation: u64) -> Answered {
        self.metrics.callout_failed(Callout::Control);
        let failed = self
            .memory
            .try_borrow_mut()
            .ok()
            .map(|mut memory| memory.quota.failed(operation, self.now.get()));
        match failed {
            Some(Answered::Granted(hold)) => Answered::Granted(hold),
            _ => Answered::Unavailable,
        }
    }

    /// Takes control's answer about limits; `false` if it is to nothing that was asked from here. Host calls are
    /// about the root afterwards.
    pub(crate) fn ledger_answered(&self, callout: u32, body_size: usize) -> bool {
        let asked = self.operations.try_borrow_mut().ok().and_then(|mut open| open.remove(&callout));
        let Some((operation, waiter)) = asked else { return false };
        host::act_for(self.root);
        let body = match host::answer_status() {
            Some(200) if body_size <= wire::MAX_BYTES => host::answer_body(body_size),
            _ => Vec::new(),
        };
        let answer = wire::Answer::from_json(&body).ok();
        let answered = match (answer, self.memory.try_borrow_mut()) {
            (Some(answer), Ok(mut memory)) => memory.quota.answered(operation, &answer, self.now.get()),
            (answer, memory) => {
                drop((answer, memory));
                self.ledger_failed(operation)
            }
        };
        let machine = waiter.and_then(|(context, machine)| Some((context, machine.upgrade()?)));
        match machine {
            Some((context, machine)) if host::act_for(context) => {
                let (_, output) = self.ledger_step(context, &machine, answered);
                // What it was asked for may not have been all that there is to ask.
                self.finish(context, &machine, output);
                host::act_for(self.root);
            }
            _ => {
                if let (Answered::Granted(hold), Ok(mut memory)) = (answered, self.memory.try_borrow_mut()) {
                    memory.quota.settle(hold, 0, self.now.get());
                }
            }
        }
        true
    }

    fn finish(&self, context: u32, machine: &SharedMachine, mut output: HostOutput<'_>) {
        if let Some(operation) = output.operation.take()
            && !self.ask_ledger(Some((context, machine)), &operation)
        {
            let refused = self.ledger_failed(operation.id);
            output.finish();
            let (_, output) = self.ledger_step(context, machine, refused);
            output.finish();
            return;
        }
        output.finish();
    }

    /// Looks after what is leased of limits. Host calls must be about the root.
    pub(crate) fn look_after_limits(&self) {
        let operations = self
            .memory
            .try_borrow_mut()
            .map(|mut memory| {
                let Memory { quota, told_held, .. } = &mut *memory;
                let held = i64::try_from(quota.held()).unwrap_or(i64::MAX);
                self.metrics.held(held.saturating_sub(core::mem::replace(told_held, held)));
                quota.tick(self.now.get(), &self.windows)
            })
            .unwrap_or_default();
        for operation in operations {
            if !self.ask_ledger(None, &operation) {
                self.ledger_failed(operation.id);
            }
        }
    }

    /// Gives all that is leased back, but for what open streams hold. Host calls must be about the root.
    pub(crate) fn return_limits(&self) {
        let operations = self
            .memory
            .try_borrow_mut()
            .map(|mut memory| memory.quota.close(self.now.get(), &self.windows))
            .unwrap_or_default();
        for operation in operations {
            if !self.ask_ledger(None, &operation) {
                self.ledger_failed(operation.id);
            }
        }
    }

    /// Whether control has not answered all that it was told about limits.
    pub(crate) fn owes_limits(&self) -> bool {
        self.memory.try_borrow().is_ok_and(|memory| memory.quota.unanswered() > 0)
    }

    /// A call is over: it is recorded and counted.
    fn finished(&self, finished: Finished) {
        let Finished { mut record, room, drift, first_text, was_cut } = finished;
        if was_cut {
            self.metrics.cut();
        }
        self.metrics.recorded(&record);
        if let Some((counted, reported)) = drift {
            self.metrics.drift(counted, reported);
        }
        if let Some(milliseconds) = first_text {
            self.metrics.first_token(milliseconds);
        }
        if self.policy.accounting.as_ref().is_some_and(|accounting| accounting.log_usage) {
            host::log_value("attach.model", &record.model);
            host::log_value("attach.tokens_in", &record.input.to_string());
            host::log_value("attach.tokens_out", &record.output.to_string());
        }
        record.id = self.courier.next_record_id();
        // What does not fit is counted there, and said in the log.
        let _ = self.courier.push(record, room);
    }

    /// Starts a callout for a stream; `false` if none was started.
    fn ask(&self, context: u32, machine: &SharedMachine, question: &Question) -> bool {
        let Ok(mut questions) = self.questions.try_borrow_mut() else { return false };
        // Those of streams that are gone count as well: their callouts are the root's and still under way.
        let exchanges = questions.values().filter(|(_, is_controls)| !is_controls).count();
        if questions.len() >= MAX_QUESTIONS || (!question.with_secret && exchanges >= MAX_EXCHANGES) {
            return false;
        }
        // For the root, which outlives the request: a callout that is cancelled with its stream is never
        // taken off the SDK's list.
        host::act_for(self.root);
        let callout = host::ask(question, &self.policy.control_secret);
        host::act_for(context);
        match callout {
            Some(callout) => {
                questions.insert(callout, ((context, Rc::downgrade(machine)), question.with_secret));
                true
            }
            None => false,
        }
    }

    /// Hands an answer to the stream that asked, if one did and is still there. Host calls are about the
    /// root afterwards.
    pub(crate) fn answered(&self, callout: u32, body_size: usize) {
        let asked = self.questions.try_borrow_mut().ok().and_then(|mut open| open.remove(&callout));
        let Some(((context, machine), is_controls)) = asked else { return };
        let Some(machine) = machine.upgrade() else { return };
        // The answer lies with the root, for which the callout was made.
        host::act_for(self.root);
        let status = host::answer_status();
        if status.is_none_or(|status| status >= 500) {
            self.metrics.callout_failed(if is_controls { Callout::Control } else { Callout::Exchange });
        }
        let body = if body_size <= MAX_ANSWER { host::answer_body(body_size) } else { Vec::new() };
        if host::act_for(context) {
            let answer = status.map(|status| Answer { status, body: &body });
            self.drive(context, &machine, Input::Answer(answer));
        }
        host::act_for(self.root);
    }

    fn count_would_deny(&self, reason: &'static str) {
        let Ok(mut counters) = self.would_deny.try_borrow_mut() else { return };
        let counter = match counters.get(reason) {
            Some(counter) => Some(*counter),
            None => host::counter(&format!("attach_would_deny_total;reason={reason}")),
        };
        if let Some(counter) = counter {
            counters.insert(reason, counter);
            host::count(counter);
        }
    }

    /// Lets every waiting stream look again that may see something new. Host calls are about the root
    /// afterwards.
    pub(crate) fn wake(&self) {
        let (changed, now) = (self.keys_changed.replace(false), self.now.get());
        let Ok(waiting) = self.waiting.try_borrow_mut().map(|mut waiting| std::mem::take(&mut *waiting))
        else {
            return;
        };
        if waiting.is_empty() {
            return;
        }
        let mut still = Vec::new();
        for (context, weak) in waiting {
            let Some(machine) = weak.upgrade() else { continue };
            let is_due = machine.try_borrow().is_ok_and(|machine| machine.is_due(changed, now));
            if is_due && host::act_for(context) {
                self.drive(context, &machine, Input::Tick);
            }
            if machine.try_borrow().is_ok_and(|machine| machine.is_waiting()) {
                still.push((context, weak));
            }
        }
        host::act_for(self.root);
        if let Ok(mut waiting) = self.waiting.try_borrow_mut() {
            waiting.append(&mut still);
        }
    }
}

/// Carries effects out: header edits at once, the rest when nothing is borrowed any more.
struct HostOutput<'a> {
    worker: &'a Worker,
    reply: Option<Rc<LocalReply>>,
    resume: bool,
    reset: bool,
    question: Option<Question>,
    operation: Option<Operation>,
    finished: Option<Box<Finished>>,
    /// Whether the request waits for control's answer about limits.
    waits: bool,
}

impl<'a> HostOutput<'a> {
    fn new(worker: &'a Worker) -> Self {
        Self {
            worker,
            reply: None,
            resume: false,
            reset: false,
            question: None,
            operation: None,
            finished: None,
            waits: false,
        }
    }
}

impl Output for HostOutput<'_> {
    fn effect(&mut self, effect: Effect<'_>) {
        match effect {
            Effect::SetRequestHeader(name, value) => host::set_request_header(name, value),
            Effect::RemoveRequestHeader(name) => host::remove_request_header(name),
            Effect::RemoveRequestTrailer(name) => host::remove_request_trailer(name),
            Effect::SetResponseHeader(name, value) => host::set_response_header(name, value),
            Effect::RemoveResponseHeader(name) => host::remove_response_header(name),
            Effect::ReplaceRequestBody(size, body) => host::replace_request_body(size, &body),
            Effect::ReplaceResponseBody(size, body) => host::replace_response_body(size, &body),
            Effect::ResetStream => self.reset = true,
            Effect::AskLedger(operation) => self.operation = Some(operation),
            Effect::CountAllowed => self.worker.metrics.allowed(),
            Effect::CountDenied(reason) => self.worker.metrics.denied(reason),
            Effect::CountUnlimited => self.worker.metrics.unlimited(),
            Effect::RefusedStreamOptions => self.worker.refuses_stream_options.set(true),
            Effect::Finished(finished) => self.finished = Some(finished),
            Effect::CountWouldDeny(reason) => self.worker.count_would_deny(reason),
            Effect::Ask(question) => self.question = Some(question),
            Effect::Reply(reply) => self.reply = Some(reply),
            Effect::Resume => self.resume = true,
        }
    }
}

impl HostOutput<'_> {
    fn finish(self) {
        if let Some(finished) = self.finished {
            self.worker.finished(*finished);
        }
        if self.reset {
            host::reset_stream();
        }
        match self.reply {
            Some(reply) => host::reply(&reply),
            None if self.resume => host::resume_request(),
            None => {}
        }
    }
}
