//! Whose turn it is to fetch a key set: one fetch per Envoy, not one per worker.
//!
//! Every worker's root, and the main thread's, sees the same [`Record`] in the host's shared data and
//! swaps it by compare-and-swap. Who succeeds in writing a lease fetches; the others wait for the next
//! generation. A leader that dies leaves a lease that runs out.
//!
//! An unknown `kid` can make an issuer's keys be asked for once per [`UNKNOWN_KEY_INTERVAL`], whoever asks
//! and whichever worker is asked. Between two attempts nothing can change, so within that time an unknown
//! `kid` is refused at once: that is the negative cache, and it needs no table.

use core::time::Duration;

use crate::clock::UnixMillis;

/// How long a fetch may take; a turn has two, of the discovery document and of the keys.
pub const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a leader's turn lasts; a little longer than both its fetches can.
const LEASE: Duration = Duration::from_secs(7);
/// The least time between two fetches that unknown `kid`s cause.
pub const UNKNOWN_KEY_INTERVAL: Duration = Duration::from_secs(10);
/// The longest wait between two attempts while there are no keys at all.
const MAX_BACKOFF_SECONDS: u64 = 30;
/// A moment this far ahead of the clock was written before the clock was set back.
const CLOCK_SET_BACK: Duration = Duration::from_secs(60);

/// What all workers of an Envoy know of one issuer's key set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Counts the sets that were fetched; 0 before the first.
    pub generation: u64,
    /// When the last fetch began; 0 before the first.
    pub attempted_at: UnixMillis,
    /// Until when somebody is fetching; in the past when nobody is.
    pub leased_until: UnixMillis,
    /// When the set of this generation arrived.
    pub fetched_at: UnixMillis,
    /// Fetches that have failed since.
    pub failures: u64,
}

/// How often and how long, from configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Between two refreshes off the request path.
    pub refresh: Duration,
    /// How long a set serves while no newer one can be had.
    pub max_stale: Duration,
    /// Whether a set without keys is as good as any: control's own sets may be empty.
    pub may_be_empty: bool,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Write this record; whoever succeeds fetches.
    Lead(Record),
    /// Somebody is fetching.
    Wait,
    /// Nothing may be fetched before then.
    NotBefore(UnixMillis),
}

impl Record {
    /// The bytes of a record in shared data.
    pub const BYTES: usize = 40;

    /// Whose turn it is, and when. `wanted`: a request has shown a `kid` that the set lacks.
    #[must_use]
    pub fn turn(&self, now: UnixMillis, wanted: bool, schedule: &Schedule) -> Turn {
        if self.is_leased(now) {
            return Turn::Wait;
        }
        let due = self.due(now, wanted, schedule);
        if now < due {
            return Turn::NotBefore(due);
        }
        Turn::Lead(Self { attempted_at: now, leased_until: now.after(LEASE), ..*self })
    }

    /// Whether the set that was fetched last may still serve.
    #[must_use]
    pub fn serves(&self, now: UnixMillis, schedule: &Schedule) -> bool {
        self.generation > 0 && now < self.fetched_at.after(schedule.max_stale)
    }

    /// The record after a fetch that brought a usable set.
    #[must_use]
    pub fn fetched(self, now: UnixMillis) -> Self {
        Self {
            generation: self.generation.saturating_add(1),
            fetched_at: now,
            leased_until: UnixMillis(0),
            failures: 0,
            ..self
        }
    }

    /// The record after a fetch that brought the set that is there already.
    #[must_use]
    pub fn confirmed(self, now: UnixMillis) -> Self {
        Self { fetched_at: now, leased_until: UnixMillis(0), failures: 0, ..self }
    }

    /// The record after a fetch that did not.
    #[must_use]
    pub fn failed(self) -> Self {
        Self { leased_until: UnixMillis(0), failures: self.failures.saturating_add(1), ..self }
    }

    /// Seconds, rounded up, until the next fetch may begin; at least one.
    #[must_use]
    pub fn retry_after(&self, now: UnixMillis, schedule: &Schedule) -> u64 {
        match self.turn(now, false, schedule) {
            Turn::NotBefore(due) => due.0.saturating_sub(now.0).div_ceil(1000).max(1),
            Turn::Lead(_) | Turn::Wait => 1,
        }
    }

    fn is_leased(&self, now: UnixMillis) -> bool {
        now < self.leased_until && self.leased_until < now.after(CLOCK_SET_BACK)
    }

