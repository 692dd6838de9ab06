//! One row for each model call: what the filter's usage records become, and what a caller may read of them.
//!
//! The filter sends a record again until it was acknowledged, so a row's id is its record's and the first one
//! stands. For calls whose events the filter could not bring to OpenMeter, the row and the events' way into the
//! outbox are one transaction, and the row remembers that they went: however often the filter asks, they leave
//! from here once.

use std::time::Duration;

use attach_core::llm::usage::Source;
use attach_core::meter::UsageRecord;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::outbox::{self, Outbox};
use crate::store::{self, Store, rusqlite};

pub mod batch;
mod prune;
pub mod query;

use batch::{Bad, Batch};
pub use prune::run as prune;

/// How long rows are kept.
pub const RETENTION: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// The rows.
#[derive(Clone, Debug)]
pub struct Ledger {
    store: Store,
    outbox: Outbox,
}

/// Why a batch was not taken; nothing of it was kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Too much waits for OpenMeter already.
    #[error("{0} events wait for OpenMeter, and no more are taken: check OPENMETER_URL and `attach doctor`")]
    Full(u64),
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Ledger {
    /// The rows in a store, whose events leave by an outbox in the same one.
    #[must_use]
    pub fn new(store: Store, outbox: Outbox) -> Self {
        Self { store, outbox }
    }

    /// Keeps a batch at `now` (milliseconds of Unix time), and answers what was set aside.
    ///
    /// # Errors
    /// See [`Refused`]; the whole batch may be sent again.
    pub async fn accept(&self, batch: Batch, now: u64) -> Result<Vec<Bad>, Refused> {
        let limit = self.outbox.limit();
        let (rejected, queued) =
            self.store.write(move |connection| accept(connection, batch, now, limit)).await?;
        if queued {
            self.outbox.wake();
        }
        Ok(rejected)
    }

    /// Answers a caller's question.
    ///
    /// # Errors
    /// The store cannot, or not in time.
    pub async fn page(&self, user: String, question: query::Question) -> Result<query::Page, store::Error> {
        self.store.read(move |connection| query::page(connection, &user, &question)).await
    }
}

/// What was set aside, and whether events were put into the outbox.
fn accept(connection: &Connection, batch: Batch, now: u64, limit: u64) -> Result<(Vec<Bad>, bool), Refused> {
    let Batch { records, mut bad, undelivered } = batch;
    for record in &records {
        insert(connection, record)?;
    }
    let mut queued = false;
    for id in undelivered {
        match queue(connection, &id)? {
            Queue::Now(record) => queued |= outbox::push(connection, &record, now)?,
            Queue::Before => {}
            // A record of this batch that is set aside itself is already told.
            Queue::Unknown if bad.iter().any(|bad| bad.id == id) => {}
            Queue::Unknown => bad.push(Bad::undelivered(id)),
        }
    }
    if queued && outbox::depth(connection, outbox::Kind::OpenMeter)? > limit {
        return Err(Refused::Full(limit));
    }
    for bad in &bad {
        outbox::set_aside(connection, outbox::RECORD, &bad.key(), &bad.text, &bad.error, now)?;
    }
    Ok((bad, queued))
}

const COLUMNS: &str = "id, at, user, agent, project, model, credential, request_id, status, milliseconds, \
                       input, output, cached, reasoning, source";

fn insert(connection: &Connection, record: &UsageRecord) -> Result<(), rusqlite::Error> {
    const INSERT: &str = "INSERT INTO usage (id, at, user, agent, project, model, credential, request_id, status, \
                          milliseconds, input, output, cached, reasoning, source) \
                          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING";
    let mut insert = connection.prepare_cached(INSERT)?;
    insert.execute(params![
        record.id,
        record.at,
        record.user,
        record.agent,
        record.project,
        record.model,
        record.credential,
        record.request_id,
        record.status,
        record.milliseconds,
        record.input,
        record.output,
        record.cached,
        record.reasoning,
        source_name(record.source),
    ])?;
    Ok(())
}

/// What becomes of a record that the filter could not deliver.
enum Queue {
    /// It goes into the outbox.
    Now(Box<UsageRecord>),
    /// It went there before.
    Before,
    /// There is no such row.
    Unknown,
}

fn queue(connection: &Connection, id: &str) -> Result<Queue, rusqlite::Error> {
    // The row's words and not the batch's: should they differ, it is the row that a bill is made from.
    let update = format!("UPDATE usage SET queued = 1 WHERE id = ? AND queued = 0 RETURNING {COLUMNS}");
    let mut update = connection.prepare_cached(&update)?;
    if let Some(record) = update.query_row([id], record).optional()? {
        return Ok(Queue::Now(Box::new(record)));
    }
    let mut known = connection.prepare_cached("SELECT 1 FROM usage WHERE id = ?")?;
    Ok(if known.exists([id])? { Queue::Before } else { Queue::Unknown })
}

/// A row of [`COLUMNS`].
fn record(row: &Row<'_>) -> Result<UsageRecord, rusqlite::Error> {
    Ok(UsageRecord {
        id: row.get(0)?,
        at: row.get(1)?,
        user: row.get(2)?,
        agent: row.get(3)?,
        project: row.get(4)?,
        model: row.get(5)?,
        credential: row.get(6)?,
        request_id: row.get(7)?,
        status: row.get(8)?,
        milliseconds: row.get(9)?,
        input: row.get(10)?,
        output: row.get(11)?,
        cached: row.get(12)?,
        reasoning: row.get(13)?,
        source: source(row.get_ref(14)?.as_str()?),
    })
}

fn source_name(source: Source) -> &'static str {
    match source {
        Source::Reported => "reported",
        Source::Counted => "counted",
        Source::Mixed => "mixed",
    }
}

/// [`source_name`] backwards.
fn source(name: &str) -> Source {
    match name {
        "reported" => Source::Reported,
        "mixed" => Source::Mixed,
        _ => Source::Counted,
    }
}

#[cfg(test)]
pub(crate) mod tests;
