//! A worker of the filter, whose keys come when the script says so.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use attach_core::authn::replay::{Consumed, OneUseStore};
use attach_core::authn::verdict::OneUse;
use attach_core::clock::UnixMillis;
use attach_core::crypto::NoHost;
use attach_core::keys::KeySet;
use attach_core::keys::cache::JwksCache;
use attach_core::keys::turn::{Record, Turn};
use attach_core::meter::UsageRecord;
use attach_core::mirror::pool::Pool;
use attach_core::outbox::Outbox;
use attach_core::policy::Policy;
use attach_core::quota::book::{Answered, Book, Operation};
use attach_core::quota::bucket::SharedWindows;
use attach_core::quota::entry::Entry;
use attach_core::quota::{Key, Window, home, wire};
use attach_core::stamp::assertion::AssertionCache;
use attach_core::stream::memo::Tokens;
use attach_core::stream::stop::Replies;
use attach_core::stream::{Effect, Env, Flow, Input, Machine, Output};

use super::super::world;

type Entries = HashMap<Key, (Window, Entry)>;

/// Accounts that all workers share; never is more granted than there is.
#[derive(Default)]
struct Windows(RefCell<Entries>);

impl SharedWindows for Windows {
    fn update(&self, key: Key, window: Window, now: u64, change: &mut dyn FnMut(&mut Entry)) -> bool {
        let mut entries = self.0.borrow_mut();
        let entry = &mut entries.entry(key).or_insert((window, Entry::default())).1;
        let before = entry.held(now);
        change(entry);
        let (used, held) = (entry.used(window, now), entry.held(now));
        assert!(held <= before || used + held <= world::LIMIT, "{used} used and {held} leased");
        true
    }
}

/// What was used, without an end.
#[derive(Default)]
struct Used(RefCell<HashSet<[u8; 32]>>);

impl OneUseStore for Used {
    fn consume(&self, one: &OneUse, now_seconds: u64) -> Consumed {
        assert!(one.until > now_seconds, "what could still be used would be forgotten at once");
        if self.0.borrow_mut().insert(one.key) { Consumed::Fresh } else { Consumed::Used }
    }
}

pub(super) struct Worker {
    pub(super) rules: Rc<Rules>,
    keys: Vec<JwksCache>,
    tokens: Tokens,
    assertions: AssertionCache,
    used: Used,
    book: Book,
    windows: Windows,
    /// The accounts at control.
    control: Entries,
    outbox: Outbox<UsageRecord>,
    calls: u64,
    pool: Pool,
    ids: Cell<u64>,
    /// What control was asked on behalf of the stream.
    asked: VecDeque<Operation>,
    pub(super) now: UnixMillis,
    /// How often a token of rotagent's was let through, by the token.
    pub(super) let_through: Vec<Vec<u8>>,
}

/// What a configuration comes to; compiled once, since a fuzzer asks for it a thousand times a second.
pub(super) struct Rules {
    pub(super) policy: Policy,
    replies: Replies,
}

/// The words of the configuration that change it.
const WORDS: [&str; 10] =
    ["shadow", "control", "models", "scopes", "development", "limits", "day", "strict", "memory", "ack"];

thread_local! {
    static RULES: RefCell<HashMap<Vec<&'static str>, Rc<Rules>>> = RefCell::default();
    static KEYS: Vec<KeySet> = (0..world::SOURCES).map(world::published).collect();
}

impl Rules {
    fn of(words: &[&str]) -> Rc<Self> {
        let words: Vec<_> = WORDS.into_iter().filter(|word| words.contains(word)).collect();
        RULES.with_borrow_mut(|all| {
            let rules = all.entry(words).or_insert_with_key(|words| {
                let policy = world::policy(words);
                assert_eq!(policy.sources.len(), world::SOURCES);
                Rc::new(Self { replies: Replies::new(&policy), policy })
            });
            Rc::clone(rules)
        })
    }
}

