//! Asking a running provider for a token, as `attach token` does.

use std::time::Duration;

use serde::Deserialize;
use url::Url;

/// How long the provider may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The most bytes of an answer.
const MAX_ANSWER: usize = 64 * 1024;

/// Whom the token is to name, and what for. What is `None` is left to the provider.
#[derive(Clone, Debug, Default)]
pub struct TokenRequest {
    /// The client that asks.
    pub client_id: String,
    /// The user; the client itself where there is none.
    pub subject: Option<String>,
    /// What the token is for.
    pub audience: Option<String>,
    /// Scopes, with spaces between them.
    pub scope: Option<String>,
    /// How long the token is to live, in seconds.
    pub expires_in: Option<u64>,
}

/// A token that was granted. Its `Debug` does not show it.
#[derive(Clone, Deserialize)]
pub struct GrantedToken {
    /// The token, for `Authorization: Bearer`.
    pub access_token: String,
    /// Seconds it lives.
    pub expires_in: u64,
}

impl std::fmt::Debug for GrantedToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("GrantedToken").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Nobody answered.
    #[error(
        "the identity provider at {issuer} does not answer: is `attach idp` running, and is IDP_PORT its port?"
    )]
    Unreachable {
        /// Who should have.
        issuer: Url,
        /// What went wrong.
        source: reqwest::Error,
    },
    /// It answered with a refusal.
    #[error("the identity provider at {issuer} gave no token: {reason}")]
    Refused {
        /// Who.
        issuer: Url,
        /// Its own words.
        reason: String,
    },
    /// It answered with something else.
    #[error("what answers at {issuer} is not the development identity provider (status {status})")]
    Unintelligible {
        /// Who.
        issuer: Url,
        /// The HTTP status.
        status: u16,
    },
}

/// Asks the development provider at `issuer` for a token by client credentials.
pub async fn request_token(
    http: &reqwest::Client,
    issuer: &Url,
    request: &TokenRequest,
) -> Result<GrantedToken, TokenError> {
    #[derive(Deserialize)]
    struct Refusal {
        error_description: String,
    }

    let unreachable = |source| TokenError::Unreachable { issuer: issuer.clone(), source };
    let expires_in = request.expires_in.map(|seconds| seconds.to_string());
    let optional = [
        ("sub", &request.subject),
        ("audience", &request.audience),
        ("scope", &request.scope),
        ("expires_in", &expires_in),
    ];
    let mut form = vec![("grant_type", "client_credentials"), ("client_id", request.client_id.as_str())];
    form.extend(optional.iter().filter_map(|(name, value)| value.as_deref().map(|value| (*name, value))));
    let mut endpoint = issuer.clone();
    endpoint.set_path("/oauth/token");
    let mut response = http.post(endpoint).timeout(TIMEOUT).form(&form).send().await.map_err(unreachable)?;
    let status = response.status();
    let unintelligible = || TokenError::Unintelligible { issuer: issuer.clone(), status: status.as_u16() };
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return Err(unintelligible());
        }
    }
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|_| unintelligible());
    }
    let refusal: Refusal = serde_json::from_slice(&body).map_err(|_| unintelligible())?;
    Err(TokenError::Refused { issuer: issuer.clone(), reason: refusal.error_description })
}
