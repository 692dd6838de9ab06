//! What the workers of an Envoy hold together: gauges that are sums over all of them.
//!
//! A host's gauge is one for all workers. Adding and subtracting would leave what a worker had that trapped, so
//! each says once in a while what it has, in one value that all share, and whoever says so also sets the gauges
//! to the sums. Who is silent for a while is gone.

use crate::clock::UnixMillis;

/// What the shared value is called.
pub const KEY: &str = "attach/levels";
/// How often a worker says what it has, in milliseconds.
pub const BEAT_MILLIS: u64 = 1_000;
/// When a silent worker is gone, in milliseconds.
const GONE_MILLIS: u64 = 10_000;
/// How often one of them asks control how it is doing, in milliseconds.
const ASK_MILLIS: u64 = 10_000;
/// The most workers that are summed up.
const MAX_WORKERS: usize = 512;

/// What one worker has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// Whose memory it is: several workers may share a VM.
    pub vm: u64,
    /// Tokens that are reserved for requests under way.
    pub held: u64,
    /// Usage records that have not arrived.
    pub depth: u64,
    /// Memory of the VM, in bytes.
    pub memory: u64,
    /// Memory that texts take up which are to be remembered, in bytes.
    pub pool: u64,
}

/// What all of them have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Tokens that are reserved for requests under way.
    pub held: u64,
    /// Usage records that have not arrived.
    pub depth: u64,
    /// Memory of all VMs, in bytes.
    pub memory: u64,
    /// Memory that texts take up which are to be remembered, in bytes.
    pub pool: u64,
}

/// What comes of a beat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The value to write; the rest holds if that succeeds.
    pub value: Vec<u8>,
    /// What all have.
    pub totals: Totals,
    /// Whether it is this worker's turn to ask control.
    pub asks: bool,
}

/// Worker, time, VM, held, depth, memory, pool.
type Row = [u64; 7];

/// Enters what a worker has. `levels` is `None` for one that has nothing, or is about to go.
#[must_use]
pub fn beat(value: &[u8], worker: u64, levels: Option<Levels>, now: UnixMillis) -> Beat {
    let (words, _) = value.as_chunks::<8>();
    let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
    let mut asked_at = words.next().unwrap_or_default();
    let words: Vec<u64> = words.collect();
    let (rows, _) = words.as_chunks::<7>();
    let mut rows: Vec<Row> = rows
        .iter()
        .filter(|[other, at, ..]| *other != worker && is_recent(*at, GONE_MILLIS, now))
        .take(MAX_WORKERS.saturating_sub(1))
        .copied()
        .collect();
    if let Some(levels) = levels {
        rows.push([worker, now.0, levels.vm, levels.held, levels.depth, levels.memory, levels.pool]);
    }
    let mut totals = Totals::default();
    for (place, [_, _, vm, held, depth, memory, pool]) in rows.iter().enumerate() {
        totals.held = totals.held.saturating_add(*held);
        totals.depth = totals.depth.saturating_add(*depth);
        totals.pool = totals.pool.saturating_add(*pool);
        // The last one of a VM knows its memory best.
        if !rows.iter().skip(place.saturating_add(1)).any(|[_, _, other, ..]| other == vm) {
            totals.memory = totals.memory.saturating_add(*memory);
        }
    }
    let asks = !is_recent(asked_at, ASK_MILLIS, now);
    if asks {
        asked_at = now.0;
    }
    let words = core::iter::once(asked_at).chain(rows.into_iter().flatten());
    Beat { value: words.flat_map(u64::to_le_bytes).collect(), totals, asks }
}

/// Whether a moment was less than that long ago, and was not written before the clock was set back.
fn is_recent(at: u64, millis: u64, now: UnixMillis) -> bool {
    now.0.abs_diff(at) < millis
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn levels(vm: u64, amount: u64) -> Option<Levels> {
        Some(Levels { vm, held: amount, depth: amount * 2, memory: amount * 3, pool: amount })
    }

    fn later(millis: u64) -> UnixMillis {
        UnixMillis(NOW.0 + millis)
    }

    #[test]
    fn gauges_are_sums_and_a_worker_counts_once() {
        let one = beat(&[], 1, levels(1, 10), NOW);
        let two = beat(&one.value, 2, levels(2, 5), NOW);
        assert_eq!(two.totals, Totals { held: 15, depth: 30, memory: 45, pool: 15 });
        let again = beat(&two.value, 1, levels(1, 1), later(1_000));
        assert_eq!(again.totals, Totals { held: 6, depth: 12, memory: 18, pool: 6 });
        assert_eq!(beat(&again.value, 2, None, later(1_000)).totals.held, 1, "one that went");
    }

    #[test]
    fn who_is_silent_is_gone() {
        let one = beat(&[], 1, levels(1, 10), NOW);
        assert_eq!(beat(&one.value, 2, levels(2, 5), later(9_999)).totals.held, 15);
        assert_eq!(beat(&one.value, 2, levels(2, 5), later(10_000)).totals.held, 5);
        let set_back = UnixMillis(NOW.0 - 60_000);
        assert_eq!(beat(&one.value, 2, levels(2, 5), set_back).totals.held, 5);
    }

    #[test]
    fn memory_counts_once_for_each_vm() {
        let one = beat(&[], 1, levels(9, 10), NOW);
        let two = beat(&one.value, 2, levels(9, 10), NOW);
        assert_eq!(two.totals, Totals { held: 20, depth: 40, memory: 30, pool: 20 });
    }

    #[test]
    fn one_worker_asks_control_every_ten_seconds() {
        let one = beat(&[], 1, None, NOW);
        assert!(one.asks);
        let two = beat(&one.value, 2, None, later(9_999));
        assert!(!two.asks);
        assert!(beat(&two.value, 2, None, later(10_000)).asks);
        assert!(beat(&two.value, 2, None, UnixMillis(NOW.0 - 60_000)).asks);
    }

    #[test]
    fn a_torn_or_endless_value_is_read_as_far_as_it_goes() {
        let one = beat(&[], 1, levels(1, 10), NOW);
        assert_eq!(beat(&one.value[..20], 2, levels(2, 1), NOW).totals.held, 1);
        let mut value = one.value;
        for worker in 0..3_000 {
            value = beat(&value, worker, levels(worker, u64::MAX / 3), NOW).value;
        }
        assert_eq!(value.len(), 8 + MAX_WORKERS * 56);
        assert_eq!(beat(&value, 1, None, NOW).totals.held, u64::MAX);
    }
}
