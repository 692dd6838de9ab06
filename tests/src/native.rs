//! The filter's logic without Envoy: what `attach-core` makes of a request.

use std::cell::RefCell;
use std::collections::HashMap;

use attach_core::authn::replay::{self, Bucket, Consumed, OneUseStore};
use attach_core::authn::verdict::OneUse;
use attach_core::clock::UnixMillis;
use attach_core::config::compile::compile;
use attach_core::crypto::NoHost;
use attach_core::keys::KeySet;
use attach_core::keys::cache::JwksCache;
use attach_core::keys::turn::Record;
use attach_core::mirror::pool::Pool;
use attach_core::policy::Policy;
use attach_core::quota::book::Book;
use attach_core::quota::bucket::SharedWindows;
use attach_core::quota::entry::Entry;
use attach_core::quota::{Key, Window};
use attach_core::stamp;
use attach_core::stamp::assertion::AssertionCache;
use attach_core::stream::memo::Tokens;
use attach_core::stream::stop::Replies;
use attach_core::stream::{Effect, Env, Input, Machine, Output};
use serde_json::{Value, json};

use crate::cases::{AUTHORITY, Verdict, World};
use crate::mint::encode;
use crate::sent::Sent;

struct NoWindows;

impl SharedWindows for NoWindows {
    fn update(&self, _: Key, _: Window, _: u64, _: &mut dyn FnMut(&mut Entry)) -> bool {
        false
    }
}

/// A worker of the filter that has all keys there are and will get no others.
pub struct Native {
    policy: Policy,
    replies: Replies,
    keys: Vec<JwksCache>,
    tokens: Tokens,
    assertions: AssertionCache,
    once: Once,
    now: UnixMillis,
}

/// The table that the workers of an Envoy share, without Envoy.
#[derive(Default)]
struct Once(RefCell<HashMap<usize, Vec<u8>>>);

impl OneUseStore for Once {
    fn consume(&self, one: &OneUse, now_seconds: u64) -> Consumed {
        let mut buckets = self.0.borrow_mut();
        let bucket = buckets.entry(replay::bucket_of(one, &[7; 32])).or_default();
        match replay::add(bucket, one, now_seconds) {
            Bucket::Write(bytes) => {
                *bucket = bytes;
                Consumed::Fresh
            }
            Bucket::Used => Consumed::Used,
            Bucket::Full => Consumed::Unknown,
        }
    }
}

impl Native {
    /// With everybody of a world, at a time in seconds.
    ///
    /// # Panics
    /// When the configuration or the keys are refused.
    #[must_use]
    pub fn new(world: &World, now: u64) -> Self {
        Self::with(world, now, |document| document)
    }

    /// With a changed document.
    ///
    /// # Panics
    /// When the configuration or the keys are refused.
    #[must_use]
    pub fn with(world: &World, now: u64, change: impl FnOnce(Value) -> Value) -> Self {
        let document = change(document(world));
        let policy = compile(document.to_string().as_bytes(), &|name| secret(world, name))
            .unwrap_or_else(|errors| panic!("{errors:?}"));
        let now = UnixMillis(now * 1000);
        let record = Record { generation: 1, attempted_at: now, fetched_at: now, ..Record::default() };
        let keys = policy.sources.iter().map(|source| {
            let text = json!({ "keys": published(world, &source.keys.path) }).to_string();
            let set = if source.is_internal { KeySet::parse_own } else { KeySet::parse };
            let mut cache = JwksCache::new(source.schedule);
            cache.adopt(record, set(text.as_bytes()).expect("a good set"));
            cache
        });
        Self {
            keys: keys.collect(),
            replies: Replies::new(&policy),
            policy,
            tokens: Tokens::default(),
            assertions: AssertionCache::default(),
            once: Once::default(),
            now,
        }
    }

    /// Lets time pass, or come back.
    pub fn at(&mut self, seconds: u64) {
        self.now = UnixMillis(seconds * 1000);
    }

    /// What becomes of a request.
    ///
    /// # Panics
    /// When nothing does.
    pub fn judge(&mut self, sent: &Sent) -> Verdict {
        self.answer(sent).0
    }

