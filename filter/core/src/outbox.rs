//! What one worker has to tell others once requests are over: a bounded queue, emptied in batches.
//!
//! An entry stays until its batch is acknowledged, and a batch that failed goes out again as it was, so that
//! its receiver can tell what it has seen. Nothing is dropped once it is in.
//!
//! Room is promised before a request is admitted ([`Outbox::admit`]): whatever happens to the queue meanwhile,
//! the entry of an admitted request fits. A request for which there is no room is not admitted, or goes on
//! unrecorded where its route says so. A promise ends with its [`Room`], used or not.

use core::time::Duration;
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::clock::UnixMillis;

/// The most that is kept, entries and promises together, in bytes.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// The most that a batch holds, in bytes. An entry that alone is larger goes alone.
pub const BATCH_BYTES: usize = 64 * 1024;
/// How long entries wait for others to share a batch with.
pub const FLUSH_EVERY: Duration = Duration::from_millis(200);
/// How many batches may be on their way, those that wait to be sent again among them.
pub const MAX_BATCHES: usize = 2;
/// The wait after a batch's first failure; it doubles with each.
const FIRST_PAUSE_MILLIS: u64 = 200;
/// The longest wait.
const MAX_PAUSE_MILLIS: u64 = 5_000;
/// When nobody waits for an answer any more; longer than all calls of a batch may take together.
const SENT_FOR: Duration = Duration::from_secs(30);

/// Something that can be told.
pub trait Entry {
    /// At most how long it is when it is written, in bytes; also what it counts for in memory.
    fn bytes(&self) -> usize;
}

/// There is no room: the receivers are behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl core::fmt::Display for Full {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("the worker's outbox is full: its receivers do not answer, or not fast enough")
    }
}

/// Promised room for one entry; given back when it is dropped.
#[derive(Debug)]
pub struct Room {
    bytes: usize,
    promised: Rc<Cell<usize>>,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.promised.set(self.promised.get().saturating_sub(self.bytes));
    }
}

/// What a batch is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchId(u64);

/// A batch that has not been acknowledged.
#[derive(Debug)]
struct Batch<T> {
    id: BatchId,
    entries: Vec<T>,
    bytes: usize,
    failures: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Somebody has been told; an answer is awaited until then.
    Sent(UnixMillis),
    /// It failed and is due then.
    Waiting(UnixMillis),
}

/// The queue of one worker.
#[derive(Debug)]
pub struct Outbox<T> {
    queue: VecDeque<T>,
    queued_bytes: usize,
    /// In the order in which they were made; at most [`MAX_BATCHES`].
    batches: Vec<Batch<T>>,
    batched_bytes: usize,
    promised: Rc<Cell<usize>>,
    flushed_at: UnixMillis,
    made: u64,
    is_closing: bool,
    /// Sets this worker's pauses apart from others'.
    seed: u64,
}

