//! The filter's logic without Envoy: what `attach-core` makes of a request's headers.

use attach_core::authn::replay::{Consumed, OneUseStore};
use attach_core::authn::verdict::OneUse;
use attach_core::clock::UnixMillis;
use attach_core::config::compile::compile;
use attach_core::crypto::NoHost;
use attach_core::keys::KeySet;
use attach_core::keys::cache::JwksCache;
use attach_core::keys::turn::Record;
use attach_core::policy::Policy;
use attach_core::stamp;
use attach_core::stamp::assertion::AssertionCache;
use attach_core::stream::memo::Tokens;
use attach_core::stream::stop::Replies;
use attach_core::stream::{Effect, Env, Input, Machine, Output};
use serde_json::{Value, json};

use crate::cases::{Verdict, World};

/// A worker of the filter that has its issuers' keys and will get no others.
pub struct Native {
    policy: Policy,
    replies: Replies,
    keys: Vec<JwksCache>,
    tokens: TokenCache,
    now: UnixMillis,
}

impl Native {
    /// With a world's issuers, at a time in seconds.
    ///
    /// # Panics
    /// When the configuration or the keys are refused.
    #[must_use]
    pub fn new(world: &World, now: u64) -> Self {
        let policy = compile(document(world).to_string().as_bytes(), &|_| Some("0f".repeat(32)))
            .unwrap_or_else(|errors| panic!("{errors:?}"));
        let now = UnixMillis(now * 1000);
        let record = Record { generation: 1, attempted_at: now, fetched_at: now, ..Record::default() };
        let sets = [world.first_keys(), world.second_keys()];
        let keys = policy.sources.iter().zip(sets).map(|(source, set)| {
            let text = json!({ "keys": set }).to_string();
            let mut cache = JwksCache::new(source.schedule);
            cache.adopt(record, KeySet::parse(text.as_bytes()).expect("a good set"));
            cache
        });
        Self {
            keys: keys.collect(),
            replies: Replies::new(&policy),
            policy,
            tokens: TokenCache::default(),
            now,
        }
    }

    /// What becomes of a request with these `Authorization` headers.
    ///
    /// # Panics
    /// When nothing does.
    pub fn judge(&mut self, authorization: &[Vec<u8>]) -> Verdict {
        let mut headers = vec![
            (":method".to_owned(), b"GET".to_vec()),
            (":path".to_owned(), b"/v1/models".to_vec()),
            (":authority".to_owned(), b"gateway".to_vec()),
        ];
        headers.extend(authorization.iter().map(|value| ("authorization".to_owned(), value.clone())));
        let mut env = Env {
            policy: &self.policy,
            replies: &self.replies,
            keys: &mut self.keys,
            tokens: &mut self.tokens,
            host: &NoHost,
            now: self.now,
        };
        let mut noted = Noted::default();
        Machine::default().step(&mut env, Input::RequestHeaders(&headers), &mut noted);
        noted.0.expect("a verdict")
    }
}

#[derive(Default)]
struct Noted(Option<Verdict>);

impl Output for Noted {
    fn effect(&mut self, effect: Effect<'_>) {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        match effect {
            Effect::SetRequestHeader(stamp::USER, user) => self.0 = Some(Verdict::User(text(user))),
            Effect::SetRequestHeader(stamp::DENIED, reason) => self.0 = Some(Verdict::Reason(text(reason))),
            _ => {}
        }
    }
}

fn document(world: &World) -> Value {
    let issuer = |issuer: &str, prefix: &str| {
        json!({
            "issuer": issuer,
            "audiences": [world.audience()],
            "user_prefix": prefix,
            "jwks": {"keys": {"cluster": "c", "scheme": "http", "authority": "idp", "path": format!("/{prefix}")}},
        })
    };
    json!({
        "version": 1,
        "public_url": "http://gateway",
        "issuers": [issuer(&world.first.issuer, ""), issuer(&world.second.issuer, crate::cases::PREFIX)],
        "control": {"secret_env": "SECRET"},
    })
}
