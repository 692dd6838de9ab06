//! The HTTP client of the tools: a few small answers from issuers, engines and our own servers.
//!
//! Every answer has a deadline and a size it may not pass, no redirect is followed (where keys come from is
//! the operator's decision, not an answer's), no proxy is used (Envoy would not use it either), and servers
//! are verified against the same certificate authorities that Envoy is given.

use std::error::Error as _;
use std::path::Path;
use std::time::Duration;

use reqwest::redirect::Policy;
use serde::Serialize;
use serde_json::Value;
use url::Url;

pub mod authorities;

use crate::settings::Secret;

/// How long an answer may take, connecting included.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;

/// A client; cheap to clone.
#[derive(Clone, Debug)]
pub struct Fetcher {
    http: reqwest::Client,
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Its `Date` header.
    pub date: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON, where the status is 200.
    #[must_use]
    pub fn json(&self) -> Option<Value> {
        if self.status != 200 {
            return None;
        }
        serde_json::from_slice(&self.body).ok()
    }
}

/// Why there is no answer; fits behind an address and a colon.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nothing came in time.
    #[error("no answer within {} seconds", DEADLINE.as_secs())]
    Timeout,
    /// The connection, the name or the certificate failed.
    #[error("{0}")]
    Connection(String),
    /// The answer is longer than [`MAX_BYTES`].
    #[error("its answer is longer than {} KiB", MAX_BYTES / 1024)]
    TooLong,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot set up HTTPS with the certificate authorities in {file}: {reason}; set SSL_CERT_FILE to a PEM bundle"
)]
pub struct ClientError {
    file: String,
    reason: String,
}

impl Fetcher {
    /// A client that trusts the authorities in a PEM bundle; without one no `https` server is trusted.
    ///
    /// # Errors
    /// The bundle cannot be read.
    pub fn new(authorities: Option<&Path>) -> Result<Self, ClientError> {
        Ok(Self { http: client(authorities, DEADLINE)? })
    }

    /// `GET`, with a bearer token where there is one.
    ///
    /// # Errors
    /// See [`FetchError`]; a status is not one.
    pub async fn get(&self, url: &Url, bearer: Option<&Secret>) -> Result<Answer, FetchError> {
        let mut request = self.http.get(url.clone()).header("accept", "application/json");
        if let Some(token) = bearer {
            request = request.bearer_auth(token.expose());
        }
        read(request).await
    }

    /// `POST` of a JSON body.
    ///
    /// # Errors
    /// See [`FetchError`]; a status is not one.
    pub async fn post_json(&self, url: &Url, body: &impl Serialize) -> Result<Answer, FetchError> {
        read(self.http.post(url.clone()).json(body)).await
    }

    /// `POST` of a form.
    ///
    /// # Errors
    /// See [`FetchError`]; a status is not one.
    pub async fn post_form(&self, url: &Url, form: &[(&str, &str)]) -> Result<Answer, FetchError> {
        read(self.http.post(url.clone()).form(form)).await
    }
}

/// A bare client with these rules and another deadline, for what is no small answer.
pub(crate) fn client(authorities: Option<&Path>, deadline: Duration) -> Result<reqwest::Client, ClientError> {
    // A second call finds the first one's provider in place: the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let failed = |reason: String| ClientError {
        file: authorities.map_or_else(|| "no file".to_owned(), |path| path.display().to_string()),
        reason,
    };
    let certificates = match authorities {
        Some(path) => {
            let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
            reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| failed(root_cause(&error)))?
        }
        None => Vec::new(),
    };
    reqwest::Client::builder()
        .tls_certs_only(certificates)
        .redirect(Policy::none())
        .no_proxy()
        .timeout(deadline)
        .user_agent(concat!("attach/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| failed(root_cause(&error)))
}

async fn read(request: reqwest::RequestBuilder) -> Result<Answer, FetchError> {
    let mut response = request.send().await.map_err(why)?;
    let status = response.status().as_u16();
    let date = response
        .headers()
        .get("date")
        .and_then(|date| date.to_str().ok())
        .map(std::borrow::ToOwned::to_owned);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(why)? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(FetchError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, date, body })
}

fn why(error: reqwest::Error) -> FetchError {
    if error.is_timeout() { FetchError::Timeout } else { FetchError::Connection(root_cause(&error)) }
}

/// What lies at the bottom: "Connection refused" says more than "error sending request".
pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    let mut text = None;
    while let Some(deeper) = cause {
        text = Some(deeper.to_string());
        cause = deeper.source();
    }
    // The outermost text would repeat the address, query and all.
    text.unwrap_or_else(|| "the request failed".to_owned())
}
