//! The one kind of key that signs here.

use ed25519_dalek::Signer as _;

use super::{sha256, to_base64url};

/// An Ed25519 private key (RFC 8032). It has no `Debug`, and its seed does not come out again.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// The key of a seed.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// The signature over a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// The public half's name: [`ed25519_thumbprint`].
    #[must_use]
    pub fn thumbprint(&self) -> String {
        ed25519_thumbprint(&self.public())
    }
}

/// The name of an Ed25519 public key: its thumbprint (RFC 7638, RFC 8037 appendix A.3) in base64url.
#[must_use]
pub fn ed25519_thumbprint(public: &[u8; 32]) -> String {
    let key = to_base64url(public);
    to_base64url(&sha256(&[br#"{"crv":"Ed25519","kty":"OKP","x":""#, key.as_bytes(), br#""}"#]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{NoHost, PublicKey, base64url};

    #[test]
    fn key_signature_and_name_are_those_of_rfc_8037() {
        // Appendix A.1 to A.4.
        let seed = base64url(b"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        let key = SigningKey::from_seed(seed.as_slice().try_into().unwrap());
        assert_eq!(to_base64url(&key.public()), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let message = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = key.sign(message);
        assert_eq!(
            to_base64url(&signature),
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
        assert!(PublicKey::ed25519(&key.public()).unwrap().verify(&NoHost, message, &signature));
    }
}
