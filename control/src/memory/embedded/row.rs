//! An event as a row: what can be one, putting it in and reading it.

use std::collections::HashMap;

use attach_core::clock::UnixMillis;
use attach_core::clock::date::LAST_MILLISECOND;
use attach_core::mirror::{CLASS, MemoryEvent, Object};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::words;
use crate::memory::terms::{Record, Rejected, Stored};
use crate::store::{self, rusqlite};

/// The longest text, in bytes.
pub const MAX_CONTENT: usize = 1024 * 1024;
/// The longest other value, in bytes.
const MAX_VALUE: usize = 4096;
/// The most numbers of a vector.
const MAX_DIMENSIONS: usize = 8192;
/// How many bits of a row's number are its place among its owner's.
const SEQUENCE_BITS: u32 = 33;
/// The first number that no owner has.
const OWNERS: i64 = 1 << (63 - SEQUENCE_BITS);

/// The rows that an owner's number leaves room for.
pub(super) fn rows_of(owner: i64) -> (i64, i64) {
    let first = owner << SEQUENCE_BITS;
    (first, first | ((1 << SEQUENCE_BITS) - 1))
}

/// Whether an object can be kept.
///
/// # Errors
/// Why not; nothing of what it says is in it.
pub fn fit(object: &Object) -> Result<(), String> {
    let event = &object.properties;
    if object.class != CLASS {
        return Err(format!("the class must be {CLASS}"));
    }
    if uuid(&object.id).is_none() {
        return Err("the id must be a UUID".to_owned());
    }
    if event.timestamp.0 > LAST_MILLISECOND {
        return Err("timestamp must be before the year 10000".to_owned());
    }
    if event.content.len() > MAX_CONTENT {
        return Err(format!("content must have {MAX_CONTENT} bytes at most"));
    }
    let values = [
        ("event", &event.event),
        ("session_id", &event.session_id),
        ("user", &event.user),
        ("owner", &event.owner),
        ("agent", &event.agent),
        ("task_id", &event.task_id),
        ("role", &event.role),
        ("model", &event.model),
        ("request_id", &event.request_id),
        ("state", &event.state),
        ("run_id", &event.run_id),
        ("level", &event.level),
    ];
    if let Some((name, _)) = values.iter().find(|(_, value)| value.len() > MAX_VALUE) {
        return Err(format!("{name} must have {MAX_VALUE} bytes at most"));
    }
    // SQLite's `substr` ends there, and sessions are found by it.
    if event.session_id.contains('\0') {
        return Err("session_id must not hold NUL".to_owned());
    }
    Ok(())
}

/// The bytes of a UUID in its usual form.
pub(super) fn uuid(text: &str) -> Option<[u8; 16]> {
    let mut digits = 0_u128;
    if text.len() != 36 {
        return None;
    }
    for (at, c) in text.char_indices() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if c != '-' {
                return None;
            }
        } else {
            digits = digits << 4 | u128::from(c.to_digit(16)?);
        }
    }
    Some(digits.to_be_bytes())
}

/// [`uuid`] backwards.
fn uuid_text(bytes: [u8; 16]) -> String {
    let digits = format!("{:032x}", u128::from_be_bytes(bytes));
    let mut text = String::with_capacity(36);
    for (at, c) in digits.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(c);
    }
    text
}

/// An event that is ready to be put in: what takes long is done.
pub(super) struct Ready {
    id: [u8; 16],
    event: MemoryEvent,
    words: String,
    vector: Option<Vec<u8>>,
}

/// Makes records ready, and names those that cannot be kept.
pub(super) fn ready(records: Vec<Record>) -> (Vec<Ready>, Vec<Rejected>) {
    let (mut all, mut rejected) = (Vec::with_capacity(records.len()), Vec::new());
    for Record { object, vector } in records {
        match (fit(&object), uuid(&object.id)) {
            (Ok(()), Some(id)) => {
                let vector = vector.filter(|v| (1..=MAX_DIMENSIONS).contains(&v.len()));
                all.push(Ready {
                    id,
                    words: words::indexed(&object.properties.content),
                    event: object.properties,
                    vector: vector.map(|v| v.iter().flat_map(|number| number.to_le_bytes()).collect()),
                });
            }
            (fits, _) => rejected.push(Rejected { id: object.id, error: fits.err().unwrap_or_default() }),
        }
    }
    (all, rejected)
}

