//! Where a credential sits in a request, and which scheme's it is.

use super::Refusal;
use crate::headers::Field;

/// The longest token, in bytes. A longer one costs memory before it can be judged.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// What would be the token of a header in its usual form, unchecked: good for looking it up among tokens
/// that were checked, and for nothing else.
#[must_use]
pub fn usual_bearer(authorization: Field<'_>) -> Option<&[u8]> {
    match authorization {
        Field::One(value) => value.strip_prefix(b"Bearer "),
        Field::Absent | Field::Many => None,
    }
}

/// The bearer token of an `Authorization` header (RFC 6750 section 2.1, scheme in any case: RFC 9110
/// section 11.1).
///
/// # Errors
/// No header, more than one, another scheme, no token, one that is too long or has bytes that no token has.
pub fn bearer(authorization: Field<'_>) -> Result<&str, Refusal> {
    let value = match authorization {
        Field::Absent => return Err(Refusal::CredentialMissing),
        Field::Many => return Err(Refusal::CredentialDoubled),
        Field::One(value) => value.trim_ascii(),
    };
    if value.is_empty() {
        return Err(Refusal::CredentialEmpty);
    }
    let (scheme, token) = match value.iter().position(|byte| *byte == b' ') {
        Some(space) => value.split_at_checked(space).ok_or(Refusal::CredentialMalformed)?,
        None => (value, &[][..]),
    };
    if !scheme.eq_ignore_ascii_case(b"bearer") {
        return Err(Refusal::CredentialMalformed);
    }
    let token = token.trim_ascii_start();
    if token.is_empty() {
        return Err(Refusal::CredentialEmpty);
    }
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Refusal::TokenTooLong);
    }
    // A comma would be a second header that something folded into this one.
    if token.iter().any(|byte| !byte.is_ascii_graphic() || *byte == b',') {
        return Err(Refusal::CredentialMalformed);
    }
    core::str::from_utf8(token).map_err(|_| Refusal::CredentialMalformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_bearer_token_alone_is_a_credential() {
        for (value, expected) in [
            (&b"Bearer abc"[..], Ok("abc")),
            (b"bearer abc", Ok("abc")),
            (b"BEARER   abc ", Ok("abc")),
            (b"", Err(Refusal::CredentialEmpty)),
            (b" ", Err(Refusal::CredentialEmpty)),
            (b"Bearer", Err(Refusal::CredentialEmpty)),
            (b"Bearer ", Err(Refusal::CredentialEmpty)),
            (b"Bearerabc", Err(Refusal::CredentialMalformed)),
            (b"Basic YTpi", Err(Refusal::CredentialMalformed)),
            (b"abc", Err(Refusal::CredentialMalformed)),
            (b"Bearer a b", Err(Refusal::CredentialMalformed)),
            (b"Bearer a,Bearer b", Err(Refusal::CredentialMalformed)),
            (b"Bearer a,b", Err(Refusal::CredentialMalformed)),
            (b"Bearer \xff\xfe", Err(Refusal::CredentialMalformed)),
            (b"Bearer a\tb", Err(Refusal::CredentialMalformed)),
        ] {
            assert_eq!(bearer(Field::One(value)), expected, "{}", value.escape_ascii());
        }
        assert_eq!(bearer(Field::Absent), Err(Refusal::CredentialMissing));
        assert_eq!(bearer(Field::Many), Err(Refusal::CredentialDoubled));
        let long = [&b"Bearer "[..], &vec![b'a'; MAX_TOKEN_BYTES + 1]].concat();
        assert_eq!(bearer(Field::One(&long)), Err(Refusal::TokenTooLong));
        assert!(bearer(Field::One(long.split_last().unwrap().1)).is_ok());
    }
}
