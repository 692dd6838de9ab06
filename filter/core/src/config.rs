//! The filter's configuration as it travels: one JSON document in Envoy's `plugin_configuration`.
//!
//! `attach config render` writes it, the filter reads it, both through these types; nobody writes it by
//! hand. Unknown fields are refused, so that a misspelt one cannot silently mean its default. Secrets
//! never stand here: a field that ends in `_env` names an environment variable of the VM.
//!
//! Parsing only says that the document has the right shape. [`compile`] turns it into the
//! [`Policy`](crate::policy::Policy) that requests run on, and reports every error at once.

pub mod accounting;
pub mod compile;
pub mod memory;

use serde::{Deserialize, Serialize};

use crate::config::accounting::{AccountingConfig, RouteTokensConfig};
use crate::config::memory::MemoryConfig;
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
    /// Whether what is wrong is refused, or only counted.
    #[serde(default)]
    pub mode: Mode,
    /// What every verified caller must be allowed to do, on every route.
    #[serde(default)]
    pub required_scopes: Vec<String>,
    /// OIDC issuers; the first one's subjects stand as they are, every other has a `user_prefix`.
    #[serde(default)]
    pub issuers: Vec<IssuerConfig>,
    /// DID tokens; absent: off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub did: Option<DidConfig>,
    /// rotagent's signed requests; absent: off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotagent: Option<RotagentConfig>,
    /// JWTs with a shared key; absent: off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac: Option<HmacConfig>,
    /// HTTP message signatures; absent: off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub httpsig: Option<HttpsigConfig>,
    /// The gateway's own tokens, which control gives to agents that act for a user; absent: off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_tokens: Option<GatewayTokensConfig>,
    /// Tokens that are exchanged for one of an issuer's before they count.
    #[serde(default)]
    pub exchanges: Vec<ExchangeConfig>,
    /// Scopes that the operator grants, to whom no issuer does.
    #[serde(default)]
    pub grants: Vec<GrantConfig>,
    /// Which models a caller may use; who matches no rule may use every one.
    #[serde(default)]
    pub models: Vec<ModelRuleConfig>,
    /// The statement that goes to every upstream; absent: none is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assertion: Option<AssertionConfig>,
    /// Who remembers what may be used once.
    #[serde(default)]
    pub replay: ReplayConfig,
    /// Names of the targets behind `/agents/{name}/…`.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Routes of the engine's beyond [`route::DEFAULT`](crate::policy::route::DEFAULT), looked at after them.
    #[serde(default)]
    pub routes: Vec<RouteConfig>,
    /// What requests to the engine carry.
    #[serde(default)]
    pub engine: EngineConfig,
    /// How tokens are counted, limited and reported; absent: they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounting: Option<AccountingConfig>,
    /// Who remembers prompts and answers; absent: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryConfig>,
    /// What a caller must be allowed to do to read `/metrics`; absent: anybody who was verified may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_scope: Option<String>,
    /// Where control is, and how the filter proves to it that it is the filter.
    pub control: ControlConfig,
}

/// Whether what is wrong is refused.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It is.
    #[default]
    Enforce,
    /// On the engine's routes it is counted and goes on, without an identity; everything else is as ever.
    Shadow,
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
    /// What its tokens must grant, all of it, on every route.
    #[serde(default)]
    pub required_scopes: Vec<String>,
    /// Claims that travel on, each with the header it travels in.
    #[serde(default)]
    pub claim_headers: Vec<ClaimHeaderConfig>,
    /// Where its JSON Web Key Set is fetched.
    pub jwks: JwksConfig,
}

/// A claim that travels on in a header.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ClaimHeaderConfig {
    /// The claim's name.
    pub claim: String,
    /// The header's name, lower case; begins with `x-attach-` and is none of the gateway's own.
    pub header: String,
}

/// DID tokens: who may come in with a key that the DID itself names.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DidConfig {
    /// Exact DIDs, beginnings such as `did:pkh:eip155:1:*`, or `*`.
    pub allow: Vec<String>,
    /// A token must name one of these in `aud`.
    pub audiences: Vec<String>,
}

/// rotagent's signed requests. Control serves the keys as a set whose `kid`s are the issuers.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RotagentConfig {
    /// A token that has an `aud` must name one of these.
    pub audiences: Vec<String>,
    /// Stands before the issuer in `X-Attach-User`.
    pub user_prefix: String,
    /// Where control serves the authorised keys.
    pub jwks: JwksConfig,
    /// `APP_ENV=development`: no `jti`, no body hash and no replay check is needed, and a token may live 6 h.
    #[serde(default)]
    pub development: bool,
}

