//! `exchanges`: tokens of others that are swapped for an issuer's before they count (RFC 8693, RFC 7523).

use attach_core::config::Grant;
use serde_yaml_ng::Value;

use super::{Walk, WantedExchange, issuer_url, join};
use crate::settings::problem::shown;
use crate::settings::{Exchange, rules};

const MAX_EXCHANGES: usize = 16;

impl Walk<'_> {
    pub(super) fn exchanges(&mut self, value: &Value) -> Vec<WantedExchange> {
        let listed = self.list("exchanges", value, MAX_EXCHANGES);
        listed.into_iter().map(|(path, value)| self.exchange(&path, value)).collect()
    }

    fn exchange(&mut self, path: &str, value: &Value) -> WantedExchange {
        const MEMBERS: &[&str] =
            &["from", "to", "grant", "token_url", "client_id", "client_secret_env", "audience", "scope"];
        let (mut from, mut to, mut endpoint, mut client_id, mut secret) = (None, None, None, None, None);
        let (mut grant, mut audience, mut scope) = (Some(Grant::TokenExchange), None, None);
        let members = self.map(path, value, MEMBERS);
        for (key, value) in &members {
            let at = join(path, key);
            match *key {
                "grant" => {
                    grant = match value.as_str() {
                        Some("token-exchange") => Some(Grant::TokenExchange),
                        Some("jwt-bearer") => Some(Grant::JwtBearer),
                        _ => {
                            self.problem(&at, "must be token-exchange or jwt-bearer");
                            None
                        }
                    }
                }
                "token_url" => endpoint = self.trusted(&at, value),
                "scope" => scope = Some(self.scopes(&at, value).join(" ")),
                key => {
                    let Some(text) = self.text(&at, value) else { continue };
                    match key {
                        "from" if text == "*" => from = Some(text.to_owned()),
                        "from" => from = self.take(&at, issuer_url(text)).map(|()| text.to_owned()),
                        "to" => to = self.take(&at, issuer_url(text)).map(|()| text.to_owned()),
                        "client_id" => client_id = Some(text.to_owned()),
                        "audience" => audience = Some(text.to_owned()),
                        _ => secret = self.take(&at, variable(text)).map(|()| (text.to_owned(), at)),
                    }
                }
            }
        }
        for (key, message) in [
            (
                "from",
                "must be set: the issuer whose tokens are swapped, or \"*\" for every one that is not configured",
            ),
            ("to", "must be set: the configured issuer whose token comes back"),
            ("token_url", "must be set: the token endpoint's https address"),
            ("client_id", "must be set: the client that the endpoint knows"),
            (
                "client_secret_env",
                "must be set: the name of the environment variable with the client's secret",
            ),
        ] {
            self.missing(path, key, members.iter().any(|(name, _)| *name == key), message);
        }
        let exchange = match (from, to, grant, endpoint, client_id) {
            (Some(from), Some(to), Some(grant), Some(endpoint), Some(client_id)) => Some(Exchange {
                setting: path.to_owned(),
                from,
                to,
                grant,
                endpoint,
                client_id,
                client_secret: None,
                audience,
                scope: scope.filter(|scope| !scope.is_empty()),
            }),
            _ => None,
        };
        WantedExchange { exchange, secret }
    }
}

/// The name of an environment variable.
fn variable(text: &str) -> Result<(), String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if text.bytes().all(good) && !text.starts_with(|c: char| c.is_ascii_digit()) && rules::name(text).is_ok()
    {
        Ok(())
    } else {
        Err(format!(
            "{} must be the name of an environment variable: letters, digits and '_' (never the secret itself)",
            shown_name(text)
        ))
    }
}

/// What is no name may be the secret, put in its name's place.
fn shown_name(text: &str) -> String {
    if text.len() <= 8 { shown(text) } else { "the value (not shown)".to_owned() }
}
