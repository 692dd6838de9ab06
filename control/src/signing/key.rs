//! One Ed25519 key (RFC 8032, RFC 8037).

use attach_core::crypto::{base64url, to_base64url};
use attach_core::secret::Secret;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Error;

/// Bytes of a seed and of a public key.
const BYTES: usize = 32;

/// A private key. Its `Debug` shows the key's id and nothing else.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    seed: Secret,
    public: PublicKey,
}

/// A public key and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    bytes: [u8; BYTES],
    kid: String,
}

impl SigningKey {
    /// A new key.
    pub(super) fn generate() -> Result<Self, Error> {
        let mut seed = [0; BYTES];
        getrandom::fill(&mut seed)?;
        Self::from_seed(&seed).ok_or(Error::Sign)
    }

    /// The key of a seed in base64url, as a ring's file holds it.
    pub(super) fn from_text(seed: &str) -> Option<Self> {
        Self::from_seed(&base64url(seed.as_bytes())?)
    }

    fn from_seed(seed: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let public = PublicKey::new(pair.public_key().as_ref())?;
        Some(Self { pair, seed: Secret::new(seed), public })
    }

    /// The seed in base64url: for the ring's file and the filter's environment, and for nobody else.
    #[must_use]
    pub fn seed(&self) -> String {
        to_base64url(self.seed.expose())
    }

    /// The key's id: the RFC 7638 thumbprint of its public half.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.public.kid
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// A compact JWS (RFC 7515) of `claims` with this `typ`.
    ///
    /// # Errors
    /// [`Error::Sign`]: the claims cannot be written as JSON.
    pub fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, Error> {
        let header = json!({ "alg": "EdDSA", "typ": typ, "kid": self.kid() });
        let part = |bytes: Result<Vec<u8>, serde_json::Error>| {
            bytes.map(|bytes| to_base64url(&bytes)).map_err(|_| Error::Sign)
        };
        let mut token = part(serde_json::to_vec(&header))?;
        token.push('.');
        token.push_str(&part(serde_json::to_vec(claims))?);
        let signature = self.pair.sign(token.as_bytes());
        token.push('.');
        token.push_str(&to_base64url(signature.as_ref()));
        Ok(token)
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid()).finish_non_exhaustive()
    }
}

impl PublicKey {
    fn new(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; BYTES] = bytes.try_into().ok()?;
        // RFC 7638 section 3.2 and RFC 8037 section 2: the required members alone, in this order, no blanks.
        let x = to_base64url(&bytes);
        let digest = Sha256::digest(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
        Some(Self { bytes, kid: to_base64url(&digest) })
    }

    /// The key of 32 bytes in base64url, as a ring's file holds it.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        Self::new(&base64url(text.as_bytes())?)
    }

    /// The key in base64url.
    #[must_use]
    pub fn text(&self) -> String {
        to_base64url(&self.bytes)
    }

    /// The key's id.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Whether a signature is this key's.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.bytes).verify(message, signature).is_ok()
    }

    /// The key as a JWK (RFC 7517, RFC 8037 section 2).
    #[must_use]
    pub fn jwk(&self) -> Value {
        json!({
            "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": self.kid, "x": self.text()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037 appendix A: the key, its thumbprint and a signature.
    #[test]
    fn the_rfc_s_key_has_the_rfc_s_thumbprint_and_signature() {
        let key = SigningKey::from_text("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        assert_eq!(key.public().text(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let signed = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = base64url(
            b"hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        );
        assert!(key.public().verifies(signed, &signature.unwrap()));
    }

    #[test]
    fn no_debug_shows_a_seed() {
        let key = SigningKey::generate().unwrap();
        let shown = format!("{key:?} {:?}", key.public());
        assert!(!shown.contains(&key.seed()), "{shown}");
    }

    #[test]
    fn what_is_no_seed_makes_no_key() {
        for text in ["", "AAAA", "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=", "not base64url at all!"] {
            assert!(SigningKey::from_text(text).is_none(), "{text}");
            assert!(PublicKey::from_text(text).is_none(), "{text}");
        }
    }
}
