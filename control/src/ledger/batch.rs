//! Reading what the filter sends: `{"records": […], "undelivered": ["<record id>", …]}`.
//!
//! A record that cannot be right must not hold up those beside it, for it would do so for ever: it is kept apart
//! with the reason. What is no such document at all is refused as a whole.

use std::fmt::Write as _;

use attach_core::meter::UsageRecord;
use attach_core::meter::bounds::is_id;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// The most bytes of a batch.
pub const MAX_BYTES: usize = 1024 * 1024;
/// The most records of a batch, and the most ids.
pub const MAX_RECORDS: usize = 2_000;
/// How much of a text that is set aside is kept, in bytes.
const MAX_KEPT: usize = 4096;
/// How much of the reason is kept, in bytes: it may quote the text.
const MAX_REASON: usize = 300;

/// A batch that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Those that are as they must be.
    pub records: Vec<UsageRecord>,
    /// Those that are not.
    pub bad: Vec<Bad>,
    /// Whose events the filter could not deliver; each one once.
    pub undelivered: Vec<String>,
}

/// A record that cannot be kept as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    /// Its id, or `#` and its place in the batch where that cannot be read.
    pub id: String,
    /// What was sent, or its beginning.
    pub text: String,
    /// What is wrong with it.
    pub error: String,
}

/// Why a batch was refused; it is told to the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is not the document.
    #[error("The body must be {{\"records\": [usage record, …], \"undelivered\": [record id, …]}}")]
    Document,
    /// It is too long.
    #[error("A batch may have {MAX_RECORDS} records and as many ids")]
    TooMany,
}

impl Bad {
    fn new(id: Option<&str>, at: usize, text: &str, error: &str) -> Self {
        let cut = |text: &str, at: usize| {
            let mut text = text.to_owned();
            text.truncate(text.floor_char_boundary(at));
            text
        };
        Self {
            id: id.map_or_else(|| format!("#{at}"), ToOwned::to_owned),
            text: cut(text, MAX_KEPT),
            error: cut(error, MAX_REASON),
        }
    }

    /// An id of which there is no record.
    #[must_use]
    pub fn undelivered(id: String) -> Self {
        let error = "undelivered, and there is no record of this id".to_owned();
        Self { id, text: String::new(), error }
    }

