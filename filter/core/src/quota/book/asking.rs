//! How a book gets what its leases lack: from shared data at once, from control by an operation.

use super::account::{Account, Ask};
use super::outcome::Places;
use super::{Book, Hold, Need, Operation, Refused, Taken};
use crate::clock::UnixMillis;
use crate::quota::bucket::SharedWindows;
use crate::quota::wire::Answer;
use crate::quota::{Home, MAX_LIMITS, home};

impl Book {
    /// The places of a request's accounts, each once.
    pub(super) fn places(
        &mut self,
        needs: &[Need<'_>],
        now: UnixMillis,
        shared: &dyn SharedWindows,
    ) -> Option<Places> {
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

    pub(super) fn take(
        &mut self,
        places: Places,
        tokens: u64,
        now: UnixMillis,
        shared: &dyn SharedWindows,
    ) -> Taken {
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
        self.held = self.held.saturating_add(hold.tokens);
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
    pub(super) fn ask_shared(
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
    pub(super) fn ask_control(&mut self, asks: &[(u32, Ask)], hold: Hold, now: UnixMillis) -> Taken {
        if self.operations.is_down() || self.operations.is_full() {
            return Taken::Unavailable;
        }
        // First the asking, which counts what is idle without what is now to be held.
        let operation = self.compose(asks, now);
        self.hold(&hold, now);
        self.operations.wait(operation.id, hold);
        Taken::Ask(operation)
    }

    pub(super) fn compose(&mut self, asks: &[(u32, Ask)], now: UnixMillis) -> Operation {
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
}

pub(super) fn refusal(account: &Account, retry_after: Option<u64>, now: UnixMillis) -> Refused {
    Refused { key: account.key, retry_after, view: account.view(now) }
}
