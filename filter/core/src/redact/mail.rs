//! Mail addresses.

use super::scan::{Kind, Scan, Seen};

/// The longest name before the sign (RFC 5321 section 4.5.3.1.1).
const MOST_LOCAL: usize = 64;
/// The longest name of a host (RFC 1035 section 2.3.4).
const MOST_HOST: usize = 253;

/// Whether a name before the `@` is written with it. Letters of two bytes are those of Latin, Greek and Cyrillic;
/// scripts that write no space between words have longer ones.
fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | b'\'' | b'!' | b'#' | b'$' | b'&' | b'*' | b'~')
        || matches!(byte, 0x80..=0xdf)
}

/// How many bytes an escape of JSON's takes that ends in what was taken for the name's beginning.
fn escaped(before: u8, name: &[u8]) -> usize {
    match name {
        [b'n' | b'r' | b't' | b'b' | b'f', _, ..] if before == b'\\' => 1,
        [b'u', a, b, c, d, _, ..]
            if before == b'\\' && [a, b, c, d].iter().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            5
        }
        _ => 0,
    }
}

/// An address by its `@`, which may be written with as many bytes (`%40`).
pub(super) fn at_sign(scan: &Scan<'_>, at: usize, width: usize) -> Seen {
    let host_start = at.saturating_add(width);
    let nothing = Seen::Nothing(host_start);
    // A name has no `@`, so no byte is looked at for two of them; but `%40` can stand in one.
    let mut start = scan.run_start(at, if width == 1 { usize::MAX } else { MOST_LOCAL }, is_local);
    // The end of a letter of more bytes than two belongs to the letter.
    while start < at && matches!(scan.at(start), 0x80..=0xbf) {
        start = start.saturating_add(1);
    }
    start = start.saturating_add(escaped(scan.previous(start), scan.piece(start, at)));
    // Signs of the sentence around it.
    while start < at && matches!(scan.at(start), b'.' | b'\'' | b'*' | b'&' | b'!' | b'#' | b'$' | b'~') {
        start = start.saturating_add(1);
    }
    let name = scan.piece(start, at);
    if !name.iter().any(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80) {
        return nothing;
    }
    let Some(end) = host_end(scan, host_start) else { return nothing };
    let host = scan.piece(host_start, end);
    let is_remote = name == b"git" && matches!(scan.at(end), b':' | b'/');
    // `icon@2x.png`, `checkout@v4.beta`, `a@b.dot(c)`.
    let is_density = matches!(host, [b'1'..=b'4', b'x', b'.', ..]);
    let is_version = matches!(host, [b'v', b'0'..=b'9', ..])
        && host.iter().skip(1).take_while(|byte| **byte != b'.').all(u8::is_ascii_digit);
    if is_remote || is_density || is_version || scan.at(end) == b'(' {
        return nothing;
    }
    Seen::found(start, end, Kind::Email)
}

/// Where the name of a host ends; `None` if there is none.
fn host_end(scan: &Scan<'_>, start: usize) -> Option<usize> {
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | 0x80..=0xdf);
    let run = scan.run_end(start, is_host);
    let mut end = run.min(start.saturating_add(MOST_HOST));
    // A label too much does no harm; one that is no top level is left off, and what it leaves is looked at again.
    for _ in 0..8 {
        while end > start && !scan.at(end.saturating_sub(1)).is_ascii_alphanumeric() {
            end = end.saturating_sub(1);
        }
        let host = scan.piece(start, end);
        let point = host.iter().rposition(|byte| *byte == b'.')?;
        let (labels, top) = host.split_at_checked(point)?;
        let top = top.get(1..)?;
        let is_top = (2..=24).contains(&top.len()) && top.iter().all(u8::is_ascii_alphabetic)
            || top.starts_with(b"xn--");
        if is_top && labels.split(|byte| *byte == b'.').all(|label| !label.is_empty()) {
            return Some(end);
        }
        end = start.saturating_add(point);
    }
    None
}
