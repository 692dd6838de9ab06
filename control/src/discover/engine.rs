//! Which engine there is, and whether it speaks Ollama's `/api/chat` itself.

use std::fmt;

use url::Url;

use super::ResolvedEngine;
use crate::fetch::{FetchError, Fetcher};
use crate::settings::{RewriteChat, Secret, Settings};

/// Where Ollama listens unless told otherwise.
pub(crate) const OLLAMA_PORT: u16 = 11434;

/// Why an engine is the one that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// `ENGINE_URL` names it.
    Configured,
    /// Nothing was set and Ollama answers on this machine.
    Ollama,
    /// Nothing was set and there is no Ollama: the built-in echo engine.
    Echo,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Configured => "ENGINE_URL",
            Self::Ollama => "Ollama, found on this machine",
            Self::Echo => "the built-in echo engine (no ENGINE_URL, no Ollama)",
        })
    }
}

/// An engine and why it is this one.
#[derive(Clone, Debug)]
pub struct EngineChoice {
    /// Its address.
    pub url: Url,
    /// Why it is this one.
    pub kind: EngineKind,
}

impl EngineChoice {
    /// Whether `attach engine` must run.
    #[must_use]
    pub fn is_echo(&self) -> bool {
        self.kind == EngineKind::Echo
    }
}

/// `ENGINE_URL`, else Ollama on this machine when it answers, else the echo engine.
pub async fn choose(settings: &Settings, fetcher: &Fetcher) -> EngineChoice {
    if let Some(url) = &settings.engine.url {
        return EngineChoice { url: url.clone(), kind: EngineKind::Configured };
    }
    let ports = &settings.ports;
    // A gateway in Ollama's place must not take itself for Ollama.
    let own = [ports.gateway, ports.admin, ports.control, ports.idp, ports.echo].contains(&OLLAMA_PORT);
    let ollama = local(OLLAMA_PORT);
    if !own && matches!(speaks_ollama(fetcher, &ollama, None).await, Ok(true)) {
        EngineChoice { url: ollama, kind: EngineKind::Ollama }
    } else {
        EngineChoice { url: local(ports.echo), kind: EngineKind::Echo }
    }
}

/// Decides about `/api/chat`, asking the engine once where nothing else says.
pub(super) async fn resolve(
    settings: &Settings,
    choice: EngineChoice,
    fetcher: &Fetcher,
    notices: &mut Vec<String>,
) -> ResolvedEngine {
    let EngineChoice { url, kind } = choice;
    let rewrite_chat = match (settings.engine.rewrite_chat, kind) {
        (RewriteChat::On, _) => true,
        // Both have /api/chat.
        (RewriteChat::Off, _) | (RewriteChat::Auto, EngineKind::Ollama | EngineKind::Echo) => false,
        (RewriteChat::Auto, EngineKind::Configured) => {
            match speaks_ollama(fetcher, &url, settings.engine.api_key.as_ref()).await {
                Ok(native) => !native,
                Err(error) => {
                    notices.push(format!(
                        "ENGINE_URL {url} does not answer ({error}), so it could not be asked whether it has /api/chat: \
                         such requests go through as they are; start the engine first or set ENGINE_REWRITE_CHAT=on or off"
                    ));
                    false
                }
            }
        }
    };
    ResolvedEngine { url, kind, rewrite_chat }
}

/// Whether an engine has Ollama's own interface. Some servers answer 200 with a page to anything, so the
/// answer must be what Ollama's is.
async fn speaks_ollama(fetcher: &Fetcher, engine: &Url, key: Option<&Secret>) -> Result<bool, FetchError> {
    let version = fetcher.get(&below(engine, "/api/version"), key).await?;
    if version.json().is_some_and(|answer| answer.get("version").is_some_and(serde_json::Value::is_string)) {
        return Ok(true);
    }
    let tags = fetcher.get(&below(engine, "/api/tags"), key).await?;
    Ok(tags.json().is_some_and(|answer| answer.get("models").is_some_and(serde_json::Value::is_array)))
}

/// An address below another, whose path is kept.
#[must_use]
pub fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url.set_query(None);
    url
}

/// An address on this machine.
#[must_use]
pub fn local(port: u16) -> Url {
    #[allow(clippy::unwrap_used, reason = "scheme, address and number: it is an address")]
    Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap()
}
