//! What is said of a model call when it is over.

pub mod bounds;
pub mod cloud_event;
pub mod delivery;
pub mod fleet;
pub mod instrument;
pub mod label;
pub mod room;
pub mod series;
pub mod tally;

use serde::{Deserialize, Serialize};

use crate::llm::usage::Source;

/// The project of a call that names none.
pub const DEFAULT_PROJECT: &str = "default";

/// One model call, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageRecord {
    /// The filter's own name for it; sent again, it is the same.
    pub id: String,
    /// When the request came, in milliseconds of Unix time.
    pub at: u64,
    /// Who made it.
    pub user: String,
    /// Who acted for the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The label that the request gave itself.
    pub project: String,
    /// The model: the answer's own word for it, else the request's.
    pub model: String,
    /// By which method the user was verified.
    pub credential: String,
    /// `x-request-id`, as Envoy or the client says; never trusted to be unique.
    pub request_id: String,
    /// The answer's status; 0: there was none.
    pub status: u16,
    /// From the request's headers to the end, in milliseconds.
    pub milliseconds: u64,
    /// Tokens of the prompt.
    pub input: u64,
    /// Tokens of the answer.
    pub output: u64,
    /// Of the prompt, read from the provider's cache.
    pub cached: u64,
    /// Of the answer, a model's reasoning.
    pub reasoning: u64,
    /// Who counted.
    pub source: Source,
}
