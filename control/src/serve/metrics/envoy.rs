//! Envoy's page of statistics, read from its admin interface on this machine.

use std::time::Duration;

use super::rewrite::{Rewriter, Unreadable};
use crate::fetch::{self, ClientError, root_cause};

/// How long the page may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// The largest page that is read, in bytes. That of a gateway at its limit of 5,000 series has about two million.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Only statistics in whose name this stands somewhere. The filter's have a prefix inside Envoy, which is cut off
/// on the page; it is Envoy's to choose, so it is not asked for.
const FILTER: &str = "attach_";

/// Where the page is.
#[derive(Debug)]
pub(super) struct Statistics {
    http: reqwest::Client,
    port: u16,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("Envoy's admin interface on port {port} (ADMIN_PORT) {what}")]
    Admin { port: u16, what: Failure },
    #[error("Envoy's statistics cannot be read: {0}")]
    Unreadable(#[from] Unreadable),
}

/// What is wrong with it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("did not give its statistics within {} seconds", DEADLINE.as_secs())]
    Late,
    #[error("does not answer: {0}")]
    Gone(String),
    #[error("answers with status {0}: is it another program's?")]
    Status(u16),
    #[error("gives more than {} MiB of statistics", MAX_BYTES / 1024 / 1024)]
    TooLong,
}

impl Statistics {
    pub(super) fn new(port: u16) -> Result<Self, ClientError> {
        // No authority: nothing but plain HTTP on this machine is spoken.
        Ok(Self { http: fetch::client(None, DEADLINE)?, port })
    }

    /// The page as `rewriter` makes it.
    pub(super) async fn read(&self, mut rewriter: Rewriter) -> Result<String, Error> {
        let failed = |what| Error::Admin { port: self.port, what };
        let broken = |error: reqwest::Error| {
            failed(if error.is_timeout() { Failure::Late } else { Failure::Gone(root_cause(&error)) })
        };
        let url = format!("http://127.0.0.1:{}/stats/prometheus?filter={FILTER}", self.port);
        let mut response = self.http.get(url).header("accept", "text/plain").send().await.map_err(broken)?;
        if response.status().as_u16() != 200 {
            return Err(failed(Failure::Status(response.status().as_u16())));
        }
        let mut left = MAX_BYTES;
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            left = left.checked_sub(chunk.len()).ok_or_else(|| failed(Failure::TooLong))?;
            rewriter.feed(&chunk)?;
        }
        Ok(rewriter.finish()?)
    }
}
