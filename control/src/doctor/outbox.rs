//! What has not left for OpenMeter, and what never will.

use std::path::Path;

use crate::clock::unix_now_millis;
use crate::outbox::{self, Kind, Report};
use crate::settings::Settings;
use crate::store::{self, OpenError};

use super::{Check, Outcome, check};

/// For how long events may wait, in seconds, before it is worth a word.
const SLOW: u64 = 60;

/// Looks at the database itself, whether or not control runs.
pub(super) fn checks(settings: &Settings) -> Vec<Check> {
    let database = settings.state_dir.join(store::FILE_NAME);
    let found = outbox::look(&database, Kind::OpenMeter, unix_now_millis());
    judge(found, settings.accounting.openmeter().is_some(), &database)
}

fn judge(found: Result<Option<Report>, OpenError>, metered: bool, database: &Path) -> Vec<Check> {
    let Report { health, attempts, error, set_aside_error } = match found {
        Ok(report) => report.unwrap_or_default(),
        Err(error) => return vec![check("usage records", Outcome::Fail, error.to_string())],
    };
    let mut checks = Vec::new();
    let waiting = format!("{} events wait, the oldest for {} s", health.outbox, health.oldest_seconds);
    match error {
        _ if health.outbox == 0 && metered => {
            checks.push(check("outbox", Outcome::Ok, "nothing waits for OpenMeter"));
        }
        _ if health.outbox == 0 => {}
        _ if !metered => {
            let detail = format!("{waiting}; they leave with USAGE_METERING=openmeter");
            checks.push(check("outbox", Outcome::Warn, detail));
        }
        Some(error) => {
            let detail = format!("{waiting} and {attempts} attempts: {error}");
            checks.push(check("outbox", Outcome::Warn, detail));
        }
        None if health.oldest_seconds > SLOW => {
            let detail = format!("{waiting}; start control with `attach up`, or see `attach logs control`");
            checks.push(check("outbox", Outcome::Warn, detail));
        }
        None => checks.push(check("outbox", Outcome::Ok, waiting)),
    }
    if health.set_aside > 0 {
        let detail = format!(
            "{} that nobody takes, the last one: {}; they stand in the table set_aside of {}",
            health.set_aside,
            set_aside_error.as_deref().unwrap_or("no reason"),
            database.display(),
        );
        checks.push(check("set aside", Outcome::Warn, detail));
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
            let checks = judge(Ok(found.clone()), metered, Path::new("control.db"));
            assert_eq!(checks.len(), expected.len(), "{checks:?}");
            for (check, (outcome, text)) in checks.iter().zip(expected) {
                assert_eq!(check.outcome, *outcome, "{check:?}");
                assert!(check.detail.contains(text), "{check:?}");
            }
        }
        let broken = OpenError::Corrupt { path: "control.db".into(), reason: "no database".to_owned() };
        assert_eq!(judge(Err(broken), true, Path::new("control.db"))[0].outcome, Outcome::Fail);
    }
}
