//! Refusals: `{"error": {"message", "type", "param", "code"}}`.

use axum::Json;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::engine::body::BadBody;

/// A refusal.
#[derive(Debug)]
pub(in crate::engine) struct Error {
    status: StatusCode,
    message: String,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

impl Error {
    pub(super) fn param(
        param: &'static str,
        code: Option<&'static str>,
        message: impl Into<String>,
    ) -> Error {
        Error { status: StatusCode::BAD_REQUEST, message: message.into(), param: Some(param), code }
    }

    pub(super) fn missing(param: &'static str) -> Error {
        Error::param(
            param,
            Some("missing_required_parameter"),
            format!("Missing required parameter: '{param}'."),
        )
    }

    /// There is nothing at this path.
    pub(in crate::engine) fn unknown_url(method: &Method, path: &str) -> Error {
        let message = format!("Invalid URL ({method} {path})");
        Error { status: StatusCode::NOT_FOUND, message, param: None, code: Some("unknown_url") }
    }

    /// There is something at this path, but not for this method.
    pub(in crate::engine) fn wrong_method(method: &Method, path: &str) -> Error {
        let message = format!("Not allowed to {method} on {path}.");
        Error {
            status: StatusCode::METHOD_NOT_ALLOWED,
            message,
            param: None,
            code: Some("method_not_supported"),
        }
    }
}

impl From<BadBody> for Error {
    fn from(BadBody { status, message }: BadBody) -> Error {
        Error { status, message, param: None, code: None }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let error = json!({
            "message": self.message,
            "type": "invalid_request_error",
            "param": self.param,
            "code": self.code,
        });
        (self.status, Json(json!({ "error": error }))).into_response()
    }
}
