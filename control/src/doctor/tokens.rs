//! Limits, and who is told of usage.

use super::{Check, Outcome, check};
use crate::fetch::Fetcher;
use crate::settings::{OpenMeter, Settings};

/// Says what is set, and looks whether OpenMeter is there.
pub(super) async fn checks(settings: &Settings, fetcher: &Fetcher) -> Vec<Check> {
    let accounting = &settings.accounting;
    let mut checks = vec![
        check("limits", Outcome::Ok, accounting.limits_in_words()),
        check("usage", Outcome::Ok, accounting.metering_in_words()),
    ];
    if let Some(openmeter) = accounting.openmeter() {
        checks.push(told(openmeter, fetcher).await);
    }
    checks
}

/// While it is down, events wait: nothing is lost and nobody is refused.
async fn told(openmeter: &OpenMeter, fetcher: &Fetcher) -> Check {
    let name = "openmeter";
    match fetcher.get(&openmeter.url, None).await {
        // What it says to a bare `GET` does not matter: somebody is there.
        Ok(answer) => check(name, Outcome::Ok, format!("{} answers {}", openmeter.url, answer.status)),
        Err(why) => {
            let detail =
                format!("{}: {why}; events wait until it answers; check OPENMETER_URL", openmeter.url);
            check(name, Outcome::Warn, detail)
        }
    }
}
