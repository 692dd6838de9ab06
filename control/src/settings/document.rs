//! The YAML file (`ATTACH_CONFIG`): what flat names cannot say.
//!
//! ```yaml
//! oidc:                         # more about OIDC_ISSUER: all but what its own settings say
//!   audiences: [mobile]         # besides OIDC_AUD
//!   required_scopes: [chat:run]
//!   claim_headers: [{claim: tenant, header: x-attach-tenant}]
//! issuers:                      # beyond OIDC_ISSUER
//!   - issuer: https://idp.partner.example/
//!     audiences: [attach]
//!     user_prefix: "partner:"   # required, see settings/prefix.rs
//!     jwks_url: https://…       # only where discovery does not work
//!     required_scopes: […]
//!     claim_headers: […]
//! exchanges:                    # tokens of others that are swapped for an issuer's
//!   - from: https://other.example/       # or "*": every issuer that is not configured
//!     to: https://idp.partner.example/
//!     grant: token-exchange              # RFC 8693, the default; or jwt-bearer (RFC 7523)
//!     token_url: https://idp.partner.example/token
//!     client_id: gateway
//!     client_secret_env: PARTNER_SECRET  # a variable of attach's environment or a line of the env file
//!     audience: attach
//!     scope: chat:run
//! routes:                       # of the engine; the built-in ones come first
//!   - path: /v1/models
//!     access: public            # public | verified (default)
//!     forward_credential: false # leave the caller's Authorization header on
//!     scopes: [models:read]
//!     httpsig: {components: ["@authority", signature-agent]}
//!     tokens: {count: true, usage_injection: off, cap_field: max_tokens, failure_mode: allow, flat_charge: 1000}
//! grants:                       # scopes for those to whom no issuer gives any
//!   - {user: "key:*", scopes: [chat:run]}
//! models:                       # who matches no entry may use every model
//!   - {user: "hmac:billing", allow: ["llama3*"]}
//!   - {claim: {header: x-attach-tenant, value: gold}, allow: ["*"]}
//! limits:                       # besides MAX_TOKENS_PER_MIN; a call must fit into each that is about it
//!   - name: trial               # in answers too
//!     claim: {header: x-attach-tenant, value: trial}   # or user: "key:*"; neither: everybody
//!     project: research         # X-Attach-Project
//!     model: "gpt-4*"
//!     tokens: 100000
//!     per: day                  # minute | day | month (UTC), or `window: 300` (seconds)
//!     shared: true              # all of them together; else each user alone
//! memory:                       # what is taken out of texts, besides what always is: [REDACTED:staff-id]
//!   redaction: {custom: [{kind: staff-id, pattern: "EMP-[0-9]{6}"}]}
//! prefixes: {rotagent: "key:", hmac: "hmac:", httpsig: "sig:", descope: "descope|"}
//! httpsig: {components: ["@method", "@authority", "@path", "@query", content-digest], max_age_seconds: 300}
//! jwks:
//!   refresh_seconds: 600
//!   max_stale_seconds: 86400
//! ```
//!
//! Walked by hand instead of through serde, so that every mistake is found in one pass and named by its path.

use attach_core::config::accounting::LimitConfig;
use attach_core::config::memory::RedactionConfig;
use attach_core::config::{
    ClaimHeaderConfig, GrantConfig, ModelRuleConfig, RouteConfig, default_max_stale_seconds,
    default_refresh_seconds, default_signature_seconds,
};
use serde_yaml_ng::Value;
use url::Url;

use super::prefix::Prefixes;
use super::problem::Findings;
use super::{Exchange, Issuer, JwksTimes, names, rules, url_rules};

mod exchanges;
mod issuers;
mod limits;
mod memory;
mod routes;
mod tables;

pub(crate) use issuers::issuer_url;

/// Largest file that is read, in bytes.
pub const MAX_BYTES: u64 = 256 * 1024;
/// The most entries of a short list: audiences, scopes, headers.
const MAX_FEW: usize = 32;
/// The most entries of a long one: routes, grants, models.
const MAX_MANY: usize = 256;

