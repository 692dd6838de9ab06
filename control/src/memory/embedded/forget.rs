//! Forgetting, a few events at a time: nobody waits for a long transaction.
//!
//! What is deleted is overwritten in the file (`secure_delete`). In the index of words it is hidden at once, and gone
//! when the index has been written anew ([`wipe_step`]).

use rusqlite::{Connection, OptionalExtension as _};

use super::list::rows_of_session;
use super::row::{self, rows_of};
use crate::memory::terms::SessionFilter;
use crate::store::{self, rusqlite};

/// How many events go at once.
pub(super) const STEP: usize = 250;
/// How much of the index is written anew at once, in its pages.
const WIPE_PAGES: i64 = 250;

/// Takes an owner's name from all of its events, so that nobody can read them any more and [`nameless_step`] takes
/// them away; how many there were.
pub(super) fn disown(connection: &Connection, owner: &str) -> Result<u64, store::Error> {
    let Some((number, _)) = row::number(connection, owner)? else { return Ok(0) };
    let count = "SELECT count(*) FROM events INDEXED BY events_by_owner WHERE owner = ?";
    let count = connection.prepare_cached(count)?.query_row([number], |row| row.get(0))?;
    connection.prepare_cached("UPDATE owners SET name = NULL WHERE number = ?")?.execute([number])?;
    Ok(count)
}

/// Deletes some of what nobody owns any more; whether that was all.
pub(super) fn nameless_step(connection: &Connection) -> Result<bool, store::Error> {
    let mut find = connection.prepare_cached("SELECT number FROM owners WHERE name IS NULL LIMIT 1")?;
    let Some(number) = find.query_row([], |row| row.get::<_, i64>(0)).optional()? else { return Ok(true) };
    let (first, last) = rows_of(number);
    let mut find = connection.prepare_cached("SELECT row FROM events WHERE row BETWEEN ? AND ? LIMIT ?")?;
    let most = i64::try_from(STEP).unwrap_or(i64::MAX);
    let rows = find.query_map((first, last, most), |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    if rows.len() < STEP {
        connection.prepare_cached("DELETE FROM owners WHERE number = ?")?.execute([number])?;
    }
    delete(connection, &rows)?;
    Ok(false)
}

/// Deletes some of an owner's session, the oldest; how many.
pub(super) fn session_step(
    connection: &Connection,
    owner: &str,
    session: &SessionFilter,
) -> Result<usize, store::Error> {
    let Some((number, _)) = row::number(connection, owner)? else { return Ok(0) };
    let rows = rows_of_session(connection, number, session, STEP)?;
    delete(connection, &rows)?;
    Ok(rows.len())
}

/// Deletes some of what is older than a time; how many.
pub(super) fn old_step(connection: &Connection, before: i64) -> Result<usize, store::Error> {
    let sql = "SELECT row FROM events INDEXED BY events_by_time WHERE at < ? ORDER BY at LIMIT ?";
    let mut find = connection.prepare_cached(sql)?;
    let most = i64::try_from(STEP).unwrap_or(i64::MAX);
    let rows = find.query_map((before, most), |row| row.get(0))?.collect::<Result<Vec<i64>, _>>()?;
    delete(connection, &rows)?;
    Ok(rows.len())
}

fn delete(connection: &Connection, rows: &[i64]) -> Result<(), rusqlite::Error> {
    if rows.is_empty() {
        return Ok(());
    }
    for table in ["words WHERE rowid", "vectors WHERE row", "events WHERE row"] {
        let mut delete = connection.prepare_cached(&format!("DELETE FROM {table} = ?"))?;
        for row in rows {
            delete.execute([row])?;
        }
    }
    connection.prepare_cached("UPDATE hidden SET rows = rows + ?")?.execute([rows.len()])?;
    Ok(())
}

/// How many forgotten events the index of words may still hold.
pub(super) fn hidden(connection: &Connection) -> Result<i64, store::Error> {
    Ok(connection.query_row("SELECT rows FROM hidden", [], |row| row.get(0))?)
}

/// So many of them are out of it.
pub(super) fn wiped(connection: &Connection, hidden: i64) -> Result<(), store::Error> {
    connection.prepare_cached("UPDATE hidden SET rows = rows - ?")?.execute([hidden])?;
    Ok(())
}

/// Writes some of the index of words anew, without what is hidden in it; whether that was all.
pub(super) fn wipe_step(connection: &Connection, is_first: bool) -> Result<bool, store::Error> {
    let changes = || connection.query_row("SELECT total_changes()", [], |row| row.get::<_, i64>(0));
    // Below zero: all of it, also what would not be merged otherwise.
    let pages = if is_first { -WIPE_PAGES } else { WIPE_PAGES };
    let before = changes()?;
    connection.prepare_cached("INSERT INTO words (words, rank) VALUES ('merge', ?)")?.execute([pages])?;
    // The command itself is a change.
    Ok(changes()?.saturating_sub(before) < 2)
}
