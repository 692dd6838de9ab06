//! What there is of events, of who takes them and of who waits for them, and what follows from an answer.

use core::time::Duration;
use std::collections::BTreeMap;

use super::super::Object;
use super::super::pool::{Pool, Share};
use super::answer::{self, Status};
use super::queue::{BatchId, Entry, Place, Queue};
use super::receiver::{Grade, Notice, Receiver};
use super::{ASK_EVERY, Answered, Call, Counts, MAX_BYTES, Route, To};
use crate::clock::UnixMillis;
use crate::outbox::is_past;

/// How many batches Weaviate is given at a time.
const MAX_AT_WEAVIATE: usize = 2;
/// How many batches may be on their way to control or wait for it before no further one is made for it.
const MAX_AT_CONTROL: usize = 2;
/// When Weaviate is slow: then control gets what comes meanwhile.
const SLOW: Duration = Duration::from_millis(500);
/// What an object's JSON takes beside its text, as a guess, in bytes.
const BESIDE_TEXT: usize = 640;

#[derive(Debug)]
pub(super) struct State {
    route: Route,
    /// Whether control has said that Weaviate may be told.
    pub(super) is_direct: bool,
    asked_at: UnixMillis,
    pub(super) queue: Queue,
    /// The queue's part of the pool.
    share: Share,
    /// Streams that wait, and for how many events still, by ticket.
    waiters: BTreeMap<u64, (u32, usize)>,
    tickets: u64,
    weaviate: Receiver,
    control: Receiver,
    pub(super) counts: Counts,
}

impl State {
    pub(super) fn new(seed: u64, pool: &Pool) -> Self {
        Self {
            route: Route::default(),
            is_direct: false,
            asked_at: UnixMillis(0),
            queue: Queue::new(seed),
            share: pool.share(),
            waiters: BTreeMap::new(),
            tickets: 0,
            weaviate: Receiver::WEAVIATE,
            control: Receiver::CONTROL,
            counts: Counts::default(),
        }
    }

    pub(super) fn set_route(&mut self, route: Route) {
        self.route = route;
        (self.is_direct, self.asked_at) = (false, UnixMillis(0));
    }

    pub(super) fn asks_control(&mut self, now: UnixMillis) -> bool {
        let asks = self.route == Route::Weaviate && is_past(self.asked_at.after(ASK_EVERY), ASK_EVERY, now);
        if asks {
            self.asked_at = now;
        }
        asks
    }

    pub(super) fn push(&mut self, objects: Vec<Object>, share: Share, waiter: Option<u32>) -> Option<bool> {
        if objects.is_empty() {
            return Some(true);
        }
        let count = objects.len();
        if self.route == Route::Off {
            self.counts.off = self.counts.off.saturating_add(number(count));
            return Some(false);
        }
        self.share.join(share);
        self.tickets = self.tickets.wrapping_add(1);
        let ticket = waiter.map(|_| self.tickets);
        let mut texts =
            objects.iter().map(|object| object.properties.content.len()).fold(0, usize::saturating_add);
        let mut taken = 0_usize;
        for object in objects {
            let text = object.properties.content.len();
            texts = texts.saturating_sub(text);
            if let Some(json) = self.write(&object, texts) {
                self.queue.push(Entry { json, ticket });
                taken = taken.saturating_add(1);
            }
        }
        self.share.shrink_to(self.queue.bytes());
        self.counts.accepted = self.counts.accepted.saturating_add(number(taken));
        self.counts.full = self.counts.full.saturating_add(number(count.saturating_sub(taken)));
        let is_whole = taken == count;
        if let (Some(context), Some(ticket), true) = (waiter, ticket, is_whole) {
            self.waiters.insert(ticket, (context, count));
        }
        if is_whole { None } else { Some(false) }
    }

    /// Writes an object if there is room for it, beside texts of so many bytes that have not been written.
    fn write(&mut self, object: &Object, texts: usize) -> Option<Box<[u8]>> {
        let text = object.properties.content.len();
        // What certainly does not fit need not be written first.
        let before = self.queue.bytes();
        (before.saturating_add(text) <= MAX_BYTES).then_some(())?;
        let guess = text.saturating_add(text / 16).saturating_add(BESIDE_TEXT);
        let mut json = Vec::with_capacity(guess);
        // Strings, numbers and a truth value in a struct: there is nothing that could not be written.
        serde_json::to_writer(&mut json, object).ok()?;
        let after = before.saturating_add(Entry::size(json.len()));
        let more = after.saturating_add(texts).saturating_sub(self.share.bytes());
        (after <= MAX_BYTES && self.share.grow(more)).then(|| json.into_boxed_slice())
    }

    pub(super) fn next_call(&mut self, now: UnixMillis) -> Option<Call> {
        let at_control =
            self.queue.count(|place| matches!(place, Place::Sent(To::Control | To::Embedded, _)));
        if let Some(batch) = self.queue.due_again(now) {
            let (id, is_controls) = (batch.id, batch.is_controls);
            let to = if is_controls {
                (at_control < MAX_AT_CONTROL).then_some(To::Control)
            } else {
                self.way(at_control, now)
            };
            if let Some(to) = to {
                return self.send(id, to, now);
            }
        }
        if !self.queue.is_due(now) {
            return None;
        }
        let waiting = self.queue.count(|place| matches!(place, Place::Waiting(_)));
        let to = self.way(at_control.saturating_add(waiting), now)?;
        let batch = self.queue.make(to, now)?;
        Some(Call { batch: batch.id, to, body: batch.body() })
    }

