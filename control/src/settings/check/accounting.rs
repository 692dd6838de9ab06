//! What model calls may cost, and who is told of it.

use attach_core::config::accounting::{
    Consistency, DEFAULT_MAX_REQUEST_BYTES, DEFAULT_OUTPUT, FailureMode, LimitConfig, UsageInjection,
    WindowConfig,
};
use url::Url;

use super::Checker;
use crate::settings::accounting::{
    Accounting, DEFAULT_METRICS_SCOPE, DEFAULT_OPENMETER_URL, MINUTE, Metering, OpenMeter,
};
use crate::settings::problem::shown;
use crate::settings::rules::MAX_TOKENS;
use crate::settings::{Issuer, Ports, rules, url_rules};

/// What says that there is no limit, in the original's words.
const UNLIMITED: &[&str] = &["null", "none", "false", "infinite"];
/// `WINDOW` where nobody sets it, in seconds.
const DEFAULT_WINDOW: u64 = 60;
/// The longest window that is counted in slots; longer ones are a calendar's.
const MAX_WINDOW: u64 = 86_400;
const MIN_REQUEST_BYTES: u64 = 1024;
/// Every worker may hold several such bodies at once.
const MAX_REQUEST_BYTES: u64 = 64 * 1024 * 1024;
const ENCODINGS: &[&str] = &["cl100k_base", "o200k_base"];

/// The words of `USAGE_METERING`.
#[derive(Clone, Copy)]
enum Kind {
    Null,
    Prometheus,
    OpenMeter,
}

impl Checker {
    /// `listed` are the YAML file's limits.
    pub(super) fn accounting(&mut self, listed: Vec<LimitConfig>, ports: &Ports) -> Accounting {
        let limits = self.limits(listed);
        // A calendar's windows are kept by control wherever the others are.
        let sliding = limits.iter().any(|limit| matches!(limit.window, WindowConfig::Sliding(_)));
        if sliding && !self.values.is_set("REDIS_URL") {
            self.findings
                .notice("limits count per Envoy process; set REDIS_URL to share them among several Envoys");
        }
        let encoding = self.parse("QUOTA_ENCODING", |text| match ENCODINGS.contains(&text) {
            true => Ok(text.to_owned()),
            false => Err(format!("{} must be cl100k_base or o200k_base (unset: by the model)", shown(text))),
        });
        Accounting {
            limits,
            encoding,
            max_request_bytes: self
                .number("MAX_REQUEST_BYTES", MIN_REQUEST_BYTES..=MAX_REQUEST_BYTES)
                .unwrap_or(DEFAULT_MAX_REQUEST_BYTES),
            default_output: self.number("QUOTA_DEFAULT_OUTPUT", 1..=1_000_000).unwrap_or(DEFAULT_OUTPUT),
            consistency: self
                .word(
                    "QUOTA_CONSISTENCY",
                    &[("leased", Consistency::Leased), ("strict", Consistency::Strict)],
                )
                .unwrap_or_default(),
            failure_mode: self
                .word("QUOTA_FAILURE_MODE", &[("deny", FailureMode::Deny), ("allow", FailureMode::Allow)])
                .unwrap_or_default(),
            usage_injection: self
                .word(
                    "USAGE_INJECTION",
                    &[
                        ("auto", UsageInjection::Auto),
                        ("on", UsageInjection::On),
                        ("off", UsageInjection::Off),
                    ],
                )
                .unwrap_or_default(),
            count_all: self.switch("QUOTA_COUNT_ALL"),
            usage_headers: self.switch("USAGE_HEADERS"),
            log_usage: self.switch("LOG_USAGE"),
            metering: self.metering(ports),
            metrics_scope: self.metrics_scope(),
        }
    }

    /// `MAX_TOKENS_PER_MIN` in `WINDOW` for everybody, then the others.
    fn limits(&mut self, listed: Vec<LimitConfig>) -> Vec<LimitConfig> {
        let window = self.number("WINDOW", 1..=MAX_WINDOW).unwrap_or(DEFAULT_WINDOW);
        let tokens = self.parse("MAX_TOKENS_PER_MIN", |text| {
            if UNLIMITED.iter().any(|word| word.eq_ignore_ascii_case(text)) {
                return Ok(None);
            }
            let number = text.parse().ok().filter(|tokens| (1..=MAX_TOKENS).contains(tokens));
            number.map(Some).ok_or_else(|| {
                format!("{} must be a whole number from 1 to {MAX_TOKENS}, or none for no limit", shown(text))
            })
        });
        let everybody = tokens.flatten().map(|tokens| LimitConfig {
            name: MINUTE.to_owned(),
            user: None,
            claim: None,
            project: None,
            model: None,
            tokens,
            window: WindowConfig::Sliding(window),
            shared: false,
        });
        if everybody.is_some()
            && let Some(at) = listed.iter().position(|limit| limit.name == MINUTE)
        {
            self.findings.problem(
                format!("limits[{at}].name"),
                format!("\"{MINUTE}\" is what MAX_TOKENS_PER_MIN is called; choose another, or remove that setting"),
            );
        }
        everybody.into_iter().chain(listed).collect()
    }