    /// What it is known by among all that are set aside: sent again, it is the same.
    #[must_use]
    pub fn key(&self) -> String {
        if is_id(&self.id) && !self.id.starts_with('#') {
            return self.id.clone();
        }
        let digest = Sha256::digest(self.text.as_bytes());
        digest.iter().take(16).fold("#".to_owned(), |mut key, byte| {
            // Writing to a string cannot fail.
            let _ = write!(key, "{byte:02x}");
            key
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'a> {
    #[serde(borrow)]
    records: Vec<&'a RawValue>,
    #[serde(default)]
    undelivered: Vec<String>,
}

/// Only the id, of a record that is otherwise not one.
#[derive(Deserialize)]
struct Named {
    id: String,
}

impl Batch {
    /// Reads a body of [`MAX_BYTES`] at most.
    ///
    /// # Errors
    /// See [`Malformed`].
    pub fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let document: Document<'_> = serde_json::from_slice(body).map_err(|_| Malformed::Document)?;
        if document.records.len() > MAX_RECORDS || document.undelivered.len() > MAX_RECORDS {
            return Err(Malformed::TooMany);
        }
        let mut batch = Self::default();
        for (at, raw) in document.records.into_iter().enumerate() {
            match read(raw.get()) {
                Ok(record) => batch.records.push(record),
                Err(error) => {
                    let id = serde_json::from_str(raw.get()).ok().map(|Named { id }| id);
                    let id = id.filter(|id| is_id(id) && !id.starts_with('#'));
                    batch.bad.push(Bad::new(id.as_deref(), at, raw.get(), &error));
                }
            }
        }
        batch.undelivered = document.undelivered;
        batch.undelivered.sort_unstable();
        batch.undelivered.dedup();
        // No row can have such an id: nothing is lost with it, and it is not worth a place among the rest.
        batch.undelivered.retain(|id| is_id(id));
        Ok(batch)
    }
}

fn read(text: &str) -> Result<UsageRecord, String> {
    let mut record: UsageRecord = serde_json::from_str(text).map_err(|error| error.to_string())?;
    record.fit().map_err(|unfit| unfit.to_string())?;
    Ok(record)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::ledger::tests::sample;

    fn parse(value: &Value) -> Result<Batch, Malformed> {
        Batch::parse(value.to_string().as_bytes())
    }

    #[test]
    fn a_bad_record_does_not_hold_up_those_beside_it() {
        let good = serde_json::to_value(sample("a-1", 7)).unwrap();
        let changed = |name: &str, value: Value| {
            let mut record = good.clone();
            record["id"] = "a-2".into();
            record[name] = value;
            record
        };
        for (bad, id, error) in [
            (changed("input", json!(-1)), "a-2", "invalid value"),
            (changed("input", json!(1e30)), "a-2", "invalid type"),
            (changed("input", json!(u64::MAX)), "a-2", "tokens"),
            (changed("user", json!("")), "a-2", "user"),
            (changed("user", json!(null)), "a-2", "invalid type"),
            (changed("surprise", json!(1)), "a-2", "unknown field"),
            (changed("source", json!("guessed")), "a-2", "unknown variant"),
            (changed("id", json!("x".repeat(1000))), "#1", "id"),
            (changed("id", json!("#7")), "a-9", ""),
            (json!({}), "#1", "missing field"),
            (json!("text"), "#1", "invalid type"),
            (json!(null), "#1", "invalid type"),
        ] {
            let batch = parse(&json!({ "records": [good, bad, good] })).unwrap();
            // An id may look like a place: a row may have it, and only bad ones are named by place.
            let (good, bad_ones) = if error.is_empty() { (3, 0) } else { (2, 1) };
            assert_eq!((batch.records.len(), batch.bad.len()), (good, bad_ones), "{bad}");
            for found in &batch.bad {
                assert_eq!(found.id, id, "{bad}");
                assert!(found.error.contains(error), "{bad}: {}", found.error);
                assert_eq!(found.text, bad.to_string());
            }
        }
    }

    #[test]
    fn numbers_that_no_reader_takes_and_broken_text_are_the_record_s_own_fault() {
        let good = serde_json::to_string(&sample("a-1", 7)).unwrap();
        let body =
            format!(r#"{{"records":[{good},{{"id":"a-2","at":1e999}},{{"id":"a-3","user":"\ud800"}}]}}"#);
        let batch = Batch::parse(body.as_bytes()).unwrap();
        let ids: Vec<&str> = batch.bad.iter().map(|bad| bad.id.as_str()).collect();
        assert_eq!((batch.records.len(), ids), (1, vec!["a-2", "a-3"]));
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        for body in ["", "[]", "{}", "{\"records\":{}}", "{\"records\":[]", "null", "\u{0}"] {
            assert_eq!(Batch::parse(body.as_bytes()), Err(Malformed::Document), "{body}");
        }
        assert_eq!(Batch::parse(b"{\"records\":[\"\xff\"]}"), Err(Malformed::Document));
        assert_eq!(Batch::parse(br#"{"records":[],"extra":1}"#), Err(Malformed::Document));
        assert_eq!(parse(&json!({"records": vec![0; MAX_RECORDS + 1]})), Err(Malformed::TooMany));
        let ids = vec!["a"; MAX_RECORDS + 1];
        assert_eq!(parse(&json!({"records": [], "undelivered": ids})), Err(Malformed::TooMany));
        assert_eq!(parse(&json!({"records": []})), Ok(Batch::default()));
        let deep = format!("{{\"records\":[{}{}]}}", "[".repeat(500_000), "]".repeat(500_000));
        assert_eq!(Batch::parse(deep.as_bytes()).map(|batch| batch.bad.len()), Ok(1));
    }

    #[test]
    fn ids_are_taken_once_and_only_such_as_a_row_can_have() {
        let ids = ["b", "a", "b", "", "a b", &"x".repeat(129)];
        let batch = parse(&json!({"records": [], "undelivered": ids})).unwrap();
        assert_eq!(batch.undelivered, ["a", "b"]);
    }

    #[test]
    fn a_bad_record_is_known_by_its_id_or_else_by_its_text() {
        let bad = |id: Option<&str>, text: &str| Bad::new(id, 3, text, "e").key();
        assert_eq!(bad(Some("a-1"), "x"), "a-1");
        assert_eq!(bad(None, "x"), bad(None, "x"));
        assert_ne!(bad(None, "x"), bad(None, "y"));
        assert_eq!(Bad::new(None, 3, &"ü".repeat(5000), "e").text.len(), MAX_KEPT);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{0,6}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Batch::parse(&body);
        }

        #[test]
        fn every_record_is_either_kept_or_set_aside_whatever_one_field_holds(
            name in prop_oneof![
                "[a-z_]{0,12}",
                prop::sample::select(vec!["id", "at", "user", "agent", "project", "model", "credential",
                    "request_id", "status", "milliseconds", "input", "output", "cached", "reasoning", "source"])
                    .prop_map(str::to_owned),
            ],
            value in value(),
            others in prop::collection::vec(value(), 0..4),
        ) {
            let mut record = serde_json::to_value(sample("a-1", 7)).unwrap();
            record[name] = value;
            let mut records = vec![record];
            records.extend(others);
            let batch = parse(&json!({ "records": records })).unwrap();
            prop_assert_eq!(batch.records.len() + batch.bad.len(), records.len());
            for mut record in batch.records {
                prop_assert_eq!(record.fit(), Ok(()));
            }
            for bad in batch.bad {
                prop_assert!(bad.text.len() <= MAX_KEPT && bad.error.len() <= MAX_REASON);
                prop_assert!(is_id(&bad.id) && is_id(&bad.key()));
            }
        }
    }
}
