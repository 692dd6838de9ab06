//! Usage as OpenMeter takes it: CloudEvents 1.0 in the JSON format, one for the prompt and one for the answer.
//!
//! The filter and control both write them, and whichever of the two delivers an event second must not have it
//! counted again: everything in it, its id above all, comes from the record alone.

use core::fmt;

use serde::{Serialize, Serializer};

use super::UsageRecord;
use super::bounds::LAST_MILLISECOND;

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

const MILLISECONDS_A_DAY: u64 = 86_400_000;

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

/// Milliseconds of Unix time, written with `Display` as RFC 3339 (section 5.6) in UTC: `2024-02-29T23:59:59.999Z`.
/// What lies behind the year 9999, which the form cannot say, is written as its last millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rfc3339(pub u64);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.0.min(LAST_MILLISECOND);
        let (year, month, day) = civil(at / MILLISECONDS_A_DAY);
        let in_day = at % MILLISECONDS_A_DAY;
        let (hour, minute) = (in_day / 3_600_000, in_day / 60_000 % 60);
        let (second, millisecond) = (in_day / 1_000 % 60, in_day % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
    }
}

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Year, month and day of a day since 1970-01-01, counted in 400-year eras that begin on a first of March, so that
/// the leap day is an era's and a year's last.
fn civil(days: u64) -> (u64, u64, u64) {
    // From 0000-03-01 to 1970-01-01.
    let days = days.saturating_add(719_468);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
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

    #[test]
    fn times_are_written_as_rfc_3339() {
        for (at, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (951_782_399_000, "2000-02-28T23:59:59.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
            (1_735_689_600_000, "2025-01-01T00:00:00.000Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (LAST_MILLISECOND, "9999-12-31T23:59:59.999Z"),
            (LAST_MILLISECOND + 1, "9999-12-31T23:59:59.999Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Rfc3339(at).to_string(), expected, "{at}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let leap =
            |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=LAST_MILLISECOND / MILLISECONDS_A_DAY {
            assert_eq!(civil(days), (year, month, day), "day {days}");
            let last = match month {
                2 if leap(year) => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > last {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
        assert_eq!((year, month, day), (10_000, 1, 1));
    }
}
