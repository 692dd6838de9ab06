//! What control has been asked and has not answered, kept until it does: the same text under the same id.

use core::time::Duration;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::account::Part;
use super::{Hold, Operation};
use crate::clock::UnixMillis;
use crate::quota::wire::{Account, Answer, Request};

/// The most operations that wait for control at a time.
const MAX_PENDING: usize = 1024;
/// Between two tries of an operation that has failed.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// After so long without any word an operation counts as failed: the callout has a shorter timeout.
const SILENCE: Duration = Duration::from_secs(30);
/// An operation is given up after this: control remembers ids for so long, and counts the whole lease as used
/// long before.
const GIVE_UP_AFTER: Duration = Duration::from_secs(540);
/// After so many failures in a row, one operation at a time is tried.
const FAILURES: u32 = 3;
/// The most operations that are sent again in one tick.
const RETRIES_PER_TICK: usize = 32;

/// An operation that control has not answered.
#[derive(Debug)]
pub(super) struct Pending {
    body: Rc<[u8]>,
    pub(super) parts: Vec<Part>,
    /// What is held for the request that waits for it.
    pub(super) hold: Option<Hold>,
    pub(super) composed: UnixMillis,
    sent: UnixMillis,
    has_failed: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Operations {
    pending: BTreeMap<u64, Pending>,
    next: u64,
    failures: u32,
}

impl Operations {
    pub(super) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.pending.len() >= MAX_PENDING
    }

    pub(super) fn is_busy(&self) -> bool {
        self.pending.len() >= MAX_PENDING / 4
    }

    pub(super) fn is_down(&self) -> bool {
        self.failures >= FAILURES && !self.pending.is_empty()
    }

    /// A new one, to be sent now.
    pub(super) fn add(
        &mut self,
        worker: &str,
        parts: Vec<Part>,
        accounts: Vec<Account>,
        now: UnixMillis,
    ) -> Operation {
        self.next = self.next.saturating_add(1);
        let id = self.next;
        let request = Request { id: format!("{worker}-{id}").into(), worker: worker.into(), accounts };
        let body: Rc<[u8]> = request.to_json().into();
        let pending =
            Pending { body: body.clone(), parts, hold: None, composed: now, sent: now, has_failed: false };
        self.pending.insert(id, pending);
        Operation { id, body }
    }

    /// A request waits for it, for which so much is held.
    pub(super) fn wait(&mut self, id: u64, hold: Hold) {
        if let Some(pending) = self.pending.get_mut(&id) {
            pending.hold = Some(hold);
        }
    }

    /// It is over, if that is an answer to it.
    pub(super) fn answered(&mut self, id: u64, answer: &Answer) -> Option<Pending> {
        let accounts = self.pending.get(&id)?.parts.len();
        if !answer.is_about(accounts) {
            return None;
        }
        self.failures = 0;
        self.pending.remove(&id)
    }

    /// It must be tried again. What is held for it, if somebody waits.
    pub(super) fn failed(&mut self, id: u64, now: UnixMillis) -> Option<Hold> {
        let pending = self.pending.get_mut(&id)?;
        pending.has_failed = true;
        // The time from now: a callout that took its whole timeout is not tried again at once.
        pending.sent = now;
        self.failures = self.failures.saturating_add(1);
        pending.hold.take()
    }

    pub(super) fn abandon(&mut self, id: u64) -> Option<Hold> {
        self.pending.get_mut(&id)?.hold.take()
    }

    /// Those to send again.
    pub(super) fn due(&mut self, now: UnixMillis) -> Vec<Operation> {
        let is_due = |pending: &Pending| {
            now >= pending.sent.after(if pending.has_failed { RETRY_AFTER } else { SILENCE })
        };
        let most = if self.is_down() { 1 } else { RETRIES_PER_TICK };
        if most == 1 && self.pending.values().any(|pending| !pending.has_failed && !is_due(pending)) {
            // The one that is tried has not come back.
            return Vec::new();
        }
        let mut due: Vec<(UnixMillis, u64)> =
            self.pending.iter().filter(|(_, pending)| is_due(pending)).map(|(id, p)| (p.sent, *id)).collect();
        due.sort_unstable();
        due.truncate(most);
        let mut again = Vec::with_capacity(due.len());
        for (_, id) in due {
            if let Some(pending) = self.pending.get_mut(&id) {
                pending.sent = now;
                pending.has_failed = false;
                again.push(Operation { id, body: pending.body.clone() });
            }
        }
        again
    }

    /// Those that nobody could be told of for so long that it makes no sense any more.
    pub(super) fn given_up(&mut self, now: UnixMillis) -> Vec<Pending> {
        let is_old = |pending: &Pending| now >= pending.composed.after(GIVE_UP_AFTER);
        // The oldest have the lowest numbers.
        let old: Vec<u64> =
            self.pending.iter().take_while(|(_, pending)| is_old(pending)).map(|(id, _)| *id).collect();
        old.iter().filter_map(|id| self.pending.remove(id)).collect()
    }
}
