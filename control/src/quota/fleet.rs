//! Accounts in Redis, shared by all controls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use attach_core::quota::Window;
use attach_core::quota::wire::{Account, Answer, Request};
use redis::aio::ConnectionManager;
use tokio::sync::{Notify, RwLock, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

mod epoch;
pub mod reply;
mod script;

use super::outage::Outage;
use super::{Error, KEEP_SECONDS, LARGEST, journal};
use crate::replay::{self, BadUrl};
use crate::settings::Secret;
use crate::store::Store;
use reply::Reply;
use script::Script;

/// Which epoch it is.
const EPOCH: &str = "{attach}:epoch";
/// Which controls there are.
const MEMBERS: &str = "{attach}:members";
/// What each of them has added to the epoch.
const REBUILD: &str = "{attach}:rebuild";

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// A command, and connecting.
    pub command: Duration,
    /// An operation, everything included.
    pub operation: Duration,
    /// Between two looks at the epoch.
    pub look: Duration,
    /// Between two looks at the epoch while Redis is being filled again.
    pub look_rebuilding: Duration,
    /// How long Redis may be without a control that was there, in seconds: bounds of one longest sliding window.
    pub wait_seconds: (u64, u64),
    /// After how many seconds a silent control is forgotten.
    pub forget_seconds: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            command: Duration::from_millis(500),
            operation: Duration::from_millis(1400),
            look: Duration::from_secs(1),
            look_rebuilding: Duration::from_millis(200),
            wait_seconds: (60, 300),
            forget_seconds: 3600,
        }
    }
}

/// Accounts in Redis; cheap to clone.
#[derive(Clone)]
pub struct Fleet {
    shared: Arc<Shared>,
    _watch: Arc<Watch>,
}

/// What looks at the epoch, until nobody has the accounts any more.
struct Watch(JoinHandle<()>);

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Shared {
    store: Store,
    connection: ConnectionManager,
    pace: Pace,
    operate: Script,
    epoch: Script,
    add: Script,
    /// The epoch that has this control's part. An operation holds it for reading until it is in the journal, so
    /// that the journal stands still while it is added.
    serving: RwLock<Option<String>>,
    /// What the last look at the epoch found.
    found: watch::Sender<Found>,
    /// Asks for a look at once.
    look: Notify,
    /// The longest sliding window that was seen, in seconds.
    longest: AtomicU64,
    redis_outage: Outage,
    journal_outage: Outage,
}

/// What a look at the epoch found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    /// The epoch of this name is served.
    Ready(String),
    /// Somebody's part is missing.
    Rebuilding,
    /// Redis, or control's own database.
    Failed(Error),
}

/// What Redis made of an operation.
enum Outcome {
    Done(Reply, String),
    /// It is another epoch: nothing was done.
    Elsewhere,
}

impl Fleet {
    /// The accounts in the Redis at an address, with a journal in the database. Touches neither before it is
    /// polled; must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`BadUrl`].
    pub fn new(store: Store, url: &Secret, pace: Pace) -> Result<Self, BadUrl> {
        let shared = Arc::new(Shared {
            store,
            connection: replay::connection(url, pace.command)?,
            pace,
            operate: Script::operate(),
            epoch: Script::epoch(),
            add: Script::add(),
            serving: RwLock::new(None),
            found: watch::Sender::new(Found::Rebuilding),
            look: Notify::new(),
            longest: AtomicU64::new(0),
            redis_outage: Outage::new(
                "limits: Redis cannot be had; what happens to requests is their route's on_failure",
            ),
            journal_outage: Outage::new(
                "limits: what Redis did cannot be written down, so nothing is granted",
            ),
        });
        let watch = tokio::spawn(epoch::keep(Arc::clone(&shared)));
        Ok(Self { shared, _watch: Arc::new(Watch(watch)) })
    }

    /// Carries an operation out; it is in Redis and in the journal on the disk when this answers.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn operate(&self, request: &Request) -> Result<Answer, Error> {
        let shared = &self.shared;
        shared.note_windows(request);
        let until = Instant::now() + shared.pace.operation;
        match timeout_at(until, shared.operate(request, until)).await {
            Ok(answer) => answer,
            Err(_) => Err(shared.redis_failed(late(shared.pace.operation))),
        }
    }
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fleet")
    }
}

