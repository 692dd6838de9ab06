//! The other side of signed requests, as rotagent's `OrchestratorClient` and `DevTools` have it: keys are
//! made, a body is signed, a signed body is sent.
//!
//! A token is a JWT with RS256 whose `iss` is the name of the file that holds the public key; it binds the
//! body by `content_sha256`, may be used once (`jti`) and lives a minute.

mod call;

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::SystemRandom;
use ring::rsa::KeyPair;
use ring::signature::RSA_PKCS1_SHA256;
use rsa::RsaPrivateKey;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rsa::rand_core::OsRng;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use attach_core::crypto::to_base64url;

pub use call::{Answer, CallError, call};

use crate::authorized_keys::is_issuer;
use crate::settings::Secret;

/// Seconds that a token lives where nobody says.
pub const LIFETIME: u64 = 60;
/// Seconds that a token of the development tools lives; only `APP_ENV=development` takes it.
pub const DEV_LIFETIME: u64 = 6 * 60 * 60;
/// The most seconds that a gateway takes without `APP_ENV=development`.
pub const MAX_LIFETIME: u64 = 300;
/// Bits of a key that is made here.
const BITS: usize = 2048;

/// Why there is no key or no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The issuer's name.
    #[error(
        "an issuer is 1 to 128 visible ASCII characters without '/': it names the file with its public key"
    )]
    Issuer,
    /// What was given as a private key.
    #[error("is no RSA private key of 2048 to 4096 bits in PEM (BEGIN PRIVATE KEY or BEGIN RSA PRIVATE KEY)")]
    Key,
    /// What was given as a private key in base64.
    #[error("is no base64 of a private key in PEM; `attach keys dev` prints one")]
    Base64,
    /// No key could be made.
    #[error("cannot make an RSA key: the system gives no randomness")]
    Generation,
    /// The signature failed.
    #[error("cannot sign with this key")]
    Sign,
}

/// A new key: its private half (PKCS #8) and its public half (SPKI), both in PEM.
///
/// # Errors
/// [`Error::Generation`].
pub fn generate() -> Result<(Secret, String), Error> {
    let key = RsaPrivateKey::new(&mut OsRng, BITS).map_err(|_| Error::Generation)?;
    let private = key.to_pkcs8_pem(LineEnding::LF).map_err(|_| Error::Generation)?;
    let public = key.to_public_key().to_public_key_pem(LineEnding::LF).map_err(|_| Error::Generation)?;
    Ok((Secret::new(private.to_string()), public))
}

/// A private key in PEM as `DEV_PRIVATE_KEY` holds it.
#[must_use]
pub fn to_environment(private: &Secret) -> Secret {
    Secret::new(STANDARD.encode(private.expose()))
}

/// The other direction.
///
/// # Errors
/// [`Error::Base64`].
pub fn from_environment(value: &Secret) -> Result<Secret, Error> {
    let bytes = STANDARD.decode(value.expose().trim()).map_err(|_| Error::Base64)?;
    String::from_utf8(bytes).map(Secret::new).map_err(|_| Error::Base64)
}

/// Someone who signs requests.
pub struct Orchestrator {
    issuer: String,
    pair: KeyPair,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: u64,
    exp: u64,
    jti: String,
    content_sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

impl Orchestrator {
    /// The holder of a private key in PEM.
    ///
    /// # Errors
    /// [`Error::Issuer`], [`Error::Key`].
    pub fn new(issuer: &str, private: &Secret) -> Result<Self, Error> {
        if !is_issuer(issuer) {
            return Err(Error::Issuer);
        }
        let pem = private.expose();
        let key = RsaPrivateKey::from_pkcs8_pem(pem).or_else(|_| RsaPrivateKey::from_pkcs1_pem(pem));
        let der = key.map_err(|_| Error::Key)?.to_pkcs8_der().map_err(|_| Error::Key)?;
        let pair = KeyPair::from_pkcs8(der.as_bytes()).map_err(|_| Error::Key)?;
        Ok(Self { issuer: issuer.to_owned(), pair })
    }

