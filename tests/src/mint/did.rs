//! Those who bring their key in their name: did:key and did:pkh.

use k256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sha3::Keccak256;

use super::{Key, encode, merged, now, signing_input};

/// The chain id of Solana's main net (CAIP-2).
const SOLANA: &str = "4sGjMW1sUnHzSxGspuhpqLDx6wiyjNtZ";

/// Somebody with a DID.
#[derive(Clone)]
pub struct Holder {
    /// The DID.
    pub did: String,
    /// `alg` of its tokens.
    pub algorithm: &'static str,
    secret: Secret,
}

#[derive(Clone)]
enum Secret {
    Jose(Key),
    Secp256k1(Box<SigningKey>),
}

impl Holder {
    /// A did:key for one of `EdDSA`, `ES256`, `ES384` and `ES256K`.
    ///
    /// # Panics
    /// For another algorithm.
    #[must_use]
    pub fn key(algorithm: &'static str) -> Self {
        if algorithm == "ES256K" {
            let key = secp256k1();
            let point = key.verifying_key().to_encoded_point(true);
            let did = did_key(&[0xe7, 0x01], point.as_bytes());
            return Self { did, algorithm, secret: Secret::Secp256k1(Box::new(key)) };
        }
        let key = Key::new(algorithm, "did");
        let did = match algorithm {
            "EdDSA" => did_key(&[0xed, 0x01], &key.public()),
            "ES256" => did_key(&[0x80, 0x24], &compressed(&key.public())),
            "ES384" => did_key(&[0x81, 0x24], &compressed(&key.public())),
            other => panic!("no DID for {other}"),
        };
        Self { did, algorithm, secret: Secret::Jose(key) }
    }

    /// A did:pkh of Ethereum's main net, which signs by `ES256K-R` or `EIP191`.
    #[must_use]
    pub fn ethereum(algorithm: &'static str) -> Self {
        let key = secp256k1();
        let did = format!("did:pkh:eip155:1:{}", checksummed(&address(&key)));
        Self { did, algorithm, secret: Secret::Secp256k1(Box::new(key)) }
    }

    /// A did:pkh of Solana's main net.
    #[must_use]
    pub fn solana() -> Self {
        let key = Key::new("EdDSA", "did");
        let did = format!("did:pkh:solana:{SOLANA}:{}", base58(&key.public()));
        Self { did, algorithm: "EdDSA", secret: Secret::Jose(key) }
    }

    /// The same key by another name.
    #[must_use]
    pub fn named(&self, did: impl Into<String>) -> Self {
        Self { did: did.into(), ..self.clone() }
    }

    /// The same key by other rules.
    #[must_use]
    pub fn by(&self, algorithm: &'static str) -> Self {
        Self { algorithm, ..self.clone() }
    }

    /// What follows the last colon.
    ///
    /// # Panics
    /// When the DID has none.
    #[must_use]
    pub fn last(&self) -> &str {
        self.did.rsplit(':').next().expect("a part")
    }

    /// The claims of a good token, changed as said; `null` removes one.
    #[must_use]
    pub fn claims(&self, audience: &str, over: &Value) -> Value {
        let now = now();
        merged(&json!({"iss": self.did, "aud": audience, "iat": now - 1, "exp": now + 3600}), over)
    }

