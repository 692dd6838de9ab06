//! The control service: what the gateway answers that the filter cannot answer itself.
//!
//! [`app`] is the whole of it as a function of its [`State`], so that tests call it without a socket.
//! Public routes believe nothing; whatever believes `X-Attach-*` takes a [`Caller`], which exists only
//! where the filter vouches for it ([`crate::trust`]).

mod auth_config;
pub mod reply;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use attach_core::secret::Secret;
use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::{MethodRouter, any, get};

use crate::serving;
use crate::settings::Settings;
use crate::trust::{Caller, FromFilter, Stranger};

pub use auth_config::AuthConfig;

/// What the service's answers are made of.
#[derive(Clone, Debug)]
pub struct State {
    /// What the filter is known by.
    pub secret: Arc<Secret>,
    /// What browser apps read to log in.
    pub auth_config: Arc<AuthConfig>,
}

impl State {
    /// The state of a service with these settings.
    #[must_use]
    pub fn new(settings: &Settings, secret: Secret) -> Self {
        Self { secret: Arc::new(secret), auth_config: Arc::new(AuthConfig::new(settings)) }
    }
}

/// Routes of the gateway whose service this version does not have: they are control's, so they must not
/// fall through to the engine, and only a caller that was verified learns of them.
const LATER: &[&str] = &[
    "/auth/token",
    "/a2a",
    "/tasks/send",
    "/tasks/status",
    "/v1/logs",
    "/v1/usage",
    "/v1/quota/me",
    "/mem",
    "/metrics",
    "/agents",
];

/// The service.
pub fn app(state: State) -> Router {
    // A prefix, with and without what may follow it.
    let all = |router: Router<State>, path: &str, service: MethodRouter<State>| {
        let rest = format!("{path}/{{*rest}}");
        router.route(path, service.clone()).route(&format!("{path}/"), service.clone()).route(&rest, service)
    };
    let mut prefixes = all(Router::new(), "/internal", any(unknown_internal));
    for path in LATER {
        prefixes = all(prefixes, path, any(not_yet));
    }
    Router::new()
        .route(
            "/healthz",
            get(|| async { reply::json(StatusCode::OK, &serde_json::json!({"status": "ok"})) }),
        )
        .route("/auth/config", get(auth_config::read))
        .route("/internal/ping", get(ping))
        .merge(prefixes)
        .fallback(unknown)
        .method_not_allowed_fallback(reply::method_not_allowed)
        .layer(axum::middleware::from_fn(serving::observe))
        .with_state(state)
}

/// Serves on loopback until `shutdown` resolves.
///
/// # Errors
/// The port cannot be had, or the listener broke down.
pub async fn serve(
    port: u16,
    state: State,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), serving::Error> {
    let listener = serving::bind(IpAddr::V4(Ipv4Addr::LOCALHOST), port, "CONTROL_PORT").await?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    serving::run(listener, app(state), shutdown).await
}

/// Whether the filter's secret is this service's.
async fn ping(_: FromFilter) -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn unknown_internal(_: FromFilter) -> Response {
    reply::detail(StatusCode::NOT_FOUND, "There is no such internal route")
}

async fn not_yet(caller: Result<Caller, Stranger>, uri: Uri) -> Result<Response, Stranger> {
    caller?;
    let path = uri.path();
    Ok(reply::detail(
        StatusCode::NOT_FOUND,
        &format!("{path} is not available in this version of the gateway"),
    ))
}

async fn unknown() -> Response {
    reply::detail(StatusCode::NOT_FOUND, "Not found")
}

#[cfg(test)]
mod tests {
    use super::*;
    use attach_core::policy::route::{Access, DEFAULT, Destination};
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn state() -> State {
        State {
            secret: Arc::new(Secret::new(SECRET.as_bytes().to_vec())),
            auth_config: Arc::new(AuthConfig {
                domain: Some("example.auth0.com".to_owned()),
                client_id: None,
                audience: "attach".to_owned(),
                issuer: "https://example.auth0.com/".to_owned(),
            }),
        }
    }

    async fn call(method: &str, path: &str, headers: &[(&str, &str)]) -> (StatusCode, serde_json::Value) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = app(state()).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    const STAMPED: &[(&str, &str)] =
        &[("x-attach-control-secret", SECRET), ("x-attach-user", "alice"), ("x-attach-session", "abc")];

    #[tokio::test]
    async fn the_login_page_reads_what_the_original_gave_it_and_the_issuer() {
        let (status, body) = call("GET", "/auth/config", &[]).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            body,
            serde_json::json!({
                "domain": "example.auth0.com", "client_id": null, "audience": "attach",
                "issuer": "https://example.auth0.com/"
            })
        );
    }

    #[tokio::test]
    async fn a_stranger_is_refused_whatever_it_claims_to_be() {
        let wrong = SECRET.replace('0', "1");
        for path in [
            "/internal",
            "/internal/",
            "/internal/ping",
            "/internal/anything",
            "/mem/",
            "/mem/events",
            "/a2a",
            "/v1/quota/me",
        ] {
            for headers in [
                &[][..],
                &[("x-attach-user", "alice"), ("x-attach-session", "abc")],
                &[
                    ("x-attach-control-secret", wrong.as_str()),
                    ("x-attach-user", "alice"),
                    ("x-attach-session", "a"),
                ],
                &[
                    ("x-attach-control-secret", SECRET.strip_prefix("0").unwrap()),
                    ("x-attach-user", "alice"),
                    ("x-attach-session", "a"),
                ],
                &[
                    ("x-attach-control-secret", SECRET),
                    ("x-attach-control-secret", SECRET),
                    ("x-attach-user", "alice"),
                    ("x-attach-session", "abc"),
                ],
            ] {
                assert_eq!(
                    call("GET", path, headers).await.0,
                    StatusCode::UNAUTHORIZED,
                    "{path} {headers:?}"
                );
            }
        }
    }

    #[tokio::test]
    async fn the_filter_is_believed_with_its_secret() {
        assert_eq!(call("GET", "/internal/ping", &STAMPED[..1]).await.0, StatusCode::NO_CONTENT);
        let (status, body) = call("GET", "/mem/events", STAMPED).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(body["detail"].as_str().unwrap().contains("/mem/events"), "{body}");
    }

    #[tokio::test]
    async fn a_verified_route_without_a_caller_is_refused_even_to_the_filter() {
        assert_eq!(call("GET", "/mem/events", &STAMPED[..1]).await.0, StatusCode::UNAUTHORIZED);
    }

    #[tokio::test]
    async fn every_route_that_envoy_sends_here_is_answered_in_json() {
        for (path, access, to) in DEFAULT {
            if *to != Destination::Control {
                continue;
            }
            let path = path.replace("/**", "/x").replace('*', "y");
            let (status, body) = call("GET", &path, STAMPED).await;
            assert!(body.is_object(), "{path}: {status}");
            if *access == Access::Verified {
                assert_eq!(call("GET", &path, &[]).await.0, StatusCode::UNAUTHORIZED, "{path}");
            }
        }
    }

    #[tokio::test]
    async fn a_wrong_method_and_an_unknown_path_have_a_detail() {
        let (status, body) = call("POST", "/auth/config", &[]).await;
        assert_eq!((status, body["detail"].is_string()), (StatusCode::METHOD_NOT_ALLOWED, true));
        let (status, body) = call("GET", "/nowhere", &[]).await;
        assert_eq!((status, body["detail"].is_string()), (StatusCode::NOT_FOUND, true));
    }
}
