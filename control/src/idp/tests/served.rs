//! The provider on a socket, and the client that `attach token` uses.

use std::time::Duration;

use tokio::net::TcpListener;
use url::Url;

use super::*;
use crate::idp::token_client::{TokenError, TokenRequest, request_token};
use crate::serving;

/// No proxy, as the address is this machine's.
fn http() -> reqwest::Client {
    // Another test of this process may have installed the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

async fn listener() -> (TcpListener, Url) {
    let listener = serving::bind([127, 0, 0, 1].into(), 0, "IDP_PORT").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url.parse().unwrap())
}

#[tokio::test]
async fn the_client_gets_a_token_that_verifies_and_the_provider_stops_when_told() {
    let (listener, issuer) = listener().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serving::run(listener, app(state().clone()), async {
        let _ = stopped.await;
    }));
    let (http, mut request) = (http(), TokenRequest { client_id: "app".into(), ..TokenRequest::default() });
    request.subject = Some("alice".into());
    request.audience = Some("api".into());
    request.expires_in = Some(60);
    let granted = request_token(&http, &issuer, &request).await.unwrap();
    let (_, claims) = verified(&granted.access_token).await;
    assert_eq!((&claims["sub"], &claims["aud"], granted.expires_in), (&"alice".into(), &"api".into(), 60));
    assert_eq!(format!("{granted:?}"), "GrantedToken { expires_in: 60, .. }");

    request.expires_in = Some(0);
    let error = request_token(&http, &issuer, &request).await.unwrap_err();
    assert!(matches!(error, TokenError::Refused { .. }));
    assert!(error.to_string().contains("expires_in is 1 to 86400 seconds"), "{error}");

    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn something_else_at_the_address_is_named_as_such() {
    let (listener, issuer) = listener().await;
    let server = tokio::spawn(serving::run(listener, axum::Router::new(), std::future::pending()));
    let error = request_token(&http(), &issuer, &TokenRequest::default()).await.unwrap_err();
    assert!(matches!(error, TokenError::Unintelligible { status: 404, .. }), "{error}");
    server.abort();
}

#[tokio::test]
async fn nobody_at_the_address_is_an_error_that_says_what_to_start() {
    let (listener, issuer) = listener().await;
    drop(listener);
    let error = request_token(&http(), &issuer, &TokenRequest::default()).await.unwrap_err();
    assert!(error.to_string().contains("attach idp"), "{error}");
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_the_setting() {
    let (_listener, issuer) = listener().await;
    let error = serving::bind([127, 0, 0, 1].into(), issuer.port().unwrap(), "IDP_PORT").await.unwrap_err();
    assert!(error.to_string().contains("is in use: set IDP_PORT or --port"), "{error}");
}
