//! Waiting for conditions, never for time.

use std::time::{Duration, Instant};

/// How long a condition may take to come true, unless the test says otherwise.
pub const LIMIT: Duration = Duration::from_secs(20);

const POLL: Duration = Duration::from_millis(20);

/// Waits until `found` gives something.
///
/// # Panics
/// After `limit`, naming `what`.
pub fn until_within<T>(limit: Duration, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(start.elapsed() < limit, "waited {} s in vain for {what}", limit.as_secs());
        std::thread::sleep(POLL);
    }
}

/// Waits up to [`LIMIT`] until `found` gives something.
///
/// # Panics
/// When it does not.
pub fn until<T>(what: &str, found: impl FnMut() -> Option<T>) -> T {
    until_within(LIMIT, what, found)
}