    /// Whom a batch goes to now; `None`: nobody yet.
    fn way(&self, at_control: usize, now: UnixMillis) -> Option<To> {
        let control = |to: To| (at_control < MAX_AT_CONTROL).then_some(to);
        match self.route {
            Route::Embedded => control(To::Embedded),
            Route::Weaviate if self.is_direct => {
                let is_slow = self.queue.count(
                    |place| matches!(place, Place::Sent(To::Weaviate, since) if is_past(since.after(SLOW), SLOW, now)),
                ) > 0;
                let given = self.queue.count(|place| matches!(place, Place::Sent(To::Weaviate, _)));
                // After a failure one batch finds out whether it is well again.
                let most = if self.weaviate.is_well() { MAX_AT_WEAVIATE } else { 1 };
                let is_behind = is_slow || !self.weaviate.is_well() || self.queue.bytes() > MAX_BYTES / 2;
                if !is_slow && given < most && self.weaviate.may_be_tried(now) {
                    Some(To::Weaviate)
                } else if is_behind {
                    control(To::Control)
                } else {
                    None
                }
            }
            Route::Weaviate | Route::Off => control(To::Control),
        }
    }

    fn send(&mut self, id: BatchId, to: To, now: UnixMillis) -> Option<Call> {
        let batch = self.queue.batch(id)?;
        batch.place = Place::Sent(to, now);
        Some(Call { batch: id, to, body: batch.body() })
    }

    pub(super) fn weaviate_answered(
        &mut self,
        id: BatchId,
        to: To,
        answer: Option<(u16, &[u8])>,
        now: UnixMillis,
    ) -> Answered {
        let Some(batch) = self.queue.batch(id) else { return Answered::default() };
        let (count, is_awaited) =
            (batch.entries.len(), matches!(batch.place, Place::Sent(whom, _) if whom == to));
        let taken = match answer {
            Some((200, body)) => answer::count(body, Status::Success),
            Some((204, _)) if to == To::Embedded => count,
            _ => 0,
        };
        let grade = match taken {
            taken if taken == count => Grade::Good,
            0 => Grade::Bad(answer.map(|(status, _)| status)),
            taken => Grade::Partly(count.saturating_sub(taken)),
        };
        let receiver = if to == To::Weaviate { &mut self.weaviate } else { &mut self.control };
        let notices = receiver.answered(grade, now).into_iter().collect();
        if grade == Grade::Good {
            return Answered { notices, told: self.over(id, true), ..Answered::default() };
        }
        // One that was given up before is somebody else's by now.
        let next = if is_awaited { self.send(id, To::Control, now) } else { None };
        Answered { next, notices, failed: true, ..Answered::default() }
    }

    pub(super) fn control_answered(
        &mut self,
        id: BatchId,
        answer: Option<(u16, &[u8])>,
        now: UnixMillis,
    ) -> Answered {
        let Some(batch) = self.queue.batch(id) else { return Answered::default() };
        let (count, is_awaited) = (batch.entries.len(), matches!(batch.place, Place::Sent(To::Control, _)));
        let status = answer.map(|(status, _)| status);
        let is_refused = match answer {
            // In Weaviate's form: it is well, but not with every event.
            Some((200, body)) => answer::count(body, Status::Failed) > 0,
            Some((201..=299, _)) => false,
            Some((400 | 413 | 422, _)) => true,
            // Control has no memory any more, and neither has the configuration.
            Some((404, _)) if self.route == Route::Off => true,
            _ => {
                let notices = self.control.answered(Grade::Bad(status), now).into_iter().collect();
                if is_awaited {
                    self.queue.failed(id, now);
                }
                return Answered { notices, failed: true, ..Answered::default() };
            }
        };
        let mut notices: Vec<Notice> = self.control.answered(Grade::Good, now).into_iter().collect();
        if !is_refused {
            return Answered { notices, told: self.over(id, true), ..Answered::default() };
        }
        if count > 1 && status != Some(404) {
            if is_awaited {
                // Which one it is, the halves will tell.
                self.queue.halve(id, now);
            }
            return Answered { notices, failed: true, ..Answered::default() };
        }
        notices.extend(status.map(|status| Notice::Rejected(count, status)));
        Answered { notices, failed: true, rejected: count, told: self.over(id, false), ..Answered::default() }
    }

    /// A batch has arrived, or never will: whom to tell.
    fn over(&mut self, id: BatchId, arrived: bool) -> Vec<(u32, bool)> {
        let entries = self.queue.remove(id);
        self.share.shrink_to(self.queue.bytes());
        let mut told = Vec::new();
        for ticket in entries.into_iter().filter_map(|entry| entry.ticket) {
            let Some((context, left)) = self.waiters.get_mut(&ticket) else { continue };
            *left = left.saturating_sub(1);
            if *left == 0 || !arrived {
                told.push((*context, arrived));
                self.waiters.remove(&ticket);
            }
        }
        told
    }
}

/// A count as metrics have it.
fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
