//! What one worker's requests have in common: the policy, and what the worker remembers.

mod limits;
mod memory;
mod output;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use attach_core::clock::UnixMillis;
use attach_core::keys::KeySet;
use attach_core::keys::cache::JwksCache;
use attach_core::keys::jwk::SetError;
use attach_core::keys::turn::{Record, Turn};
use attach_core::meter::tally::Callout;
use attach_core::policy::Policy;
use attach_core::quota::book::{Answered, Book};
use attach_core::stamp::assertion::AssertionCache;
use attach_core::stream::memo::Tokens;
use attach_core::stream::stop::{Replies, Stop};
use attach_core::stream::{Answer, Env, Flow, Input, Machine, Question};
use proxy_wasm::types::Action;

use crate::courier::Courier;
use crate::host;
use crate::metrics::Metrics;
use crate::shared::SharedUses;
use crate::windows::Windows;
use output::HostOutput;

/// The most questions that one worker has open at a time, each of which holds a request up.
const MAX_QUESTIONS: usize = 256;
/// The most of them that may go to token endpoints: anybody can send a token that makes one be asked.
const MAX_EXCHANGES: usize = 32;
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
    /// Streams whose last byte waits until it is remembered, by context; as many as have events in the queue.
    held: RefCell<BTreeMap<u32, Weak<RefCell<Machine>>>>,
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
            held: RefCell::default(),
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
        let is_response =
            matches!(input, Input::ResponseHeaders(..) | Input::ResponseBody(..) | Input::ResponseTrailers);
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
        let held = output.take_waiting();
        if is_response && output.take_resume_response() {
            flow = Flow::Continue;
        }
        output.finish();
        if let Some(remembered) = held
            && let Some(mut output) = self.remember_for(context, machine, *remembered)
        {
            if is_response && output.take_resume_response() {
                flow = Flow::Continue;
            }
            output.finish();
        }
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
                    record_id: &|| self.courier.next_record_id(),
                    pool: self.courier.pool(),
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