impl Shared {
    async fn operate(&self, request: &Request, until: Instant) -> Result<Answer, Error> {
        // A second time where a connection was lost or the epoch is another: the id makes it one operation.
        let mut again = true;
        loop {
            let serving = self.serving.read().await;
            let tried = serving.clone();
            let outcome = match &*serving {
                Some(name) => self.run(name, request).await,
                None => Ok(Outcome::Elsewhere),
            };
            match outcome {
                Ok(Outcome::Done(reply, text)) => {
                    self.redis_outage.over();
                    let written = journal::write(&self.store, request, &reply, text).await;
                    drop(serving);
                    return match written {
                        Ok(()) => {
                            self.journal_outage.over();
                            Ok(reply.answer())
                        }
                        Err(error) => {
                            self.journal_outage.begins(&error);
                            Err(error.into())
                        }
                    };
                }
                Ok(Outcome::Elsewhere) if again || tried.is_none() => {
                    drop(serving);
                    self.other_epoch(tried.as_deref(), until).await?;
                    again = again && tried.is_none();
                }
                Ok(Outcome::Elsewhere) => return Err(Error::Rebuilding),
                Err(error) if again && is_lost(&error) => again = false,
                Err(error) => return Err(self.redis_failed(replay::reason(&error))),
            }
        }
    }

    /// Asks Redis, which does nothing unless the epoch is of that name and ready.
    async fn run(&self, epoch: &str, request: &Request) -> Result<Outcome, redis::RedisError> {
        let keys = keys(request);
        let mut arguments =
            vec![format!("ready {epoch}"), journal::worker(&request.worker), KEEP_SECONDS.to_string()];
        arguments.extend(request.accounts.iter().flat_map(account_arguments));
        let mut connection = self.connection.clone();
        let (done, text): (bool, String) = self.operate.run(&mut connection, &keys, &arguments).await?;
        if !done {
            return Ok(Outcome::Elsewhere);
        }
        let reply = Reply::parse(&text);
        // An answer to another request about as many accounts cannot be told apart; the id is the filter's own.
        reply.map(|reply| Outcome::Done(reply, text)).ok_or_else(|| {
            redis::RedisError::from((redis::ErrorKind::UnexpectedReturnType, "the script's answer is none"))
        })
    }

    /// Waits until this control serves another epoch than the one that was tried.
    async fn other_epoch(&self, tried: Option<&str>, until: Instant) -> Result<(), Error> {
        let mut found = self.found.subscribe();
        self.look.notify_one();
        // A little before all time is over, so that it can be said why.
        let until = until - self.pace.operation / 4;
        loop {
            match timeout_at(until, found.changed()).await {
                Err(_) => return Err(Error::Rebuilding),
                // Nobody looks any more: the program ends.
                Ok(Err(_)) => return Err(Error::Rebuilding),
                Ok(Ok(())) => {}
            }
            match &*found.borrow_and_update() {
                Found::Ready(name) if tried != Some(name.as_str()) => return Ok(()),
                Found::Ready(_) | Found::Rebuilding => {}
                Found::Failed(error) => return Err(error.clone()),
            }
        }
    }

    fn redis_failed(&self, reason: String) -> Error {
        let error = Error::Redis(reason);
        self.redis_outage.begins(&error);
        error
    }

    fn note_windows(&self, request: &Request) {
        for account in &request.accounts {
            if let Window::Sliding(seconds) = account.window {
                self.longest.fetch_max(u64::from(seconds), Ordering::Relaxed);
            }
        }
    }
}

/// What Redis calls an account.
fn account_key(digits: &str) -> String {
    format!("{{attach}}:quota:{digits}")
}

/// What Redis calls an operation.
fn operation_key(id: &str) -> String {
    format!("{{attach}}:op:{id}")
}

fn keys(request: &Request) -> Vec<String> {
    let mut keys = vec![EPOCH.to_owned(), operation_key(&request.id)];
    keys.extend(request.accounts.iter().map(|account| account_key(&account.key.to_hex())));
    keys
}

/// What the script is told of an account. Larger numbers than a double holds exactly are that one.
fn account_arguments(account: &Account) -> Vec<String> {
    let number = |number: u64| number.min(LARGEST).to_string();
    let mut arguments = vec![
        number(account.tokens),
        journal::window_code(account.window).to_string(),
        number(account.give_back),
        number(account.need),
        number(account.want),
        account.spent.len().to_string(),
    ];
    arguments.extend(account.spent.iter().flat_map(|&(at, tokens)| [number(at), number(tokens)]));
    arguments
}

/// The connection is gone, and the next command gets a new one.
fn is_lost(error: &redis::RedisError) -> bool {
    error.is_connection_dropped() || (error.is_io_error() && !error.is_timeout())
}

fn late(after: Duration) -> String {
    format!("no answer within {} ms", after.as_millis())
}

#[cfg(test)]
mod tests;