    /// A token for a body, from `now` on (seconds of Unix time), for `lifetime` seconds.
    ///
    /// # Errors
    /// [`Error::Sign`].
    pub fn sign(
        &self,
        body: &[u8],
        lifetime: u64,
        audience: Option<&str>,
        now: u64,
    ) -> Result<Secret, Error> {
        let mut jti = [0; 16];
        getrandom::fill(&mut jti).map_err(|_| Error::Sign)?;
        let claims = Claims {
            iss: &self.issuer,
            iat: now,
            exp: now.saturating_add(lifetime),
            jti: hex(&jti),
            content_sha256: hex(&Sha256::digest(body)),
            aud: audience,
        };
        let claims = serde_json::to_vec(&claims).map_err(|_| Error::Sign)?;
        let header = json!({ "alg": "RS256", "typ": "JWT" }).to_string();
        let mut token = format!("{}.{}", to_base64url(header.as_bytes()), to_base64url(&claims));
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .map_err(|_| Error::Sign)?;
        token.push('.');
        token.push_str(&to_base64url(&signature));
        Ok(Secret::new(token))
    }
}

impl std::fmt::Debug for Orchestrator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Orchestrator").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use attach_core::authn::jws::Jws;
    use rsa::pkcs1::EncodeRsaPrivateKey as _;

    #[test]
    fn a_token_binds_the_body_and_names_what_the_original_s_client_does() {
        let (private, public) = generate().unwrap();
        let orchestrator = Orchestrator::new("planner", &private).unwrap();
        let token = orchestrator.sign(br#"{"query":"hi"}"#, 60, None, 1000).unwrap();
        let jws = Jws::parse(token.expose()).unwrap();
        assert_eq!((jws.algorithm_name.as_str(), jws.media_type.as_deref()), ("RS256", Some("JWT")));
        let public = crate::authorized_keys::Key::parse(public.as_bytes()).unwrap();
        let components = public.verifying_components();
        ring::signature::RsaPublicKeyComponents { n: components.0, e: components.1 }
            .verify(&ring::signature::RSA_PKCS1_2048_8192_SHA256, jws.signing_input, &jws.signature)
            .unwrap();
        let payload = token.expose().split('.').nth(1).unwrap();
        let claims: serde_json::Value =
            serde_json::from_slice(&attach_core::crypto::base64url(payload.as_bytes()).unwrap()).unwrap();
        // printf '{"query":"hi"}' | sha256sum
        let hash = hex(&Sha256::digest(br#"{"query":"hi"}"#));
        assert_eq!(
            claims,
            json!({ "iss": "planner", "iat": 1000, "exp": 1060, "jti": claims["jti"], "content_sha256": hash })
        );
        assert_eq!(claims["jti"].as_str().unwrap().len(), 32);
        let other = orchestrator.sign(b"", 60, Some("https://g.example"), 1000).unwrap();
        let other = Jws::parse(other.expose()).unwrap().claims;
        assert_eq!(other.str("aud"), Some("https://g.example"));
        assert_ne!(other.str("jti"), claims["jti"].as_str());
        assert_eq!(
            other.str("content_sha256"),
            Some("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        );
    }

    #[test]
    fn a_private_key_is_read_in_every_form_the_original_reads() {
        let (private, _) = generate().unwrap();
        let key = RsaPrivateKey::from_pkcs8_pem(private.expose()).unwrap();
        let pkcs1 = Secret::new(key.to_pkcs1_pem(LineEnding::LF).unwrap().to_string());
        assert!(Orchestrator::new("a", &pkcs1).is_ok());
        let back = from_environment(&to_environment(&private)).unwrap();
        assert_eq!(back, private);
        for bad in ["", "hunter2", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            let error = Orchestrator::new("a", &Secret::new(bad.to_owned())).unwrap_err();
            assert!(error == Error::Key && !error.to_string().contains("hunter2"));
        }
        for bad in ["", "a b", "../x", "ü"] {
            assert_eq!(Orchestrator::new(bad, &private).unwrap_err(), Error::Issuer, "{bad}");
        }
        assert_eq!(from_environment(&Secret::new("!".to_owned())), Err(Error::Base64));
    }
}
