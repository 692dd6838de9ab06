//! Why a request goes no further, and what its client is told: the one table of replies.

use std::rc::Rc;

use super::Env;
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
    /// The end of a wait for keys that did not come in time: with other keys there, the token's is unknown.
    pub(super) fn late(env: &Env<'_>, token: &str) -> Self {
        let issuer = crate::authn::jws::Jws::parse(token).ok().and_then(|jws| {
            let issuer = crate::authn::oidc::without_slash(jws.claims.str("iss")?);
            env.providers().iter().position(|provider| *provider.issuer == *issuer)
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
            Self::Path => "path_ambiguous",
            Self::Method => "method_not_allowed",
            Self::Unhealthy => "unhealthy",
            Self::Fault => "filter_fault",
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
    refused: Vec<(Refusal, Rc<LocalReply>)>,
}

impl Replies {
    /// The answers of a gateway with this policy.
    #[must_use]
    pub fn new(policy: &Policy) -> Self {
        let refused =
            Refusal::ALL.iter().map(|refusal| (*refusal, Rc::new(refused(*refusal, policy)))).collect();
        Self { refused }
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
    LocalReply::detail(401, refusal.detail()).with(
        "www-authenticate",
        // RFC 6750 section 3, RFC 9728 section 5.1. None of the parts can hold a quote.
        format!(
            "Bearer error=\"{}\", error_description=\"{}\", resource_metadata=\"{}\"",
            refusal.oauth_error(),
            refusal.detail(),
            policy.resource_metadata
        ),
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
