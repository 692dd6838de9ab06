//! One worker's own memory of limits: what it has leased, who holds what of it, and what was spent.
//!
//! A request reserves tokens under all its limits ([`Book::reserve`]) and gets a [`Hold`], which is settled
//! once with what was really used. Where the leases have enough, that touches nothing but this memory. Where
//! they have not, accounts shared within the Envoy are asked at once, and control by an [`Operation`] whose
//! answer comes later. Whatever control does not answer is asked again under the same id.

mod account;
mod accounts;
mod operations;
mod tick;

use std::rc::Rc;

use self::account::{Account, Ask};
use self::accounts::Accounts;
pub use self::accounts::MAX_ACCOUNTS;
use self::operations::Operations;
use super::bucket::SharedWindows;
use super::home;
use super::wire::{self, Answer};
use super::{CLOCK_SET_BACK_SECONDS, Home, Key, Limit, MAX_LIMITS};
use crate::clock::UnixMillis;

/// A limit that a request counts against, and whose account it is.
#[derive(Clone, Copy, Debug)]
pub struct Need<'a> {
    /// The account.
    pub key: Key,
    /// Its limit.
    pub limit: &'a Limit,
}

/// Tokens that are set aside for a request, under each of its limits. Ends with [`Book::settle`].
#[must_use = "what is held stays held until it is settled"]
#[derive(Debug)]
pub struct Hold {
    places: Places,
    tokens: u64,
}

/// Where a request's accounts are in the book's table.
#[derive(Clone, Copy, Debug, Default)]
struct Places {
    places: [u32; MAX_LIMITS],
    len: usize,
}

impl Places {
    fn push(&mut self, place: u32) {
        if let Some(free) = self.places.get_mut(self.len) {
            *free = place;
            self.len = self.len.saturating_add(1);
        }
    }

    fn iter(&self) -> impl Iterator<Item = u32> + use<> {
        self.places.into_iter().take(self.len)
    }
}

impl Hold {
    /// How much is held.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }
}

/// What comes of reserving.
#[derive(Debug)]
pub enum Taken {
    /// All limits have enough.
    Granted(Hold),
    /// One has not; nothing is held.
    Refused(Refused),
    /// Control must be asked: send this, and hand what comes back to [`Book::answered`] or [`Book::failed`],
    /// which says what comes of it.
    Ask(Operation),
    /// A limit's home is not to be had, or too many accounts are in use; nothing is held.
    Unavailable,
}

/// What comes of growing a hold.
#[derive(Debug)]
pub enum Grown {
    /// It has grown.
    Granted,
    /// One limit has not enough; the hold is as it was.
    Refused(Refused),
    /// Control must be asked; the hold that is granted then is to be [joined](Book::join) to the one that
    /// was to grow.
    Ask(Operation),
    /// A limit's home is not to be had; the hold is as it was.
    Unavailable,
}

/// What comes of asking how accounts stand.
#[derive(Debug)]
pub enum Refreshed {
    /// [`Book::view`] says it.
    Now,
    /// It will when this is answered.
    Ask(Operation),
    /// A limit's home is not to be had.
    Unavailable,
}

/// A limit that has not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The account.
    pub key: Key,
    /// In how many seconds there may be enough, at least one; `None` if the limit itself is less.
    pub retry_after: Option<u64>,
    /// How the account stands.
    pub view: View,
}

/// How an account stands, as far as a worker knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The limit.
    pub limit: u64,
    /// Used in the window that ends now.
    pub used: u64,
    /// Set aside: for this worker's requests, and leased to other workers.
    pub held: u64,
    /// The rest.
    pub remaining: u64,
    /// In how many seconds all that was used has left the window; of a day and a month, their rest.
    pub reset: u64,
}

/// A request to control, as it goes to [`wire::PATH`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Which one, within its book.
    pub id: u64,
    /// The JSON text.
    pub body: Rc<[u8]>,
}

/// What control's answer means for who has asked.
#[derive(Debug)]
pub enum Answered {
    /// The reservation is made. Who does not want it any more settles it with nothing.
    Granted(Hold),
    /// A limit has not enough.
    Refused(Refused),
    /// Control cannot tell, or nobody knows what it has done; it is asked again, but the request must not
    /// wait for that.
    Unavailable,
    /// Nobody waits for it.
    Done,
}

