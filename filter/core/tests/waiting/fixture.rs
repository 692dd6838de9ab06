//! A worker of the filter with everybody's keys, whose clock and table of uses a test can turn.

use std::cell::RefCell;
use std::collections::HashMap;

use attach_core::authn::replay::{self, Bucket, Consumed, OneUseStore};
use attach_core::authn::verdict::OneUse;
use attach_core::clock::UnixMillis;
use attach_core::config::compile::{ConfigError, compile};
use attach_core::crypto::{NoHost, hex, sha256, to_base64url, to_hex};
use attach_core::keys::KeySet;
use attach_core::keys::cache::JwksCache;
use attach_core::keys::turn::Record;
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
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, Pkcs1v15Sign, RsaPrivateKey};
use serde_json::{Value, json};

struct NoWindows;

impl SharedWindows for NoWindows {
    fn update(&self, _: Key, _: Window, _: u64, _: &mut dyn FnMut(&mut Entry)) -> bool {
        false
    }
}

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// An Ed25519 seed, in base64url.
const SEED: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const P: &str = "cf2e059990ed16686bb09a3cca237aac2e10f3e25a26d9a5300b55e914e2c839bf49fbed7fb7e115089ed529a7fd7da38106216042abfa5cc069ffbdc80a96bee2061713d58186ee5227f77d54b98613b46578e9bd98c80851321f2117fb402721759d55877d7e9ecfaf7ebaa3a3a2db6b43bae48f2a75fe926f41a2f384249d";
const Q: &str = "c2589b6c9a5a4943ee1a66417e77afbc0bcc7df3c9f8dcf143377164e36e789da4d13b04dcd26494d9ed9a94a44dbee736e487ee245ba9fb47d6fbe4122467cc43131a52bfb75483da8a1ee8a77779050b331ed29a7b63bf2fe113b8230fb07fcabc141404820cb136303325f4bd0d473d22e7fb71d8b368f3411907d653d0db";

/// Everybody's key: the issuer's, rotagent's, the exchange's.
fn key() -> RsaPrivateKey {
    let number = |text: &str| BigUint::from_bytes_be(&hex(text).unwrap());
    RsaPrivateKey::from_p_q(number(P), number(Q), BigUint::from(65537_u32)).unwrap()
}

fn key_set(id: &str) -> KeySet {
    let key = key();
    let set = json!({"keys": [{"kty": "RSA", "alg": "RS256", "kid": id,
        "n": to_base64url(&key.n().to_bytes_be()), "e": to_base64url(&key.e().to_bytes_be())}]});
    KeySet::parse(set.to_string().as_bytes()).unwrap()
}

pub(crate) fn token(id: &str, claims: &Value) -> String {
    let header = json!({"alg": "RS256", "kid": id});
    let input = format!(
        "{}.{}",
        to_base64url(header.to_string().as_bytes()),
        to_base64url(claims.to_string().as_bytes())
    );
    let padding = Pkcs1v15Sign::new::<sha2::Sha256>();
    let signature = key().sign(padding, &sha256(&[input.as_bytes()])).unwrap();
    format!("{input}.{}", to_base64url(&signature))
}

pub(crate) fn oidc(issuer: &str, more: &Value) -> String {
    let mut claims = json!({"iss": issuer, "aud": "attach", "sub": "alice", "exp": NOW + 600});
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    token("idp", &claims)
}

pub(crate) fn rotagent(id: &str, body: &[u8]) -> String {
    token(
        "whatever",
        &json!({"iss": "orchestrator", "iat": NOW as f64 + 0.25, "exp": NOW as f64 + 60.25, "jti": id,
            "content_sha256": to_hex(&sha256(&[body]))}),
    )
}

/// The table of uses; `None`: nobody can tell.
pub(crate) struct Uses(pub(crate) RefCell<Option<HashMap<usize, Vec<u8>>>>);

impl OneUseStore for Uses {
    fn consume(&self, one: &OneUse, now: u64) -> Consumed {
        let mut table = self.0.borrow_mut();
        let Some(table) = &mut *table else { return Consumed::Unknown };
        let bucket = table.entry(replay::bucket_of(one, &[7; 32])).or_default();
        match replay::add(bucket, one, now) {
            Bucket::Used => Consumed::Used,
            Bucket::Full => Consumed::Unknown,
            Bucket::Write(bytes) => {
                *bucket = bytes;
                Consumed::Fresh
            }
        }
    }
}

pub(crate) struct Worker {
    pub(crate) policy: Policy,
    replies: Replies,
    pub(crate) keys: Vec<JwksCache>,
    tokens: Tokens,
    assertions: AssertionCache,
    pub(crate) uses: Uses,
    pub(crate) body: Vec<u8>,
    pub(crate) now: u64,
}

struct Recorder(Vec<String>);

