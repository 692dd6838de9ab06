//! The provider on a socket.

use std::time::Duration;

use tokio::net::TcpListener;
use url::Url;

use super::*;
use crate::serving;

async fn listener() -> (TcpListener, Url) {
    let listener = serving::bind([127, 0, 0, 1].into(), 0, "IDP_PORT").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url.parse().unwrap())
}

#[tokio::test]
async fn the_provider_stops_when_told() {
    let (listener, _) = listener().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = tokio::spawn(serving::run(listener, app(state().clone()), async {
        let _ = stopped.await;
    }));
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_the_setting() {
    let (_listener, issuer) = listener().await;
    let error = serving::bind([127, 0, 0, 1].into(), issuer.port().unwrap(), "IDP_PORT").await.unwrap_err();
    assert!(error.to_string().contains("is in use: set IDP_PORT or --port"), "{error}");
}
