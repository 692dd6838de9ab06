//! The gateway's settings: one set of names, checked in one pass.
//!
//! 1. A value comes from a command-line flag, else the environment, else the env file, else the default.
//!    An empty value counts as "not set", so that `ENGINE_URL= attach up` undoes a line of the env file; of
//!    `METRICS_SCOPE` alone it means that no scope is needed.
//! 2. What flat names cannot say stands in one YAML file ([`document`]). The same thing in both is an error.
//! 3. Nothing stops at the first mistake: [`load`] returns either [`Settings`] that are right in themselves
//!    or every [`Problem`], each with the setting, the value (never a secret) and what to write instead.
//! 4. Relative paths count from the env file's folder, which is the current one when there is no env file.
//! 5. A name that belongs to a later version is a notice ([`names`]).
//!
//! Checking needs no network; what must be asked of others is [`crate::discover`]'s.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use attach_core::config::{ClaimHeaderConfig, GrantConfig, Mode, ModelRuleConfig, RouteConfig};
use url::Url;

pub mod access;
pub mod accounting;
mod check;
pub mod document;
pub mod env_file;
pub mod memory;
pub mod names;
mod prefix;
mod problem;
mod rules;
mod secret;
pub mod url_rules;
mod values;

pub use access::{Agent, Directory, Exchange, Hmac, HmacKey, Httpsig, Method, Rotagent, Target};
pub use accounting::{Accounting, Metering, OpenMeter};
pub use memory::{Memory, MemoryBackend, Weaviate};
pub use problem::{Invalid, Problem};
pub use secret::Secret;

/// The audience of the dev identity provider's tokens where `OIDC_AUD` names none.
pub const DEV_AUDIENCE: &str = "attach-dev";

/// Where settings are looked for, before any is read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `--env-file`; without it `.env` in [`folder`](Self::folder) when there is one.
    pub env_file: Option<PathBuf>,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// `--host`, before `HOST`.
    pub host: Option<String>,
    /// `--port`, before `PORT`.
    pub port: Option<String>,
    /// The current folder.
    pub folder: PathBuf,
    /// The process's environment.
    pub environment: BTreeMap<OsString, OsString>,
    /// Whether this process is not given the secrets of others, as `attach serve` is not: that one is
    /// missing is then no mistake.
    pub secrets_withheld: bool,
}

impl Sources {
    /// The process's own environment and folder, no flags.
    ///
    /// # Errors
    /// The current folder is gone or may not be read.
    pub fn of_process() -> std::io::Result<Self> {
        Ok(Self {
            folder: std::env::current_dir()?,
            environment: std::env::vars_os().collect(),
            ..Self::default()
        })
    }
}

/// Reads and checks everything.
///
/// # Errors
/// Every mistake there is, at once.
pub fn load(sources: &Sources) -> Result<Settings, Invalid> {
    check::load(sources)
}

/// The state folder alone. A gateway must be possible to look at and to stop while its settings are wrong.
///
/// # Errors
/// When the port that the folder is named after cannot be read, or there is no home.
pub fn state_dir(sources: &Sources) -> Result<PathBuf, Invalid> {
    check::state_dir(sources)
}

/// Settings that are right in themselves. Nothing here was asked of another machine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The env file that was read, absolute.
    pub env_file: Option<PathBuf>,
    /// The YAML file that was read, absolute.
    pub document: Option<PathBuf>,
    /// What relative paths count from.
    pub folder: PathBuf,
    /// Where `attach` keeps the gateway's state, absolute.
    pub state_dir: PathBuf,
    /// `AUTH_METHODS`, or what the other settings make of it; never empty, in [`Method::ALL`]'s order.
    pub methods: Vec<Method>,
    /// `AUTH_MODE`.
    pub mode: Mode,
    /// `OIDC_ISSUER` or the dev identity provider first, then Descope's where tokens are exchanged for its,
    /// then the YAML file's. Empty where `AUTH_METHODS` leaves `oidc` out.
    pub issuers: Vec<Issuer>,
    /// Whether the first issuer is the built-in dev identity provider, because none is set.
    pub dev_idp: bool,
    /// What a DID's, a service's or an orchestrator's token may name in `aud`: `OIDC_AUD` and `PUBLIC_URL`.
    pub audiences: Vec<String>,
    /// `DID_ALLOW`; `None`: DID tokens are off.
    pub did_allow: Option<Vec<String>>,
    /// rotagent's signed requests; `None`: off.
    pub rotagent: Option<Rotagent>,
    /// JWTs with shared keys; `None`: off.
    pub hmac: Option<Hmac>,
    /// HTTP message signatures; `None`: off.
    pub httpsig: Option<Httpsig>,
    /// `APP_ENV=development`.
    pub development: bool,
    /// Tokens that are swapped for one of an issuer's.
    pub exchanges: Vec<Exchange>,
    /// `REQUIRED_SCOPES`.
    pub required_scopes: Vec<String>,
    /// Scopes that the operator grants.
    pub grants: Vec<GrantConfig>,
    /// Which models a caller may use.
    pub models: Vec<ModelRuleConfig>,
    /// `REDIS_URL`: where all Envoys together remember what may be used once.
    pub redis_url: Option<Secret>,
    /// How tokens are counted, limited and reported.
    pub accounting: Accounting,
    /// Who remembers prompts and answers.
    pub memory: Memory,
    /// `A2A_TARGETS`.
    pub targets: Vec<Target>,
    /// `A2A_AGENTS`.
    pub agents: Vec<Agent>,
    /// What the login page and `attach token` need to know of Auth0.
    pub auth0: Auth0,
    /// The engine behind the gateway.
    pub engine: Engine,
    /// `HOST`: what the gateway's listener binds.
    pub host: IpAddr,
    /// Every port.
    pub ports: Ports,
    /// `PUBLIC_URL`: scheme and authority as clients see them, no trailing slash.
    pub public_url: String,
    /// `CORS_ORIGINS`: exact origins; empty turns CORS off.
    pub cors_origins: Vec<String>,
    /// `LOG_LEVEL`.
    pub log_level: LogLevel,
    /// Routes to the engine with rules of their own, looked at before the built-in ones.
    pub routes: Vec<RouteConfig>,
    /// How long keys live.
    pub jwks: JwksTimes,
    /// `ENVOY_BIN`: an absolute path, or a bare name to be found on `PATH`.
    pub envoy_bin: Option<PathBuf>,
    /// `ENVOY_CONCURRENCY`: Envoy's worker threads; Envoy's own choice when not set.
    pub envoy_concurrency: Option<u32>,
    /// `SSL_CERT_FILE`: the certificate authorities that `https` engines and issuers are verified against.
    pub ssl_cert_file: Option<PathBuf>,
    /// What the operator should know although nothing is wrong, one sentence each.
    pub notices: Vec<String>,
}

