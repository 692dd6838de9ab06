//! How many tokens a call was, and who says so.

use serde::{Deserialize, Serialize};

/// Who counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The provider, both ways.
    Reported,
    /// The filter, both ways.
    #[default]
    Counted,
    /// One way each.
    Mixed,
}

/// The tokens of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Of the prompt, those that were read from a cache among them.
    pub input: u64,
    /// Of the answer, those of a model's reasoning among them.
    pub output: u64,
    /// Of the prompt, read from the provider's cache.
    pub cached: u64,
    /// Of the answer, a model's reasoning.
    pub reasoning: u64,
    /// Who counted.
    pub source: Source,
}

impl TokenUsage {
    /// Both ways together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }
}
