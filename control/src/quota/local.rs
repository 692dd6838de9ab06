//! Accounts in control's database.

use std::sync::Arc;

use attach_core::quota::entry::Entry;
use attach_core::quota::wire::{Account, Answer, Request};
use attach_core::quota::{Key, home};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::outage::Outage;
use super::{Error, KEEP_SECONDS, stored};
use crate::store::{Store, rusqlite};

/// For how long an account is kept that counts no longer, should the clock be set back.
const AFTER_SECONDS: u64 = 600;
/// How many rows an operation removes at most that are over: more than it adds.
const PRUNED: u32 = 32;

/// Accounts in control's database; cheap to clone.
#[derive(Clone, Debug)]
pub struct Local {
    store: Store,
    outage: Arc<Outage>,
}

impl Local {
    /// The accounts in a database.
    #[must_use]
    pub fn new(store: Store) -> Self {
        let outage = Outage::new("limits: control's database cannot be had, so nothing is granted");
        Self { store, outage: Arc::new(outage) }
    }

    /// Carries an operation out at `now`, in seconds; it is on the disk when this answers.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn operate(&self, request: Request, now: u64) -> Result<Answer, Error> {
        let answer = self.store.write(move |connection| operate(connection, &request, now)).await;
        match &answer {
            Err(error @ (Error::Store(_) | Error::Unreadable(_))) => {
                self.outage.begins(error);
            }
            _ => self.outage.over(),
        }
        answer
    }
}

fn operate(connection: &Connection, request: &Request, now: u64) -> Result<Answer, Error> {
    let mut known = connection.prepare_cached("SELECT answer FROM quota_answers WHERE id = ?")?;
    let known: Option<Vec<u8>> = known.query_row([&request.id], |row| row.get(0)).optional()?;
    if let Some(text) = known {
        return serde_json::from_slice(&text).map_err(|_| Error::Repeated);
    }
    let accounts = request.accounts.iter();
    let mut entries = accounts.map(|account| load(connection, account.key)).collect::<Result<Vec<_>, _>>()?;
    let answer = home::apply(&mut entries, &request.accounts, request.worker_number(), now);
    for (entry, account) in entries.iter().zip(&request.accounts) {
        save(connection, account, entry)?;
    }
    remember(connection, &request.id, now, &answer.to_json())?;
    let over = now.saturating_sub(AFTER_SECONDS);
    prune(connection, "quota_entries", "key", over)?;
    Ok(answer)
}

fn load(connection: &Connection, key: Key) -> Result<Entry, Error> {
    let mut query = connection.prepare_cached("SELECT entry FROM quota_entries WHERE key = ?")?;
    let bytes: Option<Vec<u8>> = query.query_row([&key.0[..]], |row| row.get(0)).optional()?;
    bytes.map_or(Ok(Entry::default()), |bytes| {
        Entry::from_bytes(&bytes).ok_or_else(|| Error::Unreadable(key.to_hex()))
    })
}

fn save(connection: &Connection, account: &Account, entry: &Entry) -> Result<(), Error> {
    const PUT: &str = "INSERT INTO quota_entries (key, entry, ends) VALUES (?, ?, ?) \
                       ON CONFLICT (key) DO UPDATE SET entry = excluded.entry, ends = excluded.ends";
    let key = &account.key.0[..];
    match entry.ends(account.window) {
        0 => connection.prepare_cached("DELETE FROM quota_entries WHERE key = ?")?.execute([key])?,
        ends => connection.prepare_cached(PUT)?.execute(params![key, entry.to_bytes(), stored(ends)])?,
    };
    Ok(())
}

/// Keeps an operation's answer, and forgets some that are over. Whether it was unknown.
pub(super) fn remember(
    connection: &Connection,
    id: &str,
    now: u64,
    answer: &[u8],
) -> Result<bool, rusqlite::Error> {
    const PUT: &str =
        "INSERT INTO quota_answers (id, at, answer) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING";
    const OVER: &str = "DELETE FROM quota_answers WHERE id IN \
                        (SELECT id FROM quota_answers WHERE at < ? ORDER BY at LIMIT ?)";
    let new = connection.prepare_cached(PUT)?.execute(params![id, stored(now), answer])? > 0;
    let over = stored(now.saturating_sub(KEEP_SECONDS));
    connection.prepare_cached(OVER)?.execute(params![over, PRUNED])?;
    Ok(new)
}

/// Removes some rows that ended before a second.
pub(super) fn prune(
    connection: &Connection,
    table: &'static str,
    primary_key: &'static str,
    before: u64,
) -> Result<(), rusqlite::Error> {
    let over = format!(
        "DELETE FROM {table} WHERE ({primary_key}) IN \
         (SELECT {primary_key} FROM {table} WHERE ends < ? ORDER BY ends LIMIT ?)"
    );
    connection.prepare_cached(&over)?.execute(params![stored(before), PRUNED])?;
    Ok(())
}
