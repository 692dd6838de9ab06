//! The accounts that a worker keeps in memory: a bounded table, found by key, and by place while something
//! of them is held.

use hashbrown::HashMap;

use super::account::Account;
use crate::quota::{Key, Limit};

/// The most accounts that a worker keeps in memory.
pub const MAX_ACCOUNTS: usize = 16_384;
/// With more than this, what is idle goes back at once.
const CROWD: usize = MAX_ACCOUNTS / 4 * 3;
/// How many places are noted that can be used again.
const NOTED: usize = 1024;
/// How many accounts are looked at to find one that can be forgotten.
const LOOK_AT: usize = 256;

/// The table. A place stays an account's until it is forgotten, which no account is of which something is
/// leased, held, spent or asked.
#[derive(Default)]
pub(super) struct Accounts {
    places: HashMap<Key, u32>,
    accounts: Vec<Account>,
    /// Accounts of which something is leased, held, spent or asked.
    listed: Vec<u32>,
    /// Places of some accounts that could be forgotten when they were noted.
    idle: Vec<u32>,
    /// Where the last search for one to forget ended.
    hand: usize,
}

impl Accounts {
    pub(super) fn get(&self, place: u32) -> Option<&Account> {
        self.accounts.get(usize::try_from(place).ok()?)
    }

    pub(super) fn get_mut(&mut self, place: u32) -> Option<&mut Account> {
        self.accounts.get_mut(usize::try_from(place).ok()?)
    }

    pub(super) fn find(&self, key: Key) -> Option<&Account> {
        self.get(*self.places.get(&key)?)
    }

    /// The place of an account, new or not; `None` if all places are in use.
    pub(super) fn place(&mut self, key: Key, limit: &Limit) -> Option<u32> {
        if let Some(place) = self.places.get(&key) {
            let account = self.accounts.get_mut(usize::try_from(*place).ok()?)?;
            (account.tokens, account.window, account.home) = (limit.tokens, limit.window, limit.home);
            return Some(*place);
        }
        let account = Account::new(key, limit);
        let place = if self.accounts.len() < MAX_ACCOUNTS {
            self.accounts.push(account);
            self.accounts.len().checked_sub(1)?
        } else {
            let place = self.forgettable()?;
            let old = self.accounts.get_mut(place)?;
            self.places.remove(&old.key);
            // The list may still have the place; then it looks after the new account too early, that is all.
            let is_listed = old.is_listed;
            *old = account;
            old.is_listed = is_listed;
            place
        };
        let place = u32::try_from(place).ok()?;
        self.places.insert(key, place);
        Some(place)
    }

    fn forgettable(&mut self) -> Option<usize> {
        while let Some(place) = self.idle.pop() {
            if self.get(place).is_some_and(Account::is_forgettable) {
                return usize::try_from(place).ok();
            }
        }
        for _ in 0..LOOK_AT {
            self.hand = self.hand.saturating_add(1).checked_rem(MAX_ACCOUNTS)?;
            if self.accounts.get(self.hand).is_some_and(Account::is_forgettable) {
                return Some(self.hand);
            }
        }
        None
    }

    /// Notes that an account can be forgotten; whether it still can is seen when its place is needed.
    pub(super) fn note_idle(&mut self, place: u32) {
        if self.idle.len() < NOTED {
            self.idle.push(place);
        }
    }

    pub(super) fn is_crowded(&self) -> bool {
        self.listed.len() > CROWD
    }

    /// Looks after an account from now on.
    pub(super) fn list(&mut self, place: u32) {
        if let Some(account) = self.get_mut(place)
            && !account.is_listed
        {
            account.is_listed = true;
            self.listed.push(place);
        }
    }

    /// Strikes from the list what needs to be looked after no more.
    pub(super) fn tidy(&mut self) {
        let (accounts, idle) = (&mut self.accounts, &mut self.idle);
        self.listed.retain(|place| {
            let account = usize::try_from(*place).ok().and_then(|place| accounts.get_mut(place));
            account.is_some_and(|account| {
                account.is_listed = !account.is_forgettable();
                if !account.is_listed && idle.len() < NOTED {
                    idle.push(*place);
                }
                account.is_listed
            })
        });
    }

    /// The place of an account to look after, by its number on the list.
    pub(super) fn listed(&self, number: usize) -> Option<u32> {
        self.listed.get(number).copied()
    }

    /// How many there are to look after.
    pub(super) fn listed_len(&self) -> usize {
        self.listed.len()
    }

    pub(super) fn len(&self) -> usize {
        self.accounts.len()
    }
}
