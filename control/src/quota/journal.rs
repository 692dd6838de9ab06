//! What this control has relayed to Redis, kept in its own database so that an empty Redis can be filled again.

use std::collections::{BTreeMap, BTreeSet};

use attach_core::quota::wire::{Request, worker_number};
use attach_core::quota::{LEASE_SECONDS, Window};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::fleet::reply::Reply;
use super::{LARGEST, local, read, stored};
use crate::store::{Error, Store, rusqlite};

/// How long rows outlive their window, in seconds: the clocks of two Redis servers may differ.
const AFTER_SECONDS: u64 = 600;
/// How many accounts a piece has at most.
const PIECE: u32 = 100;
/// How many answers a piece has at most.
const ANSWERS: u32 = 500;

/// Who this control is, and what it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name among the controls that share a Redis.
    pub name: String,
    /// It has never seen an epoch: nobody can have anything to add on its account.
    pub fresh: bool,
    /// The other controls that it has seen lately.
    pub others: Vec<String>,
    /// The longest sliding window in the journal, in seconds.
    pub longest: u64,
}

/// Some accounts of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// By key, in their order; only those that still count.
    pub accounts: Vec<(Vec<u8>, Kept)>,
    /// The last key that was looked at; `None`: there is no more.
    pub last: Option<Vec<u8>>,
}

/// What the journal has of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The second from which nothing of it counts.
    pub ends: u64,
    /// Slots, and what was used in them.
    pub used: Vec<(u64, u64)>,
    /// What workers held.
    pub leases: Vec<KeptLease>,
}

/// What the journal has of a worker's lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptLease {
    /// [`worker`].
    pub worker: String,
    /// How much; nothing if it has said so lately.
    pub amount: u64,
    /// The second when the worker was heard of last.
    pub renewed: u64,
    /// The same in microseconds of Redis's clock.
    pub stamp: u64,
}

/// What Redis and the journal know a worker by.
#[must_use]
pub fn worker(name: &str) -> String {
    format!("{:016x}", worker_number(name))
}

/// A window in a number: seconds; 0: a day; -1: a month.
#[must_use]
pub fn window_code(window: Window) -> i64 {
    match window {
        Window::Sliding(seconds) => i64::from(seconds.max(1)),
        Window::Day => 0,
        Window::Month => -1,
    }
}

/// This control's name; `proposed` if it has none yet.
///
/// # Errors
/// The store.
pub async fn member(store: &Store, proposed: String) -> Result<Member, Error> {
    store.write(move |connection| find_member(connection, &proposed)).await
}

fn find_member(connection: &Connection, proposed: &str) -> Result<Member, Error> {
    let own = || {
        let sql = "SELECT name, own FROM quota_members WHERE own > 0";
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    };
    let (name, state): (String, i64) = match own()? {
        Some(found) => found,
        None => {
            connection.execute("INSERT INTO quota_members (name, own) VALUES (?, 1)", [proposed])?;
            (proposed.to_owned(), 1)
        }
    };
    let mut others = connection.prepare("SELECT name FROM quota_members WHERE own = 0 ORDER BY name")?;
    let others = others.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let longest: Option<i64> =
        connection.query_row("SELECT max(window) FROM quota_spent", [], |row| row.get(0))?;
    Ok(Member { name, fresh: state == 1, others, longest: read(longest.unwrap_or(0)) })
}

/// Remembers that this control has seen an epoch, and which others there are.
///
/// # Errors
/// The store.
pub async fn seen(store: &Store, others: Vec<String>) -> Result<(), Error> {
    store
        .write(move |connection| {
            connection.execute("UPDATE quota_members SET own = 2 WHERE own = 1", [])?;
            connection.execute("DELETE FROM quota_members WHERE own = 0", [])?;
            let mut put = connection.prepare_cached(
                "INSERT INTO quota_members (name, own) VALUES (?, 0) ON CONFLICT DO NOTHING",
            )?;
            for other in others {
                put.execute([other])?;
            }
            Ok(())
        })
        .await
}

/// Writes down what Redis has done for a worker, once, and `text`, which is what it answered.
///
/// # Errors
/// The store; the same again is no mistake.
pub async fn write(store: &Store, request: &Request, reply: &Reply, text: String) -> Result<(), Error> {
    let rows = Rows::new(request, reply);
    let id = request.id.clone();
    let now = reply.stamp / 1_000_000;
    store
        .write(move |connection| {
            if local::remember(connection, &id, now, text.as_bytes())? {
                rows.write(connection)?;
            }
            let over = now.saturating_sub(AFTER_SECONDS);
            local::prune(connection, "quota_spent", "key, window, slot", over)?;
            local::prune(connection, "quota_leases", "key, worker", over)?;
            Ok(())
        })
        .await
}

/// What an operation changes in the journal.
struct Rows {
    worker: String,
    stamp: u64,
    spent: Vec<Spent>,
    leases: Vec<Lease>,
}

struct Spent {
    key: [u8; 16],
    window: i64,
    slot: u64,
    tokens: u64,
    ends: u64,
}

struct Lease {
    key: [u8; 16],
    amount: u64,
    renewed: u64,
    ends: u64,
}

