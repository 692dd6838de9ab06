//! What model calls may cost and who is told of it: the part of the document that counts tokens.

use serde::{Deserialize, Serialize};

use super::{ClaimValueConfig, TargetConfig};
pub use crate::policy::accounting::{FailureMode, UsageInjection};

/// A megabyte, the original's.
pub const DEFAULT_MAX_REQUEST_BYTES: u64 = 1_000_000;
/// What a call that states no cap is taken to answer, in tokens, and the step by which a stream's hold grows.
pub const DEFAULT_OUTPUT: u64 = 4_096;
/// The most label sets of the usage counters per Envoy: its statistics live as long as its process.
pub const DEFAULT_MAX_SERIES: u32 = 5_000;

/// How tokens are counted, limited and reported.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct AccountingConfig {
    /// `cl100k_base` or `o200k_base` for every model; absent: by the model's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Whether every prompt is counted, even where its length alone shows that there is budget for it.
    #[serde(default)]
    pub count_all: bool,
    /// The largest body that is held back to be judged, in bytes.
    #[serde(default = "default_max_request_bytes")]
    pub max_request_bytes: u64,
    /// What a call that states no cap is taken to answer, in tokens.
    #[serde(default = "default_output")]
    pub default_output: u64,
    /// What callers may use.
    #[serde(default)]
    pub limits: Vec<LimitConfig>,
    /// Where windows of a minute live. Days and months always live at control.
    #[serde(default)]
    pub windows: WindowsConfig,
    /// Whether workers take budget in leases, or ask for every request.
    #[serde(default)]
    pub consistency: Consistency,
    /// What happens to a call whose limits nobody can be asked about, or whose record nobody takes.
    #[serde(default)]
    pub failure_mode: FailureMode,
    /// Whether the filter asks for the usage of streams on its clients' behalf.
    #[serde(default)]
    pub usage_injection: UsageInjection,
    /// Whether `x-llm-model`, `x-tokens-in` and `x-tokens-out` go on unstreamed JSON answers, which are held
    /// back for that until they are whole.
    #[serde(default)]
    pub usage_headers: bool,
    /// Whether tokens and model are written to Envoy's filter state, for the access log.
    #[serde(default)]
    pub log_usage: bool,
    /// Whether counters by user and model are kept.
    #[serde(default)]
    pub usage_metrics: bool,
    /// The most label sets of those counters.
    #[serde(default = "default_max_series")]
    pub max_series: u32,
    /// Where usage events go; absent: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub openmeter: Option<OpenMeterConfig>,
    /// Whether control keeps a row per call.
    #[serde(default)]
    pub ledger: bool,
    /// Whether Envoy sends `/api/chat` to the engine as OpenAI's chat completions.
    #[serde(default)]
    pub chat_is_openai: bool,
}

/// What some callers may use of some models in a while.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct LimitConfig {
    /// What it is called, in answers too: lower-case letters, digits, `-` and `_`. No two are called the same.
    pub name: String,
    /// Whom it is about: the user as stamped, or a beginning that ends in `*`. Absent: everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Whom it is about: who has this claim, of those that travel on, with this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimValueConfig>,
    /// Which calls it is about: those whose `X-Attach-Project` says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Which calls it is about: those for this model, or a beginning that ends in `*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How much, in tokens.
    pub tokens: u64,
    /// In what time.
    pub window: WindowConfig,
    /// Whether all whom it is about have it together; otherwise each user has it alone.
    #[serde(default)]
    pub shared: bool,
}

/// In what time a limit is used up.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum WindowConfig {
    /// Any that many seconds.
    Sliding(u64),
    /// A calendar day in UTC.
    Day,
    /// A calendar month in UTC.
    Month,
}

/// Where windows of a minute live.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum WindowsConfig {
    /// In this Envoy: all its workers share them.
    #[default]
    Envoy,
    /// At control, which shares them among all Envoys through its Redis.
    Control,
}

/// Whether workers take budget in leases.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// They do.
    #[default]
    Leased,
    /// They ask for every request.
    Strict,
}

/// OpenMeter, which takes usage events.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct OpenMeterConfig {
    /// Where events go.
    pub target: TargetConfig,
    /// Environment variable of the VM that holds the API key.
    pub key_env: String,
}

/// What a route says about tokens.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RouteTokensConfig {
    /// Whether its calls are counted; absent: by the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<bool>,
    /// In place of what is said for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_injection: Option<UsageInjection>,
    /// The field in which an unstreamed call that states no cap is given one; absent: by the wire format.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap_field: Option<String>,
    /// In place of what is said for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_mode: Option<FailureMode>,
    /// What an upgrade or a gRPC call costs, in tokens: nothing in them is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flat_charge: Option<u64>,
}

fn default_max_request_bytes() -> u64 {
    DEFAULT_MAX_REQUEST_BYTES
}

fn default_output() -> u64 {
    DEFAULT_OUTPUT
}

fn default_max_series() -> u32 {
    DEFAULT_MAX_SERIES
}

impl Default for AccountingConfig {
    fn default() -> Self {
        Self {
            encoding: None,
            count_all: false,
            max_request_bytes: DEFAULT_MAX_REQUEST_BYTES,
            default_output: DEFAULT_OUTPUT,
            limits: Vec::new(),
            windows: WindowsConfig::default(),
            consistency: Consistency::default(),
            failure_mode: FailureMode::default(),
            usage_injection: UsageInjection::default(),
            usage_headers: false,
            log_usage: false,
            usage_metrics: false,
            max_series: DEFAULT_MAX_SERIES,
            openmeter: None,
            ledger: false,
            chat_is_openai: false,
        }
    }
}
