//! The small tables: times of keys, prefixes, signatures, grants, models.

use attach_core::config::{ClaimValueConfig, GrantConfig, ModelRuleConfig};
use serde_yaml_ng::Value;

use super::{Document, MAX_FEW, MAX_MANY, Signatures, Walk, join};
use crate::settings::prefix::Prefixes;
use crate::settings::problem::shown;
use crate::settings::{JwksTimes, rules};

/// The oldest signature that can be asked for: a day, as Web Bot Auth allows.
const MAX_SIGNATURE_SECONDS: u64 = 86_400;

impl Walk<'_> {
    pub(super) fn jwks(&mut self, value: &Value) -> JwksTimes {
        let mut times = Document::default().jwks;
        for (key, value) in self.map("jwks", value, &["refresh_seconds", "max_stale_seconds"]) {
            let at = join("jwks", key);
            let (field, least, most) = match key {
                "refresh_seconds" => (&mut times.refresh_seconds, 10, 86_400),
                _ => (&mut times.max_stale_seconds, 60, 2_592_000),
            };
            if let Some(number) = self.seconds(&at, value, least, most) {
                *field = number;
            }
        }
        if times.max_stale_seconds < times.refresh_seconds {
            self.problem(
                "jwks.max_stale_seconds",
                format!(
                    "{} must not be less than refresh_seconds ({}), or keys would be gone before they are refreshed",
                    times.max_stale_seconds, times.refresh_seconds
                ),
            );
        }
        times
    }

    pub(super) fn prefixes(&mut self, value: &Value, prefixes: &mut Prefixes) {
        for (key, value) in self.map("prefixes", value, &["rotagent", "hmac", "httpsig", "descope"]) {
            let field = match key {
                "rotagent" => &mut prefixes.rotagent,
                "hmac" => &mut prefixes.hmac,
                "httpsig" => &mut prefixes.httpsig,
                _ => &mut prefixes.descope,
            };
            match value.as_str() {
                Some(text) => text.clone_into(field),
                None => self.problem(&join("prefixes", key), "must be a text, for example \"key:\""),
            }
        }
    }

    pub(super) fn httpsig(&mut self, value: &Value, signatures: &mut Signatures) {
        for (key, value) in self.map("httpsig", value, &["components", "max_age_seconds"]) {
            let at = join("httpsig", key);
            match key {
                "components" => signatures.components = self.components(&at, value),
                _ => {
                    if let Some(seconds) = self.seconds(&at, value, 1, MAX_SIGNATURE_SECONDS) {
                        signatures.max_age_seconds = seconds;
                    }
                }
            }
        }
    }

    /// What a signature must cover.
    pub(super) fn components(&mut self, path: &str, value: &Value) -> Vec<String> {
        let before = self.findings.problems.len();
        let components = self.texts(path, value, MAX_FEW, rules::component);
        // What is missing cannot be told from what was refused.
        if self.findings.problems.len() == before {
            self.take(path, rules::bound(&components));
        }
        components
    }

    pub(super) fn grants(&mut self, value: &Value) -> Vec<GrantConfig> {
        let mut grants = Vec::new();
        for (path, value) in self.list("grants", value, MAX_MANY) {
            let mut grant = GrantConfig { user: String::new(), scopes: Vec::new() };
            let members = self.map(&path, value, &["user", "scopes"]);
            for (key, value) in &members {
                let at = join(&path, key);
                match *key {
                    "user" => grant.user = self.user(&at, value),
                    _ => grant.scopes = self.scopes(&at, value),
                }
            }
            let has = |name| members.iter().any(|(key, _)| *key == name);
            self.missing(
                &path,
                "user",
                has("user"),
                "must be set: the user as stamped, or a beginning and '*'",
            );
            self.missing(&path, "scopes", has("scopes"), "must be set: what it may do");
            grants.push(grant);
        }
        grants
    }

    pub(super) fn models(&mut self, value: &Value) -> Vec<ModelRuleConfig> {
        let mut models = Vec::new();
        for (path, value) in self.list("models", value, MAX_MANY) {
            let mut rule = ModelRuleConfig { user: None, claim: None, allow: Vec::new() };
            let members = self.map(&path, value, &["user", "claim", "allow"]);
            for (key, value) in &members {
                let at = join(&path, key);
                match *key {
                    "user" => rule.user = Some(self.user(&at, value)),
                    "claim" => rule.claim = Some(self.claim_value(&at, value)),
                    _ => rule.allow = self.texts(&at, value, MAX_MANY, rules::beginning),
                }
            }
            let has = |name| members.iter().any(|(key, _)| *key == name);
            if has("user") == has("claim") {
                let message =
                    "must be set, or claim in its place: whom the entry is about (\"*\" is everyone)";
                self.problem(&join(&path, "user"), message);
            }
            self.missing(
                &path,
                "allow",
                has("allow"),
                "must be set: the models, each whole or a beginning and '*'",
            );
            models.push(rule);
        }
        models
    }

    pub(super) fn user(&mut self, path: &str, value: &Value) -> String {
        let Some(text) = self.text(path, value) else { return String::new() };
        self.take(path, rules::beginning(text)).map(|()| text.to_owned()).unwrap_or_default()
    }

    pub(super) fn claim_value(&mut self, path: &str, value: &Value) -> ClaimValueConfig {
        let mut claim = ClaimValueConfig { header: String::new(), value: String::new() };
        let members = self.map(path, value, &["header", "value"]);
        for (key, value) in &members {
            let at = join(path, key);
            let Some(text) = self.text(&at, value) else { continue };
            match *key {
                "header" if rules::claim_header(text).is_err() => {
                    self.problem(&at, format!("{} is no header of a claim_headers entry", shown(text)));
                }
                "header" => text.clone_into(&mut claim.header),
                _ => text.clone_into(&mut claim.value),
            }
        }
        for (key, message) in [
            ("header", "must be set: the header that a claim_headers entry names"),
            ("value", "must be set: what the claim must be, or contain where it is a list"),
        ] {
            self.missing(path, key, members.iter().any(|(name, _)| *name == key), message);
        }
        claim
    }
}
