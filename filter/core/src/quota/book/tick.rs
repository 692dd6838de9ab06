//! What a book does between requests: says what was spent, gives back what is idle, renews what is held, and
//! asks again what was not answered.

use super::account::Ask;
use super::{Book, Operation};
use crate::clock::UnixMillis;
use crate::quota::bucket::SharedWindows;
use crate::quota::{Home, MAX_LIMITS};

/// The most accounts shared within the Envoy that are written in one tick, each in some microseconds.
const WRITES_PER_TICK: usize = 512;
/// The most operations that one tick makes for control.
const OPERATIONS_PER_TICK: usize = 32;
/// How many of those that idle are freed when there is no room.
const ROOM: usize = 64;

impl Book {
    /// Looks after all accounts; to be called several times a second. The operations are to be sent to
    /// control; nobody waits for them, but their answers are to be handed back.
    pub fn tick(&mut self, now: UnixMillis, shared: &dyn SharedWindows) -> Vec<Operation> {
        let once = self.is_strict || self.accounts.is_crowded();
        self.look_after(once, now, shared)
    }

    /// Gives back all that is idle and says all that was spent, before the book is closed; at most as much as
    /// in one [`Book::tick`].
    pub fn close(&mut self, now: UnixMillis, shared: &dyn SharedWindows) -> Vec<Operation> {
        self.look_after(true, now, shared)
    }

    fn look_after(&mut self, once: bool, now: UnixMillis, shared: &dyn SharedWindows) -> Vec<Operation> {
        let now = self.moment(now);
        for pending in self.operations.given_up(now) {
            for part in &pending.parts {
                if let Some(account) = self.accounts.get_mut(part.account) {
                    account.gone(*part);
                }
            }
            if let Some(hold) = pending.hold {
                self.release(&hold);
            }
        }
        let mut operations = self.operations.due(now);
        self.accounts.tidy();
        let mut writes = 0;
        let mut asks: Vec<(u32, Ask)> = Vec::new();
        let count = self.accounts.listed_len();
        // Starts where the last one ended, so that those at the end of a long list have their turn.
        self.turn = self.turn.checked_rem(count.max(1)).unwrap_or(0);
        for _ in 0..count {
            let place = self.accounts.listed(self.turn);
            self.turn = self.turn.saturating_add(1).checked_rem(count).unwrap_or(0);
            let Some((place, account)) = place.and_then(|place| Some((place, self.accounts.get(place)?)))
            else {
                continue;
            };
            let Some(ask) = account.due(once, now) else { continue };
            match account.home {
                Home::Shared => {
                    // Where it fails, the next tick tries again.
                    self.ask_shared(place, ask, now, shared);
                    writes += 1;
                }
                Home::Control if !account.is_asked() && !self.operations.is_down() => {
                    asks.push((place, ask));
                }
                Home::Control => {}
            }
            if writes >= WRITES_PER_TICK || asks.len() >= OPERATIONS_PER_TICK * MAX_LIMITS {
                break;
            }
        }
        for asks in asks.chunks(MAX_LIMITS) {
            if self.operations.is_full() {
                break;
            }
            operations.push(self.compose(asks, now));
        }
        operations
    }

    /// Frees places of accounts shared within the Envoy of which nothing is held.
    pub(super) fn make_room(&mut self, now: UnixMillis, shared: &dyn SharedWindows) {
        let mut writes = 0;
        for number in 0..self.accounts.listed_len() {
            let place = self.accounts.listed(number);
            let Some((place, account)) = place.and_then(|place| Some((place, self.accounts.get(place)?)))
            else {
                continue;
            };
            if account.home == Home::Shared
                && account.is_free()
                && let Some(ask) = account.due(true, now)
            {
                self.ask_shared(place, ask, now, shared);
                self.accounts.note_idle(place);
                writes += 1;
                if writes >= ROOM {
                    break;
                }
            }
        }
    }
}
