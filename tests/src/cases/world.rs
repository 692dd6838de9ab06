//! Everybody who has a key, and everybody who would like to.

use ring::hmac;
use serde_json::{Value, json};

use crate::mint::{Holder, Key, Mint, encode, merged, now, signing_input};

/// Stands before the second issuer's subjects.
pub const PREFIX: &str = "partner|";
/// The gateway's name, which requests are addressed to and signatures are made for.
pub const AUTHORITY: &str = "gateway.example";

/// Everybody.
pub struct World {
    /// The first issuer: its subjects stand as they are.
    pub first: Mint,
    /// A second RS256 key of the first issuer's, so that a token must say which one it means.
    pub spare: Key,
    /// The second issuer, whose subjects get [`PREFIX`].
    pub second: Mint,
    /// Somebody's own key.
    pub strangers: Key,
    /// Who may come in with a DID.
    pub dids: Dids,
    /// The orchestrators whose keys are in the folder, each key named as its file.
    pub orchestrators: [Key; 2],
    /// The services that share a key with the gateway.
    pub services: [Service; 2],
    /// Who signs messages, and has a directory.
    pub signers: [Signer; 2],
    /// What the gateway's own tokens are signed with.
    pub gateway: Key,
    /// What its statements to upstreams are signed with.
    pub assertions: Key,
}

/// Those who are their own issuers.
pub struct Dids {
    /// did:key, Ed25519.
    pub ed25519: Holder,
    /// did:key, P-256.
    pub p256: Holder,
    /// did:key, P-384.
    pub p384: Holder,
    /// did:key, secp256k1.
    pub secp256k1: Holder,
    /// did:pkh, `ES256K-R`.
    pub ethereum: Holder,
    /// did:pkh, `EIP191`.
    pub wallet: Holder,
    /// did:pkh of Solana's.
    pub solana: Holder,
    /// Somebody who is not let in.
    pub outsider: Holder,
}

impl Dids {
    fn new() -> Self {
        Self {
            ed25519: Holder::key("EdDSA"),
            p256: Holder::key("ES256"),
            p384: Holder::key("ES384"),
            secp256k1: Holder::key("ES256K"),
            ethereum: Holder::ethereum("ES256K-R"),
            wallet: Holder::ethereum("EIP191"),
            solana: Holder::solana(),
            outsider: Holder::key("EdDSA"),
        }
    }

    /// Those who are let in.
    #[must_use]
    pub fn allowed(&self) -> [&Holder; 7] {
        [&self.ed25519, &self.p256, &self.p384, &self.secp256k1, &self.ethereum, &self.wallet, &self.solana]
    }
}

/// A service that shares a key with the gateway.
#[derive(Clone)]
pub struct Service {
    /// Its name, which is the key's too.
    pub name: &'static str,
    /// The key.
    pub secret: String,
}

impl Service {
    fn new(name: &'static str) -> Self {
        // 256 bits, and another one in each run.
        Self { name, secret: encode(Key::new("EdDSA", name).public()) }
    }

    /// The code of a message.
    ///
    /// # Panics
    /// For anything but `HS256`, `HS384` and `HS512`.
    #[must_use]
    pub fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        code(algorithm, self.secret.as_bytes(), message)
    }

    /// The claims of a good token, changed as said; `null` removes one.
    #[must_use]
    pub fn claims(&self, audience: &str, over: &Value) -> Value {
        let now = now();
        merged(&json!({"aud": audience, "iat": now - 1, "exp": now + 3600}), over)
    }

    /// A token of some algorithm; a member of `header` replaces the usual one, `null` removes it.
    #[must_use]
    pub fn token(&self, algorithm: &str, header: &Value, claims: &Value) -> String {
        let usual = json!({"alg": algorithm, "typ": "JWT", "kid": self.name});
        let input = signing_input(merged(&usual, header).to_string(), claims.to_string());
        let signature = encode(self.sign(algorithm, input.as_bytes()));
        format!("{input}.{signature}")
    }
}

