//! What somebody else must say before a request goes on: a token in exchange, or whether it was used before.

use core::time::Duration;

use super::Pending;
use crate::authn::verdict::OneUse;
use crate::authn::{Refusal, exchange};
use crate::json;
use crate::keys::discovery::Target;
use crate::stream::stop::Stop;
use crate::stream::{Answer, Effect, Env, Flow, Output, Question, Stream};

/// How long a token endpoint may take.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long control may take to say whether something was used before.
const ONCE_TIMEOUT: Duration = Duration::from_secs(2);
/// Where control says so.
const ONCE_PATH: &str = "/internal/replay";

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// For a token, with that exchange.
    Exchange(usize),
    /// Whether it was used before.
    Once,
}

impl Pending {
    /// Asks for a token in exchange for the caller's.
    pub(super) fn ask_exchange(
        mut self: Box<Self>,
        env: &Env<'_>,
        at: usize,
        issuer: &str,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        let exchange = env.policy.schemes.exchanges.get(at).ok_or(Stop::Fault)?;
        let token = self.token.as_deref().ok_or(Stop::Fault)?;
        out.effect(Effect::Ask(Question {
            target: exchange.endpoint.clone(),
            content_type: "application/x-www-form-urlencoded",
            with_secret: false,
            body: exchange.form(token, issuer),
            timeout: EXCHANGE_TIMEOUT,
        }));
        self.asked = Some(Asked::Exchange(at));
        Ok((Stream::Asking(self), Flow::Pause))
    }

    /// Goes on with the answer.
    pub(super) fn answered(
        mut self: Box<Self>,
        env: &mut Env<'_>,
        answer: Option<Answer<'_>>,
        out: &mut dyn Output,
    ) -> Result<(Stream, Flow), Stop> {
        match self.asked.take() {
            Some(Asked::Exchange(at)) => match answer {
                Some(Answer { status: 200..=299, body }) => {
                    let token = exchange::token_of(body).map_err(Stop::Refused)?;
                    self.exchanged = Some((at, token));
                }
                // RFC 6749 section 5.2: the endpoint has judged the token; anything else is its own trouble.
                Some(Answer { status: 400 | 401 | 403, .. }) => {
                    if let Some(token) = &self.token {
                        env.tokens.refuse(token.as_bytes(), env.now);
                    }
                    return Err(Stop::Refused(Refusal::ExchangeRefused));
                }
                _ => return Err(Stop::ExchangeUnavailable),
            },
            Some(Asked::Once) => {
                let fresh = match answer {
                    Some(Answer { status: 200, body }) => json::object(body)
                        .ok()
                        .and_then(|answer| answer.get("fresh").and_then(json::Value::as_bool)),
                    _ => None,
                };
                let uses = self.verified.as_mut().map(|verified| &mut verified.uses).ok_or(Stop::Fault)?;
                if uses.is_empty() {
                    return Err(Stop::Fault);
                }
                let one = uses.remove(0);
                match fresh {
                    Some(true) => {}
                    Some(false) => return Err(Stop::Refused(one.otherwise)),
                    None => return Err(Stop::OnceUnknown),
                }
            }
            None => return Err(Stop::Fault),
        }
        self.advance(env, out)
    }
}

/// Asks control whether something was used before, at whichever Envoy.
pub(super) fn ask_once(env: &Env<'_>, one: &OneUse) -> Result<Question, Stop> {
    let control = env.policy.control.as_ref().ok_or(Stop::OnceUnknown)?;
    let key = crate::crypto::to_hex(&one.key);
    Ok(Question {
        target: Target { path: ONCE_PATH.into(), ..control.clone() },
        content_type: "application/json",
        with_secret: true,
        body: serde_json::json!({ "key": key, "until": one.until }).to_string().into_bytes(),
        timeout: ONCE_TIMEOUT,
    })
}
