//! What model calls may cost, and who is told what they did cost.

use attach_core::config::accounting::{
    Consistency, DEFAULT_MAX_REQUEST_BYTES, DEFAULT_OUTPUT, FailureMode, LimitConfig, UsageInjection,
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
            usage_headers: false,
            log_usage: false,
            metering: Metering::default(),
            metrics_scope: Some(DEFAULT_METRICS_SCOPE.to_owned()),
        }
    }
}
