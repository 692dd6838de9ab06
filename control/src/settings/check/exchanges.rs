//! Exchanges of the YAML file: the secrets they name, and the issuers they are between.

use std::ffi::OsStr;

use super::Checker;
use super::issuers::is_same;
use crate::settings::document::WantedExchange;
use crate::settings::problem::shown;
use crate::settings::{Exchange, Issuer, Secret, Sources, env_file};

impl Checker {
    /// The exchanges with their secrets, which stand where settings stand: in the environment, else in the
    /// env file.
    pub(super) fn exchanges(
        &mut self,
        wanted: Vec<WantedExchange>,
        sources: &Sources,
        entries: &[env_file::Entry],
    ) -> Vec<Exchange> {
        let mut exchanges = Vec::new();
        for WantedExchange { exchange, secret } in wanted {
            let client_secret = secret.and_then(|(name, path)| {
                let found = variable(&name, sources, entries);
                if found.is_none() && !self.secrets_withheld {
                    self.findings.problem(
                        path,
                        format!("{name} must be set, in the environment or the env file, to visible ASCII signs without spaces"),
                    );
                }
                found
            });
            exchanges.extend(exchange.map(|exchange| Exchange { client_secret, ..exchange }));
        }
        exchanges
    }

    /// Each exchange ends at an issuer, and it is never in doubt which one a token goes to.
    pub(super) fn exchanges_fit(&mut self, exchanges: &[Exchange], issuers: &[Issuer]) {
        for (at, exchange) in exchanges.iter().enumerate() {
            let path = |member: &str| match exchange.setting.starts_with("exchanges[") {
                true => format!("{}.{member}", exchange.setting),
                false => exchange.setting.clone(),
            };
            let is_issuer = |name: &str| issuers.iter().any(|issuer| is_same(&issuer.issuer, name));
            if !is_issuer(&exchange.to) {
                self.findings.problem(
                    path("to"),
                    format!(
                        "{} is no configured issuer, so its token could not be verified",
                        shown(&exchange.to)
                    ),
                );
            }
            if is_issuer(&exchange.from) {
                self.findings.problem(
                    path("from"),
                    format!(
                        "{} is a configured issuer, whose tokens count as they are",
                        shown(&exchange.from)
                    ),
                );
            }
            if exchanges.iter().take(at).any(|earlier| is_same(&earlier.from, &exchange.from)) {
                let message = format!("tokens of {} are exchanged elsewhere already", shown(&exchange.from));
                self.findings.problem(path("from"), message);
            }
        }
    }
}

fn variable(name: &str, sources: &Sources, entries: &[env_file::Entry]) -> Option<Secret> {
    let set = sources.environment.get(OsStr::new(name)).map(|text| text.to_string_lossy().into_owned());
    let in_file = || entries.iter().rev().find(|entry| entry.key == name).map(|entry| entry.value.clone());
    let text = set.or_else(in_file)?;
    let text = text.trim();
    let good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    good.then(|| Secret::new(text.to_owned()))
}
