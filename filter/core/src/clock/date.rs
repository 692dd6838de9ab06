//! Times as people read and write them: RFC 3339, a date, or seconds of Unix time.

use core::fmt;

use serde::{Serialize, Serializer};

/// The last moment that can be written: of the year 9999, in milliseconds of Unix time.
pub const LAST_MILLISECOND: u64 = 253_402_300_799_999;

const MILLISECONDS_A_DAY: u64 = 86_400_000;

/// Milliseconds of Unix time, written with `Display` as RFC 3339 (section 5.6) in UTC: `2024-02-29T23:59:59.999Z`.
/// What lies behind the year 9999, which the form cannot say, is written as its last millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rfc3339(pub u64);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.0.min(LAST_MILLISECOND);
        let (year, month, day) = civil(at / MILLISECONDS_A_DAY);
        let in_day = at % MILLISECONDS_A_DAY;
        let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
        let (second, millisecond) = (in_day / 1_000 % 60, in_day % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Year, month and day of a day since 1970-01-01, counted in 400-year eras that begin on a first of March, so that
/// the leap day is an era's and a year's last.
fn civil(days: u64) -> (u64, u64, u64) {
    // From 0000-03-01 to 1970-01-01.
    let days = days.saturating_add(719_468);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Milliseconds of Unix time of `2024-02-29T12:00:00.5+01:00` (RFC 3339 section 5.6), of a date alone
/// (its midnight in UTC) or of seconds of Unix time; `None` for everything else, also for times before 1970.
///
/// A space may stand where a plus should: that is what becomes of one in a query which nobody escaped.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    // Long enough for nanoseconds and an offset.
    if text.len() > 40 || !text.is_ascii() {
        return None;
    }
    if text.len() <= 12 && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse::<u64>().ok()?.checked_mul(1000).filter(|at| *at <= LAST_MILLISECOND);
    }
    let (date, rest) = text.split_at_checked(10)?;
    let midnight = date_of(date)?;
    let (in_day, east) = match rest.strip_prefix(['T', 't', ' ']) {
        Some(time) => time_of(time)?,
        None if rest.is_empty() => (0, 0),
        None => return None,
    };
    let at = midnight.checked_add(in_day)?.checked_sub(east)?;
    u64::try_from(at).ok().filter(|at| *at <= LAST_MILLISECOND)
}

/// A number of so many digits.
fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Milliseconds from 1970 to a date's midnight.
fn date_of(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    // Counted from the first of March, so that a leap day is its year's last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days = year * 365 + leaps + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400_000)
}

/// Milliseconds within a day, and those by which its clock is ahead of UTC's.
fn time_of(text: &str) -> Option<(i64, i64)> {
    let zone = text.rfind(['Z', 'z', '+', '-', ' '])?;
    let (clock, zone) = text.split_at_checked(zone)?;
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(a, b)| (a, Some(b)));
    let mut parts = clock.splitn(3, ':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next()?);
    let (hour, minute, second) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    let milliseconds = match fraction {
        None => 0,
        Some(text) => {
            let long = format!("{text:0<3}");
            if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            digits(long.get(..3)?, 3)?
        }
    };
    // A leap second is the next minute's first.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (sign, offset) = zone.split_at_checked(1)?;
    let east = match (sign, offset) {
        ("Z" | "z", "") => 0,
        ("Z" | "z", _) => return None,
        (sign, offset) => {
            let (hours, minutes) = offset.split_once(':')?;
            let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if sign == "-" { -60_000 } else { 60_000 }
        }
    };
    Some((((hour * 60 + minute) * 60 + second) * 1000 + milliseconds, east))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        for (at, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (951_782_399_000, "2000-02-28T23:59:59.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
            (1_735_689_600_000, "2025-01-01T00:00:00.000Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (LAST_MILLISECOND, "9999-12-31T23:59:59.999Z"),
            (LAST_MILLISECOND + 1, "9999-12-31T23:59:59.999Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Rfc3339(at).to_string(), expected, "{at}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let leap =
            |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=LAST_MILLISECOND / MILLISECONDS_A_DAY {
            assert_eq!(civil(days), (year, month, day), "day {days}");
            let last = match month {
                2 if leap(year) => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        assert_eq!((year, month, day), (10_000, 1, 1));
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for (text, expected) in [
            ("0", Some(0)),
            ("1709251199", Some(1_709_251_199_000)),
            ("1970-01-01", Some(0)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2024-02-29T23:59:59.999Z", Some(1_709_251_199_999)),
            ("2024-02-29t23:59:59.999z", Some(1_709_251_199_999)),
            ("2024-02-29T23:59:59.9Z", Some(1_709_251_199_900)),
            ("2024-02-29T23:59:59.999999999Z", Some(1_709_251_199_999)),
            ("2024-03-01T00:59:59+01:00", Some(1_709_251_199_000)),
            ("2024-03-01T00:59:59 01:00", Some(1_709_251_199_000)),
            ("2024-02-29 18:59:59-05:00", Some(1_709_251_199_000)),
            ("2016-12-31T23:59:60Z", Some(1_483_228_800_000)),
            ("9999-12-31T23:59:59.999Z", Some(LAST_MILLISECOND)),
            ("9999-12-31T23:59:59.999-00:01", None),
            ("999999999999", None),
            ("1970-01-01T00:00:00+00:01", None),
            ("1969-12-31T23:59:59Z", None),
            ("2023-02-29", None),
            ("2100-02-29", None),
            ("2024-13-01", None),
            ("2024-00-01", None),
            ("2024-01-32", None),
            ("2024-01-01T24:00:00Z", None),
            ("2024-01-01T00:60:00Z", None),
            ("2024-01-01T00:00:61Z", None),
            ("2024-01-01T00:00:00", None),
            ("2024-01-01T00:00:00.Z", None),
            ("2024-01-01T00:00Z", None),
            ("2024-01-01T00:00:00+24:00", None),
            ("2024-01-01T00:00:00+1:00", None),
            ("2024-01-01T00:00:00Zx", None),
            ("2024-1-1", None),
            ("-1", None),
            ("1e9", None),
            ("", None),
            ("yesterday", None),
            ("２０２４-01-01", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_that_is_written_can_be_read(at in 0..=LAST_MILLISECOND) {
            prop_assert_eq!(parse(&Rfc3339(at).to_string()), Some(at));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9TZtz:. +\\-]{0,45}|.{0,45}") {
            let _ = parse(&text);
        }
    }
}
