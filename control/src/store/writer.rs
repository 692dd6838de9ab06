//! The thread that writes. Work that waits together goes into one transaction, each piece in a savepoint of its
//! own: one that fails takes none of the others with it, and one sync of the disk is enough for all.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::Error;

/// How many pieces of work may wait; whoever comes later waits for a place.
const QUEUE: usize = 1024;
/// The most pieces in one transaction.
const GROUP: usize = 256;
/// For how long a transaction takes in more work: its first piece waits for it.
const GATHER: Duration = Duration::from_millis(50);

/// Work, called once: with the connection, to be done; or with the reason why it cannot be, to tell whoever waits.
type Job = Box<dyn FnOnce(Result<&Connection, Error>) -> Outcome + Send>;
/// Tells whoever waits, once it is known whether the transaction is on the disk.
type Tell = Box<dyn FnOnce(Result<(), Error>) + Send>;

enum Outcome {
    /// What it did is to be kept.
    Keep(Tell),
    /// It failed and whoever waits has been told, or nobody waits any more.
    Discard,
}

pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the thread, which ends when the writer is dropped and all work is done.
    pub(super) fn start(connection: Connection) -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        std::thread::Builder::new().name("store".to_owned()).spawn(move || write(&connection, queue))?;
        Ok(Self { jobs })
    }

    pub(super) async fn run<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel::<Result<T, E>>();
        let job: Job = Box::new(move |connection| {
            // Who gave up before its turn came has been told that it failed.
            if answer.is_closed() {
                return Outcome::Discard;
            }
            let connection = match connection {
                Ok(connection) => connection,
                Err(error) => {
                    let _ = answer.send(Err(E::from(error)));
                    return Outcome::Discard;
                }
            };
            match catch_unwind(AssertUnwindSafe(|| work(connection))) {
                Ok(Ok(value)) => Outcome::Keep(Box::new(move |committed| {
                    let _ = answer.send(committed.map(|()| value).map_err(E::from));
                })),
                Ok(Err(error)) => {
                    let _ = answer.send(Err(error));
                    Outcome::Discard
                }
                Err(_) => {
                    let _ = answer.send(Err(E::from(Error::Broken)));
                    Outcome::Discard
                }
            }
        });
        let broken = || E::from(Error::Broken);
        self.jobs.send(job).await.map_err(|_| broken())?;
        answered.await.map_err(|_| broken())?
    }
}

fn write(connection: &Connection, mut queue: mpsc::Receiver<Job>) {
    while let Some(first) = queue.blocking_recv() {
        let mut waiting = Vec::new();
        let done = group(connection, first, &mut queue, &mut waiting);
        if done.is_err() && !connection.is_autocommit() {
            // Nothing more can be done about a rollback that fails: the next transaction will say so.
            let _ = connection.execute_batch("ROLLBACK");
        }
        for tell in waiting {
            tell(done.clone());
        }
    }
}

/// One transaction. Those who wait for its end are put into `waiting`, whatever becomes of it.
fn group(
    connection: &Connection,
    first: Job,
    queue: &mut mpsc::Receiver<Job>,
    waiting: &mut Vec<Tell>,
) -> Result<(), Error> {
    let begun = Instant::now();
    let mut next = Some(first);
    let mut begin = "BEGIN IMMEDIATE";
    for _ in 0..GROUP {
        let Some(job) = next.take() else { break };
        for step in [begin, "SAVEPOINT work"] {
            if let Err(error) = run(connection, step) {
                job(Err(error.clone()));
                return Err(error);
            }
        }
        begin = "";
        let outcome = job(Ok(connection));
        let failed = matches!(outcome, Outcome::Discard);
        if let Outcome::Keep(tell) = outcome {
            waiting.push(tell);
        }
        if connection.is_autocommit() {
            // SQLite has rolled all of it back by itself, as it does when the disk is full.
            return Err(Error::Database("the transaction was rolled back; check free space".to_owned()));
        }
        if failed {
            run(connection, "ROLLBACK TO work")?;
        }
        run(connection, "RELEASE work")?;
        if begun.elapsed() < GATHER {
            next = queue.try_recv().ok();
        }
    }
    run(connection, "COMMIT")
}

fn run(connection: &Connection, statement: &str) -> Result<(), Error> {
    if !statement.is_empty() {
        connection.prepare_cached(statement)?.execute([])?;
    }
    Ok(())
}
