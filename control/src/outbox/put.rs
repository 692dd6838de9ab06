//! What goes into a queue of its own accord, what is set aside, and what is taken out again because it is to be
//! forgotten.

use rusqlite::{Connection, params};

use super::{Kind, MAX_SET_ASIDE, MAX_SET_ASIDE_BYTES, Outbox, size};
use crate::store::{self, rusqlite};

/// An event that is to leave.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is known by: told twice, it is in the queue once.
    pub id: String,
    /// What leaves.
    pub payload: String,
    /// Whose it is.
    pub owner: Option<String>,
    /// The session that it belongs to.
    pub session: Option<String>,
}

impl std::fmt::Debug for Entry {
    /// Nothing of what it says.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("id", &self.id)
            .field("bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// Why events were not taken; none of them was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Too much waits already.
    #[error("{events} events of {bytes} bytes wait, and no more are taken: `attach doctor` says why")]
    Full {
        /// How many.
        events: u64,
        /// How large.
        bytes: u64,
    },
}

impl From<rusqlite::Error> for Refused {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Outbox {
    /// Puts events at the end of the queue at `now` (milliseconds of Unix time), all or none. Those that are there
    /// already stay as they are.
    ///
    /// # Errors
    /// See [`Refused`].
    pub async fn put(&self, entries: Vec<Entry>, now: u64) -> Result<(), Refused> {
        const INSERT: &str = "INSERT INTO outbox (kind, id, payload, added_at, owner, session) \
                              VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kind, id) DO NOTHING";
        if entries.is_empty() {
            return Ok(());
        }
        let (kind, limit) = (self.kind.name(), self.limit);
        let write = move |connection: &Connection| {
            let bytes = entries.iter().map(|entry| entry.payload.len()).fold(0, usize::saturating_add);
            let (events, bytes) = (u64::try_from(entries.len()), u64::try_from(bytes));
            let there = size(connection, "outbox", kind)?;
            // Before anything is written: a queue that is full is asked often.
            let is_full = there.rows.saturating_add(events.unwrap_or(u64::MAX)) > limit.events
                || there.bytes.saturating_add(bytes.unwrap_or(u64::MAX)) > limit.bytes;
            if is_full {
                return Err(Refused::Full { events: there.rows, bytes: there.bytes });
            }
            let mut insert = connection.prepare_cached(INSERT)?;
            for Entry { id, payload, owner, session } in &entries {
                insert.execute(params![kind, id, payload, now, owner, session])?;
            }
            Ok(())
        };
        self.store.write(write).await?;
        self.wake();
        Ok(())
    }
}

/// Remembers what nobody takes and belongs to nobody, the first time that it is seen.
pub(crate) fn set_aside(
    connection: &Connection,
    kind: &str,
    id: &str,
    payload: &str,
    error: &str,
    now: u64,
) -> Result<(), rusqlite::Error> {
    let entry = Entry { id: id.to_owned(), payload: payload.to_owned(), owner: None, session: None };
    set_aside_entry(connection, kind, &entry, error, now)
}

/// Remembers what nobody takes, the first time that it is seen.
pub(crate) fn set_aside_entry(
    connection: &Connection,
    kind: &str,
    entry: &Entry,
    error: &str,
    now: u64,
) -> Result<(), rusqlite::Error> {
    const INSERT: &str = "INSERT INTO set_aside (kind, id, payload, error, at, owner, session) \
                          VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, id) DO NOTHING";
    const OLDEST: &str = "DELETE FROM set_aside WHERE seq = (SELECT min(seq) FROM set_aside WHERE kind = ?)";
    let Entry { id, payload, owner, session } = entry;
    connection.prepare_cached(INSERT)?.execute(params![kind, id, payload, error, now, owner, session])?;
    loop {
        let there = size(connection, "set_aside", kind)?;
        if there.rows <= MAX_SET_ASIDE && there.bytes <= MAX_SET_ASIDE_BYTES || there.rows == 0 {
            return Ok(());
        }
        connection.prepare_cached(OLDEST)?.execute([kind])?;
    }
}

/// Takes out what somebody owns, of all sessions or of those that begin so; how many of them there were.
pub(crate) fn forget(
    connection: &Connection,
    kind: Kind,
    owner: &str,
    session: Option<&str>,
) -> Result<u64, rusqlite::Error> {
    let mut gone = 0_usize;
    for table in ["outbox", "set_aside"] {
        // Sessions are compared as bytes: a name is no pattern.
        let delete = format!(
            "DELETE FROM {table} WHERE kind = ?1 AND owner = ?2 \
             AND (?3 IS NULL OR substr(coalesce(session, ''), 1, length(?3)) = ?3)"
        );
        gone = gone.saturating_add(connection.prepare_cached(&delete)?.execute((
            kind.name(),
            owner,
            session,
        ))?);
    }
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}

/// Takes out what came before that (milliseconds of Unix time), `most` at a time; how many there were.
pub(crate) fn forget_older(
    connection: &Connection,
    kind: Kind,
    before: u64,
    most: u32,
) -> Result<u64, rusqlite::Error> {
    let mut gone = 0_usize;
    for (table, time) in [("outbox", "added_at"), ("set_aside", "at")] {
        // They came in their order, so the oldest are at the beginning.
        let delete = format!(
            "DELETE FROM {table} WHERE {time} < ?2 AND seq IN \
             (SELECT seq FROM {table} WHERE kind = ?1 ORDER BY seq LIMIT ?3)"
        );
        gone =
            gone.saturating_add(connection.prepare_cached(&delete)?.execute((kind.name(), before, most))?);
    }
    Ok(u64::try_from(gone).unwrap_or(u64::MAX))
}
