//! What was used once, in a table that all workers of an Envoy share.
//!
//! [`BUCKETS`] shared values of at most [`ENTRIES`] entries each: a million uses at a time, 20 MB at most.
//! An entry goes when what it stands for is refused by its age anyway, never before: a full bucket refuses
//! newcomers. Whoever wants to fill one needs a credential for every entry, cannot find out which bucket an
//! entry goes to, since a secret chooses it, and reaches a quarter of them: a signer has one of four parts.

use super::verdict::OneUse;
use crate::crypto::sha256;

/// How many shared values there are; a power of two.
pub const BUCKETS: usize = 4096;
/// How many parts the table has, of which a signer fills one.
const SHARES: usize = 4;
/// How many entries each may hold.
pub const ENTRIES: usize = 256;
/// Half the key, and the second until which it counts.
const ENTRY_BYTES: usize = 20;

/// What comes of using something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consumed {
    /// It was not used before.
    Fresh,
    /// It was.
    Used,
    /// Nobody can tell: the table is full, or its owner does not answer.
    Unknown,
}

/// Who remembers. Everybody who asks gets [`Consumed::Fresh`] at most once for a key.
pub trait OneUseStore {
    /// Remembers a use.
    fn consume(&self, one: &OneUse, now_seconds: u64) -> Consumed;
}

/// What becomes of a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bucket {
    /// Write this in its place.
    Write(Vec<u8>),
    /// The key is in it.
    Used,
    /// There is no room in it.
    Full,
}

/// Which bucket a key is in, by a secret of this Envoy's.
#[must_use]
pub fn bucket_of(one: &OneUse, secret: &[u8; 32]) -> usize {
    const SHARE: usize = BUCKETS / SHARES;
    // The signer is a hash already; which part is whose is no secret worth another one.
    let [signer, ..] = one.signer;
    let [low, high, ..] = sha256(&[secret, &one.key]);
    let share = usize::from(signer).checked_rem(SHARES).unwrap_or(0);
    let place = usize::from(u16::from_le_bytes([low, high])).checked_rem(SHARE).unwrap_or(0);
    share.saturating_mul(SHARE).saturating_add(place)
}

/// A bucket's bytes with one more use in it. What is past already cannot be remembered, so it is not used.
#[must_use]
pub fn add(bucket: &[u8], one: &OneUse, now_seconds: u64) -> Bucket {
    if one.until <= now_seconds {
        return Bucket::Full;
    }
    let (_, key) = one.key.split_at(16);
    let (entries, _) = bucket.as_chunks::<ENTRY_BYTES>();
    let mut kept = Vec::with_capacity(bucket.len().saturating_add(ENTRY_BYTES));
    for entry in entries {
        let (have, until) = entry.split_at(16);
        let until = until.try_into().map_or(0, u32::from_le_bytes);
        if u64::from(until) <= now_seconds {
            continue;
        }
        if have == key {
            return Bucket::Used;
        }
        kept.extend_from_slice(entry);
    }
    if kept.len() >= ENTRIES.saturating_mul(ENTRY_BYTES) {
        return Bucket::Full;
    }
    kept.extend_from_slice(key);
    kept.extend_from_slice(&u32::try_from(one.until).unwrap_or(u32::MAX).to_le_bytes());
    Bucket::Write(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::Refusal;

    fn one(key: u8, until: u64) -> OneUse {
        OneUse {
            key: [key; 32],
            signer: [0; 32],
            until,
            otherwise: Refusal::RotagentReplay,
            late: Refusal::RotagentExpired,
        }
    }

    fn written(bucket: Bucket) -> Vec<u8> {
        match bucket {
            Bucket::Write(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_use_is_remembered_until_it_would_be_refused_anyway() {
        let bucket = written(add(&[], &one(1, 100), 50));
        assert_eq!(add(&bucket, &one(1, 100), 50), Bucket::Used);
        assert_eq!(add(&bucket, &one(1, 200), 99), Bucket::Used);
        let both = written(add(&bucket, &one(2, 200), 99));
        assert_eq!(both.len(), 2 * ENTRY_BYTES);
        assert_eq!(written(add(&both, &one(3, 300), 100)).len(), 2 * ENTRY_BYTES);
        assert_eq!(add(&both, &one(3, 100), 100), Bucket::Full, "nobody could remember it");
    }

    #[test]
    fn a_full_bucket_refuses_and_forgets_nothing_that_counts() {
        let mut bucket = Vec::new();
        for n in 0..ENTRIES {
            let mut use_ = one(0, 100);
            use_.key[16..24].copy_from_slice(&(n as u64).to_le_bytes());
            bucket = written(add(&bucket, &use_, 50));
        }
        assert_eq!(add(&bucket, &one(9, 100), 50), Bucket::Full);
        assert_eq!(written(add(&bucket, &one(9, 200), 100)).len(), ENTRY_BYTES);
    }

    #[test]
    fn a_signer_reaches_a_quarter_of_the_table_and_cannot_tell_which_bucket() {
        let secret = [7; 32];
        let place = |n: u32, signer: u8, secret: &[u8; 32]| {
            let mut use_ = one(0, 100);
            use_.key[..4].copy_from_slice(&n.to_le_bytes());
            use_.signer = [signer; 32];
            bucket_of(&use_, secret)
        };
        for signer in 0..16 {
            let mut places: Vec<_> = (0..20_000).map(|n| place(n, signer, &secret)).collect();
            places.sort_unstable();
            places.dedup();
            assert!(places.len() > BUCKETS / SHARES * 9 / 10 && places.len() <= BUCKETS / SHARES);
            assert!(places.last().unwrap() - places.first().unwrap() < BUCKETS / SHARES);
        }
        assert!((0..100).any(|n| place(n, 0, &secret) != place(n, 0, &[8; 32])));
    }

    #[test]
    fn a_torn_value_is_read_as_far_as_it_goes() {
        let bucket = written(add(&[], &one(1, 100), 50));
        let torn = [&bucket[..], &[1, 2, 3]].concat();
        assert_eq!(add(&torn, &one(1, 100), 50), Bucket::Used);
    }
}
