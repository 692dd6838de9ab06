//! Verifies an `X-Attach-Assertion` as any service behind the gateway can, in any language.
//!
//! `cargo run --example verify_assertion -- PUBLIC_URL NAME TOKEN`, NAME being what the gateway calls this service:
//! `engine`, `control` or a name of `A2A_TARGETS`. A service that stays up keeps the key set and fetches it anew,
//! at most once a minute, when a token names a key that is not in it.

// What a JSON value does not have is null, it does not panic.
#![allow(clippy::indexing_slicing)]

use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::Value;

type Error = Box<dyn std::error::Error>;

/// The claims, if the token is the gateway's, for this service, and still good.
fn verify(token: &str, jwks: &Value, issuer: &str, audience: &str) -> Result<Value, Error> {
    let bytes = |part: Option<&str>| URL_SAFE_NO_PAD.decode(part.unwrap_or_default());
    let (signed, signature) = token.rsplit_once('.').ok_or("no JWS")?;
    let (header, claims) = signed.split_once('.').ok_or("no JWS")?;
    let header: Value = serde_json::from_slice(&bytes(Some(header))?)?;
    let claims: Value = serde_json::from_slice(&bytes(Some(claims))?)?;
    let keys = jwks["keys"].as_array().ok_or("no key set")?;
    let key = keys.iter().find(|key| key["kid"] == header["kid"]).ok_or("unknown key")?;
    UnparsedPublicKey::new(&ED25519, bytes(key["x"].as_str())?)
        .verify(signed.as_bytes(), &bytes(Some(signature))?)
        .map_err(|_| "bad signature")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let ours = header["alg"] == "EdDSA" && header["typ"] == "attach-assertion+jwt";
    let good = ours && claims["iss"] == issuer && claims["aud"] == audience;
    if good && claims["exp"].as_u64() > Some(now) { Ok(claims) } else { Err("not for us, or not now".into()) }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [issuer, audience, token] = arguments.as_slice() else { return Err("PUBLIC_URL NAME TOKEN".into()) };
    let fetcher =
        attach_control::fetch::Fetcher::new(attach_control::fetch::authorities::find(None).as_deref())?;
    let answer = fetcher.get(&format!("{issuer}/.well-known/attach-jwks.json").parse()?, None).await?;
    let claims = verify(token, &answer.json().ok_or("no key set")?, issuer, audience)?;
    println!("{claims}");
    Ok(())
}
