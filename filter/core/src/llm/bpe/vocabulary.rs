//! A vocabulary as it lies in the module: which bytes are a token, and of which rank.

use super::hash::{hash, home, mark};

/// The longest token of either encoding, in bytes.
pub(super) const LONGEST: usize = 128;

/// Of what is no token. Every token's rank is below.
pub(super) const NO_TOKEN: u32 = u32::MAX;

/// The tables of one encoding; the build script says what they hold.
pub(super) struct Vocabulary {
    pub(super) bytes: &'static [u8],
    pub(super) slots: &'static [[u8; 4]],
    pairs: &'static [[u8; 4]],
}

macro_rules! vocabulary {
    ($name:literal) => {
        Vocabulary {
            bytes: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".bytes")),
            slots: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".slots")).as_chunks().0,
            pairs: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".pairs")).as_chunks().0,
        }
    };
}

pub(super) static CL100K: Vocabulary = vocabulary!("cl100k");
pub(super) static O200K: Vocabulary = vocabulary!("o200k");

impl Vocabulary {
    /// The rank of these bytes (at least two), or [`NO_TOKEN`]. Ranks are the tokens' places in the table:
    /// they order as the published ranks do.
    #[inline]
    pub(super) fn rank(&self, token: &[u8]) -> u32 {
        if token.len() > LONGEST {
            return NO_TOKEN;
        }
        let hash = hash(token);
        let wanted = mark(hash) << 7 | (token.len() as u32).wrapping_sub(1);
        let mut at = home(hash, self.slots.len());
        // Some slot is always empty; the bound only says so to whoever reads this.
        for _ in 0..self.slots.len() {
            let slot = match self.slots.get(at) {
                Some(slot) => u32::from_le_bytes(*slot),
                None => {
                    at = 0;
                    continue;
                }
            };
            if slot == 0 {
                return NO_TOKEN;
            }
            if slot >> 21 == wanted {
                let start = slot & 0x1F_FFFF;
                let from = start as usize;
                if self.bytes.get(from..from + token.len()).is_some_and(|bytes| same(bytes, token)) {
                    return start;
                }
            }
            at += 1;
        }
        NO_TOKEN
    }

    /// The rank of two bytes, or [`NO_TOKEN`].
    #[inline]
    pub(super) fn pair(&self, first: u8, second: u8) -> u32 {
        let at = usize::from(first) << 8 | usize::from(second);
        self.pairs.get(at).map_or(NO_TOKEN, |rank| u32::from_le_bytes(*rank))
    }
}

/// Whether two slices of the same length are equal: without a call for up to 16 bytes.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    fn ends<const N: usize>(a: &[u8], b: &[u8]) -> Option<bool> {
        let first = a.first_chunk::<N>()? == b.first_chunk::<N>()?;
        Some(first && a.last_chunk::<N>()? == b.last_chunk::<N>()?)
    }
    if a.len() > 16 {
        return a == b;
    }
    ends::<8>(a, b).or_else(|| ends::<4>(a, b)).or_else(|| ends::<2>(a, b)).unwrap_or(a == b)
}
