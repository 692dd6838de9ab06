//! Who remembers prompts and answers, and how much of them.

use attach_core::config::memory::{
    Ack, DEFAULT_ACK_TIMEOUT_MS, DEFAULT_MAX_BYTES, RedactionConfig, SpaceConfig,
};
use url::Url;

use super::Secret;

/// Where the original looks for Weaviate.
pub const DEFAULT_WEAVIATE_URL: &str = "http://localhost:6666";

/// What is remembered, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct Memory {
    /// `MEM_BACKEND`.
    pub backend: MemoryBackend,
    /// `MEM_MAX_BYTES`: the most of a text that is remembered.
    pub max_bytes: u32,
    /// `MEM_ACK`.
    pub ack: Ack,
    /// `MEM_ACK_TIMEOUT`, in milliseconds.
    pub ack_timeout_ms: u64,
    /// `REDACT_NATIONAL_IDS`, and the YAML file's `memory.redaction`.
    pub redaction: RedactionConfig,
    /// `MEM_SPACES`.
    pub spaces: Vec<SpaceConfig>,
    /// `MEM_EMBED_MODEL`: the engine's model that texts are embedded with.
    pub embed_model: Option<String>,
    /// `MEM_RETENTION_DAYS`; `None`: events are kept until somebody forgets them.
    pub retention_days: Option<u32>,
}

/// Where events lie.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum MemoryBackend {
    /// Nowhere: nothing is remembered.
    None,
    /// In control's own store.
    #[default]
    Embedded,
    /// In a Weaviate.
    Weaviate(Weaviate),
}

/// A Weaviate.
#[derive(Clone, Debug, PartialEq)]
pub struct Weaviate {
    /// `WEAVIATE_URL` without a trailing slash.
    pub url: Url,
    /// `WEAVIATE_API_KEY`. Envoy and control both are given it.
    pub key: Option<Secret>,
    /// `WEAVIATE_TENANCY=user`: each owner's events lie in a tenant of their own.
    pub tenants: bool,
}

impl Memory {
    /// Whether anything is remembered.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.backend != MemoryBackend::None
    }

    /// The Weaviate, where there is one.
    #[must_use]
    pub fn weaviate(&self) -> Option<&Weaviate> {
        match &self.backend {
            MemoryBackend::Weaviate(weaviate) => Some(weaviate),
            MemoryBackend::None | MemoryBackend::Embedded => None,
        }
    }

    /// The Weaviate that Envoy tells by itself; what is to be embedded goes through control.
    #[must_use]
    pub fn direct(&self) -> Option<&Weaviate> {
        self.weaviate().filter(|_| self.embed_model.is_none())
    }

    /// Where events lie, for a person.
    #[must_use]
    pub fn in_words(&self) -> String {
        let place = match &self.backend {
            MemoryBackend::None => return "off (MEM_BACKEND=none)".to_owned(),
            MemoryBackend::Embedded => "kept by control (MEM_BACKEND=embedded)".to_owned(),
            MemoryBackend::Weaviate(weaviate) if weaviate.tenants => {
                format!("in Weaviate at {}, a tenant for each owner", weaviate.url)
            }
            MemoryBackend::Weaviate(weaviate) => format!("in Weaviate at {}", weaviate.url),
        };
        let days = self.retention_days.map_or(String::new(), |days| format!(", for {days} days"));
        let strict = if self.ack == Ack::Strict { ", answers wait for it (MEM_ACK=strict)" } else { "" };
        format!("{place}{days}{strict}")
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            backend: MemoryBackend::default(),
            max_bytes: DEFAULT_MAX_BYTES,
            ack: Ack::default(),
            ack_timeout_ms: DEFAULT_ACK_TIMEOUT_MS,
            redaction: RedactionConfig::default(),
            spaces: Vec::new(),
            embed_model: None,
            retention_days: None,
        }
    }
}
