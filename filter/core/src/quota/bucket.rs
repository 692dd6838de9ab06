//! The accounts whose home is this Envoy, in a table that all its workers share.
//!
//! [`BUCKETS`] shared values of at most [`MAX_BYTES`] each. A bucket is a row of records: an account's key, the
//! second from which it counts for nothing, the length of its entry, and the entry. What counts for nothing
//! goes when its bucket is written. An account that is seldom used takes some 50 bytes, so 100,000 of them
//! fill a bucket to a twentieth.

use super::entry::Entry;
use super::{CLOCK_SET_BACK_SECONDS, Key, Window};
use crate::crypto::sha256;

/// How many shared values there are; a power of two.
pub const BUCKETS: usize = 4096;
/// How large each may be.
pub const MAX_BYTES: usize = 32 * 1024;

/// Key, second, length.
const HEAD_BYTES: usize = 16 + 8 + 2;

/// Who lets a worker change an account that all of them share.
pub trait SharedWindows {
    /// Reads an account's entry, lets it be changed, and writes it, only if nobody else has written
    /// meanwhile; otherwise all over again. So `change` may be called several times, and what it did the last
    /// time is what has happened. `false`: nothing has happened; the table is full, or not to be had.
    fn update(&self, key: Key, window: Window, now_seconds: u64, change: &mut dyn FnMut(&mut Entry)) -> bool;
}

/// Which bucket an account is in, by a secret of this Envoy's, so that nobody can choose it.
#[must_use]
pub fn bucket_of(key: Key, secret: &[u8; 32]) -> usize {
    let [low, high, ..] = sha256(&[secret, &key.0]);
    usize::from(u16::from_le_bytes([low, high])).checked_rem(BUCKETS).unwrap_or(0)
}

/// An account's entry in a bucket; an empty one if it is not there. What another version of this module wrote
/// and this one cannot read counts for nothing.
#[must_use]
pub fn find(bucket: &[u8], key: Key) -> Entry {
    let found = Records(bucket).find(|record| record.key == key);
    found.and_then(|record| Entry::from_bytes(record.entry)).unwrap_or_default()
}

/// The bucket with an account's entry in it, and without what counts for nothing any more; `None` if there is
/// no room.
#[must_use]
pub fn put(bucket: &[u8], key: Key, entry: &Entry, window: Window, now_seconds: u64) -> Option<Vec<u8>> {
    // A clock that is set back a little must not find that something is forgotten.
    let past = now_seconds.saturating_sub(CLOCK_SET_BACK_SECONDS);
    let mut kept = Vec::with_capacity(bucket.len().saturating_add(64));
    for record in Records(bucket) {
        if record.key != key && record.ends > past {
            record.write(&mut kept);
        }
    }
    let ends = entry.ends(window);
    if ends > past {
        Record { key, ends, entry: &entry.to_bytes() }.write(&mut kept);
    }
    (kept.len() <= MAX_BYTES).then_some(kept)
}

struct Record<'a> {
    key: Key,
    ends: u64,
    entry: &'a [u8],
}

impl Record<'_> {
    fn write(&self, bucket: &mut Vec<u8>) {
        // An entry at its bounds has some 9 KB.
        let Ok(length) = u16::try_from(self.entry.len()) else { return };
        bucket.extend_from_slice(&self.key.0);
        bucket.extend_from_slice(&self.ends.to_le_bytes());
        bucket.extend_from_slice(&length.to_le_bytes());
        bucket.extend_from_slice(self.entry);
    }
}

