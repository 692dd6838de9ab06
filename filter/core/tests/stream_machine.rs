//! The stream machine as its host sees it: cases for what must happen. What must not is `stream_rules.rs`'s.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)] // A test.

use std::time::Duration;

use attach_core::authn::replay::{Consumed, OneUseStore};
use attach_core::authn::verdict::OneUse;
use attach_core::clock::UnixMillis;
use attach_core::config::compile::compile;
use attach_core::crypto::{NoHost, to_base64url};
use attach_core::keys::KeySet;
use attach_core::keys::cache::JwksCache;
use attach_core::keys::turn::{Record, Turn};
use attach_core::mirror::pool::Pool;
use attach_core::policy::Policy;
use attach_core::quota::book::Book;
use attach_core::quota::bucket::SharedWindows;
use attach_core::quota::entry::Entry;
use attach_core::quota::{Key, Window};
use attach_core::stamp::assertion::AssertionCache;
use attach_core::stream::memo::Tokens;
use attach_core::stream::stop::Replies;
use attach_core::stream::{Effect, Env, Flow, Input, Machine, Output};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::json;

struct NoWindows;

impl SharedWindows for NoWindows {
    fn update(&self, _: Key, _: Window, _: u64, _: &mut dyn FnMut(&mut Entry)) -> bool {
        false
    }
}

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// What came out, in words.
#[derive(Default)]
struct Recorder(Vec<String>);

impl Output for Recorder {
    fn effect(&mut self, effect: Effect<'_>) {
        self.0.push(match effect {
            Effect::CountAllowed | Effect::CountDenied(_) => return,
            Effect::SetRequestHeader(name, value) => {
                format!("set {name}: {}", String::from_utf8_lossy(value))
            }
            Effect::RemoveRequestHeader(name) => format!("remove {name}"),
            Effect::RemoveRequestTrailer(name) => format!("remove trailer {name}"),
            Effect::SetResponseHeader(name, value) => {
                format!("answer with {name}: {}", String::from_utf8_lossy(value))
            }
            Effect::Reply(reply) => format!("reply {}", reply.status),
            Effect::Resume => "resume".to_owned(),
            Effect::Ask(question) => format!("ask {}", question.target.path),
            Effect::CountWouldDeny(reason) => format!("count {reason}"),
            other => format!("{other:?}"),
        });
    }
}

/// A worker with one issuer, whose only key is `key`.
struct Worker {
    policy: Policy,
    replies: Replies,
    keys: Vec<JwksCache>,
    tokens: Tokens,
    assertions: AssertionCache,
    once: Used,
    body: Vec<u8>,
    now: UnixMillis,
}

/// What was used once, without an end.
#[derive(Default)]
struct Used(std::cell::RefCell<std::collections::HashSet<[u8; 32]>>);

impl OneUseStore for Used {
    fn consume(&self, one: &OneUse, _: u64) -> Consumed {
        if self.0.borrow_mut().insert(one.key) { Consumed::Fresh } else { Consumed::Used }
    }
}

fn signing_key() -> SigningKey {
    SigningKey::from_slice(&[7; 32]).unwrap()
}

fn key_set() -> KeySet {
    let point = signing_key().verifying_key().to_encoded_point(false);
    let jwks = json!({"keys": [{
        "kty": "EC", "crv": "P-256", "kid": "k",
        "x": to_base64url(point.x().unwrap()), "y": to_base64url(point.y().unwrap())
    }]});
    KeySet::parse(jwks.to_string().as_bytes()).unwrap()
}

fn token(key_id: &str, subject: &str, expires_in: u64) -> String {
    let header = json!({"alg": "ES256", "kid": key_id});
    let claims = json!({
        "iss": "https://idp.example", "aud": "attach", "sub": subject, "exp": NOW.seconds() + expires_in
    });
    let input = format!(
        "{}.{}",
        to_base64url(header.to_string().as_bytes()),
        to_base64url(claims.to_string().as_bytes())
    );
    let signature: Signature = signing_key().sign(input.as_bytes());
    format!("{input}.{}", to_base64url(&signature.to_bytes()))
}

impl Worker {
    fn without_keys() -> Self {
        let document = json!({
            "version": 1, "public_url": "http://localhost:8080",
            "issuers": [{"issuer": "https://idp.example/", "audiences": ["attach"],
                "jwks": {"keys": {"cluster": "idp", "scheme": "https", "authority": "idp.example", "path": "/jwks"}}}],
            "routes": [{"path": "/forwarding/**", "forward_credential": true}],
            "engine": {"api_key_env": "KEY"},
            "control": {"secret_env": "SECRET"}
        });
        let policy = compile(document.to_string().as_bytes(), &|name| {
            Some(if name == "KEY" { "sk-engine" } else { SECRET }.to_owned())
        })
        .unwrap();
        let keys = policy.sources.iter().map(|source| JwksCache::new(source.schedule)).collect();
        Self {
            replies: Replies::new(&policy),
            policy,
            keys,
            tokens: Tokens::default(),
            assertions: AssertionCache::default(),
            once: Used::default(),
            body: Vec::new(),
            now: NOW,
        }
    }

