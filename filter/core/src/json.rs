//! JSON from strangers: a value tree that refuses what two readers could understand differently.
//!
//! Duplicate members are an error at every depth (RFC 7515 section 4 and RFC 7519 section 4 let a reader
//! reject them; a reader that does not can be shown one token and the next hop another).

use core::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// Any number.
    Number(f64),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Value>),
    /// An object, members in their order, names unique.
    Object(Members),
}

/// The members of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Members(Vec<(String, Value)>);

/// Why a text was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// Not JSON, not an object, or too deep.
    Malformed,
    /// A member stands twice in one object.
    Duplicate,
}

/// The most members that one object may have: duplicates are sought by comparison.
const MAX_MEMBERS: usize = 256;

const DUPLICATE: &str = "duplicate member";

/// Reads a text that must be one object.
///
/// # Errors
/// [`JsonError`]; the sender's fault.
pub fn object(text: &[u8]) -> Result<Members, JsonError> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value =
        Seed.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value)).map_err(|error| {
            if error.is_data() && error.to_string().starts_with(DUPLICATE) {
                JsonError::Duplicate
            } else {
                JsonError::Malformed
            }
        })?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(JsonError::Malformed),
    }
}

impl Members {
    /// The member of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(have, _)| have == name).map(|(_, value)| value)
    }

    /// All members in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The member of that name, if it is a string.
    #[must_use]
    pub fn str(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str)
    }
}

impl Value {
    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The truth value, if it is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The elements, if it is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(elements) => Some(elements),
            _ => None,
        }
    }
}

struct Seed;

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    #[allow(clippy::cast_precision_loss)] // Dates and counts are far below 2^53; larger ones are refused later.
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }
    #[allow(clippy::cast_precision_loss)]
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value as f64))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Number(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element_seed(Seed)? {
            elements.push(element);
        }
        Ok(Value::Array(elements))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members: Vec<(String, Value)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if members.iter().any(|(have, _)| *have == name) {
                return Err(A::Error::custom(DUPLICATE));
            }
            if members.len() == MAX_MEMBERS {
                return Err(A::Error::custom("too many members"));
            }
            members.push((name, map.next_value_seed(Seed)?));
        }
        Ok(Value::Object(Members(members)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_stands_twice_is_refused_at_every_depth() {
        assert_eq!(object(br#"{"a":1,"a":1}"#), Err(JsonError::Duplicate));
        assert_eq!(object(br#"{"a":{"b":1,"b":2}}"#), Err(JsonError::Duplicate));
        assert_eq!(object(br#"{"a":[{"b":1,"b":2}]}"#), Err(JsonError::Duplicate));
        // The same name, spelt with an escape.
        assert_eq!(object(br#"{"iss":1,"\u0069ss":2}"#), Err(JsonError::Duplicate));
        assert!(object(br#"{"a":{"b":1},"b":2}"#).is_ok());
    }

    #[test]
    fn anything_but_one_object_is_malformed() {
        for text in ["", "null", "[]", "1", "{", "{} {}", "{}x", "{\"a\":}", "\u{feff}{}", "{'a':1}"] {
            assert_eq!(object(text.as_bytes()), Err(JsonError::Malformed), "{text}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), Err(JsonError::Malformed));
        let deep = [b"{\"a\":".repeat(1000), b"1".to_vec(), b"}".repeat(1000)].concat();
        assert_eq!(object(&deep), Err(JsonError::Malformed));
        let wide = format!("{{{}}}", (0..300).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(","));
        assert_eq!(object(wide.as_bytes()), Err(JsonError::Malformed));
    }
}
