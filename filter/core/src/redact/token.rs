//! Keys and tokens that can be told by how they look: a prefix, or `eyJ`, or the lines around a private key.

use super::scan::{Kind, Scan, Seen};

/// A key with a prefix.
struct Shape {
    /// With the sign that ends it, at which it is looked for.
    prefix: &'static [u8],
    /// The fewest bytes behind it.
    least: usize,
    /// Which bytes are in it beside letters and digits.
    also: &'static [u8],
    kind: Kind,
}

const fn shape(prefix: &'static [u8], least: usize, also: &'static [u8], kind: Kind) -> Shape {
    Shape { prefix, least, also, kind }
}

const UNDERSCORE: &[Shape] = &[
    shape(b"ghp_", 30, b"", Kind::GitHub),
    shape(b"gho_", 30, b"", Kind::GitHub),
    shape(b"ghu_", 30, b"", Kind::GitHub),
    shape(b"ghs_", 30, b"", Kind::GitHub),
    shape(b"ghr_", 30, b"", Kind::GitHub),
    shape(b"github_pat_", 40, b"_", Kind::GitHub),
    shape(b"sk_live_", 16, b"", Kind::Stripe),
    shape(b"sk_test_", 16, b"", Kind::Stripe),
    shape(b"rk_live_", 16, b"", Kind::Stripe),
    shape(b"rk_test_", 16, b"", Kind::Stripe),
    shape(b"whsec_", 24, b"+/=", Kind::Stripe),
    // Groq, Hugging Face, npm, Replicate.
    shape(b"gsk_", 40, b"", Kind::ApiKey),
    shape(b"hf_", 30, b"", Kind::ApiKey),
    shape(b"npm_", 36, b"", Kind::ApiKey),
];

const DASH: &[Shape] = &[
    shape(b"sk-ant-", 16, b"-_", Kind::Anthropic),
    shape(b"sk-proj-", 16, b"-_", Kind::OpenAi),
    shape(b"sk-svcacct-", 16, b"-_", Kind::OpenAi),
    shape(b"sk-admin-", 16, b"-_", Kind::OpenAi),
    shape(b"xoxa-", 10, b"-", Kind::Slack),
    shape(b"xoxb-", 10, b"-", Kind::Slack),
    shape(b"xoxe-", 10, b"-", Kind::Slack),
    shape(b"xoxo-", 10, b"-", Kind::Slack),
    shape(b"xoxp-", 10, b"-", Kind::Slack),
    shape(b"xoxr-", 10, b"-", Kind::Slack),
    shape(b"xoxs-", 10, b"-", Kind::Slack),
    shape(b"xapp-", 20, b"-", Kind::Slack),
    shape(b"GOCSPX-", 20, b"-_", Kind::Gcp),
    // GitLab, xAI.
    shape(b"glpat-", 20, b"-_", Kind::ApiKey),
    shape(b"xai-", 40, b"", Kind::ApiKey),
];

/// So long a key needs no digit to be one.
const LONG: usize = 40;
/// The fewest bytes of a word of an OpenAI key that has no more of a prefix than `sk-`; words of names are shorter.
const LEAST_WORD: usize = 16;
/// The fewest bytes of a JWT's header and of its claims; `{"alg":""}` takes 14.
const LEAST_HEADER: usize = 12;
/// The longest first line of a private key between `BEGIN` and its dashes.
const MOST_LABEL: usize = 48;
/// The fewest bytes of a token behind `Bearer`.
const LEAST_BEARER: usize = 8;
/// What stands behind the address of Slack's hooks: three ids.
const LEAST_HOOK: usize = 20;

/// Whether it is of base64url's alphabet.
pub(super) fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// The key of a table of shapes whose prefix ends at a place.
fn of_shapes(scan: &Scan<'_>, shapes: &[Shape], at: usize) -> Option<Seen> {
    let end = at.saturating_add(1);
    let before = scan.before(end);
    let shape = shapes.iter().find(|shape| before.ends_with(shape.prefix))?;
    let start = end.saturating_sub(shape.prefix.len());
    if !scan.begins_word(start) {
        return None;
    }
    let close = scan.run_end(end, |byte| byte.is_ascii_alphanumeric() || shape.also.contains(&byte));
    let body = scan.piece(end, close);
    // What is refused here is short: the same bytes are not read again and again.
    let is_key = body.len() >= shape.least && (body.len() >= LONG || body.iter().any(u8::is_ascii_digit));
    is_key.then(|| Seen::found(start, close, shape.kind))
}

/// Keys of which the prefix ends with an underscore.
pub(super) fn at_underscore(scan: &Scan<'_>, at: usize) -> Seen {
    // What the prefixes end with.
    let may = matches!(
        scan.previous(at),
        b'p' | b'o' | b'u' | b's' | b'r' | b't' | b'e' | b'c' | b'k' | b'f' | b'm'
    );
    if !may {
        return Seen::Nothing(at.saturating_add(1));
    }
    of_shapes(scan, UNDERSCORE, at).unwrap_or(Seen::Nothing(at.saturating_add(1)))
}

