//! What may be used once, remembered in Redis for all Envoys that share it (`REDIS_URL`).
//!
//! One command decides: `SET key 1 NX EX seconds` answers to exactly one of all who ask. The time is counted
//! from this service's clock and not handed over as a date, so that a Redis whose clock is wrong forgets
//! nothing early. Redis must not evict (`maxmemory-policy noeviction`, its default): what it drops for want of
//! memory could be used again, what it refuses for want of memory is refused here.
//!
//! When in doubt the answer is no: a command whose answer was lost may have been carried out, so it is
//! [`Unavailable`] and a second try will find the entry.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Value};

use crate::settings::Secret;

/// How long Redis may take, connecting included.
const DEADLINE: Duration = Duration::from_millis(500);
/// What entries are called in Redis, before their own name.
const PREFIX: &str = "attach:once:";
/// Characters of an entry's name: a SHA-256 in hexadecimal digits.
const KEY_CHARS: usize = 64;
/// The shortest time an entry is kept, in seconds, whatever is asked for: clocks differ.
const SHORTEST: u64 = 60;
/// The longest, in seconds: a day is what a message signature may last, and a little for clocks.
const LONGEST: u64 = 25 * 60 * 60;

/// Where entries are remembered.
#[derive(Clone)]
pub struct ReplayStore {
    connection: ConnectionManager,
}

/// The name of something that may be used once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once(String);

/// `REDIS_URL` is of no use. It does not show the address, which may hold a password.
#[derive(Debug, thiserror::Error)]
#[error(
    "REDIS_URL is no address of a Redis: write redis://HOST:PORT, rediss://HOST:PORT for TLS, with USER:PASSWORD@ before HOST where it asks for one ({0})"
)]
pub struct BadUrl(String);

/// Redis cannot be had, or did not carry the command out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the replay store cannot be had: {0}")]
pub struct Unavailable(String);

impl Once {
    /// A name of 64 lower-case hexadecimal digits, else `None`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let good = text.len() == KEY_CHARS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        good.then(|| Self(text.to_owned()))
    }
}

/// For how many seconds an entry is kept that may be forgotten at `until`, both in Unix time. `None`: for
/// longer than anything this gateway accepts.
fn seconds(until: u64, now: u64) -> Option<u64> {
    let seconds = until.saturating_sub(now).saturating_add(1).max(SHORTEST);
    (seconds <= LONGEST).then_some(seconds)
}

/// A connection to the Redis at an address, made when it is needed and again when it was lost. Whoever uses it
/// waits for `deadline` at most to be connected, and as long for an answer. Must be called within a Tokio runtime.
///
/// # Errors
/// [`BadUrl`].
pub(crate) fn connection(url: &Secret, deadline: Duration) -> Result<ConnectionManager, BadUrl> {
    // A second call finds the first one's provider in place: the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The category alone: the library's detail may quote the address.
    let bad = |error: redis::RedisError| BadUrl(error.category().to_owned());
    let client = Client::open(url.expose()).map_err(bad)?;
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(deadline))
        .set_response_timeout(Some(deadline))
        // Whoever asks next tries again; nobody waits for a Redis that is down.
        .set_number_of_retries(0);
    ConnectionManager::new_lazy_with_config(client, config).map_err(bad)
}

/// What went wrong with Redis. What the server says may quote a command or name a user: the category and its
/// code do not.
pub(crate) fn reason(error: &redis::RedisError) -> String {
    match error.code() {
        Some(code) => format!("{} ({code})", error.category()),
        None => error.category().to_owned(),
    }
}

impl ReplayStore {
    /// The store at an address; nothing is connected yet. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`BadUrl`].
    pub fn new(url: &Secret) -> Result<Self, BadUrl> {
        let connection = connection(url, DEADLINE)?;
        Ok(Self { connection })
    }

    /// Remembers an entry until `until`; whether it is the first time. Both times are seconds of Unix time.
    ///
    /// # Errors
    /// [`Unavailable`], also for an `until` further away than anything this gateway accepts.
    pub async fn first(&self, once: &Once, until: u64, now: u64) -> Result<bool, Unavailable> {
        let Some(seconds) = seconds(until, now) else {
            return Err(Unavailable(format!("an entry may be kept for {LONGEST} seconds at most")));
        };
        let mut command = redis::cmd("SET");
        command.arg(format!("{PREFIX}{}", once.0)).arg(1).arg("NX").arg("EX").arg(seconds);
        let mut connection = self.connection.clone();
        let answer = tokio::time::timeout(DEADLINE, command.query_async::<Value>(&mut connection)).await;
        match answer {
            Ok(Ok(Value::Okay)) => Ok(true),
            Ok(Ok(Value::Nil)) => Ok(false),
            Ok(Ok(_)) => Err(Unavailable("its answer is none of Redis's".to_owned())),
            Ok(Err(error)) => Err(Unavailable(reason(&error))),
            Err(_) => Err(Unavailable(format!("no answer within {} ms", DEADLINE.as_millis()))),
        }
    }
}

impl std::fmt::Debug for ReplayStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ReplayStore")
    }
}

#[cfg(test)]
pub(crate) mod tests;