impl Worker {
    pub(super) fn new(words: &[&str]) -> Self {
        let rules = Rules::of(words);
        let keys = rules.policy.sources.iter().map(|source| JwksCache::new(source.schedule)).collect();
        let mut worker = Self {
            rules,
            keys,
            tokens: Tokens::default(),
            assertions: AssertionCache::default(),
            used: Used::default(),
            book: Book::new("fuzz-1", words.contains(&"strict")),
            windows: Windows::default(),
            control: Entries::new(),
            outbox: Outbox::new(1),
            calls: 0,
            pool: Pool::default(),
            ids: Cell::new(0),
            asked: VecDeque::new(),
            now: UnixMillis(world::NOW * 1000),
            let_through: Vec::new(),
        };
        if !words.contains(&"cold") {
            (0..world::SOURCES).for_each(|source| worker.keys_arrive(source));
        }
        worker
    }

    pub(super) fn keys_arrive(&mut self, source: usize) {
        let Some(cache) = self.keys.get_mut(source) else { return };
        let record = Record { generation: 1, attempted_at: self.now, fetched_at: self.now, ..cache.record() };
        KEYS.with(|keys| cache.adopt(record, keys[source].clone()));
    }

    pub(super) fn fetch_fails(&mut self, source: usize) {
        let Some(cache) = self.keys.get_mut(source) else { return };
        if let Turn::Lead(record) = cache.turn(self.now) {
            let _ = cache.observe(record.failed());
        }
    }

    pub(super) fn step(&mut self, machine: &mut Machine, body: &[u8], input: Input<'_>) -> (Flow, Vec<Done>) {
        self.with(body, |env, out| machine.step(env, input, out))
    }

    pub(super) fn close(&mut self, machine: &mut Machine) -> Vec<Done> {
        let (_, done) = self.with(&[], |env, out| {
            machine.close(env, out);
            Flow::Continue
        });
        done
    }

    /// Memory has what the stream has told it, or has not.
    pub(super) fn remembered(&mut self, machine: &mut Machine, kept: bool) -> (Flow, Vec<Done>) {
        self.with(&[], |env, out| {
            machine.remembered(env, kept, out);
            Flow::Continue
        })
    }

    /// Control answers what the stream has asked it first, or does not.
    pub(super) fn ledger(&mut self, machine: &mut Machine, body: &[u8], arrives: bool) -> (Flow, Vec<Done>) {
        let Some(operation) = self.asked.pop_front() else { return (Flow::Pause, Vec::new()) };
        let answered = match arrives {
            true => self.control_answers(&operation),
            false => match self.book.failed(operation.id, self.now) {
                Answered::Done => Answered::Unavailable,
                other => other,
            },
        };
        self.with(body, |env, out| machine.ledger_answered(env, answered, out))
    }

    fn control_answers(&mut self, operation: &Operation) -> Answered {
        let request = wire::Request::parse(&operation.body).unwrap();
        let now = self.now.seconds();
        let mut entries: Vec<Entry> = request
            .accounts
            .iter()
            .map(|account| self.control.get(&account.key).map(|(_, entry)| entry.clone()).unwrap_or_default())
            .collect();
        let answer = home::apply(&mut entries, &request.accounts, request.worker_number(), now);
        for (account, entry) in request.accounts.iter().zip(entries) {
            let (used, held) = (entry.used(account.window, now), entry.held(now));
            assert!(
                matches!(answer, wire::Answer::Refused { .. })
                    || account.need == 0
                    || used + held <= account.tokens
            );
            self.control.insert(account.key, (account.window, entry));
        }
        self.book.answered(operation.id, &answer, self.now)
    }

    /// The root's tick.
    pub(super) fn look_after_limits(&mut self) {
        for operation in self.book.tick(self.now, &self.windows) {
            let answered = self.control_answers(&operation);
            assert!(!matches!(answered, Answered::Granted(_)), "nobody waits for it");
        }
    }

