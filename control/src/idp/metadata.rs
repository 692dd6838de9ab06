//! The discovery document (OpenID Connect Discovery, RFC 8414) and the keys.

use axum::Json;
use axum::extract::State as Extract;
use serde_json::{Value, json};

use super::params::DEFAULT_SCOPE;
use super::{State, WARNING};

pub(super) async fn discovery(Extract(state): Extract<State>) -> Json<Value> {
    let issuer = state.issuer();
    Json(json!({
        "issuer": issuer.as_str(),
        "authorization_endpoint": issuer.endpoint("/authorize"),
        "token_endpoint": issuer.endpoint("/oauth/token"),
        "jwks_uri": issuer.endpoint("/jwks.json"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "client_credentials"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", DEFAULT_SCOPE],
        "claims_supported": ["iss", "sub", "aud", "iat", "nbf", "exp", "auth_time", "nonce", "at_hash"],
        "prompt_values_supported": ["none", "login"],
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "authorization_response_iss_parameter_supported": true,
        "warning": WARNING,
    }))
}

pub(super) async fn jwks(Extract(state): Extract<State>) -> Json<Value> {
    Json(state.key().jwks())
}
