//! The time that a limit is about, cut into slots: what was used is kept by slot, not by request.

use serde::{Deserialize, Serialize};

const DAY_SECONDS: u64 = 86_400;
/// How many slots a sliding window has at most, but for the one that is leaving.
const SLOTS: u64 = 60;

/// The time that a limit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// The last so many seconds.
    Sliding(u32),
    /// The calendar day, UTC.
    Day,
    /// The calendar month, UTC.
    Month,
}

impl Window {
    /// The longest sliding window, in seconds: a leap year.
    pub const MAX_SLIDING: u32 = 366 * 86_400;

    /// How long it is, in seconds; of a month, the one that the moment is in.
    #[must_use]
    pub fn seconds(self, now: u64) -> u64 {
        match self {
            Self::Sliding(seconds) => u64::from(seconds).max(1),
            Self::Day | Self::Month => self.leaves(now).saturating_sub(self.slot(now)),
        }
    }

    /// The slot that a moment is in: the second at which it begins.
    #[must_use]
    pub fn slot(self, at: u64) -> u64 {
        match self {
            Self::Sliding(_) => floor(at, self.slot_seconds()),
            Self::Day => floor(at, DAY_SECONDS),
            Self::Month => month_start(at),
        }
    }

    /// The second from which what was used at a moment counts no longer: when the last second of its slot has
    /// left the window. So nothing leaves early, and what leaves late is late by a slot and a second at most.
    #[must_use]
    pub fn leaves(self, at: u64) -> u64 {
        let slot = self.slot(at);
        match self {
            Self::Sliding(_) => slot.saturating_add(self.slot_seconds()).saturating_add(self.seconds(at)),
            Self::Day => slot.saturating_add(DAY_SECONDS),
            // Within the first days of the month after it.
            Self::Month => month_start(slot.saturating_add(32 * DAY_SECONDS)),
        }
    }

    fn slot_seconds(self) -> u64 {
        match self {
            Self::Sliding(seconds) => u64::from(seconds).div_ceil(SLOTS).max(1),
            Self::Day | Self::Month => DAY_SECONDS,
        }
    }
}

fn floor(at: u64, step: u64) -> u64 {
    at.saturating_sub(at.checked_rem(step).unwrap_or(0))
}

