//! The filter's document.

use attach_core::config::accounting::{AccountingConfig, OpenMeterConfig, WindowsConfig};
use attach_core::config::memory::{MemoryConfig, WeaviateConfig};
use attach_core::config::{
    AssertionConfig, ControlConfig, DidConfig, DirectoryConfig, EngineConfig, ExchangeConfig,
    GatewayTokensConfig, HmacConfig, HttpsigConfig, IssuerConfig, JwksConfig, PluginConfig, ReplayConfig,
    RotagentConfig, TargetConfig, VERSION,
};
use attach_core::mirror::BATCH_PATH;
use url::Url;

use super::clusters::Clusters;
use super::{
    ASSERTION_KEY_ENV, CONTROL_SECRET_ENV, ENGINE_API_KEY_ENV, HMAC_KEYS_ENV, OPENMETER_KEY_ENV,
    WEAVIATE_KEY_ENV, exchange_secret_env,
};
use crate::discover::engine::{below, local};
use crate::discover::{Resolved, ResolvedIssuer};
use crate::settings::url_rules::authority;
use crate::settings::{Httpsig, JwksTimes, Metering, Settings};

/// Where control serves the orchestrators' public keys.
const AUTHORIZED_KEYS: &str = "/internal/authorized-keys";
/// A key file that is put there or taken away acts within five seconds.
const AUTHORIZED_KEYS_REFRESH: u64 = 2;
/// While control cannot be asked, a key that was taken away lives on: not for long.
const AUTHORIZED_KEYS_STALE: u64 = 60;
/// Where control serves the public keys of the gateway's own tokens.
const GATEWAY_KEYS: &str = "/internal/gateway-keys";
const GATEWAY_KEYS_REFRESH: u64 = 30;
const GATEWAY_KEYS_STALE: u64 = 86_400;
/// Where OpenMeter takes events.
const OPENMETER_EVENTS: &str = "/api/v1/events";

/// The document for a gateway.
#[must_use]
pub fn of(resolved: &Resolved, clusters: &Clusters) -> PluginConfig {
    let settings = &resolved.settings;
    let write = Writer { settings, clusters };
    let once = settings.rotagent.is_some() || settings.httpsig.is_some();
    PluginConfig {
        version: VERSION,
        public_url: settings.public_url.clone(),
        mode: settings.mode,
        required_scopes: settings.required_scopes.clone(),
        issuers: resolved.issuers.iter().map(|issuer| write.issuer(issuer)).collect(),
        did: settings
            .did_allow
            .as_ref()
            .map(|allow| DidConfig { allow: allow.clone(), audiences: settings.audiences.clone() }),
        rotagent: settings.rotagent.as_ref().map(|rotagent| RotagentConfig {
            audiences: settings.audiences.clone(),
            user_prefix: rotagent.user_prefix.clone(),
            jwks: write.internal(AUTHORIZED_KEYS, AUTHORIZED_KEYS_REFRESH, AUTHORIZED_KEYS_STALE),
            development: settings.development,
        }),
        hmac: settings.hmac.as_ref().map(|hmac| HmacConfig {
            audiences: settings.audiences.clone(),
            user_prefix: hmac.user_prefix.clone(),
            keys_env: HMAC_KEYS_ENV.to_owned(),
        }),
        httpsig: settings.httpsig.as_ref().map(|httpsig| write.httpsig(httpsig)),
        // Only an agent that is a target can ask for one.
        gateway_tokens: (!settings.agents.is_empty()).then(|| GatewayTokensConfig {
            jwks: write.internal(GATEWAY_KEYS, GATEWAY_KEYS_REFRESH, GATEWAY_KEYS_STALE),
        }),
        exchanges: write.exchanges(),
        grants: settings.grants.clone(),
        models: settings.models.clone(),
        assertion: Some(AssertionConfig { key_env: ASSERTION_KEY_ENV.to_owned() }),
        // Asking control costs a request its round trip: only where there is something to ask about.
        replay: match settings.redis_url {
            Some(_) if once => ReplayConfig::Control,
            _ => ReplayConfig::Envoy,
        },
        targets: settings.targets.iter().map(|target| target.name.clone()).collect(),
        routes: settings.routes.clone(),
        engine: EngineConfig {
            api_key_env: settings.engine.api_key.as_ref().map(|_| ENGINE_API_KEY_ENV.to_owned()),
        },
        memory: write.memory(),
        accounting: Some(AccountingConfig {
            chat_is_openai: resolved.engine.rewrite_chat,
            ..write.accounting()
        }),
        metrics_scope: settings.accounting.metrics_scope.clone(),
        control: ControlConfig {
            secret_env: CONTROL_SECRET_ENV.to_owned(),
            target: Some(write.control("/")),
        },
    }
}

struct Writer<'a> {
    settings: &'a Settings,
    clusters: &'a Clusters,
}

