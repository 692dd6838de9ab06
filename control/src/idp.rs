//! The development identity provider: a small OAuth 2.0 and OpenID Connect server that trusts everyone.
//!
//! It exists so that the gateway can be tried, and tested, with real signed tokens and without an account
//! anywhere. It authenticates nobody: whoever asks for a token in a name gets it. Therefore
//!
//! 1. it listens on loopback only; [`LoopbackHost`] cannot hold anything else;
//! 2. it sends codes to loopback redirect addresses only;
//! 3. it answers no request whose `Host` is a foreign name, so that a web page cannot reach it by rebinding
//!    its own name to 127.0.0.1, and lets only pages from loopback origins read its answers;
//! 4. it says what it is: at start, on its pages and in its discovery document.
//!
//! Spoken: client credentials and authorization code with PKCE (RFC 6749, RFC 7636, S256 only), tokens as RFC
//! 9068 with RS256, discovery as OpenID Connect Discovery and RFC 8414, `resource` as RFC 8707, `iss` in the
//! redirect as RFC 9207, and Auth0's habits where its clients need them (JSON bodies, `audience`,
//! `/.well-known/jwks.json`).

mod authorize;
mod browser;
mod codes;
mod error;
mod key;
mod loopback;
mod metadata;
mod mint;
mod page;
mod params;
mod request;
mod token;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use axum::{Json, Router, middleware};

pub use self::key::{KeyError, SigningKey};
pub use self::loopback::{Issuer, LoopbackHost, NotAnIssuer, NotLoopback};
use crate::serving;

/// What this server is, wherever it introduces itself.
pub(crate) const WARNING: &str = "FOR DEVELOPMENT ONLY: this identity provider trusts everyone. \
Whoever reaches it may be whoever they say. Never let real data depend on its tokens.";

/// The most bytes of a request's body.
const MAX_BODY: usize = 64 * 1024;

/// The environment variable that moves the port.
const PORT_SETTING: &str = "IDP_PORT";

/// How the provider is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen.
    pub host: LoopbackHost,
    /// Where to listen; 0 takes a free port.
    pub port: u16,
    /// Where the signing key is kept; without it each start has a key of its own.
    pub key_file: Option<PathBuf>,
    /// What a token is for when its asker does not say.
    pub audience: String,
    /// The issuer; without it the address that is listened on.
    pub issuer: Option<Issuer>,
}

/// Why the provider could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The signing key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The listener.
    #[error(transparent)]
    Serving(#[from] serving::Error),
    /// `--audience` cannot be a token's `aud`.
    #[error("--audience (OIDC_AUD) must be 1 to 255 characters without control characters")]
    Audience,
}

/// What the handlers share: the name, the key and the codes that wait to be redeemed.
#[derive(Clone, Debug)]
pub struct State(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    issuer: Issuer,
    audience: String,
    key: SigningKey,
    codes: Mutex<codes::Codes>,
}

impl State {
    /// A provider called `issuer` that signs with `key` and grants `audience` to whoever asks for none.
    pub fn new(issuer: Issuer, audience: String, key: SigningKey) -> Result<State, Error> {
        if !params::is_name(&audience) {
            return Err(Error::Audience);
        }
        Ok(State(Arc::new(Shared { issuer, audience, key, codes: Mutex::default() })))
    }

    fn issuer(&self) -> &Issuer {
        &self.0.issuer
    }

    fn key(&self) -> &SigningKey {
        &self.0.key
    }

    fn default_audience(&self) -> &str {
        &self.0.audience
    }

    /// The codes. A panic while they were held leaves nothing half done, so a poisoned lock is as good as any.
    fn codes(&self) -> std::sync::MutexGuard<'_, codes::Codes> {
        self.0.codes.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The provider's routes.
pub fn app(state: State) -> Router {
    Router::new()
        .route("/", get(page::home))
        .route("/healthz", get(healthz))
        .route("/.well-known/openid-configuration", get(metadata::discovery))
        .route("/.well-known/oauth-authorization-server", get(metadata::discovery))
        .route("/jwks.json", get(metadata::jwks))
        .route("/.well-known/jwks.json", get(metadata::jwks))
        .route("/authorize", get(authorize::show).post(authorize::submit))
        .route("/oauth/token", post(token::endpoint))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn_with_state(state.clone(), browser::guard))
        .layer(middleware::from_fn(serving::observe))
        .with_state(state)
}

/// Runs the provider until `shutdown` resolves.
pub async fn serve(
    options: Options,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let key = match &options.key_file {
        Some(path) => SigningKey::load_or_create(path)?,
        None => SigningKey::generate()?,
    };
    let listener = serving::bind(options.host.ip(), options.port, PORT_SETTING).await?;
    let address = listener.local_addr().map_err(serving::Error::Listener)?;
    let issuer = options.issuer.unwrap_or_else(|| Issuer::at(address));
    tracing::warn!("{WARNING}");
    tracing::info!(
        %address,
        issuer = issuer.as_str(),
        audience = options.audience,
        kid = key.kid(),
        key_kept = options.key_file.is_some(),
        "listening"
    );
    let state = State::new(issuer, options.audience, key)?;
    Ok(serving::run(listener, app(state), shutdown).await?)
}

async fn healthz() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "status": "ok" }))
}

#[cfg(test)]
mod tests;
