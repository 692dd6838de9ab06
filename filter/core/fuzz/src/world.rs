//! One who is believed of each kind, and what they have signed: every `$name` that stands in an input.

use std::sync::OnceLock;

use attach_core::config::compile::compile;
use attach_core::crypto::{SigningKey, hex, sha256, to_base64url, to_hex};
use attach_core::keys::KeySet;
use attach_core::policy::Policy;
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, Pkcs1v15Sign, RsaPrivateKey};
use rust_hmac::{Hmac, Mac as _};
use serde_json::{Value, json};

/// The time, in seconds.
pub const NOW: u64 = 1_800_000_000;
/// What rotagent's and the signed messages' tokens vouch for.
pub const BODY: &str = r#"{"model":"llama3"}"#;
/// What filter and control share.
pub const CONTROL_SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// What a service shares with the gateway.
pub const SERVICE_SECRET: &str = "billing-secret-billing-secret-billing";
/// The seed of the key that signs statements.
const STATEMENT_SEED: [u8; 32] = [9; 32];

// The primes of an orchestrator's key, which is in use nowhere.
const P: &str = "cf2e059990ed16686bb09a3cca237aac2e10f3e25a26d9a5300b55e914e2c839bf49fbed7fb7e115089ed529a7fd7da38106216042abfa5cc069ffbdc80a96bee2061713d58186ee5227f77d54b98613b46578e9bd98c80851321f2117fb402721759d55877d7e9ecfaf7ebaa3a3a2db6b43bae48f2a75fe926f41a2f384249d";
const Q: &str = "c2589b6c9a5a4943ee1a66417e77afbc0bcc7df3c9f8dcf143377164e36e789da4d13b04dcd26494d9ed9a94a44dbee736e487ee245ba9fb47d6fbe4122467cc43131a52bfb75483da8a1ee8a77779050b331ed29a7b63bf2fe113b8230fb07fcabc141404820cb136303325f4bd0d473d22e7fb71d8b368f3411907d653d0db";

/// How many tokens a minute everybody has, where there are limits.
pub const LIMIT: u64 = 300;
/// What prompts and answers in the seeds say, and no state may show.
pub const SAID: &str = "xyzzy";

/// Everybody whose name may be stamped.
pub const USERS: [&str; 6] = ["alice", "bob", "carol", "key:orchestrator", "hmac:billing", "sig:bot"];

/// The places of the key sets: the issuer's, a signer's, the orchestrators', the gateway's own.
pub const SOURCES: usize = 4;

/// Which of Ed25519's keys is whose.
fn key(who: &str) -> SigningKey {
    SigningKey::from_seed(&match who {
        "idp" => [1; 32],
        "bot" => [2; 32],
        "own" => [3; 32],
        "did" => [4; 32],
        _ => [5; 32],
    })
}

fn rsa_key() -> &'static RsaPrivateKey {
    static KEY: OnceLock<RsaPrivateKey> = OnceLock::new();
    KEY.get_or_init(|| {
        let number = |text: &str| BigUint::from_bytes_be(&hex(text).unwrap());
        RsaPrivateKey::from_p_q(number(P), number(Q), BigUint::from(65537_u32)).unwrap()
    })
}

/// What a source of keys publishes.
///
/// # Panics
/// Past the last one.
#[must_use]
pub fn published(source: usize) -> KeySet {
    let okp = |id: &str, who: &str| json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "x": to_base64url(&key(who).public())});
    let key = match source {
        0 => okp("idp", "idp"),
        1 => okp("bot", "bot"),
        2 => json!({"kty": "RSA", "alg": "RS256", "kid": "orchestrator",
            "n": to_base64url(&rsa_key().n().to_bytes_be()), "e": to_base64url(&rsa_key().e().to_bytes_be())}),
        3 => okp("own", "own"),
        other => panic!("no source {other}"),
    };
    KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes()).unwrap()
}

