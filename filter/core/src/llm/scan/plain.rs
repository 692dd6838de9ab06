//! Where the plain part of a string ends: the bytes that stand for themselves.

/// Every byte of a word, one after the other.
const ONES: u64 = 0x0101_0101_0101_0101;
/// The highest bit of every byte.
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Whether some byte of a word is zero (exact as to whether, not as to which).
const fn has_zero(word: u64) -> bool {
    word.wrapping_sub(ONES) & !word & HIGHS != 0
}

/// Whether some byte of a word is a quote, a backslash or a control character.
const fn has_special(word: u64) -> bool {
    has_zero(word ^ (ONES * b'"' as u64))
        || has_zero(word ^ (ONES * b'\\' as u64))
        || word.wrapping_sub(ONES * 0x20) & !word & HIGHS != 0
}

/// Whether a byte cannot stand for itself in a string.
const fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..=0x1f)
}

/// How many bytes from the start stand for themselves; eight at a time, since most of what is read is this.
pub(super) fn run(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let whole = words.iter().take_while(|word| !has_special(u64::from_le_bytes(**word))).count();
    let read = whole.saturating_mul(8);
    let rest = bytes.get(read..).unwrap_or_default();
    read.saturating_add(rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len()))
}

/// The whole rest of a string from there to its quote, and the place behind the quote, where it is plain and
/// lies in this chunk.
pub(super) fn closed(chunk: &[u8], at: usize) -> Option<(&str, usize)> {
    let rest = chunk.get(at..)?;
    let run = run(rest);
    if rest.get(run) != Some(&b'"') {
        return None;
    }
    let text = core::str::from_utf8(rest.get(..run)?).ok()?;
    Some((text, at.saturating_add(run).saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_at_the_first_byte_that_does_not_stand_for_itself() {
        for byte in 0..=255_u8 {
            for before in 0..20 {
                let mut bytes = vec![0xc3; before];
                bytes.push(byte);
                bytes.extend_from_slice(&[b'a'; 9]);
                let expected = if is_special(byte) { before } else { bytes.len() };
                assert_eq!(run(&bytes), expected, "{byte:#x} after {before}");
            }
        }
        assert_eq!(run(b""), 0);
    }
}
