//! What a signature covers: component identifiers (RFC 9421 section 2) and which of them must be there.

use super::structured::Item;
use crate::authn::Refusal;
use sfv::BareItem;

/// What can be derived from a request (RFC 9421 section 2.2). `@status` is a response's.
const DERIVED: [&str; 8] =
    ["@method", "@authority", "@scheme", "@target-uri", "@request-target", "@path", "@query", "@query-param"];

/// A requirement that others fulfil together: the first is covered when all of a line's rest are.
const IMPLIED: &[(&str, &[&str])] = &[
    ("@authority", &["@target-uri"]),
    ("@scheme", &["@target-uri"]),
    ("@path", &["@target-uri"]),
    ("@path", &["@request-target"]),
    ("@query", &["@target-uri"]),
    ("@query", &["@request-target"]),
    ("@request-target", &["@target-uri"]),
    ("@request-target", &["@path", "@query"]),
    ("@target-uri", &["@scheme", "@authority", "@request-target"]),
    ("@target-uri", &["@scheme", "@authority", "@path", "@query"]),
];

/// One component of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    pub(super) name: Box<str>,
    pub(super) part: Part,
}

/// How much of the component, and in what form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it as it stands.
    Whole,
    /// `;sf`: a structured field in its canonical form.
    Strict,
    /// `;key`: one member of a dictionary.
    Member(Box<str>),
    /// `;bs`: each line's bytes.
    Bytes,
    /// `;name`: one parameter of the query.
    Parameter(Box<str>),
}

impl Component {
    /// Reads a component as the configuration writes it: a name, and after it the parameters as in
    /// `Signature-Input` (`@path`, `content-digest`, `@query-param;name="id"`). `None` if it is none that a
    /// request has.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, parameters) = match text.find(';') {
            Some(at) => text.split_at_checked(at)?,
            None => (text, ""),
        };
        if name.contains(['"', '\\']) {
            return None;
        }
        Self::of(&Item::parse(["\"", name, "\"", parameters].concat().as_bytes())?).ok()
    }

    /// Reads an identifier of `Signature-Input`.
    ///
    /// # Errors
    /// It is no string, or a component or parameter that is not understood; RFC 9421 section 2.5 wants both
    /// refused.
    pub(super) fn of(item: &Item) -> Result<Self, Refusal> {
        let BareItem::String(name) = &item.value else {
            return Err(Refusal::SignatureMalformed);
        };
        let name = name.as_str();
        let is_derived = name.starts_with('@');
        if is_derived && !DERIVED.contains(&name) || !is_derived && !is_field_name(name) {
            return Err(Refusal::SignatureComponent);
        }
        let (mut strict, mut bytes, mut key, mut parameter) = (false, false, None, None);
        for (name, value) in item.parameters.iter() {
            match (name, value) {
                // `req` and `tr` are of responses and trailers, and every other one is unknown.
                ("sf", BareItem::Boolean(true)) if !is_derived => strict = true,
                ("bs", BareItem::Boolean(true)) if !is_derived => bytes = true,
                ("key", BareItem::String(member)) if !is_derived => key = Some(member.as_str().into()),
                ("name", BareItem::String(name)) if is_derived => parameter = Some(name.as_str().into()),
                _ => return Err(Refusal::SignatureComponent),
            }
        }
        let part = match (parameter, key, bytes, strict) {
            (Some(parameter), None, false, false) => Part::Parameter(parameter),
            // A member is always in its canonical form: `sf` beside `key` says nothing more.
            (None, Some(key), false, _) => Part::Member(key),
            (None, None, true, false) => Part::Bytes,
            (None, None, false, true) => Part::Strict,
            (None, None, false, false) => Part::Whole,
            _ => return Err(Refusal::SignatureComponent),
        };
        // `@query-param` has a name, and nothing else has one.
        if (name == "@query-param") != matches!(part, Part::Parameter(_)) {
            return Err(Refusal::SignatureComponent);
        }
        Ok(Self { name: name.into(), part })
    }

    /// Whether this, which must be covered, is.
    pub(super) fn is_in(&self, covered: &[Self]) -> bool {
        covered.contains(self)
            || (self.part == Part::Whole
                && (covered.iter().any(|other| other.is_all_of(&self.name))
                    || IMPLIED.iter().any(|(name, all)| {
                        **name == *self.name
                            && all.iter().all(|name| covered.iter().any(|other| other.is_all_of(name)))
                    })))
    }

    /// Whether the whole of that component is covered by this, in whatever form.
    pub(super) fn is_all_of(&self, name: &str) -> bool {
        *self.name == *name && matches!(self.part, Part::Whole | Part::Strict | Part::Bytes)
    }
}

/// A field's name in lower case (RFC 9110 section 5.1, RFC 9421 section 2.1).
fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|b| {
            matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.')
                || matches!(b, b'^' | b'_' | b'`' | b'|' | b'~')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_that_a_request_does_not_have_is_none() {
        for text in [
            "@method",
            "@query-param;name=\"Pet\"",
            "content-digest",
            "content-digest;sf",
            "content-digest;key=\"sha-256\"",
            "content-digest;sf;key=\"sha-256\"",
            "example;bs",
            "x_y",
        ] {
            assert!(Component::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "@",
            "@status",
            "@signature-params",
            "@other",
            "@query-param",
            "@query-param;name=1",
            "@method;name=\"a\"",
            "@method;sf",
            "@method;req",
            "Content-Digest",
            ":method",
            "a b",
            "a\"b",
            "a\\",
            "a;req",
            "a;tr",
            "a;sf=?0",
            "a;sf=1",
            "a;key",
            "a;key=b",
            "a;bs;sf",
            "a;bs;key=\"b\"",
            "a;name=\"b\"",
            "a;other",
            "a;",
            "é",
        ] {
            assert_eq!(Component::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_requirement_is_met_by_what_says_as_much() {
        for (required, covered, expected) in [
            ("@authority", &["@authority"][..], true),
            ("@authority", &["@target-uri"], true),
            ("@authority", &["host"], false),
            ("@authority", &["@request-target"], false),
            ("@path", &["@request-target"], true),
            ("@path", &["@query"], false),
            ("@query", &["@query-param;name=\"a\""], false),
            ("@query-param;name=\"a\"", &["@query-param;name=\"a\""], true),
            ("@query-param;name=\"a\"", &["@query-param;name=\"b\""], false),
            ("@request-target", &["@path", "@query"], true),
            ("@request-target", &["@path"], false),
            ("@target-uri", &["@path", "@query", "@scheme", "@authority"], true),
            ("@target-uri", &["@path", "@query", "@authority"], false),
            ("@method", &["@target-uri"], false),
            ("date", &["date;bs"], true),
            ("date", &["date;key=\"a\""], false),
            ("date;key=\"a\"", &["date;key=\"a\""], true),
            ("date;key=\"a\"", &["date"], false),
        ] {
            let covered: Vec<_> = covered.iter().map(|text| Component::parse(text).unwrap()).collect();
            let required = Component::parse(required).unwrap();
            assert_eq!(required.is_in(&covered), expected, "{required:?} in {covered:?}");
        }
    }
}