impl Settings {
    /// The issuer whose subjects stand without a prefix.
    #[must_use]
    pub fn first_issuer(&self) -> Option<&Issuer> {
        self.issuers.first()
    }

    /// Where the gateway's listener binds.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        SocketAddr::new(self.host, self.ports.gateway)
    }
}

/// One OIDC issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The setting that names it: `OIDC_ISSUER`, `issuers[0].issuer`; for messages.
    pub setting: String,
    /// Its `iss`, as the operator wrote it.
    pub issuer: String,
    /// A token must name one of these.
    pub audiences: Vec<String>,
    /// Where its keys are, when the operator says so; else discovery finds out.
    pub jwks_url: Option<Url>,
    /// The setting that says where: `OIDC_JWKS_URL`, `issuers[0].jwks_url`; for messages.
    pub jwks_setting: String,
    /// Stands before its subjects; empty for the first issuer alone.
    pub user_prefix: String,
    /// What its tokens must grant.
    pub required_scopes: Vec<String>,
    /// Claims that travel on.
    pub claim_headers: Vec<ClaimHeaderConfig>,
}

/// What the login page and `attach token` need to know of Auth0 (or any client-credentials issuer).
#[derive(Clone, Debug, Default)]
pub struct Auth0 {
    /// `AUTH0_DOMAIN`: a host name.
    pub domain: Option<String>,
    /// `AUTH0_CLIENT`: the client id.
    pub client: Option<String>,
    /// `AUTH0_SECRET`: only `attach token` uses it.
    pub secret: Option<Secret>,
}

/// The engine behind the gateway.
#[derive(Clone, Debug)]
pub struct Engine {
    /// `ENGINE_URL` without trailing slash and `/v1`; `None`: Ollama when it answers, else the echo engine.
    pub url: Option<Url>,
    /// `ENGINE_API_KEY`: the engine's own key, sent in place of the caller's credential.
    pub api_key: Option<Secret>,
    /// `ENGINE_REWRITE_CHAT`.
    pub rewrite_chat: RewriteChat,
}

/// Whether `/api/chat` goes to the engine as `/v1/chat/completions`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RewriteChat {
    /// Ask the engine once whether it has `/api/chat`.
    #[default]
    Auto,
    /// Always rewrite.
    On,
    /// Never rewrite.
    Off,
}

/// Every port, all distinct as far as they are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// `PORT`, 8080.
    pub gateway: u16,
    /// `ADMIN_PORT`, 9901: Envoy's admin interface, loopback only.
    pub admin: u16,
    /// `CONTROL_PORT`, 8081: `attach serve`, loopback only.
    pub control: u16,
    /// `IDP_PORT`, 8082: `attach idp`, loopback only.
    pub idp: u16,
    /// `ECHO_PORT`, 8083: `attach engine`, loopback only.
    pub echo: u16,
}

/// How long keys live; see [`attach_core::config::JwksConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JwksTimes {
    /// Seconds between two refreshes.
    pub refresh_seconds: u64,
    /// Seconds for which the last good set serves through an outage.
    pub max_stale_seconds: u64,
}

/// How much is logged, by Envoy, the filter and control alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Trace,
    /// For developers.
    Debug,
    /// What happens.
    #[default]
    Info,
    /// What may be wrong.
    Warning,
    /// What is wrong.
    Error,
}

impl LogLevel {
    /// Envoy's word for it (`--log-level`).
    #[must_use]
    pub fn for_envoy(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// `tracing`'s word for it (an `EnvFilter` directive).
    #[must_use]
    pub fn for_tracing(self) -> &'static str {
        match self {
            Self::Warning => "warn",
            other => other.for_envoy(),
        }
    }
}
