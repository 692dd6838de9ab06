//! One account at its home: what was used of it when, and which worker holds how much.
//!
//! Time never runs backwards here: an entry remembers the latest second it has seen, and a clock that was
//! set back a little stands still until it has caught up.

mod bytes;

use super::{CLOCK_SET_BACK_SECONDS, LEASE_SECONDS, Window};

/// The most slots that are kept; a window has fewer.
const MAX_SLOTS: usize = 64;
/// The most workers that can hold leases of one account at a time.
pub const MAX_LEASES: usize = 256;
/// A lease is this part of the limit at most, unless one request needs more.
const LEASE_SHARE: u64 = 16;
/// With less than this part of the limit free, a grant is what the request needs and no more.
const NEAR_SHARE: u64 = 8;

/// What is known of one account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The latest second that was seen.
    latest: u64,
    /// Slots and what was used in them, earliest first; none is later than the latest second.
    used: Vec<(u64, u64)>,
    leases: Vec<Lease>,
}

/// What a worker holds. When it has run out, it counts as used at that second, until that leaves the window
/// or the worker comes back and says what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lease {
    worker: u64,
    amount: u64,
    /// When the worker was heard of last, about this account.
    renewed: u64,
}

impl Lease {
    fn runs_out(&self) -> u64 {
        self.renewed.saturating_add(LEASE_SECONDS)
    }
}

/// There is not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short {
    /// In how many seconds there may be, at least one; `None` if the limit is smaller than what was asked for.
    pub retry_after: Option<u64>,
}

/// A request for budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Less is of no use.
    pub need: u64,
    /// More is of no use; never less than the need.
    pub want: u64,
    /// The limit's tokens.
    pub limit: u64,
}

impl Entry {
    /// A worker says what it has spent of its lease, at which seconds, and how much it gives back. What it
    /// has spent beyond the lease counts all the same. Renews the lease.
    ///
    /// A worker's clock cannot make what it spent leave early: nothing was spent before the worker was heard
    /// of last.
    pub fn report(&mut self, worker: u64, spent: &[(u64, u64)], give_back: u64, window: Window, now: u64) {
        let now = self.advance(window, now);
        let place = self.leases.iter().position(|lease| lease.worker == worker);
        let since = place.and_then(|place| self.leases.get(place)).map_or(0, |lease| lease.renewed);
        let mut gone = give_back;
        for &(at, tokens) in spent {
            gone = gone.saturating_add(tokens);
            self.add(window, at.max(since).min(now), tokens);
        }
        if let Some(lease) = place.and_then(|place| self.leases.get_mut(place)) {
            lease.amount = lease.amount.saturating_sub(gone);
            lease.renewed = now;
        }
        self.leases.retain(|lease| lease.amount > 0);
    }

    /// Counts tokens as used at a second, whoever used them: to rebuild what was lost.
    pub fn record(&mut self, at: u64, tokens: u64, window: Window, now: u64) {
        let now = self.advance(window, now);
        self.add(window, at.min(now), tokens);
    }

    /// Whether [`Entry::grant`] would grant.
    ///
    /// # Errors
    /// [`Short`].
    pub fn check(&self, worker: u64, wish: Wish, window: Window, now: u64) -> Result<(), Short> {
        let now = self.moment(now);
        if wish.need == 0 {
            return Ok(());
        }
        if wish.need > wish.limit {
            return Err(Short { retry_after: None });
        }
        // More than the limit may be used already, by what went beyond its lease.
        let taken = self.used(window, now).saturating_add(self.held(now));
        let short = taken.saturating_add(wish.need).saturating_sub(wish.limit);
        if short > 0 {
            return Err(Short { retry_after: Some(self.until_free(short, window, now)) });
        }
        if self.leases.len() >= MAX_LEASES && !self.leases.iter().any(|lease| lease.worker == worker) {
            return Err(Short { retry_after: Some(1) });
        }
        Ok(())
    }

    /// Adds to a worker's lease: between what it needs and what it wants.
    ///
    /// # Errors
    /// [`Short`]; nothing has changed then.
    pub fn grant(&mut self, worker: u64, wish: Wish, window: Window, now: u64) -> Result<u64, Short> {
        let now = self.advance(window, now);
        self.check(worker, wish, window, now)?;
        let free = self.free(wish.limit, window, now);
        let granted = if free < wish.limit / NEAR_SHARE {
            wish.need
        } else {
            wish.want.min(wish.limit / LEASE_SHARE).min(free).max(wish.need)
        };
        let is_full = self.leases.len() >= MAX_LEASES;
        match self.leases.iter_mut().find(|lease| lease.worker == worker) {
            _ if granted == 0 => {}
            Some(lease) => {
                lease.amount = lease.amount.saturating_add(granted);
                lease.renewed = now;
            }
            // Nothing was needed, and there is no place.
            None if is_full => return Ok(0),
            None => self.leases.push(Lease { worker, amount: granted, renewed: now }),
        }
        Ok(granted)
    }

