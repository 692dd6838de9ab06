//! Questions in Weaviate's GraphQL.
//!
//! Weaviate takes no variables within `where`, so values stand in the text of the question. Every one of them goes
//! through [`literal`], and nothing else that comes from outside stands there but numbers.

use std::fmt::Write as _;

use attach_core::clock::UnixMillis;
use attach_core::clock::date::{LAST_MILLISECOND, Rfc3339};
use attach_core::mirror::CLASS;
use serde_json::{Value, json};

use crate::memory::terms::SessionFilter;

/// The most events that Weaviate gives at once (its `QUERY_MAXIMUM_RESULTS`).
pub(super) const MOST: usize = 10_000;

/// A string of GraphQL's (October 2021, section 2.9.4), quotes included.
pub(super) fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len().saturating_add(2));
    literal.push('"');
    for c in text.chars() {
        match c {
            '"' => literal.push_str("\\\""),
            '\\' => literal.push_str("\\\\"),
            // Line ends would end the string; the others are no source characters.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                // Writing to a string cannot fail.
                let _ = write!(literal, "\\u{:04x}", u32::from(c));
            }
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

/// Which events, as Weaviate is asked for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Where {
    /// All of these hold.
    All(Vec<Self>),
    /// One of these holds.
    Any(Vec<Self>),
    /// A property is this text.
    Is(&'static str, String),
    /// A property begins with these hexadecimal digits.
    Begins(&'static str, String),
    /// It happened in that millisecond.
    In(UnixMillis),
    /// It happened before that millisecond.
    Before(UnixMillis),
    /// It happened in that millisecond or after it.
    Since(UnixMillis),
    /// Its id is smaller.
    IdBelow(String),
}

impl Where {
    /// What is within a session; `None`: no session has such a name, so nothing is.
    pub(super) fn session(session: &SessionFilter) -> Option<Self> {
        let is_hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        };
        match session {
            SessionFilter::Whole(id) if is_hex(id, 64) => Some(Self::Is("session_id", id.clone())),
            SessionFilter::Beginning(id) if is_hex(id, 16) => Some(Self::Begins("session_id", id.clone())),
            SessionFilter::Whole(_) | SessionFilter::Beginning(_) => None,
        }
    }

    /// As it stands in a question.
    fn graphql(&self) -> String {
        graphql(&self.json())
    }

    /// As it stands in the body of a request.
    pub(super) fn json(&self) -> Value {
        let one = |path: &str, operator: &str, value: &str, text: &str| json!({ "path": [path], "operator": operator, value: text });
        let several = |operator: &str, operands: &[Self]| {
            let operands: Vec<Value> = operands.iter().map(Self::json).collect();
            json!({ "operator": operator, "operands": operands })
        };
        let date = |at: UnixMillis| Rfc3339(at.0.min(LAST_MILLISECOND)).to_string();
        match self {
            Self::All(operands) => several("And", operands),
            Self::Any(operands) => several("Or", operands),
            Self::Is(property, text) => one(property, "Equal", "valueText", text),
            Self::Begins(property, text) => one(property, "Like", "valueText", &format!("{text}*")),
            Self::In(at) => {
                let after = UnixMillis(at.0.saturating_add(1));
                several("And", &[Self::Since(*at), Self::Before(after)])
            }
            Self::Before(at) => one("timestamp", "LessThan", "valueDate", &date(*at)),
            Self::Since(at) => one("timestamp", "GreaterThanEqual", "valueDate", &date(*at)),
            Self::IdBelow(id) => one("id", "LessThan", "valueText", id),
        }
    }
}

/// A filter of the REST API in GraphQL: names of fields and operators stand bare there.
fn graphql(value: &Value) -> String {
    match value {
        Value::String(text) => literal(text),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(graphql).collect();
            format!("[{}]", values.join(","))
        }
        Value::Object(fields) => {
            let fields: Vec<String> = fields
                .iter()
                .map(|(name, value)| match value {
                    Value::String(operator) if name == "operator" => format!("{name}:{operator}"),
                    _ => format!("{name}:{}", graphql(value)),
                })
                .collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// In which order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Order {
    /// Newest first, and of one moment the greatest id first.
    Newest,
    /// By words, best first.
    Words(String),
    /// By words and by meaning, best first.
    Hybrid(String, Vec<f32>),
}

/// A question for events.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Get {
    pub(super) limit: usize,
    pub(super) tenant: Option<String>,
    pub(super) filter: Option<Where>,
    pub(super) order: Order,
}

impl Get {
    /// Its text.
    pub(super) fn text(&self) -> String {
        let mut arguments = format!("limit:{}", self.limit.min(MOST));
        if let Some(tenant) = &self.tenant {
            let _ = write!(arguments, ",tenant:{}", literal(tenant));
        }
        if let Some(filter) = &self.filter {
            let _ = write!(arguments, ",where:{}", filter.graphql());
        }
        let order = match &self.order {
            Order::Newest => r#"sort:[{path:["timestamp"],order:desc},{path:["_id"],order:desc}]"#.to_owned(),
            Order::Words(words) => format!(r#"bm25:{{query:{},properties:["content"]}}"#, literal(words)),
            Order::Hybrid(words, vector) => {
                // What is not finite is no number of GraphQL's.
                let vector: Vec<String> = vector
                    .iter()
                    .map(|n| if n.is_finite() { n.to_string() } else { "0".to_owned() })
                    .collect();
                format!(
                    r#"hybrid:{{query:{},properties:["content"],alpha:0.5,vector:[{}]}}"#,
                    literal(words),
                    vector.join(",")
                )
            }
        };
        let properties: Vec<&str> = super::schema::PROPERTIES.iter().map(|property| property.name).collect();
        format!("{{Get{{{CLASS}({arguments},{order}){{{} _additional{{id}}}}}}}}", properties.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_cannot_leave_its_string() {
        for (text, expected) in [
            ("alice", r#""alice""#),
            ("", r#""""#),
            (r#"a"}){x}"#, r#""a\"}){x}""#),
            ("a\\", r#""a\\""#),
            ("a\\\"", r#""a\\\"""#),
            ("a\nb\r\t\0", r#""a\u000ab\u000d\u0009\u0000""#),
            ("\u{2028}\u{85}\u{7f}", r#""\u2028\u0085\u007f""#),
            ("§team 😀", "\"§team 😀\""),
            (r#"""""#, r#""\"\"\"""#),
        ] {
            assert_eq!(literal(text), expected);
        }
    }

    #[test]
    fn a_session_that_is_none_is_nobodys() {
        let hex = "0123456789abcdef";
        for bad in ["", "*", "0123456789abcde*", "0123456789ABCDEF", "0123456789abcdeé", &hex.repeat(2)] {
            assert_eq!(Where::session(&SessionFilter::Beginning(bad.to_owned())), None, "{bad}");
            assert_eq!(Where::session(&SessionFilter::Whole(bad.to_owned())), None, "{bad}");
        }
        assert!(Where::session(&SessionFilter::Whole(hex.repeat(4))).is_some());
        let begins = Where::session(&SessionFilter::Beginning(hex.to_owned())).unwrap();
        assert_eq!(begins.graphql(), r#"{operator:Like,path:["session_id"],valueText:"0123456789abcdef*"}"#);
    }

    #[test]
    fn a_question_has_weaviates_form() {
        let get = Get {
            limit: 20_000,
            tenant: Some("ab".to_owned()),
            filter: Some(Where::All(vec![
                Where::Is("owner", "a".to_owned()),
                Where::Before(UnixMillis(1_709_251_199_999)),
            ])),
            order: Order::Newest,
        };
        let text = get.text();
        assert!(text.starts_with(
            r#"{Get{MemoryEvent(limit:10000,tenant:"ab",where:{operands:[{operator:Equal,path:["owner"],valueText:"a"},{operator:LessThan,path:["timestamp"],valueDate:"2024-02-29T23:59:59.999Z"}],operator:And},sort:"#
        ), "{text}");
        let hybrid = Get { order: Order::Hybrid("x".to_owned(), vec![1.5, f32::NAN]), ..get };
        assert!(hybrid.text().contains("vector:[1.5,0]"), "{}", hybrid.text());
    }

    proptest! {
        #[test]
        fn whatever_the_value_it_is_one_string_with_that_value(text in any::<String>()) {
            let literal = literal(&text);
            prop_assert!(!literal.chars().any(char::is_control));
            // Where GraphQL's strings and JSON's differ, none of it is used here.
            prop_assert_eq!(serde_json::from_str::<String>(&literal).unwrap(), text);
        }
    }
}
