//! `/authorize`: a form that asks for a name, and the code that goes back to the client.

use std::time::Instant;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{RawQuery, State as Extract};
use axum::http::header;
use axum::response::{IntoResponse, Redirect, Response};
use url::Url;

use super::codes::Grant;
use super::error::{Code, Refusal};
use super::mint::unix_now;
use super::params::{Params, is_name};
use super::request::{AuthorizationRequest, Flaw, Prompt, Return};
use super::{State, page};

/// `GET`: shows the form, or answers at once where the client asked for that (`prompt=none`).
pub(super) async fn show(Extract(state): Extract<State>, RawQuery(query): RawQuery) -> Response {
    let params = Params::from_form(query.unwrap_or_default().as_bytes());
    let request = match AuthorizationRequest::parse(params) {
        Ok(request) => request,
        Err(flaw) => return refuse(&state, flaw),
    };
    match (request.prompt, &request.login_hint) {
        (Prompt::Form, _) => page::login(&request, None),
        (Prompt::None, Some(user)) => grant(&state, &request, user),
        (Prompt::None, None) => {
            let refusal =
                Refusal::new(Code::LoginRequired, "prompt=none needs a login_hint: nobody stays logged in");
            refuse(&state, Flaw::Client(Box::new(request.to), refusal))
        }
    }
}

/// `POST`: the form, with the request that it repeats.
pub(super) async fn submit(Extract(state): Extract<State>, body: Result<Bytes, BytesRejection>) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return rejection.into_response(),
    };
    let params = Params::from_form(&body);
    let username = match params.one("username") {
        Ok(username) => username.map(|name| name.trim().to_owned()).unwrap_or_default(),
        Err(refusal) => return page::refusal(&refusal.description),
    };
    match AuthorizationRequest::parse(params) {
        Ok(request) if is_name(&username) => grant(&state, &request, &username),
        Ok(request) => page::login(&request, Some("Choose a name of 1 to 255 characters.")),
        Err(flaw) => refuse(&state, flaw),
    }
}

fn grant(state: &State, request: &AuthorizationRequest, user: &str) -> Response {
    let grant = Grant {
        client_id: request.client_id.clone(),
        redirect_uri: request.redirect_uri.clone(),
        challenge: request.challenge.clone(),
        subject: user.to_owned(),
        scope: request.scope.clone(),
        audiences: request.audiences.clone(),
        nonce: request.nonce.clone(),
        auth_time: unix_now(),
    };
    let issued = state.codes().issue(grant, Instant::now());
    match issued {
        Ok(code) => back(state, &request.to, &[("code", &code)]),
        Err(error) => refuse(state, Flaw::Client(Box::new(request.to.clone()), error.into())),
    }
}

fn refuse(state: &State, flaw: Flaw) -> Response {
    match flaw {
        Flaw::Page(refusal) => page::refusal(&refusal.description),
        Flaw::Client(to, refusal) => {
            let answer = [("error", refusal.code.as_str()), ("error_description", &refusal.description)];
            back(state, &to, &answer)
        }
    }
}

fn back(state: &State, to: &Return, answer: &[(&str, &str)]) -> Response {
    let url: Url = to.with(answer, state.issuer().as_str());
    // 303: the form's POST must not be repeated at the client (RFC 9700 section 4.12).
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::REFERRER_POLICY, "no-referrer")];
    (headers, Redirect::to(url.as_str())).into_response()
}
