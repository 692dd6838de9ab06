//! What concerns the upstreams: targets, models, the assertion, control's address.

use super::schemes::user_pattern;
use super::{Errors, check_target, target};
use crate::authn::grants::UserPattern;
use crate::config::PluginConfig;
use crate::crypto::{SigningKey, base64url};
use crate::keys::discovery::Target;
use crate::policy::model::{ModelRule, Whom};
use crate::stamp::assertion::Signer;

/// The most rules about models; each is looked at for a new token.
const MAX_MODEL_RULES: usize = 256;
/// The most targets.
const MAX_TARGETS: usize = 256;

pub(super) fn models(config: &PluginConfig, errors: &mut Errors) -> Vec<ModelRule> {
    if config.models.len() > MAX_MODEL_RULES {
        errors.add("models", format!("at most {MAX_MODEL_RULES}"));
    }
    let mut rules = Vec::new();
    for (at, rule) in config.models.iter().enumerate() {
        let whom = match (&rule.user, &rule.claim) {
            (Some(user), None) => Whom::User(user_pattern(&format!("models[{at}].user"), user, errors)),
            (None, Some(claim)) => {
                let mapped = config.issuers.iter().flat_map(|issuer| &issuer.claim_headers);
                if !mapped.into_iter().any(|mapping| mapping.header == claim.header) {
                    errors.add(
                        format!("models[{at}].claim.header"),
                        "no issuer's claim travels in that header",
                    );
                }
                Whom::Claim { header: claim.header.as_str().into(), value: claim.value.as_str().into() }
            }
            _ => {
                errors.add(format!("models[{at}]"), "needs either user or claim");
                continue;
            }
        };
        let allow = rule.allow.iter().map(|model| UserPattern::new(model)).collect();
        rules.push(ModelRule { whom, allow });
    }
    rules
}

pub(super) fn signer(
    config: &PluginConfig,
    secret: &dyn Fn(&str) -> Option<String>,
    errors: &mut Errors,
) -> Option<Signer> {
    let name = &config.assertion.as_ref()?.key_env;
    let seed = secret(name).and_then(|text| base64url(text.trim().as_bytes()));
    match seed.and_then(|seed| seed.try_into().ok()) {
        Some(seed) => Some(Signer::new(SigningKey::from_seed(&seed), &config.public_url)),
        None => {
            errors.add(
                "assertion.key_env",
                format!("the VM's environment variable {name} must hold 32 bytes in base64url"),
            );
            None
        }
    }
}

pub(super) fn targets(config: &PluginConfig, errors: &mut Errors) -> Vec<Box<str>> {
    if config.targets.len() > MAX_TARGETS {
        errors.add("targets", format!("at most {MAX_TARGETS}"));
    }
    for (at, name) in config.targets.iter().enumerate() {
        let is_fit = !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && !matches!(name.as_str(), "engine" | "control");
        if !is_fit {
            errors.add(
                format!("targets[{at}]"),
                "must be at most 64 letters, digits, '-' and '_', and neither engine nor control",
            );
        }
        if config.targets.iter().take(at).any(|earlier| earlier == name) {
            errors.add(format!("targets[{at}]"), "stands here twice");
        }
    }
    config.targets.iter().map(|name| name.as_str().into()).collect()
}

pub(super) fn control(config: &PluginConfig, errors: &mut Errors) -> Option<Target> {
    if let Some(control) = &config.control.target {
        check_target("control.target", control, errors);
    } else if config.replay == crate::config::ReplayConfig::Control {
        errors.add("control.target", "is needed where control remembers what was used once");
    }
    config.control.target.as_ref().map(target)
}
