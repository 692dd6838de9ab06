//! The tables, and how an older version's become this one's.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::OpenError;

/// What a database holds, and how its connections are set.
#[derive(Debug)]
pub struct Schema {
    /// Every step from an empty database to today's, in order. A step that has been released is never edited:
    /// what changes is a new one at the end.
    pub steps: &'static [&'static str],
    /// Pragmas of the connection that writes, besides those that every database has.
    pub writing: &'static [(&'static str, &'static str)],
    /// Pragmas of those that read.
    pub reading: &'static [(&'static str, &'static str)],
}

impl Schema {
    fn version(&self) -> u32 {
        u32::try_from(self.steps.len()).unwrap_or(u32::MAX)
    }
}

/// `control.db`'s.
pub(super) const CONTROL: Schema = Schema { steps: STEPS, writing: &[], reading: &[] };

const STEPS: &[&str] = &[
    include_str!("migrations/0001_usage.sql"),
    include_str!("migrations/0002_quota.sql"),
    include_str!("migrations/0003_queues.sql"),
];

fn version(connection: &Connection) -> Result<u32, rusqlite::Error> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Takes the steps that are missing, all or none; two processes that begin at once do not meet here.
pub(super) fn up(connection: &mut Connection, path: &Path, schema: &Schema) -> Result<(), OpenError> {
    let failed = |error| OpenError::failed(path, &error);
    let known = schema.version();
    let found = version(connection).map_err(failed)?;
    if found == known {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let found = version(&transaction).map_err(failed)?;
    if found > known {
        return Err(OpenError::Newer { path: path.to_owned(), found, known });
    }
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    for step in schema.steps.iter().skip(done) {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction.pragma_update(None, "user_version", known).map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// Whether the tables are of this version, for those who may not change them.
pub(super) fn same(connection: &Connection, path: &Path, schema: &Schema) -> Result<(), OpenError> {
    let found = version(connection).map_err(|error| OpenError::failed(path, &error))?;
    let (path, known) = (path.to_owned(), schema.version());
    match found {
        found if found > known => Err(OpenError::Newer { path, found, known }),
        found if found < known => Err(OpenError::Older { path, found, known }),
        _ => Ok(()),
    }
}
