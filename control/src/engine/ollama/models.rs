//! `/api/tags`, `/api/show`, `/api/version`: the one model there is.

use axum::Json;
use axum::extract::State as Extract;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Error;
use crate::engine::body::{Received, parse};
use crate::engine::{MODEL, State, rfc3339};

/// The version whose API this is; what follows the plus sign says that it is not that engine.
const VERSION: &str = "0.5.13+attach-echo";

#[derive(Deserialize)]
struct ShowRequest {
    #[serde(default)]
    model: Option<String>,
    /// The member's former name, which clients still send.
    #[serde(default)]
    name: Option<String>,
}

/// `GET /api/tags`.
pub(in crate::engine) async fn tags(Extract(state): Extract<State>) -> Json<Value> {
    let name = format!("{MODEL}:latest");
    let digest: String = Sha256::digest(&name).iter().map(|byte| format!("{byte:02x}")).collect();
    Json(json!({ "models": [{
        "name": name,
        "model": name,
        "modified_at": rfc3339(state.started),
        "size": 0,
        "digest": digest,
        "details": details(),
    }]}))
}

/// `POST /api/show`: any name is a model's, as for the other routes.
pub(in crate::engine) async fn show(
    Extract(state): Extract<State>,
    body: Received,
) -> Result<Json<Value>, Error> {
    let ShowRequest { model, name } = parse(body)?;
    if model.or(name).is_none_or(|name| name.is_empty()) {
        return Err(Error::no_model());
    }
    Ok(Json(json!({
        "modelfile": format!("FROM {MODEL}\n"),
        "template": "{{ .Prompt }}",
        "details": details(),
        "model_info": { "general.architecture": "echo", "general.parameter_count": 0 },
        "capabilities": ["completion"],
        "modified_at": rfc3339(state.started),
    })))
}

/// `GET /api/version`.
pub(in crate::engine) async fn version() -> Json<Value> {
    Json(json!({ "version": VERSION }))
}

fn details() -> Value {
    json!({
        "parent_model": "",
        "format": "echo",
        "family": "echo",
        "families": ["echo"],
        "parameter_size": "0",
        "quantization_level": "none",
    })
}