    /// What becomes of a request, and what its sender is told where it is refused.
    ///
    /// # Panics
    /// When nothing becomes of it.
    pub fn answer(&mut self, sent: &Sent) -> (Verdict, Option<Value>) {
        let headers = sent.pairs();
        let body = sent.body.clone().unwrap_or_default();
        let mut env = Env {
            policy: &self.policy,
            replies: &self.replies,
            keys: &mut self.keys,
            tokens: &mut self.tokens,
            assertions: &mut self.assertions,
            host: &NoHost,
            once: &self.once,
            body: &|start, size| {
                let body = &body;
                body.iter().skip(start).take(size).copied().collect()
            },
            now: self.now,
            quota: &mut Book::new("test", false),
            windows: &NoWindows,
            room: &|_| None,
            record_id: &String::new,
            pool: &Pool::default(),
            refuses_stream_options: false,
            caller: None,
            calls: &mut 0,
            clock: &|| UnixMillis(0),
        };
        let mut machine = Machine::default();
        let mut noted = Noted::default();
        machine.step(&mut env, Input::RequestHeaders(&headers, sent.body.is_none()), &mut noted);
        if !noted.is_decided() && sent.body.is_some() {
            // Envoy shows the end as a call of its own.
            machine.step(&mut env, Input::RequestBody(body.len(), false), &mut noted);
            if !noted.is_decided() {
                machine.step(&mut env, Input::RequestBody(body.len(), true), &mut noted);
            }
        }
        noted.verdict()
    }
}

#[derive(Default)]
struct Noted {
    user: Option<String>,
    agent: Option<String>,
    reason: Option<String>,
    reply: Option<(u16, Value)>,
    is_allowed: bool,
}

impl Noted {
    fn is_decided(&self) -> bool {
        self.is_allowed || self.reply.is_some()
    }

    fn verdict(self) -> (Verdict, Option<Value>) {
        // Who is refused is named all the same, for the log.
        match (self.user.filter(|_| self.is_allowed), self.reply) {
            (Some(user), None) => (Verdict::User { user, agent: self.agent }, None),
            (None, Some((status, body))) => {
                let reason = self.reason.unwrap_or_default();
                (Verdict::Reason { reason, status }, Some(body))
            }
            other => panic!("no verdict, or two: {other:?}"),
        }
    }
}

impl Output for Noted {
    fn effect(&mut self, effect: Effect<'_>) {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        match effect {
            Effect::SetRequestHeader(stamp::USER, user) => self.user = Some(text(user)),
            Effect::SetRequestHeader(stamp::AGENT, agent) => self.agent = Some(text(agent)),
            Effect::SetRequestHeader(stamp::DENIED, reason) => self.reason = Some(text(reason)),
            Effect::CountAllowed => self.is_allowed = true,
            Effect::Reply(reply) => {
                let body = serde_json::from_slice(reply.body.as_bytes()).unwrap_or_default();
                self.reply = Some((reply.status, body));
            }
            _ => {}
        }
    }
}

/// What is published at an address of [`document`].
fn published(world: &World, path: &str) -> Vec<Value> {
    match path {
        "/first" => world.first_keys(),
        "/second" => world.second_keys(),
        "/bot" => world.signers[0].jwks(),
        "/crawler" => world.signers[1].jwks(),
        "/planners" => world.orchestrators.iter().map(crate::mint::Key::jwk).collect(),
        "/gateway" => vec![world.gateway.jwk()],
        other => panic!("nothing is published at {other}"),
    }
}

fn secret(world: &World, name: &str) -> Option<String> {
    Some(match name {
        "HMAC" => world.hmac_keys().join("\n"),
        "ASSERTION" => encode([8; 32]),
        _ => "0f".repeat(32),
    })
}

fn document(world: &World) -> Value {
    let target = |path: &str| json!({"cluster": "c", "scheme": "http", "authority": "idp", "path": path});
    let keys = |path: &str| json!({ "keys": target(path) });
    let own = |path: &str| json!({ "keys": target(path), "internal": true });
    let audiences = [world.audience()];
    let issuer = |issuer: &str, prefix: &str, path: &str| json!({"issuer": issuer, "audiences": audiences, "user_prefix": prefix, "jwks": keys(path)});
    let directory = |place: usize, path: &str| {
        let signer = &world.signers[place];
        json!({"name": signer.name, "agent": signer.agent, "jwks": keys(path)})
    };
    json!({
        "version": 1,
        "public_url": world.public_url(),
        "issuers": [
            issuer(&world.first.issuer, "", "/first"),
            issuer(&world.second.issuer, crate::cases::PREFIX, "/second"),
        ],
        "did": {"allow": world.did_allow(), "audiences": audiences},
        "rotagent": {"audiences": audiences, "user_prefix": "key:", "jwks": own("/planners")},
        "hmac": {"audiences": audiences, "user_prefix": "hmac:", "keys_env": "HMAC"},
        "httpsig": {
            "authorities": [AUTHORITY],
            "directories": [directory(0, "/bot"), directory(1, "/crawler")],
            "user_prefix": "sig:",
            "components": ["@method", "@authority", "@path", "content-digest"],
        },
        "gateway_tokens": {"jwks": own("/gateway")},
        "assertion": {"key_env": "ASSERTION"},
        "control": {"secret_env": "SECRET"},
    })
}
