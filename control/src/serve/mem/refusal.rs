//! Why memory's routes do not do what they were asked.

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};

use super::READ_ALL;
use crate::memory;
use crate::memory::docs;
use crate::serve::reply::detail;
use crate::trust::Stranger;

/// Seconds after which a client may ask again where memory did not answer.
const AGAIN: &str = "5";

/// Why not; told to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) enum Refusal {
    /// The filter does not vouch for it.
    Stranger,
    /// `MEM_BACKEND=none`.
    Off,
    /// Its scopes do not allow it.
    Scope,
    /// It is wrong, and stays so.
    Wrong(StatusCode, String),
    /// Memory cannot at the moment.
    Later(&'static str),
}

impl Refusal {
    /// A parameter or header is wrong.
    pub(in crate::serve) fn question(text: impl Into<String>) -> Self {
        Self::Wrong(StatusCode::BAD_REQUEST, text.into())
    }

    /// What the body says is wrong.
    pub(in crate::serve) fn body(text: impl Into<String>) -> Self {
        Self::Wrong(StatusCode::UNPROCESSABLE_ENTITY, text.into())
    }

    /// It is too long.
    pub(in crate::serve) fn length(text: impl Into<String>) -> Self {
        Self::Wrong(StatusCode::PAYLOAD_TOO_LARGE, text.into())
    }

    /// There is none, or none for this caller.
    pub(in crate::serve) fn missing(text: &str) -> Self {
        Self::Wrong(StatusCode::NOT_FOUND, text.to_owned())
    }

    /// The path is right and the method is not.
    pub(in crate::serve) fn method() -> Self {
        Self::Wrong(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed".to_owned())
    }
}

impl From<memory::Error> for Refusal {
    fn from(error: memory::Error) -> Self {
        // The reason may name addresses of the inside: it is for the log.
        match error {
            memory::Error::Unavailable(_) => {
                tracing::warn!(%error, "memory did not answer a caller");
                Self::Later(
                    "Memory does not answer at the moment; ask again in some seconds. The gateway's operator \
                     finds the reason with `attach doctor`",
                )
            }
            memory::Error::Refused(_) => {
                tracing::error!(%error, "memory refuses; check MEM_BACKEND, WEAVIATE_URL and WEAVIATE_API_KEY");
                let text = "Memory refuses the gateway, and asking again does not help; the gateway's operator \
                            finds the reason in its log and with `attach doctor`";
                Self::Wrong(StatusCode::BAD_GATEWAY, text.to_owned())
            }
        }
    }
}

impl From<docs::Error> for Refusal {
    fn from(error: docs::Error) -> Self {
        let status = match error {
            docs::Error::NoParent | docs::Error::LongChain => StatusCode::UNPROCESSABLE_ENTITY,
            docs::Error::OtherWork => StatusCode::CONFLICT,
            docs::Error::Full => StatusCode::INSUFFICIENT_STORAGE,
            docs::Error::Randomness | docs::Error::Store(_) => {
                tracing::warn!(%error, "documents could not be reached");
                return Self::Later(
                    "Documents cannot be reached at the moment; ask again in some seconds. The gateway's \
                     operator finds the reason in its log",
                );
            }
        };
        Self::Wrong(status, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Stranger => Stranger.into_response(),
            Self::Off => {
                detail(StatusCode::NOT_FOUND, "This gateway remembers nothing: it is set to MEM_BACKEND=none")
            }
            Self::Scope => {
                detail(StatusCode::FORBIDDEN, &format!("To read beyond your own needs the scope {READ_ALL}"))
            }
            Self::Wrong(status, text) => detail(status, &text),
            Self::Later(text) => {
                ([(RETRY_AFTER, AGAIN)], detail(StatusCode::SERVICE_UNAVAILABLE, text)).into_response()
            }
        }
    }
}
