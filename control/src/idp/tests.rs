//! The provider as its clients see it: requests in, responses out, no socket between.

mod code_flow;
mod credentials;
mod pages;
mod served;

use std::sync::OnceLock;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::Value;
use tower::ServiceExt;

use super::{SigningKey, State, app};

const ISSUER: &str = "http://127.0.0.1:8082";

/// One provider for all tests: a key takes long to make.
fn state() -> &'static State {
    static STATE: OnceLock<State> = OnceLock::new();
    STATE.get_or_init(|| {
        State::new(ISSUER.parse().unwrap(), "default-audience".into(), SigningKey::generate().unwrap())
            .unwrap()
    })
}

pub(super) fn key() -> &'static SigningKey {
    state().key()
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn send(request: Request<Body>) -> Answer {
    let response = app(state().clone()).oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn get(path_and_query: &str) -> Answer {
    send(Request::get(path_and_query).body(Body::empty()).unwrap()).await
}

async fn post_form(path: &str, form: &[(&str, &str)]) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    send(request.body(body.into()).unwrap()).await
}

/// The header and the claims of a token, whose signature is checked with the published keys.
async fn verified(token: &str) -> (Value, Value) {
    let jwks = get("/jwks.json").await.json();
    let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).unwrap();
    let member = |name: &str| bytes(jwks["keys"][0][name].as_str().unwrap());
    let (message, signature) = token.rsplit_once('.').unwrap();
    RsaPublicKeyComponents { n: member("n"), e: member("e") }
        .verify(&RSA_PKCS1_2048_8192_SHA256, message.as_bytes(), &bytes(signature))
        .expect("the signature is good");
    let (header, claims) = message.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&bytes(header)).unwrap();
    assert_eq!(header["kid"], jwks["keys"][0]["kid"]);
    (header, serde_json::from_slice(&bytes(claims)).unwrap())
}
