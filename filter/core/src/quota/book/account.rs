//! What a worker knows of one account: its lease, what of it is held and spent, and how the account stood
//! at its home when it was last asked.

use core::time::Duration;

use super::View;
use crate::clock::UnixMillis;
use crate::quota::wire::{self, Left, MAX_SPENT};
use crate::quota::{Home, Key, LEASE_SECONDS, Limit, Window};

/// The most of a lease that lies idle is this part of the limit.
const IDLE_SHARE: u64 = 16;
/// After so long without a request, what is idle goes back.
const IDLE_FOR: Duration = Duration::from_secs(1);
/// So often a lease is renewed, in seconds.
const RENEW_SECONDS: u64 = LEASE_SECONDS / 3;

/// One account in a worker's memory.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) key: Key,
    pub(super) tokens: u64,
    pub(super) window: Window,
    pub(super) home: Home,
    /// What the home has granted; what is spent goes from it when it is reported.
    lease: u64,
    /// In open holds, those among them for which the home has been asked and has not answered.
    held: u64,
    holds: u32,
    /// Spent and not reported: seconds, earliest first, and how many tokens.
    spent: Vec<(u64, u64)>,
    unreported: u64,
    /// Operations that control has not answered.
    in_flight: u32,
    /// What they ask for beyond their need.
    extra: u64,
    /// Counts the operations that there ever were.
    serial: u32,
    /// How it stood when the home answered last, and when that was.
    left: Left,
    left_at: Option<UnixMillis>,
    /// The second at which the home was asked last that has answered.
    renewed: u64,
    /// When a request wanted or returned something.
    touched: UnixMillis,
    /// Whether the worker's list of accounts to look after has it.
    pub(super) is_listed: bool,
}

/// What is to be asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ask {
    pub(super) need: u64,
    pub(super) want: u64,
    pub(super) give_back: u64,
}

/// One account of an operation that control has not answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) account: u32,
    extra: u64,
    /// The operation's number if no other was on its way.
    alone: Option<u32>,
}

impl Account {
    pub(super) fn new(key: Key, limit: &Limit) -> Self {
        Self {
            key,
            tokens: limit.tokens,
            window: limit.window,
            home: limit.home,
            lease: 0,
            held: 0,
            holds: 0,
            spent: Vec::new(),
            unreported: 0,
            in_flight: 0,
            extra: 0,
            serial: 0,
            left: Left::default(),
            left_at: None,
            renewed: 0,
            touched: UnixMillis(0),
            is_listed: false,
        }
    }

    /// What of the lease nobody holds and nobody has spent.
    fn idle(&self) -> u64 {
        self.lease.saturating_sub(self.held).saturating_sub(self.unreported)
    }

    fn has_run_out(&self, now: UnixMillis) -> bool {
        now.seconds() >= self.renewed.saturating_add(LEASE_SECONDS)
    }

    /// Whether the lease has so much, without asking anybody.
    pub(super) fn has(&self, tokens: u64, now: UnixMillis) -> bool {
        self.idle() >= tokens && !self.has_run_out(now)
    }

    /// Whether nothing would be lost if it were forgotten.
    pub(super) fn is_forgettable(&self) -> bool {
        self.lease == 0 && self.holds == 0 && self.unreported == 0 && self.in_flight == 0
    }

    /// Whether nothing of it is held, nor asked for: what is idle can be given back, and the rest forgotten.
    pub(super) fn is_free(&self) -> bool {
        self.holds == 0 && self.in_flight == 0
    }

    pub(super) fn is_asked(&self) -> bool {
        self.in_flight > 0
    }

    pub(super) fn hold(&mut self, tokens: u64, now: UnixMillis) {
        self.held = self.held.saturating_add(tokens);
        self.holds = self.holds.saturating_add(1);
        self.touched = self.touched.max(now);
    }

    pub(super) fn release(&mut self, tokens: u64) {
        self.held = self.held.saturating_sub(tokens);
        self.holds = self.holds.saturating_sub(1);
    }

    /// A hold is smaller than it was.
    pub(super) fn loosen(&mut self, tokens: u64) {
        self.held = self.held.saturating_sub(tokens);
    }

    /// Two holds of one request are one.
    pub(super) fn join(&mut self) {
        self.holds = self.holds.saturating_sub(1);
    }

    /// Notes what was spent now. Moments of one slot are one, the later.
    pub(super) fn spend(&mut self, tokens: u64, now: UnixMillis) {
        self.touched = self.touched.max(now);
        if tokens == 0 {
            return;
        }
        let second = now.seconds();
        self.unreported = self.unreported.saturating_add(tokens);
        match self.spent.last_mut() {
            Some((at, spent)) if self.window.slot(*at) == self.window.slot(second) => {
                *at = second;
                *spent = spent.saturating_add(tokens);
            }
            _ => self.spent.push((second, tokens)),
        }
        if self.spent.len() > MAX_SPENT {
            // The home has been away for long: what is said to be later leaves later.
            let (_, first) = self.spent.remove(0);
            if let Some((_, second)) = self.spent.first_mut() {
                *second = second.saturating_add(first);
            }
        }
    }

