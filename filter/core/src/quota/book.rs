//! One worker's own memory of limits: what it has leased, who holds what of it, and what was spent.
//!
//! A request reserves tokens under all its limits ([`Book::reserve`]) and gets a [`Hold`], which is settled
//! once with what was really used. Where the leases have enough, that touches nothing but this memory. Where
//! they have not, accounts shared within the Envoy are asked at once, and control by an [`Operation`] whose
//! answer comes later. Whatever control does not answer is asked again under the same id.

mod account;
mod accounts;
mod asking;
mod operations;
mod outcome;
mod tick;

use self::account::{Account, Ask};
use self::accounts::Accounts;
pub use self::accounts::MAX_ACCOUNTS;
use self::asking::refusal;
use self::operations::Operations;
pub use self::outcome::{Answered, Grown, Hold, Need, Operation, Refreshed, Refused, Taken, View};
use super::bucket::SharedWindows;
use super::wire::{self, Answer};
use super::{CLOCK_SET_BACK_SECONDS, Home};
use crate::clock::UnixMillis;

/// A worker's memory of limits.
pub struct Book {
    worker: Box<str>,
    number: u64,
    is_strict: bool,
    accounts: Accounts,
    operations: Operations,
    holds: usize,
    /// What all open holds together hold.
    held: u64,
    /// Where on the list of accounts to look after the last tick ended.
    turn: usize,
    /// The latest moment that was seen.
    latest: UnixMillis,
}

impl core::fmt::Debug for Book {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Book")
            .field("worker", &self.worker)
            .field("accounts", &self.accounts.len())
            .field("operations", &self.operations.len())
            .field("holds", &self.holds)
            .finish()
    }
}

impl Book {
    /// An empty book. `worker` is `<boot nonce>-<worker>`, in at most 40 characters: no other book, now or
    /// ever, may have the same. Strict: every request asks its limits' homes and what it does not use goes
    /// back with the next [`Book::tick`], which is to follow each [`Book::settle`] then.
    #[must_use]
    pub fn new(worker: &str, is_strict: bool) -> Self {
        Self {
            worker: worker.into(),
            number: wire::worker_number(worker),
            is_strict,
            accounts: Accounts::default(),
            operations: Operations::default(),
            holds: 0,
            held: 0,
            turn: 0,
            latest: UnixMillis(0),
        }
    }

