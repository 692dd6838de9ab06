//! Sending a signed request, as `OrchestratorClient` does: to `{url}/agent`.

use std::path::Path;
use std::time::Duration;

use url::Url;

use crate::fetch::{self, ClientError};
use crate::settings::Secret;

/// How long an answer may take, as in the original.
const DEADLINE: Duration = Duration::from_secs(30);
/// The longest answer that is read, in bytes.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether the request was carried out.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// No HTTPS.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Nobody answered.
    #[error(
        "no answer from {url}: {reason}; check the address, and that a gateway runs there (`attach status`)"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The answer is absurdly long.
    #[error("the answer of {0} is longer than 8 MiB")]
    TooLong(String),
}

/// The address that a signed request to `url` goes to.
#[must_use]
fn endpoint(url: &Url) -> Url {
    let mut endpoint = url.clone();
    endpoint.set_path(&format!("{}/agent", url.path().trim_end_matches('/')));
    endpoint
}

/// Posts a JSON body with its token to `{url}/agent`.
///
/// # Errors
/// See [`CallError`]; a status is not one.
pub async fn call(
    url: &Url,
    token: &Secret,
    body: Vec<u8>,
    authorities: Option<&Path>,
) -> Result<Answer, CallError> {
    let endpoint = endpoint(url);
    let failed = |error: reqwest::Error| CallError::Unreachable {
        url: endpoint.to_string(),
        reason: if error.is_timeout() {
            format!("nothing within {} seconds", DEADLINE.as_secs())
        } else {
            fetch::root_cause(&error)
        },
    };
    let request = fetch::client(authorities, DEADLINE)?
        .post(endpoint.clone())
        .header("content-type", "application/json")
        .bearer_auth(token.expose())
        .body(body);
    let mut response = request.send().await.map_err(failed)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(CallError::TooLong(endpoint.to_string()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orchestrator::{Orchestrator, generate};
    use axum::http::{HeaderMap, StatusCode};

    #[test]
    fn a_request_goes_to_agent_below_the_address() {
        for (url, expected) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/agent"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/agent"),
            ("https://g.example/agents/planner", "https://g.example/agents/planner/agent"),
        ] {
            assert_eq!(endpoint(&url.parse().unwrap()).as_str(), expected);
        }
    }

    #[tokio::test]
    async fn a_signed_body_arrives_as_it_was_signed() {
        let echo = axum::Router::new().route(
            "/agent",
            axum::routing::post(|headers: HeaderMap, body: String| async move {
                let header = |name| headers.get(name).unwrap().to_str().unwrap().to_owned();
                (
                    StatusCode::CREATED,
                    format!("{} {} {body}", header("content-type"), header("authorization")),
                )
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move { axum::serve(listener, echo).await });
        let (private, _) = generate().unwrap();
        let body = r#"{"query":"hi"}"#;
        let token =
            Orchestrator::new("planner", &private).unwrap().sign(body.as_bytes(), 60, None, 1).unwrap();
        let answer = call(&url, &token, body.into(), None).await.unwrap();
        assert!(answer.is_success() && answer.status == 201);
        let expected = format!("application/json Bearer {} {body}", token.expose());
        assert_eq!(String::from_utf8(answer.body).unwrap(), expected);
    }

    #[tokio::test]
    async fn nobody_there_is_said_with_the_address_and_without_the_token() {
        let url: Url = "http://127.0.0.1:1".parse().unwrap();
        let error = call(&url, &Secret::new("tok".into()), Vec::new(), None).await.unwrap_err().to_string();
        assert!(error.contains("http://127.0.0.1:1/agent") && !error.contains("tok;"), "{error}");
    }
}
