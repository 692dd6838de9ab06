//! The task that empties the queue.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::openmeter::{Receiver, Verdict};
use super::{OPENMETER, Outbox, Pace, depth, set_aside};
use crate::clock::unix_now_millis;
use crate::store::{self, Store, rusqlite};

/// The most events of a batch.
const MAX_EVENTS: u32 = 500;
/// The most bytes of a batch: beyond it no event is added.
const MAX_BYTES: usize = 512 * 1024;
/// How long the last batch may take when the process is to end.
const LAST: Duration = Duration::from_secs(5);
/// How often an empty queue is looked at although nobody said that something came: another process may have
/// put it there.
const IDLE: Duration = Duration::from_secs(30);

/// A queue and where it goes.
#[derive(Debug)]
pub struct Delivery {
    outbox: Outbox,
    receiver: Receiver,
    pace: Pace,
    /// How many events the next batch may have: fewer while a bad one is looked for.
    size: u32,
    /// Up to here there is a bad event.
    suspect: i64,
    /// Failures in a row.
    failures: u32,
    /// What was delivered and stands in the queue still.
    delivered: Option<(i64, i64)>,
    /// What was said last about why nothing leaves.
    said: Option<String>,
}

/// A delivery at work.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// Ends it, once its batch is through or five seconds have passed. What has not left stays in the queue.
    pub async fn stop(mut self) {
        // Nobody listens: it has ended.
        let _ = self.stop.send(true);
        if tokio::time::timeout(LAST, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

struct Batch {
    first: i64,
    last: i64,
    count: u32,
    id: String,
    json: String,
}

impl Delivery {
    /// A delivery that has not begun.
    #[must_use]
    pub fn new(outbox: Outbox, receiver: Receiver, pace: Pace) -> Self {
        Self {
            outbox,
            receiver,
            pace,
            size: MAX_EVENTS,
            suspect: 0,
            failures: 0,
            delivered: None,
            said: None,
        }
    }

    /// Begins. The first try is at once, whatever failed before: what was wrong may be right now.
    ///
    /// Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(mut self) -> Running {
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            // A batch that was begun is not torn off here but by `Running::stop`.
            let filled = Arc::clone(&self.outbox.filled);
            loop {
                let pause = self.step().await;
                tokio::select! {
                    biased;
                    // Told to end, or nobody is left who could tell.
                    _ = stopped.changed() => return,
                    () = tokio::time::sleep(pause.length()) => {}
                    // What comes does not make a receiver well that is not.
                    () = filled.notified(), if matches!(pause, Pause::Empty) => {}
                }
            }
        });
        Running { stop, task }
    }

    /// Sends one batch, and answers what to wait for before the next.
    async fn step(&mut self) -> Pause {
        match self.try_step().await {
            Ok(pause) => pause,
            Err(error) => {
                let why = format!("{error}; check free space in the state folder");
                self.failed(&why, Duration::ZERO)
            }
        }
    }

    async fn try_step(&mut self) -> Result<Pause, store::Error> {
        let store = self.outbox.store.clone();
        // Should the store fail now, these are not sent again while this process lives.
        if let Some((first, last)) = self.delivered {
            remove(&store, first, last).await?;
            self.delivered = None;
        }
        let size = self.size;
        let Some(batch) = store.read(move |connection| head(connection, size)).await? else {
            return Ok(Pause::Empty);
        };
        match self.receiver.send(batch.json.clone()).await {
            Verdict::Delivered => {
                self.recovered();
                if batch.last > self.suspect {
                    self.grow();
                }
                self.delivered = Some((batch.first, batch.last));
                remove(&store, batch.first, batch.last).await?;
                self.delivered = None;
                Ok(Pause::None)
            }
            Verdict::Refused(why) if batch.count > 1 => {
                self.suspect = batch.last;
                self.size = (batch.count / 2).max(1);
                tracing::debug!(events = batch.count, why, "a batch was refused and is halved");
                Ok(Pause::None)
            }
            Verdict::Refused(why) => {
                tracing::warn!(id = batch.id, why, "OpenMeter will not take an event; it is set aside");
                aside(&store, batch.first, why).await?;
                self.recovered();
                if batch.last >= self.suspect {
                    self.grow();
                }
                Ok(Pause::None)
            }
            Verdict::Later(why, after) => {
                let pause = self.failed(&why, after);
                note(&store, batch.first, why, pause.length()).await;
                Ok(pause)
            }
            Verdict::Misconfigured(why) => {
                let pause = self.failed(&why, self.pace.longest);
                note(&store, batch.first, why, pause.length()).await;
                Ok(pause)
            }
        }
    }

    fn grow(&mut self) {
        self.size = self.size.saturating_mul(2).min(MAX_EVENTS);
    }

    /// A pause, at least so long; the reason is told once for as long as it stays the same.
    fn failed(&mut self, why: &str, at_least: Duration) -> Pause {
        self.failures = self.failures.saturating_add(1);
        if self.said.as_deref() == Some(why) {
            tracing::debug!(failures = self.failures, why, "usage events wait");
        } else {
            let to = self.receiver.shown();
            tracing::warn!(to, why, "usage events cannot leave; they are kept and sent later");
            self.said = Some(why.to_owned());
        }
        // Without randomness the pauses are only more alike.
        let random = getrandom::u32().unwrap_or_default();
        let pause = self.pace.pause(self.failures, random);
        Pause::For(pause.max(at_least.min(self.pace.longest)))
    }

    fn recovered(&mut self) {
        if self.said.take().is_some() {
            tracing::info!(failures = self.failures, "usage events leave again");
        }
        self.failures = 0;
    }
}

