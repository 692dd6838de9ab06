//! The filter's configuration as it travels: one JSON document in Envoy's `plugin_configuration`.
//!
//! `attach config render` writes it, the filter reads it, both through these types; nobody writes it by
//! hand. Unknown fields are refused, so that a misspelt one cannot silently mean its default. Secrets
//! never stand here: a field that ends in `_env` names an environment variable of the VM.
//!
//! Parsing only says that the document has the right shape. [`compile`] turns it into the
//! [`Policy`](crate::policy::Policy) that requests run on, and reports every error at once.

pub mod compile;

use serde::{Deserialize, Serialize};

use crate::policy::route::{Access, Destination};

/// The one version of the document that this module understands.
pub const VERSION: u32 = 1;

/// The whole document.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct PluginConfig {
    /// Must equal [`VERSION`].
    pub version: u32,
    /// The gateway's address as clients see it, without a trailing slash; `resource_metadata` is built from it.
    pub public_url: String,
    /// OIDC issuers; the first one's subjects stand as they are, every other has a `user_prefix`.
    #[serde(default)]
    pub issuers: Vec<IssuerConfig>,
    /// Routes of the engine's beyond [`route::DEFAULT`](crate::policy::route::DEFAULT), looked at after them.
    #[serde(default)]
    pub routes: Vec<RouteConfig>,
    /// What requests to the engine carry.
    #[serde(default)]
    pub engine: EngineConfig,
    /// How the filter proves to control that it is the filter.
    pub control: ControlConfig,
}

/// One OIDC issuer and where its keys are.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// The `iss` of its tokens; one trailing slash more or less does not matter.
    pub issuer: String,
    /// A token must name one of these in `aud`.
    pub audiences: Vec<String>,
    /// Stands before the subject in `X-Attach-User`; empty for the first issuer alone.
    #[serde(default)]
    pub user_prefix: String,
    /// Where its JSON Web Key Set is fetched.
    pub jwks: JwksConfig,
}

/// Where an issuer's JSON Web Key Set is, and how long it serves.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct JwksConfig {
    /// Where the set was when this was rendered.
    pub keys: TargetConfig,
    /// The issuer's discovery document, asked before each fetch whether the set has moved. It may move
    /// within the host of `keys` or that of `discovery`. Absent where the set's address was set by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery: Option<TargetConfig>,
    /// Seconds between two refreshes off the request path.
    #[serde(default = "default_refresh_seconds")]
    pub refresh_seconds: u64,
    /// Seconds for which the last good set serves while no newer one can be had.
    #[serde(default = "default_max_stale_seconds")]
    pub max_stale_seconds: u64,
}

/// An address, split the way an Envoy callout needs it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TargetConfig {
    /// The Envoy cluster to call.
    pub cluster: String,
    /// `https` or `http`.
    pub scheme: String,
    /// Host and, where it is not the scheme's own, port.
    pub authority: String,
    /// Path and query, beginning with `/`.
    pub path: String,
}

/// Ten minutes, the original's.
pub fn default_refresh_seconds() -> u64 {
    600
}

/// A day: an issuer's outage must not become the gateway's, nor a withdrawn key live for ever.
pub fn default_max_stale_seconds() -> u64 {
    86_400
}

/// One route of the operator's own.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// `/exact/path`, `/prefix/**` (whole segments), `*` for one whole segment.
    pub path: String,
    /// Who may use it.
    #[serde(default)]
    pub access: Access,
    /// Where Envoy sends it.
    #[serde(default)]
    pub to: Destination,
    /// Leave the caller's own `Authorization` header on the request.
    #[serde(default)]
    pub forward_credential: bool,
}

/// What requests to the engine carry.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct EngineConfig {
    /// Environment variable of the VM that holds the engine's own API key, sent as its bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
}

/// How the filter proves to control that it is the filter.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ControlConfig {
    /// Environment variable of the VM that holds the secret both share.
    pub secret_env: String,
}