impl Output for Recorder {
    fn effect(&mut self, effect: Effect<'_>) {
        self.0.push(match effect {
            Effect::CountAllowed | Effect::CountDenied(_) => return,
            Effect::SetRequestHeader(name, value) => {
                format!("{name}: {}", String::from_utf8_lossy(value))
            }
            Effect::RemoveRequestHeader(name) | Effect::RemoveRequestTrailer(name) => format!("-{name}"),
            Effect::SetResponseHeader(name, _) => format!("response {name}"),
            Effect::Ask(question) => {
                format!("ask {} {}", question.target.path, String::from_utf8_lossy(&question.body))
            }
            Effect::CountWouldDeny(reason) => format!("count {reason}"),
            Effect::Reply(reply) => format!("reply {} {}", reply.status, reply.body),
            Effect::Resume => "resume".to_owned(),
            other => format!("{other:?}"),
        });
    }
}

pub(crate) fn document(more: &Value) -> Value {
    let at = |path: &str| json!({"cluster": "c", "scheme": "http", "authority": "idp", "path": path});
    let mut document = json!({
        "version": 1, "public_url": "http://gateway",
        "issuers": [{"issuer": "https://idp", "audiences": ["attach"], "jwks": {"keys": at("/idp")},
            "claim_headers": [{"claim": "tier", "header": "x-attach-tier"}]}],
        "rotagent": {"audiences": ["attach"], "user_prefix": "key:",
            "jwks": {"keys": at("/own"), "internal": true, "refresh_seconds": 2}},
        "control": {"secret_env": "SECRET", "target": at("/")},
    });
    for (name, value) in more.as_object().unwrap() {
        document[name] = value.clone();
    }
    document
}

/// What the document with these changes compiles to.
pub(crate) fn compiled(more: &Value) -> Result<Policy, Vec<ConfigError>> {
    let environment = |name: &str| Some(if name == "SEED" { SEED } else { SECRET }.to_owned());
    compile(document(more).to_string().as_bytes(), &environment)
}

impl Worker {
    pub(crate) fn new(more: &Value) -> Self {
        let policy = compiled(more).unwrap();
        let now = UnixMillis(NOW * 1000);
        let record = Record { generation: 1, attempted_at: now, fetched_at: now, ..Record::default() };
        let keys = policy.sources.iter().map(|source| {
            let mut cache = JwksCache::new(source.schedule);
            cache.adopt(record, key_set(if source.is_internal { "orchestrator" } else { "idp" }));
            cache
        });
        Self {
            keys: keys.collect(),
            replies: Replies::new(&policy),
            policy,
            tokens: Tokens::default(),
            assertions: AssertionCache::default(),
            uses: Uses(RefCell::new(Some(HashMap::new()))),
            body: Vec::new(),
            now: NOW,
        }
    }

    pub(crate) fn step(&mut self, machine: &mut Machine, input: Input<'_>) -> (Flow, Vec<String>) {
        let mut out = Recorder(Vec::new());
        let body = self.body.clone();
        let mut env = Env {
            policy: &self.policy,
            replies: &self.replies,
            keys: &mut self.keys,
            tokens: &mut self.tokens,
            assertions: &mut self.assertions,
            host: &NoHost,
            once: &self.uses,
            body: &|start, size| {
                let body = &body;
                body.iter().skip(start).take(size).copied().collect()
            },
            now: UnixMillis(self.now * 1000),
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

    /// A request to the engine with a token and, in one piece, a body.
    pub(crate) fn send(&mut self, path: &str, token: &str, body: &str) -> (Flow, Vec<String>) {
        let mut machine = Machine::default();
        let headers = headers(path, token);
        let (flow, mut effects) = self.step(&mut machine, Input::RequestHeaders(&headers, body.is_empty()));
        if body.is_empty() || flow == Flow::Continue || effects.iter().any(|e| e.starts_with("reply")) {
            return (flow, effects);
        }
        self.body = body.as_bytes().to_vec();
        let (flow, more) = self.step(&mut machine, Input::RequestBody(body.len(), true));
        effects.extend(more);
        (flow, effects)
    }
}

pub(crate) fn headers(path: &str, token: &str) -> Vec<(String, Vec<u8>)> {
    [(":method", "POST"), (":path", path), ("authorization", &format!("Bearer {token}"))]
        .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
        .to_vec()
}

pub(crate) fn stamped(effects: &[String], line: &str) -> bool {
    effects.iter().any(|effect| effect == line)
}

pub(crate) fn denied(effects: &[String]) -> &str {
    effects.iter().find_map(|effect| effect.strip_prefix("x-attach-denied: ")).unwrap_or("nothing")
}

/// An exchange of everybody's tokens.
pub(crate) fn exchange() -> Value {
    json!({"exchanges": [{"from": "*", "to": "https://idp", "grant": "jwt-bearer", "client_id": "c",
        "client_secret_env": "EXCHANGE",
        "endpoint": {"cluster": "c", "scheme": "https", "authority": "idp", "path": "/token"}}]})
}
