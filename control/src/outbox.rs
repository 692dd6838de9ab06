//! What must leave control and survives everything until it has: queues in the store, one for each kind of events.
//!
//! An event is put there in the same transaction as the row that it belongs to, and goes when the receiver has
//! said that it has it, never earlier; being killed between the two sends it again under the same id, which the
//! receiver drops. Events leave in their order. One that the receiver will never take is set aside with its
//! reason, so that it does not hold up the rest. Kinds know nothing of each other: one whose receiver is down
//! holds up no other.

use std::path::Path;
use std::sync::Arc;

use attach_core::meter::UsageRecord;
use attach_core::meter::cloud_event::cloud_events;
use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;
use tokio::sync::{Mutex, Notify};

use crate::store::{self, OpenError, Store, rusqlite};

mod deliver;
mod openmeter;
mod pace;
mod put;
mod receive;

pub use deliver::{Delivery, Running};
pub use openmeter::Receiver;
pub use pace::Pace;
pub use put::{Entry, Refused};
pub(crate) use put::{forget, forget_older, set_aside, set_aside_entry};
pub use receive::{Batch, Event, Receive, Verdict};

/// The kind of usage records that could not be read, where they are set aside.
pub const RECORD: &str = "record";

/// How many usage events may wait.
pub const LIMIT: u64 = 1_000_000;
/// How many are kept of what was set aside, of each kind; the oldest go first. Of a usage event, its ledger row is
/// still there.
const MAX_SET_ASIDE: u64 = 100_000;
/// And how many bytes.
const MAX_SET_ASIDE_BYTES: u64 = 256 * 1024 * 1024;

/// Which events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Usage, for OpenMeter.
    OpenMeter,
    /// What is to be remembered, for the place where memory lies.
    Memory,
}

impl Kind {
    /// Its name in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenMeter => "openmeter",
            Self::Memory => "memory",
        }
    }

    /// The kinds, by name, under which what belongs to it is set aside.
    fn aside(self) -> [&'static str; 2] {
        match self {
            Self::OpenMeter => [self.name(), RECORD],
            Self::Memory => [self.name(), ""],
        }
    }
}

/// How much may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// How many events.
    pub events: u64,
    /// How many bytes of theirs.
    pub bytes: u64,
}

/// The queue of one kind.
#[derive(Clone, Debug)]
pub struct Outbox {
    store: Store,
    kind: Kind,
    limit: Limit,
    /// Something was put into it.
    filled: Arc<Notify>,
    /// Held while a batch is under way, and by whoever must not be overtaken by one.
    turn: Arc<Mutex<()>>,
}

/// How a queue is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// How many events wait.
    pub outbox: u64,
    /// How many events and records nobody takes.
    pub set_aside: u64,
    /// For how long the oldest event has waited.
    pub oldest_seconds: u64,
}

/// How a queue is, for a person.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The numbers.
    #[serde(flatten)]
    pub health: Health,
    /// How often the oldest event was tried in vain.
    pub attempts: u64,
    /// Why it has not left.
    pub error: Option<String>,
    /// Why the last one was set aside.
    pub set_aside_error: Option<String>,
}

/// How much of something there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    rows: u64,
    bytes: u64,
}

impl Outbox {
    /// The queue of OpenMeter's events in a store, for so many of them.
    #[must_use]
    pub fn new(store: Store, limit: u64) -> Self {
        // They are some hundred bytes each: their number bounds their bytes.
        Self::of(store, Kind::OpenMeter, Limit { events: limit, bytes: u64::MAX })
    }

    /// The queue of a kind.
    #[must_use]
    pub fn of(store: Store, kind: Kind, limit: Limit) -> Self {
        Self { store, kind, limit, filled: Arc::new(Notify::new()), turn: Arc::default() }
    }

    /// How many events may wait.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit.events
    }

    /// Where it lies.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Tells the deliverer that there is something.
    pub fn wake(&self) {
        self.filled.notify_one();
    }

    /// Waits until no batch is under way; as long as the answer is held, none begins.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// How the queue is at `now` (milliseconds of Unix time).
    ///
    /// # Errors
    /// The store cannot say.
    pub async fn health(&self, now: u64) -> Result<Health, store::Error> {
        let kind = self.kind;
        self.store.read(move |connection| Ok(report(connection, kind, now)?.health)).await
    }
}

/// How a queue in a database is, whether or not control runs; `None`: there is no database.
///
/// # Errors
/// It cannot be read.
pub fn look(database: &Path, kind: Kind, now: u64) -> Result<Option<Report>, OpenError> {
    store::peek(database, |connection| report(connection, kind, now))
}

fn report(connection: &Connection, kind: Kind, now: u64) -> Result<Report, rusqlite::Error> {
    const HEAD: &str = "SELECT added_at, attempts, error FROM outbox WHERE kind = ? ORDER BY seq LIMIT 1";
    const ASIDE: &str = "SELECT error FROM set_aside WHERE kind = ?1 AND seq = \
                         (SELECT max(seq) FROM set_aside WHERE kind = ?1)";
    let head = connection.prepare_cached(HEAD)?.query_row([kind.name()], |row| {
        Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?, row.get::<_, Option<String>>(2)?))
    });
    let (added_at, attempts, error) = head.optional()?.unwrap_or((now, 0, None));
    let mut aside = 0_u64;
    let mut set_aside_error = None;
    for name in kind.aside() {
        aside = aside.saturating_add(size(connection, "set_aside", name)?.rows);
        let last = connection.prepare_cached(ASIDE)?.query_row([name], |row| row.get(0)).optional()?;
        set_aside_error = set_aside_error.or(last);
    }
    let health = Health {
        outbox: depth(connection, kind)?,
        set_aside: aside,
        oldest_seconds: now.saturating_sub(added_at) / 1000,
    };
    Ok(Report { health, attempts, error, set_aside_error })
}

/// How much a table holds of a kind.
fn size(connection: &Connection, table: &str, kind: &str) -> Result<Size, rusqlite::Error> {
    let mut query =
        connection.prepare_cached("SELECT rows, bytes FROM queue_sizes WHERE queue = ? AND kind = ?")?;
    let size = query.query_row([table, kind], |row| Ok(Size { rows: row.get(0)?, bytes: row.get(1)? }));
    Ok(size.optional()?.unwrap_or_default())
}

/// How many events of a kind wait.
pub(crate) fn depth(connection: &Connection, kind: Kind) -> Result<u64, rusqlite::Error> {
    Ok(size(connection, "outbox", kind.name())?.rows)
}

/// Puts a record's events at the end of the queue; whether there are any that are not there already.
pub(crate) fn push(connection: &Connection, record: &UsageRecord, now: u64) -> Result<bool, rusqlite::Error> {
    const INSERT: &str = "INSERT INTO outbox (kind, id, payload, added_at) VALUES (?, ?, ?, ?) \
                          ON CONFLICT (kind, id) DO NOTHING";
    let mut insert = connection.prepare_cached(INSERT)?;
    let mut some = false;
    for event in cloud_events(record) {
        let payload = serde_json::to_string(&event)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        some |= insert.execute((Kind::OpenMeter.name(), event.id.to_string(), payload, now))? > 0;
    }
    Ok(some)
}

#[cfg(test)]
mod tests;
