//! The tables, and how an older version's become this one's.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::OpenError;

/// Every step from an empty database to today's, in order. A step that has been released is never edited:
/// what changes is a new one at the end.
const STEPS: &[&str] = &[
    include_str!("migrations/0001_usage.sql"),
    include_str!("migrations/0002_quota.sql"),
    include_str!("migrations/0003_queues.sql"),
];

fn known() -> u32 {
    u32::try_from(STEPS.len()).unwrap_or(u32::MAX)
}

fn version(connection: &Connection) -> Result<u32, rusqlite::Error> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Takes the steps that are missing, all or none; two processes that begin at once do not meet here.
pub(super) fn up(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |error| OpenError::failed(path, &error);
    let found = version(connection).map_err(failed)?;
    if found == known() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    let found = version(&transaction).map_err(failed)?;
    if found > known() {
        return Err(OpenError::Newer { path: path.to_owned(), found, known: known() });
    }
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    for step in STEPS.iter().skip(done) {
        transaction.execute_batch(step).map_err(failed)?;
    }
    transaction.pragma_update(None, "user_version", known()).map_err(failed)?;
    transaction.commit().map_err(failed)
}

/// Whether the tables are of this version, for those who may not change them.
pub(super) fn same(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let found = version(connection).map_err(|error| OpenError::failed(path, &error))?;
    let (path, known) = (path.to_owned(), known());
    match found {
        found if found > known => Err(OpenError::Newer { path, found, known }),
        found if found < known => Err(OpenError::Older { path, found, known }),
        _ => Ok(()),
    }
}