    /// What counts as used in the window that ends now; leases that have run out among it.
    #[must_use]
    pub fn used(&self, window: Window, now: u64) -> u64 {
        self.counting(window, self.moment(now)).fold(0, |sum, (_, tokens)| sum.saturating_add(tokens))
    }

    /// What workers hold in leases that have not run out.
    #[must_use]
    pub fn held(&self, now: u64) -> u64 {
        let now = self.moment(now);
        let open = self.leases.iter().filter(|lease| now < lease.runs_out());
        open.fold(0, |sum, lease| sum.saturating_add(lease.amount))
    }

    /// What a worker holds, whether it has run out or not.
    #[must_use]
    pub fn lease(&self, worker: u64) -> u64 {
        self.leases.iter().find(|lease| lease.worker == worker).map_or(0, |lease| lease.amount)
    }

    /// In how many seconds all that was used until now has left the window; of a day and a month, their rest.
    #[must_use]
    pub fn reset(&self, window: Window, now: u64) -> u64 {
        let now = self.moment(now);
        let last = match window {
            Window::Sliding(_) => self.counting(window, now).map(|(leaves, _)| leaves).max().unwrap_or(now),
            Window::Day | Window::Month => window.leaves(now),
        };
        last.saturating_sub(now)
    }

    /// The second from which nothing of it counts any more, whatever happens to its leases; 0 if nothing does.
    #[must_use]
    pub fn ends(&self, window: Window) -> u64 {
        let used = self.used.iter().map(|(slot, _)| *slot);
        let leased = self.leases.iter().map(Lease::runs_out);
        used.chain(leased).map(|at| window.leaves(at)).max().unwrap_or(0)
    }

    /// The second that it is, by the latest that was seen. A clock that was set back by much is believed.
    fn moment(&self, now: u64) -> u64 {
        if self.latest.saturating_sub(now) > CLOCK_SET_BACK_SECONDS { now } else { now.max(self.latest) }
    }

    /// Goes on to a second, and forgets what counts no longer.
    fn advance(&mut self, window: Window, now: u64) -> u64 {
        let now = self.moment(now);
        if now < self.latest {
            // The clock was wrong before: what it said of the future is of now.
            let kept = self.used.partition_point(|(slot, _)| *slot <= now);
            let future =
                self.used.split_off(kept).iter().fold(0_u64, |sum, (_, used)| sum.saturating_add(*used));
            self.latest = now;
            self.add(window, now, future);
            for lease in &mut self.leases {
                lease.renewed = lease.renewed.min(now);
            }
        }
        self.latest = now;
        self.used.retain(|(slot, _)| now < window.leaves(*slot));
        self.leases.retain(|lease| now < lease.runs_out() || now < window.leaves(lease.runs_out()));
        now
    }

    fn add(&mut self, window: Window, at: u64, tokens: u64) {
        if tokens == 0 || self.latest >= window.leaves(at) {
            return;
        }
        let slot = window.slot(at);
        match self.used.binary_search_by_key(&slot, |(slot, _)| *slot) {
            Ok(place) => {
                if let Some((_, used)) = self.used.get_mut(place) {
                    *used = used.saturating_add(tokens);
                }
            }
            Err(place) => self.used.insert(place, (slot, tokens)),
        }
        if self.used.len() > MAX_SLOTS {
            // Slots of a window that was wider before: what is said to be later leaves later.
            let (_, first) = self.used.remove(0);
            if let Some((_, second)) = self.used.first_mut() {
                *second = second.saturating_add(first);
            }
        }
    }

    /// What counts as used: when each leaves, and how much.
    fn counting(&self, window: Window, now: u64) -> impl Iterator<Item = (u64, u64)> {
        let used = self.used.iter().copied();
        let lost = self.leases.iter().filter(move |lease| lease.runs_out() <= now);
        used.chain(lost.map(|lease| (lease.runs_out(), lease.amount)))
            .map(move |(at, tokens)| (window.leaves(at), tokens))
            .filter(move |(leaves, _)| now < *leaves)
    }

    fn free(&self, limit: u64, window: Window, now: u64) -> u64 {
        limit.saturating_sub(self.used(window, now)).saturating_sub(self.held(now))
    }

    /// In how many seconds so much more may be free: the next one where open leases could bring it, since
    /// they come back at any time; else when enough of what was used has left.
    fn until_free(&self, short: u64, window: Window, now: u64) -> u64 {
        let held = self.held(now);
        if short <= held {
            return 1;
        }
        let mut leaving: Vec<(u64, u64)> = self.counting(window, now).collect();
        leaving.sort_unstable();
        let when = |enough: u64| {
            let mut sum = 0_u64;
            leaving.iter().find_map(|(leaves, tokens)| {
                sum = sum.saturating_add(*tokens);
                (sum >= enough).then(|| leaves.saturating_sub(now).max(1))
            })
        };
        when(short).or_else(|| when(short.saturating_sub(held))).unwrap_or(1)
    }
}

#[cfg(test)]
mod tests;
