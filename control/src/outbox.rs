//! What must leave control and survives everything until it has: a queue in the store.
//!
//! An event is put there in the same transaction as the row that it belongs to, and goes when the receiver has
//! said that it has it, never earlier; being killed between the two sends it again under the same id, which the
//! receiver drops. Events leave in their order. One that the receiver will never take is set aside with its
//! reason, so that it does not hold up the rest.

use std::path::Path;
use std::sync::Arc;

use attach_core::meter::UsageRecord;
use attach_core::meter::cloud_event::cloud_events;
use rusqlite::{Connection, OptionalExtension as _};
use serde::Serialize;
use tokio::sync::Notify;

use crate::store::{self, OpenError, Store, rusqlite};

mod deliver;
mod openmeter;
mod pace;

pub use deliver::{Delivery, Running};
pub use openmeter::Receiver;
pub use pace::Pace;

/// The kind of OpenMeter's events.
pub const OPENMETER: &str = "openmeter";
/// The kind of usage records that could not be read, where they are set aside.
pub const RECORD: &str = "record";

/// How many events may wait.
pub const LIMIT: u64 = 1_000_000;
/// How many are kept of what was set aside; the oldest go first. Of an event, its ledger row is still there.
const MAX_SET_ASIDE: u64 = 100_000;

/// The queue.
#[derive(Clone, Debug)]
pub struct Outbox {
    store: Store,
    limit: u64,
    /// Something was put into it.
    filled: Arc<Notify>,
}

/// How the queue is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// How many events wait.
    pub outbox: u64,
    /// How many events and records nobody takes.
    pub set_aside: u64,
    /// For how long the oldest event has waited.
    pub oldest_seconds: u64,
}

/// How the queue is, for a person.
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

impl Outbox {
    /// The queue in a store, for so many events.
    #[must_use]
    pub fn new(store: Store, limit: u64) -> Self {
        Self { store, limit, filled: Arc::new(Notify::new()) }
    }

    /// How many events may wait.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Tells the deliverer that there is something.
    pub fn wake(&self) {
        self.filled.notify_one();
    }

    /// How the queue is at `now` (milliseconds of Unix time).
    ///
    /// # Errors
    /// The store cannot say.
    pub async fn health(&self, now: u64) -> Result<Health, store::Error> {
        self.store.read(move |connection| Ok(report(connection, now)?.health)).await
    }
}

/// How the queue in a database is, whether or not control runs; `None`: there is no database.
///
/// # Errors
/// It cannot be read.
pub fn look(database: &Path, now: u64) -> Result<Option<Report>, OpenError> {
    store::peek(database, |connection| report(connection, now))
}

fn report(connection: &Connection, now: u64) -> Result<Report, rusqlite::Error> {
    const HEAD: &str = "SELECT added_at, attempts, error FROM outbox ORDER BY seq LIMIT 1";
    const ASIDE: &str = "SELECT error FROM set_aside ORDER BY seq DESC LIMIT 1";
    let head = connection.prepare_cached(HEAD)?.query_row([], |row| {
        Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?, row.get::<_, Option<String>>(2)?))
    });
    let (added_at, attempts, error) = head.optional()?.unwrap_or((now, 0, None));
    let health = Health {
        outbox: depth(connection)?,
        set_aside: count(connection, "set_aside")?,
        oldest_seconds: now.saturating_sub(added_at) / 1000,
    };
    let set_aside_error = connection.prepare_cached(ASIDE)?.query_row([], |row| row.get(0)).optional()?;
    Ok(Report { health, attempts, error, set_aside_error })
}

fn count(connection: &Connection, table: &str) -> Result<u64, rusqlite::Error> {
    connection
        .prepare_cached("SELECT rows FROM row_counts WHERE name = ?")?
        .query_row([table], |row| row.get(0))
}

/// How many events wait.
pub(crate) fn depth(connection: &Connection) -> Result<u64, rusqlite::Error> {
    count(connection, "outbox")
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
        some |= insert.execute((OPENMETER, event.id.to_string(), payload, now))? > 0;
    }
    Ok(some)
}

/// Remembers what nobody takes, the first time that it is seen.
pub(crate) fn set_aside(
    connection: &Connection,
    kind: &str,
    id: &str,
    payload: &str,
    error: &str,
    now: u64,
) -> Result<(), rusqlite::Error> {
    const INSERT: &str = "INSERT INTO set_aside (kind, id, payload, error, at) VALUES (?, ?, ?, ?, ?) \
                          ON CONFLICT (kind, id) DO NOTHING";
    const OLDEST: &str =
        "DELETE FROM set_aside WHERE seq IN (SELECT seq FROM set_aside ORDER BY seq LIMIT 1)";
    connection.prepare_cached(INSERT)?.execute((kind, id, payload, error, now))?;
    if count(connection, "set_aside")? > MAX_SET_ASIDE {
        connection.prepare_cached(OLDEST)?.execute([])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
