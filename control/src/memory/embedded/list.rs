//! Events in their order, newest first, and one by its id.

use rusqlite::{Connection, OptionalExtension as _, named_params};

use super::row::{self, COLUMNS, stored};
use crate::memory::terms::{Page, Reach, SessionFilter, Stored};
use crate::store::{self, rusqlite};

/// The most events of a page.
const MAX_PAGE: usize = 10_000;
/// How much of a session id is in the index, in characters.
const BEGINNING: usize = 16;

/// A session, as it is looked for: its beginning, and the whole of it if that is known.
pub(super) fn session(filter: &SessionFilter) -> (String, Option<&str>) {
    match filter {
        SessionFilter::Whole(whole) => (whole.chars().take(BEGINNING).collect(), Some(whole)),
        SessionFilter::Beginning(beginning) => (beginning.clone(), None),
    }
}

pub(super) fn page(connection: &Connection, reach: &Reach, page: &Page) -> Result<Vec<Stored>, store::Error> {
    let owner = match reach {
        Reach::Everyone => None,
        Reach::Owner(name) => match row::number(connection, name)? {
            Some((owner, _)) => Some(owner),
            None => return Ok(Vec::new()),
        },
    };
    let (index, of_session) = match (&page.session, owner) {
        (Some(_), _) => (
            "events_by_session",
            "AND substr(session_id, 1, 16) = :beginning AND (:whole IS NULL OR session_id = :whole)",
        ),
        (None, Some(_)) => ("events_by_owner", "AND :beginning IS NULL AND :whole IS NULL"),
        (None, None) => ("events_by_time", "AND :beginning IS NULL AND :whole IS NULL"),
    };
    // Whoever may read everything does not see what is forgotten and has yet to go.
    let of_owner = if owner.is_some() { "owner = :owner" } else { ":owner IS NULL AND name IS NOT NULL" };
    let sql = format!(
        "SELECT {COLUMNS} FROM events INDEXED BY {index} WHERE {of_owner} {of_session} \
         AND at <= :at AND (at < :at OR events.id < :id) ORDER BY at DESC, events.id DESC LIMIT :limit"
    );
    // Without a cursor: behind everything there can be. No UUID is smaller than nothing.
    let (at, id) = page.before.as_ref().map_or((i64::MAX, Vec::new()), |(at, id)| {
        (i64::try_from(at.0).unwrap_or(i64::MAX), row::uuid(id).map_or(Vec::new(), Vec::from))
    });
    let (beginning, whole) = page.session.as_ref().map(session).unzip();
    let mut query = connection.prepare_cached(&sql)?;
    let found = query.query_map(
        named_params! {
            ":owner": owner, ":beginning": beginning, ":whole": whole.flatten(),
            ":at": at, ":id": id, ":limit": i64::try_from(page.limit.min(MAX_PAGE)).unwrap_or(0),
        },
        stored,
    )?;
    Ok(found.collect::<Result<_, _>>()?)
}

pub(super) fn get(connection: &Connection, reach: &Reach, id: &str) -> Result<Option<Stored>, store::Error> {
    let Some(id) = row::uuid(id) else { return Ok(None) };
    let sql = format!("SELECT {COLUMNS} FROM events WHERE events.id = ? AND name IS NOT NULL");
    let found = connection.prepare_cached(&sql)?.query_row([id.as_slice()], stored).optional()?;
    Ok(found.filter(|found| match reach {
        Reach::Everyone => true,
        Reach::Owner(owner) => !owner.is_empty() && found.event.owner == *owner,
    }))
}

/// The rows of an owner's session, the smallest first.
pub(super) fn rows_of_session(
    connection: &Connection,
    owner: i64,
    filter: &SessionFilter,
    most: usize,
) -> Result<Vec<i64>, rusqlite::Error> {
    let (beginning, whole) = session(filter);
    let mut find = connection.prepare_cached(
        "SELECT row FROM events INDEXED BY events_by_session WHERE substr(session_id, 1, 16) = ?1 AND owner = ?2 \
         AND (?3 IS NULL OR session_id = ?3) ORDER BY at, id LIMIT ?4",
    )?;
    let most = i64::try_from(most).unwrap_or(0);
    find.query_map((beginning, owner, whole, most), |row| row.get(0))?.collect()
}