/// Puts events in; those that are there already stay as they are.
pub(super) fn put(connection: &Connection, events: &[Ready]) -> Result<(), store::Error> {
    const INSERT: &str = "INSERT INTO events (row, owner, at, id, session_id, event, user, agent, task_id, role, \
                          truncated, model, tokens, request_id, state, run_id, level, content) \
                          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING";
    let mut insert = connection.prepare_cached(INSERT)?;
    let mut index = connection.prepare_cached("INSERT INTO words (rowid, text) VALUES (?, ?)")?;
    let mut place = connection.prepare_cached("INSERT INTO vectors (row, vector) VALUES (?, ?)")?;
    // Of each owner of the batch its number and the next row.
    let mut owners: HashMap<&str, (i64, i64)> = HashMap::new();
    for Ready { id, event, words, vector } in events {
        let (owner, next) = match owners.get(event.owner.as_str()) {
            Some(known) => *known,
            None => begin(connection, &event.owner)?,
        };
        let added = insert.execute(params![
            next,
            owner,
            event.timestamp.0,
            id.as_slice(),
            event.session_id,
            event.event,
            event.user,
            event.agent,
            event.task_id,
            event.role,
            event.truncated,
            event.model,
            i64::try_from(event.tokens).unwrap_or(i64::MAX),
            event.request_id,
            event.state,
            event.run_id,
            event.level,
            event.content,
        ])?;
        if added > 0 {
            index.execute(params![next, words])?;
            if let Some(vector) = vector {
                place.execute(params![next, vector])?;
            }
        }
        let next = next.saturating_add(i64::from(added > 0));
        if next > rows_of(owner).1 {
            return Err(store::Error::Database("an owner has too many events".to_owned()));
        }
        owners.insert(&event.owner, (owner, next));
    }
    let mut end = connection.prepare_cached("UPDATE owners SET next = ? WHERE number = ?")?;
    for (owner, next) in owners.into_values() {
        end.execute((next - rows_of(owner).0, owner))?;
    }
    Ok(())
}

/// An owner's number and its next row; a new one's, if there is none of the name.
fn begin(connection: &Connection, name: &str) -> Result<(i64, i64), store::Error> {
    let mut add = connection.prepare_cached(
        "INSERT INTO owners (name) VALUES (?) ON CONFLICT (name) DO UPDATE SET next = next RETURNING number, next",
    )?;
    let (number, next): (i64, i64) = add.query_row([name], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if number >= OWNERS {
        return Err(store::Error::Database("there are too many owners".to_owned()));
    }
    Ok((number, rows_of(number).0 | next))
}

/// The number of an owner, and how many rows it was ever given; nobody's events are nobody's to read.
pub(super) fn number(connection: &Connection, name: &str) -> Result<Option<(i64, i64)>, rusqlite::Error> {
    if name.is_empty() {
        return Ok(None);
    }
    let mut find = connection.prepare_cached("SELECT number, next FROM owners WHERE name = ?")?;
    find.query_row([name], |row| Ok((row.get(0)?, row.get(1)?))).optional()
}

/// What [`stored`] reads of `events`. Without a name the owner has been forgotten.
pub(super) const COLUMNS: &str = "events.id, at, session_id, event, user, agent, task_id, role, truncated, model, \
                                  tokens, request_id, state, run_id, level, content, \
                                  (SELECT name FROM owners WHERE number = events.owner) AS name";

/// A row of [`COLUMNS`].
pub(super) fn stored(row: &Row<'_>) -> Result<Stored, rusqlite::Error> {
    let event = MemoryEvent {
        timestamp: UnixMillis(row.get(1)?),
        session_id: row.get(2)?,
        event: row.get(3)?,
        user: row.get(4)?,
        agent: row.get(5)?,
        task_id: row.get(6)?,
        role: row.get(7)?,
        truncated: row.get(8)?,
        model: row.get(9)?,
        tokens: row.get(10)?,
        request_id: row.get(11)?,
        state: row.get(12)?,
        run_id: row.get(13)?,
        level: row.get(14)?,
        content: row.get(15)?,
        owner: row.get(16)?,
    };
    Ok(Stored { id: uuid_text(row.get(0)?), event })
}
