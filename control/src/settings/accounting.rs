//! What model calls may cost, and who is told what they did cost.

use attach_core::config::accounting::{
    Consistency, DEFAULT_MAX_REQUEST_BYTES, DEFAULT_OUTPUT, FailureMode, LimitConfig, UsageInjection,
    WindowConfig,
};
use url::Url;

use super::Secret;

/// The name of the limit that `MAX_TOKENS_PER_MIN` makes.
pub const MINUTE: &str = "minute";
/// What a caller must be allowed to do to read `/metrics`, where `METRICS_SCOPE` says nothing.
pub const DEFAULT_METRICS_SCOPE: &str = "metrics:read";
/// OpenMeter's own service.
pub const DEFAULT_OPENMETER_URL: &str = "https://openmeter.cloud";

/// How tokens are counted, limited and reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Accounting {
    /// What callers may use: `MAX_TOKENS_PER_MIN` first, named [`MINUTE`], then the YAML file's `limits`.
    pub limits: Vec<LimitConfig>,
    /// `QUOTA_ENCODING`: `cl100k_base` or `o200k_base` for every model; `None`: by the model's name.
    pub encoding: Option<String>,
    /// `MAX_REQUEST_BYTES`: the largest body that is held back to be judged, in bytes.
    pub max_request_bytes: u64,
    /// `QUOTA_DEFAULT_OUTPUT`: what a call that states no cap is taken to answer, in tokens.
    pub default_output: u64,
    /// `QUOTA_CONSISTENCY`.
    pub consistency: Consistency,
    /// `QUOTA_FAILURE_MODE`.
    pub failure_mode: FailureMode,
    /// `USAGE_INJECTION`.
    pub usage_injection: UsageInjection,
    /// `QUOTA_COUNT_ALL`.
    pub count_all: bool,
    /// `USAGE_HEADERS`.
    pub usage_headers: bool,
    /// `LOG_USAGE`.
    pub log_usage: bool,
    /// `USAGE_METERING`.
    pub metering: Metering,
    /// `METRICS_SCOPE`; `None`: whoever was verified may read `/metrics`.
    pub metrics_scope: Option<String>,
}

/// Who is told what calls did cost. Control's ledger is told in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Metering {
    /// Nobody else.
    #[default]
    Null,
    /// Prometheus: counters by user, direction and model.
    Prometheus,
    /// OpenMeter: events.
    OpenMeter(OpenMeter),
}

/// OpenMeter, which takes usage events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenMeter {
    /// `OPENMETER_URL` without a trailing slash; events go to `/api/v1/events` below it.
    pub url: Url,
    /// `OPENMETER_API_KEY`. Envoy and control both are given it.
    pub key: Secret,
}

impl Accounting {
    /// Where usage events go, when they go anywhere.
    #[must_use]
    pub fn openmeter(&self) -> Option<&OpenMeter> {
        match &self.metering {
            Metering::OpenMeter(openmeter) => Some(openmeter),
            Metering::Null | Metering::Prometheus => None,
        }
    }

    /// The limits, for a person.
    #[must_use]
    pub fn limits_in_words(&self) -> String {
        if self.limits.is_empty() {
            return "none (MAX_TOKENS_PER_MIN, `limits`)".to_owned();
        }
        self.limits.iter().map(limit_in_words).collect::<Vec<_>>().join("; ")
    }

    /// Who is told of usage, for a person.
    #[must_use]
    pub fn metering_in_words(&self) -> String {
        match &self.metering {
            Metering::Null => "kept by control, for GET /v1/usage (USAGE_METERING tells others)".to_owned(),
            Metering::Prometheus => "kept by control, and counted by user and model at /metrics".to_owned(),
            Metering::OpenMeter(openmeter) => format!("kept by control, and sent to {}", openmeter.url),
        }
    }
}

fn limit_in_words(limit: &LimitConfig) -> String {
    let LimitConfig { name, tokens, .. } = limit;
    let time = match limit.window {
        WindowConfig::Sliding(seconds) => format!("in any {seconds} s"),
        WindowConfig::Day => "a day".to_owned(),
        WindowConfig::Month => "a month".to_owned(),
    };
    let whom = match (&limit.user, &limit.claim) {
        (Some(user), _) => format!(" of {user}"),
        (None, Some(claim)) => format!(" of {}: {}", claim.header, claim.value),
        (None, None) => String::new(),
    };
    let project = limit.project.as_ref().map_or(String::new(), |project| format!(" in project {project}"));
    let model = limit.model.as_ref().map_or(String::new(), |model| format!(" with {model}"));
    let each = if limit.shared { "together" } else { "each" };
    format!("{name}: {tokens} tokens {time}{whom}{project}{model}, {each}")
}

impl Default for Accounting {
    fn default() -> Self {
        Self {
            limits: Vec::new(),
            encoding: None,
            max_request_bytes: DEFAULT_MAX_REQUEST_BYTES,
            default_output: DEFAULT_OUTPUT,
            consistency: Consistency::default(),
            failure_mode: FailureMode::default(),
            usage_injection: UsageInjection::default(),
            count_all: false,
            usage_headers: false,
            log_usage: false,
            metering: Metering::default(),
            metrics_scope: Some(DEFAULT_METRICS_SCOPE.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use attach_core::config::ClaimValueConfig;

    use super::*;

    #[test]
    fn limits_are_told_in_words() {
        let minute = LimitConfig {
            name: MINUTE.into(),
            user: None,
            claim: None,
            project: None,
            model: None,
            tokens: 60_000,
            window: WindowConfig::Sliding(60),
            shared: false,
        };
        let trial = LimitConfig {
            name: "trial".into(),
            claim: Some(ClaimValueConfig { header: "x-attach-tenant".into(), value: "trial".into() }),
            project: Some("lab".into()),
            model: Some("gpt-4*".into()),
            window: WindowConfig::Day,
            shared: true,
            ..minute.clone()
        };
        let accounting = Accounting { limits: vec![minute, trial], ..Accounting::default() };
        assert_eq!(
            accounting.limits_in_words(),
            "minute: 60000 tokens in any 60 s, each; \
             trial: 60000 tokens a day of x-attach-tenant: trial in project lab with gpt-4*, together"
        );
        assert!(Accounting::default().limits_in_words().starts_with("none"));
    }
}
