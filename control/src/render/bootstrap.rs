//! Envoy's bootstrap: the template and what goes into it.

use std::path::Path;

use attach_core::config::PluginConfig;
use serde::Serialize;

use super::clusters::{Cluster, Clusters};
use super::routes::{BuiltIn, ToEngine, ToTarget, built_in, to_engine, to_targets};
use super::{Files, RenderError, escape};
use crate::discover::Resolved;

/// Part of the binary, so that a copied `attach` is enough.
const TEMPLATE: &str = include_str!("../../../envoy/gateway.yaml.j2");

/// What a browser of an allowed origin may send. `*` does not count with credentials, so each is named: what
/// browsers, Ollama's and OpenAI's clients and MCP send, and the two wishes that the gateway reads.
const CORS_HEADERS: &[&str] = &[
    "accept",
    "authorization",
    "baggage",
    "cache-control",
    "content-type",
    "idempotency-key",
    "last-event-id",
    "mcp-protocol-version",
    "mcp-session-id",
    "openai-beta",
    "openai-organization",
    "openai-project",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-attach-memory",
    "x-attach-project",
    "x-request-id",
    "x-requested-with",
    "x-stainless-arch",
    "x-stainless-async",
    "x-stainless-helper-method",
    "x-stainless-lang",
    "x-stainless-os",
    "x-stainless-package-version",
    "x-stainless-poll-helper",
    "x-stainless-retry-count",
    "x-stainless-runtime",
    "x-stainless-runtime-version",
    "x-stainless-timeout",
];

/// What a page may read of an answer besides what it always may.
const CORS_EXPOSED: &[&str] = &[
    "mcp-session-id",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "www-authenticate",
    "x-attach-session",
    "x-attach-user",
    "x-llm-model",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-tokens",
    "x-request-id",
    "x-tokens-in",
    "x-tokens-out",
];

/// So much more than the filter does Envoy hold back, in bytes, that the filter is the first to refuse a body.
const BUFFER_MARGIN: u64 = 64 * 1024;
/// What Envoy holds back where nothing is said; less cannot be asked for on a route.
const DEFAULT_BUFFER: u64 = 1024 * 1024;

/// Everything the template names.
#[derive(Debug, Serialize)]
struct Values<'a> {
    admin_port: u16,
    host: String,
    /// `::` takes IPv4 as well, as people expect of "every address".
    host_is_any_v6: bool,
    port: u16,
    access_log: Option<&'a str>,
    cors_origins: &'a [String],
    cors_headers: String,
    cors_exposed: String,
    module: &'a str,
    plugin: String,
    host_env_keys: Vec<&'a str>,
    to_targets: Vec<ToTarget>,
    built_in: Vec<BuiltIn>,
    to_engine: ToEngine,
    engine_authority: &'a str,
    clusters: Vec<&'a Cluster>,
    authorities: Option<&'a str>,
    log_usage: bool,
    max_request_bytes: u64,
    /// What a filter may hold back of one request.
    request_buffer_bytes: u64,
}

/// Renders the bootstrap.
pub(super) fn render(
    resolved: &Resolved,
    files: &Files,
    clusters: &Clusters,
    plugin: &PluginConfig,
) -> Result<String, RenderError> {
    let settings = &resolved.settings;
    let mut all = vec![&clusters.engine, &clusters.engine_h2, &clusters.control];
    let services = clusters.openmeter.iter().chain(&clusters.weaviate);
    all.extend(services.chain(&clusters.idps).chain(&clusters.targets));
    let access_log = files.access_log.as_deref().map(|path| text(path, "--state-dir")).transpose()?;
    let authorities = resolved.authorities.as_deref().map(|path| text(path, "SSL_CERT_FILE")).transpose()?;
    let max_request_bytes = settings.accounting.max_request_bytes;
    let values = Values {
        admin_port: settings.ports.admin,
        host: settings.host.to_string(),
        host_is_any_v6: settings.host.is_ipv6() && settings.host.is_unspecified(),
        port: settings.ports.gateway,
        access_log,
        cors_origins: &settings.cors_origins,
        cors_headers: CORS_HEADERS.join(", "),
        cors_exposed: CORS_EXPOSED.join(", "),
        module: text(&files.module, "--state-dir")?,
        plugin: serde_json::to_string(plugin).map_err(|error| RenderError::Internal(error.to_string()))?,
        host_env_keys: variables(plugin),
        to_targets: to_targets(resolved, clusters),
        built_in: built_in(),
        to_engine: to_engine(resolved),
        engine_authority: &clusters.engine.authority,
        clusters: all,
        authorities,
        log_usage: settings.accounting.log_usage,
        max_request_bytes,
        request_buffer_bytes: max_request_bytes.saturating_add(BUFFER_MARGIN).max(DEFAULT_BUFFER),
    };
    escape::fill(TEMPLATE, values).map_err(|error| RenderError::Internal(format!("{error:#}")))
}

/// The variables that the document names, in its words: the VM gets these of Envoy's and no others.
fn variables(plugin: &PluginConfig) -> Vec<&str> {
    let mut names = vec![plugin.control.secret_env.as_str()];
    names.extend(plugin.engine.api_key_env.as_deref());
    names.extend(plugin.assertion.as_ref().map(|assertion| assertion.key_env.as_str()));
    names.extend(plugin.hmac.as_ref().map(|hmac| hmac.keys_env.as_str()));
    let openmeter = plugin.accounting.as_ref().and_then(|accounting| accounting.openmeter.as_ref());
    names.extend(openmeter.map(|openmeter| openmeter.key_env.as_str()));
    let weaviate = plugin.memory.as_ref().and_then(|memory| memory.weaviate.as_ref());
    names.extend(weaviate.and_then(|weaviate| weaviate.key_env.as_deref()));
    names.extend(plugin.exchanges.iter().map(|exchange| exchange.client_secret_env.as_str()));
    names
}

fn text<'a>(path: &'a Path, flag: &'static str) -> Result<&'a str, RenderError> {
    path.to_str().ok_or_else(|| RenderError::Path { path: path.to_owned(), flag })
}
