//! What the settings leave to be found out by asking: where the issuers' keys are, which engine there is.
//!
//! It is asked once, before Envoy's configuration is rendered, since Envoy can only call clusters that it
//! was told of. Nothing here is asked again while the gateway runs.

use std::path::PathBuf;

use tokio::task::JoinSet;
use url::Url;

use crate::fetch::{ClientError, Fetcher, authorities};
use crate::settings::{Issuer, Problem, Settings};

pub mod engine;
pub mod issuer;

pub use engine::{EngineChoice, EngineKind};
pub use issuer::KeysFrom;

/// The settings and what was found out.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The settings.
    pub settings: Settings,
    /// The issuers, in the settings' order, with the addresses of their keys.
    pub issuers: Vec<ResolvedIssuer>,
    /// The engine.
    pub engine: ResolvedEngine,
    /// The PEM bundle that `https` servers are verified against, when there is one.
    pub authorities: Option<PathBuf>,
    /// What the operator should know, besides [`Settings::notices`].
    pub notices: Vec<String>,
}

/// An issuer whose keys' address is known.
#[derive(Clone, Debug)]
pub struct ResolvedIssuer {
    /// The issuer as it was set.
    pub issuer: Issuer,
    /// Where its keys are.
    pub jwks_url: Url,
    /// Its discovery document, when that is where [`jwks_url`](Self::jwks_url) stands.
    pub discovery_url: Option<Url>,
    /// How that was found.
    pub from: KeysFrom,
    /// Where it grants tokens, when its discovery document says so.
    pub token_endpoint: Option<Url>,
}

/// The engine to use.
#[derive(Clone, Debug)]
pub struct ResolvedEngine {
    /// Its address; a path before which clients' paths are put has no trailing slash.
    pub url: Url,
    /// Why it is this one.
    pub kind: EngineKind,
    /// Whether `/api/chat` goes to `/v1/chat/completions`.
    pub rewrite_chat: bool,
}

/// Whether an issuer whose keys' address is set (`OIDC_JWKS_URL`) must answer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// An address nobody answers at is an error: for starting a gateway.
    MustAnswer,
    /// It is a notice: for rendering a configuration that is used elsewhere or later.
    MayBeDown,
}

/// What could not be found out; all of it.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// No HTTPS.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// One or more settings name something that does not answer, or not as it must.
    #[error("{}", sentences(.0))]
    Unreachable(Vec<Problem>),
}

fn sentences(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Finds everything out: [`engine::choose`], then [`resolve_with`].
///
/// # Errors
/// Every issuer that does not answer as it must, at once.
pub async fn resolve(settings: Settings, keys: Keys) -> Result<Resolved, DiscoverError> {
    let fetcher = fetcher(&settings)?;
    let choice = engine::choose(&settings, &fetcher).await;
    resolve_with(settings, choice, keys).await
}

/// The client that asks, trusting what Envoy will trust.
///
/// # Errors
/// The certificate authorities cannot be read.
pub fn fetcher(settings: &Settings) -> Result<Fetcher, ClientError> {
    Fetcher::new(authorities::find(settings.ssl_cert_file.as_deref()).as_deref())
}

/// Finds the rest out, the engine being chosen. The echo engine and the dev identity provider need not run:
/// what there is to know about them is known.
///
/// # Errors
/// Every issuer that does not answer as it must, at once.
pub async fn resolve_with(
    settings: Settings,
    choice: EngineChoice,
    keys: Keys,
) -> Result<Resolved, DiscoverError> {
    let authorities = authorities::find(settings.ssl_cert_file.as_deref());
    let fetcher = Fetcher::new(authorities.as_deref())?;
    let (mut problems, mut notices) = (Vec::new(), Vec::new());

    let mut asked = JoinSet::new();
    for (at, issuer) in settings.issuers.iter().enumerate() {
        let (issuer, fetcher) = (issuer.clone(), fetcher.clone());
        let dev = at == 0 && settings.dev_idp;
        asked.spawn(async move { (at, issuer::resolve(issuer, dev, keys, &fetcher).await) });
    }
    let engine = engine::resolve(&settings, choice, &fetcher, &mut notices).await;
    let mut answers = asked.join_all().await;
    answers.sort_by_key(|(at, _)| *at);
    let mut issuers = Vec::new();
    for (_, answer) in answers {
        match answer {
            Ok((issuer, notice)) => {
                issuers.push(issuer);
                notices.extend(notice);
            }
            Err(problem) => problems.push(problem),
        }
    }
    if authorities.is_none() {
        let keys = issuers.iter().map(|issuer| (issuer.issuer.setting.as_str(), &issuer.jwks_url));
        let others = keys.chain([("ENGINE_URL", &engine.url)]).chain(unasked(&settings));
        for (setting, url) in others.filter(|(_, url)| url.scheme() == "https") {
            problems.push(Problem {
                setting: setting.to_owned(),
                message: format!(
                    "{url} is https, but this machine has no certificate authorities to verify it with; install ca-certificates or set SSL_CERT_FILE"
                ),
            });
        }
    }
    if problems.is_empty() {
        Ok(Resolved { settings, issuers, engine, authorities, notices })
    } else {
        Err(DiscoverError::Unreachable(problems))
    }
}

/// Whom nobody asks at start, with their settings: signers, agents, token endpoints, OpenMeter and Weaviate may
/// come up later.
fn unasked(settings: &Settings) -> impl Iterator<Item = (&str, &Url)> {
    let directories = settings.httpsig.iter().flat_map(|httpsig| &httpsig.directories);
    let directories = directories.map(|directory| ("HTTPSIG_DIRECTORIES", &directory.jwks_url));
    let targets = settings.targets.iter().map(|target| ("A2A_TARGETS", &target.url));
    let exchanges = settings.exchanges.iter().map(|exchange| (exchange.setting.as_str(), &exchange.endpoint));
    let openmeter = settings.accounting.openmeter().map(|openmeter| ("OPENMETER_URL", &openmeter.url));
    let weaviate = settings.memory.weaviate().map(|weaviate| ("WEAVIATE_URL", &weaviate.url));
    directories.chain(targets).chain(exchanges).chain(openmeter).chain(weaviate)
}

#[cfg(test)]
mod tests;
