//! What memory does without being asked: it sees to Weaviate's class, delivers what waits, and forgets what is too
//! old.

use std::sync::Arc;
use std::time::Duration;

use attach_core::clock::UnixMillis;
use tokio::task::JoinHandle;

use super::backend::Backend;
use super::outbox::Receiver;
use super::terms::Error;
use super::{KIND, Memory};
use crate::clock::unix_now_millis;
use crate::outbox::{self, Delivery, Pace};

/// How often what is too old is forgotten.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// How soon it is tried again when it failed.
const AGAIN: Duration = Duration::from_secs(60);
/// How often it is looked whether Weaviate and its class are still there.
const LOOK: Duration = Duration::from_secs(5);
/// How long the start waits for Weaviate's word.
const START: Duration = Duration::from_secs(5);
/// A day in milliseconds.
const DAY: u64 = 86_400_000;
/// How many old events are taken out of the queue at once.
const OLD: u32 = 1000;

/// Upkeep at work.
#[derive(Debug)]
pub struct Running {
    delivery: outbox::Running,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    /// Ends it, once the batch that is under way is through or five seconds have passed. What has not left stays.
    pub async fn stop(self) {
        for task in &self.tasks {
            task.abort();
        }
        self.delivery.stop().await;
    }
}

impl Memory {
    /// Whether memory can be used as it is set, for the start.
    ///
    /// # Errors
    /// Weaviate is there and says that it cannot, with what to do. One that does not answer is no error: events wait
    /// for it.
    pub async fn check(&self) -> Result<(), Error> {
        let Backend::Weaviate(weaviate) = &self.inner.backend else { return Ok(()) };
        match tokio::time::timeout(START, weaviate.prepare()).await {
            Ok(Err(Error::Refused(why))) => Err(Error::Refused(why)),
            Ok(Err(Error::Unavailable(why))) => {
                tracing::warn!(why, "memory is not there yet: events wait for it");
                Ok(())
            }
            Err(_) => {
                tracing::warn!(weaviate = weaviate.shown(), "Weaviate takes its time: events wait for it");
                Ok(())
            }
            Ok(Ok(())) => Ok(()),
        }
    }

    /// Begins; Weaviate and the engine may be down. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(&self) -> Running {
        self.start_at(Pace::default())
    }

    pub(super) fn start_at(&self, pace: Pace) -> Running {
        let receiver = Receiver { memory: Arc::clone(&self.inner) };
        let delivery = Delivery::new(self.inner.outbox.clone(), receiver, pace).start();
        let mut tasks = vec![tokio::spawn(prepare(self.clone(), pace))];
        if let Some(days) = self.inner.retention_days {
            tasks.push(tokio::spawn(expire(self.clone(), u64::from(days).saturating_mul(DAY))));
        }
        Running { delivery, tasks }
    }
}

/// Sees to the class, also while nothing waits: the filter is told by it whether it may go there itself.
async fn prepare(memory: Memory, pace: Pace) {
    let Backend::Weaviate(weaviate) = &memory.inner.backend else { return };
    let (mut failures, mut said) = (0_u32, None);
    loop {
        match weaviate.look().await {
            Ok(()) => {
                (failures, said) = (0, None);
                tokio::time::sleep(LOOK).await;
            }
            Err(error) => {
                let text = error.to_string();
                if said.as_ref() != Some(&text) {
                    tracing::warn!(error = text, "Weaviate cannot be used; events wait");
                    said = Some(text);
                }
                failures = failures.saturating_add(1);
                let random = getrandom::u32().unwrap_or_default();
                tokio::time::sleep(pace.pause(failures, random)).await;
            }
        }
    }
}

/// Forgets what is older than so many milliseconds, now and every hour.
async fn expire(memory: Memory, age: u64) {
    loop {
        let pause = match expire_once(&memory, unix_now_millis().saturating_sub(age)).await {
            Ok(0) => EVERY,
            Ok(gone) => {
                tracing::info!(gone, "events older than MEM_RETENTION_DAYS were forgotten");
                EVERY
            }
            Err(error) => {
                tracing::warn!(%error, "events older than MEM_RETENTION_DAYS could not be forgotten");
                AGAIN
            }
        };
        tokio::time::sleep(pause).await;
    }
}

pub(super) async fn expire_once(memory: &Memory, before: u64) -> Result<u64, Error> {
    let mut gone = 0_u64;
    loop {
        let round = memory.inner.outbox.store().write(move |connection| {
            Ok::<_, crate::store::Error>(outbox::forget_older(connection, KIND, before, OLD)?)
        });
        let round = round.await?;
        gone = gone.saturating_add(round);
        if round == 0 {
            break;
        }
    }
    Ok(gone.saturating_add(memory.inner.backend.expire(UnixMillis(before)).await?))
}