/// The first second of the month that a moment is in.
///
/// Counts the days of the proleptic Gregorian calendar from 1 March of the year 0, in eras of 400 years and
/// years that end with February, so that the leap day is a year's last.
fn month_start(at: u64) -> u64 {
    const ERA_DAYS: u64 = 146_097;
    const EPOCH_DAYS: u64 = 719_468;
    let days = at / DAY_SECONDS;
    let day_of_era = days.saturating_add(EPOCH_DAYS) % ERA_DAYS;
    let year_of_era = (day_of_era
        .saturating_sub(day_of_era / 1460)
        .saturating_add(day_of_era / 36_524)
        .saturating_sub(day_of_era / 146_096))
        / 365;
    let year_start = (365 * year_of_era).saturating_add(year_of_era / 4).saturating_sub(year_of_era / 100);
    let day_of_year = day_of_era.saturating_sub(year_start);
    let month = (5 * day_of_year).saturating_add(2) / 153;
    let month_starts = (153 * month).saturating_add(2) / 5;
    let day_of_month = day_of_year.saturating_sub(month_starts);
    days.saturating_sub(day_of_month).saturating_mul(DAY_SECONDS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `date -u -d … +%s`
    const JAN_31_2024_LAST: u64 = 1_706_745_599;
    const FEB_1_2024: u64 = 1_706_745_600;
    const FEB_29_2024: u64 = 1_709_164_800;
    const MAR_1_2024: u64 = 1_709_251_200;
    const FEB_1_2023: u64 = 1_675_209_600;
    const MAR_1_2023: u64 = 1_677_628_800;
    const DEC_31_1999_LAST: u64 = 946_684_799;
    const FEB_28_2100: u64 = 4_107_456_000;
    const MAR_1_2100: u64 = 4_107_542_400;

    #[test]
    fn a_month_begins_and_ends_where_the_calendar_says() {
        for (at, slot, leaves) in [
            (0, 0, 31 * DAY_SECONDS),
            (JAN_31_2024_LAST, FEB_1_2024 - 31 * DAY_SECONDS, FEB_1_2024),
            (FEB_1_2024, FEB_1_2024, MAR_1_2024),
            (FEB_29_2024 + 1, FEB_1_2024, MAR_1_2024),
            (MAR_1_2024 - 1, FEB_1_2024, MAR_1_2024),
            (MAR_1_2024, MAR_1_2024, MAR_1_2024 + 31 * DAY_SECONDS),
            (MAR_1_2023 - 1, FEB_1_2023, MAR_1_2023),
            (DEC_31_1999_LAST, DEC_31_1999_LAST + 1 - 31 * DAY_SECONDS, DEC_31_1999_LAST + 1),
            // 2100 is no leap year.
            (FEB_28_2100, MAR_1_2100 - 28 * DAY_SECONDS, MAR_1_2100),
        ] {
            assert_eq!((Window::Month.slot(at), Window::Month.leaves(at)), (slot, leaves), "{at}");
        }
        assert_eq!(Window::Month.seconds(FEB_29_2024), 29 * DAY_SECONDS);
    }

    #[test]
    fn a_day_ends_at_midnight() {
        assert_eq!(Window::Day.slot(JAN_31_2024_LAST), FEB_1_2024 - DAY_SECONDS);
        assert_eq!(Window::Day.leaves(JAN_31_2024_LAST), FEB_1_2024);
        assert_eq!(Window::Day.slot(FEB_1_2024), FEB_1_2024);
        assert_eq!(Window::Day.seconds(FEB_1_2024), DAY_SECONDS);
    }

    #[test]
    fn a_slot_counts_until_its_last_second_has_left() {
        for (window, at, slot, leaves) in [
            (1, 1000, 1000, 1002),
            (60, 1000, 1000, 1061),
            (90, 1001, 1000, 1092),
            (3600, 3700, 3660, 3660 + 60 + 3600),
            (0, 1000, 1000, 1002),
        ] {
            let window = Window::Sliding(window);
            assert_eq!((window.slot(at), window.leaves(at)), (slot, leaves), "{window:?}");
        }
    }

    #[test]
    fn windows_are_written_as_the_protocol_writes_them() {
        for (window, text) in [
            (Window::Sliding(60), r#"{"sliding":60}"#),
            (Window::Day, r#""day""#),
            (Window::Month, r#""month""#),
        ] {
            assert_eq!(serde_json::to_string(&window).unwrap(), text);
            assert_eq!(serde_json::from_str::<Window>(text).unwrap(), window);
        }
    }

    proptest! {
        #[test]
        fn slots_lie_one_after_the_other(
            at in 0..=u64::MAX / 4,
            window in prop_oneof![
                (0..=Window::MAX_SLIDING).prop_map(Window::Sliding),
                Just(Window::Day),
                Just(Window::Month)
            ],
        ) {
            let slot = window.slot(at);
            prop_assert!(slot <= at);
            prop_assert_eq!(window.slot(slot), slot);
            prop_assert_eq!(window.leaves(at), window.leaves(slot));
            match window {
                Window::Sliding(seconds) => prop_assert!(window.leaves(at) > at + u64::from(seconds)),
                Window::Day | Window::Month => {
                    prop_assert!(window.leaves(at) > at);
                    prop_assert_eq!(window.slot(window.leaves(at)), window.leaves(at));
                }
            }
        }

        #[test]
        fn no_moment_overflows(at in any::<u64>(), seconds in any::<u32>()) {
            for window in [Window::Sliding(seconds), Window::Day, Window::Month] {
                prop_assert!(window.slot(at) <= at);
                let _ = (window.leaves(at), window.seconds(at));
            }
        }
    }
}