/// A worker's memory of limits.
pub struct Book {
    worker: Box<str>,
    number: u64,
    is_strict: bool,
    accounts: Accounts,
    operations: Operations,
    holds: usize,
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
            turn: 0,
            latest: UnixMillis(0),
        }
    }

    /// Sets tokens aside under all limits, or none. At most [`MAX_LIMITS`] limits; with more nothing is had.
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
                Some(Home::Shared) => {
                    if self.ask_shared(place, Ask::default(), now, shared).is_none() {
                        return Refreshed::Unavailable;
                    }
                }
                Some(Home::Control) => asks.push((place, Ask::default())),
                None => {}
            }
        }
        if asks.is_empty() {
            return Refreshed::Now;
        }
        if self.operations.is_down() || self.operations.is_full() {
            return Refreshed::Unavailable;
        }
        Refreshed::Ask(self.compose(&asks, now))
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

    /// The places of a request's accounts, each once.
    fn places(&mut self, needs: &[Need<'_>], now: UnixMillis, shared: &dyn SharedWindows) -> Option<Places> {
        let mut places = Places::default();
        if needs.len() > MAX_LIMITS {
            return None;
        }
        for need in needs {
            let place = match self.accounts.place(need.key, need.limit) {
                Some(place) => place,
                None => {
                    // Everything is in use or idles for the second that it may: what idles goes back now.
                    self.make_room(now, shared);
                    self.accounts.place(need.key, need.limit)?
                }
            };
            if !places.iter().any(|there| there == place) {
                places.push(place);
            }
        }
        Some(places)
    }

    fn take(&mut self, places: Places, tokens: u64, now: UnixMillis, shared: &dyn SharedWindows) -> Taken {
        let hold = Hold { places, tokens };
        let has = |account: Option<&Account>| account.is_some_and(|account| account.has(tokens, now));
        if self.is_strict || !places.iter().all(|place| has(self.accounts.get(place))) {
            if let Some(stopped) = self.take_shared(places, tokens, now, shared) {
                return stopped;
            }
            let mut asks = Vec::new();
            for place in places.iter() {
                if let Some(account) = self.accounts.get(place)
                    && account.home == Home::Control
                    && (self.is_strict || !account.has(tokens, now))
                {
                    asks.push((place, account.ask(tokens, self.is_strict, now)));
                }
            }
            if !asks.is_empty() {
                return self.ask_control(&asks, hold, now);
            }
        }
        self.hold(&hold, now);
        self.holds = self.holds.saturating_add(1);
        Taken::Granted(hold)
    }

    /// Sees to it that the leases of accounts shared within the Envoy have enough, and that no limit is less
    /// than what is asked for; what stops the request, if something does.
    fn take_shared(
        &mut self,
        places: Places,
        tokens: u64,
        now: UnixMillis,
        shared: &dyn SharedWindows,
    ) -> Option<Taken> {
        for place in places.iter() {
            let Some(account) = self.accounts.get(place) else { return Some(Taken::Unavailable) };
            if tokens > account.tokens {
                return Some(Taken::Refused(refusal(account, None, now)));
            }
        }
        for place in places.iter() {
            let Some(account) = self.accounts.get(place) else { return Some(Taken::Unavailable) };
            if account.home != Home::Shared || (!self.is_strict && account.has(tokens, now)) {
                continue;
            }
            let ask = account.ask(tokens, self.is_strict, now);
            match self.ask_shared(place, ask, now, shared) {
                Some(Ok(())) => {}
                Some(Err(refused)) => return Some(Taken::Refused(refused)),
                None => return Some(Taken::Unavailable),
            }
        }
        None
    }

    /// Asks an account's home within the Envoy; `None` if it is not to be had, and nothing has happened.
    fn ask_shared(
        &mut self,
        place: u32,
        ask: Ask,
        now: UnixMillis,
        shared: &dyn SharedWindows,
    ) -> Option<Result<(), Refused>> {
        let number = self.number;
        let account = self.accounts.get_mut(place)?;
        let part = account.compose(ask);
        let mut answer = None;
        let is_done = shared.update(part.key, part.window, now.seconds(), &mut |entry| {
            let (entries, parts) = (core::slice::from_mut(entry), core::slice::from_ref(&part));
            answer = Some(home::apply(entries, parts, number, now.seconds()));
        });
        let Some((answer, left)) = answer
            .filter(|_| is_done)
            .and_then(|answer| answer.left().first().copied().map(|left| (answer, left)))
        else {
            account.take_back(part);
            return None;
        };
        account.done(part, left, now);
        let result = match answer {
            Answer::Granted { .. } => Ok(()),
            Answer::Refused { refused, .. } => Err(refusal(account, refused.retry_after, now)),
        };
        self.accounts.list(place);
        Some(result)
    }

    /// Composes an operation for control, and holds what is asked for until its answer is there.
    fn ask_control(&mut self, asks: &[(u32, Ask)], hold: Hold, now: UnixMillis) -> Taken {
        if self.operations.is_down() || self.operations.is_full() {
            return Taken::Unavailable;
        }
        // First the asking, which counts what is idle without what is now to be held.
        let operation = self.compose(asks, now);
        self.hold(&hold, now);
        self.operations.wait(operation.id, hold);
        Taken::Ask(operation)
    }

    fn compose(&mut self, asks: &[(u32, Ask)], now: UnixMillis) -> Operation {
        let mut parts = Vec::with_capacity(asks.len());
        let mut accounts = Vec::with_capacity(asks.len());
        for (place, ask) in asks {
            if let Some(account) = self.accounts.get_mut(*place) {
                let wire = account.compose(*ask);
                parts.push(account.sent(*place, &wire));
                accounts.push(wire);
            }
            self.accounts.list(*place);
        }
        self.operations.add(&self.worker, parts, accounts, now)
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

fn refusal(account: &Account, retry_after: Option<u64>, now: UnixMillis) -> Refused {
    Refused { key: account.key, retry_after, view: account.view(now) }
}

#[cfg(test)]
mod tests;
