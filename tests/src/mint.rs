//! Every good token, and every bad one.

mod did;
mod message;
mod padding;

pub use did::{Holder, base58, checksummed, high_s};
pub use message::{Signing, sha_256, sha_512};
pub use padding::Padding;

use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair};
use rsa::pkcs8::EncodePrivateKey as _;
use rsa::pkcs8::{EncodePublicKey as _, LineEnding};
use rsa::traits::PublicKeyParts as _;
use serde_json::{Map, Value, json};
use sha2::Digest as _;

/// Every algorithm that is accepted.
pub const ALGORITHMS: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

/// Base64url without padding.
#[must_use]
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of base64url.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

/// Base64 with padding.
#[must_use]
pub fn encode_standard(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// Seconds since the epoch.
///
/// # Panics
/// Before it.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs()
}

enum Pair {
    Rsa { pair: Box<RsaKeyPair>, private: Box<rsa::RsaPrivateKey> },
    Ec { fixed: Box<EcdsaKeyPair>, der: Box<EcdsaKeyPair> },
    Ed25519(Ed25519KeyPair),
}

/// A key pair with its algorithm and its name.
#[derive(Clone)]
pub struct Key {
    /// `kid`.
    pub id: String,
    /// `alg`.
    pub algorithm: &'static str,
    pair: Arc<Pair>,
}

impl Key {
    /// A new key. RSA keys of one process share a few moduli, since to make one takes a second: those whose
    /// name begins with `other`, `planner` or `bot` have one of their own.
    ///
    /// # Panics
    /// For an algorithm that is not one of [`ALGORITHMS`].
    #[must_use]
    pub fn new(algorithm: &'static str, id: &str) -> Self {
        let pair = match algorithm.get(..2) {
            Some("RS" | "PS") => rsa_pair(modulus_of(id)),
            Some("ES") => Arc::new(ec_pair(algorithm)),
            Some("Ed") => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
                Arc::new(Pair::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("that key")))
            }
            _ => panic!("no algorithm: {algorithm}"),
        };
        Self { id: id.to_owned(), algorithm, pair }
    }

    /// The Ed25519 key of a seed, named by its thumbprint.
    ///
    /// # Panics
    /// When it is no seed.
    #[must_use]
    pub fn of_seed(seed: &[u8]) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes");
        let key = Self { id: String::new(), algorithm: "EdDSA", pair: Arc::new(Pair::Ed25519(pair)) };
        Self { id: key.thumbprint(), ..key }
    }

    /// The key's thumbprint (RFC 7638).
    ///
    /// # Panics
    /// When the key has no such members.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let jwk = self.jwk();
        let names: &[&str] = match jwk["kty"].as_str() {
            Some("RSA") => &["e", "kty", "n"],
            Some("EC") => &["crv", "kty", "x", "y"],
            _ => &["crv", "kty", "x"],
        };
        let members = names.iter().map(|name| format!("\"{name}\":{}", jwk[name])).collect::<Vec<_>>();
        encode(sha2::Sha256::digest(format!("{{{}}}", members.join(","))))
    }

    /// The public key as PEM.
    ///
    /// # Panics
    /// For a key that is not RSA's.
    #[must_use]
    pub fn pem(&self) -> String {
        self.rsa().to_public_key().to_public_key_pem(LineEnding::LF).expect("its encoding")
    }

    /// The private key as PEM.
    ///
    /// # Panics
    /// For a key that is not RSA's.
    #[must_use]
    pub fn private_pem(&self) -> String {
        self.rsa().to_pkcs8_pem(LineEnding::LF).expect("its encoding").to_string()
    }

    fn rsa(&self) -> &rsa::RsaPrivateKey {
        match &*self.pair {
            Pair::Rsa { private, .. } => private,
            _ => panic!("{} is no RSA key", self.id),
        }
    }

    /// The public key's bytes: a point in its long form, or 32 bytes.
    ///
    /// # Panics
    /// For an RSA key.
    #[must_use]
    pub fn public(&self) -> Vec<u8> {
        match &*self.pair {
            Pair::Ec { fixed, .. } => fixed.public_key().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
            Pair::Rsa { .. } => panic!("{} is an RSA key", self.id),
        }
    }

    /// The public key as a JWK with `kid`, `alg` and `use`.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = match &*self.pair {
            Pair::Rsa { private, .. } => {
                json!({"kty": "RSA", "n": encode(private.n().to_bytes_be()), "e": encode(private.e().to_bytes_be())})
            }
            Pair::Ec { fixed, .. } => {
                let point = &fixed.public_key().as_ref()[1..];
                let (x, y) = point.split_at(point.len() / 2);
                let curve = if self.algorithm == "ES256" { "P-256" } else { "P-384" };
                json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
            }
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key())})
            }
        };
        jwk["kid"] = json!(self.id);
        jwk["alg"] = json!(self.algorithm);
        jwk["use"] = json!("sig");
        jwk
    }

    /// What a key of this one's algorithm signs.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.sign_as(self.algorithm, message)
    }

    /// What this key signs by the rules of some algorithm of its kind.
    ///
    /// # Panics
    /// When the key cannot do that.
    #[must_use]
    pub fn sign_as(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &*self.pair {
            Pair::Rsa { pair, .. } => {
                let encoding: &dyn RsaEncoding = match algorithm {
                    "RS256" => &signature::RSA_PKCS1_SHA256,
                    "RS384" => &signature::RSA_PKCS1_SHA384,
                    "RS512" => &signature::RSA_PKCS1_SHA512,
                    "PS256" => &signature::RSA_PSS_SHA256,
                    "PS384" => &signature::RSA_PSS_SHA384,
                    "PS512" => &signature::RSA_PSS_SHA512,
                    other => panic!("RSA cannot do {other}"),
                };
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(encoding, &random, message, &mut signature).expect("a signature");
                signature
            }
            Pair::Ec { fixed, .. } => fixed.sign(&random, message).expect("a signature").as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// An ECDSA signature as DER, which is not how a JWS has it.
    ///
    /// # Panics
    /// For a key of another kind.
    #[must_use]
    pub fn sign_der(&self, message: &[u8]) -> Vec<u8> {
        let Pair::Ec { der, .. } = &*self.pair else { panic!("{} is no ECDSA key", self.id) };
        der.sign(&SystemRandom::new(), message).expect("a signature").as_ref().to_vec()
    }

    /// A token of this key: header members as usual, claims as given.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({}), claims)
    }

    /// A token of this key. A member of `header` replaces the usual one; `null` removes it.
    #[must_use]
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let usual = json!({"alg": self.algorithm, "typ": "at+jwt", "kid": self.id});
        self.raw(merged(&usual, header).to_string(), claims.to_string())
    }

    /// A token of any two texts, signed by this key.
    #[must_use]
    pub fn raw(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let input = signing_input(header, payload);
        let signature = encode(self.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }
}

