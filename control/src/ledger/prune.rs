//! Letting rows go that are older than they are kept, a few at a time: nobody waits for a long transaction.

use std::time::Duration;

use super::RETENTION;
use crate::clock::unix_now;
use crate::store::{self, Store};

/// How many rows go at once.
const STEP: u32 = 1_000;
/// The time between two steps, which leaves the disk to others.
const BREATH: Duration = Duration::from_millis(200);
/// How often it is looked for old rows.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// Prunes until it is dropped.
pub async fn run(store: Store) {
    loop {
        let before = unix_now().saturating_sub(RETENTION.as_secs()).saturating_mul(1000);
        let pause = match step(&store, before).await {
            Ok(gone) if gone >= STEP as usize => BREATH,
            Ok(_) => EVERY,
            Err(error) => {
                tracing::warn!(%error, "old usage rows could not be removed");
                EVERY
            }
        };
        tokio::time::sleep(pause).await;
    }
}

/// Removes some of the rows from before a time (milliseconds of Unix time), and answers how many.
pub(super) async fn step(store: &Store, before: u64) -> Result<usize, store::Error> {
    store
        .write(move |connection| {
            const USAGE: &str = "DELETE FROM usage WHERE seq IN \
                                 (SELECT seq FROM usage WHERE at < ?1 ORDER BY at LIMIT ?2)";
            const ASIDE: &str = "DELETE FROM set_aside WHERE seq IN \
                                 (SELECT seq FROM set_aside ORDER BY seq LIMIT ?2) AND at < ?1";
            let mut most = 0;
            for sql in [USAGE, ASIDE] {
                most = connection.prepare_cached(sql)?.execute((before, STEP))?.max(most);
            }
            Ok(most)
        })
        .await
}
