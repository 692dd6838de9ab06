//! Everybody who asks, their keys, and what they send: header fields with tabs between them, which is how
//! the driver reads them. All of one kind have one length.

use attach_tests::mint::{Holder, Key, encode, encode_standard, now, sha_256, signing_input};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Value, json};

use crate::failure::{During as _, Failure};
use crate::rows::{Method, Scheme};

/// `aud` of the tokens.
pub(crate) const AUDIENCE: &str = "attach-bench";
/// `Host` of every request: signatures are made for it, whatever the port.
pub(crate) const AUTHORITY: &str = "gateway.example";
/// `Signature-Agent` of the signed requests.
pub(crate) const BOT: &str = "https://bot.example";
/// How long tokens are good for that may be good for long, in seconds: longer than any run.
const LIFE: u64 = 12 * 3600;
/// How long a gateway's own token may be.
const GATEWAY_LIFE: u64 = 900;
/// How long what is good for one request may be.
const ONCE_LIFE: u64 = 300;
/// How many users the tokens are of whose users recur.
const USERS: u64 = 64;
/// How many services share a key with the gateway.
const SERVICES: usize = 16;

/// Whose keys they are.
pub(crate) struct Keys {
    /// The issuer's, one for each of its algorithms.
    pub(crate) issuer: Vec<Key>,
    /// rotagent's.
    pub(crate) orchestrator: Key,
    /// Those that the gateway's own tokens are signed with.
    pub(crate) gateway: Key,
    /// The bot's that signs its requests.
    pub(crate) bot: Key,
    /// What the filter signs assertions with.
    assertion_seed: [u8; 32],
    did_key: Holder,
    did_pkh: Holder,
    services: Vec<Service>,
}

struct Service {
    name: String,
    secret: String,
    key: hmac::Key,
}

impl Keys {
    /// New ones.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(crate) fn new() -> Result<Self, Failure> {
        let algorithms = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"];
        let service = |number| {
            let secret = hexadecimal(&random()?);
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            Ok(Service { name: format!("service-{number:02}"), secret, key })
        };
        Ok(Self {
            issuer: algorithms.iter().map(|name| Key::new(name, &name.to_ascii_lowercase())).collect(),
            orchestrator: Key::new("RS256", "planner"),
            gateway: Key::of_seed(&random()?),
            bot: Key::of_seed(&random()?),
            assertion_seed: random()?,
            did_key: Holder::key("EdDSA"),
            did_pkh: Holder::ethereum("ES256K-R"),
            services: (0..SERVICES).map(service).collect::<Result<_, Failure>>()?,
        })
    }

    /// What the VM finds in its environment.
    ///
    /// # Errors
    /// When there are no random bytes.
    pub(crate) fn environment(&self) -> Result<Vec<(&'static str, String)>, Failure> {
        let services = self.services.iter().map(|service| format!("{}={}", service.name, service.secret));
        Ok(vec![
            ("ATTACH_CONTROL_SECRET", hexadecimal(&random()?)),
            ("ATTACH_ASSERTION_KEY", encode(self.assertion_seed)),
            ("ATTACH_HMAC_KEYS", services.collect::<Vec<_>>().join("\n")),
        ])
    }

    /// The issuer's key for an algorithm.
    fn of(&self, algorithm: &str) -> &Key {
        let found = self.issuer.iter().find(|key| key.algorithm == algorithm);
        found.unwrap_or(&self.orchestrator)
    }
}

/// Makes credentials.
pub(crate) struct Mint {
    /// Whose.
    pub(crate) keys: Keys,
    /// `iss` of the issuer's tokens.
    pub(crate) issuer: String,
    /// The gateway's public address, `iss` and `aud` of its own tokens.
    pub(crate) gateway: String,
}

