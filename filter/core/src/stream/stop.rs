//! Why a request goes no further, and what its client is told: the one table of replies.

use std::rc::Rc;

use super::Env;
use super::over::OverLimit;
use crate::authn::Refusal;
use crate::authn::verdict::Failure;
use crate::policy::Policy;
use crate::reply::LocalReply;

/// The end of a request in the filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The credential was refused: the caller's fault.
    Refused(Refusal),
    /// rotagent's `Unknown Issuer`: the caller's fault.
    UnknownIssuer(Box<str>),
    /// The issuer's keys cannot be had: nobody's fault who could read this. Seconds to wait.
    NoKeys(u64),
    /// The caller lacks this scope: the caller's fault, or whoever gave the token.
    Scope(Box<str>),
    /// The model is not the caller's to use.
    Model,
    /// No model is named, or not so that every engine would read the same: the caller's fault.
    ModelUnnamed,
    /// The body did not come in time while it was to be judged: the caller's fault.
    BodyLate,
    /// The body is larger than this many bytes, too large to be kept while it is judged: the caller's fault.
    BodyTooLarge(usize),
    /// The body is in a coding that is not read: the caller's fault.
    BodyEncoded,
    /// The body cannot be read as what it must be to be counted: the caller's fault.
    BodyUnreadable,
    /// What the call states to be its cap is more than the limit, and its body must stay as it is.
    CapBound,
    /// The budget is used up.
    OverLimit(Box<OverLimit>),
    /// Nobody can be asked about the caller's limits.
    QuotaUnavailable,
    /// Nobody takes the records of calls, and there is no room for more.
    RecordsFull,
    /// What an exchange costs cannot be counted, and the caller's use is limited.
    Uncountable,
    /// So much of the body came while keys were waited for that it cannot be kept. Seconds to wait.
    Busy(u64),
    /// Nobody can tell whether the credential was used before.
    OnceUnknown,
    /// The token endpoint does not answer, or not with an answer.
    ExchangeUnavailable,
    /// The path could be read in two ways: the caller's fault.
    Path,
    /// The filter's own route has no such method: the caller's fault.
    Method,
    /// The health check: nobody can be verified.
    Unhealthy,
    /// The filter's own fault.
    Fault,
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => Self::Refused(refusal),
            Failure::NoKeys(seconds) => Self::NoKeys(seconds),
            Failure::Wait => Self::NoKeys(1),
            Failure::UnknownIssuer(issuer) => Self::UnknownIssuer(issuer),
        }
    }
}

impl Stop {
    /// What the log says of a budget that is used up.
    pub(super) const OVER_LIMIT: &'static str = "token_quota";

    /// The end of a wait for keys that did not come in time: with other keys there, the token's is unknown.
    pub(super) fn late(env: &Env<'_>, token: Option<&str>, is_signed: bool) -> Self {
        let directories = env.policy.schemes.httpsig.as_ref().map(|rules| &rules.directories);
        if token.is_none()
            && is_signed
            && directories.is_some_and(|directories| {
                let mut sources = directories.iter().map(|directory| directory.source);
                sources.any(|source| env.keys.get(source).is_some_and(|keys| keys.can_verify(env.now)))
            })
        {
            return Self::Refused(Refusal::SignatureKeyUnknown);
        }
        let jws = token.and_then(|token| crate::authn::jws::Jws::parse(token).ok());
        let issuer = jws.and_then(|jws| {
            let issuer = crate::authn::oidc::without_slash(jws.claims.str("iss")?);
            env.policy.schemes.providers.iter().position(|provider| *provider.issuer == *issuer)
        });
        match issuer.and_then(|at| env.keys.get(at)) {
            Some(keys) if keys.serves(env.now) => Self::Refused(Refusal::KeyUnknown),
            Some(keys) => Self::NoKeys(keys.retry_after(env.now)),
            None => Self::NoKeys(1),
        }
    }