impl Writer<'_> {
    fn issuer(&self, resolved: &ResolvedIssuer) -> IssuerConfig {
        let issuer = &resolved.issuer;
        IssuerConfig {
            issuer: issuer.issuer.clone(),
            audiences: issuer.audiences.clone(),
            user_prefix: issuer.user_prefix.clone(),
            required_scopes: issuer.required_scopes.clone(),
            claim_headers: issuer.claim_headers.clone(),
            jwks: self.jwks(&resolved.jwks_url, resolved.discovery_url.as_ref()),
        }
    }

    fn httpsig(&self, httpsig: &Httpsig) -> HttpsigConfig {
        let directories = httpsig.directories.iter().map(|directory| DirectoryConfig {
            name: directory.name.clone(),
            agent: directory.agent.clone(),
            jwks: self.jwks(&directory.jwks_url, None),
        });
        HttpsigConfig {
            authorities: httpsig.authorities.clone(),
            directories: directories.collect(),
            user_prefix: httpsig.user_prefix.clone(),
            components: httpsig.components.clone(),
            max_age_seconds: httpsig.max_age_seconds,
        }
    }

    fn exchanges(&self) -> Vec<ExchangeConfig> {
        let exchanges = self.settings.exchanges.iter().enumerate();
        let exchanges = exchanges.map(|(at, exchange)| ExchangeConfig {
            from: exchange.from.clone(),
            to: exchange.to.clone(),
            grant: exchange.grant,
            endpoint: self.outside(&exchange.endpoint),
            client_id: exchange.client_id.clone(),
            client_secret_env: exchange_secret_env(at),
            audience: exchange.audience.clone(),
            scope: exchange.scope.clone(),
        });
        exchanges.collect()
    }

    fn accounting(&self) -> AccountingConfig {
        let accounting = &self.settings.accounting;
        let openmeter = accounting.openmeter().zip(self.clusters.openmeter.as_ref());
        AccountingConfig {
            encoding: accounting.encoding.clone(),
            max_request_bytes: accounting.max_request_bytes,
            default_output: accounting.default_output,
            limits: accounting.limits.clone(),
            windows: match self.settings.redis_url {
                Some(_) => WindowsConfig::Control,
                None => WindowsConfig::Envoy,
            },
            consistency: accounting.consistency,
            failure_mode: accounting.failure_mode,
            usage_injection: accounting.usage_injection,
            count_all: accounting.count_all,
            usage_headers: accounting.usage_headers,
            log_usage: accounting.log_usage,
            usage_metrics: accounting.metering == Metering::Prometheus,
            openmeter: openmeter.map(|(openmeter, cluster)| OpenMeterConfig {
                target: target(&below(&openmeter.url, OPENMETER_EVENTS), cluster.name.clone()),
                key_env: OPENMETER_KEY_ENV.to_owned(),
            }),
            // The rows are what bills can be checked against, whoever else is told.
            ledger: true,
            ..AccountingConfig::default()
        }
    }

    fn memory(&self) -> Option<MemoryConfig> {
        let memory = &self.settings.memory;
        let weaviate = memory.direct().zip(self.clusters.weaviate.as_ref());
        memory.is_on().then(|| MemoryConfig {
            weaviate: weaviate.map(|(weaviate, cluster)| WeaviateConfig {
                target: target(&below(&weaviate.url, BATCH_PATH), cluster.name.clone()),
                key_env: weaviate.key.as_ref().map(|_| WEAVIATE_KEY_ENV.to_owned()),
                tenants: weaviate.tenants,
            }),
            max_bytes: memory.max_bytes,
            ack: memory.ack,
            ack_timeout_ms: memory.ack_timeout_ms,
            redaction: memory.redaction.clone(),
            spaces: memory.spaces.clone(),
        })
    }

    /// A key set of somebody else's.
    fn jwks(&self, keys: &Url, discovery: Option<&Url>) -> JwksConfig {
        let JwksTimes { refresh_seconds, max_stale_seconds } = self.settings.jwks;
        JwksConfig {
            keys: self.outside(keys),
            discovery: discovery.map(|url| self.outside(url)),
            refresh_seconds,
            max_stale_seconds,
            internal: false,
        }
    }

    /// A key set of control's.
    fn internal(&self, path: &str, refresh_seconds: u64, max_stale_seconds: u64) -> JwksConfig {
        let keys = self.control(path);
        JwksConfig { keys, discovery: None, refresh_seconds, max_stale_seconds, internal: true }
    }

    fn control(&self, path: &str) -> TargetConfig {
        let url = below(&local(self.settings.ports.control), path);
        target(&url, self.clusters.control.name.clone())
    }

    fn outside(&self, url: &Url) -> TargetConfig {
        // Each address has a cluster by construction; the filter refuses an empty name.
        target(url, self.clusters.idp(url).map(|cluster| cluster.name.clone()).unwrap_or_default())
    }
}

fn target(url: &Url, cluster: String) -> TargetConfig {
    TargetConfig {
        cluster,
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
