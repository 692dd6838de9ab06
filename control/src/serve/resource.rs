//! `GET /.well-known/oauth-protected-resource[/path]`: where a client gets a token (RFC 9728).

use axum::extract;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::{State, reply};

/// What comes before the resource's own path (RFC 9728 section 3.1).
const PREFIX: &str = "/.well-known/oauth-protected-resource";
/// The longest path of a resource.
const MAX_PATH: usize = 1024;

#[derive(Serialize)]
struct Metadata<'a> {
    resource: String,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    authorization_servers: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    scopes_supported: &'a [String],
    bearer_methods_supported: [&'static str; 1],
    resource_name: &'static str,
}

pub(super) async fn metadata(extract::State(state): extract::State<State>, uri: Uri) -> Response {
    let Some(path) = path(uri.path()) else {
        return reply::detail(StatusCode::NOT_FOUND, "There is no such resource");
    };
    let fixed = &state.fixed;
    let metadata = Metadata {
        resource: format!("{}{path}", fixed.public_url),
        authorization_servers: &fixed.issuers,
        scopes_supported: &fixed.scopes,
        bearer_methods_supported: ["header"],
        resource_name: "Attach Gateway",
    };
    let answer = reply::json(StatusCode::OK, &metadata);
    ([(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"))], answer).into_response()
}

/// The resource's own path; empty for the whole gateway. What is repeated in the answer must be a plain path:
/// nothing encoded, nothing that leads elsewhere.
fn path(requested: &str) -> Option<&str> {
    let path = requested.strip_prefix(PREFIX)?;
    if path.is_empty() || path == "/" {
        return Some("");
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
    let segment = |segment: &str| segment != "." && segment != ".." && segment.bytes().all(plain);
    let inner = path.strip_prefix('/')?;
    // One slash at the end belongs to the path; an empty segment elsewhere does not.
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let good = path.len() <= MAX_PATH && inner.split('/').all(|part| !part.is_empty() && segment(part));
    good.then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_repeated_only_if_it_is_plain() {
        for (asked, expected) in [
            ("", Some("")),
            ("/", Some("")),
            ("/mcp", Some("/mcp")),
            ("/agents/planner/mcp", Some("/agents/planner/mcp")),
            ("/mcp/", Some("/mcp/")),
            ("/a:b@c~d", Some("/a:b@c~d")),
            ("//", None),
            ("/a//b", None),
            ("//evil.example", None),
            ("/../x", None),
            ("/a/./b", None),
            ("/%2e%2e", None),
            ("/a%0d%0ab", None),
            ("/a\"b", None),
            ("/<script>", None),
            ("/a\\b", None),
            ("x", None),
        ] {
            assert_eq!(path(&format!("{PREFIX}{asked}")), expected, "{asked}");
        }
        assert_eq!(path(&format!("{PREFIX}/{}", "a".repeat(MAX_PATH))), None);
    }
}
