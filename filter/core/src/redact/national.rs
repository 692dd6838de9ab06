//! Ids that states give their people, by their check digits where they have any.

use super::number::{Groups, digits};
use super::scan::{Kind, Scan, Seen};

fn found(start: usize, end: usize) -> Seen {
    Seen::found(start, end, Kind::NationalId)
}

/// Ids of digits alone.
pub(super) fn of_digits(scan: &Scan<'_>, groups: &Groups) -> Option<Seen> {
    let (start, end) = groups.get(0)?;
    let ends = |at: usize| !scan.at(groups.end(at)).is_ascii_alphanumeric();
    let to = |at: usize| scan.piece(start, groups.end(at));
    if groups.have(scan, &[3, 2, 4], b"- ") && ends(2) && is_ssn(to(2)) {
        return Some(found(start, groups.end(2)));
    }
    if groups.have(scan, &[2, 3, 3, 3], b" ") && ends(3) && is_tax_id(to(3)) {
        return Some(found(start, groups.end(3)));
    }
    if groups.size(0) == 3
        && groups.size(1) == 3
        && groups.size(2) == 3
        && groups.size(3) == 2
        && [0, 1, 2].map(|at| groups.sign(scan, at)) == *b"..-"
        && is_cpf(to(3))
    {
        return Some(found(start, groups.end(3)));
    }
    for sizes in [&[1, 2, 2, 2, 3, 3, 2][..], &[13, 2]] {
        let last = sizes.len().saturating_sub(1);
        if groups.have(scan, sizes, b" ") && ends(last) && is_nir(to(last)) {
            return Some(found(start, groups.end(last)));
        }
    }
    let alone = scan.piece(start, end);
    match (alone.len(), scan.at(end)) {
        (11, byte) if !byte.is_ascii_alphanumeric() && is_tax_id(alone) => Some(found(start, end)),
        (15, byte) if !byte.is_ascii_alphanumeric() && is_nir(alone) => Some(found(start, end)),
        // The Spanish DNI: a letter for the rest of the number by 23.
        (8, b'A'..=b'Z' | b'-') => spanish(scan, start, end, 0),
        _ => None,
    }
}

/// Ids whose digits have letters before them.
pub(super) fn behind_letters(scan: &Scan<'_>, at: usize) -> Option<Seen> {
    british(scan, at).or_else(|| italian(scan, at)).or_else(|| {
        // The Spanish NIE: a letter for the first digit.
        let start = at.checked_sub(1)?;
        let lead = b"XYZ".iter().position(|letter| scan.previous(at) == *letter)?;
        let end = scan.run_end(at, |byte| byte.is_ascii_digit());
        if end.saturating_sub(at) != 7 || !scan.begins_word(start) {
            return None;
        }
        match spanish(scan, at, end, u32::try_from(lead).ok()?)? {
            Seen::Found(id) => Some(found(start, id.end)),
            nothing @ Seen::Nothing(_) => Some(nothing),
        }
    })
}

/// The letter behind a Spanish id.
fn spanish(scan: &Scan<'_>, start: usize, end: usize, lead: u32) -> Option<Seen> {
    let number =
        digits(scan.piece(start, end)).fold(lead, |sum, digit| sum.saturating_mul(10).saturating_add(digit));
    let place = usize::try_from(number % 23).ok()?;
    let letter = if scan.at(end) == b'-' { end.saturating_add(1) } else { end };
    let is_right = b"TRWAGMYFPDXBNJZSQVHLCKE".get(place) == Some(&scan.at(letter));
    let close = letter.saturating_add(1);
    (is_right && !scan.at(close).is_ascii_alphanumeric()).then(|| found(start, close))
}

