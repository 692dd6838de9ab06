//! `memory`: what is taken out of texts beside what always is.

use attach_core::config::memory::{CustomRedactionConfig, RedactionConfig};
use serde_yaml_ng::Value;

use super::{Walk, join};

/// The most patterns; each is looked for in every text.
const MAX_CUSTOM: usize = 64;

impl Walk<'_> {
    pub(super) fn memory(&mut self, value: &Value) -> RedactionConfig {
        let mut redaction = RedactionConfig::default();
        for (key, value) in self.map("memory", value, &["redaction"]) {
            let path = join("memory", key);
            for (key, value) in self.map(&path, value, &["custom"]) {
                let path = join(&path, key);
                for (at, value) in self.list(&path, value, MAX_CUSTOM) {
                    redaction.custom.extend(self.custom(&at, value));
                }
            }
        }
        redaction
    }

    fn custom(&mut self, path: &str, value: &Value) -> Option<CustomRedactionConfig> {
        let (mut kind, mut pattern) = (None, None);
        let members = self.map(path, value, &["kind", "pattern"]);
        for (key, value) in &members {
            let text = self.text(&join(path, key), value).map(str::to_owned);
            match *key {
                "kind" => kind = text,
                _ => pattern = text,
            }
        }
        let has = |name| members.iter().any(|(key, _)| *key == name);
        self.missing(path, "kind", has("kind"), "must be set: what stands in [REDACTED:kind]");
        self.missing(path, "pattern", has("pattern"), "must be set: a regular expression");
        Some(CustomRedactionConfig { kind: kind?, pattern: pattern? })
    }
}
