//! How fast a receiver is tried again.

use std::time::Duration;

/// The times of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How long one request may take.
    pub timeout: Duration,
    /// The pause after the first failure; each further one doubles it.
    pub first: Duration,
    /// The longest pause, also where a setting is wrong.
    pub longest: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            first: Duration::from_millis(500),
            longest: Duration::from_secs(60),
        }
    }
}

impl Pace {
    /// The pause after so many failures in a row: between half of it and all of it, as `random` says (any
    /// number), so that several gateways do not come back together.
    #[must_use]
    pub fn pause(&self, failures: u32, random: u32) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        let half = doubled.min(self.longest) / 2;
        half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_the_longest_and_is_never_twice_the_same() {
        let pace = Pace::default();
        for (failures, longest) in
            [(0, 500), (1, 500), (2, 1000), (3, 2000), (7, 32_000), (8, 60_000), (u32::MAX, 60_000)]
        {
            let longest = Duration::from_millis(longest);
            assert_eq!(pace.pause(failures, 0), longest / 2);
            assert_eq!(pace.pause(failures, u32::MAX), longest);
            let between = pace.pause(failures, u32::MAX / 3);
            assert!(between > longest / 2 && between < longest);
        }
    }
}
