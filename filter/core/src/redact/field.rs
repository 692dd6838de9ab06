//! Fields that are called `password`, `Authorization` and the like: their values go, whatever they look like.
//!
//! They stand in JSON, also in JSON inside a string of JSON, in headers, environment files, queries and code. Code
//! has names where the others have values: what is not quoted must look like a value.

use super::scan::{Kind, Scan, Seen};
use super::token::{is_token68, token68_end};

/// The longest name of a field that is read.
const MOST_NAME: usize = 64;
/// The longest text that can be a placeholder.
const MOST_PLACEHOLDER: usize = 64;
/// The longest user and password before a host.
const MOST_USERINFO: usize = 512;
/// The fewest bytes of an unquoted value.
const LEAST_VALUE: usize = 3;

/// How much a name says of its value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    /// `Authorization`: a scheme, and a secret.
    Authorization,
    /// A secret.
    Strong,
    /// Often a secret, often a word of a text or of a program.
    Weak,
}

/// What names end with, in lower case and without what joins words.
const STRONG: &[&[u8]] = &[
    b"password",
    b"passwd",
    b"passphrase",
    b"passcode",
    b"apikey",
    b"apisecret",
    b"appsecret",
    b"apitoken",
    b"secretkey",
    b"secretaccesskey",
    b"clientsecret",
    b"webhooksecret",
    b"consumersecret",
    b"accesstoken",
    b"refreshtoken",
    b"sessiontoken",
    b"securitytoken",
    b"idtoken",
    b"authtoken",
    b"bearertoken",
    b"bottoken",
    b"privatekey",
    b"signingkey",
    b"encryptionkey",
    b"accountkey",
    b"authkey",
    b"dbpass",
];
const WEAK: &[&[u8]] = &[b"token", b"secret", b"pwd", b"credential", b"credentials", b"accesskey"];
/// Names of what is no secret.
const HARMLESS: &[&[u8]] = &[
    b"pagetoken",
    b"nexttoken",
    b"continuationtoken",
    b"cancellationtoken",
    b"stoptoken",
    b"eostoken",
    b"bostoken",
    b"padtoken",
    b"unktoken",
    b"septoken",
    b"masktoken",
    b"clstoken",
    b"forgotpassword",
    b"resetpassword",
    b"showpassword",
    b"hidepassword",
];
/// Values that stand for a value.
const PLACEHOLDERS: &[&[u8]] = &[
    b"null",
    b"none",
    b"nil",
    b"true",
    b"false",
    b"undefined",
    b"string",
    b"str",
    b"text",
    b"bytes",
    b"object",
    b"password",
    b"passwd",
    b"secret",
    b"token",
    b"apikey",
    b"bearer",
    b"basic",
    b"required",
    b"optional",
    b"hidden",
    b"example",
    b"placeholder",
    b"redacted",
    b"masked",
    b"missing",
    b"invalid",
    b"expired",
    b"unset",
    b"empty",
];

