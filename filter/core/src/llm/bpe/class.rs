//! What kind a character is, as far as the patterns of the two encodings ask.

/// A character's class. The numbers are those of the tables that the build script writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Whatever is none of the others: punctuation, symbols, controls, emoji, what is not assigned.
    Other,
    /// White space apart from the next two.
    Blank,
    /// U+0020.
    Space,
    /// CR and LF.
    Line,
    /// `\p{N}`.
    Number,
    /// `\p{Lu}` and `\p{Lt}`.
    Upper,
    /// `\p{Ll}`.
    Lower,
    /// `\p{Lm}` and `\p{Lo}`: both upper and lower to o200k.
    Letter,
    /// `\p{M}`: as a letter to o200k, as other to cl100k.
    Mark,
}

impl Class {
    const fn of(number: u8) -> Self {
        match number {
            1 => Self::Blank,
            2 => Self::Space,
            3 => Self::Line,
            4 => Self::Number,
            5 => Self::Upper,
            6 => Self::Lower,
            7 => Self::Letter,
            8 => Self::Mark,
            _ => Self::Other,
        }
    }
}

static INDEX: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/classes.index"));
static BLOCKS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/classes.blocks"));

/// The class of the character that starts at `at` and where it ends; `None` at the end of the text, which
/// is UTF-8 and whole.
#[inline]
pub(super) fn class_at(text: &[u8], at: usize) -> Option<(Class, usize)> {
    let first = *text.get(at)?;
    if first < 0x80 {
        // The first block is ASCII's.
        return Some((Class::of(BLOCKS.get(usize::from(first)).copied().unwrap_or(0)), at + 1));
    }
    Some(beyond_ascii(text, at, first))
}

fn beyond_ascii(text: &[u8], at: usize, first: u8) -> (Class, usize) {
    let next = |further: usize| text.get(at + further).map_or(0, |byte| usize::from(byte & 0x3F));
    let first = usize::from(first);
    let (character, length) = match first {
        0..0xE0 => ((first & 0x1F) << 6 | next(1), 2),
        0xE0..0xF0 => ((first & 0x0F) << 12 | next(1) << 6 | next(2), 3),
        _ => ((first & 0x07) << 18 | next(1) << 12 | next(2) << 6 | next(3), 4),
    };
    let block = INDEX.get(character >> 7).copied().map_or(0, usize::from);
    let number = BLOCKS.get(block << 7 | character & 0x7F).copied().unwrap_or(0);
    (Class::of(number), (at + length).min(text.len()))
}
