//! What is reachable from here, which keys there are, whether the clocks agree.
//!
//! Each check is one line; a later one does not wait for an earlier one's success. Nothing is changed and no
//! secret is shown.

use std::fmt;
use std::time::SystemTime;

use serde::Serialize;
use url::Url;

use crate::discover::engine::local;
use crate::discover::{self, Keys, KeysFrom, engine};
use crate::fetch::{Answer, ClientError, Fetcher};
use crate::settings::{Issuer, Settings};
use crate::supervise::ports::reachable;

mod access;
pub mod date;
pub mod keys;
mod memory;
mod outbox;
mod tokens;

/// How far two clocks may be apart, in seconds, before it is worth a word. The filter allows for 60.
const SKEW: u64 = 30;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// It works, and will not for long or not for everybody.
    Warn,
    /// It does not work.
    Fail,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it came out.
    pub outcome: Outcome,
    /// What was seen, and what to do where something is wrong.
    pub detail: String,
}

/// Every check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing failed.
    pub ok: bool,
    /// In the order in which they were made.
    pub checks: Vec<Check>,
}

impl Report {
    fn of(checks: Vec<Check>) -> Self {
        Self { ok: checks.iter().all(|check| check.outcome != Outcome::Fail), checks }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.checks.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
        for Check { name, outcome, detail } in &self.checks {
            let outcome = match outcome {
                Outcome::Ok => "ok  ",
                Outcome::Warn => "warn",
                Outcome::Fail => "FAIL",
            };
            writeln!(f, "{outcome}  {name:width$}  {detail}")?;
        }
        Ok(())
    }
}

/// Looks at everything.
///
/// # Errors
/// The certificate authorities cannot be read.
pub async fn examine(settings: &Settings) -> Result<Report, ClientError> {
    let fetcher = discover::fetcher(settings)?;
    let mut checks: Vec<Check> =
        settings.notices.iter().map(|notice| check("settings", Outcome::Warn, notice.clone())).collect();
    if checks.is_empty() {
        checks.push(check("settings", Outcome::Ok, "no mistakes"));
    }
    for (at, issuer) in settings.issuers.iter().enumerate() {
        let dev = at == 0 && settings.dev_idp;
        checks.extend(issuer_checks(issuer, dev, &fetcher).await);
    }
    checks.extend(access::checks(settings, &fetcher).await);
    checks.push(engine_check(settings, &fetcher).await);
    checks.extend(outbox::checks(settings));
    checks.extend(tokens::checks(settings, &fetcher).await);
    checks.extend(memory::checks(settings, &fetcher).await);

    let ports = &settings.ports;
    let control = discover::engine::below(&local(ports.control), "/healthz");
    checks.push(
        service("control", &control, "start it with `attach up`, or correct CONTROL_PORT", &fetcher).await,
    );
    let gateway = Url::parse(&format!("http://{}/healthz", reachable(settings.host, ports.gateway)));
    if let Ok(gateway) = gateway {
        checks.push(
            service(
                "gateway",
                &gateway,
                "start it with `attach up`; while it has no keys it answers 503",
                &fetcher,
            )
            .await,
        );
    }
    let admin = discover::engine::below(&local(ports.admin), "/ready");
    checks.push(
        service("envoy admin", &admin, "start it with `attach up`, or correct ADMIN_PORT", &fetcher).await,
    );
    Ok(Report::of(checks))
}

async fn issuer_checks(issuer: &Issuer, dev: bool, fetcher: &Fetcher) -> Vec<Check> {
    let name = format!("issuer {}", issuer.issuer);
    let resolved = match discover::issuer::resolve(issuer.clone(), dev, Keys::MayBeDown, fetcher).await {
        Ok((resolved, _)) => resolved,
        Err(problem) => return vec![check(name, Outcome::Fail, problem.to_string())],
    };
    let from = match resolved.from {
        KeysFrom::Setting => "as it is set",
        KeysFrom::Discovery => "by its discovery document",
        KeysFrom::WellKnown => "at /.well-known/jwks.json, as Auth0 has them; there is no discovery document",
        KeysFrom::DevIdp => "the built-in dev identity provider",
    };
    let mut checks = vec![check(name, Outcome::Ok, format!("keys at {} ({from})", resolved.jwks_url))];
    let name = "keys".to_owned();
    match fetcher.get(&resolved.jwks_url, None).await {
        Ok(answer) if answer.status == 200 => {
            checks.push(keys::check(name, &answer.body));
            checks.extend(skew_check(&answer, SystemTime::now()));
        }
        Ok(answer) => checks.push(check(
            name,
            Outcome::Fail,
            format!("{} answers {}; correct {}", resolved.jwks_url, answer.status, issuer.setting),
        )),
        Err(why) => {
            let advice = if dev {
                "start it with `attach up`, or correct IDP_PORT"
            } else {
                "check the address and the network"
            };
            checks.push(check(name, Outcome::Fail, format!("{}: {why}; {advice}", resolved.jwks_url)));
        }
    }
    checks
}