/// The British NINO: `AB 12 34 56 C`, without check digits, but with letters that are not given.
fn british(scan: &Scan<'_>, at: usize) -> Option<Seen> {
    let gap = usize::from(scan.previous(at) == b' ');
    let letters_end = at.checked_sub(gap)?;
    let start = letters_end.checked_sub(2)?;
    let &[first, second] = scan.piece(start, letters_end) else { return None };
    let is_first = first.is_ascii_uppercase() && !b"DFIQUV".contains(&first);
    let is_second = second.is_ascii_uppercase() && !b"DFIOQUV".contains(&second);
    let is_taken = [b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"].contains(&&[first, second]);
    if scan.before(at).len() < 2 || !is_first || !is_second || is_taken || !scan.begins_word(start) {
        return None;
    }
    let mut end = at;
    for pair in 0..3 {
        if pair > 0 && scan.at(end) == b' ' {
            end = end.saturating_add(1);
        }
        if !scan.piece(end, end.saturating_add(2)).iter().all(u8::is_ascii_digit) {
            return None;
        }
        end = end.saturating_add(2);
    }
    if scan.at(end) == b' ' {
        end = end.saturating_add(1);
    }
    let close = end.saturating_add(1);
    let is_id = matches!(scan.at(end), b'A'..=b'D') && !scan.at(close).is_ascii_alphanumeric();
    is_id.then(|| found(start, close))
}

/// The Italian codice fiscale: six letters, a date of birth among letters, and a letter for the sum of all.
fn italian(scan: &Scan<'_>, at: usize) -> Option<Seen> {
    let start = at.checked_sub(6)?;
    let close = start.saturating_add(16);
    let code = scan.piece(start, close);
    let fits = |(byte, wanted): (&u8, &u8)| match wanted {
        b'A' => byte.is_ascii_uppercase(),
        _ => byte.is_ascii_digit(),
    };
    if code.len() != 16 || scan.before(at).len() < 6 || !code.iter().zip(b"AAAAAA00A00A000A").all(fits) {
        return None;
    }
    if !scan.begins_word(start) || scan.at(close).is_ascii_alphanumeric() {
        return None;
    }
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let (check, rest) = code.split_last()?;
    let value =
        |byte: u8| u32::from(if byte.is_ascii_digit() { byte - b'0' } else { byte.wrapping_sub(b'A') });
    let sum: u32 = rest
        .iter()
        .enumerate()
        .map(|(place, byte)| {
            let value = value(*byte);
            let odd = usize::try_from(value).ok().and_then(|value| ODD.get(value)).copied().unwrap_or(0);
            if place.is_multiple_of(2) { odd } else { value }
        })
        .sum();
    (sum % 26 == value(*check)).then(|| found(start, close))
}

/// The American number, of which some are never given.
fn is_ssn(id: &[u8]) -> bool {
    let part = |from: usize, to: usize| id.get(from..to).unwrap_or_default();
    let area = part(0, 3);
    area != b"000"
        && area != b"666"
        && !area.starts_with(b"9")
        && part(4, 6) != b"00"
        && part(7, 11) != b"0000"
}

/// The German Steuer-ID: no zero first, one digit of the first ten two or three times and never thrice in a row,
/// ISO 7064 mod 11,10.
fn is_tax_id(id: &[u8]) -> bool {
    let mut counts = [0_u8; 10];
    let mut product = 10;
    for digit in digits(id).take(10) {
        if let Some(count) = usize::try_from(digit).ok().and_then(|digit| counts.get_mut(digit)) {
            *count = count.saturating_add(1);
        }
        let sum = (digit + product) % 10;
        product = (if sum == 0 { 10 } else { sum }) * 2 % 11;
    }
    let repeated = counts.iter().filter(|count| **count > 1).count();
    let is_spread = repeated == 1 && counts.iter().all(|count| *count <= 3);
    let check = (11 - product) % 10;
    is_spread && digits(id).next() != Some(0) && digits(id).nth(10) == Some(check)
}

/// The French NIR: sex, year, month, department, and 97 less the rest of the first thirteen digits.
fn is_nir(id: &[u8]) -> bool {
    let number = digits(id).take(13).fold(0_u64, |sum, digit| sum * 10 + u64::from(digit));
    let key = digits(id).skip(13).fold(0_u64, |sum, digit| sum * 10 + u64::from(digit));
    let month = number / 100_000_000 % 100;
    let sex = number / 1_000_000_000_000;
    let is_month = (1..=12).contains(&month) || (20..=42).contains(&month) || month >= 50;
    matches!(sex, 1 | 2) && is_month && key == 97 - number % 97
}

/// The Brazilian CPF: two check digits mod 11.
fn is_cpf(id: &[u8]) -> bool {
    let check = |count: u32| {
        let sum: u32 = digits(id).zip((2..=count + 1).rev()).map(|(digit, weight)| digit * weight).sum();
        let rest = sum % 11;
        if rest < 2 { 0 } else { 11 - rest }
    };
    let is_one_digit = digits(id).all(|digit| Some(digit) == digits(id).next());
    !is_one_digit && digits(id).nth(9) == Some(check(9)) && digits(id).nth(10) == Some(check(10))
}