impl Mint {
    /// A credential for a request, as header fields. Two numbers give two credentials.
    pub(crate) fn fields(&self, scheme: Scheme, method: Method, number: u64) -> String {
        match scheme {
            Scheme::Oidc(algorithm) => bearer(&self.oidc(algorithm, number % USERS, number)),
            Scheme::OidcUsers => bearer(&self.oidc("RS256", number, number)),
            Scheme::DidKey => bearer(&did(&self.keys.did_key, number)),
            Scheme::DidPkh => bearer(&did(&self.keys.did_pkh, number)),
            Scheme::Hmac => self.hmac(number),
            Scheme::Gateway => bearer(&self.gateway_token(number)),
            Scheme::Rotagent => bearer(&self.rotagent(method, number)),
            Scheme::Signature => self.signature(method, false, number),
            Scheme::SignatureWithDigest => self.signature(method, true, number),
        }
    }

    /// The same with another signature.
    pub(crate) fn forged(&self, scheme: Scheme, method: Method, number: u64) -> String {
        let good = self.fields(scheme, method, number);
        // Behind the last dot of a JWS, or where RFC 9421's begins.
        let start = good.find("sig1=:").map(|at| at + 6).or_else(|| good.rfind('.').map(|at| at + 1));
        let (before, signature) = good.split_at(start.unwrap_or_default());
        let other = if signature.starts_with('A') { 'B' } else { 'A' };
        format!("{before}{other}{}", signature.chars().skip(1).collect::<String>())
    }

    /// The issuer's token for a user.
    pub(crate) fn of_user(&self, algorithm: &str, user: u64, number: u64) -> String {
        bearer(&self.oidc(algorithm, user, number))
    }

    fn oidc(&self, algorithm: &str, user: u64, number: u64) -> String {
        let now = now();
        self.keys.of(algorithm).token(&json!({
            "iss": self.issuer,
            "sub": format!("user-{user:09}"),
            "aud": AUDIENCE,
            "azp": "c2f1b6a0d94e4f7ea3b5",
            "scope": "openid profile email models:read chat:write",
            "iat": now - 1,
            "exp": now + LIFE,
            "jti": identifier(number),
        }))
    }

    /// A service's token.
    pub(crate) fn hmac(&self, number: u64) -> String {
        let (now, service) = (now(), self.service(number));
        let header = json!({"alg": "HS256", "typ": "JWT", "kid": service.name});
        let claims = json!({"iss": service.name, "aud": AUDIENCE, "iat": now - 1, "exp": now + LIFE,
            "jti": identifier(number)});
        let input = signing_input(header.to_string(), claims.to_string());
        let code = hmac::sign(&service.key, input.as_bytes());
        bearer(&format!("{input}.{}", encode(code)))
    }

    /// A request signed by a service, over method, authority and path.
    pub(crate) fn hmac_signature(&self, method: Method, number: u64) -> String {
        let service = self.service(number);
        let parameters = Self::parameters(&service.name, "hmac-sha256", LIFE, number);
        signed(method, &[], &parameters, |base| hmac::sign(&service.key, base).as_ref().to_vec())
    }

    fn service(&self, number: u64) -> &Service {
        let place = usize::try_from(number).unwrap_or_default() % SERVICES;
        // There are as many as that.
        &self.keys.services[place]
    }

    fn gateway_token(&self, number: u64) -> String {
        let now = now();
        self.keys.gateway.token(&json!({
            "iss": self.gateway,
            "aud": self.gateway,
            "sub": format!("user-{:09}", number % USERS),
            "act": {"sub": "key:planner"},
            "client_id": "key:planner",
            "scope": "openid profile email models:read chat:write",
            "iat": now - 1,
            "exp": now + GATEWAY_LIFE,
            "jti": identifier(number),
        }))
    }

    fn rotagent(&self, method: Method, number: u64) -> String {
        let (now, key) = (now(), &self.keys.orchestrator);
        let body = method.body().unwrap_or_default();
        let hash = ring::digest::digest(&ring::digest::SHA256, body.as_bytes());
        // Its client states neither `kid` nor `aud`.
        key.token_with(
            &json!({"typ": "JWT", "kid": null}),
            &json!({
                "iss": key.id,
                "iat": now,
                "exp": now + ONCE_LIFE,
                "jti": identifier(number),
                "content_sha256": hexadecimal(hash.as_ref()),
            }),
        )
    }

