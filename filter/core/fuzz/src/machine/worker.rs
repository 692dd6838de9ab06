//! A worker of the filter, whose keys come when the script says so.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use attach_core::authn::replay::{Consumed, OneUseStore};
use attach_core::authn::verdict::OneUse;
use attach_core::clock::UnixMillis;
use attach_core::crypto::NoHost;
use attach_core::keys::KeySet;
use attach_core::keys::cache::JwksCache;
use attach_core::keys::turn::{Record, Turn};
use attach_core::policy::Policy;
use attach_core::quota::book::Book;
use attach_core::quota::bucket::SharedWindows;
use attach_core::quota::entry::Entry;
use attach_core::quota::{Key, Window};
use attach_core::stamp::assertion::AssertionCache;
use attach_core::stream::memo::Tokens;
use attach_core::stream::stop::Replies;
use attach_core::stream::{Effect, Env, Flow, Input, Machine, Output};

use super::super::world;

struct NoWindows;

impl SharedWindows for NoWindows {
    fn update(&self, _: Key, _: Window, _: u64, _: &mut dyn FnMut(&mut Entry)) -> bool {
        false
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
const WORDS: [&str; 5] = ["shadow", "control", "models", "scopes", "development"];

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

    pub(super) fn close(&mut self, machine: &mut Machine) {
        let _ = self.with(&[], |env, out| {
            machine.close(env, out);
            Flow::Continue
        });
    }

    fn with(
        &mut self,
        body: &[u8],
        act: impl FnOnce(&mut Env<'_>, &mut Effects) -> Flow,
    ) -> (Flow, Vec<Done>) {
        let mut out = Effects(Vec::new());
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
            quota: &mut Book::new("test", false),
            windows: &NoWindows,
            room: &|_| None,
            refuses_stream_options: false,
            caller: None,
            calls: &mut 0,
            clock: &|| UnixMillis(0),
        };
        let flow = act(&mut env, &mut out);
        (flow, out.0)
    }
}

/// An effect, as far as the rules speak of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Done {
    Set(String, Vec<u8>),
    Removed(String),
    Answered,
    Asked { is_once: bool, timeout: Duration },
    Counted,
    Replied(u16),
    Resumed,
    Other,
}

struct Effects(Vec<Done>);

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
            Effect::Reply(reply) => Done::Replied(reply.status),
            Effect::Resume => Done::Resumed,
            _ => Done::Other,
        });
    }
}