/// A `:` or a `=`: whether a secret's name stands before it, or an address with a password behind it.
pub(super) fn at_is(scan: &Scan<'_>, at: usize) -> Seen {
    let next = at.saturating_add(1);
    if scan.at(at) == b':' && scan.rest(next).starts_with(b"//") {
        return userinfo(scan, at.saturating_add(3)).unwrap_or(Seen::Nothing(next));
    }
    let mut name_end = scan.run_start(at, 4, |byte| matches!(byte, b' ' | b'\t'));
    let mut is_quoted = false;
    if matches!(scan.previous(name_end), b'"' | b'\'' | b'`') {
        name_end = name_end.saturating_sub(1);
        name_end = scan.run_start(name_end, 8, |byte| byte == b'\\');
        is_quoted = true;
    }
    // What the names end with.
    if !matches!(scan.previous(name_end) | 0x20, b'd' | b'e' | b'y' | b't' | b'n' | b's') {
        return Seen::Nothing(next);
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let name_start = scan.run_start(name_end, MOST_NAME, is_name);
    let Some(name) = judge(scan.piece(name_start, name_end)) else { return Seen::Nothing(next) };

    let signs = scan.run_end(at, |byte| matches!(byte, b':' | b'=' | b'>'));
    let signs = signs.min(at.saturating_add(3));
    // JSON has a space there at most, and what is made by hand a few.
    let gap = scan.run_end(signs, |byte| matches!(byte, b' ' | b'\t'));
    if gap.saturating_sub(signs) > 16 {
        return Seen::Nothing(next);
    }
    let slashes = scan.run_end(gap, |byte| byte == b'\\').min(gap.saturating_add(8));
    let found = if matches!(scan.at(slashes), b'"' | b'\'' | b'`') {
        quoted(scan, name, slashes, slashes.saturating_sub(gap))
    } else {
        let field = Unquoted {
            name,
            start: gap,
            is_comparison: signs.saturating_sub(at) > 1 && scan.at(next) == b'=',
            is_tight: scan.at(at) == b'=' && gap == next && name_end == at,
            is_json: is_quoted,
            is_query: matches!(scan.previous(name_start), b'?' | b'&'),
            is_setting: !scan.piece(name_start, name_end).iter().any(u8::is_ascii_lowercase),
        };
        unquoted(scan, &field)
    };
    found.unwrap_or(Seen::Nothing(next))
}

/// What a name says.
fn judge(name: &[u8]) -> Option<Name> {
    let mut plain = [0_u8; MOST_NAME];
    let mut length = 0;
    let letters = name.iter().filter(|byte| !matches!(byte, b'_' | b'-' | b'.'));
    for (to, from) in plain.iter_mut().zip(letters) {
        *to = from.to_ascii_lowercase();
        length += 1;
    }
    let name = plain.get(..length)?;
    let ends = |list: &[&[u8]]| list.iter().any(|end| name.ends_with(end));
    if ends(HARMLESS) {
        None
    } else if name.ends_with(b"authorization") {
        Some(Name::Authorization)
    } else if ends(STRONG) {
        Some(Name::Strong)
    } else if ends(WEAK) {
        Some(Name::Weak)
    } else {
        None
    }
}

/// Whether a value stands for one that is put in later, or for one that was taken out.
pub(super) fn is_placeholder(value: &[u8]) -> bool {
    if value.len() > MOST_PLACEHOLDER {
        return false;
    }
    let value = value.trim_ascii();
    let Some((first, rest)) = value.split_first() else { return true };
    // `****`, `xxxx`, `…`.
    if rest.iter().all(|byte| byte == first)
        && matches!(first, b'*' | b'x' | b'X' | b'.' | b'-' | b'_' | b'?' | b'#')
        || value == "…".as_bytes()
    {
        return true;
    }
    let is_framed = |open: &[u8], close: &[u8]| value.starts_with(open) && value.ends_with(close);
    if is_framed(b"<", b">")
        || is_framed(b"{", b"}")
        || is_framed(b"${", b"}")
        || is_framed(b"$(", b")")
        || is_framed(b"%(", b"s")
        || is_framed(b"%", b"%")
        || is_framed(b"[", b"]")
    {
        return true;
    }
    let is_variable = *first == b'$'
        && !rest.is_empty()
        && rest.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_');
    let lower = value.to_ascii_lowercase();
    let begins = |start: &[u8]| lower.starts_with(start);
    is_variable
        || begins(b"your")
        || begins(b"my_")
        || begins(b"my-")
        || begins(b"process.env")
        || begins(b"os.environ")
        || begins(b"env.")
        || begins(b"example")
        || begins(b"arn:aws:")
        || begins(b"vault:")
        || begins(b"file:")
        || begins(b"op://")
        || PLACEHOLDERS.contains(&&*lower)
}

/// What schemes are called that have one token behind them.
const SCHEMES: &[&[u8]] =
    &[b"bearer", b"basic", b"token", b"apikey", b"api-key", b"key", b"negotiate", b"ntlm", b"dpop"];

/// The scheme at the beginning of a value: how long it is with the space behind it, and the kind of what follows.
fn scheme(value: &[u8]) -> Option<(usize, Kind)> {
    let end = value.iter().position(|byte| *byte == b' ')?;
    let (word, rest) = value.split_at_checked(end)?;
    let known = SCHEMES.iter().find(|scheme| word.eq_ignore_ascii_case(scheme))?;
    let kind = if *known == b"bearer" { Kind::Bearer } else { Kind::Credential };
    let gap = rest.iter().take_while(|byte| **byte == b' ').count();
    Some((end.saturating_add(gap), kind))
}

/// Where a string ends that began with a quote behind so many backslashes: in JSON inside JSON each quote has more.
/// The text's end or line's, if it does not end before.
fn close_of(scan: &Scan<'_>, start: usize, quote: u8, slashes: usize) -> usize {
    let period = slashes.saturating_add(1).saturating_mul(2);
    let mut before = 0_usize;
    let mut at = start;
    for byte in scan.rest(start) {
        match *byte {
            b'\\' => before = before.saturating_add(1),
            b'\n' => return at,
            byte if byte == quote => {
                // A quote with fewer ends the string around this one.
                if before < slashes || before.checked_rem(period) == Some(slashes) {
                    return at.saturating_sub(before.min(slashes));
                }
                before = 0;
            }
            _ => before = 0,
        }
        at = at.saturating_add(1);
    }
    at
}

/// A value in quotes.
fn quoted(scan: &Scan<'_>, name: Name, quote: usize, slashes: usize) -> Option<Seen> {
    let start = quote.saturating_add(1);
    let end = close_of(scan, start, scan.at(quote), slashes);
    let value = scan.piece(start, end);
    if scan.is_cut && end == scan.len() && end > start {
        return Some(Seen::found(start, end, Kind::Credential));
    }
    if name == Name::Authorization
        && let Some((skipped, kind)) = scheme(value)
    {
        let token = value.get(skipped..)?;
        let is_secret = token.len() >= LEAST_VALUE && !is_placeholder(token);
        return is_secret.then(|| Seen::found(start.saturating_add(skipped), end, kind));
    }
    if is_placeholder(value) || value.starts_with(b"$") && is_placeholder(value.get(1..)?) {
        return None;
    }
    let has = |wanted: fn(&u8) -> bool| value.iter().any(wanted);
    let is_secret = match name {
        Name::Weak => {
            value.len() >= 8
                && !value.iter().any(|byte| byte.is_ascii_whitespace() || matches!(byte, b'(' | b'<' | b'>'))
                && (has(u8::is_ascii_digit) || has(is_sign) || value.len() >= 20)
        }
        Name::Authorization => value.len() >= 8 && has(u8::is_ascii_alphanumeric) && !is_sentence(value),
        Name::Strong => value.len() >= LEAST_VALUE && !is_sentence(value) && !is_label(value),
    };
    is_secret.then(|| Seen::found(start, end, Kind::Credential))
}

/// Signs that people put into passwords and programmers not into names.
fn is_sign(byte: &u8) -> bool {
    matches!(byte, b'!' | b'@' | b'#' | b'$' | b'%' | b'^' | b'&' | b'*' | b'+' | b'?' | b'~')
}

/// `Your password must be longer.`: what a form says, and not what is put into it.
fn is_sentence(value: &[u8]) -> bool {
    let words = value.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).count();
    let ends = matches!(value.trim_ascii_end().last(), Some(b'.' | b':' | b'?' | b'!'));
    let begins = value.first().is_some_and(u8::is_ascii_uppercase);
    words >= 3 && value.len() <= 512 && (ends || begins)
        || words >= 2 && matches!(value.trim_ascii_end().last(), Some(b':'))
}

