//! HTTP message signatures: whose, and for which site.

use super::Checker;
use crate::settings::document::Signatures;
use crate::settings::problem::shown;
use crate::settings::{Directory, Httpsig, Method, rules, url_rules};

/// The most directories; each costs every worker a key set.
const MAX_DIRECTORIES: usize = 32;
const MAX_AUTHORITIES: usize = 32;
/// Where a signer has its keys (Web Bot Auth's directory draft, section 4).
const WELL_KNOWN: &str = "/.well-known/http-message-signatures-directory";

impl Checker {
    pub(super) fn httpsig(
        &mut self,
        methods: &[Method],
        user_prefix: String,
        signatures: Signatures,
        public_url: &str,
    ) -> Option<Httpsig> {
        if !methods.contains(&Method::Httpsig) {
            if self.values.is_set("HTTPSIG_AUTHORITIES") {
                self.findings.notice("HTTPSIG_AUTHORITIES has no effect without HTTPSIG_DIRECTORIES");
            }
            return None;
        }
        Some(Httpsig {
            authorities: self.authorities(public_url),
            directories: self.directories(),
            user_prefix,
            components: signatures.components,
            max_age_seconds: signatures.max_age_seconds,
        })
    }

    fn directories(&mut self) -> Vec<Directory> {
        let mut directories: Vec<Directory> = Vec::new();
        let parts = self.parts("HTTPSIG_DIRECTORIES");
        if parts.len() > MAX_DIRECTORIES {
            let message = format!("has {} entries; {MAX_DIRECTORIES} are the most", parts.len());
            self.problem("HTTPSIG_DIRECTORIES", message);
        }
        for part in parts {
            let directory = match directory(&part) {
                Ok(directory) => directory,
                Err(message) => {
                    self.problem("HTTPSIG_DIRECTORIES", message);
                    continue;
                }
            };
            for earlier in &directories {
                if earlier.name == directory.name {
                    let message = format!("names {} twice; give one another name", shown(&directory.name));
                    self.findings.problem("HTTPSIG_DIRECTORIES", message);
                } else if earlier.agent == directory.agent {
                    let message = format!("has {} twice", shown(&directory.agent));
                    self.findings.problem("HTTPSIG_DIRECTORIES", message);
                }
            }
            directories.push(directory);
        }
        directories
    }

    /// The gateway's own names: a signature for any other site must not count here.
    fn authorities(&mut self, public_url: &str) -> Vec<String> {
        let (scheme, own) = public_url.split_once("://").unwrap_or(("https", public_url));
        let mut authorities = vec![own.to_owned()];
        let parts = self.parts("HTTPSIG_AUTHORITIES");
        if parts.len() > MAX_AUTHORITIES {
            let message = format!("has {} entries; {MAX_AUTHORITIES} are the most", parts.len());
            self.problem("HTTPSIG_AUTHORITIES", message);
        }
        for part in parts {
            match url_rules::http(&format!("{scheme}://{part}")) {
                Ok(url) if !part.contains(['/', '?', '#']) => {
                    let authority = url_rules::authority(&url);
                    if !authorities.contains(&authority) {
                        authorities.push(authority);
                    }
                }
                _ => self.problem(
                    "HTTPSIG_AUTHORITIES",
                    format!("{} must be host or host:port, for example gateway.example.com", shown(&part)),
                ),
            }
        }
        authorities
    }
}

/// `[name=]https://host[/path]`: without a path its well-known directory, with one the key set itself.
fn directory(text: &str) -> Result<Directory, String> {
    let (name, address) = match text.split_once('=') {
        Some((name, address)) if !name.contains("://") => (Some(name.trim()), address.trim()),
        _ => (None, text),
    };
    let mut url = url_rules::trusted(address)?;
    if url.query().is_some() {
        return Err(format!("{} must not have a query", shown(address)));
    }
    let authority = url_rules::authority(&url);
    let (agent, default_name) = if url.path() == "/" {
        let agent = format!("{}://{authority}", url.scheme());
        url.set_path(WELL_KNOWN);
        (agent, authority)
    } else {
        (url.as_str().to_owned(), format!("{authority}{}", url.path()))
    };
    let name = name.unwrap_or(&default_name);
    rules::name(name)?;
    Ok(Directory { name: name.to_owned(), agent, jwks_url: url })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_a_name_an_agent_and_an_address_of_its_keys() {
        for (text, name, agent, keys) in [
            (
                "https://bot.example",
                "bot.example",
                "https://bot.example",
                "https://bot.example/.well-known/http-message-signatures-directory",
            ),
            (
                "crawler=https://Bot.example:8443/",
                "crawler",
                "https://bot.example:8443",
                "https://bot.example:8443/.well-known/http-message-signatures-directory",
            ),
            (
                "https://keys.example/jwks/alice.json",
                "keys.example/jwks/alice.json",
                "https://keys.example/jwks/alice.json",
                "https://keys.example/jwks/alice.json",
            ),
            (
                "http://127.0.0.1:9000",
                "127.0.0.1:9000",
                "http://127.0.0.1:9000",
                "http://127.0.0.1:9000/.well-known/http-message-signatures-directory",
            ),
        ] {
            let found = directory(text).unwrap();
            assert_eq!(
                (found.name.as_str(), found.agent.as_str(), found.jwks_url.as_str()),
                (name, agent, keys),
                "{text}"
            );
        }
        for bad in [
            "bot.example",
            "http://bot.example",
            "=https://bot.example",
            "a b=https://bot.example",
            "https://bot.example/?x=1",
            "https://bot.example/%20",
        ] {
            assert!(directory(bad).is_err(), "{bad}");
        }
    }
}
