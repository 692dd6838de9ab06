//! The first request through the new gateway: what the printed command will need, a token and a model.
//!
//! Nothing here fails `attach up`: the gateway is up. What cannot be had is left for the person to fill in.

use std::net::SocketAddr;

use serde_json::Value;
use url::Url;

use super::report::Token;
use crate::discover::{Resolved, ResolvedIssuer};
use crate::token;

/// What came out of it.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Where a token comes from.
    pub token: Token,
    /// The engine's first model.
    pub model: Option<String>,
    /// What the person should know.
    pub notice: Option<String>,
}

/// Gets a token where anyone may have one, and asks the engine for its models with it.
pub async fn run(resolved: &Resolved, gateway: SocketAddr) -> Trial {
    let Some(issuer) = resolved.issuers.first() else {
        return Trial { token: Token::NoIssuer, model: None, notice: None };
    };
    let settings = &resolved.settings;
    if !settings.dev_idp {
        let complete = settings.auth0.client.is_some() && settings.auth0.secret.is_some();
        let token = if complete { Token::Fetched } else { foreign(issuer) };
        return Trial { token, model: None, notice: None };
    }
    match dev(resolved, gateway).await {
        Ok((token, model)) => Trial {
            token: Token::Dev(token),
            notice: model
                .is_none()
                .then(|| "the engine names no model: put one in place of MODEL".to_owned()),
            model,
        },
        Err(reason) => Trial { token: Token::Fetched, model: None, notice: Some(reason) },
    }
}

fn foreign(issuer: &ResolvedIssuer) -> Token {
    Token::Foreign {
        issuer: issuer.issuer.issuer.clone(),
        audience: issuer.issuer.audiences.first().cloned().unwrap_or_default(),
    }
}

async fn dev(resolved: &Resolved, gateway: SocketAddr) -> Result<(String, Option<String>), String> {
    let fetcher = crate::discover::fetcher(&resolved.settings).map_err(|error| error.to_string())?;
    let token = token::fetch(&resolved.settings, &token::Wish::default()).await;
    let token = token.map_err(|error| error.to_string())?;
    let models = Url::parse(&format!("http://{gateway}/v1/models")).map_err(|error| error.to_string())?;
    let answer = fetcher.get(&models, Some(&token)).await;
    let answer = answer.map_err(|error| format!("the gateway does not answer a first request: {error}"))?;
    match answer.status {
        401 | 403 => Err(format!(
            "the gateway refuses the dev identity provider's token (status {}): see its log",
            answer.status
        )),
        502..=504 => Err(format!(
            "the engine at {} does not answer (status {}): start it, or set ENGINE_URL",
            resolved.engine.url, answer.status
        )),
        _ => Ok((token.expose().to_owned(), answer.json().and_then(|models| first_model(&models)))),
    }
}

/// The first entry of `GET /v1/models`, which every engine has.
fn first_model(models: &Value) -> Option<String> {
    let first = models.get("data")?.as_array()?.first()?;
    // It is printed to a terminal.
    let plain = |id: &&str| !id.is_empty() && !id.chars().any(char::is_control);
    first.get("id")?.as_str().filter(plain).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_model_is_taken_and_a_strange_list_is_none() {
        for (models, expected) in [
            (json!({"data": [{"id": "a"}, {"id": "b"}]}), Some("a")),
            (json!({"data": []}), None),
            (json!({"data": null}), None),
            (json!({"data": [{"id": "\u{1b}[2J"}]}), None),
            (json!({"data": [{"id": ""}]}), None),
            (json!([]), None),
        ] {
            assert_eq!(first_model(&models).as_deref(), expected, "{models}");
        }
    }
}
