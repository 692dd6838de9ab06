//! The task that empties the queue.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::put::{Entry, set_aside_entry};
use super::receive::{Event, Receive, Verdict};
use super::{Kind, Outbox, Pace, depth};
use crate::clock::unix_now_millis;
use crate::store::{self, Store, rusqlite};

/// How long the last batch may take when the process is to end.
const LAST: Duration = Duration::from_secs(5);
/// How often an empty queue is looked at although nobody said that something came: another process may have
/// put it there.
const IDLE: Duration = Duration::from_secs(30);

/// A queue and where it goes.
#[derive(Debug)]
pub struct Delivery<R> {
    outbox: Outbox,
    receiver: R,
    pace: Pace,
    /// How many events the next batch may have: fewer while a bad one is looked for.
    size: u32,
    /// Up to here there is a bad event.
    suspect: i64,
    /// Failures in a row.
    failures: u32,
    /// What was delivered and stands in the queue still.
    delivered: Option<Done>,
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

/// What is through and is to be taken out of the queue.
#[derive(Clone, Debug)]
struct Done {
    first: i64,
    last: i64,
    /// Ids of those among them that nobody takes, and why.
    rejected: Vec<(String, String)>,
}

impl<R: Receive> Delivery<R> {
    /// A delivery that has not begun.
    #[must_use]
    pub fn new(outbox: Outbox, receiver: R, pace: Pace) -> Self {
        Self {
            outbox,
            size: receiver.batch().events,
            receiver,
            pace,
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
        let turn = Arc::clone(&self.outbox.turn);
        let _turn = turn.lock().await;
        // Should the store fail now, these are not sent again while this process lives.
        if let Some(done) = self.delivered.clone() {
            self.finish(done).await?;
        }
        let (store, kind, size) = (self.outbox.store.clone(), self.outbox.kind, self.size);
        let bytes = self.receiver.batch().bytes;
        let events = store.read(move |connection| head(connection, kind, size, bytes)).await?;
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(Pause::Empty) };
        let (id, first, last, count) = (first.id.clone(), first.seq, last.seq, events.len());
        match self.receiver.send(&events).await {
            Verdict::Delivered => self.finish(Done { first, last, rejected: Vec::new() }).await?,
            Verdict::Partly(rejected) => {
                for (id, why) in &rejected {
                    tracing::warn!(id, why, "of the {}, one is never taken; it is set aside", R::EVENTS);
                }
                self.finish(Done { first, last, rejected }).await?;
            }
            Verdict::Refused(why) if count > 1 => {
                self.suspect = last;
                self.size = u32::try_from(count / 2).unwrap_or(u32::MAX).max(1);
                tracing::debug!(events = count, why, "a batch was refused and is halved");
            }
            Verdict::Refused(why) => {
                tracing::warn!(id, why, "of the {}, one is never taken; it is set aside", R::EVENTS);
                self.finish(Done { first, last, rejected: vec![(id, why)] }).await?;
            }
            Verdict::Later(why, after) => {
                let pause = self.failed(&why, after);
                note(&store, first, why, pause.length()).await;
                return Ok(pause);
            }
            Verdict::Misconfigured(why) => {
                let pause = self.failed(&why, self.pace.longest);
                note(&store, first, why, pause.length()).await;
                return Ok(pause);
            }
        }
        Ok(Pause::None)
    }

    /// Takes what is through out of the queue.
    async fn finish(&mut self, done: Done) -> Result<(), store::Error> {
        self.recovered();
        self.delivered = Some(done.clone());
        let last = done.last;
        remove(&self.outbox.store, self.outbox.kind, done).await?;
        self.delivered = None;
        // A batch that ends where the bad one was sought has all of what was suspected behind it.
        if last >= self.suspect {
            self.grow();
        }
        Ok(())
    }

    fn grow(&mut self) {
        self.size = self.size.saturating_mul(2).min(self.receiver.batch().events);
    }

    /// A pause, at least so long; the reason is told once for as long as it stays the same.
    fn failed(&mut self, why: &str, at_least: Duration) -> Pause {
        self.failures = self.failures.saturating_add(1);
        if self.said.as_deref() == Some(why) {
            tracing::debug!(failures = self.failures, why, "{} wait", R::EVENTS);
        } else {
            let to = self.receiver.shown();
            tracing::warn!(to, why, "{} cannot leave; they are kept and sent later", R::EVENTS);
            self.said = Some(why.to_owned());
        }
        // Without randomness the pauses are only more alike.
        let random = getrandom::u32().unwrap_or_default();
        let pause = self.pace.pause(self.failures, random);
        Pause::For(pause.max(at_least.min(self.pace.longest)))
    }

    fn recovered(&mut self) {
        if self.said.take().is_some() {
            tracing::info!(failures = self.failures, "{} leave again", R::EVENTS);
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

/// The oldest events, `size` at most.
fn head(connection: &Connection, kind: Kind, size: u32, bytes: usize) -> Result<Vec<Event>, store::Error> {
    const HEAD: &str = "SELECT seq, id, payload FROM outbox WHERE kind = ? ORDER BY seq LIMIT ?";
    let mut query = connection.prepare_cached(HEAD)?;
    let mut rows = query.query((kind.name(), size))?;
    let (mut events, mut length) = (Vec::new(), 0_usize);
    while let Some(row) = rows.next()? {
        let payload = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
        length = length.saturating_add(payload.len());
        if !events.is_empty() && length > bytes {
            break;
        }
        events.push(Event { seq: row.get(0)?, id: row.get(1)?, payload: payload.to_owned() });
    }
    Ok(events)
}

/// Takes what is through out of the queue; what nobody takes goes to where the bad ones are.
async fn remove(store: &Store, kind: Kind, done: Done) -> Result<(), store::Error> {
    const TAKE: &str = "SELECT payload, owner, session FROM outbox WHERE kind = ? AND id = ?";
    const DELETE: &str = "DELETE FROM outbox WHERE kind = ? AND seq BETWEEN ? AND ?";
    store
        .write(move |connection| {
            let name = kind.name();
            for (id, why) in done.rejected {
                let mut take = connection.prepare_cached(TAKE)?;
                let entry = take.query_row([name, &id], |row| {
                    let (payload, owner, session) = (row.get(0)?, row.get(1)?, row.get(2)?);
                    Ok(Entry { id: id.clone(), payload, owner, session })
                });
                if let Some(entry) = entry.optional()? {
                    set_aside_entry(connection, name, &entry, &why, unix_now_millis())?;
                }
            }
            connection.prepare_cached(DELETE)?.execute((name, done.first, done.last))?;
            tracing::debug!(kind = name, left = depth(connection, kind)?, "events left");
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
        tracing::debug!(%error, "why events wait could not be written down");
    }
}
