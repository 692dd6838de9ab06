//! Reading a JSON body; each API words the failure its own way.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Why a body is no request.
#[derive(Debug)]
pub(super) struct BadBody {
    pub(super) status: StatusCode,
    pub(super) message: String,
}

/// A body as it arrived.
pub(super) type Received = Result<Bytes, BytesRejection>;

/// Reads a body as JSON. Like the engines it stands for, it does not look at the content type.
pub(super) fn parse<T: DeserializeOwned>(body: Received) -> Result<T, BadBody> {
    let body = body.map_err(|rejection| {
        let message = rejection.body_text();
        BadBody { status: rejection.into_response().status(), message }
    })?;
    let bad = |message: String| BadBody { status: StatusCode::BAD_REQUEST, message };
    if body.is_empty() {
        return Err(bad("missing request body".to_owned()));
    }
    serde_json::from_slice(&body).map_err(|error| bad(format!("the body is no such request: {error}")))
}

/// Texts that end an answer: one or several.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Stop {
    One(String),
    Many(Vec<String>),
}

impl Stop {
    pub(super) fn into_texts(this: Option<Stop>) -> Vec<String> {
        match this {
            None => Vec::new(),
            Some(Stop::One(text)) => vec![text],
            Some(Stop::Many(texts)) => texts,
        }
    }
}
