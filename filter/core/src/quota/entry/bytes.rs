//! An entry as bytes, in shared data and in control's store: a version, then numbers of seven bits a byte,
//! the lowest first, with seconds counted back from the latest.

use super::{Entry, Lease, MAX_LEASES, MAX_SLOTS};

const VERSION: u8 = 1;

impl Entry {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(VERSION);
        put(&mut bytes, self.latest);
        put(&mut bytes, u64::try_from(self.used.len()).unwrap_or(u64::MAX));
        for (slot, tokens) in &self.used {
            put(&mut bytes, self.latest.saturating_sub(*slot));
            put(&mut bytes, *tokens);
        }
        put(&mut bytes, u64::try_from(self.leases.len()).unwrap_or(u64::MAX));
        for lease in &self.leases {
            bytes.extend_from_slice(&lease.worker.to_le_bytes());
            put(&mut bytes, lease.amount);
            put(&mut bytes, self.latest.saturating_sub(lease.renewed));
        }
        bytes
    }

    /// Reads them back; `None` if they are not an entry's.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&[VERSION])?;
        let latest = take(&mut rest)?;
        let slots = take_count(&mut rest, MAX_SLOTS)?;
        let mut used: Vec<(u64, u64)> = Vec::with_capacity(slots);
        for _ in 0..slots {
            let slot = latest.checked_sub(take(&mut rest)?)?;
            if used.last().is_some_and(|(last, _)| slot <= *last) {
                return None;
            }
            used.push((slot, take(&mut rest)?));
        }
        let count = take_count(&mut rest, MAX_LEASES)?;
        let mut leases: Vec<Lease> = Vec::with_capacity(count);
        for _ in 0..count {
            let (worker, after) = rest.split_first_chunk::<8>()?;
            rest = after;
            let worker = u64::from_le_bytes(*worker);
            let amount = take(&mut rest)?;
            let renewed = latest.checked_sub(take(&mut rest)?)?;
            if leases.iter().any(|lease| lease.worker == worker) {
                return None;
            }
            leases.push(Lease { worker, amount, renewed });
        }
        rest.is_empty().then_some(Self { latest, used, leases })
    }
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            bytes.push(low & 0x7f);
            return;
        }
        bytes.push(low | 0x80);
    }
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take_count(rest: &mut &[u8], max: usize) -> Option<usize> {
    usize::try_from(take(rest)?).ok().filter(|count| *count <= max)
}
