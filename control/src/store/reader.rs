//! The connections that read. A query runs on a thread that may block, and is ended when its time is over.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{DEADLINE, Error};

/// How many queries run at once.
pub(super) const CONNECTIONS: usize = 2;
/// How often a running query looks at the clock, in steps of SQLite's machine.
const STEPS: i32 = 1000;

pub(super) struct Readers {
    free: Arc<Semaphore>,
    connections: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        Self {
            free: Arc::new(Semaphore::new(connections.len())),
            connections: Arc::new(Mutex::new(connections)),
        }
    }

    pub(super) async fn run<T, E, W>(&self, work: W) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        W: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let until = Instant::now() + DEADLINE;
        let broken = || E::from(Error::Broken);
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|_| broken())?;
        let connections = Arc::clone(&self.connections);
        let task = tokio::task::spawn_blocking(move || {
            let mut lent = Lent::take(connections).ok_or_else(|| E::from(Error::Broken))?;
            let done = lent.read(until, work);
            drop((lent, permit));
            done
        });
        task.await.map_err(|_| broken())?
    }
}

/// A connection that goes back where it came from, also when the work on it panics.
struct Lent {
    connection: Option<Connection>,
    home: Arc<Mutex<Vec<Connection>>>,
}

impl Lent {
    fn take(home: Arc<Mutex<Vec<Connection>>>) -> Option<Self> {
        let connection = home.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(Self { connection: Some(connection), home })
    }

    fn read<T, E: From<Error>>(
        &mut self,
        until: Instant,
        work: impl FnOnce(&Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let database = |error| E::from(Error::from(error));
        let Some(connection) = &mut self.connection else { return Err(E::from(Error::Broken)) };
        connection.progress_handler(STEPS, Some(move || Instant::now() >= until)).map_err(database)?;
        // Several statements see one state. Dropped at the end: there is nothing to commit.
        let transaction = connection.unchecked_transaction().map_err(database)?;
        work(&transaction)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.home.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
    }
}