/// The records of a bucket, as far as they are whole.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_first_chunk::<HEAD_BYTES>()?;
        let (key, head) = head.split_first_chunk::<16>()?;
        let (ends, head) = head.split_first_chunk::<8>()?;
        let length = usize::from(u16::from_le_bytes(*head.first_chunk::<2>()?));
        let (entry, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Record { key: Key(*key), ends: u64::from_le_bytes(*ends), entry })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::quota::entry::{MAX_LEASES, Wish};

    const NOW: u64 = 1_700_000_000;
    const MINUTE: Window = Window::Sliding(60);

    fn key(n: u32) -> Key {
        Key::of("minute", &n.to_string())
    }

    fn used(tokens: u64) -> Entry {
        let mut entry = Entry::default();
        entry.record(NOW, tokens, MINUTE, NOW);
        entry
    }

    #[test]
    fn an_account_is_found_as_it_was_put_and_goes_when_it_counts_for_nothing() {
        let bucket = put(&[], key(1), &used(5), MINUTE, NOW).unwrap();
        let bucket = put(&bucket, key(2), &used(7), MINUTE, NOW).unwrap();
        assert_eq!((find(&bucket, key(1)), find(&bucket, key(2))), (used(5), used(7)));
        assert_eq!(find(&bucket, key(3)), Entry::default());

        let bucket = put(&bucket, key(2), &used(9), MINUTE, NOW).unwrap();
        assert_eq!((find(&bucket, key(1)), find(&bucket, key(2))), (used(5), used(9)));
        assert_eq!(put(&bucket, key(3), &Entry::default(), MINUTE, NOW + 60 + 60), Some(bucket.clone()));
        assert_eq!(put(&bucket, key(3), &Entry::default(), MINUTE, NOW + 61 + 60), Some(Vec::new()));
    }

    #[test]
    fn an_empty_entry_takes_no_room() {
        let bucket = put(&[], key(1), &used(5), MINUTE, NOW).unwrap();
        assert_eq!(put(&bucket, key(1), &Entry::default(), MINUTE, NOW), Some(Vec::new()));
    }

    #[test]
    fn a_full_bucket_refuses() {
        let mut bucket = Vec::new();
        let mut crowded = Entry::default();
        for worker in 0..MAX_LEASES as u64 {
            let wish = Wish { need: 1 << 40, want: 1 << 40, limit: u64::MAX };
            crowded.grant(worker, wish, MINUTE, NOW).unwrap();
        }
        let fit = (0..).take_while(|n| match put(&bucket, key(*n), &crowded, MINUTE, NOW) {
            Some(more) => {
                bucket = more;
                true
            }
            None => false,
        });
        let fit = fit.count();
        assert!((4..100).contains(&fit), "{fit}");
        assert_eq!(find(&bucket, key(0)), crowded);
    }

    #[test]
    fn a_hundred_thousand_users_fit_with_room_to_spare() {
        let secret = [7; 32];
        let mut buckets = vec![Vec::new(); BUCKETS];
        let mut entry = used(100);
        entry.grant(1, Wish { need: 100, want: 5000, limit: 100_000 }, MINUTE, NOW).unwrap();
        for n in 0..100_000 {
            let bucket = &mut buckets[bucket_of(key(n), &secret)];
            *bucket = put(bucket, key(n), &entry, MINUTE, NOW).unwrap();
        }
        let largest = buckets.iter().map(Vec::len).max().unwrap();
        let all: usize = buckets.iter().map(Vec::len).sum();
        assert!(largest < MAX_BYTES / 8 && all < 6_000_000, "{largest} {all}");
    }

    #[test]
    fn the_secret_chooses_the_bucket() {
        assert!((0..100).any(|n| bucket_of(key(n), &[1; 32]) != bucket_of(key(n), &[2; 32])));
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_read_as_far_as_they_go(bytes: Vec<u8>, cut in 0..200_usize) {
            let _ = (find(&bytes, key(1)), put(&bytes, key(1), &used(1), MINUTE, NOW));
            let mut bucket = put(&[], key(1), &used(5), MINUTE, NOW).unwrap();
            let whole = bucket.len();
            bucket.extend_from_slice(&bytes);
            prop_assert_eq!(find(&bucket, key(1)), used(5));
            bucket.truncate(cut.min(whole - 1));
            prop_assert_eq!(find(&bucket, key(1)), Entry::default());
        }
    }
}