    /// What must be asked for so that a request gets so much. What is idle counts, but where every request
    /// asks anew, or where the lease may have been lost: then it goes back in the same operation.
    pub(super) fn ask(&self, tokens: u64, is_strict: bool, now: UnixMillis) -> Ask {
        if is_strict {
            return Ask { need: tokens, want: tokens, give_back: self.idle() };
        }
        let (need, give_back) = if self.has_run_out(now) {
            (tokens, self.idle())
        } else {
            (tokens.saturating_sub(self.idle()), 0)
        };
        Ask { need, want: need.max((self.tokens / IDLE_SHARE).saturating_sub(self.extra)), give_back }
    }

    /// What is to be told the home without being asked, if anything. At `once`: all that is idle goes back.
    pub(super) fn due(&self, once: bool, now: UnixMillis) -> Option<Ask> {
        let give_back = if once || now >= self.touched.after(IDLE_FOR) {
            self.idle()
        } else {
            self.idle().saturating_sub(self.tokens / IDLE_SHARE)
        };
        let report = Ask { give_back, ..Ask::default() };
        let is_idle = now >= self.touched.after(IDLE_FOR) || once;
        let is_overdrawn = self.held.saturating_add(self.unreported) > self.lease && self.unreported > 0;
        let is_due = give_back > 0
            || (self.unreported > 0 && (is_idle || is_overdrawn))
            || (self.lease > 0 && now.seconds() >= self.renewed.saturating_add(RENEW_SECONDS));
        is_due.then_some(report)
    }

    /// The account's part of an operation. What it reports leaves the account; see [`Account::take_back`].
    pub(super) fn compose(&mut self, ask: Ask) -> wire::Account {
        wire::Account {
            key: self.key,
            tokens: self.tokens,
            window: self.window,
            spent: core::mem::take(&mut self.spent),
            give_back: ask.give_back,
            need: ask.need,
            want: ask.want,
        }
    }

    /// Nothing has come of an operation, certainly.
    pub(super) fn take_back(&mut self, part: wire::Account) {
        self.spent = part.spent;
    }

    /// The home did what it was asked, and nothing else was on its way.
    pub(super) fn done(&mut self, mut part: wire::Account, left: Left, now: UnixMillis) {
        part.spent.clear();
        self.spent = part.spent;
        self.unreported = 0;
        self.lease = left.lease;
        self.stands(left, now, now.seconds());
    }

    /// An operation goes to control.
    pub(super) fn sent(&mut self, account: u32, part: &wire::Account) -> Part {
        let gone = self.unreported.saturating_add(part.give_back);
        self.lease = self.lease.saturating_sub(gone);
        self.unreported = 0;
        let extra = part.want.saturating_sub(part.need);
        self.extra = self.extra.saturating_add(extra);
        self.serial = self.serial.wrapping_add(1);
        let alone = (self.in_flight == 0).then_some(self.serial);
        self.in_flight = self.in_flight.saturating_add(1);
        Part { account, extra, alone }
    }

    /// Control has answered. What it says of the lease is right, whatever was believed here, unless it has
    /// been asked something else meanwhile.
    pub(super) fn answered(&mut self, part: Part, granted: u64, left: Left, sent: u64, now: UnixMillis) {
        self.gone(part);
        self.lease =
            if part.alone == Some(self.serial) { left.lease } else { self.lease.saturating_add(granted) };
        if granted > 0 {
            self.touched = self.touched.max(now);
        }
        self.stands(left, now, sent);
    }

    /// An operation is no longer on its way.
    pub(super) fn gone(&mut self, part: Part) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.extra = self.extra.saturating_sub(part.extra);
    }

    fn stands(&mut self, left: Left, now: UnixMillis, asked: u64) {
        self.left = left;
        self.left_at = Some(now);
        self.renewed = self.renewed.max(asked);
    }

    /// Whether the home has ever said how it stands.
    pub(super) fn is_known(&self) -> bool {
        self.left_at.is_some()
    }

    /// How it stands, as far as this worker knows.
    pub(super) fn view(&self, now: UnixMillis) -> View {
        let (second, since) = (now.seconds(), self.left_at.unwrap_or(now).seconds());
        let rest = self.left.reset.saturating_sub(second.saturating_sub(since));
        let whole = self.window.leaves(second).saturating_sub(second);
        let is_past = self.window.leaves(since) <= second || rest == 0;
        let used = if is_past { 0 } else { self.left.used }.saturating_add(self.unreported);
        let others = self.left.held.saturating_sub(self.left.lease);
        let held = others.saturating_add(self.held);
        let reset = match self.window {
            Window::Day | Window::Month => whole,
            Window::Sliding(_) if self.unreported > 0 => whole,
            Window::Sliding(_) => rest,
        };
        View {
            limit: self.tokens,
            used,
            held,
            remaining: self.tokens.saturating_sub(used).saturating_sub(held),
            reset,
        }
    }
}
