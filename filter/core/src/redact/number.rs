//! Numbers: cards, accounts, and what [`super::phone`] and [`super::national`] make of them.

use super::scan::{Kind, Scan, Seen};
use super::{mail, national, phone, token};

/// The most groups of digits that are looked at together.
const MOST_GROUPS: usize = 9;
/// The longest group that is counted; no number of ours has one.
const MOST_DIGITS: usize = 20;

/// Groups of digits, each a sign from the next.
pub(super) struct Groups {
    /// Start and end of each.
    at: [(usize, usize); MOST_GROUPS],
    len: usize,
}

impl Groups {
    /// The groups from the first digit of one.
    fn read(scan: &Scan<'_>, first: usize) -> Self {
        let mut groups = Self { at: [(0, 0); MOST_GROUPS], len: 0 };
        let mut start = first;
        for group in &mut groups.at {
            let length =
                scan.rest(start).iter().take(MOST_DIGITS).take_while(|byte| byte.is_ascii_digit()).count();
            if length == 0 {
                break;
            }
            let end = start.saturating_add(length);
            *group = (start, end);
            groups.len += 1;
            start = match (scan.at(end), scan.at(end.saturating_add(1)), scan.at(end.saturating_add(2))) {
                (b' ' | b'-' | b'.' | b'/', b'0'..=b'9', _) => end.saturating_add(1),
                // `1 (415) 555`, `(415) 555`, `415) 555`.
                (b' ', b'(', b'0'..=b'9') | (b')', b' ' | b'-' | b'/' | b'.', b'0'..=b'9') => {
                    end.saturating_add(2)
                }
                (b')' | b'(', b'0'..=b'9', _) => end.saturating_add(1),
                _ => break,
            };
        }
        groups
    }

    /// Start and end of each.
    pub(super) fn all(&self) -> &[(usize, usize)] {
        self.at.get(..self.len).unwrap_or_default()
    }

    /// Start and end of one.
    pub(super) fn get(&self, at: usize) -> Option<(usize, usize)> {
        self.all().get(at).copied()
    }

    /// How many digits one has; none, if it is not there.
    pub(super) fn size(&self, at: usize) -> usize {
        self.get(at).map_or(0, |(start, end)| end.saturating_sub(start))
    }

    /// The sign behind one; 0 behind the last.
    pub(super) fn sign(&self, scan: &Scan<'_>, at: usize) -> u8 {
        if at.saturating_add(1) < self.len { self.get(at).map_or(0, |(_, end)| scan.at(end)) } else { 0 }
    }

    /// Whether the first of them have these sizes and one sign between them, one of those that are named.
    pub(super) fn have(&self, scan: &Scan<'_>, sizes: &[usize], signs: &[u8]) -> bool {
        let first = self.sign(scan, 0);
        signs.contains(&first)
            && sizes.iter().enumerate().all(|(at, size)| self.size(at) == *size)
            && (1..sizes.len().saturating_sub(1)).all(|at| self.sign(scan, at) == first)
    }

    /// The end of one.
    pub(super) fn end(&self, at: usize) -> usize {
        self.get(at).map_or(0, |(_, end)| end)
    }
}

/// The digits among some bytes.
pub(super) fn digits(bytes: &[u8]) -> impl DoubleEndedIterator<Item = u32> {
    bytes.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte.wrapping_sub(b'0')))
}

/// The first digit of some that belong together.
pub(super) fn at_digit(scan: &Scan<'_>, at: usize) -> Seen {
    let end = scan.run_end(at, |byte| byte.is_ascii_digit());
    find(scan, at, end).unwrap_or(Seen::Nothing(end))
}

fn find(scan: &Scan<'_>, at: usize, end: usize) -> Option<Seen> {
    let before = scan.previous(at);
    if before == b'%'
        && scan.rest(at).starts_with(b"40")
        && let Seen::Found(mail) = mail_by_escape(scan, at)
    {
        return Some(Seen::Found(mail));
    }
    let neighbour = scan.neighbour(at);
    if neighbour.is_ascii_alphabetic() || (before == b' ' && scan.has_national_ids) {
        let found = iban(scan, at).or_else(|| token::google_access_token(scan, at));
        let found =
            found.or_else(|| scan.has_national_ids.then(|| national::behind_letters(scan, at)).flatten());
        if found.is_some() || neighbour.is_ascii_alphabetic() {
            return found;
        }
    }
    if neighbour == b'_' || neighbour >= 0x80 && neighbour < 0xe0 {
        return None;
    }
    // The most numbers end here: short, and alone.
    let size = end.saturating_sub(at);
    let behind = scan.at(end);
    let is_alone = !matches!(behind, b' ' | b'-' | b'.' | b'/' | b')' | b'(')
        || !(scan.at(end.saturating_add(1)).is_ascii_digit()
            || scan.at(end.saturating_add(2)).is_ascii_digit());
    if size < 7 && is_alone && !scan.has_national_ids {
        return None;
    }
    if size >= MOST_DIGITS {
        return None;
    }
    let is_attached = is_attached(scan, at);
    let groups = Groups::read(scan, at);
    if !is_attached || before == b'/' {
        if let Some(card) = card(scan, &groups) {
            return Some(card);
        }
    }
    if is_attached {
        return None;
    }
    let id = if scan.has_national_ids { national::of_digits(scan, &groups) } else { None };
    id.or_else(|| phone::find(scan, at, &groups))
}

