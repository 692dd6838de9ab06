//! The filter's document.

use attach_core::config::{
    ControlConfig, EngineConfig, IssuerConfig, JwksConfig, Mode, PluginConfig, ReplayConfig, TargetConfig,
    VERSION,
};
use url::Url;

use super::clusters::{Clusters, authority};
use super::{CONTROL_SECRET_ENV, ENGINE_API_KEY_ENV};
use crate::discover::Resolved;

/// The document for a gateway.
#[must_use]
pub fn of(resolved: &Resolved, clusters: &Clusters) -> PluginConfig {
    let settings = &resolved.settings;
    let issuers = resolved.issuers.iter().map(|resolved| IssuerConfig {
        issuer: resolved.issuer.issuer.clone(),
        audiences: resolved.issuer.audiences.clone(),
        user_prefix: resolved.issuer.user_prefix.clone(),
        jwks: JwksConfig {
            keys: target(&resolved.jwks_url, clusters),
            discovery: resolved.discovery_url.as_ref().map(|url| target(url, clusters)),
            refresh_seconds: settings.jwks.refresh_seconds,
            max_stale_seconds: settings.jwks.max_stale_seconds,
            internal: false,
        },
        required_scopes: Vec::new(),
        claim_headers: Vec::new(),
    });
    PluginConfig {
        version: VERSION,
        public_url: settings.public_url.clone(),
        mode: Mode::Enforce,
        required_scopes: Vec::new(),
        issuers: issuers.collect(),
        did: None,
        rotagent: None,
        hmac: None,
        httpsig: None,
        gateway_tokens: None,
        exchanges: Vec::new(),
        grants: Vec::new(),
        models: Vec::new(),
        assertion: None,
        replay: ReplayConfig::Envoy,
        targets: Vec::new(),
        routes: settings.routes.clone(),
        engine: EngineConfig {
            api_key_env: settings.engine.api_key.as_ref().map(|_| ENGINE_API_KEY_ENV.to_owned()),
        },
        control: ControlConfig { secret_env: CONTROL_SECRET_ENV.to_owned(), target: None },
    }
}

fn target(url: &Url, clusters: &Clusters) -> TargetConfig {
    TargetConfig {
        // Each address has a cluster by construction; the filter refuses an empty name.
        cluster: clusters.idp(url).map(|cluster| cluster.name.clone()).unwrap_or_default(),
        scheme: url.scheme().to_owned(),
        authority: authority(url),
        path: path_and_query(url),
    }
}

/// What follows the authority.
fn path_and_query(url: &Url) -> String {
    match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    }
}
