//! Who remembers prompts and answers.

use attach_core::config::compile::memory::is_space_name;
use attach_core::config::memory::{
    Ack, DEFAULT_ACK_TIMEOUT_MS, DEFAULT_MAX_BYTES, RedactionConfig, SpaceConfig,
};
use attach_core::redact::{CustomPattern, Redactor, Rules};

use super::Checker;
use crate::settings::memory::{DEFAULT_WEAVIATE_URL, Memory, MemoryBackend, Weaviate};
use crate::settings::problem::shown;
use crate::settings::{Method, Ports, url_rules};

/// A text lies in each worker's memory until it has been told.
const MAX_BYTES: u32 = 1_048_576;
const MIN_BYTES: u32 = 1_024;
/// The longest that an answer may wait for memory, in seconds.
const MAX_ACK_SECONDS: u64 = 60;
/// A hundred years.
const MAX_DAYS: u32 = 36_500;
/// The most spaces.
const MAX_SPACES: usize = 256;

/// The words of `MEM_BACKEND`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Embedded,
    Weaviate,
}

/// The settings that say nothing where nothing is remembered.
const OF_MEMORY: &[&str] = &[
    "WEAVIATE_URL",
    "WEAVIATE_API_KEY",
    "WEAVIATE_TENANCY",
    "MEM_ACK",
    "MEM_ACK_TIMEOUT",
    "MEM_MAX_BYTES",
    "MEM_SPACES",
    "MEM_EMBED_MODEL",
    "MEM_RETENTION_DAYS",
];
/// Those that say nothing without a Weaviate.
const OF_WEAVIATE: &[&str] = &["WEAVIATE_URL", "WEAVIATE_API_KEY", "WEAVIATE_TENANCY"];

impl Checker {
    /// `custom` is what the YAML file says of redaction.
    pub(super) fn memory(&mut self, custom: RedactionConfig, methods: &[Method], ports: &Ports) -> Memory {
        const KINDS: &[(&str, Kind)] = &[
            ("none", Kind::None),
            ("embedded", Kind::Embedded),
            ("weaviate", Kind::Weaviate),
            // The original's name for the same.
            ("sakana", Kind::Weaviate),
        ];
        let named = self.word("MEM_BACKEND", KINDS);
        let by_url = if self.values.is_set("WEAVIATE_URL") { Kind::Weaviate } else { Kind::Embedded };
        let kind = named.unwrap_or(by_url);
        let without_effect = match kind {
            Kind::None => OF_MEMORY,
            Kind::Embedded => OF_WEAVIATE,
            Kind::Weaviate => &[],
        };
        for name in without_effect.iter().filter(|name| self.values.is_set(name)) {
            let word = if kind == Kind::None { "none" } else { "embedded" };
            self.findings.notice(format!("{name} has no effect with MEM_BACKEND={word}"));
        }
        let backend = match kind {
            Kind::None => MemoryBackend::None,
            Kind::Embedded => MemoryBackend::Embedded,
            Kind::Weaviate => MemoryBackend::Weaviate(self.weaviate(ports)),
        };
        let spaces = self.spaces();
        if !spaces.is_empty() && !methods.contains(&Method::Oidc) {
            self.findings
                .notice("MEM_SPACES has no effect: claims admit to spaces, and AUTH_METHODS leaves oidc out");
        }
        let seconds: Option<u64> = self.number("MEM_ACK_TIMEOUT", 1..=MAX_ACK_SECONDS);
        let ack = self.word("MEM_ACK", &[("none", Ack::None), ("strict", Ack::Strict)]).unwrap_or_default();
        if seconds.is_some() && ack == Ack::None {
            self.findings.notice("MEM_ACK_TIMEOUT has no effect without MEM_ACK=strict");
        }
        Memory {
            backend,
            max_bytes: self.number("MEM_MAX_BYTES", MIN_BYTES..=MAX_BYTES).unwrap_or(DEFAULT_MAX_BYTES),
            ack,
            ack_timeout_ms: seconds.map_or(DEFAULT_ACK_TIMEOUT_MS, |seconds| seconds * 1_000),
            redaction: self.redaction(custom),
            spaces,
            embed_model: self.text("MEM_EMBED_MODEL"),
            retention_days: self.number("MEM_RETENTION_DAYS", 1..=MAX_DAYS),
        }
    }

    fn weaviate(&mut self, ports: &Ports) -> Weaviate {
        let set = self.parse("WEAVIATE_URL", url_rules::upstream);
        self.is_not_the_gateway("WEAVIATE_URL", set.as_ref(), ports);
        #[allow(clippy::unwrap_used, reason = "a constant, and an address")]
        let url = set.unwrap_or_else(|| url::Url::parse(DEFAULT_WEAVIATE_URL).unwrap());
        let key = self.secret("WEAVIATE_API_KEY");
        if url.scheme() != "https" && !url_rules::is_loopback(&url) {
            self.findings.notice(if key.is_some() {
                "WEAVIATE_URL is http: prompts, answers and WEAVIATE_API_KEY go there over an open line"
            } else {
                "WEAVIATE_URL is http: prompts and answers go there over an open line"
            });
        }
        let tenants = self.word("WEAVIATE_TENANCY", &[("none", false), ("user", true)]).unwrap_or_default();
        Weaviate { url, key, tenants }
    }

    /// `MEM_SPACES`: `name=claim:value`, with commas between them.
    fn spaces(&mut self) -> Vec<SpaceConfig> {
        let parts = self.parts("MEM_SPACES");
        if parts.len() > MAX_SPACES {
            self.problem("MEM_SPACES", format!("names {} spaces; {MAX_SPACES} are the most", parts.len()));
            return Vec::new();
        }
        let mut spaces = Vec::new();
        for part in parts {
            let space = part.split_once('=').and_then(|(name, admits)| {
                let (claim, value) = admits.split_once(':')?;
                let is_whole = is_space_name(name) && !claim.is_empty() && !value.is_empty();
                is_whole.then(|| SpaceConfig {
                    name: name.to_owned(),
                    claim: claim.to_owned(),
                    value: value.to_owned(),
                })
            });
            match space {
                Some(space) => spaces.push(space),
                None => self.problem(
                    "MEM_SPACES",
                    format!(
                        "{} must read name=claim:value, as in team-a=groups:team-a; a name has lower-case letters, digits, '-' and '_'",
                        shown(&part)
                    ),
                ),
            }
        }
        spaces
    }

    fn redaction(&mut self, redaction: RedactionConfig) -> RedactionConfig {
        let custom = redaction.custom.iter();
        let custom = custom
            .map(|custom| CustomPattern { kind: custom.kind.clone(), pattern: custom.pattern.clone() })
            .collect();
        let rules = Rules { national_ids: false, custom };
        if let Err(bad) = Redactor::new(&rules) {
            self.findings.problem(format!("memory.redaction.custom[{}]", bad.at), bad.problem);
        }
        RedactionConfig { national_ids: self.switch("REDACT_NATIONAL_IDS"), ..redaction }
    }
}
