//! Taking off the disk what nobody can read any more, behind the backs of those who asked for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{BREATH, forget};
use crate::store::{self, Store};

/// How often the index of words is written anew at most: whoever forgets one event a second does not have all of it
/// written every second.
const WIPE_EVERY: Duration = Duration::from_secs(60 * 60);
/// The most steps of writing it anew: each is a megabyte.
const WIPE_STEPS: usize = 100_000;
/// The time until it is tried again, if the store could not.
const AGAIN: Duration = Duration::from_secs(60);

/// Tidies until it is dropped.
#[derive(Debug)]
pub(super) struct Tidier {
    wake: Arc<Notify>,
    task: Option<JoinHandle<()>>,
}

impl Tidier {
    /// Begins, with what an earlier process left: within a Tokio runtime, else it does nothing.
    pub(super) fn start(store: Store) -> Self {
        let wake = Arc::new(Notify::new());
        let woken = Arc::clone(&wake);
        let runtime = tokio::runtime::Handle::try_current();
        Self { wake, task: runtime.ok().map(|runtime| runtime.spawn(run(store, woken))) }
    }

    /// There may be something to do.
    pub(super) fn wake(&self) {
        self.wake.notify_one();
    }
}

impl Drop for Tidier {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn run(store: Store, woken: Arc<Notify>) {
    let mut due = Instant::now();
    loop {
        // `None`: there is nothing to come back for.
        let again = match tidy(&store, &mut due).await {
            Ok(again) => again,
            Err(error) => {
                tracing::warn!(%error, "what was forgotten cannot be read, and is not all off the disk yet");
                Some(Instant::now() + AGAIN)
            }
        };
        match again {
            Some(again) => {
                // Woken or not, it goes on.
                let _ = tokio::time::timeout_at(again, woken.notified()).await;
            }
            None => woken.notified().await,
        }
    }
}

/// Tidies as far as it may by now; when to come back.
async fn tidy(store: &Store, due: &mut Instant) -> Result<Option<Instant>, store::Error> {
    purge(store).await?;
    if store.read(forget::hidden).await? == 0 {
        return Ok(None);
    }
    if Instant::now() < *due {
        return Ok(Some(*due));
    }
    *due = Instant::now() + WIPE_EVERY;
    wipe(store).await?;
    Ok(None)
}

/// Deletes the events that nobody owns any more.
pub(super) async fn purge(store: &Store) -> Result<(), store::Error> {
    while !store.write(forget::nameless_step).await? {
        tokio::time::sleep(BREATH).await;
    }
    Ok(())
}

/// Writes the index of words anew.
pub(super) async fn wipe(store: &Store) -> Result<(), store::Error> {
    let hidden = store.read(forget::hidden).await?;
    for step in 0..WIPE_STEPS {
        if store.write(move |connection| forget::wipe_step(connection, step == 0)).await? {
            // What was hidden meanwhile may be there still.
            return store.write(move |connection| forget::wiped(connection, hidden)).await;
        }
        tokio::time::sleep(BREATH).await;
    }
    Ok(())
}
