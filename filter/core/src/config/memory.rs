//! What is remembered of prompts and answers: the part of the document about memory.

use serde::{Deserialize, Serialize};

use super::TargetConfig;

/// The most of a text that is remembered, in bytes: 64 KiB.
pub const DEFAULT_MAX_BYTES: u32 = 64 * 1024;
/// How long an answer may be held back for memory under [`Ack::Strict`], in milliseconds.
pub const DEFAULT_ACK_TIMEOUT_MS: u64 = 5_000;

/// Who remembers prompts and answers, and how much of them.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct MemoryConfig {
    /// Weaviate's `/v1/batch/objects`; absent: batches go to control, which remembers by itself, or embeds them first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weaviate: Option<WeaviateConfig>,
    /// The most of a text that is remembered, in bytes.
    #[serde(default = "default_max_bytes")]
    pub max_bytes: u32,
    /// Whether an answer's last byte waits until it is remembered.
    #[serde(default)]
    pub ack: Ack,
    /// How long it waits at most before the stream is reset, in milliseconds.
    #[serde(default = "default_ack_timeout_ms")]
    pub ack_timeout_ms: u64,
    /// What is taken out of texts beside what always is.
    #[serde(default)]
    pub redaction: RedactionConfig,
    /// Named spaces, and the claims of the first issuer's that admit to them.
    #[serde(default)]
    pub spaces: Vec<SpaceConfig>,
}

/// A Weaviate.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct WeaviateConfig {
    /// Where it takes batches.
    pub target: TargetConfig,
    /// Environment variable of the VM that holds its API key; absent: it wants none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_env: Option<String>,
    /// Whether each owner's events lie in a tenant of their own.
    #[serde(default)]
    pub tenants: bool,
}

/// Whether an answer's last byte waits until it is remembered.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Ack {
    /// It does not: memory is told afterwards.
    #[default]
    None,
    /// It does.
    Strict,
}

/// What is taken out of texts beside what always is.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct RedactionConfig {
    /// National ids.
    #[serde(default)]
    pub national_ids: bool,
    /// The operator's own patterns.
    #[serde(default)]
    pub custom: Vec<CustomRedactionConfig>,
}

/// A pattern of the operator's own.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct CustomRedactionConfig {
    /// What stands in `[REDACTED:kind]`: lower-case letters, digits, `-` and `_`.
    pub kind: String,
    /// A regular expression in the syntax of the `regex` crate.
    pub pattern: String,
}

/// A named space.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct SpaceConfig {
    /// What it is called: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// The claim that admits to it.
    pub claim: String,
    /// The value that the claim must have, or as a list contain.
    pub value: String,
}

fn default_max_bytes() -> u32 {
    DEFAULT_MAX_BYTES
}

fn default_ack_timeout_ms() -> u64 {
    DEFAULT_ACK_TIMEOUT_MS
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            weaviate: None,
            max_bytes: DEFAULT_MAX_BYTES,
            ack: Ack::None,
            ack_timeout_ms: DEFAULT_ACK_TIMEOUT_MS,
            redaction: RedactionConfig::default(),
            spaces: Vec::new(),
        }
    }
}
