//! Who remembers prompts and answers, and how much of them.

use core::time::Duration;

use crate::keys::discovery::Target;
use crate::mirror::delivery::Route;
use crate::redact::Redactor;
use crate::secret::Secret;

/// How calls are mirrored to memory.
#[derive(Debug)]
pub struct Memory {
    /// Weaviate; `None`: batches go to control alone.
    pub weaviate: Option<Weaviate>,
    /// The most of a text that is remembered, in bytes.
    pub max_bytes: usize,
    /// Under strict acknowledgement, how long an answer's last byte waits for memory; `None`: it does not.
    pub ack_within: Option<Duration>,
    /// What takes secrets out of texts.
    pub redactor: Redactor,
}

impl Memory {
    /// Who is told.
    #[must_use]
    pub const fn route(&self) -> Route {
        if self.weaviate.is_some() { Route::Weaviate } else { Route::Embedded }
    }
}

/// A Weaviate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weaviate {
    /// Where it takes batches.
    pub target: Target,
    /// The whole `Authorization` value, if it wants one.
    pub authorization: Option<Secret>,
    /// Whether each owner's events lie in a tenant of their own.
    pub has_tenants: bool,
}
