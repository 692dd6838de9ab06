//! The table of credentials: each with what becomes of a request that carries it.
//!
//! The same rows are judged natively by `attach-core` and by the module inside Envoy, so whatever the two
//! ways differ in shows. A row's tokens are made when the table is, of keys that both sides are given.

mod algorithms;
mod claims;
mod form;

use serde_json::Value;

use crate::mint::{Key, Mint};

/// Stands before the second issuer's subjects.
pub const PREFIX: &str = "partner|";

/// Two issuers that are believed, and somebody who is not.
pub struct World {
    /// The first issuer: its subjects stand as they are.
    pub first: Mint,
    /// A second RS256 key of the first issuer's, so that a token must say which one it means.
    pub spare: Key,
    /// The second issuer, whose subjects get [`PREFIX`].
    pub second: Mint,
    /// Somebody's own key.
    pub strangers: Key,
}

impl World {
    /// The issuers by their `iss`.
    #[must_use]
    pub fn new(first: &str, second: &str) -> Self {
        let mut second = Mint::new(second, "attach-test");
        second.keys.retain(|key| matches!(key.algorithm, "ES256" | "EdDSA"));
        Self {
            first: Mint::new(first, "attach-test"),
            spare: Key::new("RS256", "other-rs256"),
            second,
            strangers: Key::new("RS256", "others-own"),
        }
    }

    /// The audience of the gateway's tokens.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.first.audience
    }

    /// The keys that the first issuer publishes.
    #[must_use]
    pub fn first_keys(&self) -> Vec<Value> {
        let mut keys = self.first.jwks();
        keys.push(self.spare.jwk());
        keys
    }

    /// The keys that the second issuer publishes.
    #[must_use]
    pub fn second_keys(&self) -> Vec<Value> {
        self.second.jwks()
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was let through, as this user's.
    User(String),
    /// It was refused, with this reason in the log.
    Reason(String),
}

/// What must become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It is let through, as this user's.
    User(String),
    /// It is refused for one of these reasons: more than one where Envoy cannot but show the filter another
    /// request than the one that was sent.
    Reason(&'static [&'static str]),
}

/// A row.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is special about it.
    pub name: String,
    /// The values of its `Authorization` headers.
    pub authorization: Vec<Vec<u8>>,
    /// What must become of it.
    pub expect: Expect,
}

impl Case {
    /// Whether that is what must become of it.
    #[must_use]
    pub fn allows(&self, verdict: &Verdict) -> bool {
        match (&self.expect, verdict) {
            (Expect::User(want), Verdict::User(have)) => want == have,
            (Expect::Reason(any), Verdict::Reason(have)) => any.contains(&have.as_str()),
            _ => false,
        }
    }
}

/// The table, with times relative to `now` in seconds. No row depends on less than twenty seconds.
#[must_use]
pub fn all(world: &World, now: u64) -> Vec<Case> {
    let mut rows = Rows { world, now, cases: Vec::new() };
    form::add(&mut rows);
    algorithms::add(&mut rows);
    claims::add(&mut rows);
    rows.cases
}

/// The table while it grows.
struct Rows<'a> {
    world: &'a World,
    now: u64,
    cases: Vec<Case>,
}

impl Rows<'_> {
    /// A request with these `Authorization` headers, refused for one of these reasons.
    fn headers(&mut self, name: &str, values: &[&[u8]], reasons: &'static [&'static str]) {
        self.cases.push(Case {
            name: name.to_owned(),
            authorization: values.iter().map(|value| value.to_vec()).collect(),
            expect: Expect::Reason(reasons),
        });
    }

    /// A bearer token that is refused.
    fn refused(&mut self, name: &str, token: &str, reason: &'static [&'static str; 1]) {
        self.headers(name, &[format!("Bearer {token}").as_bytes()], reason);
    }

    /// One `Authorization` header that lets `alice` in.
    fn accepted_header(&mut self, name: &str, value: &str) {
        self.accepted_as(name, value, "alice");
    }

    /// A bearer token that lets `alice` in.
    fn accepted(&mut self, name: &str, token: &str) {
        self.accepted_as(name, &format!("Bearer {token}"), "alice");
    }

    fn accepted_as(&mut self, name: &str, value: &str, user: &str) {
        self.cases.push(Case {
            name: name.to_owned(),
            authorization: vec![value.as_bytes().to_vec()],
            expect: Expect::User(user.to_owned()),
        });
    }
}
