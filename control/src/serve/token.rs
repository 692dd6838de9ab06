//! `POST /auth/token`: an agent swaps the statement about a user that came with a request for a short token
//! with which it may call back on that user's account (RFC 8693).
//!
//! The agent authenticates at the gateway with its own credential, so the filter's stamp says who it is; the
//! statement must be addressed to the target that `A2A_AGENTS` gives that identity. The token is for this
//! gateway alone, names the agent beside the user, grants nothing that the user was not granted and ends when
//! the user's own credential ends, after fifteen minutes at most.

mod assertion;
mod form;
mod refusal;

use attach_core::crypto::to_base64url;
use axum::body::Bytes;
use axum::extract;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use std::collections::BTreeMap;

use super::{State, reply};
use crate::clock::unix_now;
use crate::trust::{Caller, Stranger};
use assertion::{Assertion, Claim};
use form::Form;
use refusal::{Code, Refusal};

/// The most bytes of a request.
pub(super) const MAX_BYTES: usize = 16 * 1024;
/// The longest that a token lives, in seconds.
const LIFETIME: u64 = 15 * 60;
/// What a token is (RFC 8693 section 3).
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The answer (RFC 8693 section 2.2.1).
#[derive(Debug, Serialize)]
struct Granted {
    access_token: String,
    issued_token_type: &'static str,
    token_type: &'static str,
    expires_in: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: String,
}

/// A token's claims (RFC 9068 section 2.2, RFC 8693 section 4).
#[derive(Debug, Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    act: Actor<'a>,
    client_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    scope: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    claims: &'a BTreeMap<String, Claim>,
    iat: u64,
    exp: u64,
    jti: String,
}

/// Who acts. Within it whoever acted before: for the record, it grants nothing (RFC 8693 section 4.1).
#[derive(Debug, Serialize)]
struct Actor<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Box<Actor<'a>>>,
}

pub(super) async fn exchange(
    caller: Result<Caller, Stranger>,
    extract::State(state): extract::State<State>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Stranger> {
    let caller = caller?;
    let answer = match grant(&state, &caller, &headers, body, unix_now()) {
        Ok(granted) => {
            tracing::info!(
                agent = caller.user,
                seconds = granted.expires_in,
                "a token was given to an agent"
            );
            reply::json(StatusCode::OK, &granted)
        }
        Err(refusal) => {
            tracing::info!(
                agent = caller.user,
                error = refusal.code.as_str(),
                reason = refusal.text,
                "no token"
            );
            refusal.into_response()
        }
    };
    let uncached = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::PRAGMA, HeaderValue::from_static("no-cache")),
    ];
    Ok((uncached, answer).into_response())
}

/// Whatever is not `POST`; a stranger is not told even that.
pub(super) async fn other_method(caller: Result<Caller, Stranger>) -> Result<Response, Stranger> {
    caller?;
    let answer = reply::detail(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed");
    Ok(([(header::ALLOW, HeaderValue::from_static("POST"))], answer).into_response())
}

fn grant(
    state: &State,
    caller: &Caller,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
    now: u64,
) -> Result<Granted, Refusal> {
    let fixed = &state.fixed;
    if caller.agent.is_some() {
        return Err(Refusal::new(
            Code::UnauthorizedClient,
            "Whoever acts for a user cannot get a token for another: use the agent's own credential",
        ));
    }
    let targets = || fixed.agents.iter().filter(|(_, identity)| **identity == caller.user);
    if targets().next().is_none() {
        return Err(Refusal::new(
            Code::UnauthorizedClient,
            "No agent of this gateway has your identity: A2A_AGENTS names none for it",
        ));
    }
    let body = body.map_err(|_| Refusal::too_long())?;
    let form = Form::parse(headers, &body, &fixed.public_url)?;
    let assertion = Assertion::verify(&form.subject_token, &state.assertions, &fixed.public_url, now)?;
    if !targets().any(|(target, _)| *target == assertion.aud) {
        return Err(Refusal::new(Code::InvalidRequest, "subject_token is addressed to another than you"));
    }
    if assertion.user_exp <= now {
        return Err(Refusal::new(Code::InvalidGrant, "The user's own credential has expired"));
    }
    let scope = form.narrowed(&assertion.scope)?;
    let exp = assertion.user_exp.min(now.saturating_add(LIFETIME));
    let mut jti = [0; 16];
    getrandom::fill(&mut jti).map_err(|_| Refusal::server())?;
    let before = assertion.act.as_ref().map(|act| Box::new(Actor { sub: &act.sub, act: None }));
    let claims = Claims {
        iss: &fixed.public_url,
        aud: &fixed.public_url,
        sub: &assertion.sub,
        act: Actor { sub: &caller.user, act: before },
        client_id: &caller.user,
        scope: &scope,
        claims: &assertion.claims,
        iat: now,
        exp,
        jti: to_base64url(&jti),
    };
    let access_token = state.gateway.sign("at+jwt", &claims, now).map_err(|_| Refusal::server())?;
    Ok(Granted {
        access_token,
        issued_token_type: ACCESS_TOKEN,
        token_type: "Bearer",
        expires_in: exp.saturating_sub(now),
        scope,
    })
}

#[cfg(test)]
mod tests;