    /// Sets tokens aside under all limits, or none. At most [`MAX_LIMITS`](super::MAX_LIMITS) limits; with more nothing is had.
    pub fn reserve(
        &mut self,
        needs: &[Need<'_>],
        tokens: u64,
        now: UnixMillis,
        shared: &dyn SharedWindows,
    ) -> Taken {
        let now = self.moment(now);
        let Some(places) = self.places(needs, now, shared) else { return Taken::Unavailable };
        self.take(places, tokens, now, shared)
    }

    /// Sets more tokens aside for a hold, under all its limits, or none.
    pub fn grow(&mut self, hold: &mut Hold, by: u64, now: UnixMillis, shared: &dyn SharedWindows) -> Grown {
        let now = self.moment(now);
        match self.take(hold.places, by, now, shared) {
            Taken::Granted(more) => {
                self.join(hold, more);
                Grown::Granted
            }
            Taken::Refused(refused) => Grown::Refused(refused),
            Taken::Ask(operation) => Grown::Ask(operation),
            Taken::Unavailable => Grown::Unavailable,
        }
    }

    /// Makes one hold of two of the same request: the one that was to grow, and what control granted.
    pub fn join(&mut self, hold: &mut Hold, more: Hold) {
        hold.tokens = hold.tokens.saturating_add(more.tokens);
        for place in more.places.iter() {
            if let Some(account) = self.accounts.get_mut(place) {
                account.join();
            }
        }
        self.holds = self.holds.saturating_sub(1);
    }

    /// Gives a part of a hold back that is not needed after all.
    pub fn shrink(&mut self, hold: &mut Hold, by: u64) {
        let by = by.min(hold.tokens);
        hold.tokens = hold.tokens.saturating_sub(by);
        for place in hold.places.iter() {
            if let Some(account) = self.accounts.get_mut(place) {
                account.loosen(by);
            }
            self.accounts.list(place);
        }
    }

    /// Ends a hold: so much was really used, now. It may be more than was held.
    pub fn settle(&mut self, hold: Hold, actual: u64, now: UnixMillis) {
        let now = self.moment(now);
        for place in hold.places.iter() {
            if let Some(account) = self.accounts.get_mut(place) {
                account.release(hold.tokens);
                account.spend(actual, now);
            }
            self.accounts.list(place);
        }
        self.holds = self.holds.saturating_sub(1);
        self.held = self.held.saturating_sub(hold.tokens);
    }

    /// What control has answered to an operation.
    pub fn answered(&mut self, operation: u64, answer: &Answer, now: UnixMillis) -> Answered {
        let now = self.moment(now);
        let Some(pending) = self.operations.answered(operation, answer) else {
            return self.failed(operation, now);
        };
        let empty: &[u64] = &[];
        let (granted, refused) = match answer {
            Answer::Granted { granted, .. } => (&**granted, None),
            Answer::Refused { refused, .. } => (empty, Some(refused)),
        };
        let mut granted = granted.iter().copied();
        for (part, left) in pending.parts.iter().zip(answer.left()) {
            let granted = granted.next().unwrap_or(0);
            if let Some(account) = self.accounts.get_mut(part.account) {
                account.answered(*part, granted, *left, pending.composed.seconds(), now);
            }
        }
        match (pending.hold, refused) {
            (None, _) => Answered::Done,
            (Some(hold), None) => {
                self.holds = self.holds.saturating_add(1);
                self.held = self.held.saturating_add(hold.tokens);
                Answered::Granted(hold)
            }
            (Some(hold), Some(refused)) => {
                self.release(&hold);
                let account = pending.parts.get(refused.account);
                match account.and_then(|part| self.accounts.get(part.account)) {
                    Some(account) => Answered::Refused(refusal(account, refused.retry_after, now)),
                    None => Answered::Unavailable,
                }
            }
        }
    }

    /// Control has not answered an operation, or with something that is no answer: a status other than 200, a
    /// body that [`Answer::parse`] does not take. [`Book::tick`] asks again.
    pub fn failed(&mut self, operation: u64, now: UnixMillis) -> Answered {
        let now = self.moment(now);
        match self.operations.failed(operation, now) {
            Some(hold) => {
                self.release(&hold);
                Answered::Unavailable
            }
            None => Answered::Done,
        }
    }

    /// Nobody waits for an operation any more. Its answer will be [`Answered::Done`].
    pub fn abandon(&mut self, operation: u64) {
        if let Some(hold) = self.operations.abandon(operation) {
            self.release(&hold);
        }
    }

    /// How accounts stand, as far as this worker knows; of an account it never asked about, as if nothing
    /// were used. [`Book::refresh`] asks.
    #[must_use]
    pub fn view(&self, needs: &[Need<'_>], now: UnixMillis) -> Vec<View> {
        let now = now.max(self.latest);
        let view = |need: &Need<'_>| match self.accounts.find(need.key) {
            Some(account) => account.view(now),
            None => Account::new(need.key, need.limit).view(now),
        };
        needs.iter().map(view).collect()
    }

    /// The smallest of what this worker knows to be free under each limit; nothing of an account it never
    /// asked about. Other workers may have taken of it meanwhile: no promise, but cheap.
    #[must_use]
    pub fn free_bound(&self, needs: &[Need<'_>], now: UnixMillis) -> u64 {
        let now = now.max(self.latest);
        let free = |need: &Need<'_>| match self.accounts.find(need.key) {
            Some(account) if account.is_known() => account.view(now).remaining,
            _ => 0,
        };
        needs.iter().map(free).min().unwrap_or(u64::MAX)
    }

    /// Asks all homes how the accounts stand, for [`Book::view`] to say it: those shared within the Envoy at
    /// once, control by an operation, which ends with [`Answered::Done`].
    pub fn refresh(&mut self, needs: &[Need<'_>], now: UnixMillis, shared: &dyn SharedWindows) -> Refreshed {
        let now = self.moment(now);
        let Some(places) = self.places(needs, now, shared) else { return Refreshed::Unavailable };
        let mut asks = Vec::new();
        for place in places.iter() {
            match self.accounts.get(place).map(|account| account.home) {
                Some(Home::Control) => asks.push((place, Ask::default())),
                Some(Home::Shared) if self.ask_shared(place, Ask::default(), now, shared).is_some() => {}
                Some(Home::Shared) | None => return Refreshed::Unavailable,
            }
        }
        if asks.is_empty() {
            return Refreshed::Now;
        }
        // Whoever only looks must not take the room of those who call.
        if self.operations.is_down() || self.operations.is_busy() {
            return Refreshed::Unavailable;
        }
        Refreshed::Ask(self.compose(&asks, now))
    }

    /// What all open holds together hold, in tokens; of a request with several limits once.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held
    }

    /// How many holds are open.
    #[must_use]
    pub fn holds(&self) -> usize {
        self.holds
    }

    /// How many operations control has not answered.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.operations.len()
    }

    /// Whether control has failed to answer several times in a row, so that only one operation at a time is
    /// tried until it does.
    #[must_use]
    pub fn is_control_down(&self) -> bool {
        self.operations.is_down()
    }

    /// The moment that it is: a clock that was set back a little stands still.
    fn moment(&mut self, now: UnixMillis) -> UnixMillis {
        let ahead = self.latest.seconds().saturating_sub(now.seconds());
        if now > self.latest || ahead > CLOCK_SET_BACK_SECONDS {
            self.latest = now;
        }
        self.latest
    }

    fn hold(&mut self, hold: &Hold, now: UnixMillis) {
        for place in hold.places.iter() {
            if let Some(account) = self.accounts.get_mut(place) {
                account.hold(hold.tokens, now);
            }
        }
    }

    /// Ends a hold that has come to nothing.
    fn release(&mut self, hold: &Hold) {
        for place in hold.places.iter() {
            if let Some(account) = self.accounts.get_mut(place) {
                account.release(hold.tokens);
            }
        }
    }
}

#[cfg(test)]
mod tests;