    /// Whether nothing is held, asked or promised when all streams are over and all is quiet.
    ///
    /// # Errors
    /// What is.
    pub(super) fn is_quiet(&mut self, machine: &mut Machine) -> Result<(), String> {
        while !self.asked.is_empty() {
            let (_, done) = self.ledger(machine, &[], true);
            if !done.is_empty() {
                return Err(format!("a stream that is over does {done:?}"));
            }
        }
        if self.book.holds() != 0 {
            return Err(format!("{} holds of streams that are over", self.book.holds()));
        }
        if self.pool.taken() != 0 {
            return Err(format!("{} bytes are kept of streams that are over", self.pool.taken()));
        }
        if self.outbox.bytes() != 0 {
            return Err("room is promised to a stream that is over".to_owned());
        }
        Ok(())
    }

    /// Whether all leases have gone back.
    ///
    /// # Errors
    /// What has not.
    pub(super) fn is_given_back(&mut self) -> Result<(), String> {
        for _ in 0..6 {
            self.now = self.now.after(Duration::from_millis(1500));
            self.look_after_limits();
        }
        let now = self.now.seconds();
        let shared = self.windows.0.borrow();
        let held: u64 = shared.values().chain(self.control.values()).map(|(_, entry)| entry.held(now)).sum();
        if held != 0 || self.book.unanswered() != 0 {
            return Err(format!(
                "{held} tokens are leased and {} questions open for ever",
                self.book.unanswered()
            ));
        }
        Ok(())
    }

    fn with(
        &mut self,
        body: &[u8],
        act: impl FnOnce(&mut Env<'_>, &mut Effects) -> Flow,
    ) -> (Flow, Vec<Done>) {
        let mut out = Effects(Vec::new(), Vec::new());
        let mut env = Env {
            policy: &self.rules.policy,
            replies: &self.rules.replies,
            keys: &mut self.keys,
            tokens: &mut self.tokens,
            assertions: &mut self.assertions,
            host: &NoHost,
            once: &self.used,
            body: &|start, size| body.iter().skip(start).take(size).copied().collect(),
            now: self.now,
            quota: &mut self.book,
            windows: &self.windows,
            room: &|bytes| self.outbox.admit(bytes),
            record_id: &|| {
                self.ids.set(self.ids.get() + 1);
                self.ids.get().to_string()
            },
            pool: &self.pool,
            refuses_stream_options: false,
            caller: None,
            calls: &mut self.calls,
            clock: &|| UnixMillis(0),
        };
        let flow = act(&mut env, &mut out);
        self.asked.extend(out.1);
        (flow, out.0)
    }
}

/// An effect, as far as the rules speak of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Done {
    Set(String, Vec<u8>),
    Removed(String),
    Answered,
    Asked {
        is_once: bool,
        timeout: Duration,
    },
    Counted,
    /// A record of so many tokens.
    Finished(u64),
    Replied(u16),
    Resumed,
    /// Memory was told of a call.
    Remembered,
    Other,
}

struct Effects(Vec<Done>, Vec<Operation>);

impl Output for Effects {
    fn effect(&mut self, effect: Effect<'_>) {
        self.0.push(match effect {
            Effect::SetRequestHeader(name, value) => Done::Set(name.to_owned(), value.to_vec()),
            Effect::RemoveRequestHeader(name) | Effect::RemoveRequestTrailer(name) => {
                Done::Removed(name.to_owned())
            }
            Effect::SetResponseHeader(..) => Done::Answered,
            Effect::Ask(question) => Done::Asked {
                is_once: &*question.target.path == "/internal/replay",
                timeout: question.timeout,
            },
            Effect::CountWouldDeny(_) => Done::Counted,
            Effect::CountAllowed | Effect::CountDenied(_) => return,
            Effect::AskLedger(operation) => {
                self.1.push(operation);
                return;
            }
            Effect::Finished(finished) => Done::Finished(finished.record.input + finished.record.output),
            Effect::Remember(_) => Done::Remembered,
            Effect::Reply(reply) => Done::Replied(reply.status),
            Effect::Resume => Done::Resumed,
            _ => Done::Other,
        });
    }
}
