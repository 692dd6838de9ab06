//! The table of requests: each with what becomes of it.
//!
//! The same rows are judged natively by `attach-core` and by the module inside Envoy, so whatever the two
//! ways differ in shows. A row's credentials are made when the table is, of keys that both sides are given.
//! Rows are sent in their order: what one uses up, a later one finds used.

mod algorithms;
mod claims;
mod confusion;
mod did_keys;
mod did_wallets;
mod form;
mod gateway;
mod hmac;
mod rotagent;
mod signatures;
mod signed_by;
mod signed_content;
mod world;

use crate::sent::Sent;
pub use world::{AUTHORITY, PREFIX, Service, Signer, World};

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was let through.
    User {
        /// As this user's.
        user: String,
        /// Sent by this agent.
        agent: Option<String>,
    },
    /// It was refused.
    Reason {
        /// The word that the log has for it.
        reason: String,
        /// What the client was told.
        status: u16,
    },
}

/// What must become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It is let through, as this user's and, if there is one, by this agent.
    User(String, Option<String>),
    /// It is refused with this status, for one of these reasons: more than one where Envoy cannot but show
    /// the filter another request than the one that was sent.
    Reason(u16, &'static [&'static str]),
}

/// A row.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is special about it.
    pub name: String,
    /// What is sent.
    pub sent: Sent,
    /// How often the very same was sent before.
    pub earlier: usize,
    /// What must become of it.
    pub expect: Expect,
}

impl Case {
    /// Whether that is what must become of it.
    #[must_use]
    pub fn allows(&self, verdict: &Verdict) -> bool {
        match (&self.expect, verdict) {
            (Expect::User(user, agent), Verdict::User { user: have, agent: acting }) => {
                user == have && agent == acting
            }
            (Expect::Reason(code, any), Verdict::Reason { reason, status }) => {
                // What follows the word is for people.
                let word = reason.split(':').next().unwrap_or_default();
                status == code && any.contains(&word)
            }
            _ => false,
        }
    }

    /// Whether it must be refused.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self.expect, Expect::Reason(..))
    }
}

/// The table, with times relative to `now` in seconds. No row depends on less than twenty seconds.
#[must_use]
pub fn all(world: &World, now: u64) -> Vec<Case> {
    let mut rows = Rows { world, now, cases: Vec::new() };
    form::add(&mut rows);
    algorithms::add(&mut rows);
    claims::add(&mut rows);
    did_keys::add(&mut rows);
    did_wallets::add(&mut rows);
    rotagent::add(&mut rows);
    hmac::add(&mut rows);
    signatures::add(&mut rows);
    signed_content::add(&mut rows);
    signed_by::add(&mut rows);
    gateway::add(&mut rows);
    confusion::add(&mut rows);
    rows.cases
}

/// What every row's path ends in.
pub const MARK: &str = "-of-table";

/// What a forger makes of a good signature.
type Forge = fn(Vec<u8>) -> Vec<u8>;

/// The table while it grows.
struct Rows<'a> {
    world: &'a World,
    now: u64,
    cases: Vec<Case>,
}

impl Rows<'_> {
    /// The path of the next row, by which the log tells it from the others.
    fn path(&self) -> String {
        format!("/case-{}{MARK}", self.cases.len())
    }

    /// The next row's request without a body.
    fn get(&self) -> Sent {
        Sent::get(AUTHORITY, &self.path())
    }

    /// The next row's request with a body.
    fn post(&self, body: impl AsRef<[u8]>) -> Sent {
        Sent::post(AUTHORITY, &self.path(), body)
    }

    /// One more row.
    fn row(&mut self, name: &str, sent: Sent, expect: Expect) {
        self.cases.push(Case { name: name.to_owned(), sent, earlier: 0, expect });
    }

    /// A request that is refused with 401 for this reason.
    fn refuse(&mut self, name: &str, sent: Sent, reason: &'static [&'static str; 1]) {
        self.row(name, sent, Expect::Reason(401, reason));
    }

    /// A request that is let through.
    fn accept(&mut self, name: &str, sent: Sent, user: &str) {
        self.row(name, sent, Expect::User(user.to_owned(), None));
    }

    /// A request with these `Authorization` headers, refused for one of these reasons.
    fn headers(&mut self, name: &str, values: &[&[u8]], reasons: &'static [&'static str]) {
        let sent = values.iter().fold(self.get(), |sent, value| sent.header("authorization", value));
        self.row(name, sent, Expect::Reason(401, reasons));
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
        let sent = self.get().header("authorization", value);
        self.accept(name, sent, user);
    }
}
