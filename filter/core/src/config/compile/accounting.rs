//! What calls may cost: limits, where they live, and who is told.

use super::Errors;
use super::schemes::user_pattern;
use crate::authn::grants::UserPattern;
use crate::config::PluginConfig;
use crate::config::accounting::{
    AccountingConfig, Consistency, LimitConfig, RouteTokensConfig, WindowConfig, WindowsConfig,
};
use crate::llm::bpe::Encoding;
use crate::llm::request::cap::CapField;
use crate::policy::accounting::{Accounting, LimitRule, RouteTokens};
use crate::policy::model::Whom;
use crate::quota::{Home, Limit, Window};

/// The most limits; each is looked at for a new token.
const MAX_LIMITS: usize = 256;
/// A day: what is longer is a calendar's.
const MAX_SLIDING_SECONDS: u32 = 86_400;
/// So much that nothing which is added to it overflows.
const MAX_TOKENS: u64 = 1_000_000_000_000_000;
/// A body is held in Envoy's memory, and its connection's.
const MAX_REQUEST_BYTES: u64 = 64 * 1024 * 1024;
/// More than any model answers.
const MAX_OUTPUT: u64 = 10_000_000;

pub(super) fn accounting(config: &PluginConfig, errors: &mut Errors) -> Option<Accounting> {
    let accounting = config.accounting.as_ref()?;
    if accounting.limits.len() > MAX_LIMITS {
        errors.add("accounting.limits", format!("at most {MAX_LIMITS}"));
    }
    if !(1024..=MAX_REQUEST_BYTES).contains(&accounting.max_request_bytes) {
        errors.add("accounting.max_request_bytes", format!("must be from 1024 to {MAX_REQUEST_BYTES}"));
    }
    if !(1..=MAX_OUTPUT).contains(&accounting.default_output) {
        errors.add("accounting.default_output", format!("must be from 1 to {MAX_OUTPUT}"));
    }
    let encoding = accounting.encoding.as_deref().and_then(|name| {
        let encoding = Encoding::parse(name);
        if encoding.is_none() {
            errors.add("accounting.encoding", format!("{name:?} is neither cl100k_base nor o200k_base"));
        }
        encoding
    });
    let limits: Vec<LimitRule> = accounting
        .limits
        .iter()
        .enumerate()
        .filter_map(|(at, limit)| rule(at, limit, config, accounting, errors))
        .collect();
    let at_control = limits.iter().any(|rule| rule.limit.home == Home::Control);
    if config.control.target.is_none() && at_control {
        errors.add("control.target", "is needed for limits by the day or the month, and for shared ones");
    }
    Some(Accounting {
        encoding,
        counts_all: accounting.count_all,
        default_output: accounting.default_output,
        limits,
        strict: accounting.consistency == Consistency::Strict,
        failure_mode: accounting.failure_mode,
        usage_injection: accounting.usage_injection,
        usage_headers: accounting.usage_headers,
        log_usage: accounting.log_usage,
        chat_is_openai: accounting.chat_is_openai,
    })
}

fn rule(
    at: usize,
    limit: &LimitConfig,
    config: &PluginConfig,
    accounting: &AccountingConfig,
    errors: &mut Errors,
) -> Option<LimitRule> {
    let path = |field: &str| format!("accounting.limits[{at}].{field}");
    let is_fit = (1..=64).contains(&limit.name.len())
        && limit
            .name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
    if !is_fit {
        errors.add(path("name"), "must be 1 to 64 lower-case letters, digits, '-' and '_'");
    }
    if accounting.limits.iter().take(at).any(|earlier| earlier.name == limit.name) {
        errors.add(path("name"), "stands here twice");
    }
    if !(1..=MAX_TOKENS).contains(&limit.tokens) {
        errors.add(path("tokens"), format!("must be from 1 to {MAX_TOKENS}"));
    }
    let whom = match (&limit.user, &limit.claim) {
        (None, None) => None,
        (Some(user), None) => Some(Whom::User(user_pattern(&path("user"), user, errors))),
        (None, Some(claim)) => {
            let mapped = config.issuers.iter().flat_map(|issuer| &issuer.claim_headers);
            if !mapped.into_iter().any(|mapping| mapping.header == claim.header) {
                errors.add(path("claim.header"), "no issuer's claim travels in that header");
            }
            Some(Whom::Claim { header: claim.header.as_str().into(), value: claim.value.as_str().into() })
        }
        (Some(_), Some(_)) => {
            errors.add(path("user"), "user and claim exclude each other: give each an entry of its own");
            return None;
        }
    };
    for (field, value) in [("project", &limit.project), ("model", &limit.model)] {
        if value.as_deref().is_some_and(|value| value.is_empty() || value.len() > 128) {
            errors.add(path(field), "must be 1 to 128 characters");
        }
    }
    let window = match limit.window {
        WindowConfig::Sliding(seconds) => match u32::try_from(seconds) {
            Ok(seconds) if (1..=MAX_SLIDING_SECONDS).contains(&seconds) => Window::Sliding(seconds),
            _ => {
                errors.add(path("window"), format!("must be from 1 to {MAX_SLIDING_SECONDS} seconds"));
                return None;
            }
        },
        WindowConfig::Day => Window::Day,
        WindowConfig::Month => Window::Month,
    };
    let home = match (window, accounting.windows) {
        (Window::Sliding(_), WindowsConfig::Envoy) => Home::Shared,
        _ => Home::Control,
    };
    Some(LimitRule {
        whom,
        project: limit.project.as_deref().map(Into::into),
        model: limit.model.as_deref().map(UserPattern::new),
        is_shared: limit.shared,
        limit: Limit { name: limit.name.as_str().into(), tokens: limit.tokens, window, home },
    })
}

pub(super) fn route_tokens(path: &str, tokens: &RouteTokensConfig, errors: &mut Errors) -> RouteTokens {
    if tokens.flat_charge.is_some_and(|charge| charge > MAX_TOKENS) {
        errors.add(format!("{path}.flat_charge"), format!("must be at most {MAX_TOKENS}"));
    }
    let cap_field = tokens.cap_field.as_deref().map(|name| (name, CapField::parse(name)));
    if let Some((name, None)) = cap_field {
        errors.add(
            format!("{path}.cap_field"),
            format!("{name:?} caps no engine's answers; max_completion_tokens or options.num_predict do"),
        );
    }
    RouteTokens {
        count: tokens.count,
        usage_injection: tokens.usage_injection,
        cap_field: cap_field.and_then(|(_, field)| field),
        failure_mode: tokens.failure_mode,
        flat_charge: tokens.flat_charge,
    }
}
