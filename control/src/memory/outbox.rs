//! Memory's side of the outbox: what an event looks like there, and how a batch of them reaches the backend.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use attach_core::mirror::Object;

use super::backend::Backend;
use super::embedding::Failure;
use super::terms::{Error, Record, Rejected, SessionFilter};
use super::{Inner, KIND};
use crate::clock::unix_now_millis;
use crate::outbox::{self, Batch, Entry, Event, Limit, Outbox, Receive, Verdict};

/// How much may wait: beyond it the filter keeps what it has, and counts what it cannot keep.
pub const LIMIT: Limit = Limit { events: 2_000_000, bytes: 2 * 1024 * 1024 * 1024 };

/// The backend, as whoever takes what waits.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) memory: Arc<Inner>,
}

/// An object as it waits. There is no object that cannot be written.
pub(super) fn entry(object: &Object) -> Option<Entry> {
    let event = &object.properties;
    Some(Entry {
        id: object.id.clone(),
        payload: serde_json::to_string(object).ok()?,
        owner: Some(event.owner.clone()),
        session: Some(event.session_id.clone()),
    })
}

/// Keeps what the backend will never take where somebody may look at it.
pub(super) async fn set_aside(
    outbox: &Outbox,
    entries: Vec<Entry>,
    rejected: Vec<Rejected>,
) -> Result<(), Error> {
    for Rejected { id, error } in &rejected {
        tracing::warn!(id, error, "an event is not remembered: see `attach doctor`");
    }
    let now = unix_now_millis();
    let kept = outbox.store().write(move |connection| {
        for Rejected { id, error } in &rejected {
            for entry in entries.iter().filter(|entry| entry.id == *id) {
                outbox::set_aside_entry(connection, KIND.name(), entry, error, now)?;
            }
        }
        Ok::<_, crate::store::Error>(())
    });
    Ok(kept.await?)
}

/// Takes what an owner wants forgotten out of what waits and out of what was set aside; how much there was.
pub(super) async fn forget(
    outbox: &Outbox,
    owner: &str,
    session: Option<&SessionFilter>,
) -> Result<u64, Error> {
    let session = match session.map(digits) {
        // No session has such a name.
        Some(None) => return Ok(0),
        Some(Some(digits)) => Some(digits.to_owned()),
        None => None,
    };
    let owner = owner.to_owned();
    let gone = outbox.store().write(move |connection| {
        Ok::<_, crate::store::Error>(outbox::forget(connection, KIND, &owner, session.as_deref())?)
    });
    Ok(gone.await?)
}

/// What a session's name begins with.
fn digits(session: &SessionFilter) -> Option<&str> {
    let (text, length) = match session {
        SessionFilter::Whole(id) => (id, 64),
        SessionFilter::Beginning(id) => (id, 16),
    };
    let is_hex = text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    is_hex.then_some(text)
}

impl Receive for Receiver {
    const EVENTS: &'static str = "memory events";

    fn batch(&self) -> Batch {
        // A batch is embedded in one go, which takes an engine a while.
        let events = if self.memory.embedder.is_some() { 32 } else { 500 };
        Batch { events, bytes: 2 * 1024 * 1024 }
    }

    async fn send(&self, events: &[Event]) -> Verdict {
        let verdict = self.put(events).await;
        let went = matches!(verdict, Verdict::Delivered | Verdict::Partly(_));
        self.memory.is_failing.store(!went, Ordering::Relaxed);
        verdict
    }

    fn shown(&self) -> String {
        match &self.memory.backend {
            Backend::Embedded(_) => "control's own store".to_owned(),
            Backend::Weaviate(weaviate) => weaviate.shown(),
        }
    }
}

impl Receiver {
    async fn put(&self, events: &[Event]) -> Verdict {
        if let Backend::Weaviate(weaviate) = &self.memory.backend
            && let Err(error) = weaviate.prepare().await
        {
            return verdict(error);
        }
        let mut rejected = Vec::new();
        let mut records = Vec::with_capacity(events.len());
        for event in events {
            match serde_json::from_str(&event.payload) {
                Ok(object) => records.push(Record { object, vector: None }),
                // Another version put it there. The error would quote it.
                Err(_) => rejected.push((event.id.clone(), "it is no memory event".to_owned())),
            }
        }
        if let Some(embedder) = &self.memory.embedder {
            let texts = records.iter().map(|record| record.object.properties.content.as_str()).collect();
            match embedder.embed(texts).await {
                Ok(vectors) => {
                    for (record, vector) in records.iter_mut().zip(vectors) {
                        record.vector = vector;
                    }
                }
                Err(Failure::Later(why)) => return Verdict::Later(why, Duration::ZERO),
            }
        }
        match self.memory.backend.put(records).await {
            Ok(more) => {
                rejected.extend(more.into_iter().map(|Rejected { id, error }| (id, error)));
                if rejected.is_empty() { Verdict::Delivered } else { Verdict::Partly(rejected) }
            }
            Err(error) => verdict(error),
        }
    }
}

fn verdict(error: Error) -> Verdict {
    match error {
        Error::Unavailable(why) => Verdict::Later(why, Duration::ZERO),
        Error::Refused(why) => Verdict::Misconfigured(why),
    }
}