    fn due(&self, now: UnixMillis, wanted: bool, schedule: &Schedule) -> UnixMillis {
        let set_back = now.after(CLOCK_SET_BACK);
        if self.attempted_at == UnixMillis(0) || self.attempted_at > set_back || self.fetched_at > set_back {
            return now;
        }
        let pause = if !self.serves(now, schedule) {
            // 1, 2, 4, … seconds: requests are waiting, but the issuer may be down.
            Duration::from_secs(
                1_u64
                    .checked_shl(u32::try_from(self.failures.saturating_sub(1)).unwrap_or(u32::MAX))
                    .map_or(MAX_BACKOFF_SECONDS, |seconds| seconds.min(MAX_BACKOFF_SECONDS)),
            )
        } else if self.failures > 0 && !wanted {
            // The last good set serves meanwhile.
            Duration::from_secs(MAX_BACKOFF_SECONDS).min(schedule.refresh)
        } else if wanted {
            UNKNOWN_KEY_INTERVAL.min(schedule.refresh)
        } else {
            return self.fetched_at.after(schedule.refresh);
        };
        self.attempted_at.after(pause)
    }

    /// The record as it stands in shared data: five little-endian numbers.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let numbers =
            [self.generation, self.attempted_at.0, self.leased_until.0, self.fetched_at.0, self.failures];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// Reads it back; `None` if it is not one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::BYTES {
            return None;
        }
        let mut numbers = bytes.chunks_exact(8).filter_map(|b| b.try_into().ok().map(u64::from_le_bytes));
        Some(Self {
            generation: numbers.next()?,
            attempted_at: UnixMillis(numbers.next()?),
            leased_until: UnixMillis(numbers.next()?),
            fetched_at: UnixMillis(numbers.next()?),
            failures: numbers.next()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        refresh: Duration::from_secs(600),
        max_stale: Duration::from_secs(3600),
        may_be_empty: false,
    };
    const START: UnixMillis = UnixMillis(1_700_000_000_000);

    fn at(seconds: u64) -> UnixMillis {
        START.after(Duration::from_secs(seconds))
    }

    fn lead(record: Record, now: UnixMillis, wanted: bool) -> Record {
        match record.turn(now, wanted, &SCHEDULE) {
            Turn::Lead(record) => record,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_to_come_leads_and_the_others_wait() {
        let record = lead(Record::default(), START, false);
        assert_eq!(record.turn(at(1), true, &SCHEDULE), Turn::Wait);
        assert_eq!(record.turn(at(5), false, &SCHEDULE), Turn::Wait);
        // A leader that died: its turn ends, and the next attempt is due.
        assert!(matches!(record.turn(at(8), false, &SCHEDULE), Turn::Lead(_)));
    }

    #[test]
    fn an_unknown_key_causes_at_most_one_fetch_in_ten_seconds() {
        let record = lead(Record::default(), START, false).fetched(START);
        assert_eq!(record.turn(at(3), true, &SCHEDULE), Turn::NotBefore(at(10)));
        let record = lead(record, at(10), true).fetched(at(10));
        assert_eq!(record.turn(at(11), true, &SCHEDULE), Turn::NotBefore(at(20)));
        assert_eq!(record.turn(at(11), false, &SCHEDULE), Turn::NotBefore(at(610)));
    }

    #[test]
    fn without_keys_attempts_back_off_to_half_a_minute() {
        let mut record = Record::default();
        let mut now = START;
        let mut pauses = Vec::new();
        for _ in 0..80 {
            record = lead(record, now, false).failed();
            let Turn::NotBefore(due) = record.turn(now, true, &SCHEDULE) else { panic!() };
            pauses.push((due.0 - now.0) / 1000);
            now = due;
        }
        assert_eq!(pauses[..7], [1, 2, 4, 8, 16, 30, 30]);
        assert!(pauses[7..].iter().all(|pause| *pause == 30));
    }

    #[test]
    fn the_last_good_set_serves_through_an_outage_and_not_for_ever() {
        let record = lead(Record::default(), START, false).fetched(START);
        let record = lead(record, at(600), false).failed();
        assert!(record.serves(at(601), &SCHEDULE));
        assert_eq!(record.turn(at(601), false, &SCHEDULE), Turn::NotBefore(at(630)));
        assert!(record.serves(at(3599), &SCHEDULE));
        assert!(!record.serves(at(3600), &SCHEDULE));
    }

    #[test]
    fn a_clock_that_is_set_back_stops_nothing() {
        let record = lead(Record::default(), at(100_000), false);
        assert!(matches!(record.turn(START, false, &SCHEDULE), Turn::Lead(_)));
        let record = record.fetched(at(100_000));
        assert!(matches!(record.turn(START, false, &SCHEDULE), Turn::Lead(_)));
    }

    #[test]
    fn a_record_survives_its_bytes() {
        let record = lead(Record::default(), START, false).fetched(at(1)).failed();
        assert_eq!(Record::from_bytes(&record.to_bytes()), Some(record));
        assert_eq!(Record::from_bytes(&[0; 39]), None);
        assert_eq!(Record::from_bytes(&[]), None);
    }
}
