//! Where an issuer's keys are: as it is set, as its discovery document says, or where Auth0 has them.

use serde_json::Value;
use url::Url;

use super::engine::below;
use super::{Keys, ResolvedIssuer};
use crate::fetch::{FetchError, Fetcher};
use crate::settings::url_rules;
use crate::settings::{Issuer, Problem};

/// Where the dev identity provider has its keys.
const DEV_JWKS: &str = "/.well-known/jwks.json";
/// Where the dev identity provider grants tokens.
const DEV_TOKEN: &str = "/oauth/token";

/// How the address of an issuer's keys was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeysFrom {
    /// It is set.
    Setting,
    /// The discovery document names it.
    Discovery,
    /// There is no discovery document, but `{issuer}/.well-known/jwks.json`, as the original assumed.
    WellKnown,
    /// It is the built-in dev identity provider.
    DevIdp,
}

/// Finds an issuer's keys, and a notice where something should be known about them. `dev`: it is the dev
/// identity provider, of which everything is known.
///
/// # Errors
/// It does not answer, or not as it must.
pub async fn resolve(
    issuer: Issuer,
    dev: bool,
    keys: Keys,
    fetcher: &Fetcher,
) -> Result<(ResolvedIssuer, Option<String>), Problem> {
    let setting = issuer.setting.clone();
    let problem = |message: String| Problem { setting: setting.clone(), message };
    let base = Url::parse(&issuer.issuer).map_err(|error| problem(format!("is no address: {error}")))?;
    if dev {
        let (jwks_url, token) = (below(&base, DEV_JWKS), below(&base, DEV_TOKEN));
        let resolved = found(issuer, jwks_url, KeysFrom::DevIdp);
        return Ok((ResolvedIssuer { token_endpoint: Some(token), ..resolved }, None));
    }
    if let Some(jwks_url) = issuer.jwks_url.clone() {
        let named = issuer.jwks_setting.clone();
        let notice = match (key_set(fetcher, &jwks_url).await, keys) {
            (Ok(()), _) => None,
            (Err(why), Keys::MayBeDown) => Some(format!(
                "{named} {jwks_url}: {why}; the gateway lets nobody in by this issuer until there are keys"
            )),
            (Err(why), Keys::MustAnswer) => {
                return Err(Problem {
                    setting: named,
                    message: format!(
                        "{jwks_url}: {why}; check the address, and that this machine can reach it"
                    ),
                });
            }
        };
        return Ok((found(issuer, jwks_url, KeysFrom::Setting), notice));
    }

    let document_url = below(&base, "/.well-known/openid-configuration");
    let answer = fetcher.get(&document_url, None).await.map_err(|error| {
        problem(format!(
            "{} cannot be reached: {error}; check the address, and that this machine can reach it",
            issuer.issuer
        ))
    })?;
    let status = answer.status;
    if let Some(document) = answer.json().filter(Value::is_object) {
        let (jwks_url, token_endpoint) =
            read_document(&issuer.issuer, &document_url, &document).map_err(problem)?;
        let resolved = found(issuer, jwks_url, KeysFrom::Discovery);
        return Ok((ResolvedIssuer { discovery_url: Some(document_url), token_endpoint, ..resolved }, None));
    }
    let jwks_url = below(&base, "/.well-known/jwks.json");
    match key_set(fetcher, &jwks_url).await {
        Ok(()) => Ok((found(issuer, jwks_url, KeysFrom::WellKnown), None)),
        Err(why) => Err(problem(format!(
            "{} has neither a discovery document ({document_url}: {}) nor keys ({jwks_url}: {why}); correct it, or say where the keys are with {}",
            issuer.issuer,
            if status == 200 {
                "its answer is no JSON object".to_owned()
            } else {
                format!("it answers {status}")
            },
            issuer.jwks_setting,
        ))),
    }
}

fn found(issuer: Issuer, jwks_url: Url, from: KeysFrom) -> ResolvedIssuer {
    ResolvedIssuer { issuer, jwks_url, discovery_url: None, from, token_endpoint: None }
}

/// What of a discovery document is used.
fn read_document(issuer: &str, at: &Url, document: &Value) -> Result<(Url, Option<Url>), String> {
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let named = text("issuer").ok_or_else(|| format!("the discovery document at {at} names no issuer"))?;
    if without_slash(named) != without_slash(issuer) {
        return Err(format!(
            "{issuer} is not what the discovery document at {at} calls itself: its tokens come from {named:?}; set that"
        ));
    }
    let jwks = text("jwks_uri").ok_or_else(|| format!("the discovery document at {at} names no jwks_uri"))?;
    let jwks = url_rules::trusted(jwks).map_err(|why| {
        format!("the discovery document at {at} names a jwks_uri that cannot be used: {why}")
    })?;
    let token = text("token_endpoint").and_then(|url| url_rules::trusted(url).ok());
    Ok((jwks, token))
}

/// One trailing slash more or less does not matter: Auth0's `iss` has it, the original's `.env` does not.
fn without_slash(issuer: &str) -> &str {
    issuer.strip_suffix('/').unwrap_or(issuer)
}

/// Whether a key set is to be had there; which keys it holds is the filter's to judge.
async fn key_set(fetcher: &Fetcher, url: &Url) -> Result<(), String> {
    let answer = fetcher.get(url, None).await.map_err(|error: FetchError| error.to_string())?;
    if answer.status != 200 {
        return Err(format!("it answers {}", answer.status));
    }
    match answer.json().and_then(|keys| keys.get("keys").map(Value::is_array)) {
        Some(true) => Ok(()),
        _ => Err("its answer is no JSON Web Key Set".to_owned()),
    }
}