impl<T: Entry> Outbox<T> {
    /// An empty one. `seed` is the worker's own, so that workers do not all come back at the same moment.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            queue: VecDeque::new(),
            queued_bytes: 0,
            batches: Vec::new(),
            batched_bytes: 0,
            promised: Rc::default(),
            flushed_at: UnixMillis(0),
            made: 0,
            is_closing: false,
            seed,
        }
    }

    /// Bytes of entries and promises.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.queued_bytes.saturating_add(self.batched_bytes).saturating_add(self.promised.get())
    }

    /// Entries that have not been acknowledged.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batches.iter().map(|batch| batch.entries.len()).fold(self.queue.len(), usize::saturating_add)
    }

    /// Whether every entry has been acknowledged.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether an entry of that size would fit now.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.bytes().saturating_add(bytes) <= MAX_BYTES
    }

    /// Promises room for an entry of at most `bytes`; `None` if there is none.
    #[must_use]
    pub fn admit(&self, bytes: usize) -> Option<Room> {
        self.has_room(bytes).then(|| {
            self.promised.set(self.promised.get().saturating_add(bytes));
            Room { bytes, promised: Rc::clone(&self.promised) }
        })
    }

    /// Takes an entry; never fails for one that is no larger than its room.
    ///
    /// # Errors
    /// [`Full`]: no room was promised, or too little, and there is none.
    pub fn push(&mut self, entry: T, room: Option<Room>) -> Result<(), Full> {
        drop(room);
        let bytes = entry.bytes();
        if !self.has_room(bytes) {
            return Err(Full);
        }
        self.queued_bytes = self.queued_bytes.saturating_add(bytes);
        self.queue.push_back(entry);
        Ok(())
    }

    /// The worker is about to go: nothing waits for company any more.
    pub fn close(&mut self) {
        self.is_closing = true;
    }

    /// The next batch to send, if one is due: one that failed, else a new one.
    pub fn next_batch(&mut self, now: UnixMillis) -> Option<BatchId> {
        for batch in &mut self.batches {
            if let State::Sent(until) = batch.state
                && is_past(until, SENT_FOR, now)
            {
                batch.fail(now, self.seed);
            }
        }
        let longest = Duration::from_millis(MAX_PAUSE_MILLIS);
        let due = self
            .batches
            .iter_mut()
            .find(|batch| matches!(batch.state, State::Waiting(until) if is_past(until, longest, now)));
        if let Some(batch) = due {
            batch.state = State::Sent(now.after(SENT_FOR));
            return Some(batch.id);
        }
        self.make_batch(now)
    }

    fn make_batch(&mut self, now: UnixMillis) -> Option<BatchId> {
        let is_due = self.is_closing
            || self.queued_bytes >= BATCH_BYTES
            || is_past(self.flushed_at.after(FLUSH_EVERY), FLUSH_EVERY, now);
        if self.queue.is_empty() || !is_due || self.batches.len() >= MAX_BATCHES {
            return None;
        }
        let mut entries = Vec::new();
        let mut bytes = 0_usize;
        while let Some(entry) = self.queue.front() {
            let with_it = bytes.saturating_add(entry.bytes());
            if with_it > BATCH_BYTES && !entries.is_empty() {
                break;
            }
            bytes = with_it;
            entries.extend(self.queue.pop_front());
        }
        self.queued_bytes = self.queued_bytes.saturating_sub(bytes);
        self.batched_bytes = self.batched_bytes.saturating_add(bytes);
        if self.queue.is_empty() {
            // A burst's memory is not kept for ever.
            self.queue.shrink_to(BATCH_BYTES / 256);
        }
        self.flushed_at = now;
        let id = BatchId(self.made);
        self.made = self.made.wrapping_add(1);
        self.batches.push(Batch { id, entries, bytes, failures: 0, state: State::Sent(now.after(SENT_FOR)) });
        Some(id)
    }

    /// The entries of a batch, in the order in which they came; none if it was acknowledged.
    #[must_use]
    pub fn entries(&self, id: BatchId) -> &[T] {
        self.batches.iter().find(|batch| batch.id == id).map_or(&[], |batch| &batch.entries)
    }

    /// A batch has arrived for good. How many entries that were; 0 if it was acknowledged before.
    pub fn acknowledged(&mut self, id: BatchId) -> usize {
        let Some(place) = self.batches.iter().position(|batch| batch.id == id) else { return 0 };
        let batch = self.batches.remove(place);
        self.batched_bytes = self.batched_bytes.saturating_sub(batch.bytes);
        batch.entries.len()
    }

    /// A batch has not arrived, or nobody can tell: it stays, and is due again after a while.
    pub fn failed(&mut self, id: BatchId, now: UnixMillis) {
        let seed = self.seed;
        if let Some(batch) = self.batches.iter_mut().find(|batch| batch.id == id) {
            batch.fail(now, seed);
        }
    }
}

impl<T> Batch<T> {
    fn fail(&mut self, now: UnixMillis, seed: u64) {
        self.failures = self.failures.saturating_add(1);
        self.state = State::Waiting(now.after(pause(seed ^ self.id.0, self.failures)));
    }
}

/// Whether a moment that lay at most `most` ahead has come. One that lies further ahead was set before the
/// clock was set back.
pub(crate) fn is_past(moment: UnixMillis, most: Duration, now: UnixMillis) -> bool {
    now >= moment || moment > now.after(most)
}

/// The wait after that many failures: 200 ms, doubled up to 5 s, less up to a quarter that the seed decides.
pub(crate) fn pause(seed: u64, failures: u32) -> Duration {
    let doubled = 1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX);
    let longest = FIRST_PAUSE_MILLIS.saturating_mul(doubled).min(MAX_PAUSE_MILLIS);
    // The finaliser of SplitMix64.
    let mut mixed = seed.wrapping_add(u64::from(failures).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    let less = mixed.checked_rem(longest / 4 + 1).unwrap_or(0);
    Duration::from_millis(longest.saturating_sub(less))
}

#[cfg(test)]
mod tests;