    /// What the log says.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::UnknownIssuer(_) => "rotagent_unknown_issuer",
            Self::NoKeys(_) => "keys_unavailable",
            Self::Scope(_) => "scope_missing",
            Self::Model => "model_forbidden",
            Self::ModelUnnamed => "model_unnamed",
            Self::BodyLate => "body_late",
            Self::BodyTooLarge(_) => "body_too_large",
            Self::BodyEncoded => "body_encoded",
            Self::BodyUnreadable => "body_unreadable",
            Self::CapBound => "cap_bound",
            Self::OverLimit(_) => Self::OVER_LIMIT,
            Self::QuotaUnavailable => "quota_unavailable",
            Self::RecordsFull => "records_full",
            Self::Uncountable => "uncountable",
            Self::Busy(_) => "body_before_keys",
            Self::OnceUnknown => "once_unknown",
            Self::ExchangeUnavailable => "exchange_unavailable",
            Self::Path => "path_ambiguous",
            Self::Method => "method_not_allowed",
            Self::Unhealthy => "unhealthy",
            Self::Fault => "filter_fault",
        }
    }

    /// The reason as a metric's label: one of a fixed set.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.label(),
            other => other.code(),
        }
    }

    /// The reason, where shadow mode lets the request go on and counts it.
    pub(super) fn would_deny(&self) -> Option<&'static str> {
        match self {
            Self::Refused(refusal) => Some(refusal.label()),
            Self::UnknownIssuer(_)
            | Self::NoKeys(_)
            | Self::Scope(_)
            | Self::Model
            | Self::ModelUnnamed
            | Self::OnceUnknown
            | Self::ExchangeUnavailable => Some(self.code()),
            Self::BodyLate
            | Self::BodyTooLarge(_)
            | Self::BodyEncoded
            | Self::BodyUnreadable
            | Self::CapBound
            | Self::OverLimit(_)
            | Self::QuotaUnavailable
            | Self::RecordsFull
            | Self::Uncountable
            | Self::Busy(_)
            | Self::Path
            | Self::Method
            | Self::Unhealthy
            | Self::Fault => None,
        }
    }

    /// What the client is told.
    #[must_use]
    pub fn reply(self, replies: &Replies) -> Rc<LocalReply> {
        let reply = match self {
            Self::Refused(refusal) => return replies.refused(refusal),
            Self::UnknownIssuer(issuer) => {
                let text = format!("Unknown Issuer: {issuer}");
                let body = serde_json::json!({ "error": text, "detail": text });
                LocalReply::json(401, body.to_string())
                    .with("www-authenticate", replies.challenge("invalid_token", "Unknown issuer", None))
            }
            Self::Scope(scope) => {
                LocalReply::detail(403, &format!("The token lacks the scope {scope}")).with(
                    "www-authenticate",
                    replies.challenge("insufficient_scope", "The token lacks a scope", Some(&scope)),
                )
            }
            Self::Model => LocalReply::detail(403, "You may not use this model").with(
                "www-authenticate",
                replies.challenge("insufficient_scope", "The model is not allowed", None),
            ),
            Self::ModelUnnamed => LocalReply::detail(
                403,
                "You may use certain models only, so the body must be JSON that names one, once, as \"model\"",
            )
            .with(
                "www-authenticate",
                replies.challenge("insufficient_scope", "The request names no model", None),
            ),
            Self::BodyLate => LocalReply::detail(408, "The body did not come within 30 seconds"),
            Self::BodyTooLarge(limit) => LocalReply::json(
                413,
                serde_json::json!({ "detail": "request too large", "limit_bytes": limit }).to_string(),
            ),
            Self::BodyEncoded => LocalReply::detail(
                415,
                "The body's tokens must be counted: send it without a content-encoding",
            )
            .with("accept-encoding", "identity"),
            Self::BodyUnreadable => {
                LocalReply::detail(400, "The body's tokens must be counted: it must be JSON")
            }
            Self::CapBound => LocalReply::detail(
                400,
                "The call states a larger cap than its caller's limit, and its signed body cannot be changed",
            ),
            Self::OverLimit(over) => over.reply(),
            Self::QuotaUnavailable => {
                LocalReply::detail(503, "The gateway cannot tell how much of your limits is left; try again")
                    .with("retry-after", "1")
            }
            Self::RecordsFull => {
                LocalReply::detail(503, "The gateway cannot record what calls cost at the moment; try again")
                    .with("retry-after", "1")
            }
            Self::Uncountable => LocalReply::detail(
                403,
                "What goes through an upgraded or gRPC connection cannot be counted, and this use must be",
            ),
            Self::Busy(seconds) => {
                LocalReply::detail(503, "The gateway is getting its issuer's keys; try again")
                    .with("retry-after", seconds.to_string())
            }
            Self::OnceUnknown => {
                LocalReply::detail(503, "The gateway cannot tell whether this was used before; try again")
                    .with("retry-after", "1")
            }
            Self::ExchangeUnavailable => {
                LocalReply::detail(503, "The token cannot be exchanged at the moment; try again")
                    .with("retry-after", "1")
            }
            Self::NoKeys(seconds) => {
                LocalReply::detail(503, "The token's issuer cannot be reached to verify it; try again")
                    .with("retry-after", seconds.to_string())
            }
            Self::Path => LocalReply::detail(400, "The path is ambiguous: write it in its plain form"),
            Self::Method => {
                LocalReply::detail(405, "Only GET and HEAD are answered here").with("allow", "GET, HEAD")
            }
            Self::Unhealthy => LocalReply::detail(503, "No issuer's keys are loaded: nobody can be verified")
                .with("retry-after", "1"),
            Self::Fault => LocalReply::detail(500, "The gateway failed on this request"),
        };
        Rc::new(reply)
    }
}