    /// A token with these claims.
    #[must_use]
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({}), claims)
    }

    /// A token; a member of `header` replaces the usual one, and `null` removes it.
    #[must_use]
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let usual = json!({"alg": self.algorithm, "typ": "JWT", "kid": self.key_url()});
        let input = signing_input(merged(&usual, header).to_string(), claims.to_string());
        let signature = encode(self.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }

    /// A token with a signature made of the good one.
    ///
    /// # Panics
    /// When the token has no signature.
    #[must_use]
    pub fn token_but(&self, claims: &Value, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
        let token = self.token(claims);
        let (input, _) = token.rsplit_once('.').expect("a token");
        format!("{input}.{}", encode(change(self.sign(input.as_bytes()))))
    }

    /// `kid`: the key's address within the DID's document.
    #[must_use]
    pub fn key_url(&self) -> String {
        let fragment = if self.did.starts_with("did:key:") { self.last() } else { "blockchainAccountId" };
        format!("{}#{fragment}", self.did)
    }

    /// What it signs.
    ///
    /// # Panics
    /// When its key cannot.
    #[must_use]
    pub fn sign(&self, input: &[u8]) -> Vec<u8> {
        let key = match &self.secret {
            Secret::Jose(key) => return key.sign(input),
            Secret::Secp256k1(key) => key,
        };
        let digest: [u8; 32] = if self.algorithm == "EIP191" {
            let start = format!("\x19Ethereum Signed Message:\n{}", input.len());
            Keccak256::new().chain_update(start).chain_update(input).finalize().into()
        } else {
            Sha256::digest(input).into()
        };
        let (signature, recovery) = key.sign_prehash_recoverable(&digest).expect("a signature");
        let mut bytes = signature.to_bytes().to_vec();
        match self.algorithm {
            "ES256K" => {}
            "EIP191" => bytes.push(recovery.to_byte() + 27),
            _ => bytes.push(recovery.to_byte()),
        }
        bytes
    }
}

/// The same signature's other form, s and -s: whoever sees one can make the other. A recovery id follows.
///
/// # Panics
/// When it is no signature.
#[must_use]
pub fn high_s(signature: &[u8]) -> Vec<u8> {
    let parsed = Signature::from_slice(&signature[..64]).expect("a signature");
    let (r, s) = parsed.split_scalars();
    let other = Signature::from_scalars(r, -s).expect("a signature");
    let mut bytes = other.to_bytes().to_vec();
    bytes.extend(
        signature[64..].iter().map(|recovery| if *recovery < 27 { recovery ^ 1 } else { 55 - recovery }),
    );
    bytes
}

fn secp256k1() -> SigningKey {
    SigningKey::random(&mut rsa::rand_core::OsRng)
}

/// The last twenty bytes of the public key's Keccak.
fn address(key: &SigningKey) -> [u8; 20] {
    let point = key.verifying_key().to_encoded_point(false);
    let hash = Keccak256::digest(&point.as_bytes()[1..]);
    hash[12..].try_into().expect("twenty bytes")
}

/// An address as EIP-55 writes it.
#[must_use]
pub fn checksummed(address: &[u8; 20]) -> String {
    let digits: String = address.iter().map(|byte| format!("{byte:02x}")).collect();
    let hash = Keccak256::digest(digits.as_bytes());
    let written = digits.chars().enumerate().map(|(place, digit)| {
        let nibble = (hash[place / 2] >> (4 * (1 - place % 2))) & 0xf;
        if nibble >= 8 { digit.to_ascii_uppercase() } else { digit }
    });
    format!("0x{}", written.collect::<String>())
}

fn did_key(codec: &[u8], key: &[u8]) -> String {
    format!("did:key:z{}", base58(&[codec, key].concat()))
}

/// A point in its short form (SEC 1 section 2.3.3).
fn compressed(point: &[u8]) -> Vec<u8> {
    let (x, y) = point[1..].split_at(point.len() / 2);
    [&[2 + (y[y.len() - 1] & 1)], x].concat()
}

/// Base58 in Bitcoin's alphabet.
#[must_use]
pub fn base58(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut digits: Vec<u8> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = u8::try_from(carry % 58).expect("a digit");
            carry /= 58;
        }
        while carry > 0 {
            digits.push(u8::try_from(carry % 58).expect("a digit"));
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    digits.resize(digits.len() + zeros, 0);
    digits.iter().rev().map(|digit| char::from(ALPHABET[usize::from(*digit)])).collect()
}
