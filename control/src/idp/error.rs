//! Refusals of the token endpoint, as RFC 6749 section 5.2 (and RFC 8707 section 2) words them.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::key::CannotSign;

/// The `error` member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    InvalidClient,
    InvalidGrant,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    LoginRequired,
    RequestNotSupported,
    RequestUriNotSupported,
    ServerError,
    UnsupportedGrantType,
    UnsupportedResponseType,
}

impl Code {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Code::InvalidClient => "invalid_client",
            Code::InvalidGrant => "invalid_grant",
            Code::InvalidRequest => "invalid_request",
            Code::InvalidScope => "invalid_scope",
            Code::InvalidTarget => "invalid_target",
            Code::LoginRequired => "login_required",
            Code::RequestNotSupported => "request_not_supported",
            Code::RequestUriNotSupported => "request_uri_not_supported",
            Code::ServerError => "server_error",
            Code::UnsupportedGrantType => "unsupported_grant_type",
            Code::UnsupportedResponseType => "unsupported_response_type",
        }
    }
}

/// A refusal. The description never holds what the client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: Code,
    pub(super) description: String,
}

impl Refusal {
    pub(super) fn new(code: Code, description: impl Into<String>) -> Refusal {
        Refusal { code, description: description.into() }
    }

    pub(super) fn request(description: impl Into<String>) -> Refusal {
        Refusal::new(Code::InvalidRequest, description)
    }
}

impl From<CannotSign> for Refusal {
    fn from(_: CannotSign) -> Refusal {
        Refusal::new(Code::ServerError, "the token could not be signed")
    }
}

/// No randomness, no token.
impl From<getrandom::Error> for Refusal {
    fn from(_: getrandom::Error) -> Refusal {
        Refusal::new(Code::ServerError, "the system gives no randomness")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.code {
            Code::InvalidClient => StatusCode::UNAUTHORIZED,
            Code::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let body = json!({ "error": self.code.as_str(), "error_description": self.description });
        let mut response = (status, Json(body)).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static(r#"Basic realm="attach idp", charset="UTF-8""#);
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
