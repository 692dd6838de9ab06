//! Where to end a text that was cut, so that no beginning of a secret is left in it.

use super::number::iban_length;

/// The longest word that is dropped. A secret that is known by its beginning alone is found however long it is.
const MOST_WORD: usize = 256;
/// The most of a number in groups that is dropped beside its last group.
const MOST_NUMBER: usize = 48;

/// The longest first line of a private key.
const MOST_LINE: usize = 64;

/// Where a text is to end whose rest is not known: before its last word, and before the groups of digits or of an
/// account's number in front of it.
pub(super) fn before_last_word(text: &str) -> usize {
    let bytes = text.as_bytes();
    let head = |end: usize| bytes.get(..end).unwrap_or_default();
    let back = |end: usize, most: usize, belongs: fn(u8) -> bool| {
        let length = head(end).iter().rev().take(most).take_while(|byte| belongs(**byte)).count();
        end.saturating_sub(length)
    };
    let mut end = back(bytes.len(), MOST_WORD, is_word);
    let is_of_number =
        |byte: u8| byte.is_ascii_digit() || matches!(byte, b' ' | b'-' | b'.' | b'/' | b'(' | b')' | b'+');
    let number = back(end, MOST_NUMBER, is_of_number);
    if bytes.get(number..end).unwrap_or_default().iter().any(|byte| byte.is_ascii_digit()) {
        end = back(number, MOST_WORD, is_word);
    } else if bytes.get(number..end).unwrap_or_default().ends_with(b"(") || head(end).ends_with(b"+") {
        end = number;
    }
    let account = (end.saturating_sub(MOST_NUMBER)..end).find(|start| begins_account(bytes, *start));
    let mut end = account.unwrap_or(end);
    // The first line of a private key, which is told by its end.
    let line = text.floor_char_boundary(text.len().saturating_sub(MOST_LINE));
    if let Some(begins) = text.get(line..).and_then(|tail| tail.rfind("-----BEGIN")) {
        end = end.min(line.saturating_add(begins));
    }
    text.floor_char_boundary(end)
}

/// Whether a byte belongs to a word that could be a secret or its field. Letters of three bytes and more are those
/// of scripts without spaces: a word of them is no secret.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(byte, b'"' | b'{' | b'}' | b'[' | b']' | b',' | b'<' | b'>' | b';' | b'`' | b'\\' | b'|')
        || matches!(byte, 0x80..=0xdf)
}

/// Whether all from a place to the end could be an IBAN or an id in groups.
fn begins_account(bytes: &[u8], start: usize) -> bool {
    let rest = bytes.get(start..).unwrap_or_default();
    let is_word_start =
        start.checked_sub(1).and_then(|at| bytes.get(at)).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    let [a, b, behind @ ..] = rest else { return false };
    if !is_word_start || !a.is_ascii_uppercase() || !b.is_ascii_uppercase() {
        return false;
    }
    let in_groups = behind
        .iter()
        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b' ' | b'-'));
    let has_number = behind.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b' ')
        && behind.get(1).is_none_or(u8::is_ascii_digit);
    in_groups && has_number && (iban_length(&[*a, *b]).is_some() || rest.len() < 16)
}