/// What the file says.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) oidc: More,
    pub(crate) issuers: Vec<Issuer>,
    pub(crate) exchanges: Vec<WantedExchange>,
    pub(crate) routes: Vec<RouteConfig>,
    pub(crate) grants: Vec<GrantConfig>,
    pub(crate) models: Vec<ModelRuleConfig>,
    pub(crate) limits: Vec<LimitConfig>,
    pub(crate) redaction: RedactionConfig,
    pub(crate) prefixes: Prefixes,
    pub(crate) httpsig: Signatures,
    pub(crate) jwks: JwksTimes,
}

/// What the file adds to `OIDC_ISSUER`.
#[derive(Debug, Default)]
pub(crate) struct More {
    pub(crate) audiences: Vec<String>,
    pub(crate) required_scopes: Vec<String>,
    pub(crate) claim_headers: Vec<ClaimHeaderConfig>,
}

/// An exchange whose secret has not been looked up yet.
#[derive(Debug)]
pub(crate) struct WantedExchange {
    /// All but the secret; `None` where something it cannot do without is wrong.
    pub(crate) exchange: Option<Exchange>,
    /// The name of the variable that holds the secret, and its path in the file.
    pub(crate) secret: Option<(String, String)>,
}

/// What signed HTTP messages must be.
#[derive(Debug)]
pub(crate) struct Signatures {
    pub(crate) components: Vec<String>,
    pub(crate) max_age_seconds: u64,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            oidc: More::default(),
            issuers: Vec::new(),
            exchanges: Vec::new(),
            routes: Vec::new(),
            grants: Vec::new(),
            models: Vec::new(),
            limits: Vec::new(),
            redaction: RedactionConfig::default(),
            prefixes: Prefixes::default(),
            httpsig: Signatures {
                // The whole request, as far as it says what is to be done. A body's digest counts only where
                // there is a body.
                components: ["@method", "@authority", "@path", "@query", "content-digest"]
                    .map(str::to_owned)
                    .into(),
                max_age_seconds: default_signature_seconds(),
            },
            jwks: JwksTimes {
                refresh_seconds: default_refresh_seconds(),
                max_stale_seconds: default_max_stale_seconds(),
            },
        }
    }
}

/// Reads the file's text; `file` is how messages name it.
pub(crate) fn parse(file: &str, text: &str, findings: &mut Findings) -> Document {
    const SECTIONS: &[&str] = &[
        "oidc",
        "issuers",
        "exchanges",
        "routes",
        "grants",
        "models",
        "limits",
        "memory",
        "prefixes",
        "httpsig",
        "jwks",
    ];
    let mut document = Document::default();
    let root: Value = match serde_yaml_ng::from_str(text) {
        Ok(root) => root,
        Err(error) => {
            findings.problem(file, format!("is not YAML that can be read: {error}"));
            return document;
        }
    };
    if root.is_null() {
        return document;
    }
    let mut walk = Walk { file, findings };
    for (key, value) in walk.map("", &root, SECTIONS) {
        match key {
            _ if value.is_null() => {}
            "oidc" => document.oidc = walk.oidc(value),
            "issuers" => document.issuers = walk.issuers(value),
            "exchanges" => document.exchanges = walk.exchanges(value),
            "routes" => document.routes = walk.routes(value),
            "grants" => document.grants = walk.grants(value),
            "models" => document.models = walk.models(value),
            "limits" => document.limits = walk.limits(value),
            "memory" => document.redaction = walk.memory(value),
            "prefixes" => walk.prefixes(value, &mut document.prefixes),
            "httpsig" => walk.httpsig(value, &mut document.httpsig),
            _ => document.jwks = walk.jwks(value),
        }
    }
    document
}

struct Walk<'a> {
    file: &'a str,
    findings: &'a mut Findings,
}

