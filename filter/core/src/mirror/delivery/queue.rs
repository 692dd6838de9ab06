//! Events that have not arrived: those that wait for company, and batches.
//!
//! Not [`Outbox`](crate::outbox::Outbox), though in its manner: several receivers take batches here at the same time,
//! so that one that hangs does not hold the others' up, and a batch that is refused can be halved.

use core::time::Duration;
use std::collections::VecDeque;

use super::To;
use crate::clock::UnixMillis;
use crate::outbox::{FLUSH_EVERY, is_past, pause};

/// The most that a batch holds, in bytes. An event that alone is larger goes alone.
const BATCH_BYTES: usize = 128 * 1024;
/// The most events of a batch.
const BATCH_EVENTS: usize = 128;
/// The longest wait before a batch goes out again.
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// When nobody waits for an answer any more; longer than any call may take.
const SENT_FOR: Duration = Duration::from_secs(30);
/// What an event takes up beside its text, in bytes.
const BESIDE: usize = 64;

/// What a batch is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchId(u64);

/// An event, as it is sent.
pub(super) struct Entry {
    /// Its object.
    pub(super) json: Box<[u8]>,
    /// Who waits for it.
    pub(super) ticket: Option<u64>,
}

impl Entry {
    /// What an event of so many bytes of JSON takes up.
    pub(super) const fn size(json: usize) -> usize {
        json.saturating_add(BESIDE)
    }

    const fn bytes(&self) -> usize {
        Self::size(self.json.len())
    }
}

impl core::fmt::Debug for Entry {
    /// Nothing of what was said.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Entry({} bytes)", self.json.len())
    }
}

/// Where a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// On its way, since then.
    Sent(To, UnixMillis),
    /// It failed and is due then.
    Waiting(UnixMillis),
}

/// Events that are sent together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) id: BatchId,
    pub(super) entries: Vec<Entry>,
    pub(super) place: Place,
    /// Whether it is control that something about it displeases.
    pub(super) is_controls: bool,
    failures: u32,
}

impl Batch {
    /// What is posted.
    pub(super) fn body(&self) -> Vec<u8> {
        const BEGINNING: &[u8] = b"{\"objects\":[";
        let bytes = self.entries.iter().map(Entry::bytes).fold(BEGINNING.len(), usize::saturating_add);
        let mut body = Vec::with_capacity(bytes);
        body.extend_from_slice(BEGINNING);
        for (place, entry) in self.entries.iter().enumerate() {
            if place > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&entry.json);
        }
        body.extend_from_slice(b"]}");
        body
    }

    fn fail(&mut self, now: UnixMillis, seed: u64) {
        self.failures = self.failures.saturating_add(1);
        self.place = Place::Waiting(now.after(pause(seed ^ self.id.0, self.failures)));
    }
}

/// What has not arrived.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Entry>,
    waiting_bytes: usize,
    /// Whether somebody waits for one of those.
    is_urgent: bool,
    batches: Vec<Batch>,
    batched_bytes: usize,
    flushed_at: UnixMillis,
    made: u64,
    is_closing: bool,
    seed: u64,
}

impl Queue {
    /// An empty one. `seed` sets its pauses apart from others'.
    pub(super) const fn new(seed: u64) -> Self {
        Self {
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            is_urgent: false,
            batches: Vec::new(),
            batched_bytes: 0,
            flushed_at: UnixMillis(0),
            made: 0,
            is_closing: false,
            seed,
        }
    }

    /// Memory that it takes up, in bytes.
    pub(super) const fn bytes(&self) -> usize {
        self.waiting_bytes.saturating_add(self.batched_bytes)
    }

    /// How many events there are.
    pub(super) fn len(&self) -> usize {
        self.batches.iter().map(|batch| batch.entries.len()).fold(self.waiting.len(), usize::saturating_add)
    }

    /// Takes an event.
    pub(super) fn push(&mut self, entry: Entry) {
        self.waiting_bytes = self.waiting_bytes.saturating_add(entry.bytes());
        self.is_urgent |= entry.ticket.is_some();
        self.waiting.push_back(entry);
    }