/// `alice%40example.com`.
fn mail_by_escape(scan: &Scan<'_>, at: usize) -> Seen {
    // The `%` is the sign's, so the name ends before it.
    match mail::at_sign(scan, at.saturating_sub(1), 3) {
        Seen::Found(found) => Seen::Found(found),
        Seen::Nothing(_) => Seen::Nothing(at),
    }
}

/// Whether a number is a part of a longer word: of a version, a date, a UUID.
fn is_attached(scan: &Scan<'_>, at: usize) -> bool {
    match scan.before(at) {
        [.., before, b'-' | b'.' | b'/'] => before.is_ascii_alphanumeric() || matches!(before, b'_' | b'/'),
        [.., before, b',' | b':'] => before.is_ascii_digit(),
        _ => false,
    }
}

/// Luhn's sum (ISO/IEC 7812-1 annex B).
fn luhn(number: &[u8]) -> bool {
    let sum: u32 = digits(number)
        .rev()
        .enumerate()
        .map(|(at, digit)| match digit.saturating_mul(2) {
            _ if at.is_multiple_of(2) => digit,
            twice if twice > 9 => twice.saturating_sub(9),
            twice => twice,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether a number of so many digits that begins with these six is an issuer's.
fn is_issued(first: u32, count: usize) -> bool {
    let (four, three, two) = (first / 100, first / 1_000, first / 10_000);
    match count {
        13 => two / 10 == 4 || matches!(four, 5018 | 5020 | 5038 | 6304 | 6759 | 6761..=6763),
        14 => matches!(three, 300..=305) || matches!(two, 36 | 38 | 39),
        15 => matches!(two, 34 | 37),
        16 => {
            two / 10 == 4
                || matches!(two, 50..=58 | 36 | 38 | 60 | 62 | 65 | 67 | 81 | 82)
                || matches!(four, 2200..=2204 | 2221..=2720 | 3528..=3589 | 6304 | 9792)
                || matches!(three, 644..=649)
        }
        17 | 18 => matches!(two, 62 | 67) || matches!(four, 5018 | 5020 | 5038 | 6304 | 3528..=3589),
        19 => {
            two / 10 == 4
                || matches!(two, 62 | 65 | 67)
                || matches!(four, 2200..=2204 | 3528..=3589 | 6011 | 6304)
        }
        _ => false,
    }
}

fn is_card(number: &[u8]) -> bool {
    let count = digits(number).count();
    let first = digits(number).take(6).fold(0, |sum, digit| sum * 10 + digit);
    is_issued(first, count) && luhn(number)
}

/// A card's number: in one piece, or in groups with a space or a dash between them.
fn card(scan: &Scan<'_>, groups: &Groups) -> Option<Seen> {
    let (start, _) = groups.get(0)?;
    let sign = groups.sign(scan, 0);
    let mut count = 0;
    let mut best = None;
    for (at, (_, end)) in groups.all().iter().enumerate() {
        let size = groups.size(at);
        count += size;
        if count > 19 || (at > 0 && size > 7) {
            break;
        }
        let is_whole = at > 0 || size >= 13;
        let behind = scan.at(*end);
        if is_whole
            && count >= 13
            && !behind.is_ascii_alphanumeric()
            && behind != b'_'
            && is_card(scan.piece(start, *end))
        {
            best = Some(Seen::found(start, *end, Kind::Card));
        }
        // A short group is the last, and the sign is the same everywhere.
        if !(3..=7).contains(&size) || groups.sign(scan, at) != sign || !matches!(sign, b' ' | b'-') {
            break;
        }
    }
    best
}

/// Countries with IBANs, and how long theirs are (ISO 13616; the register of SWIFT).
const IBAN: &[(&[u8; 2], u8)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// How long the IBANs of the country are that two letters name.
pub(super) fn iban_length(country: &[u8]) -> Option<usize> {
    let known = IBAN.iter().find(|(name, _)| country.eq_ignore_ascii_case(*name))?;
    Some(usize::from(known.1))
}

/// An IBAN, by its check digits: two letters before them, and mod 97 over all (ISO 7064).
fn iban(scan: &Scan<'_>, at: usize) -> Option<Seen> {
    let start = at.checked_sub(2)?;
    let country = scan.piece(start, at);
    if scan.before(at).len() < 2
        || !scan.at(at.saturating_add(1)).is_ascii_digit()
        || !scan.begins_word(start)
    {
        return None;
    }
    let length = iban_length(country)?;
    let is_lower = country.iter().all(u8::is_ascii_lowercase);
    let (mut end, mut count, mut rest, mut head) = (start, 0_usize, 0_u32, 0_u32);
    // The first four come last in the sum.
    while count < length {
        let byte = scan.at(end);
        if matches!(byte, b' ' | b'-')
            && count >= 4
            && count.is_multiple_of(4)
            && scan.at(end.saturating_add(1)).is_ascii_alphanumeric()
        {
            end = end.saturating_add(1);
            continue;
        }
        let (value, by) = match byte {
            b'0'..=b'9' => (u32::from(byte - b'0'), 10),
            b'A'..=b'Z' => (u32::from(byte - b'A') + 10, 100),
            b'a'..=b'z' if is_lower => (u32::from(byte - b'a') + 10, 100),
            _ => return None,
        };
        if count < 4 {
            head = head * by + value;
        } else {
            rest = (rest * by + value) % 97;
        }
        count += 1;
        end = end.saturating_add(1);
    }
    // Two letters and two digits are six digits.
    let sum = (u64::from(rest) * 1_000_000 + u64::from(head)) % 97;
    let ends = !scan.at(end).is_ascii_alphanumeric();
    (sum == 1 && ends).then(|| Seen::found(start, end, Kind::Iban))
}
