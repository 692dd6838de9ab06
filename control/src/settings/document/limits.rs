//! `limits`, and what a route says about tokens.

use attach_core::config::accounting::{
    FailureMode, LimitConfig, RouteTokensConfig, UsageInjection, WindowConfig,
};
use serde_yaml_ng::Value;

use super::{Walk, join};
use crate::settings::problem::shown;
use crate::settings::rules;

/// The most limits; each that is about a call is asked.
const MAX_LIMITS: usize = 64;
/// The longest sliding window, in seconds.
const MAX_WINDOW: u64 = 86_400;

impl Walk<'_> {
    pub(super) fn limits(&mut self, value: &Value) -> Vec<LimitConfig> {
        let mut limits: Vec<LimitConfig> = Vec::new();
        for (path, value) in self.list("limits", value, MAX_LIMITS) {
            let limit = self.limit(&path, value);
            if !limit.name.is_empty() && limits.iter().any(|earlier| earlier.name == limit.name) {
                let message = format!("{} stands here twice; each limit has its own", shown(&limit.name));
                self.problem(&join(&path, "name"), message);
            }
            limits.push(limit);
        }
        limits
    }

    fn limit(&mut self, path: &str, value: &Value) -> LimitConfig {
        const MEMBERS: &[&str] =
            &["name", "user", "claim", "project", "model", "tokens", "per", "window", "shared"];
        // Where something is wrong the limit is not used.
        let mut limit = LimitConfig {
            name: String::new(),
            user: None,
            claim: None,
            project: None,
            model: None,
            tokens: 0,
            window: WindowConfig::Day,
            shared: false,
        };
        let members = self.map(path, value, MEMBERS);
        for (key, value) in &members {
            let at = join(path, key);
            match *key {
                "name" => limit.name = self.word(&at, value, rules::limit_name).unwrap_or_default(),
                "user" => limit.user = Some(self.user(&at, value)),
                "claim" => limit.claim = Some(self.claim_value(&at, value)),
                "project" => limit.project = self.word(&at, value, rules::name),
                "model" => limit.model = self.word(&at, value, rules::beginning),
                "tokens" => limit.tokens = self.tokens(&at, value, 1).unwrap_or_default(),
                "per" => match value.as_str() {
                    Some("minute") => limit.window = WindowConfig::Sliding(60),
                    Some("day") => limit.window = WindowConfig::Day,
                    Some("month") => limit.window = WindowConfig::Month,
                    _ => self.problem(&at, "must be minute, day or month"),
                },
                "window" => {
                    if let Some(seconds) = self.seconds(&at, value, 1, MAX_WINDOW) {
                        limit.window = WindowConfig::Sliding(seconds);
                    }
                }
                _ => limit.shared = self.yes(&at, value).unwrap_or_default(),
            }
        }
        let has = |name| members.iter().any(|(key, _)| *key == name);
        if has("user") && has("claim") {
            let message = "must not stand beside user: a limit is about the one or the other";
            self.problem(&join(path, "claim"), message);
        }
        if has("per") == has("window") {
            let message = "must be set, or window (seconds) in its place: minute, day or month";
            self.problem(&join(path, "per"), message);
        }
        self.missing(path, "name", has("name"), "must be set: what answers and metrics call it");
        self.missing(path, "tokens", has("tokens"), "must be set: how much, in tokens");
        limit
    }

    pub(super) fn route_tokens(&mut self, path: &str, value: &Value) -> RouteTokensConfig {
        const MEMBERS: &[&str] = &["count", "usage_injection", "cap_field", "failure_mode", "flat_charge"];
        let mut tokens = RouteTokensConfig::default();
        for (key, value) in self.map(path, value, MEMBERS) {
            let at = join(path, key);
            match key {
                "count" => tokens.count = self.yes(&at, value),
                "usage_injection" => match value.as_str() {
                    Some("auto") => tokens.usage_injection = Some(UsageInjection::Auto),
                    Some("on") => tokens.usage_injection = Some(UsageInjection::On),
                    Some("off") => tokens.usage_injection = Some(UsageInjection::Off),
                    _ => self.problem(&at, "must be auto, on or off"),
                },
                "cap_field" => tokens.cap_field = self.word(&at, value, rules::cap_field),
                "failure_mode" => match value.as_str() {
                    Some("deny") => tokens.failure_mode = Some(FailureMode::Deny),
                    Some("allow") => tokens.failure_mode = Some(FailureMode::Allow),
                    _ => self.problem(&at, "must be deny or allow"),
                },
                _ => tokens.flat_charge = self.tokens(&at, value, 0),
            }
        }
        tokens
    }

    /// A text that follows a rule.
    fn word(&mut self, path: &str, value: &Value, rule: fn(&str) -> Result<(), String>) -> Option<String> {
        let text = self.text(path, value)?;
        self.take(path, rule(text)).map(|()| text.to_owned())
    }

    fn yes(&mut self, path: &str, value: &Value) -> Option<bool> {
        if value.as_bool().is_none() {
            self.problem(path, "must be true or false");
        }
        value.as_bool()
    }
}