/// The gateway's configuration. `words` switch parts of it on.
///
/// # Panics
/// When it is refused.
#[must_use]
pub fn policy(words: &[&str]) -> Policy {
    let at = |path: &str| json!({"cluster": "c", "scheme": "http", "authority": "idp", "path": path});
    let keys = |path: &str| json!({ "keys": at(path) });
    let own = |path: &str| json!({"keys": at(path), "internal": true, "refresh_seconds": 2});
    let mut document = json!({
        "version": 1, "public_url": "http://gateway",
        "issuers": [{"issuer": "https://idp", "audiences": ["attach"], "jwks": keys("/idp"),
            "claim_headers": [{"claim": "team", "header": "x-attach-team"}]}],
        "did": {"allow": [did()], "audiences": ["attach"]},
        "rotagent": {"audiences": ["attach"], "user_prefix": "key:", "jwks": own("/orchestrators")},
        "hmac": {"audiences": ["attach"], "user_prefix": "hmac:", "keys_env": "HMAC"},
        "httpsig": {"authorities": ["gateway"], "user_prefix": "sig:",
            "directories": [{"name": "bot", "agent": "https://bot.example", "jwks": keys("/bot")}],
            "components": ["@method", "@authority", "@path", "content-digest"]},
        "gateway_tokens": {"jwks": own("/own")},
        "exchanges": [{"from": "https://other", "to": "https://idp", "grant": "token-exchange",
            "endpoint": at("/token"), "client_id": "attach", "client_secret_env": "EXCHANGE"}],
        "assertion": {"key_env": "SEED"},
        "engine": {"api_key_env": "ENGINE"},
        "routes": [
            {"path": "/admin/**", "scopes": ["admin"]},
            {"path": "/open/**", "access": "public"},
            {"path": "/forward/**", "forward_credential": true},
        ],
        "control": {"secret_env": "CONTROL", "target": at("/")},
    });
    for word in words {
        match *word {
            "shadow" => document["mode"] = json!("shadow"),
            "control" => document["replay"] = json!("control"),
            "models" => document["models"] = json!([{"user": "*", "allow": ["llama*"]}]),
            "scopes" => document["required_scopes"] = json!(["chat"]),
            "limits" => {
                document["accounting"]["default_output"] = json!(40);
                document["accounting"]["limits"] =
                    json!([{"name": "minute", "tokens": LIMIT, "window": {"sliding": 60}}]);
            }
            "day" => {
                document["accounting"]["default_output"] = json!(40);
                document["accounting"]["limits"] = json!([
                    {"name": "minute", "tokens": LIMIT, "window": {"sliding": 60}},
                    {"name": "day", "tokens": 2 * LIMIT, "window": "day"}]);
            }
            "strict" => document["accounting"]["consistency"] = json!("strict"),
            "memory" | "ack" => {
                document["accounting"]["default_output"] = json!(40);
                document["memory"]["max_bytes"] = json!(1024);
                document["memory"]["ack"] = json!(if *word == "ack" { "strict" } else { "none" });
            }
            "development" => document["rotagent"]["development"] = json!(true),
            _ => {}
        }
    }
    let secret = |name: &str| {
        Some(match name {
            "HMAC" => format!("billing={SERVICE_SECRET}"),
            "SEED" => to_base64url(&STATEMENT_SEED),
            "ENGINE" => "engine-key".to_owned(),
            "EXCHANGE" => "exchange-secret".to_owned(),
            _ => CONTROL_SECRET.to_owned(),
        })
    };
    compile(document.to_string().as_bytes(), &secret).unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// Whose key is its name.
fn did() -> String {
    static DID: OnceLock<String> = OnceLock::new();
    DID.get_or_init(|| format!("did:key:z{}", base58(&[&[0xed, 0x01][..], &key("did").public()].concat())))
        .clone()
}

/// Whether a name is one that may be stamped.
#[must_use]
pub fn is_known(user: &str) -> bool {
    USERS.contains(&user) || user == did()
}

fn base58(bytes: &[u8]) -> String {
    const ALPHABET: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let (mut number, base) = (BigUint::from_bytes_be(bytes), BigUint::from(58_u32));
    let mut text = Vec::new();
    while number > BigUint::from(0_u32) {
        let digit = (&number % &base).to_bytes_le()[0];
        text.push(char::from(ALPHABET[usize::from(digit)]));
        number /= &base;
    }
    text.iter().rev().collect()
}

/// Every credential by its name in an input.
#[must_use]
pub fn credentials() -> &'static [(&'static str, String)] {
    static ALL: OnceLock<Vec<(&'static str, String)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let oidc = |more: Value| {
            let claims = json!({"iss": "https://idp", "aud": "attach", "sub": "alice", "exp": NOW + 600});
            token("idp", &json!({"kid": "idp"}), &merged(claims, &more))
        };
        let own = |more: Value| {
            let claims = json!({"iss": "http://gateway", "aud": "http://gateway", "sub": "carol",
                "act": {"sub": "key:orchestrator"}, "exp": NOW + 600});
            token("own", &json!({"kid": "own", "typ": "at+jwt"}), &merged(claims, &more))
        };
        let of_did = |more: Value| {
            let claims = json!({"iss": did(), "aud": "attach", "exp": NOW + 600});
            token("did", &json!({"kid": did()}), &merged(claims, &more))
        };
        vec![
            ("alice", oidc(json!({}))),
            ("scoped", oidc(json!({"sub": "bob", "scope": "chat admin", "team": "red"}))),
            ("expired", oidc(json!({"exp": NOW - 100}))),
            ("ending", oidc(json!({"exp": NOW - 57}))),
            ("unfit", oidc(json!({"sub": "alice\r\nx-attach-user: admin"}))),
            ("reserved", oidc(json!({"sub": "key:orchestrator"}))),
            ("unknown-key", token("idp", &json!({"kid": "next"}), &json!({"iss": "https://idp"}))),
            (
                "forged",
                token(
                    "",
                    &json!({"kid": "idp"}),
                    &json!({"iss": "https://idp", "aud": "attach", "sub": "admin", "exp": NOW + 600}),
                ),
            ),
            (
                "foreign",
                token(
                    "",
                    &json!({"kid": "x"}),
                    &json!({"iss": "https://other", "aud": "x", "exp": NOW + 600}),
                ),
            ),
            ("did", of_did(json!({}))),
            ("did-prefixed", format!("{}.{}", did(), of_did(json!({})))),
            ("did-name", did()),
            ("gateway", own(json!({}))),
            ("statement", own(json!({"aud": "engine"}))),
            ("hmac", service(&json!({"aud": "attach", "exp": NOW + 600}))),
            ("rotagent", orchestrated("a", BODY)),
            ("rotagent-b", orchestrated("b", BODY)),
            ("rotagent-empty", orchestrated("c", "")),
        ]
    })
}