/// The part of a token that is signed.
#[must_use]
pub fn signing_input(header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    format!("{}.{}", encode(header), encode(payload))
}

/// `base` with the members of `over`; `null` removes one.
#[must_use]
pub fn merged(base: &Value, over: &Value) -> Value {
    let mut members = base.as_object().cloned().unwrap_or_else(Map::new);
    for (name, value) in over.as_object().into_iter().flatten() {
        if value.is_null() {
            members.remove(name);
        } else {
            members.insert(name.clone(), value.clone());
        }
    }
    Value::Object(members)
}

/// An issuer's keys, one of each algorithm, and the claims of its usual token.
#[derive(Clone)]
pub struct Mint {
    /// `iss` of its tokens.
    pub issuer: String,
    /// `aud` of its tokens.
    pub audience: String,
    /// Its keys.
    pub keys: Vec<Key>,
}

impl Mint {
    /// One key for each of [`ALGORITHMS`], named after it in lower case.
    #[must_use]
    pub fn new(issuer: &str, audience: &str) -> Self {
        let keys = ALGORITHMS.iter().map(|name| Key::new(name, &name.to_ascii_lowercase())).collect();
        Self { issuer: issuer.to_owned(), audience: audience.to_owned(), keys }
    }

    /// The same keys as another issuer's.
    #[must_use]
    pub fn of_issuer(self, issuer: &str) -> Self {
        Self { issuer: issuer.to_owned(), ..self }
    }

    /// The public keys.
    #[must_use]
    pub fn jwks(&self) -> Vec<Value> {
        self.keys.iter().map(Key::jwk).collect()
    }

    /// The key of an algorithm.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn key(&self, algorithm: &str) -> &Key {
        self.keys.iter().find(|key| key.algorithm == algorithm).expect("a key of that algorithm")
    }

    /// The claims of a good token for an hour, changed as said; `null` removes one.
    #[must_use]
    pub fn claims(&self, over: &Value) -> Value {
        let now = now();
        let usual = json!({
            "iss": self.issuer, "aud": self.audience, "sub": "alice",
            "iat": now - 1, "nbf": now - 1, "exp": now + 3600,
        });
        merged(&usual, over)
    }

    /// A good RS256 token of a subject.
    #[must_use]
    pub fn token(&self, subject: &str) -> String {
        self.token_of(&json!({ "sub": subject }))
    }

    /// An RS256 token with claims changed as said; `null` removes one.
    #[must_use]
    pub fn token_of(&self, over: &Value) -> String {
        self.key("RS256").token(&self.claims(over))
    }
}

/// Which modulus an RSA key of that name has.
fn modulus_of(id: &str) -> usize {
    ["other", "planner", "bot"].iter().position(|start| id.starts_with(start)).map_or(0, |place| place + 1)
}

fn rsa_pair(which: usize) -> Arc<Pair> {
    static PAIRS: [OnceLock<Arc<Pair>>; 4] = [const { OnceLock::new() }; 4];
    Arc::clone(PAIRS[which].get_or_init(|| {
        let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("an RSA key");
        let pkcs8 = key.to_pkcs8_der().expect("its encoding");
        Arc::new(Pair::Rsa {
            pair: Box::new(RsaKeyPair::from_pkcs8(pkcs8.as_bytes()).expect("that key")),
            private: Box::new(key),
        })
    }))
}

fn ec_pair(algorithm: &str) -> Pair {
    let (fixed, der) = if algorithm == "ES256" {
        (&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &signature::ECDSA_P256_SHA256_ASN1_SIGNING)
    } else {
        (&signature::ECDSA_P384_SHA384_FIXED_SIGNING, &signature::ECDSA_P384_SHA384_ASN1_SIGNING)
    };
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(fixed, &random).expect("a key");
    let pair = |rules| Box::new(EcdsaKeyPair::from_pkcs8(rules, pkcs8.as_ref(), &random).expect("that key"));
    Pair::Ec { fixed: pair(fixed), der: pair(der) }
}
