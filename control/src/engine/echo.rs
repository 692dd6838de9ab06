//! `/echo`: which request arrived, for tests that ask what a gateway lets through.

use axum::Json;
use axum::extract::OriginalUri;
use axum::http::{HeaderMap, Method, Uri, Version};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::body::Received;

/// Any method. Header values are read as Latin-1, so that each byte is one character and none is lost.
pub(super) async fn echo(
    method: Method,
    OriginalUri(uri): OriginalUri,
    version: Version,
    headers: HeaderMap,
    body: Received,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return rejection.into_response(),
    };
    let mut seen = head(&method, &uri, version, &headers);
    if let Some(seen) = seen.as_object_mut() {
        let digest: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
        seen.insert("body_length".to_owned(), json!(body.len()));
        seen.insert("body_sha256".to_owned(), json!(digest));
    }
    Json(seen).into_response()
}

/// A request without its body.
pub(super) fn head(method: &Method, uri: &Uri, version: Version, headers: &HeaderMap) -> Value {
    let latin1 = |bytes: &[u8]| bytes.iter().map(|byte| char::from(*byte)).collect::<String>();
    let headers: Vec<(&str, String)> =
        headers.iter().map(|(name, value)| (name.as_str(), latin1(value.as_bytes()))).collect();
    json!({
        "method": method.as_str(),
        "path": uri.path(),
        "query": uri.query(),
        "version": format!("{version:?}"),
        "headers": headers,
    })
}
