//! The time of day, for what is handed it as a value.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds of Unix time; 0 on a machine whose clock stands before 1970.
#[must_use]
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Milliseconds of Unix time; 0 on a machine whose clock stands before 1970.
#[must_use]
pub fn unix_now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
