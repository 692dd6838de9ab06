//! Weaviate is killed for half a minute under load: afterwards every event is there, once.

use std::collections::HashMap;
use std::time::Duration;

use attach_core::mirror::CLASS;
use attach_core::mirror::event::{ANSWER, PROMPT};
use attach_tests::peers::{Version, Weaviate};
use serde_json::Value;

use crate::envoy::wait_for;
use crate::failure::Failure;
use crate::measure::Stage;
use crate::paced::{Load, drive};
use crate::texts::Text;

/// Calls by a timetable: while Weaviate is there, while it is not, and while it comes back.
const LOAD: Load = Load { rate: 200, length: Duration::from_secs(55) };
/// When it is killed.
const BEFORE: Duration = Duration::from_secs(10);
/// For how long.
pub(crate) const AWAY: Duration = Duration::from_secs(30);
/// How long the events may take after the last call: control asks again after a minute or two.
const PATIENCE: Duration = Duration::from_secs(240);
/// How many users call.
const USERS: u64 = 16;

/// What was found out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Outage {
    /// How many calls were answered.
    pub(crate) calls: u64,
    /// Prompts and answers that Weaviate does not have.
    pub(crate) missing: u64,
    /// Prompts and answers that it has more than once, and what nobody said.
    pub(crate) doubled: u64,
    /// Latency of the calls, median and 99th percentile, in microseconds.
    pub(crate) latency: (f64, f64),
}

/// Starts a gateway and a Weaviate; `None`, after a word, where there is none.
///
/// # Errors
/// When a call is not answered with 200.
pub(crate) fn measure(stage: &Stage) -> Result<Option<Outage>, Failure> {
    let Some(mut weaviate) = Weaviate::start(Version::Old) else { return Ok(None) };
    let gateway = stage.gateway("bench-outage").set("WEAVIATE_URL", weaviate.url()).start();
    eprintln!("Weaviate is away for {} s …", AWAY.as_secs());
    let tokens: Vec<String> =
        (0..USERS).map(|user| stage.mint().of_user("RS256", user, (1 << 33) + user)).collect();
    let request = |number: u64| {
        let fields = tokens.get(usize::try_from(number % USERS).unwrap_or_default());
        Text::Plain.request(fields.map_or("", String::as_str), &mark(number))
    };
    let paced = std::thread::scope(|scope| {
        let calls = scope.spawn(|| drive(gateway.address, LOAD, &request));
        std::thread::sleep(BEFORE);
        weaviate.kill();
        std::thread::sleep(AWAY);
        weaviate.up();
        calls.join().unwrap_or_else(|_| Err(Failure("a thread of the bench has ended".into())))
    })?;
    let calls = paced.requests();
    let mut objects = Vec::new();
    let waited = wait_for("events at Weaviate", 2 * calls, PATIENCE, || {
        objects = weaviate.objects(CLASS, None);
        Ok(objects.len() as u64)
    });
    if let Err(Failure(why)) = waited {
        eprintln!("{why}");
    }
    let latency = (paced.percentile(50.0), paced.percentile(99.0));
    gateway.stop();
    Ok(Some(Outage { latency, ..compare(calls, &objects) }))
}

/// How a prompt begins.
fn mark(number: u64) -> String {
    format!("Call {number}. ")
}

/// What was said against what is remembered. An answer has no number: it goes with the prompt of its call.
fn compare(calls: u64, objects: &[Value]) -> Outage {
    let mut said: HashMap<(&str, u64), u64> =
        (0..calls).flat_map(|number| [((PROMPT, number), 0), ((ANSWER, number), 0)]).collect();
    let numbers: HashMap<&str, u64> = objects
        .iter()
        .filter(|object| object["properties"]["event"] == PROMPT)
        .filter_map(|object| {
            let rest = object["properties"]["content"].as_str()?.strip_prefix("Call ")?;
            let number = rest.split_once(". ")?.0.parse().ok()?;
            Some((object["properties"]["request_id"].as_str()?, number))
        })
        .collect();
    let mut doubled = 0;
    for properties in objects.iter().map(|object| &object["properties"]) {
        let number = properties["request_id"].as_str().and_then(|call| numbers.get(call));
        let kind = [PROMPT, ANSWER].into_iter().find(|kind| properties["event"] == **kind);
        let times = number.zip(kind).and_then(|(number, kind)| said.get_mut(&(kind, *number)));
        match times {
            Some(times) => *times += 1,
            None => doubled += 1,
        }
    }
    let missing = said.values().filter(|times| **times == 0).count() as u64;
    doubled += said.values().map(|times| times.saturating_sub(1)).sum::<u64>();
    Outage { calls, missing, doubled, latency: (0.0, 0.0) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(event: &str, call: &str, content: &str) -> Value {
        json!({"properties": {"event": event, "request_id": call, "content": content}})
    }

    #[test]
    fn what_is_missing_and_what_is_doubled_is_counted() {
        let whole = [
            object(ANSWER, "a", "yes"),
            object(PROMPT, "a", &mark(0)),
            object(PROMPT, "b", &mark(1)),
            object(ANSWER, "b", "yes"),
        ];
        let counts = |calls, objects: &[Value]| {
            let outage = compare(calls, objects);
            (outage.missing, outage.doubled)
        };
        assert_eq!(counts(2, &whole), (0, 0));
        assert_eq!(counts(3, &whole), (2, 0));
        assert_eq!(counts(2, &whole[..3]), (1, 0));
        assert_eq!(counts(1, &whole), (0, 2));
        let twice = [&whole[..], &whole[..1]].concat();
        assert_eq!(counts(2, &twice), (0, 1));
        // Another call by its id, but the same one by what it says.
        let again = [&whole[..], &[object(PROMPT, "c", &mark(1)), object(ANSWER, "c", "yes")]].concat();
        assert_eq!(counts(2, &again), (0, 2));
        assert_eq!(counts(0, &[object("note", "", "hello")]), (0, 1));
    }
}