/// An HMAC.
///
/// # Panics
/// For anything but `HS256`, `HS384` and `HS512`.
#[must_use]
pub fn code(algorithm: &str, secret: &[u8], message: &[u8]) -> Vec<u8> {
    let rules = match algorithm {
        "HS256" => hmac::HMAC_SHA256,
        "HS384" => hmac::HMAC_SHA384,
        "HS512" => hmac::HMAC_SHA512,
        other => panic!("{other} is no HMAC"),
    };
    hmac::sign(&hmac::Key::new(rules, secret), message).as_ref().to_vec()
}

/// A signer of messages with a directory of keys.
#[derive(Clone)]
pub struct Signer {
    /// What the gateway calls it.
    pub name: &'static str,
    /// What `Signature-Agent` says.
    pub agent: String,
    /// Its keys.
    pub keys: Vec<Key>,
}

impl Signer {
    fn new(name: &'static str, agent: &str, algorithms: &[&'static str]) -> Self {
        let key = |algorithm: &&'static str| {
            Key::new(algorithm, &format!("{name}-{}", algorithm.to_ascii_lowercase()))
        };
        Self { name, agent: agent.to_owned(), keys: algorithms.iter().map(key).collect() }
    }

    /// The key of an algorithm.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn key(&self, algorithm: &str) -> &Key {
        self.keys.iter().find(|key| key.algorithm == algorithm).expect("a key of that algorithm")
    }

    /// The keys as its directory has them.
    #[must_use]
    pub fn jwks(&self) -> Vec<Value> {
        self.keys.iter().map(Key::jwk).collect()
    }
}

impl World {
    /// The issuers by their `iss`, and the signers by their agents.
    #[must_use]
    pub fn new(first: &str, second: &str, agents: [&str; 2]) -> Self {
        let mut second = Mint::new(second, "attach-test");
        second.keys.retain(|key| matches!(key.algorithm, "ES256" | "EdDSA"));
        let [bot, crawler] = agents;
        Self {
            first: Mint::new(first, "attach-test"),
            spare: Key::new("RS256", "other-rs256"),
            second,
            strangers: Key::new("RS256", "others-own"),
            dids: Dids::new(),
            orchestrators: [Key::new("RS256", "planner"), Key::new("RS256", "other-planner")],
            services: [Service::new("billing"), Service::new("reports")],
            signers: [
                Signer::new("bot", bot, &["EdDSA", "ES256", "PS512", "RS256"]),
                Signer::new("crawler", crawler, &["EdDSA"]),
            ],
            gateway: Key::of_seed(&[7; 32]),
            assertions: Key::of_seed(&[8; 32]),
        }
    }

    /// The gateway's public address.
    #[must_use]
    pub fn public_url(&self) -> String {
        format!("http://{AUTHORITY}")
    }

    /// The audience of the gateway's tokens.
    #[must_use]
    pub fn audience(&self) -> &str {
        &self.first.audience
    }

    /// The keys that the first issuer publishes.
    #[must_use]
    pub fn first_keys(&self) -> Vec<Value> {
        let mut keys = self.first.jwks();
        keys.push(self.spare.jwk());
        keys
    }

    /// The keys that the second issuer publishes.
    #[must_use]
    pub fn second_keys(&self) -> Vec<Value> {
        self.second.jwks()
    }

    /// What `DID_ALLOW` lists: everybody who is let in, one of them by a beginning.
    #[must_use]
    pub fn did_allow(&self) -> Vec<String> {
        self.dids.allowed().iter().map(|holder| holder.did.clone()).collect()
    }

    /// What `HMAC_KEYS` lists.
    #[must_use]
    pub fn hmac_keys(&self) -> Vec<String> {
        self.services.iter().map(|service| format!("{}={}", service.name, service.secret)).collect()
    }
}