    fn signature(&self, method: Method, with_digest: bool, number: u64) -> String {
        let key = &self.keys.bot;
        let mut fields = vec![("Signature-Agent", format!("\"{BOT}\""))];
        if with_digest {
            fields.push(("Content-Digest", sha_256(method.body().unwrap_or_default().as_bytes())));
        }
        let parameters = Self::parameters(&key.id, "ed25519", ONCE_LIFE, number);
        signed(method, &fields, &parameters, |base| key.sign(base))
    }

    fn parameters(key: &str, algorithm: &str, life: u64, number: u64) -> String {
        let (now, nonce) = (now(), identifier(number));
        format!(
            ";created={now};expires={};keyid=\"{key}\";alg=\"{algorithm}\";nonce=\"{nonce}\";tag=\"web-bot-auth\"",
            now + life
        )
    }
}

fn did(holder: &Holder, number: u64) -> String {
    let now = now();
    holder.token(&json!({"iss": holder.did, "aud": AUDIENCE, "iat": now - 1, "exp": now + LIFE,
        "jti": identifier(number)}))
}

/// A signature over method, authority, path and some fields (RFC 9421 section 3.1), and those fields.
fn signed(
    method: Method,
    fields: &[(&str, String)],
    parameters: &str,
    sign: impl FnOnce(&[u8]) -> Vec<u8>,
) -> String {
    let derived = [("@method", method.name()), ("@authority", AUTHORITY), ("@path", method.path())];
    let of_fields = fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()));
    let covered = derived.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(of_fields);
    let (mut names, mut base) = (Vec::new(), String::new());
    for (name, value) in covered {
        base.push_str(&format!("\"{name}\": {value}\n"));
        names.push(format!("\"{name}\""));
    }
    let input = format!("({}){parameters}", names.join(" "));
    base.push_str(&format!("\"@signature-params\": {input}"));
    let mut all: Vec<String> = fields.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    all.push(format!("Signature-Input: sig1={input}"));
    all.push(format!("Signature: sig1=:{}:", encode_standard(sign(base.as_bytes()))));
    all.join("\t")
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

/// With leading zeros, so that all have one length.
fn identifier(number: u64) -> String {
    format!("5f0c7a52-2d1e-4b8a-9c3f-{number:012}")
}

fn random() -> Result<[u8; 32], Failure> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).during("random bytes")?;
    Ok(bytes)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A set of public keys.
pub(crate) fn set(keys: &[Key]) -> Value {
    json!({ "keys": keys.iter().map(Key::jwk).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mint() -> Mint {
        Mint { keys: Keys::new().unwrap(), issuer: "http://issuer".into(), gateway: "http://gateway".into() }
    }

    const SCHEMES: [Scheme; 8] = [
        Scheme::Oidc("EdDSA"),
        Scheme::DidKey,
        Scheme::DidPkh,
        Scheme::Hmac,
        Scheme::Gateway,
        Scheme::Rotagent,
        Scheme::Signature,
        Scheme::SignatureWithDigest,
    ];

    #[test]
    fn credentials_of_one_kind_differ_and_have_one_length() {
        let mint = mint();
        for scheme in SCHEMES {
            let one = mint.fields(scheme, Method::Post, 0);
            let other = mint.fields(scheme, Method::Post, 1_000_000);
            assert_eq!(one.len(), other.len(), "{scheme:?}");
            assert_ne!(one, other, "{scheme:?}");
        }
    }

    #[test]
    fn a_forged_one_differs_behind_what_is_signed() {
        let mint = mint();
        for scheme in SCHEMES {
            let forged = mint.forged(scheme, Method::Post, 0);
            let good = mint.fields(scheme, Method::Post, 0);
            assert_eq!(forged.len(), good.len(), "{scheme:?}");
            assert_ne!(forged, good, "{scheme:?}");
        }
    }
}