    fn with_keys() -> Self {
        let mut worker = Self::without_keys();
        worker.keys_arrive();
        worker
    }

    fn record(&self) -> Record {
        self.keys[0].record()
    }

    fn keys_arrive(&mut self) {
        let Turn::Lead(record) = Record::default().turn(self.now, false, &self.policy.sources[0].schedule)
        else {
            panic!("a first fetch is always due")
        };
        let record = Record { generation: self.record().generation, ..record }.fetched(self.now);
        self.keys[0].adopt(record, key_set());
    }

    fn fetch_fails(&mut self) {
        let Turn::Lead(record) = self.keys[0].turn(self.now) else { panic!("no fetch is due") };
        assert!(!self.keys[0].observe(record.failed()));
    }

    fn step(&mut self, machine: &mut Machine, input: Input<'_>) -> (Flow, Vec<String>) {
        let mut out = Recorder::default();
        let mut env = Env {
            policy: &self.policy,
            replies: &self.replies,
            keys: &mut self.keys,
            tokens: &mut self.tokens,
            assertions: &mut self.assertions,
            host: &NoHost,
            once: &self.once,
            body: &|start, size| {
                let body = &self.body;
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
        let flow = machine.step(&mut env, input, &mut out);
        (flow, out.0)
    }
}

fn request(path: &str, headers: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    [(":method", "GET"), (":path", path)]
        .iter()
        .chain(headers)
        .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
        .collect()
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[test]
fn a_verified_request_to_the_engine_is_stripped_stamped_and_given_the_engines_key() {
    let mut worker = Worker::with_keys();
    let mut machine = Machine::default();
    let token = bearer(&token("k", "alice", 60));
    let headers = request(
        "/api/chat",
        &[("authorization", &token), ("x_attach_user", "mallory"), ("user-agent", "ua")],
    );
    let (flow, effects) = worker.step(&mut machine, Input::RequestHeaders(&headers, true));
    assert_eq!(flow, Flow::Continue);
    // printf 'alice:ua' | sha256sum
    let session = "4f7022bfa2f5b8167f35c703f375dcf5b9a7f16760c60ae828e6761b667e624e";
    assert_eq!(effects[0], "remove x_attach_user");
    assert_eq!(effects[1], "set x-attach-user: alice");
    assert_eq!(effects[2], format!("set x-attach-session: {session}"));
    assert_eq!(effects[3], "set x-attach-credential: oidc");
    assert_eq!(effects[4], "set authorization: Bearer sk-engine");
    assert_eq!(effects.len(), 5);
    let (_, effects) = worker.step(&mut machine, Input::ResponseHeaders(&[], true));
    assert_eq!(effects[0], "answer with x-attach-user: alice");
    assert_eq!(effects[1], format!("answer with x-attach-session: {}", &session[..16]));
}

#[test]
fn controls_secret_goes_to_control_and_nowhere_else() {
    let mut worker = Worker::with_keys();
    let token = bearer(&token("k", "alice", 60));
    for (path, expected) in [
        ("/mem/events", true),
        ("/auth/config", true),
        ("/api/chat", false),
        ("/forwarding/x", false),
        ("/mem", true),
        ("/memx", false),
    ] {
        let headers = request(path, &[("authorization", &token)]);
        let (_, effects) = worker.step(&mut Machine::default(), Input::RequestHeaders(&headers, true));
        let given = effects.iter().any(|effect| effect.contains(SECRET));
        assert_eq!(given, expected, "{path}: {effects:?}");
    }
}

#[test]
fn the_callers_credential_travels_on_where_the_route_says_so_alone() {
    let mut worker = Worker::with_keys();
    let token = bearer(&token("k", "alice", 60));
    let headers = request("/forwarding/x", &[("authorization", &token)]);
    let (_, effects) = worker.step(&mut Machine::default(), Input::RequestHeaders(&headers, true));
    assert!(!effects.iter().any(|effect| effect.contains("authorization")), "{effects:?}");
    let headers = request("/mem/events", &[("authorization", &token)]);
    let (_, effects) = worker.step(&mut Machine::default(), Input::RequestHeaders(&headers, true));
    assert!(effects.contains(&"remove authorization".to_owned()), "{effects:?}");
}

#[test]
fn a_refused_request_is_answered_once_and_never_forwarded() {
    let mut worker = Worker::with_keys();
    let mut machine = Machine::default();
    let headers = request("/api/chat", &[]);
    let (flow, effects) = worker.step(&mut machine, Input::RequestHeaders(&headers, true));
    assert_eq!(flow, Flow::Pause);
    assert_eq!(effects, ["set x-attach-denied: credential_missing", "reply 401"]);
    assert_eq!(worker.step(&mut machine, Input::ResponseHeaders(&[], true)), (Flow::Continue, vec![]));
    assert_eq!(worker.step(&mut machine, Input::Tick), (Flow::Continue, vec![]));
}

#[test]
fn a_request_waits_for_keys_and_goes_on_when_they_come() {
    let mut worker = Worker::without_keys();
    let mut machine = Machine::default();
    let token = bearer(&token("k", "alice", 60));
    let headers = request("/api/chat", &[("authorization", &token)]);
    assert_eq!(worker.step(&mut machine, Input::RequestHeaders(&headers, true)), (Flow::Pause, vec![]));
    assert!(machine.is_waiting());
    assert_eq!(worker.step(&mut machine, Input::Tick), (Flow::Pause, vec![]));
    worker.keys_arrive();
    let (flow, effects) = worker.step(&mut machine, Input::Tick);
    assert_eq!((flow, effects.last().map(String::as_str)), (Flow::Continue, Some("resume")));
    assert!(!machine.is_waiting());
}

#[test]
fn a_request_waits_two_seconds_and_no_longer() {
    let mut worker = Worker::without_keys();
    let mut machine = Machine::default();
    let token = bearer(&token("k", "alice", 60));
    let headers = request("/api/chat", &[("authorization", &token)]);
    worker.step(&mut machine, Input::RequestHeaders(&headers, true));
    worker.now = NOW.after(Duration::from_millis(1999));
    assert_eq!(worker.step(&mut machine, Input::Tick).0, Flow::Pause);
    worker.now = NOW.after(Duration::from_millis(2000));
    let (_, effects) = worker.step(&mut machine, Input::Tick);
    assert_eq!(effects, ["set x-attach-denied: keys_unavailable", "reply 503"]);
}

#[test]
fn when_the_one_fetch_has_failed_nobody_waits_for_the_next() {
    let mut worker = Worker::without_keys();
    let mut machine = Machine::default();
    let token = bearer(&token("k", "alice", 60));
    let headers = request("/api/chat", &[("authorization", &token)]);
    worker.step(&mut machine, Input::RequestHeaders(&headers, true));
    worker.fetch_fails();
    let (_, effects) = worker.step(&mut machine, Input::Tick);
    assert_eq!(effects.last().unwrap(), "reply 503");
}

#[test]
fn an_unknown_key_is_waited_for_only_where_a_fetch_may_bring_it() {
    let mut worker = Worker::with_keys();
    let token = bearer(&token("other", "alice", 60));
    let headers = request("/api/chat", &[("authorization", &token)]);
    // The set was fetched just now: another fetch may not be made.
    let (_, effects) = worker.step(&mut Machine::default(), Input::RequestHeaders(&headers, true));
    assert_eq!(effects, ["set x-attach-denied: key_unknown", "reply 401"]);
    worker.now = NOW.after(Duration::from_secs(11));
    let mut machine = Machine::default();
    assert_eq!(worker.step(&mut machine, Input::RequestHeaders(&headers, true)), (Flow::Pause, vec![]));
    worker.keys_arrive();
    let (_, effects) = worker.step(&mut machine, Input::Tick);
    assert_eq!(effects, ["set x-attach-denied: key_unknown", "reply 401"]);
}

#[test]
fn health_is_whether_anyone_can_be_verified() {
    for (mut worker, status) in [(Worker::with_keys(), "reply 200"), (Worker::without_keys(), "reply 503")] {
        let headers = request("/healthz", &[]);
        let (flow, effects) = worker.step(&mut Machine::default(), Input::RequestHeaders(&headers, true));
        assert_eq!((flow, effects.last().map(String::as_str)), (Flow::Pause, Some(status)));
    }
}

#[test]
fn no_state_shows_a_token() {
    let mut worker = Worker::without_keys();
    let mut machine = Machine::default();
    let token = token("k", "alice", 60);
    let headers = request("/api/chat", &[("authorization", &bearer(&token))]);
    worker.step(&mut machine, Input::RequestHeaders(&headers, true));
    assert!(machine.is_waiting());
    assert!(!format!("{machine:?}").contains(&token[..20]));
}
