//! What has not left for OpenMeter or for memory, and what never will.

use std::path::Path;

use crate::clock::unix_now_millis;
use crate::outbox::{self, Kind, Report};
use crate::settings::Settings;
use crate::store;

use super::{Check, Outcome, check};

/// For how long events may wait, in seconds, before it is worth a word.
const SLOW: u64 = 60;

/// Whose events wait, in words.
struct Queue {
    name: &'static str,
    aside: &'static str,
    /// For whom; `None`: nobody is set who would take them.
    to: Option<&'static str>,
    /// How they leave then.
    unset: &'static str,
}

/// Looks at the database itself, whether or not control runs.
pub(super) fn checks(settings: &Settings) -> Vec<Check> {
    let database = settings.state_dir.join(store::FILE_NAME);
    let memory = &settings.memory;
    let usage = Queue {
        name: "outbox",
        aside: "set aside",
        to: settings.accounting.openmeter().map(|_| "OpenMeter"),
        unset: "they leave with USAGE_METERING=openmeter",
    };
    let remembered = Queue {
        name: "memory outbox",
        aside: "memory set aside",
        to: (memory.weaviate().is_some() || memory.is_on() && memory.embed_model.is_some())
            .then_some("memory"),
        unset: if memory.is_on() {
            "control brings them to its own store when it runs: `attach up`"
        } else {
            "they leave with another MEM_BACKEND than none"
        },
    };
    let looked = |kind| outbox::look(&database, kind, unix_now_millis());
    let mut checks = match looked(Kind::OpenMeter) {
        Ok(report) => judge(report.unwrap_or_default(), &usage, &database),
        // What is wrong with the database is said once.
        Err(error) => return vec![check("usage records", Outcome::Fail, error.to_string())],
    };
    match looked(Kind::Memory) {
        Ok(report) => checks.extend(judge(report.unwrap_or_default(), &remembered, &database)),
        Err(error) => checks.push(check(remembered.name, Outcome::Fail, error.to_string())),
    }
    checks
}

fn judge(report: Report, queue: &Queue, database: &Path) -> Vec<Check> {
    let Report { health, attempts, error, set_aside_error } = report;
    let mut checks = Vec::new();
    let mut say = |outcome, detail: String| checks.push(check(queue.name, outcome, detail));
    let waiting = format!("{} events wait, the oldest for {} s", health.outbox, health.oldest_seconds);
    match (error, queue.to) {
        (_, Some(to)) if health.outbox == 0 => say(Outcome::Ok, format!("nothing waits for {to}")),
        _ if health.outbox == 0 => {}
        (_, None) => say(Outcome::Warn, format!("{waiting}; {}", queue.unset)),
        (Some(error), _) => say(Outcome::Warn, format!("{waiting} and {attempts} attempts: {error}")),
        _ if health.oldest_seconds > SLOW => {
            let advice = "start control with `attach up`, or see `attach logs control`";
            say(Outcome::Warn, format!("{waiting}; {advice}"));
        }
        _ => say(Outcome::Ok, waiting),
    }
    if health.set_aside > 0 {
        let detail = format!(
            "{} that nobody takes, the last one: {}; they stand in the table set_aside of {}",
            health.set_aside,
            set_aside_error.as_deref().unwrap_or("no reason"),
            database.display(),
        );
        checks.push(check(queue.aside, Outcome::Warn, detail));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::Health;

    #[test]
    fn what_waits_and_what_is_set_aside_is_told_with_what_to_do() {
        let report = |outbox, set_aside, oldest_seconds, error: Option<&str>| Report {
            health: Health { outbox, set_aside, oldest_seconds },
            attempts: 3,
            error: error.map(str::to_owned),
            set_aside_error: Some("OpenMeter answers 400".to_owned()),
        };
        for (found, metered, expected) in [
            (None, false, &[][..]),
            (None, true, &[(Outcome::Ok, "nothing waits")]),
            (Some(report(0, 0, 0, None)), false, &[]),
            (Some(report(5, 0, 1, None)), true, &[(Outcome::Ok, "5 events wait")]),
            (Some(report(5, 0, 61, None)), true, &[(Outcome::Warn, "attach up")]),
            (
                Some(report(5, 0, 9, Some("correct OPENMETER_API_KEY"))),
                true,
                &[(Outcome::Warn, "the oldest for 9 s and 3 attempts: correct OPENMETER_API_KEY")],
            ),
            (Some(report(5, 0, 9, None)), false, &[(Outcome::Warn, "USAGE_METERING=openmeter")]),
            (
                Some(report(0, 2, 0, None)),
                true,
                &[(Outcome::Ok, "nothing waits"), (Outcome::Warn, "2 that nobody takes")],
            ),
        ] {
            let queue = Queue {
                name: "outbox",
                aside: "set aside",
                to: metered.then_some("OpenMeter"),
                unset: "they leave with USAGE_METERING=openmeter",
            };
            let checks = judge(found.clone().unwrap_or_default(), &queue, Path::new("control.db"));
            assert_eq!(checks.len(), expected.len(), "{checks:?}");
            for (check, (outcome, text)) in checks.iter().zip(expected) {
                assert_eq!(check.outcome, *outcome, "{check:?}");
                assert!(check.detail.contains(text), "{check:?}");
            }
        }
    }
}
