//! The hash that the tables' slots are found by. The build script compiles this file too.

const FIRST: u64 = 0x9E37_79B9_7F4A_7C15;
const SECOND: u64 = 0xD6E8_FEB8_6659_FD93;

/// A token's place in its table: two multiplications for up to 16 bytes, which nearly all tokens are.
#[inline]
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let (low, high) = if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let mut low = u64::from_le_bytes(*first);
        if bytes.len() > 16 {
            for middle in bytes.get(8..).unwrap_or_default().chunks_exact(8) {
                if let Some(middle) = middle.first_chunk() {
                    low = (low.rotate_left(23) ^ u64::from_le_bytes(*middle)).wrapping_mul(FIRST);
                }
            }
        }
        (low, u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)))
    } else {
        match *bytes {
            [a, b, c] => (u64::from_le_bytes([a, b, c, 0, 0, 0, 0, 0]), 0),
            [a, b] => (u64::from_le_bytes([a, b, 0, 0, 0, 0, 0, 0]), 0),
            [a] => (u64::from(a), 0),
            _ => (0, 0),
        }
    };
    let mixed = (low ^ (bytes.len() as u64).rotate_left(56)).wrapping_mul(FIRST) ^ high;
    let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(SECOND);
    mixed ^ (mixed >> 29)
}

/// The slot where the search for a hash starts, of `slots` (which is below 2³²).
#[inline]
pub(crate) const fn home(hash: u64, slots: usize) -> usize {
    (((hash >> 32) * (slots as u64)) >> 32) as usize
}

/// The four bits of a hash that a slot carries, so that most wrong slots are passed by unread.
#[inline]
pub(crate) const fn mark(hash: u64) -> u32 {
    (hash as u32) >> 28
}
