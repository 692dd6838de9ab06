//! From the settings to what runs: the filter's document and Envoy's bootstrap.
//!
//! Nothing is asked and nothing is written here; the same input gives the same text, byte for byte, so that
//! `attach up` can tell by comparing whether Envoy must be restarted. Secrets stand in neither: both name
//! environment variables of Envoy's process ([`CONTROL_SECRET_ENV`] and its neighbours).

use std::path::PathBuf;

use attach_core::config::PluginConfig;

use crate::discover::Resolved;

pub mod bootstrap;
pub mod clusters;
pub mod escape;
pub mod plugin;
pub mod routes;

/// The variable of Envoy's environment that holds the secret which filter and control share, in hexadecimal.
pub const CONTROL_SECRET_ENV: &str = crate::trust::SECRET_ENV;
/// The variable of Envoy's environment that holds the engine's own key, where there is one.
pub const ENGINE_API_KEY_ENV: &str = "ENGINE_API_KEY";
/// The variable of Envoy's environment that holds the key which signs assertions: an Ed25519 seed, base64url.
pub const ASSERTION_KEY_ENV: &str = "ATTACH_ASSERTION_KEY";
/// The variable of Envoy's environment that holds the services' shared keys: lines of `kid=secret`.
pub const HMAC_KEYS_ENV: &str = "ATTACH_HMAC_KEYS";

/// The variable of Envoy's environment that holds OpenMeter's API key.
pub const OPENMETER_KEY_ENV: &str = "ATTACH_OPENMETER_KEY";

/// The variable of Envoy's environment that holds Weaviate's API key, where it wants one.
pub const WEAVIATE_KEY_ENV: &str = "ATTACH_WEAVIATE_KEY";

/// The variable of Envoy's environment that holds the client's secret of an exchange, by its place in the list.
#[must_use]
pub fn exchange_secret_env(at: usize) -> String {
    format!("ATTACH_EXCHANGE_SECRET_{at}")
}

/// Files that the bootstrap names; absolute, or relative to the folder Envoy starts in.
#[derive(Clone, Debug)]
pub struct Files {
    /// The filter, `attach.wasm`.
    pub module: PathBuf,
    /// Where the access log goes; standard output when not set.
    pub access_log: Option<PathBuf>,
}

/// What was rendered.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// The filter's document, as it stands in the bootstrap.
    pub plugin: PluginConfig,
    /// Envoy's bootstrap, YAML.
    pub bootstrap: String,
}

/// Why nothing was rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A path that Envoy cannot be told.
    #[error("the path {} is not UTF-8; choose another with {flag}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What chooses it.
        flag: &'static str,
    },
    /// The template or the document and the code disagree: a mistake of this program.
    #[error("this is a mistake in attach, please report it: the configuration cannot be rendered: {0}")]
    Internal(String),
}

/// Renders both.
///
/// # Errors
/// See [`RenderError`].
pub fn render(resolved: &Resolved, files: &Files) -> Result<Rendered, RenderError> {
    let clusters = clusters::of(resolved);
    let plugin = plugin::of(resolved, &clusters);
    let bootstrap = bootstrap::render(resolved, files, &clusters, &plugin)?;
    Ok(Rendered { plugin, bootstrap })
}

#[cfg(test)]
mod tests;
