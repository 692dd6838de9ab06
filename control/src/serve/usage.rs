//! `GET /v1/usage`: what the caller's own calls did cost, so that bills can be checked.

use axum::extract::rejection::QueryRejection;
use axum::extract::{self, Query};
use axum::http::header::{CACHE_CONTROL, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use super::{State, reply};
use crate::ledger::query::Question;
use crate::trust::Caller;

/// Seconds after which a client may ask again where the store could not answer.
const AGAIN: &str = "5";

pub(super) async fn own(
    caller: Caller,
    extract::State(state): extract::State<State>,
    parameters: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Response {
    let Ok(Query(parameters)) = parameters else {
        return reply::detail(StatusCode::BAD_REQUEST, "The query cannot be read");
    };
    let question = match Question::parse(&parameters) {
        Ok(question) => question,
        Err(wrong) => return reply::detail(StatusCode::BAD_REQUEST, &wrong.to_string()),
    };
    match state.ledger.page(caller.user, question).await {
        Ok(page) => {
            let mut response = reply::json(StatusCode::OK, &page);
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(error) => {
            tracing::warn!(%error, "a caller's usage could not be read");
            let text = "Usage cannot be read at the moment; ask again, or for less with since and until";
            let mut response = reply::detail(StatusCode::SERVICE_UNAVAILABLE, text);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(AGAIN));
            response
        }
    }
}