/// `Enter password`, `Password (again)`, `Passwort:`: the word itself, and what it is about.
fn is_label(value: &[u8]) -> bool {
    if value.len() > MOST_PLACEHOLDER || value.iter().any(u8::is_ascii_digit) {
        return false;
    }
    let lower = value.to_ascii_lowercase();
    let names = [&b"password"[..], b"api key", b"token", b"secret", b"passphrase", b"passwort"];
    lower.contains(&b' ') && names.iter().any(|name| lower.windows(name.len()).any(|piece| piece == *name))
}

/// A field whose value has no quotes.
struct Unquoted {
    name: Name,
    start: usize,
    /// `==`.
    is_comparison: bool,
    /// A `=` without spaces.
    is_tight: bool,
    /// The name has quotes.
    is_json: bool,
    /// In a query.
    is_query: bool,
    /// The name is in capitals.
    is_setting: bool,
}

/// Whether a value without quotes goes on.
fn is_value(byte: u8) -> bool {
    !byte.is_ascii_whitespace()
        && !byte.is_ascii_control()
        && !matches!(byte, b'"' | b'\'' | b'`' | b',' | b';' | b'&' | b'<' | b'>' | b'\\' | b'|' | b'}')
        && byte != 0
}

fn is_identifier(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
}

fn unquoted(scan: &Scan<'_>, field: &Unquoted) -> Option<Seen> {
    if field.is_comparison {
        return None;
    }
    let start = field.start;
    if field.name == Name::Authorization
        && let Some(seen) = authorization(scan, start)
    {
        return Some(seen);
    }
    let end = scan.run_end(start, is_value);
    let value = scan.piece(start, end);
    // `getpass()`, `tokens[0]`, `f(`: up to there it is a name.
    let value = value.strip_prefix(b"$").unwrap_or(value);
    let call = value.iter().position(|byte| matches!(byte, b'(' | b'[' | b'{'));
    if call.is_some_and(|call| value.get(..call).is_some_and(is_identifier)) {
        return None;
    }
    let value = scan.piece(start, end);
    let ending =
        value.iter().rev().take_while(|byte| matches!(byte, b'.' | b')' | b']' | b':' | b'?' | b'!')).count();
    // All of it goes; but for what it is, a full stop does not count.
    let end = if value.contains(&b'(') { end } else { end.saturating_sub(ending) };
    let value = scan.piece(start, end);
    if value.len() < LEAST_VALUE || is_placeholder(value) {
        return None;
    }
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    let has_letter = value.iter().any(u8::is_ascii_alphabetic);
    let has_sign = value.iter().any(is_sign);
    let has_cases = value.iter().any(u8::is_ascii_lowercase) && value.iter().any(u8::is_ascii_uppercase);
    // `config.password`, `self.token2`.
    let is_member = value.contains(&b'.')
        && is_identifier(value)
        && value.len() < 32
        && value
            .split(|byte| *byte == b'.')
            .all(|part| part.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_'));
    if is_member || value.starts_with(b"$") && is_identifier(value.get(1..)?) {
        return None;
    }
    let is_given = field.is_query || field.is_tight && field.is_setting;
    let is_secret = match field.name {
        Name::Strong => {
            is_given
                || digits == value.len() && digits >= 4
                || digits > 0 && (has_letter || has_sign) && value.len() >= 6 && !value.starts_with(b"/")
                || has_sign && value.len() >= 8 && !value.starts_with(b"/")
                || has_cases && value.len() >= 20 && !value.contains(&b'_') && !value.contains(&b'.')
        }
        Name::Weak if is_given => value.len() >= 8 && (digits > 0 || value.len() >= 16),
        Name::Weak | Name::Authorization => {
            value.len() >= 12
                && digits > 1
                && has_letter
                && !value.starts_with(b"/")
                && !value.contains(&b'(')
        }
    };
    (is_secret && !(field.is_json && digits == value.len() && digits < 4))
        .then(|| Seen::found(start, end, Kind::Credential))
}

/// The value of an `Authorization` header without quotes.
fn authorization(scan: &Scan<'_>, start: usize) -> Option<Seen> {
    let line =
        scan.piece(start, scan.run_end(start, |byte| !matches!(byte, b'\n' | b'\r' | b'"' | b'\'' | b'\\')));
    if let Some((skipped, kind)) = scheme(line) {
        let token_start = start.saturating_add(skipped);
        let end = token68_end(scan, token_start);
        let token = scan.piece(token_start, end);
        let is_word = token.iter().all(|byte| byte.is_ascii_lowercase());
        let is_open = scan.is_cut && scan.run_end(token_start, is_token68) == scan.len() && !token.is_empty();
        let is_secret = token.len() >= 6 && !is_word && !is_placeholder(token);
        return (is_secret || is_open).then(|| Seen::found(token_start, end, kind));
    }
    // Schemes with parameters: all of them go.
    let names = [&b"digest "[..], b"aws4-hmac-sha256 ", b"hawk ", b"oauth ", b"signature "];
    let name = names
        .iter()
        .find(|name| line.get(..name.len()).is_some_and(|word| word.eq_ignore_ascii_case(name)))?;
    let end = scan.run_end(start, |byte| !matches!(byte, b'\n' | b'\r'));
    let parameters = start.saturating_add(name.len());
    scan.piece(parameters, end).contains(&b'=').then(|| Seen::found(parameters, end, Kind::Credential))
}

/// `//user:password@host`.
fn userinfo(scan: &Scan<'_>, start: usize) -> Option<Seen> {
    let is_part = |byte: &&u8| {
        !byte.is_ascii_whitespace() && !matches!(byte, b'/' | b'"' | b'<' | b'>' | b'\\' | b'`' | b'(' | b')')
    };
    let length = scan.rest(start).iter().take(MOST_USERINFO).take_while(is_part).count();
    let authority = scan.piece(start, start.saturating_add(length));
    let at = authority.iter().rposition(|byte| *byte == b'@');
    let colon = authority.iter().position(|byte| *byte == b':')?;
    // A user that was taken out, whose replacement has a colon.
    if authority.get(..colon).is_some_and(|user| user.ends_with(b"[REDACTED")) {
        return None;
    }
    let password_start = start.saturating_add(colon).saturating_add(1);
    let end = match at {
        Some(at) if at > colon => start.saturating_add(at),
        // The text ends before one knows.
        None if scan.is_cut && start.saturating_add(length) == scan.len() => scan.len(),
        _ => return None,
    };
    let password = scan.piece(password_start, end);
    (!is_placeholder(password)).then(|| Seen::found(password_start, end, Kind::Credential))
}
