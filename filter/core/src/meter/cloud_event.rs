//! Usage as OpenMeter takes it: CloudEvents 1.0 in the JSON format, one for the prompt and one for the answer.
//!
//! The filter and control both write them, and whichever of the two delivers an event second must not have it
//! counted again: everything in it, its id above all, comes from the record alone.

use core::fmt;

use serde::{Serialize, Serializer};

use super::UsageRecord;
use crate::clock::date::Rfc3339;

/// The content type of what [`write_batch`] writes (CloudEvents JSON format, section 4). OpenMeter compares it
/// as it stands: no parameters.
pub const BATCH_CONTENT_TYPE: &str = "application/cloudevents-batch+json";

/// The path, below `OPENMETER_URL`, that events are posted to.
pub const INGEST_PATH: &str = "/api/v1/events";

/// The CloudEvents `source` of every event. With the id, it is what OpenMeter knows an event by: the second
/// one of the same two is dropped there.
const SOURCE: &str = "attach-gateway";

/// The CloudEvents `type` of every event, which OpenMeter's meters are set up for.
const TYPE: &str = "prompt";

/// What the tokens of an event were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The prompt's.
    Input,
    /// The answer's.
    Output,
}

impl Side {
    fn suffix(self) -> &'static str {
        match self {
            Self::Input => "in",
            Self::Output => "out",
        }
    }
}

/// One CloudEvent; serialised, it is the event's JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CloudEvent<'a> {
    specversion: &'static str,
    r#type: &'static str,
    /// "<the record's id>-in" or "-out": sent again, it is the same.
    pub id: EventId<'a>,
    time: Rfc3339,
    source: &'static str,
    subject: &'a str,
    data: Data<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Data<'a> {
    tokens: u64,
    model: &'a str,
    r#type: Side,
}

/// What an event is known by, written with `Display`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventId<'a> {
    record: &'a str,
    side: Side,
}

impl fmt::Display for EventId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.record, self.side.suffix())
    }
}

impl Serialize for EventId<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The events of a record: the prompt's, then the answer's, each only if it has tokens.
pub fn cloud_events(record: &UsageRecord) -> impl Iterator<Item = CloudEvent<'_>> {
    [(Side::Input, record.input), (Side::Output, record.output)]
        .into_iter()
        .filter(|(_, tokens)| *tokens > 0)
        .map(|(side, tokens)| CloudEvent {
            specversion: "1.0",
            r#type: TYPE,
            id: EventId { record: &record.id, side },
            time: Rfc3339(record.at),
            source: SOURCE,
            subject: &record.user,
            data: Data { tokens, model: &record.model, r#type: side },
        })
}

/// The events of these records as one batch, in the records' order; `[]` if none of them has tokens.
#[must_use]
pub fn write_batch(records: &[&UsageRecord]) -> Vec<u8> {
    let events: Vec<CloudEvent<'_>> = records.iter().flat_map(|record| cloud_events(record)).collect();
    // Strings and numbers in a struct: there is nothing that could not be written.
    serde_json::to_vec(&events).unwrap_or_else(|_| b"[]".to_vec())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::llm::usage::Source;

    fn record(id: &str, input: u64, output: u64) -> UsageRecord {
        UsageRecord {
            id: id.to_owned(),
            at: 1_709_251_199_999,
            user: "auth0|\"anna\"".to_owned(),
            agent: None,
            project: "default".to_owned(),
            model: "llama3:8b".to_owned(),
            credential: "oidc".to_owned(),
            request_id: "r".to_owned(),
            status: 200,
            milliseconds: 5,
            input,
            output,
            cached: 0,
            reasoning: 0,
            source: Source::Reported,
        }
    }

    #[test]
    fn a_record_becomes_the_events_that_the_original_sent() {
        let batch: Value = serde_json::from_slice(&write_batch(&[&record("ab-1", 12, 34)])).unwrap();
        let event = |id: &str, tokens: u64, side: &str| {
            json!({
                "specversion": "1.0",
                "type": "prompt",
                "id": id,
                "time": "2024-02-29T23:59:59.999Z",
                "source": "attach-gateway",
                "subject": "auth0|\"anna\"",
                "data": {"tokens": tokens, "model": "llama3:8b", "type": side},
            })
        };
        assert_eq!(batch, json!([event("ab-1-in", 12, "input"), event("ab-1-out", 34, "output")]));
    }

    #[test]
    fn an_event_without_tokens_is_left_out() {
        for (input, output, expected) in
            [(0, 0, vec![]), (1, 0, vec!["a-in"]), (0, 1, vec!["a-out"]), (1, 1, vec!["a-in", "a-out"])]
        {
            let record = record("a", input, output);
            let ids: Vec<String> = cloud_events(&record).map(|event| event.id.to_string()).collect();
            assert_eq!(ids, expected);
        }
        assert_eq!(write_batch(&[&record("a", 0, 0)]), b"[]");
        assert_eq!(write_batch(&[]), b"[]");
    }

    #[test]
    fn a_batch_keeps_the_order_and_is_its_events_in_brackets() {
        let (one, two) = (record("1", 1, 2), record("2", 3, 0));
        let events: Vec<String> = [&one, &two]
            .into_iter()
            .flat_map(cloud_events)
            .map(|event| serde_json::to_string(&event).unwrap())
            .collect();
        assert_eq!(write_batch(&[&one, &two]), format!("[{}]", events.join(",")).into_bytes());
        assert_eq!(events.len(), 3);
    }
}
