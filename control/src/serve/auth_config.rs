//! `GET /auth/config`: what a browser app needs to send its user to log in.

use axum::extract;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use super::{State, reply};
use crate::settings::Settings;

/// The answer. The original's page reads the first three; none of them is a secret.
#[derive(Clone, Debug, Serialize)]
pub struct AuthConfig {
    /// `AUTH0_DOMAIN`, `null` when not set.
    pub domain: Option<String>,
    /// `AUTH0_CLIENT`, `null` when not set.
    pub client_id: Option<String>,
    /// The audience that tokens must name; without an issuer, that of the other methods' tokens.
    pub audience: String,
    /// The first issuer; empty where OIDC is off.
    pub issuer: String,
}

impl AuthConfig {
    /// From the settings.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let first = settings.first_issuer();
        Self {
            domain: settings.auth0.domain.clone(),
            client_id: settings.auth0.client.clone(),
            audience: first
                .and_then(|issuer| issuer.audiences.first())
                .or_else(|| settings.audiences.first())
                .cloned()
                .unwrap_or_default(),
            issuer: first.map(|issuer| issuer.issuer.clone()).unwrap_or_default(),
        }
    }
}

pub(super) async fn read(extract::State(state): extract::State<State>) -> Response {
    reply::json(StatusCode::OK, &state.fixed.auth_config)
}