/// What to wait for.
enum Pause {
    /// Nothing.
    None,
    /// Something to send.
    Empty,
    /// The receiver.
    For(Duration),
}

impl Pause {
    fn length(&self) -> Duration {
        match self {
            Self::None => Duration::ZERO,
            Self::Empty => IDLE,
            Self::For(pause) => *pause,
        }
    }
}

/// The oldest events, `size` at most, as one batch.
fn head(connection: &Connection, size: u32) -> Result<Option<Batch>, store::Error> {
    const HEAD: &str = "SELECT seq, id, payload FROM outbox WHERE kind = ? ORDER BY seq LIMIT ?";
    let mut query = connection.prepare_cached(HEAD)?;
    let mut rows = query.query((OPENMETER, size))?;
    let mut batch: Option<Batch> = None;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let payload = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
        match &mut batch {
            None => {
                let json = format!("[{payload}");
                batch = Some(Batch { first: seq, last: seq, count: 1, id: row.get(1)?, json });
            }
            Some(batch) => {
                if batch.json.len() + payload.len() > MAX_BYTES {
                    break;
                }
                batch.json.push(',');
                batch.json.push_str(payload);
                batch.last = seq;
                batch.count += 1;
            }
        }
    }
    Ok(batch.map(|mut batch| {
        batch.json.push(']');
        batch
    }))
}

async fn remove(store: &Store, first: i64, last: i64) -> Result<(), store::Error> {
    const DELETE: &str = "DELETE FROM outbox WHERE kind = ? AND seq BETWEEN ? AND ?";
    store
        .write(move |connection| {
            connection.prepare_cached(DELETE)?.execute((OPENMETER, first, last))?;
            tracing::debug!(left = depth(connection)?, "usage events left");
            Ok(())
        })
        .await
}

/// Moves one event to where the bad ones are.
async fn aside(store: &Store, seq: i64, why: String) -> Result<(), store::Error> {
    const TAKE: &str = "DELETE FROM outbox WHERE seq = ? RETURNING kind, id, payload";
    store
        .write(move |connection| {
            let mut take = connection.prepare_cached(TAKE)?;
            let mut rows = take.query([seq])?;
            let mut taken: Vec<(String, String, String)> = Vec::new();
            while let Some(row) = rows.next()? {
                taken.push((row.get(0)?, row.get(1)?, row.get(2)?));
            }
            for (kind, id, payload) in taken {
                set_aside(connection, &kind, &id, &payload, &why, unix_now_millis())?;
            }
            Ok(())
        })
        .await
}

/// Writes at the oldest event why it has not left, for whoever looks at the queue; nothing hangs on it.
async fn note(store: &Store, seq: i64, why: String, pause: Duration) {
    const NOTE: &str = "UPDATE outbox SET attempts = attempts + 1, error = ?, next_at = ? WHERE seq = ?";
    let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    let next_at = unix_now_millis().saturating_add(pause);
    let noted = store.write(move |connection| {
        connection.prepare_cached(NOTE)?.execute((why, next_at, seq))?;
        Ok::<_, store::Error>(())
    });
    if let Err(error) = noted.await {
        tracing::debug!(%error, "why usage events wait could not be written down");
    }
}
