//! The pages that a person sees.

use axum::extract::State as Extract;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use super::request::AuthorizationRequest;
use super::{State, WARNING};

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem}\
strong.warning{display:block;background:#b00020;color:#fff;padding:.75rem 1rem;border-radius:.25rem}\
input,button{font:inherit;padding:.4rem .6rem}";

/// `GET /`: what this is and where things are.
pub(super) async fn home(Extract(state): Extract<State>) -> Response {
    let links: String = ["/.well-known/openid-configuration", "/jwks.json"]
        .into_iter()
        .map(|path| format!(r#"<li><a href="{path}">{path}</a></li>"#))
        .collect();
    let issuer = escape(state.issuer().as_str());
    let audience = escape(state.default_audience());
    document(
        StatusCode::OK,
        &format!(
            "<p>Issuer <code>{issuer}</code>, default audience <code>{audience}</code>.</p><ul>{links}</ul>"
        ),
    )
}

/// The form that asks who the user would like to be. `complaint` stands above it.
pub(super) fn login(request: &AuthorizationRequest, complaint: Option<&str>) -> Response {
    let status = if complaint.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let complaint = complaint.map(|text| format!("<p>{}</p>", escape(text))).unwrap_or_default();
    let hidden: String = request
        .hidden_fields()
        .map(|(name, value)| {
            format!(r#"<input type="hidden" name="{}" value="{}">"#, escape(name), escape(value))
        })
        .collect();
    let hint = escape(request.login_hint.as_deref().unwrap_or_default());
    let client = escape(&request.client_id);
    document(
        status,
        &format!(
            r#"{complaint}<form method="post" action="/authorize">{hidden}
<p><label>Log in to <b>{client}</b> as
<input name="username" value="{hint}" maxlength="255" autocomplete="username" required autofocus></label>
<button>Log in</button></p></form>"#
        ),
    )
}

/// A page for what cannot be sent back to the client.
pub(super) fn refusal(description: &str) -> Response {
    document(StatusCode::BAD_REQUEST, &format!("<p>This login cannot go on: {}.</p>", escape(description)))
}

fn document(status: StatusCode, content: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>attach idp (development only)</title>\
         <style>{STYLE}</style></head><body><h1>attach idp</h1><p><strong class=\"warning\">{}</strong></p>\
         {content}</body></html>\n",
        escape(WARNING)
    );
    let headers = [
        // The form's answer is a redirect to the client, to which this directive applies as well.
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' http:; frame-ancestors 'none'; \
             base-uri 'none'",
        ),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, Html(html)).into_response()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
