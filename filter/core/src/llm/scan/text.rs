//! A string of JSON (RFC 8259 section 7) from its first quote on, decoded in whole characters.

use super::plain;

/// How far a string is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To the end of the chunk.
    More,
    /// To its quote; the byte behind that is next.
    Closed(usize),
    /// To a byte that cannot stand there, or that ends what is no character; that began so many bytes before.
    Malformed(usize, u8),
}

/// Where in a string the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// Among bytes that stand for themselves.
    Plain,
    /// After a backslash.
    Escape,
    /// After `\u` and so many of its four digits, with their value.
    Hex(u8, u16),
}

/// What is known of a string between two chunks.
pub(super) struct Text {
    at: At,
    /// The first half of a surrogate pair, whose second may follow.
    high: Option<u16>,
    /// The bytes of a character that the chunk's end cut.
    cut: [u8; 4],
    cut_len: u8,
}

impl Text {
    pub(super) const fn new() -> Self {
        Self { at: At::Plain, high: None, cut: [0; 4], cut_len: 0 }
    }

    /// Whether nothing of it is half read.
    pub(super) const fn is_fresh(&self) -> bool {
        matches!(self.at, At::Plain) && self.high.is_none() && self.cut_len == 0
    }

    /// Reads on from a byte of the chunk. Every decoded piece is handed over with the place behind it.
    pub(super) fn read(&mut self, chunk: &[u8], mut at: usize, mut take: impl FnMut(&str, usize)) -> Step {
        while let Some(byte) = chunk.get(at).copied() {
            let next = at.saturating_add(1);
            match self.at {
                At::Plain if self.cut_len > 0 => {
                    let before = self.cut_len;
                    if !self.mend(byte, next, &mut take) {
                        return Step::Malformed(at, before);
                    }
                    at = next;
                }
                At::Plain => match byte {
                    b'"' => {
                        self.end_high(at, &mut take);
                        return Step::Closed(next);
                    }
                    b'\\' => {
                        self.at = At::Escape;
                        at = next;
                    }
                    0..=0x1f => return Step::Malformed(at, 0),
                    _ => {
                        self.end_high(at, &mut take);
                        let rest = chunk.get(at..).unwrap_or_default();
                        let run = plain::run(rest);
                        let is_cut_off = run == rest.len();
                        let bytes = rest.get(..run).unwrap_or_default();
                        if let Err(valid) = self.plain(bytes, at, is_cut_off, &mut take) {
                            return Step::Malformed(at.saturating_add(valid), 0);
                        }
                        at = at.saturating_add(run);
                    }
                },
                At::Escape => {
                    if byte == b'u' {
                        self.at = At::Hex(0, 0);
                    } else {
                        let Some(decoded) = escaped(byte) else { return Step::Malformed(at, 0) };
                        self.end_high(next, &mut take);
                        take(decoded, next);
                        self.at = At::Plain;
                    }
                    at = next;
                }
                At::Hex(read, value) => {
                    let Some(digit) = char::from(byte).to_digit(16) else { return Step::Malformed(at, 0) };
                    // Four digits of four bits fill it exactly.
                    let value = value << 4 | u16::try_from(digit).unwrap_or_default();
                    self.at = At::Hex(read.saturating_add(1), value);
                    if read == 3 {
                        self.at = At::Plain;
                        self.unit(value, next, &mut take);
                    }
                    at = next;
                }
            }
        }
        Step::More
    }

    /// Hands over bytes that stand for themselves; where they are not UTF-8, says after how many.
    fn plain(
        &mut self,
        bytes: &[u8],
        at: usize,
        is_cut_off: bool,
        take: &mut impl FnMut(&str, usize),
    ) -> Result<(), usize> {
        let (text, rest) = match core::str::from_utf8(bytes) {
            Ok(text) => (text, [].as_slice()),
            Err(error) => {
                let (valid, rest) = bytes.split_at_checked(error.valid_up_to()).unwrap_or_default();
                if error.error_len().is_some() || !is_cut_off {
                    return Err(valid.len());
                }
                (core::str::from_utf8(valid).unwrap_or_default(), rest)
            }
        };
        if !text.is_empty() {
            take(text, at.saturating_add(text.len()));
        }
        for (place, byte) in self.cut.iter_mut().zip(rest) {
            *place = *byte;
            self.cut_len = self.cut_len.saturating_add(1);
        }
        Ok(())
    }

    /// Adds a byte to a character that was cut; whether it can belong there.
    fn mend(&mut self, byte: u8, next: usize, take: &mut impl FnMut(&str, usize)) -> bool {
        let Some(place) = self.cut.get_mut(usize::from(self.cut_len)) else { return false };
        *place = byte;
        self.cut_len = self.cut_len.saturating_add(1);
        match core::str::from_utf8(self.cut.get(..usize::from(self.cut_len)).unwrap_or_default()) {
            Ok(text) => {
                take(text, next);
                self.cut_len = 0;
                true
            }
            Err(error) => error.error_len().is_none(),
        }
    }

    /// Takes a `\u` escape: a character, or half of one.
    fn unit(&mut self, unit: u16, next: usize, take: &mut impl FnMut(&str, usize)) {
        match (self.high, unit) {
            (Some(high), 0xdc00..=0xdfff) => {
                self.high = None;
                let code = 0x1_0000 + ((u32::from(high) & 0x3ff) << 10) + (u32::from(unit) & 0x3ff);
                put(code, next, take);
            }
            (_, 0xd800..=0xdbff) => {
                self.end_high(next, take);
                self.high = Some(unit);
            }
            _ => {
                self.end_high(next, take);
                put(u32::from(unit), next, take);
            }
        }
    }

    /// Lets half of a pair go that no other half follows.
    fn end_high(&mut self, place: usize, take: &mut impl FnMut(&str, usize)) {
        if self.high.take().is_some() {
            take("\u{fffd}", place);
        }
    }
}

fn put(code: u32, next: usize, take: &mut impl FnMut(&str, usize)) {
    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    take(character.encode_utf8(&mut [0; 4]), next);
}

/// What a backslash makes of a byte, other than `u`.
const fn escaped(byte: u8) -> Option<&'static str> {
    match byte {
        b'"' => Some("\""),
        b'\\' => Some("\\"),
        b'/' => Some("/"),
        b'b' => Some("\u{8}"),
        b'f' => Some("\u{c}"),
        b'n' => Some("\n"),
        b'r' => Some("\r"),
        b't' => Some("\t"),
        _ => None,
    }
}
