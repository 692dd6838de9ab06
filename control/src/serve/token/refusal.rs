//! Why there is no token (RFC 6749 section 5.2, RFC 8693 section 2.2.2).

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::serve::reply;

/// The `error` member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    ServerError,
    UnauthorizedClient,
    UnsupportedGrantType,
}

impl Code {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidGrant => "invalid_grant",
            Self::InvalidRequest => "invalid_request",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::ServerError => "server_error",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
        }
    }
}

/// A refusal. Its text never holds what the client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: Code,
    pub(super) text: &'static str,
    status: StatusCode,
}

impl Refusal {
    pub(super) fn new(code: Code, text: &'static str) -> Self {
        Self { code, text, status: StatusCode::BAD_REQUEST }
    }

    pub(super) fn request(text: &'static str) -> Self {
        Self::new(Code::InvalidRequest, text)
    }

    pub(super) fn too_long() -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, ..Self::request("The body is longer than 16 KiB") }
    }

    pub(super) fn server() -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self { status, ..Self::new(Code::ServerError, "The token could not be made") }
    }

    pub(super) fn into_response(self) -> Response {
        // OAuth clients read the first two, everything else of the gateway the third.
        let body =
            json!({ "error": self.code.as_str(), "error_description": self.text, "detail": self.text });
        reply::json(self.status, &body)
    }
}