impl Rows {
    fn new(request: &Request, reply: &Reply) -> Self {
        let (mut spent, mut leases) = (Vec::new(), Vec::new());
        for (account, told) in request.accounts.iter().zip(&reply.accounts) {
            let (key, window) = (account.key.0, account.window);
            for &(at, tokens) in account.spent.iter().filter(|(_, tokens)| *tokens > 0) {
                // Where the script has put it.
                let at = at.max(told.since).min(told.now);
                spent.push(Spent {
                    key,
                    window: window_code(window),
                    slot: window.slot(at),
                    tokens: tokens.min(LARGEST),
                    ends: window.leaves(at),
                });
            }
            let runs_out = told.now.saturating_add(LEASE_SECONDS);
            let ends = if told.lease > 0 { window.leaves(runs_out) } else { runs_out };
            // A worker that only asks how it stands has nothing that could come back.
            if told.lease > 0 || told.since > 0 {
                leases.push(Lease { key, amount: told.lease, renewed: told.now, ends });
            }
        }
        Self { worker: worker(&request.worker), stamp: reply.stamp, spent, leases }
    }

    fn write(&self, connection: &Connection) -> Result<(), rusqlite::Error> {
        const SPENT: &str = "INSERT INTO quota_spent (key, window, slot, tokens, ends) VALUES (?, ?, ?, ?, ?) \
                             ON CONFLICT (key, window, slot) \
                             DO UPDATE SET tokens = min(tokens + excluded.tokens, 9007199254740991)";
        const LEASE: &str = "INSERT INTO quota_leases (key, worker, amount, renewed, stamp, ends) \
                             VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key, worker) DO UPDATE SET \
                             amount = excluded.amount, renewed = excluded.renewed, stamp = excluded.stamp, \
                             ends = excluded.ends WHERE excluded.stamp >= stamp";
        let mut put = connection.prepare_cached(SPENT)?;
        for row in &self.spent {
            let tokens = stored(row.tokens);
            put.execute(params![&row.key[..], row.window, stored(row.slot), tokens, stored(row.ends)])?;
        }
        let mut put = connection.prepare_cached(LEASE)?;
        for row in &self.leases {
            let (amount, renewed) = (stored(row.amount), stored(row.renewed));
            let (stamp, ends) = (stored(self.stamp), stored(row.ends));
            put.execute(params![&row.key[..], self.worker, amount, renewed, stamp, ends])?;
        }
        Ok(())
    }
}

/// What comes after a key (of no bytes: all), as far as it still counts at `now`.
///
/// # Errors
/// The store.
pub async fn piece(store: &Store, after: Vec<u8>, now: u64) -> Result<Piece, Error> {
    store.read(move |connection| Ok(find_piece(connection, &after, now)?)).await
}

fn find_piece(connection: &Connection, after: &[u8], now: u64) -> Result<Piece, rusqlite::Error> {
    let mut keys = BTreeSet::new();
    for table in ["quota_spent", "quota_leases"] {
        let sql = format!("SELECT DISTINCT key FROM {table} WHERE key > ? ORDER BY key LIMIT ?");
        let mut query = connection.prepare_cached(&sql)?;
        for key in query.query_map(params![after, PIECE], |row| row.get::<_, Vec<u8>>(0))? {
            keys.insert(key?);
        }
    }
    let mut accounts: BTreeMap<Vec<u8>, Kept> = keys
        .into_iter()
        .take(usize::try_from(PIECE).unwrap_or(usize::MAX))
        .map(|key| (key, Kept::default()))
        .collect();
    let Some((last, _)) = accounts.last_key_value() else { return Ok(Piece::default()) };
    let last = last.clone();
    let between = params![after, last, stored(now)];
    // Slots of several windows are possible where a limit was changed.
    let sql = "SELECT key, slot, sum(tokens), max(ends) FROM quota_spent \
               WHERE key > ? AND key <= ? AND ends > ? GROUP BY key, slot ORDER BY key, slot";
    let mut query = connection.prepare_cached(sql)?;
    let mut rows = query.query(between)?;
    while let Some(row) = rows.next()? {
        if let Some(kept) = accounts.get_mut(row.get_ref(0)?.as_blob()?) {
            kept.used.push((read(row.get(1)?), read(row.get(2)?).min(LARGEST)));
            kept.ends = kept.ends.max(read(row.get(3)?));
        }
    }
    let sql = "SELECT key, worker, amount, renewed, stamp, ends FROM quota_leases \
               WHERE key > ? AND key <= ? AND ends > ? ORDER BY key, worker";
    let mut query = connection.prepare_cached(sql)?;
    let mut rows = query.query(between)?;
    while let Some(row) = rows.next()? {
        if let Some(kept) = accounts.get_mut(row.get_ref(0)?.as_blob()?) {
            kept.leases.push(KeptLease {
                worker: row.get(1)?,
                amount: read(row.get(2)?),
                renewed: read(row.get(3)?),
                stamp: read(row.get(4)?),
            });
            kept.ends = kept.ends.max(read(row.get(5)?));
        }
    }
    accounts.retain(|_, kept| kept.ends > 0);
    Ok(Piece { accounts: accounts.into_iter().collect(), last: Some(last) })
}

/// Operations after an id, with what they were answered and the second when, from `since` on.
///
/// # Errors
/// The store.
pub async fn answers(store: &Store, after: String, since: u64) -> Result<Vec<(String, u64, Vec<u8>)>, Error> {
    store
        .read(move |connection| {
            let sql = "SELECT id, at, answer FROM quota_answers WHERE id > ? AND at >= ? ORDER BY id LIMIT ?";
            let mut query = connection.prepare_cached(sql)?;
            let rows = query.query_map(params![after, stored(since), ANSWERS], |row| {
                Ok((row.get(0)?, read(row.get(1)?), row.get(2)?))
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
}

#[cfg(test)]
mod tests;
