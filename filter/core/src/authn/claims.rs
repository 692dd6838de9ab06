//! The registered claims of JWTs (RFC 7519 section 4.1), judged alike for every scheme.

use super::Refusal;
use crate::clock::UnixMillis;
use crate::json::{Members, Value};

/// How far the clocks of whoever signs and the gateway may differ, in seconds.
pub const LEEWAY: u64 = 60;
/// The most scopes that are read from one token.
const MAX_SCOPES: usize = 128;

/// What no subject without a prefix may begin with: it would be another source's name.
pub type ReservedPrefixes = [Box<str>];

/// When a token ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    /// Its `exp`.
    pub expires: UnixMillis,
    /// Its `exp` and the leeway: the moment from which it is refused.
    pub refused_from: UnixMillis,
}

/// Judges `exp`, which must be there, `nbf` and `iat`.
///
/// # Errors
/// Missing, malformed, or not now.
pub fn dates(claims: &Members, now: UnixMillis) -> Result<Dates, Refusal> {
    let seconds = now.seconds();
    let expiry = date(claims, "exp")?.ok_or(Refusal::ExpiryMissing)?;
    let refused_from = expiry.saturating_add(LEEWAY);
    if seconds >= refused_from {
        return Err(Refusal::Expired);
    }
    let latest = seconds.saturating_add(LEEWAY);
    if date(claims, "nbf")?.is_some_and(|from| from > latest) {
        return Err(Refusal::NotYetValid);
    }
    if date(claims, "iat")?.is_some_and(|issued| issued > latest) {
        return Err(Refusal::IssuedInFuture);
    }
    let millis = |seconds: u64| UnixMillis(seconds.saturating_mul(1000));
    Ok(Dates { expires: millis(expiry), refused_from: millis(refused_from) })
}

/// A `NumericDate` (RFC 7519 section 2): seconds, with or without a fraction, within the numbers that a
/// double holds exactly.
///
/// # Errors
/// It is there and no such number.
pub fn date(claims: &Members, name: &str) -> Result<Option<u64>, Refusal> {
    const MAX: f64 = 9_007_199_254_740_992.0;
    match claims.get(name) {
        None => Ok(None),
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Both ends were just checked.
        Some(Value::Number(number)) if (0.0..MAX).contains(number) => Ok(Some(*number as u64)),
        Some(_) => Err(Refusal::DateMalformed),
    }
}

/// Judges `aud`, which must name one of ours.
///
/// # Errors
/// Missing, empty, or another's.
pub fn audience(claims: &Members, ours: &[Box<str>]) -> Result<(), Refusal> {
    let is_ours = |name: &str| ours.iter().any(|our| **our == *name);
    match claims.get("aud") {
        None | Some(Value::Null) => Err(Refusal::AudienceMissing),
        Some(Value::String(name)) if is_ours(name) => Ok(()),
        Some(Value::Array(names)) if names.is_empty() => Err(Refusal::AudienceMissing),
        // Every element must be a string: a list that cannot be read is not a list that names this gateway.
        Some(Value::Array(names))
            if names.iter().all(|name| name.as_str().is_some())
                && names.iter().filter_map(Value::as_str).any(is_ours) =>
        {
            Ok(())
        }
        Some(_) => Err(Refusal::AudienceWrong),
    }
}

/// The scopes: `scope` (RFC 8693 section 4.2, separated by spaces) and `scp` (the same or a list, as some
/// issuers write it), together and each once.
///
/// # Errors
/// One of them is of another form, or there are absurdly many.
pub fn scopes(claims: &Members) -> Result<Vec<Box<str>>, Refusal> {
    let mut scopes: Vec<Box<str>> = Vec::new();
    for name in ["scope", "scp"] {
        match claims.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => add(&mut scopes, text.split(' ')),
            Some(Value::Array(list)) if list.iter().all(|scope| scope.as_str().is_some()) => {
                add(&mut scopes, list.iter().filter_map(Value::as_str));
            }
            Some(_) => return Err(Refusal::ScopeMalformed),
        }
        if scopes.len() > MAX_SCOPES {
            return Err(Refusal::ScopeMalformed);
        }
    }
    Ok(scopes)
}

fn add<'a>(scopes: &mut Vec<Box<str>>, more: impl Iterator<Item = &'a str>) {
    for scope in more.take(MAX_SCOPES.saturating_add(1)) {
        if is_scope(scope) && !scopes.iter().any(|have| **have == *scope) {
            scopes.push(scope.into());
        }
    }
}

/// Whether a text is a scope token (RFC 6749 section 3.3). Others grant nothing, so they are passed over.
#[must_use]
pub fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::object;

    #[test]
    fn scopes_are_read_from_both_claims_and_in_both_forms() {
        for (claims, expected) in [
            (r#"{}"#, Ok(vec![])),
            (r#"{"scope":"a b  a"}"#, Ok(vec!["a", "b"])),
            (r#"{"scp":["a","b"],"scope":"b c"}"#, Ok(vec!["b", "c", "a"])),
            (r#"{"scp":"a b"}"#, Ok(vec!["a", "b"])),
            (r#"{"scp":["a b"]}"#, Ok(vec![])),
            (r#"{"scope":"a\"b"}"#, Ok(vec![])),
            (r#"{"scope":["a",1]}"#, Err(Refusal::ScopeMalformed)),
            (r#"{"scope":1}"#, Err(Refusal::ScopeMalformed)),
        ] {
            let found = scopes(&object(claims.as_bytes()).unwrap());
            let found = found.as_ref().map(|found| found.iter().map(|scope| &**scope).collect::<Vec<_>>());
            assert_eq!(found.map_err(|error| *error), expected, "{claims}");
        }
    }
}
