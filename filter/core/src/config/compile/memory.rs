//! What concerns memory: where it is, what is taken out of texts, who is in which space.

use core::time::Duration;

use super::{Errors, check_target, target};
use crate::authn::oidc::Space;
use crate::config::PluginConfig;
use crate::config::memory::{Ack, MemoryConfig, WeaviateConfig};
use crate::policy::memory::{Memory, Weaviate};
use crate::redact::{CustomPattern, Redactor, Rules};
use crate::secret::Secret;

/// A text lies in the VM's memory, twice while it is written.
const MAX_BYTES: core::ops::RangeInclusive<u32> = 1_024..=1_048_576;
/// Longer than anybody waits for the last byte of an answer.
const MAX_ACK_MS: u64 = 60_000;
/// The most spaces; each is looked at for a new token.
const MAX_SPACES: usize = 256;
/// The most custom patterns.
const MAX_CUSTOM: usize = 64;

pub(super) fn of(
    config: &PluginConfig,
    secret: &dyn Fn(&str) -> Option<String>,
    errors: &mut Errors,
) -> Option<Memory> {
    let memory = config.memory.as_ref()?;
    if config.accounting.is_none() {
        errors.add("memory", "needs accounting: it is what reads calls");
    }
    if config.control.target.is_none() {
        errors.add("control.target", "is needed for memory: control keeps what Weaviate does not take");
    }
    if !MAX_BYTES.contains(&memory.max_bytes) {
        let (least, most) = (MAX_BYTES.start(), MAX_BYTES.end());
        errors.add("memory.max_bytes", format!("must be from {least} to {most}"));
    }
    if !(1..=MAX_ACK_MS).contains(&memory.ack_timeout_ms) {
        errors.add("memory.ack_timeout_ms", format!("must be from 1 to {MAX_ACK_MS}"));
    }
    Some(Memory {
        weaviate: memory.weaviate.as_ref().map(|weaviate| of_weaviate(weaviate, secret, errors)),
        max_bytes: usize::try_from(memory.max_bytes).unwrap_or(usize::MAX),
        ack_within: (memory.ack == Ack::Strict).then(|| Duration::from_millis(memory.ack_timeout_ms)),
        redactor: redactor(memory, errors)?,
    })
}

fn of_weaviate(
    weaviate: &WeaviateConfig,
    secret: &dyn Fn(&str) -> Option<String>,
    errors: &mut Errors,
) -> Weaviate {
    check_target("memory.weaviate.target", &weaviate.target, errors);
    let authorization = weaviate.key_env.as_ref().and_then(|name| match secret(name) {
        Some(key) if !key.is_empty() && key.bytes().all(|b| b.is_ascii_graphic()) => {
            Some(Secret::new(format!("Bearer {key}").into_bytes()))
        }
        _ => {
            errors.add(
                "memory.weaviate.key_env",
                format!("the VM's environment variable {name} holds no key: set WEAVIATE_API_KEY"),
            );
            None
        }
    });
    Weaviate { target: target(&weaviate.target), authorization, has_tenants: weaviate.tenants }
}

fn redactor(memory: &MemoryConfig, errors: &mut Errors) -> Option<Redactor> {
    let custom = &memory.redaction.custom;
    if custom.len() > MAX_CUSTOM {
        errors.add("memory.redaction.custom", format!("at most {MAX_CUSTOM}"));
        return None;
    }
    let rules = Rules {
        national_ids: memory.redaction.national_ids,
        custom: custom
            .iter()
            .map(|custom| CustomPattern { kind: custom.kind.clone(), pattern: custom.pattern.clone() })
            .collect(),
    };
    Redactor::new(&rules)
        .map_err(|bad| errors.add(format!("memory.redaction.custom[{}]", bad.at), bad.problem))
        .ok()
}

/// The spaces, for the first issuer's callers.
pub(super) fn spaces(config: &PluginConfig, errors: &mut Errors) -> Box<[Space]> {
    let Some(memory) = &config.memory else { return Box::default() };
    if memory.spaces.len() > MAX_SPACES {
        errors.add("memory.spaces", format!("at most {MAX_SPACES}"));
    }
    if !memory.spaces.is_empty() && config.issuers.is_empty() {
        errors.add("memory.spaces", "need an issuer, whose claims admit to them");
    }
    for (at, space) in memory.spaces.iter().enumerate() {
        if !is_space_name(&space.name) {
            errors.add(
                format!("memory.spaces[{at}].name"),
                "must be 1 to 64 lower-case letters, digits, '-' and '_'",
            );
        }
        if space.claim.is_empty() || space.value.is_empty() {
            errors.add(format!("memory.spaces[{at}]"), "needs a claim and its value");
        }
    }
    memory
        .spaces
        .iter()
        .map(|space| Space {
            name: space.name.as_str().into(),
            claim: space.claim.as_str().into(),
            value: space.value.as_str().into(),
        })
        .collect()
}

/// Whether a space can be called that.
#[must_use]
pub fn is_space_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
}
