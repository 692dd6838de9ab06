//! What one worker's requests have in common: the policy, and what the worker remembers.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use attach_core::authn::token_cache::TokenCache;
use attach_core::clock::UnixMillis;
use attach_core::keys::KeySet;
use attach_core::keys::cache::JwksCache;
use attach_core::keys::turn::{Record, Turn};
use attach_core::policy::Policy;
use attach_core::reply::LocalReply;
use attach_core::stream::stop::{Replies, Stop};
use attach_core::stream::{Effect, Env, Flow, Input, Machine, Output};
use proxy_wasm::types::Action;

use crate::host;

/// A stream's machine, where the root can reach it while the stream waits.
pub(crate) type SharedMachine = Rc<RefCell<Machine>>;

/// One worker.
pub(crate) struct Worker {
    pub(crate) policy: Policy,
    replies: Replies,
    /// The time of the last tick: dates have a minute of leeway, and asking the host costs each request.
    now: Cell<UnixMillis>,
    memory: RefCell<Memory>,
    /// Streams that wait for keys, by context. As many as there are paused streams, which Envoy's own
    /// limits bound; each leaves at its deadline.
    waiting: RefCell<Vec<(u32, Weak<RefCell<Machine>>)>>,
}

/// What changes.
struct Memory {
    keys: Vec<JwksCache>,
    tokens: TokenCache,
}

impl Worker {
    pub(crate) fn new(policy: Policy) -> Self {
        let keys = policy.sources.iter().map(|source| JwksCache::new(source.schedule)).collect();
        Self {
            replies: Replies::new(&policy),
            policy,
            now: Cell::new(host::now()),
            memory: RefCell::new(Memory { keys, tokens: TokenCache::default() }),
            waiting: RefCell::default(),
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
        let Memory { keys, tokens } = &mut *memory;
        let cache = keys.get_mut(issuer)?;
        if cache.observe(record)
            && let Some(set) = set().and_then(|text| KeySet::parse(&text).ok())
        {
            cache.adopt(record, set);
            tokens.retain(issuer, |key| cache.holds(key));
        }
        if !cache.serves(now) && !tokens.is_empty() {
            tokens.retain(issuer, |_| false);
        }
        Some(cache.turn(now))
    }

    /// Takes an issuer's new keys; tokens whose key is not among them are forgotten.
    pub(crate) fn adopt(&self, issuer: usize, record: Record, set: KeySet) {
        if let Ok(mut memory) = self.memory.try_borrow_mut() {
            let Memory { keys, tokens } = &mut *memory;
            if let Some(cache) = keys.get_mut(issuer) {
                cache.adopt(record, set);
                tokens.retain(issuer, |key| cache.holds(key));
            }
        }
    }

    /// One step of a stream, on whose behalf host calls are made.
    pub(crate) fn drive(&self, context: u32, machine: &SharedMachine, input: Input<'_>) -> Action {
        let mut output = HostOutput::default();
        let mut flow = Flow::Pause;
        match (self.memory.try_borrow_mut(), machine.try_borrow_mut()) {
            (Ok(mut memory), Ok(mut machine_)) => {
                let Memory { keys, tokens } = &mut *memory;
                let mut env = Env {
                    policy: &self.policy,
                    replies: &self.replies,
                    keys,
                    tokens,
                    host: &host::EnvoyVerifier,
                    now: self.now.get(),
                };
                let waited = machine_.is_waiting();
                flow = machine_.step(&mut env, input, &mut output);
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
        output.finish();
        match flow {
            Flow::Continue => Action::Continue,
            Flow::Pause => Action::Pause,
        }
    }

    /// Lets every waiting stream look again. Host calls are about `root` afterwards.
    pub(crate) fn wake(&self, root: u32) {
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
            if host::act_for(context) {
                self.drive(context, &machine, Input::Tick);
                if machine.try_borrow().is_ok_and(|machine| machine.is_waiting()) {
                    still.push((context, weak));
                }
            }
        }
        host::act_for(root);
        if let Ok(mut waiting) = self.waiting.try_borrow_mut() {
            waiting.append(&mut still);
        }
    }
}

/// Carries effects out: header edits at once, a reply or a resume when nothing is borrowed any more.
#[derive(Default)]
struct HostOutput {
    reply: Option<Rc<LocalReply>>,
    resume: bool,
}

impl Output for HostOutput {
    fn effect(&mut self, effect: Effect<'_>) {
        match effect {
            Effect::SetRequestHeader(name, value) => host::set_request_header(name, value),
            Effect::RemoveRequestHeader(name) => host::remove_request_header(name),
            Effect::RemoveRequestTrailer(name) => host::remove_request_trailer(name),
            Effect::SetResponseHeader(name, value) => host::set_response_header(name, value),
            Effect::Reply(reply) => self.reply = Some(reply),
            Effect::Resume => self.resume = true,
        }
    }
}

impl HostOutput {
    fn finish(self) {
        match self.reply {
            Some(reply) => host::reply(&reply),
            None if self.resume => host::resume_request(),
            None => {}
        }
    }
}
