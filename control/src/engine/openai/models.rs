//! `/v1/models`: the one model there is, and any that is asked for by name.

use axum::Json;
use axum::extract::{Path, State as Extract};
use serde_json::{Value, json};

use crate::engine::{MODEL, State, unix_seconds};

/// `GET /v1/models`.
pub(in crate::engine) async fn list(Extract(state): Extract<State>) -> Json<Value> {
    Json(json!({ "object": "list", "data": [model(&state, MODEL)] }))
}

/// `GET /v1/models/{id}`.
pub(in crate::engine) async fn retrieve(
    Extract(state): Extract<State>,
    Path(id): Path<String>,
) -> Json<Value> {
    Json(model(&state, &id))
}

fn model(state: &State, id: &str) -> Value {
    json!({ "id": id, "object": "model", "created": unix_seconds(state.started), "owned_by": "attach" })
}
