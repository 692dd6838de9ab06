//! Letting versions go: on their owner's word, or because they are old.

use std::time::Duration;

use attach_core::clock::UnixMillis;
use rusqlite::{Connection, OptionalExtension as _};

use super::{Documents, Error};
use crate::clock::unix_now_millis;
use crate::memory::MemId;
use crate::store::rusqlite;

/// How many versions go at once when they are old: nobody waits for a long transaction.
const STEP: u32 = 200;
/// How often it is looked for old ones.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// How soon it is tried again when it failed.
const AGAIN: Duration = Duration::from_secs(60);
/// A day in milliseconds.
const DAY: u64 = 86_400_000;

impl Documents {
    /// Forgets a version of an owner's; `false`: it has none of that name.
    ///
    /// # Errors
    /// The store cannot, or not in time.
    pub async fn forget(&self, owner: String, mem_id: MemId) -> Result<bool, Error> {
        self.store
            .write(move |connection| {
                const OWN: &str = "SELECT 1 FROM documents WHERE mem_id = ? AND owner = ? AND forgotten = 0";
                let is_own = connection.prepare_cached(OWN)?.exists((mem_id.as_str(), owner))?;
                if is_own {
                    forget(connection, mem_id.as_str())?;
                }
                Ok(is_own)
            })
            .await
    }

    /// Forgets what is older than so many days (`MEM_RETENTION_DAYS`), now and every hour, until it is dropped.
    pub async fn expire_for_good(self, days: u32) {
        loop {
            let age = u64::from(days).saturating_mul(DAY);
            let pause = match self.expire(UnixMillis(unix_now_millis().saturating_sub(age))).await {
                Ok(0) => EVERY,
                Ok(gone) => {
                    tracing::info!(gone, "documents older than MEM_RETENTION_DAYS were forgotten");
                    EVERY
                }
                Err(error) => {
                    tracing::warn!(%error, "documents older than MEM_RETENTION_DAYS could not be forgotten");
                    AGAIN
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Forgets what was written before a time, whosever it is; how many versions.
    ///
    /// # Errors
    /// The store cannot, or not in time; some may have been forgotten.
    pub async fn expire(&self, before: UnixMillis) -> Result<u64, Error> {
        let mut gone = 0_u64;
        loop {
            let step = self.store.write(move |connection| {
                const OLD: &str =
                    "SELECT mem_id FROM documents WHERE forgotten = 0 AND created < ?1 LIMIT ?2";
                let mut old = connection.prepare_cached(OLD)?;
                let old = old.query_map((before.0, STEP), |row| row.get::<_, String>(0))?;
                let old = old.collect::<Result<Vec<_>, _>>()?;
                for mem_id in &old {
                    forget(connection, mem_id)?;
                }
                Ok::<_, Error>(old.len())
            });
            let step = step.await?;
            gone = gone.saturating_add(u64::try_from(step).unwrap_or(u64::MAX));
            if step < STEP as usize {
                return Ok(gone);
            }
        }
    }
}

/// Empties a version and ends its shares; the row itself goes when no later version names it, and with it those before
/// it that were kept for its sake.
fn forget(connection: &Connection, mem_id: &str) -> Result<(), rusqlite::Error> {
    const EMPTY: &str = "UPDATE documents SET forgotten = 1, retry_key = NULL, agent = '', title = '', \
                         content_type = '', sha256 = '', bytes = 0, content = '' WHERE mem_id = ?";
    const UNNAMED: &str = "DELETE FROM documents WHERE mem_id = ?1 AND forgotten = 1 \
                           AND NOT EXISTS (SELECT 1 FROM documents WHERE parent = ?1) RETURNING parent";
    connection.prepare_cached(EMPTY)?.execute([mem_id])?;
    connection.prepare_cached("DELETE FROM document_shares WHERE mem_id = ?")?.execute([mem_id])?;
    let mut next = Some(mem_id.to_owned());
    while let Some(mem_id) = next.take() {
        let gone = connection.prepare_cached(UNNAMED)?.query_row([mem_id], |row| row.get(0)).optional()?;
        next = gone.flatten();
    }
    Ok(())
}
