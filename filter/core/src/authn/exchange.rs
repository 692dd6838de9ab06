//! Tokens that are swapped at a token endpoint for one that counts here (RFC 8693, RFC 7523 section 2.1).
//!
//! What comes back is verified like any token of its issuer's; this file knows how to ask and how to read
//! the answer.

use super::Refusal;
use super::oidc::without_slash;
use crate::json;
use crate::keys::discovery::Target;
use crate::secret::Secret;

/// The largest answer that is read, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Whose tokens are swapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// One issuer's, without its trailing slash.
    Issuer(Box<str>),
    /// Those of every issuer that is not believed itself.
    Others,
}

/// How it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    /// RFC 7523, with the `issuer` parameter that Descope wants.
    JwtBearer,
    /// RFC 8693.
    TokenExchange,
}

/// One way to swap tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Whose tokens.
    pub from: From,
    /// The issuer of what comes back, without its trailing slash.
    pub to: Box<str>,
    /// How it is asked for.
    pub grant: Grant,
    /// The token endpoint.
    pub endpoint: Target,
    /// The client's id.
    pub client_id: Box<str>,
    /// The client's secret.
    pub client_secret: Secret,
    /// The audience to ask for.
    pub audience: Option<Box<str>>,
    /// The scopes to ask for.
    pub scope: Option<Box<str>>,
}

impl Exchange {
    /// Whether this way is for tokens of an issuer that is not believed itself.
    #[must_use]
    pub fn takes(&self, issuer: &str) -> bool {
        match &self.from {
            From::Issuer(from) => **from == *without_slash(issuer),
            From::Others => true,
        }
    }

    /// The form to send (`application/x-www-form-urlencoded`).
    #[must_use]
    pub fn form(&self, token: &str, issuer: &str) -> Vec<u8> {
        let mut form = Vec::new();
        let mut put = |name: &str, value: &[u8]| {
            if !form.is_empty() {
                form.push(b'&');
            }
            form.extend_from_slice(name.as_bytes());
            form.push(b'=');
            encode(value, &mut form);
        };
        match self.grant {
            Grant::JwtBearer => {
                put("grant_type", b"urn:ietf:params:oauth:grant-type:jwt-bearer");
                put("assertion", token.as_bytes());
                put("issuer", issuer.as_bytes());
            }
            Grant::TokenExchange => {
                put("grant_type", b"urn:ietf:params:oauth:grant-type:token-exchange");
                put("subject_token", token.as_bytes());
                put("subject_token_type", b"urn:ietf:params:oauth:token-type:jwt");
                put("requested_token_type", b"urn:ietf:params:oauth:token-type:access_token");
            }
        }
        put("client_id", self.client_id.as_bytes());
        put("client_secret", self.client_secret.expose());
        if let Some(audience) = &self.audience {
            put("audience", audience.as_bytes());
        }
        if let Some(scope) = &self.scope {
            put("scope", scope.as_bytes());
        }
        form
    }
}

/// The token in a token endpoint's good answer.
///
/// # Errors
/// There is none that could be a bearer token.
pub fn token_of(answer: &[u8]) -> Result<Box<str>, Refusal> {
    let answer = json::object(answer).map_err(|_| Refusal::ExchangeRefused)?;
    match answer.str("access_token") {
        Some(token)
            if token.len() <= super::jws::MAX_TOKEN_BYTES
                && token.bytes().all(|b| b.is_ascii_graphic() && b != b',') =>
        {
            Ok(token.into())
        }
        _ => Err(Refusal::ExchangeRefused),
    }
}

fn encode(value: &[u8], form: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            form.push(*byte);
        } else {
            form.push(b'%');
            for nibble in [byte >> 4, byte & 15] {
                form.extend(DIGITS.get(usize::from(nibble)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_cannot_be_left_by_what_stands_in_it() {
        let mut form = Vec::new();
        encode(b"a&b=c +%\xff", &mut form);
        assert_eq!(form, b"a%26b%3Dc%20%2B%25%FF");
    }

    #[test]
    fn an_answer_without_a_bearer_token_is_a_refusal() {
        assert_eq!(token_of(br#"{"access_token":"a.b.c"}"#).as_deref(), Ok("a.b.c"));
        for answer in
            ["", "{}", r#"{"access_token":1}"#, r#"{"access_token":"a b"}"#, r#"{"access_token":"a\n"}"#]
        {
            assert_eq!(token_of(answer.as_bytes()), Err(Refusal::ExchangeRefused), "{answer}");
        }
    }
}
