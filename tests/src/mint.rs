//! Every good token, and every bad one.

use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair};
use rsa::pkcs8::EncodePrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Map, Value, json};

/// Every algorithm that is accepted.
pub const ALGORITHMS: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

/// Base64url without padding.
#[must_use]
pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
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
    Rsa { pair: Box<RsaKeyPair>, modulus: Vec<u8>, exponent: Vec<u8> },
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
    /// A new key. RSA keys of one process share two moduli, since to make one takes a second: those whose
    /// name begins with `other` have the second.
    ///
    /// # Panics
    /// For an algorithm that is not one of [`ALGORITHMS`].
    #[must_use]
    pub fn new(algorithm: &'static str, id: &str) -> Self {
        let pair = match algorithm.get(..2) {
            Some("RS" | "PS") => rsa_pair(usize::from(id.starts_with("other"))),
            Some("ES") => Arc::new(ec_pair(algorithm)),
            Some("Ed") => {
                let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
                Arc::new(Pair::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("that key")))
            }
            _ => panic!("no algorithm: {algorithm}"),
        };
        Self { id: id.to_owned(), algorithm, pair }
    }

    /// The public key as a JWK with `kid`, `alg` and `use`.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = match &*self.pair {
            Pair::Rsa { modulus, exponent, .. } => {
                json!({"kty": "RSA", "n": encode(modulus), "e": encode(exponent)})
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

fn rsa_pair(which: usize) -> Arc<Pair> {
    static PAIRS: [OnceLock<Arc<Pair>>; 2] = [const { OnceLock::new() }; 2];
    Arc::clone(PAIRS[which].get_or_init(|| {
        let key = rsa::RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("an RSA key");
        let pkcs8 = key.to_pkcs8_der().expect("its encoding");
        Arc::new(Pair::Rsa {
            pair: Box::new(RsaKeyPair::from_pkcs8(pkcs8.as_bytes()).expect("that key")),
            modulus: key.n().to_bytes_be(),
            exponent: key.e().to_bytes_be(),
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
