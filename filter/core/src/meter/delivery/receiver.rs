//! How somebody who is told things is doing: what to say about it, and when not to try.

use core::fmt;
use core::time::Duration;

use crate::clock::UnixMillis;

/// After how many failures in a row it is left alone for a while.
const FAILURES: u32 = 3;
/// For how long.
const LEFT_ALONE: Duration = Duration::from_secs(30);
/// How often an outage is spoken of.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// What the log should say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Somebody does not take what it is told: who, the status if there was an answer, what becomes of it.
    Failing(&'static str, Option<u16>, &'static str),
    /// Somebody takes it again: who, after how many failures.
    Recovered(&'static str, u32),
    /// Control will never take so many records.
    Rejected(usize),
}

impl Notice {
    /// Whether it is good news.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Recovered(..))
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failing(who, Some(status), then) => {
                write!(f, "usage records: {who} answers {status}; {then}")
            }
            Self::Failing(who, None, then) => write!(f, "usage records: {who} does not answer; {then}"),
            Self::Recovered(who, failures) => {
                write!(f, "usage records: {who} takes them again after {failures} failed calls")
            }
            Self::Rejected(count) => {
                write!(f, "usage records: control rejected {count}; its log says which and why")
            }
        }
    }
}

/// One who is told.
#[derive(Debug)]
pub(super) struct Receiver {
    name: &'static str,
    /// What becomes of what it does not take.
    then: &'static str,
    failures: u32,
    left_alone_until: UnixMillis,
    said_at: UnixMillis,
}

impl Receiver {
    pub(super) const OPENMETER: Self = Self::new(
        "OpenMeter",
        "control keeps its events and sends them (is OPENMETER_URL right, and the key?)",
    );
    pub(super) const CONTROL: Self =
        Self::new("control", "they are kept and sent again; is `attach serve` running?");

    const fn new(name: &'static str, then: &'static str) -> Self {
        Self { name, then, failures: 0, left_alone_until: UnixMillis(0), said_at: UnixMillis(0) }
    }

    /// Whether it is worth a try: not for a while after failing time and again. Then one failure more is
    /// enough for the next while.
    pub(super) fn may_be_tried(&self, now: UnixMillis) -> bool {
        // The clock may have been set back.
        now >= self.left_alone_until || self.left_alone_until > now.after(LEFT_ALONE)
    }

    /// Takes note of an answer; whether it is a good one, and what there is to say.
    pub(super) fn answered(&mut self, status: Option<u16>, now: UnixMillis) -> (bool, Option<Notice>) {
        if matches!(status, Some(200..=299)) {
            let failures = core::mem::take(&mut self.failures);
            self.left_alone_until = UnixMillis(0);
            return (true, (failures > 0).then_some(Notice::Recovered(self.name, failures)));
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES {
            self.left_alone_until = now.after(LEFT_ALONE);
        }
        let is_new = self.failures == 1 || now >= self.said_at.after(SAY_EVERY) || now < self.said_at;
        if is_new {
            self.said_at = now;
        }
        (false, is_new.then_some(Notice::Failing(self.name, status, self.then)))
    }
}
