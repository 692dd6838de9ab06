//! A JSON object in a body, field by field. What is wrong is told with the field's name and without its value.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::Refusal;

/// How axum gives a body.
pub(in crate::serve) type Sent = Result<Bytes, BytesRejection>;

/// The bytes of a body that may have `max` of them.
///
/// # Errors
/// It is too long, or broke off.
pub(in crate::serve) fn read(sent: Sent, max: usize) -> Result<Bytes, Refusal> {
    sent.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::length(format!("The body may have {} KiB", max / 1024)),
        _ => Refusal::question("The body could not be read"),
    })
}

/// What a body says.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads an object with no other fields than `known`.
    pub(super) fn parse(body: &[u8], known: &[&str]) -> Result<Self, Refusal> {
        let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
            return Err(Refusal::body(format!("The body must be a JSON object with {}", known.join(", "))));
        };
        if fields.keys().any(|name| !known.contains(&name.as_str())) {
            return Err(Refusal::body(format!(
                "There is a field too many; these are known: {}",
                known.join(", ")
            )));
        }
        Ok(Self(fields))
    }

    /// A text of `max` bytes at most; `None`: it is not there, or null.
    pub(super) fn text(&mut self, name: &str, max: usize) -> Result<Option<String>, Refusal> {
        match self.0.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.len() <= max => Ok(Some(text)),
            Some(Value::String(_)) => Err(Refusal::length(format!("{name} may have {max} bytes"))),
            Some(_) => Err(Refusal::body(format!("{name} must be a string"))),
        }
    }

    /// A text that must be there, and not be blank.
    pub(super) fn required(&mut self, name: &str, max: usize) -> Result<String, Refusal> {
        let text = self.text(name, max)?.filter(|text| !text.trim().is_empty());
        text.ok_or_else(|| Refusal::body(format!("{name} must be given, and not be empty")))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_wrong_body_is_told_what_is_wrong_and_not_what_it_said() {
        let content =
            |body: &str| Fields::parse(body.as_bytes(), &["content", "role"])?.required("content", 8);
        assert_eq!(content(r#"{"content":"hello","role":null}"#), Ok("hello".to_owned()));
        for (body, status, says) in [
            ("", 422, "JSON object"),
            ("[]", 422, "JSON object"),
            ("{", 422, "JSON object"),
            (r#"{"content":"a","hunter2":1}"#, 422, "too many"),
            (r#"{"role":"user"}"#, 422, "content"),
            (r#"{"content":null}"#, 422, "content"),
            (r#"{"content":" \n"}"#, 422, "content"),
            (r#"{"content":["hunter2"]}"#, 422, "string"),
            (r#"{"content":"hunter2hunter2"}"#, 413, "content may have 8"),
        ] {
            let Err(Refusal::Wrong(told, text)) = content(body) else { panic!("{body}") };
            assert_eq!(told.as_u16(), status, "{body}");
            assert!(text.contains(says) && !text.contains("hunter2"), "{body}: {text}");
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Fields::parse(&body, &["content"]).and_then(|mut fields| fields.text("content", 10));
        }
    }
}