/// JWTs with a key that a service and the gateway share.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct HmacConfig {
    /// A token must name one of these in `aud`.
    pub audiences: Vec<String>,
    /// Stands before the service's name in `X-Attach-User`.
    pub user_prefix: String,
    /// Environment variable of the VM with the keys: lines of `kid=secret`, at least 32 bytes each.
    pub keys_env: String,
}

/// HTTP message signatures (RFC 9421).
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct HttpsigConfig {
    /// What `@authority` may be: host and, where it is not the scheme's own, port; lower case.
    pub authorities: Vec<String>,
    /// The signers' directories.
    pub directories: Vec<DirectoryConfig>,
    /// Stands before a directory's name in `X-Attach-User`.
    pub user_prefix: String,
    /// What a signature must cover where a route says nothing: `@method`, `@authority`, `content-digest`, …
    pub components: Vec<String>,
    /// The oldest `created`, in seconds; also how long a signature may be valid.
    #[serde(default = "default_signature_seconds")]
    pub max_age_seconds: u64,
}

/// Five minutes: longer than any clock's error, shorter than most attackers' patience.
pub fn default_signature_seconds() -> u64 {
    300
}

/// One signer's directory of keys (Web Bot Auth), or its JSON Web Key Set (OpenBotAuth).
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DirectoryConfig {
    /// The signer's name: `bot.example`.
    pub name: String,
    /// What `Signature-Agent` says for it: the origin `https://bot.example`, or the set's whole address.
    pub agent: String,
    /// Where its keys are.
    pub jwks: JwksConfig,
}

/// The gateway's own tokens (`typ` `at+jwt`, RFC 9068): signed by control, `iss` and `aud` the public address.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct GatewayTokensConfig {
    /// Where control serves the public keys.
    pub jwks: JwksConfig,
}

/// Tokens of one issuer that are swapped for another's before they count.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ExchangeConfig {
    /// The `iss` of the tokens that are swapped, or `*`: of every issuer that is not in `issuers`.
    pub from: String,
    /// The issuer, one of `issuers`, whose token comes back and is then verified like any other.
    pub to: String,
    /// How it is asked for.
    pub grant: Grant,
    /// The token endpoint.
    pub endpoint: TargetConfig,
    /// The client's id.
    pub client_id: String,
    /// Environment variable of the VM that holds the client's secret.
    pub client_secret_env: String,
    /// The audience to ask for (RFC 8693 section 2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The scopes to ask for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
}

/// A way to ask for a token in exchange.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// RFC 7523 section 2.1, with the `issuer` parameter that Descope wants.
    JwtBearer,
    /// RFC 8693.
    TokenExchange,
}

/// Scopes that the operator grants.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct GrantConfig {
    /// The user as stamped, or a beginning that ends in `*`.
    pub user: String,
    /// What it may do.
    pub scopes: Vec<String>,
}

/// Which models a caller may use.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ModelRuleConfig {
    /// Whom it is about: the user as stamped, or a beginning that ends in `*`. Absent: whoever has the claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Whom it is about: who has this claim, of those that travel on, with this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimValueConfig>,
    /// Models by name, or a beginning that ends in `*`.
    pub allow: Vec<String>,
}

/// A mapped claim's header and the value it must have.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct ClaimValueConfig {
    /// The header that a `claim_headers` entry puts it in.
    pub header: String,
    /// The value; of a list, any element.
    pub value: String,
}

/// The statement that the filter signs for every upstream.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct AssertionConfig {
    /// Environment variable of the VM that holds the Ed25519 private key, 32 bytes in base64url.
    pub key_env: String,
}

/// Who remembers what may be used once.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ReplayConfig {
    /// This Envoy: all its workers together.
    #[default]
    Envoy,
    /// Control, for all Envoys that share its Redis.
    Control,
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
    /// The set is control's own: it is asked with the secret that filter and control share, often, and may
    /// be empty.
    #[serde(default)]
    pub internal: bool,
}

/// An address, split the way an Envoy callout needs it.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
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
    /// What a caller must be allowed to do, all of it, besides what is required everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// What an HTTP message signature must cover, in place of what it must cover elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<Vec<String>>,
    /// What is said about tokens here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<RouteTokensConfig>,
}

/// What requests to the engine carry.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct EngineConfig {
    /// Environment variable of the VM that holds the engine's own API key, sent as its bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
}

/// Where control is, and how the filter proves to it that it is the filter.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ControlConfig {
    /// Environment variable of the VM that holds the secret both share.
    pub secret_env: String,
    /// Control's cluster and authority; the path is left out of account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetConfig>,
}