    /// A limit for a claim that travels in no header would never apply.
    pub(super) fn limits_fit(&mut self, limits: &[LimitConfig], issuers: &[Issuer]) {
        for (at, limit) in limits.iter().enumerate() {
            let header = limit.claim.as_ref().map(|claim| claim.header.as_str());
            self.is_mapped(format!("limits[{at}].claim.header"), header, issuers);
        }
    }

    /// `USAGE_METERING`, or what it was called before.
    fn metering(&mut self, ports: &Ports) -> Metering {
        const KINDS: &[(&str, Kind)] = &[
            ("null", Kind::Null),
            ("none", Kind::Null),
            ("prometheus", Kind::Prometheus),
            ("openmeter", Kind::OpenMeter),
        ];
        let name = if self.values.is_set("USAGE_METERING") { "USAGE_METERING" } else { "USAGE_BACKEND" };
        if let Some(old) = self.text("USAGE_BACKEND") {
            let new = self.text("USAGE_METERING");
            self.findings.notice(match new {
                Some(new) if !new.eq_ignore_ascii_case(&old) => format!(
                    "USAGE_BACKEND is deprecated, and USAGE_METERING={} counts in its place; remove it",
                    shown(&new)
                ),
                _ => "USAGE_BACKEND is deprecated; write USAGE_METERING".to_owned(),
            });
        }
        let kind = self.word(name, KINDS);
        let (url, key) = (self.openmeter_url(ports), self.secret("OPENMETER_API_KEY"));
        match kind {
            Some(Kind::OpenMeter) => {
                if url.scheme() != "https" && !url_rules::is_loopback(&url) {
                    self.findings
                        .notice("OPENMETER_URL is http: OPENMETER_API_KEY goes there over an open line");
                }
                match key {
                    Some(key) => return Metering::OpenMeter(OpenMeter { url, key }),
                    None if self.has_problem("OPENMETER_API_KEY") => {}
                    None => self.problem(
                        "OPENMETER_API_KEY",
                        format!("must be set with {name}=openmeter; or write {name}=null"),
                    ),
                }
                Metering::Null
            }
            other => {
                if key.is_some() {
                    self.findings.notice("OPENMETER_API_KEY has no effect without USAGE_METERING=openmeter");
                }
                match other {
                    Some(Kind::Prometheus) => Metering::Prometheus,
                    _ => Metering::Null,
                }
            }
        }
    }

    fn openmeter_url(&mut self, ports: &Ports) -> Url {
        let set = self.parse("OPENMETER_URL", url_rules::upstream);
        self.is_not_the_gateway("OPENMETER_URL", set.as_ref(), ports);
        #[allow(clippy::unwrap_used, reason = "a constant, and an address")]
        set.unwrap_or_else(|| Url::parse(DEFAULT_OPENMETER_URL).unwrap())
    }

    /// The one setting whose empty value says something: that no scope is needed.
    fn metrics_scope(&mut self) -> Option<String> {
        let scope = self.parse("METRICS_SCOPE", |text| {
            if text.is_empty() || text.eq_ignore_ascii_case("none") {
                return Ok(None);
            }
            rules::scope(text).map(|()| Some(text.to_owned()))
        });
        if matches!(scope, Some(None)) {
            self.findings.notice("METRICS_SCOPE is empty: every verified caller may read /metrics");
        }
        scope.unwrap_or_else(|| Some(DEFAULT_METRICS_SCOPE.to_owned()))
    }

    /// `on` or `off`, which is the default.
    pub(super) fn switch(&mut self, name: &'static str) -> bool {
        self.word(name, &[("on", true), ("true", true), ("off", false), ("false", false)]).unwrap_or_default()
    }

    /// One of some words, in any case.
    pub(super) fn word<T: Copy>(&mut self, name: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.parse(name, |text| {
            let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
            found.map(|(_, meaning)| *meaning).ok_or_else(|| {
                let all: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                format!("{} must be one of {}", shown(text), all.join(", "))
            })
        })
    }
}
