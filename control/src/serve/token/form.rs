//! The request (RFC 8693 section 2.1).

use axum::http::{HeaderMap, header};
use url::form_urlencoded;

use super::ACCESS_TOKEN;
use super::refusal::{Code, Refusal};

const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const FORM: &str = "application/x-www-form-urlencoded";

/// What is asked for.
#[derive(Debug)]
pub(super) struct Form {
    /// What is swapped.
    pub(super) subject_token: String,
    scope: Option<String>,
}

impl Form {
    /// Reads a body. Parameters without a value count as absent and unknown ones are passed over
    /// (RFC 6749 section 3.2).
    pub(super) fn parse(headers: &HeaderMap, body: &[u8], public_url: &str) -> Result<Self, Refusal> {
        let stated = headers.get(header::CONTENT_TYPE).and_then(|stated| stated.to_str().ok());
        let media_type = stated.and_then(|stated| stated.split(';').next()).unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case(FORM) {
            return Err(Refusal::request("The body must be a form: application/x-www-form-urlencoded"));
        }
        let pairs: Vec<_> = form_urlencoded::parse(body).filter(|(_, value)| !value.is_empty()).collect();
        let many =
            |name: &'static str| pairs.iter().filter(move |(have, _)| have == name).map(|pair| &*pair.1);
        let one = |name: &'static str| {
            let mut values = many(name);
            match (values.next(), values.next()) {
                (_, Some(_)) => Err(Refusal::request("A parameter is given more than once")),
                (value, None) => Ok(value),
            }
        };
        match one("grant_type")? {
            Some(GRANT_TYPE) => {}
            Some(_) => {
                return Err(Refusal::new(
                    Code::UnsupportedGrantType,
                    "grant_type must be urn:ietf:params:oauth:grant-type:token-exchange",
                ));
            }
            None => return Err(Refusal::request("grant_type is missing")),
        }
        let Some(subject_token) = one("subject_token")? else {
            return Err(Refusal::request(
                "subject_token is missing: send the X-Attach-Assertion you were given",
            ));
        };
        if one("subject_token_type")? != Some(JWT) {
            return Err(Refusal::request("subject_token_type must be urn:ietf:params:oauth:token-type:jwt"));
        }
        if one("actor_token")?.is_some() || one("actor_token_type")?.is_some() {
            return Err(Refusal::request(
                "actor_token is not taken: the credential of your request says who acts",
            ));
        }
        if one("requested_token_type")?.is_some_and(|wanted| wanted != ACCESS_TOKEN) {
            return Err(Refusal::request(
                "requested_token_type must be urn:ietf:params:oauth:token-type:access_token",
            ));
        }
        let ours = |target: &str| target.strip_suffix('/').unwrap_or(target) == public_url;
        if !many("audience").chain(many("resource")).all(ours) {
            return Err(Refusal::new(
                Code::InvalidTarget,
                "Tokens are for this gateway alone: leave audience and resource out, or send its PUBLIC_URL",
            ));
        }
        Ok(Self { subject_token: subject_token.to_owned(), scope: one("scope")?.map(str::to_owned) })
    }

    /// The scope to grant, of what the user was granted: all of it, or what is asked for.
    pub(super) fn narrowed(&self, granted: &str) -> Result<String, Refusal> {
        let words = |text: &str| text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
        let granted: Vec<String> = words(granted);
        let Some(asked) = &self.scope else { return Ok(granted.join(" ")) };
        let mut wanted: Vec<String> = words(asked);
        if !wanted.iter().all(|word| granted.contains(word)) {
            return Err(Refusal::new(Code::InvalidScope, "scope asks for more than the user was granted"));
        }
        // Each once, in the order in which they were asked for.
        let mut seen = std::collections::BTreeSet::new();
        wanted.retain(|word| seen.insert(word.clone()));
        Ok(wanted.join(" "))
    }
}
