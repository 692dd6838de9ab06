//! Request parameters: a list of names and values, from a query, a form or a JSON object.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use url::form_urlencoded;

use super::error::{Code, Refusal};
use crate::settings::accounting::DEFAULT_METRICS_SCOPE;

/// The most characters of a user's or a client's name and of an audience (OpenID Connect Core section 2 gives
/// `sub` as many).
const MAX_NAME: usize = 255;

/// What a token allows whose asker names nothing: to read the gateway's `/metrics`.
pub(super) const DEFAULT_SCOPE: &str = DEFAULT_METRICS_SCOPE;

/// The most characters of a scope.
const MAX_SCOPE: usize = 1024;

/// The most audiences of one token.
const MAX_AUDIENCES: usize = 16;

/// Parameters in the order in which they came. Those without a value are left out (RFC 6749 section 3.1).
#[derive(Clone, Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// From a query or a form body.
    pub(super) fn from_form(bytes: &[u8]) -> Params {
        let pairs = form_urlencoded::parse(bytes).filter(|(_, value)| !value.is_empty());
        Params(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// From a JSON object of texts, numbers, lists of texts, and nulls, which count as absent.
    pub(super) fn from_json(bytes: &[u8]) -> Result<Params, Refusal> {
        let Members(members) =
            serde_json::from_slice(bytes).map_err(|_| Refusal::request("the body is not a JSON object"))?;
        let mut pairs = Vec::new();
        for (name, value) in members {
            match value {
                Value::Null => {}
                Value::String(text) => pairs.push((name, text)),
                Value::Number(number) => pairs.push((name, number.to_string())),
                Value::Array(items) => {
                    for item in items {
                        let Value::String(text) = item else { return Err(not_plain()) };
                        pairs.push((name.clone(), text));
                    }
                }
                Value::Bool(_) | Value::Object(_) => return Err(not_plain()),
            }
        }
        pairs.retain(|(_, value)| !value.is_empty());
        Ok(Params(pairs))
    }

    /// The parameters and their values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Every value of a parameter that may be repeated.
    pub(super) fn many<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |pair| pair.0 == name).map(|pair| pair.1.as_str())
    }

    /// The value of a parameter that may not (RFC 6749 section 3.2).
    pub(super) fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.many(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(Refusal::request(format!("{name} is given more than once"))),
            (value, None) => Ok(value),
        }
    }

    /// The value of a parameter that must be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.one(name)?.ok_or_else(|| Refusal::request(format!("{name} is missing")))
    }

    /// `scope`, as RFC 6749 section 3.3 writes it; [`DEFAULT_SCOPE`] where none is asked for.
    pub(super) fn scope(&self) -> Result<String, Refusal> {
        let scope = self.one("scope")?.unwrap_or_default();
        let legal = |byte| matches!(byte, b' ' | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if scope.len() > MAX_SCOPE || !scope.bytes().all(legal) {
            return Err(Refusal::new(Code::InvalidScope, "scope is too long or holds illegal characters"));
        }
        Ok(if scope.trim().is_empty() { DEFAULT_SCOPE } else { scope }.to_owned())
    }

    /// What the token is to be for: every `audience` (Auth0) and `resource` (RFC 8707).
    pub(super) fn audiences(&self) -> Result<Vec<String>, Refusal> {
        let refused = |text: &str| Err(Refusal::new(Code::InvalidTarget, text));
        let mut audiences: Vec<String> = Vec::new();
        for resource in self.many("resource") {
            if url::Url::parse(resource).is_err() || resource.contains('#') {
                return refused("resource is an absolute URI without a fragment");
            }
        }
        for audience in self.many("audience").chain(self.many("resource")) {
            if !is_name(audience) {
                return refused("an audience is 1 to 255 characters without control characters");
            }
            if !audiences.iter().any(|known| known == audience) {
                audiences.push(audience.to_owned());
            }
        }
        if audiences.len() > MAX_AUDIENCES {
            return refused("at most 16 audiences for one token");
        }
        Ok(audiences)
    }
}

/// Whether a text is short and printable.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= MAX_NAME && !text.chars().any(char::is_control)
}

fn not_plain() -> Refusal {
    Refusal::request("each member of the JSON body is a text, a number or a list of texts")
}

/// A JSON object with its duplicates, which a map would hide from [`Params::one`].
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_without_a_value_are_absent_in_both_encodings() {
        let form = Params::from_form(b"a=1&b=&c");
        let json = Params::from_json(br#"{"a": 1, "b": "", "c": null}"#).unwrap();
        for params in [form, json] {
            assert_eq!(params.iter().collect::<Vec<_>>(), [("a", "1")]);
        }
    }

    #[test]
    fn a_repeated_parameter_is_refused_in_both_encodings() {
        let form = Params::from_form(b"a=1&a=1");
        let json = Params::from_json(br#"{"a": "1", "a": "1"}"#).unwrap();
        for params in [form, json] {
            assert_eq!(params.one("a"), Err(Refusal::request("a is given more than once")));
        }
    }

    #[test]
    fn json_that_is_no_flat_object_is_refused() {
        for body in ["", "[]", "1", r#"{"a": {}}"#, r#"{"a": true}"#, r#"{"a": [1]}"#, r#"{"a": 1} x"#] {
            assert_eq!(Params::from_json(body.as_bytes()).unwrap_err().code, Code::InvalidRequest, "{body}");
        }
    }

    #[test]
    fn audience_and_resource_are_joined_without_duplicates() {
        let params = Params::from_form(b"resource=urn:a&audience=b&audience=urn:a");
        assert_eq!(params.audiences().unwrap(), ["b", "urn:a"]);
    }

    #[test]
    fn a_resource_that_is_no_absolute_uri_is_refused() {
        for body in ["resource=a", "resource=https://a/%23f"] {
            let refusal = Params::from_form(body.as_bytes()).audiences().unwrap_err();
            assert_eq!(refusal.code, Code::InvalidTarget, "{body}");
        }
    }

    #[test]
    fn a_scope_with_a_quote_is_refused() {
        assert_eq!(Params::from_form(b"scope=a%22").scope().unwrap_err().code, Code::InvalidScope);
    }
}
