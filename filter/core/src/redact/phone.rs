//! Phone numbers: international ones (E.164) and the forms that are written in a country.

use super::number::Groups;
use super::scan::{Kind, Scan, Seen};

/// The most digits of an international number (ITU-T E.164).
const MOST: usize = 15;

/// A phone number whose first digit stands at a place.
pub(super) fn find(scan: &Scan<'_>, at: usize, groups: &Groups) -> Option<Seen> {
    if !ends_well(scan, groups) {
        return None;
    }
    let found = match scan.before(at) {
        [.., b'+'] => international(scan, at.saturating_sub(1), groups),
        [.., b'+', b'('] => international(scan, at.saturating_sub(2), groups),
        [.., b'('] => american(scan, at.saturating_sub(1), groups)
            .or_else(|| national(scan, at.saturating_sub(1), groups)),
        // In the middle of a longer number.
        [.., b'0'..=b'9', b' '] => american(scan, at, groups),
        _ => american(scan, at, groups)
            .or_else(|| dialled(scan, at, groups))
            .or_else(|| national(scan, at, groups)),
    };
    found.or_else(|| named(scan, at, groups))
}

/// Whether it is no part of a longer word.
fn ends_well(scan: &Scan<'_>, groups: &Groups) -> bool {
    let end = groups.end(groups.all().len().saturating_sub(1));
    !scan.at(end).is_ascii_alphabetic() && scan.at(end) != b'_'
}

/// How many digits the first groups have.
fn count(groups: &Groups, of: usize) -> usize {
    (0..of).map(|at| groups.size(at)).sum()
}

/// As many groups as have no more digits than a number.
fn within(groups: &Groups, most: usize) -> usize {
    (1..=groups.all().len()).rev().find(|of| count(groups, *of) <= most).unwrap_or(0)
}

fn found(start: usize, groups: &Groups, of: usize) -> Option<Seen> {
    let last = of.checked_sub(1)?;
    Some(Seen::found(start, groups.end(last), Kind::Phone))
}

/// `+49 30 123456`.
fn international(scan: &Scan<'_>, plus: usize, groups: &Groups) -> Option<Seen> {
    let of = within(groups, MOST);
    let before = scan.neighbour(plus);
    let is_sum = before.is_ascii_alphanumeric() || matches!(before, b'+' | b')' | b'/' | b'_' | b'.');
    // `+3.14159265`.
    let is_fraction = groups.sign(scan, 0) == b'.' && groups.all().len() == 2;
    let (first, _) = groups.get(0)?;
    let is_number = count(groups, of) >= 8 && scan.at(first) != b'0';
    if is_sum || is_fraction || !is_number { None } else { found(plus, groups, of) }
}

/// `00 49 30 123456`, of which the first two are dialled before a country.
fn dialled(scan: &Scan<'_>, at: usize, groups: &Groups) -> Option<Seen> {
    let of = within(groups, MOST.saturating_add(2));
    let is_dialled =
        scan.rest(at).starts_with(b"00") && !matches!(scan.at(at.saturating_add(2)), b'0' | b'.' | b'/');
    let is_number = of >= 3 && count(groups, of) >= 10 && matches!(groups.sign(scan, 0), b' ' | b'-');
    if is_dialled && is_number { found(at, groups, of) } else { None }
}

/// `(415) 555-0132`, `415.555.0132`, `1-800-555-0199` (the North American plan: no area or exchange begins with 0
/// or 1).
fn american(scan: &Scan<'_>, start: usize, groups: &Groups) -> Option<Seen> {
    let has_one = groups.size(0) == 1 && groups.get(0).is_some_and(|(at, _)| scan.at(at) == b'1');
    let first = usize::from(has_one);
    let [area, exchange, line] = [0, 1, 2].map(|place| first.saturating_add(place));
    let is_code = |place: usize| {
        groups.size(place) == 3 && groups.get(place).is_some_and(|(at, _)| matches!(scan.at(at), b'2'..=b'9'))
    };
    if !is_code(area) || !is_code(exchange) || groups.size(line) != 4 {
        return None;
    }
    let [behind_area, behind_exchange] = [area, exchange].map(|place| groups.sign(scan, place));
    let is_written = matches!(behind_exchange, b' ' | b'-' | b'.')
        && (behind_area == b')' || behind_area == behind_exchange || behind_area == b'/');
    let goes_on = matches!(groups.sign(scan, line), b'-' | b'.' | b'/');
    if is_written && !goes_on { found(start, groups, line.saturating_add(1)) } else { None }
}

/// `030 123456`, `(030) 123456`, `089/123456`, `01 42 68 53 00`, `06-12345678`.
fn national(scan: &Scan<'_>, start: usize, groups: &Groups) -> Option<Seen> {
    let (first, _) = groups.get(0)?;
    let of = within(groups, 12);
    let total = count(groups, of);
    let begins = scan.at(first) == b'0' && matches!(scan.at(first.saturating_add(1)), b'1'..=b'9');
    if !begins || !(2..=5).contains(&of) || !(9..=12).contains(&total) || of < groups.all().len() {
        return None;
    }
    let signs = || (0..of.saturating_sub(1)).map(|at| groups.sign(scan, at));
    let is_paired = of == 5 && (0..5).all(|at| groups.size(at) == 2);
    let is_area = (2..=5).contains(&groups.size(0)) && (1..of).all(|at| groups.size(at) >= 2);
    let last = groups.size(of.saturating_sub(1));
    let is_area = is_area && (last > 2 || (1..of).all(|at| groups.size(at) == 2));
    let is_written = signs().enumerate().all(|(at, sign)| match sign {
        b' ' | b'-' => true,
        b'/' | b')' => at == 0,
        b'.' => is_paired,
        _ => false,
    });
    // `012-34-5678` is written as ids are, `01-02-2024` and what follows as dates.
    let is_id = groups.have(scan, &[3, 2, 4], b"-");
    let is_date = groups.size(0) == 2 && groups.size(1) == 2 && groups.size(2) == 4;
    if is_area && is_written && !is_id && !is_date { found(start, groups, of) } else { None }
}

/// Words for phones.
const WORDS: &[&[u8]] = &[
    b"phone",
    b"tel",
    b"telephone",
    b"mobile",
    b"cell",
    b"fax",
    b"whatsapp",
    b"sms",
    b"handy",
    b"telefon",
    b"msisdn",
];

/// Seven digits and more behind a word for a phone.
fn named(scan: &Scan<'_>, at: usize, groups: &Groups) -> Option<Seen> {
    let is_between = |byte: u8| {
        matches!(byte, b' ' | b':' | b'=' | b'"' | b'\'' | b'\\' | b'.' | b'#' | b'(' | b'+' | b'_')
    };
    let is_word = |end: usize| {
        let start = scan.run_start(end, 16, |byte| byte.is_ascii_alphabetic());
        (start, scan.piece(start, end).to_ascii_lowercase())
    };
    let of = within(groups, MOST);
    if !(7..=MOST).contains(&count(groups, of)) {
        return None;
    }
    let mut word = is_word(scan.run_start(at, 8, is_between));
    if matches!(&*word.1, b"number" | b"no" | b"nr" | b"is" | b"num") {
        word = is_word(scan.run_start(word.0, 3, is_between));
    }
    // `phoneNumber`, `mobilephone`.
    let name = word.1.strip_suffix(b"number").unwrap_or(&word.1);
    let is_phone = WORDS.iter().any(|known| name == *known || known.len() > 4 && name.ends_with(known));
    if is_phone { found(at, groups, of) } else { None }
}
