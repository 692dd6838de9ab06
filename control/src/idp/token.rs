//! `POST /oauth/token`: client credentials, and codes with their verifiers (RFC 6749 section 3.2).

use std::time::Instant;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::form_urlencoded;

use super::State;
use super::codes::Grant;
use super::error::{Code, Refusal};
use super::mint::{Wish, access_token, id_token, unix_now};
use super::params::{Params, is_name};

/// Seconds that a token lives when its asker does not say.
const DEFAULT_LIFE: u64 = 60 * 60;

/// The most seconds that a token lives.
const MAX_LIFE: u64 = 24 * 60 * 60;

/// The answer (RFC 6749 section 5.1).
#[derive(Serialize)]
struct Granted {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<String>,
}

pub(super) async fn endpoint(
    Extract(state): Extract<State>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return rejection.into_response(),
    };
    let answer = match grant(&state, &headers, &body) {
        Ok(granted) => Json(granted).into_response(),
        Err(refusal) => {
            tracing::info!(error = refusal.code.as_str(), reason = refusal.description, "no token");
            refusal.into_response()
        }
    };
    ([(header::CACHE_CONTROL, "no-store"), (header::PRAGMA, "no-cache")], answer).into_response()
}

fn grant(state: &State, headers: &HeaderMap, body: &[u8]) -> Result<Granted, Refusal> {
    let params = parse(headers, body)?;
    let grant_type = params.required("grant_type")?;
    let client_id = client(headers, &params)?;
    let lifetime = lifetime(&params)?;
    match grant_type {
        "client_credentials" => client_credentials(state, &params, &client_id, lifetime),
        "authorization_code" => authorization_code(state, &params, &client_id, lifetime),
        _ => Err(Refusal::new(
            Code::UnsupportedGrantType,
            "grant_type must be client_credentials or authorization_code",
        )),
    }
}

fn client_credentials(
    state: &State,
    params: &Params,
    client_id: &str,
    lifetime: u64,
) -> Result<Granted, Refusal> {
    let subject = match (params.one("sub")?, params.one("username")?) {
        (Some(sub), Some(username)) if sub != username => {
            return Err(Refusal::request("sub and username name two users: send one of them"));
        }
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => client_id,
    };
    // Control characters are let through: what the gateway does with such a name has to be testable.
    if subject.chars().count() > 255 {
        return Err(Refusal::request("sub is at most 255 characters"));
    }
    let (audiences, scope) = (params.audiences()?, params.scope()?);
    let wish = Wish { subject, client_id, audiences: &audiences, scope: &scope, lifetime };
    let access_token = access_token(state, wish, unix_now())?;
    Ok(Granted { access_token, token_type: "Bearer", expires_in: lifetime, scope, id_token: None })
}

fn authorization_code(
    state: &State,
    params: &Params,
    client_id: &str,
    lifetime: u64,
) -> Result<Granted, Refusal> {
    let code = params.required("code")?;
    let redirect_uri = params.required("redirect_uri")?;
    let verifier = params.required("code_verifier")?;
    let asked = params.audiences()?;
    // From here on the code is spent, so that nobody may try one verifier after another.
    let taken = state.codes().take(code, Instant::now());
    let refused = |text| Refusal::new(Code::InvalidGrant, text);
    let grant =
        taken.ok_or_else(|| refused("the code is unknown, was used before, or is older than a minute"))?;
    if grant.client_id != client_id {
        return Err(refused("the code was issued to another client"));
    }
    if grant.redirect_uri != redirect_uri {
        return Err(refused("redirect_uri is not the one that the code was sent to"));
    }
    if !verifies(verifier, &grant) {
        return Err(refused("code_verifier does not fit code_challenge"));
    }
    let audiences = narrowed(&grant, asked)?;
    let scope = grant.scope.as_str();
    let wish = Wish { subject: &grant.subject, client_id, audiences: &audiences, scope, lifetime };
    let now = unix_now();
    let access_token = access_token(state, wish, now)?;
    let id_token = match scope.split(' ').any(|word| word == "openid") {
        true => Some(id_token(state, &grant, &access_token, lifetime, now)?),
        false => None,
    };
    Ok(Granted { access_token, token_type: "Bearer", expires_in: lifetime, scope: grant.scope, id_token })
}

/// RFC 7636 sections 4.1 and 4.6.
fn verifies(verifier: &str, grant: &Grant) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(legal)
        && bool::from(digest.as_bytes().ct_eq(grant.challenge.as_bytes()))
}

/// RFC 8707 section 2.2: a token may be for less than was granted, not for more. Where nothing was named at
/// the authorization endpoint nothing was limited there.
fn narrowed(grant: &Grant, asked: Vec<String>) -> Result<Vec<String>, Refusal> {
    if asked.is_empty() {
        return Ok(grant.audiences.clone());
    }
    if !grant.audiences.is_empty() && asked.iter().any(|audience| !grant.audiences.contains(audience)) {
        return Err(Refusal::new(Code::InvalidTarget, "the code was granted for another audience"));
    }
    Ok(asked)
}

fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Params, Refusal> {
    let media_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "application/x-www-form-urlencoded" => Ok(Params::from_form(body)),
        "application/json" => Params::from_json(body),
        _ => Err(Refusal::request(
            "Content-Type must be application/x-www-form-urlencoded or application/json",
        )),
    }
}

/// The client's id, from the body or from Basic credentials (RFC 6749 section 2.3.1). Any secret will do, and
/// none as well.
fn client(headers: &HeaderMap, params: &Params) -> Result<String, Refusal> {
    let refused = |text| Refusal::new(Code::InvalidClient, text);
    let in_body = params.one("client_id")?;
    let secret_in_body = params.one("client_secret")?.is_some();
    let mut credentials = headers.get_all(header::AUTHORIZATION).iter();
    let client_id = match (credentials.next(), credentials.next()) {
        (None, _) => in_body.ok_or_else(|| refused("client_id is missing: any will do"))?.to_owned(),
        (Some(value), None) => {
            let basic = value.to_str().ok().and_then(basic);
            let client_id = basic.ok_or_else(|| refused("Authorization must be Basic credentials"))?;
            if secret_in_body || in_body.is_some_and(|other| other != client_id) {
                return Err(Refusal::request("send client credentials in one place"));
            }
            client_id
        }
        (Some(_), Some(_)) => return Err(Refusal::request("Authorization is given more than once")),
    };
    if !is_name(&client_id) {
        return Err(refused("client_id is 1 to 255 characters without control characters"));
    }
    Ok(client_id)
}

/// The user of `Basic` credentials. Each half is form-encoded within the base64.
fn basic(value: &str) -> Option<String> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, _secret) = decoded.split_once(':')?;
    // The parser takes pairs: the whole text is the name of one whose value is empty.
    let user = user.replace('=', "%3D").replace('&', "%26");
    Some(form_urlencoded::parse(user.as_bytes()).next()?.0.into_owned())
}

fn lifetime(params: &Params) -> Result<u64, Refusal> {
    let Some(text) = params.one("expires_in")? else { return Ok(DEFAULT_LIFE) };
    match text.parse() {
        Ok(seconds @ 1..=MAX_LIFE) => Ok(seconds),
        _ => Err(Refusal::request(format!("expires_in is 1 to {MAX_LIFE} seconds"))),
    }
}