impl Walk<'_> {
    fn problem(&mut self, path: &str, message: impl Into<String>) {
        let setting = if path.is_empty() { self.file.to_owned() } else { path.to_owned() };
        self.findings.problem(setting, message);
    }

    /// The value of a rule, or nothing and a problem.
    fn take<T>(&mut self, path: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.problem(path, message)).ok()
    }

    /// The known members of a mapping; the unknown ones are problems.
    fn map<'v>(
        &mut self,
        path: &str,
        value: &'v Value,
        known: &[&'static str],
    ) -> Vec<(&'static str, &'v Value)> {
        let Some(map) = value.as_mapping() else {
            self.problem(path, format!("must be a mapping of {}", known.join(", ")));
            return Vec::new();
        };
        let mut members = Vec::new();
        for (key, value) in map {
            let Some(name) = key.as_str() else {
                self.problem(path, format!("has a key that is not text; it may have {}", known.join(", ")));
                continue;
            };
            match known.iter().find(|known| **known == name) {
                Some(known) => members.push((*known, value)),
                None if names::KNOWN.contains(&name) => {
                    let at = join(path, name);
                    self.problem(&at, "belongs into the environment or the env file, not into this one");
                }
                None => {
                    let at = join(path, name);
                    let meant = names::nearest_of(name, known.iter().copied());
                    let meant = meant.map_or(String::new(), |meant| format!("is it {meant}? "));
                    self.problem(&at, format!("is unknown here; {meant}write one of {}", known.join(", ")));
                }
            }
        }
        members
    }

    fn list<'v>(&mut self, path: &str, value: &'v Value, most: usize) -> Vec<(String, &'v Value)> {
        match value.as_sequence() {
            _ if value.is_null() => Vec::new(),
            Some(list) if list.len() <= most => {
                list.iter().enumerate().map(|(i, value)| (format!("{path}[{i}]"), value)).collect()
            }
            Some(list) => {
                self.problem(path, format!("has {} entries; {most} are the most", list.len()));
                Vec::new()
            }
            None => {
                self.problem(path, "must be a list");
                Vec::new()
            }
        }
    }

    /// A text that is not empty.
    fn text<'v>(&mut self, path: &str, value: &'v Value) -> Option<&'v str> {
        let text = value.as_str().map(str::trim).filter(|text| !text.is_empty());
        if text.is_none() {
            self.problem(path, "must be a text that is not empty (in quotes where YAML would read a number)");
        }
        text
    }

    /// A list of texts that follow a rule; at least one.
    fn texts(
        &mut self,
        path: &str,
        value: &Value,
        most: usize,
        rule: fn(&str) -> Result<(), String>,
    ) -> Vec<String> {
        if value.is_null() || value.as_sequence().is_some_and(Vec::is_empty) {
            self.problem(path, "must name at least one");
        }
        let mut texts: Vec<String> = Vec::new();
        for (at, value) in self.list(path, value, most) {
            let Some(text) = self.text(&at, value) else { continue };
            if self.take(&at, rule(text)).is_some() {
                texts.push(text.to_owned());
            }
        }
        texts
    }

    /// Scopes: a list, or one text with blanks between them.
    fn scopes(&mut self, path: &str, value: &Value) -> Vec<String> {
        let Some(text) = value.as_str() else { return self.texts(path, value, MAX_FEW, rules::scope) };
        let listed: Vec<&str> = rules::scopes(text).collect();
        if listed.is_empty() || listed.len() > MAX_FEW {
            self.problem(path, format!("must name 1 to {MAX_FEW} scopes"));
        }
        let good = listed.into_iter().filter(|scope| self.take(path, rules::scope(scope)).is_some());
        good.map(str::to_owned).collect()
    }

    fn seconds(&mut self, path: &str, value: &Value, least: u64, most: u64) -> Option<u64> {
        self.whole_number(path, value, "seconds", least, most)
    }

    fn tokens(&mut self, path: &str, value: &Value, least: u64) -> Option<u64> {
        self.whole_number(path, value, "tokens", least, rules::MAX_TOKENS)
    }

    fn whole_number(&mut self, path: &str, value: &Value, of: &str, least: u64, most: u64) -> Option<u64> {
        let number = value.as_u64().filter(|n| (least..=most).contains(n));
        if number.is_none() {
            self.problem(path, format!("must be a whole number of {of} from {least} to {most}"));
        }
        number
    }

    fn trusted(&mut self, path: &str, value: &Value) -> Option<Url> {
        let text = self.text(path, value)?;
        self.take(path, url_rules::trusted(text))
    }

    fn missing(&mut self, path: &str, key: &str, is_there: bool, message: &str) {
        if !is_there {
            self.problem(&join(path, key), message);
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests;
