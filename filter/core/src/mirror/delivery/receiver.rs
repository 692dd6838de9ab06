//! How somebody who is told things is doing: what to say about it, and when not to try.

use core::fmt;
use core::time::Duration;

use crate::clock::UnixMillis;
use crate::outbox::is_past;

/// How long it is left alone after a first failure; that doubles with each.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest that it is left alone.
const MAX_REST: Duration = Duration::from_secs(30);
/// How often the same is spoken of.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// What the log should say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Somebody does not take what it is told: who, the status if there was an answer, what becomes of it.
    Failing(&'static str, Option<u16>, &'static str),
    /// Somebody takes some events of a batch and not others: who, how many not, what becomes of them.
    Partly(&'static str, usize, &'static str),
    /// Somebody takes it again: who, after how many failures.
    Recovered(&'static str, u32),
    /// Control will never take so many events: the status it gave.
    Rejected(usize, u16),
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
            Self::Failing(who, Some(status), then) => write!(f, "memory: {who} answers {status}; {then}"),
            Self::Failing(who, None, then) => write!(f, "memory: {who} does not answer; {then}"),
            Self::Partly(who, count, then) => {
                write!(f, "memory: {who} does not take {count} events of a batch; {then}")
            }
            Self::Recovered(who, failures) => {
                write!(f, "memory: {who} takes events again after {failures} failed calls")
            }
            Self::Rejected(count, status) => {
                write!(f, "memory: {count} events dropped, control answers them with {status}")
            }
        }
    }
}

/// How an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grade {
    /// All was taken.
    Good,
    /// So many were not: the receiver is well, but there is something about these.
    Partly(usize),
    /// Nothing was taken: the status, if there is one.
    Bad(Option<u16>),
}

/// One who is told.
#[derive(Debug)]
pub(super) struct Receiver {
    name: &'static str,
    /// What becomes of what it does not take.
    then: &'static str,
    failures: u32,
    rests_until: UnixMillis,
    said_at: UnixMillis,
}

impl Receiver {
    pub(super) const WEAVIATE: Self = Self::new(
        "Weaviate",
        "control keeps events for it and sends them (are WEAVIATE_URL and WEAVIATE_API_KEY right?)",
    );
    pub(super) const CONTROL: Self =
        Self::new("control", "events are kept and sent again; is `attach serve` running?");

    const fn new(name: &'static str, then: &'static str) -> Self {
        Self { name, then, failures: 0, rests_until: UnixMillis(0), said_at: UnixMillis(0) }
    }

    /// Whether its last answer was a good one, or it was never asked.
    pub(super) const fn is_well(&self) -> bool {
        self.failures == 0
    }

    /// Whether it is worth a try: after a failure not for a while.
    pub(super) fn may_be_tried(&self, now: UnixMillis) -> bool {
        self.is_well() || is_past(self.rests_until, MAX_REST, now)
    }

    /// Takes note of an answer; what there is to say.
    pub(super) fn answered(&mut self, grade: Grade, now: UnixMillis) -> Option<Notice> {
        let Grade::Bad(status) = grade else {
            let failures = core::mem::take(&mut self.failures);
            if failures > 0 {
                // The next outage is a new one.
                self.said_at = UnixMillis(0);
                return Some(Notice::Recovered(self.name, failures));
            }
            return match grade {
                Grade::Partly(count) if self.may_say(now) => {
                    Some(Notice::Partly(self.name, count, self.then))
                }
                _ => None,
            };
        };
        let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.rests_until = now.after(FIRST_REST.saturating_mul(doubled).min(MAX_REST));
        self.failures = self.failures.saturating_add(1);
        self.may_say(now).then_some(Notice::Failing(self.name, status, self.then))
    }

    fn may_say(&mut self, now: UnixMillis) -> bool {
        let may = is_past(self.said_at.after(SAY_EVERY), SAY_EVERY, now);
        if may {
            self.said_at = now;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn later(seconds: u64) -> UnixMillis {
        NOW.after(Duration::from_secs(seconds))
    }

    #[test]
    fn who_fails_rests_twice_as_long_each_time_up_to_half_a_minute() {
        let (mut receiver, mut second) = (Receiver::WEAVIATE, 100);
        for rest in [1, 2, 4, 8, 16, 30, 30] {
            assert!(receiver.may_be_tried(later(second)));
            receiver.answered(Grade::Bad(Some(429)), later(second));
            assert!(!receiver.may_be_tried(later(second + rest - 1)), "{rest}");
            assert!(receiver.may_be_tried(NOW), "the clock was set back");
            second += rest;
        }
        assert!(!receiver.is_well());
        assert_eq!(receiver.answered(Grade::Good, later(200)), Some(Notice::Recovered("Weaviate", 7)));
        assert!(receiver.is_well() && receiver.may_be_tried(later(200)));
    }

    #[test]
    fn an_outage_is_spoken_of_at_once_and_then_once_a_minute() {
        let mut receiver = Receiver::CONTROL;
        let mut said = Vec::new();
        for second in 0..130 {
            said.extend(receiver.answered(Grade::Bad(None), later(second)).map(|_| second));
        }
        assert_eq!(said, [0, 60, 120]);
        receiver.answered(Grade::Good, later(131));
        assert!(receiver.answered(Grade::Bad(None), later(132)).is_some(), "another one");
        assert!(receiver.answered(Grade::Partly(2), later(133)).is_some_and(|notice| notice.is_good()));
        assert!(receiver.answered(Grade::Partly(2), later(134)).is_some());
        assert_eq!(receiver.answered(Grade::Partly(2), later(135)), None);
        assert!(receiver.is_well());
    }

    #[test]
    fn a_notice_says_what_to_do() {
        let text = Notice::Failing("control", None, Receiver::CONTROL.then).to_string();
        assert_eq!(
            text,
            "memory: control does not answer; events are kept and sent again; is `attach serve` running?"
        );
        assert_eq!(
            Notice::Rejected(1, 422).to_string(),
            "memory: 1 events dropped, control answers them with 422"
        );
    }
}