/// From when on a message signature is refused, in seconds: five minutes and the leeway.
pub const SIGNATURE_REFUSED_FROM: u64 = NOW + 360;

/// From when on the credential of an `Authorization` header is refused, in seconds.
#[must_use]
pub fn refused_from(authorization: &str) -> u64 {
    let token = authorization.trim().rsplit(' ').next().unwrap_or_default();
    match credentials().iter().find(|(_, text)| text == token).map(|(name, _)| *name) {
        Some("ending") => NOW + 3,
        Some("rotagent" | "rotagent-b" | "rotagent-empty") => NOW + 120,
        // Of the gateway's own tokens nobody has a minute more.
        Some("gateway") => NOW + 600,
        _ => NOW + 660,
    }
}

/// The answer of a token endpoint.
#[must_use]
pub fn exchanged() -> String {
    let alice = &credentials()[0].1;
    json!({"access_token": alice, "token_type": "Bearer", "expires_in": 60}).to_string()
}

fn merged(mut claims: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        claims[name] = value.clone();
    }
    claims
}

fn input(header: &Value, claims: &Value) -> String {
    format!("{}.{}", to_base64url(header.to_string().as_bytes()), to_base64url(claims.to_string().as_bytes()))
}

/// A token that somebody's Ed25519 key signs.
#[must_use]
pub fn token(who: &str, header: &Value, claims: &Value) -> String {
    let input = input(&merged(json!({"alg": "EdDSA"}), header), claims);
    format!("{input}.{}", to_base64url(&key(who).sign(input.as_bytes())))
}

/// A token that the DID's key signs in the name of any other.
#[must_use]
pub fn did_token(name: &str) -> String {
    token("did", &json!({}), &json!({"iss": name, "aud": "attach", "exp": NOW + 600}))
}

fn service(claims: &Value) -> String {
    let input = input(&json!({"alg": "HS256", "kid": "billing"}), claims);
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(SERVICE_SECRET.as_bytes()).unwrap();
    mac.update(input.as_bytes());
    format!("{input}.{}", to_base64url(&mac.finalize().into_bytes()))
}

fn orchestrated(id: &str, body: &str) -> String {
    let claims = json!({"iss": "orchestrator", "iat": NOW, "exp": NOW + 60, "jti": id,
        "content_sha256": to_hex(&sha256(&[body.as_bytes()]))});
    let input = input(&json!({"alg": "RS256"}), &claims);
    let signature =
        rsa_key().sign(Pkcs1v15Sign::new::<sha2::Sha256>(), &sha256(&[input.as_bytes()])).unwrap();
    format!("{input}.{}", to_base64url(&signature))
}

/// A message signature over a base, in base64.
#[must_use]
pub fn sign_message(base: &str) -> String {
    standard(&key("bot").sign(base.as_bytes()))
}

/// `Content-Digest` of a body.
#[must_use]
pub fn digest(body: &str) -> String {
    format!("sha-256=:{}:", standard(&sha256(&[body.as_bytes()])))
}

/// Base64 with padding.
fn standard(bytes: &[u8]) -> String {
    let mut text = to_base64url(bytes).replace('-', "+").replace('_', "/");
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}
