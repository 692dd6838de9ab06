//! Batches of what is to be remembered: Weaviate's answer to each, and what there was in them.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

/// Where the bench asks what came.
pub(super) const COUNT: &str = "/bench/objects";
/// Where Weaviate takes batches; below another path, control answers as Weaviate does.
const BATCH: &[u8] = b"/v1/batch/objects";
/// Where control's outbox takes them.
const OUTBOX: &[u8] = b"/internal/memory";

static COUNTS: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];

/// What Weaviate and control were told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// Objects that came, at either.
    pub(crate) objects: u64,
    /// How many of them came to control.
    pub(crate) through_control: u64,
    /// How many said that their text was longer.
    pub(crate) cut: u64,
    /// How many have had something taken out.
    pub(crate) redacted: u64,
    /// How long the texts are that were cut, together, in bytes.
    pub(crate) cut_bytes: u64,
}

impl Remembered {
    /// As [`count`] writes it.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split_whitespace().map(|number| number.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        Some(Self {
            objects: next()?,
            through_control: next()?,
            cut: next()?,
            redacted: next()?,
            cut_bytes: next()?,
        })
    }

    /// What came after an earlier look.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            objects: self.objects - before.objects,
            through_control: self.through_control - before.through_control,
            cut: self.cut - before.cut,
            redacted: self.redacted - before.redacted,
            cut_bytes: self.cut_bytes - before.cut_bytes,
        }
    }
}

/// Whether a path takes batches.
pub(super) fn is_one(path: &[u8]) -> bool {
    path.ends_with(BATCH) || path == OUTBOX
}

/// Takes a batch, and answers as Weaviate does: with all that it was sent, and a word about each object.
pub(super) fn to(path: &[u8], body: &[u8]) -> String {
    let mut batch: Value = serde_json::from_slice(body).unwrap_or_default();
    let Some(objects) = batch["objects"].as_array_mut() else {
        return "HTTP/1.1 422 Unprocessable Entity\r\ncontent-length: 0\r\n\r\n".to_owned();
    };
    let told = tell(path != BATCH, objects);
    for (count, more) in
        COUNTS.iter().zip([told.objects, told.through_control, told.cut, told.redacted, told.cut_bytes])
    {
        count.fetch_add(more, Ordering::Relaxed);
    }
    if path == OUTBOX {
        return "HTTP/1.1 204 No Content\r\n\r\n".to_owned();
    }
    for object in objects.iter_mut() {
        object["creationTimeUnix"] = json!(1_718_345_013_123_u64);
        object["lastUpdateTimeUnix"] = json!(1_718_345_013_123_u64);
        object["deprecations"] = Value::Null;
        object["result"] = json!({"status": "SUCCESS"});
    }
    ok(&batch["objects"].to_string())
}

/// What came so far.
pub(super) fn count() -> String {
    let numbers = COUNTS.each_ref().map(|count| count.load(Ordering::Relaxed).to_string());
    ok(&numbers.join(" "))
}

fn tell(through_control: bool, objects: &[Value]) -> Remembered {
    let mut told = Remembered { objects: objects.len() as u64, ..Remembered::default() };
    if through_control {
        told.through_control = told.objects;
    }
    for event in objects.iter().map(|object| &object["properties"]) {
        let text = event["content"].as_str().unwrap_or_default();
        told.redacted += u64::from(text.contains("[REDACTED:"));
        if event["truncated"] == true {
            told.cut += 1;
            told.cut_bytes += text.len() as u64;
        }
    }
    told
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(content: &str, truncated: bool) -> Value {
        json!({"class": "MemoryEvent", "id": "1", "properties": {"content": content, "truncated": truncated}})
    }

    #[test]
    fn every_object_is_answered_as_weaviate_answers_it() {
        let batch =
            json!({"objects": [object("\"status\":\"SUCCESS\"", false), object("b", true)]}).to_string();
        let answer = to(BATCH, batch.as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
        assert_eq!(body.matches(r#""status":"SUCCESS""#).count(), 2);
        let answered: Value = serde_json::from_str(body).unwrap();
        assert_eq!(answered[1]["properties"]["content"], "b");
        assert!(to(OUTBOX, batch.as_bytes()).starts_with("HTTP/1.1 204"));
        assert!(to(BATCH, b"no batch").starts_with("HTTP/1.1 422"));
    }

    #[test]
    fn what_is_in_a_batch_is_told_apart() {
        let objects = [object("a [REDACTED:email]", false), object("cut", true), object("b", false)];
        let direct = tell(false, &objects);
        assert_eq!(direct, Remembered { objects: 3, through_control: 0, cut: 1, redacted: 1, cut_bytes: 3 });
        assert_eq!(tell(true, &objects).through_control, 3);
        assert_eq!(direct.since(&Remembered::default()), direct);
        assert_eq!(Remembered::parse("3 0 1 1 3\n"), Some(direct));
        assert_eq!(Remembered::parse("3 0"), None);
    }

    #[test]
    fn batches_come_by_three_paths() {
        for path in ["/v1/batch/objects", "/internal/weaviate/v1/batch/objects", "/internal/memory"] {
            assert!(is_one(path.as_bytes()), "{path}");
        }
        assert!(!is_one(b"/internal/records"));
    }
}
