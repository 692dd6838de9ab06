//! What a caller is told whose budget is used up, and what anybody is told who asks after his own.

use std::rc::Rc;

use crate::clock::UnixMillis;
use crate::quota::book::{Refused, View};
use crate::quota::{Limit, Window};
use crate::reply::LocalReply;

/// A limit that a request does not fit into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverLimit {
    /// Its name.
    pub name: Box<str>,
    /// How much it is, in tokens.
    pub tokens: u64,
    /// In what time, in seconds.
    pub window: u64,
    /// How much of it is left.
    pub remaining: u64,
    /// Seconds after which there may be enough; `None`: the limit is smaller than the request.
    pub retry_after: Option<u64>,
}

impl OverLimit {
    pub(in crate::stream) fn new(limit: &Limit, refused: &Refused, now: UnixMillis) -> Self {
        Self {
            name: limit.name.clone(),
            tokens: limit.tokens,
            window: limit.window.seconds(now.seconds()),
            remaining: refused.view.remaining,
            retry_after: refused.retry_after,
        }
    }

    /// `429 Too Many Requests`, in the original's words, with the headers of the IETF draft on RateLimit header
    /// fields and those that OpenAI's clients read.
    pub(in crate::stream) fn reply(&self) -> LocalReply {
        let detail = match self.retry_after {
            Some(_) => "token quota exceeded".to_owned(),
            None => format!("token quota exceeded: the request alone is more than {} tokens", self.tokens),
        };
        let body = serde_json::json!({
            "detail": detail,
            "retry_after": self.retry_after,
            "limit": self.name,
        });
        let reset = self.retry_after.unwrap_or(self.window);
        let reply = LocalReply::json(429, body.to_string())
            .with("ratelimit-policy", format!("\"{}\";q={};w={}", self.name, self.tokens, self.window))
            .with("ratelimit", format!("\"{}\";r={};t={reset}", self.name, self.remaining))
            .with("x-ratelimit-limit-tokens", self.tokens.to_string())
            .with("x-ratelimit-remaining-tokens", self.remaining.to_string())
            .with("x-ratelimit-reset-tokens", format!("{reset}s"));
        match self.retry_after {
            Some(seconds) => reply.with("retry-after", seconds.to_string()),
            None => reply,
        }
    }
}

/// The answer to `GET /v1/quota/me`.
pub(in crate::stream) fn view(limits: &[(&Limit, View)]) -> Rc<LocalReply> {
    let limits: Vec<_> = limits
        .iter()
        .map(|(limit, view)| {
            serde_json::json!({
                "name": limit.name,
                "limit": limit.tokens,
                "window": match limit.window {
                    Window::Sliding(seconds) => serde_json::json!({ "seconds": seconds }),
                    Window::Day => serde_json::json!("day"),
                    Window::Month => serde_json::json!("month"),
                },
                "used": view.used,
                "held": view.held,
                "remaining": view.remaining,
                "reset": view.reset,
            })
        })
        .collect();
    let reply = LocalReply::json(200, serde_json::json!({ "limits": limits }).to_string());
    Rc::new(reply.with("cache-control", "no-store"))
}