/// Keys of which the prefix ends with a dash, and private keys.
pub(super) fn at_dash(scan: &mut Scan<'_>, at: usize) -> Seen {
    let end = scan.run_end(at, |byte| byte == b'-');
    if end.saturating_sub(at) >= 5 && scan.rest(end).starts_with(b"BEGIN ") {
        return private_key(scan, at, end.saturating_add(6)).unwrap_or(Seen::Nothing(end));
    }
    let next = at.saturating_add(1);
    if !matches!(
        scan.previous(at),
        b'k' | b't' | b'j' | b'n' | b'a' | b'b' | b'e' | b'o'..=b's' | b'X' | b'i'
    ) {
        return Seen::Nothing(end.max(next));
    }
    if let Some(seen) = of_shapes(scan, DASH, at) {
        return seen;
    }
    openai(scan, next).unwrap_or(Seen::Nothing(end.max(next)))
}

/// `sk-` and what looks drawn by lot: a long word with digits in it.
fn openai(scan: &mut Scan<'_>, body: usize) -> Option<Seen> {
    let start = body.saturating_sub(3);
    if body <= scan.no_key_before || !scan.before(body).ends_with(b"sk-") || !scan.begins_word(start) {
        return None;
    }
    let end = scan.run_end(body, is_base64url);
    let words = scan.piece(body, end).split(|byte| matches!(byte, b'-' | b'_'));
    let mut drawn = words.filter(|word| {
        word.len() >= LEAST_WORD && (word.len() >= LONG || word.iter().any(u8::is_ascii_digit))
    });
    if drawn.next().is_some() {
        // Of others' keys that begin so, only Anthropic's say whose they are.
        let kind = if scan.rest(body).starts_with(b"ant-") { Kind::Anthropic } else { Kind::OpenAi };
        return Some(Seen::found(start, end, kind));
    }
    // A later start in the same word has the same words behind it, or fewer.
    scan.no_key_before = end;
    None
}

