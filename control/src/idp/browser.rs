//! What keeps a web page from elsewhere from using a provider that trusts everyone.
//!
//! A page may send requests to 127.0.0.1, and, by rebinding its own name, may even read the answers. Its
//! requests then carry its name in `Host`: such are refused. Requests across origins are readable for pages
//! from loopback origins alone, which is what an application under development is.

use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::{Host, Url};

use super::State;
use super::loopback::is_loopback;

pub(super) async fn guard(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    if !is_for_us(&state, request.headers()) {
        let text =
            "attach idp answers on loopback names only; to reach it by another, start it with --issuer\n";
        return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
    }
    let origin = request.headers().get(header::ORIGIN).filter(|origin| is_local(origin)).cloned();
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match &origin {
        Some(_) if preflight => preflighted(),
        _ => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
    response
}

/// Programs that send no `Host` (HTTP/1.0) are no browsers.
fn is_for_us(state: &State, headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::HOST) else { return true };
    let url = value.to_str().ok().and_then(|host| Url::parse(&format!("http://{host}/")).ok());
    let host = url.as_ref().and_then(Url::host);
    host.is_some_and(|host: Host<&str>| is_loopback(&host) || state.issuer().is_host(&host))
}

fn is_local(origin: &HeaderValue) -> bool {
    let url = origin.to_str().ok().and_then(|origin| Url::parse(origin).ok());
    url.as_ref().and_then(Url::host).is_some_and(|host| is_loopback(&host))
}

fn preflighted() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}