/// How far the issuer's clock is from ours, by its `Date` header.
fn skew_check(answer: &Answer, now: SystemTime) -> Option<Check> {
    let theirs = date::parse(answer.date.as_deref()?)?;
    let ours = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    let apart = ours.abs_diff(theirs);
    let (outcome, detail) = if apart > SKEW {
        let direction = if ours > theirs { "ahead of" } else { "behind" };
        let detail = format!(
            "this machine is {apart} s {direction} the issuer; beyond 60 s its tokens are refused: set the clock (NTP)"
        );
        (Outcome::Warn, detail)
    } else {
        (Outcome::Ok, format!("{apart} s apart"))
    };
    Some(check("clock", outcome, detail))
}

async fn engine_check(settings: &Settings, fetcher: &Fetcher) -> Check {
    let choice = engine::choose(settings, fetcher).await;
    let what = format!("{} ({})", choice.url, choice.kind);
    match fetcher.get(&choice.url, settings.engine.api_key.as_ref()).await {
        // What it says to a bare `GET` does not matter: somebody is there.
        Ok(answer) => check("engine", Outcome::Ok, format!("{what} answers {}", answer.status)),
        Err(why) => {
            let advice = if choice.is_echo() {
                "start it with `attach up`, or set ENGINE_URL"
            } else {
                "start it, or correct ENGINE_URL"
            };
            check("engine", Outcome::Fail, format!("{what}: {why}; {advice}"))
        }
    }
}

async fn service(name: &str, url: &Url, advice: &str, fetcher: &Fetcher) -> Check {
    match fetcher.get(url, None).await {
        Ok(answer) if answer.status == 200 => check(name, Outcome::Ok, format!("{url} answers 200")),
        Ok(answer) => check(name, Outcome::Fail, format!("{url} answers {}; {advice}", answer.status)),
        Err(why) => check(name, Outcome::Fail, format!("{url}: {why}; {advice}")),
    }
}

fn check(name: impl Into<String>, outcome: Outcome, detail: impl Into<String>) -> Check {
    Check { name: name.into(), outcome, detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(date: Option<&str>) -> Answer {
        Answer { status: 200, date: date.map(str::to_owned), body: Vec::new() }
    }

    #[test]
    fn clocks_that_are_far_apart_are_told() {
        // 784111777 is the date of RFC 9110's example.
        let example = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (ours, outcome, says) in [
            (784_111_777, Outcome::Ok, "0 s apart"),
            (784_111_807, Outcome::Ok, "30 s apart"),
            (784_111_808, Outcome::Warn, "31 s ahead of"),
            (784_111_700, Outcome::Warn, "77 s behind"),
        ] {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(ours);
            let check = skew_check(&at(Some(example)), now).unwrap();
            assert_eq!(check.outcome, outcome);
            assert!(check.detail.contains(says), "{}", check.detail);
        }
        assert_eq!(skew_check(&at(None), SystemTime::now()), None);
        assert_eq!(skew_check(&at(Some("yesterday")), SystemTime::now()), None);
    }

    #[test]
    fn one_failure_makes_the_whole_report_fail() {
        let fine = check("a", Outcome::Ok, "x");
        let warned = check("b", Outcome::Warn, "y");
        assert!(Report::of(vec![fine.clone(), warned]).ok);
        let failed = Report::of(vec![fine, check("longer name", Outcome::Fail, "z")]);
        assert!(!failed.ok);
        assert_eq!(failed.to_string(), "ok    a            x\nFAIL  longer name  z\n");
    }
}