/// A private key from its first line to its last, or to the end of the text.
fn private_key(scan: &Scan<'_>, start: usize, label: usize) -> Option<Seen> {
    let limit = label.saturating_add(MOST_LABEL);
    let close =
        scan.run_end(label, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ');
    if close > limit {
        return None;
    }
    let name = scan.piece(label, close);
    let is_private = name.ends_with(b"PRIVATE KEY") || name.ends_with(b"PRIVATE KEY BLOCK");
    if !is_private || !scan.rest(close).starts_with(b"-----") {
        return None;
    }
    let mut end = close.saturating_add(5);
    loop {
        end = scan.run_end(end, |byte| byte != b'-');
        let dashes = scan.run_end(end, |byte| byte == b'-');
        if dashes == end {
            return Some(Seen::found(start, scan.len(), Kind::PrivateKey));
        }
        if dashes.saturating_sub(end) >= 5 && scan.rest(dashes).starts_with(b"END ") {
            let last = scan.run_end(dashes, |byte| byte.is_ascii_alphanumeric() || byte == b' ');
            let end = scan.run_end(last, |byte| byte == b'-');
            return Some(Seen::found(start, end, Kind::PrivateKey));
        }
        end = dashes;
    }
}

/// `eyJ`: a JWS of three parts, or a JWE of five.
pub(super) fn at_jwt(scan: &mut Scan<'_>, at: usize) -> Seen {
    let next = at.saturating_add(1);
    if at < scan.no_jwt_before || !scan.before(next).ends_with(b"eyJ") {
        return Seen::Nothing(next);
    }
    let start = at.saturating_sub(2);
    let header = scan.run_end(next, is_base64url);
    // A cut JWT is one.
    let is_open = scan.is_cut && header == scan.len();
    if is_open && scan.begins_word(start) {
        return Seen::found(start, header, Kind::Jwt);
    }
    let claims_start = header.saturating_add(1);
    let claims = scan.run_end(claims_start, is_base64url);
    let is_jwt = header.saturating_sub(start) >= LEAST_HEADER
        && scan.at(header) == b'.'
        && (scan.at(claims) == b'.' || (scan.is_cut && claims == scan.len()));
    let is_signed = claims.saturating_sub(claims_start) >= 4;
    // Without a key of its own a JWE has nothing between the first points.
    let is_encrypted = claims == claims_start && scan.begins_word(start);
    if !is_jwt || !(is_signed || is_encrypted) {
        scan.no_jwt_before = header;
        return Seen::Nothing(next);
    }
    let mut start = start;
    if !scan.begins_word(start) {
        if !scan.rest(claims_start).starts_with(b"eyJ") {
            scan.no_jwt_before = header;
            return Seen::Nothing(next);
        }
        // Grown together with what stands before it.
        start = scan.run_start(start, usize::MAX, is_base64url);
    }
    let mut end = claims;
    let mut parts = 2;
    while scan.at(end) == b'.' && parts < 5 {
        let part = scan.run_end(end.saturating_add(1), is_base64url);
        // A point at the end of a sentence, unless the signature is missing there.
        if part == end.saturating_add(1) && parts > 2 {
            break;
        }
        end = part;
        parts += 1;
    }
    Seen::found(start, end, Kind::Jwt)
}

/// Ids of AWS's access keys, and Google's API keys.
pub(super) fn at_capital(scan: &Scan<'_>, at: usize) -> Seen {
    let nothing = Seen::Nothing(at.saturating_add(1));
    let rest = scan.rest(at);
    let body = at.saturating_add(4);
    if rest.starts_with(b"AIza") && scan.begins_word(at) {
        let end = scan.run_end(body, is_base64url);
        return if end.saturating_sub(body) >= 33 { Seen::found(at, end, Kind::Gcp) } else { nothing };
    }
    if [b"AKIA", b"ASIA", b"ABIA", b"ACCA"].iter().any(|prefix| rest.starts_with(*prefix))
        && scan.begins_word(at)
    {
        let end = scan.run_end(body, |byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        let is_key = (16..=17).contains(&end.saturating_sub(body)) && !scan.at(end).is_ascii_alphanumeric();
        return if is_key { Seen::found(at, end, Kind::Aws) } else { nothing };
    }
    nothing
}

/// Google's access tokens: `ya29.`, found at its digits.
pub(super) fn google_access_token(scan: &Scan<'_>, at: usize) -> Option<Seen> {
    let start = at.saturating_sub(2);
    if !scan.before(at).ends_with(b"ya") || !scan.rest(at).starts_with(b"29.") || !scan.begins_word(start) {
        return None;
    }
    let body = at.saturating_add(3);
    let end = scan.run_end(body, |byte| is_base64url(byte) || byte == b'.');
    (end.saturating_sub(body) >= 20).then(|| Seen::found(start, end, Kind::Gcp))
}

/// Whether it is of what a bearer token may be written with (RFC 6750 section 2.1), its padding among it.
pub(super) fn is_token68(byte: u8) -> bool {
    is_base64url(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=')
}

/// A run of a token's bytes without the points of a sentence behind it.
pub(super) fn token68_end(scan: &Scan<'_>, start: usize) -> usize {
    let end = scan.run_end(start, is_token68);
    let points = scan.piece(start, end).iter().rev().take_while(|byte| **byte == b'.').count();
    end.saturating_sub(points)
}

/// `Bearer` and the token behind it, of which the word is kept.
pub(super) fn at_bearer(scan: &Scan<'_>, at: usize) -> Seen {
    let nothing = Seen::Nothing(at.saturating_add(1));
    let word_end = at.saturating_add(6);
    if scan.at(at.saturating_add(1)) | 0x20 != b'e'
        || !scan.piece(at, word_end).eq_ignore_ascii_case(b"bearer")
        || !scan.begins_word(at)
    {
        return nothing;
    }
    let gap_end = scan.run_end(word_end, |byte| matches!(byte, b' ' | b'\t'));
    let start = match (gap_end.saturating_sub(word_end), scan.rest(word_end)) {
        (1..=8, _) => gap_end,
        (0, [b'%', b'2', b'0', ..]) => word_end.saturating_add(3),
        (0, [b'+', ..]) => word_end.saturating_add(1),
        _ => return nothing,
    };
    let end = token68_end(scan, start);
    let token = scan.piece(start, end);
    let has = |wanted: fn(&u8) -> bool| token.iter().any(wanted);
    let has_both_cases = has(u8::is_ascii_lowercase)
        && token.iter().skip(1).any(u8::is_ascii_uppercase)
        && !token.contains(&b'_');
    let looks_drawn =
        (token.len() >= LEAST_BEARER && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic))
            || (token.len() >= 16 && has_both_cases)
            || token.len() >= 48;
    let is_open = scan.is_cut && scan.run_end(start, is_token68) == scan.len() && !token.is_empty();
    if (looks_drawn && !super::field::is_placeholder(token)) || is_open {
        return Seen::found(start, end, Kind::Bearer);
    }
    nothing
}

/// The address of one of Slack's hooks, which is the right to write there.
pub(super) fn at_slash(scan: &Scan<'_>, at: usize) -> Seen {
    let nothing = Seen::Nothing(at.saturating_add(1));
    if scan.previous(at) != b's' {
        return nothing;
    }
    let before = scan.before(at);
    if !before.ends_with(b"hooks.slack.com/services") && !before.ends_with(b"hooks.slack.com/workflows") {
        return nothing;
    }
    let start = at.saturating_add(1);
    let end = scan.run_end(start, |byte| byte.is_ascii_alphanumeric() || byte == b'/');
    let body = scan.piece(start, end);
    if body.len() >= LEAST_HOOK && body.iter().any(u8::is_ascii_digit) {
        return Seen::found(start, end, Kind::Slack);
    }
    nothing
}