/// The answers to refused credentials, written once: whoever sends rubbish costs no more than he must.
#[derive(Debug)]
pub struct Replies {
    resource_metadata: Box<str>,
    refused: Vec<(Refusal, Rc<LocalReply>)>,
}

impl Replies {
    /// The answers of a gateway with this policy.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        let refused =
            Refusal::ALL.iter().map(|refusal| (*refusal, Rc::new(refused(*refusal, policy)))).collect();
        Self { resource_metadata: policy.resource_metadata.clone(), refused }
    }

    fn challenge(&self, error: &str, description: &str, scope: Option<&str>) -> String {
        challenge(&self.resource_metadata, error, description, scope)
    }

    fn refused(&self, refusal: Refusal) -> Rc<LocalReply> {
        match self.refused.iter().find(|(reason, _)| *reason == refusal) {
            Some((_, reply)) => Rc::clone(reply),
            // Every reason is in the list; the test of it would fail first.
            None => Rc::new(LocalReply::detail(401, refusal.detail())),
        }
    }
}

fn refused(refusal: Refusal, policy: &Policy) -> LocalReply {
    let detail = refusal.detail();
    // rotagent's clients look for `error`, the gateway's for `detail`.
    let body = match policy.schemes.rotagent {
        Some(_) => serde_json::json!({ "error": detail, "detail": detail }),
        None => serde_json::json!({ "detail": detail }),
    };
    if refusal == Refusal::RotagentReplay {
        return LocalReply::json(429, body.to_string());
    }
    LocalReply::json(401, body.to_string())
        .with("www-authenticate", challenge(&policy.resource_metadata, refusal.oauth_error(), detail, None))
}

/// RFC 6750 section 3, RFC 9728 section 5.1. None of the parts can hold a quote.
fn challenge(metadata: &str, error: &str, description: &str, scope: Option<&str>) -> String {
    let scope = scope.map_or(String::new(), |scope| format!(", scope=\"{scope}\""));
    format!(
        "Bearer error=\"{error}\", error_description=\"{description}\"{scope}, resource_metadata=\"{metadata}\""
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_explanation_breaks_the_challenge_it_stands_in() {
        for refusal in Refusal::ALL {
            assert!(refusal.detail().bytes().all(|b| matches!(b, 0x20..=0x7e) && b != b'"' && b != b'\\'));
        }
    }
}