    /// Nothing waits for company any more.
    pub(super) fn close(&mut self) {
        self.is_closing = true;
    }

    /// How many batches are so placed.
    pub(super) fn count(&self, is_so: impl Fn(Place) -> bool) -> usize {
        self.batches.iter().filter(|batch| is_so(batch.place)).count()
    }

    /// Whether a batch is due that is not made yet.
    pub(super) fn is_due(&self, now: UnixMillis) -> bool {
        !self.waiting.is_empty()
            && (self.is_urgent
                || self.is_closing
                || self.waiting_bytes >= BATCH_BYTES
                || self.waiting.len() >= BATCH_EVENTS
                || is_past(self.flushed_at.after(FLUSH_EVERY), FLUSH_EVERY, now))
    }

    /// A batch that failed and is due again.
    pub(super) fn due_again(&mut self, now: UnixMillis) -> Option<&mut Batch> {
        for batch in &mut self.batches {
            if let Place::Sent(_, since) = batch.place
                && is_past(since.after(SENT_FOR), SENT_FOR, now)
            {
                batch.fail(now, self.seed);
            }
        }
        self.batches
            .iter_mut()
            .find(|batch| matches!(batch.place, Place::Waiting(until) if is_past(until, MAX_PAUSE, now)))
    }

    /// Makes a batch of the oldest events that wait; `None`: there are none.
    pub(super) fn make(&mut self, to: To, now: UnixMillis) -> Option<&Batch> {
        let mut entries = Vec::new();
        let mut bytes = 0_usize;
        while let Some(entry) = self.waiting.front() {
            let with_it = bytes.saturating_add(entry.bytes());
            if !entries.is_empty() && (with_it > BATCH_BYTES || entries.len() >= BATCH_EVENTS) {
                break;
            }
            bytes = with_it;
            entries.extend(self.waiting.pop_front());
        }
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        if self.waiting.is_empty() {
            self.is_urgent = false;
            // A burst's memory is not kept for ever.
            self.waiting.shrink_to(BATCH_EVENTS);
        }
        self.flushed_at = now;
        (!entries.is_empty()).then_some(())?;
        self.batched_bytes = self.batched_bytes.saturating_add(bytes);
        self.add(entries, Place::Sent(to, now), false);
        self.batches.last()
    }

    fn add(&mut self, entries: Vec<Entry>, place: Place, is_controls: bool) {
        let id = BatchId(self.made);
        self.made = self.made.wrapping_add(1);
        self.batches.push(Batch { id, entries, place, is_controls, failures: 0 });
    }

    /// A batch, if it has not arrived.
    pub(super) fn batch(&mut self, id: BatchId) -> Option<&mut Batch> {
        self.batches.iter_mut().find(|batch| batch.id == id)
    }

    /// A batch is due again after a while.
    pub(super) fn failed(&mut self, id: BatchId, now: UnixMillis) {
        let seed = self.seed;
        if let Some(batch) = self.batch(id) {
            batch.fail(now, seed);
        }
    }

    /// Takes a batch out, for good.
    pub(super) fn remove(&mut self, id: BatchId) -> Vec<Entry> {
        let Some(place) = self.batches.iter().position(|batch| batch.id == id) else { return Vec::new() };
        let entries = self.batches.remove(place).entries;
        let bytes = entries.iter().map(Entry::bytes).fold(0, usize::saturating_add);
        self.batched_bytes = self.batched_bytes.saturating_sub(bytes);
        entries
    }

    /// Makes two batches of one, both due and for control.
    pub(super) fn halve(&mut self, id: BatchId, now: UnixMillis) {
        let Some(place) = self.batches.iter().position(|batch| batch.id == id) else { return };
        let mut first = self.batches.remove(place).entries;
        let second = first.split_off(first.len() / 2);
        for half in [first, second] {
            if !half.is_empty() {
                self.add(half, Place::Waiting(now), true);
            }
        }
    }
}
