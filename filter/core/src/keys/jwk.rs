//! JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037 section 2) of a set fetched from an issuer.
//!
//! Keys that cannot verify a signature here (for encryption, symmetric, of an unknown kind, malformed) are
//! passed over, as RFC 7517 section 5 asks; a set in which none is left is refused whole, and so is one
//! that is larger than any honest issuer's.

use super::{Key, KeySet};
use crate::crypto::{Algorithm, PublicKey, base64url, sha256, to_base64url};
use crate::json::{self, JsonError, Members, Value};

/// The largest set that is read, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;
/// The most keys that an issuer's set may list.
pub const MAX_KEYS: usize = 100;
/// The most keys that control's set of authorised keys may list.
pub const MAX_OWN_KEYS: usize = 500;

/// Why a set was refused; the issuer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetError {
    /// More than [`MAX_BYTES`].
    TooLarge,
    /// Not a JSON object with an array `keys`.
    Malformed,
    /// More than it may list.
    TooMany,
    /// Not one key that can verify a signature.
    NoUsableKey,
}

impl core::fmt::Display for SetError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TooLarge => write!(f, "larger than {MAX_BYTES} bytes"),
            Self::Malformed => f.write_str("not a JSON Web Key Set"),
            Self::TooMany => f.write_str("too many keys"),
            Self::NoUsableKey => f.write_str("no key in it can verify a signature"),
        }
    }
}

impl KeySet {
    /// Reads an issuer's set.
    ///
    /// # Errors
    /// [`SetError`].
    pub fn parse(text: &[u8]) -> Result<Self, SetError> {
        let keys = Self::read(text, MAX_KEYS)?;
        if keys.is_empty() { Err(SetError::NoUsableKey) } else { Ok(keys) }
    }

    /// Reads a set of control's own, which may be empty.
    ///
    /// # Errors
    /// [`SetError`].
    pub fn parse_own(text: &[u8]) -> Result<Self, SetError> {
        Self::read(text, MAX_OWN_KEYS)
    }

    fn read(text: &[u8], max_keys: usize) -> Result<Self, SetError> {
        if text.len() > MAX_BYTES {
            return Err(SetError::TooLarge);
        }
        let set = json::object(text).map_err(|_: JsonError| SetError::Malformed)?;
        let listed = set.get("keys").and_then(Value::as_array).ok_or(SetError::Malformed)?;
        if listed.len() > max_keys {
            return Err(SetError::TooMany);
        }
        let mut keys: Vec<Key> = Vec::new();
        for value in listed {
            if let Value::Object(members) = value
                && let Some(key) = read(members)
                && !keys.contains(&key)
            {
                keys.push(key);
            }
        }
        Ok(Self(keys))
    }
}

fn read(jwk: &Members) -> Option<Key> {
    if jwk.get("use").is_some_and(|usage| usage.as_str() != Some("sig")) {
        return None;
    }
    if let Some(operations) = jwk.get("key_ops")
        && !operations.as_array()?.iter().any(|operation| operation.as_str() == Some("verify"))
    {
        return None;
    }
    let stated = match jwk.get("alg") {
        None => None,
        Some(name) => Some(Algorithm::of_name(name.as_str()?)?),
    };
    let bytes = |name: &str| base64url(jwk.str(name)?.as_bytes());
    // A key has one algorithm. Where it does not state it, it is the one its kind is used with: a token
    // that names another is refused, whatever its signature.
    let public = match (jwk.str("kty")?, jwk.str("crv"), stated) {
        ("RSA", _, stated) => {
            let algorithm = stated.unwrap_or(Algorithm::Rs256);
            if matches!(algorithm, Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa) {
                return None;
            }
            PublicKey::rsa(algorithm, &bytes("n")?, &bytes("e")?)?
        }
        ("EC", Some("P-256"), None | Some(Algorithm::Es256)) => {
            PublicKey::ec(Algorithm::Es256, &bytes("x")?, &bytes("y")?)?
        }
        ("EC", Some("P-384"), None | Some(Algorithm::Es384)) => {
            PublicKey::ec(Algorithm::Es384, &bytes("x")?, &bytes("y")?)?
        }
        ("OKP", Some("Ed25519"), None | Some(Algorithm::EdDsa)) => PublicKey::ed25519(&bytes("x")?)?,
        _ => return None,
    };
    let id = match jwk.get("kid") {
        None => None,
        Some(id) => Some(id.as_str()?.into()),
    };
    let fingerprint = public.fingerprint();
    Some(Key { id, thumbprint: thumbprint(jwk)?, public, fingerprint })
}

/// The key's thumbprint (RFC 7638 section 3): the members that make the key, in order, hashed. They were
/// just read as names and base64url, so that nothing in them needs escaping.
fn thumbprint(jwk: &Members) -> Option<Box<str>> {
    let kind = jwk.str("kty")?;
    let names: &[&str] = match kind {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        _ => &["crv", "kty", "x"],
    };
    let mut text = String::with_capacity(512);
    for name in names {
        text.push_str(if text.is_empty() { "{\"" } else { ",\"" });
        text.push_str(name);
        text.push_str("\":\"");
        text.push_str(jwk.str(name)?);
        text.push('"');
    }
    text.push('}');
    Some(to_base64url(&sha256(&[text.as_bytes()])).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::NoKey;

    // RFC 7517 appendix A.1.
    const RFC: &str = r#"{"keys":[
        {"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"},
        {"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}]}"#;

    #[test]
    fn keys_for_encryption_are_passed_over() {
        let set = KeySet::parse(RFC.as_bytes()).unwrap();
        assert_eq!(set.len(), 1);
        assert!(set.find(Some("2011-04-29"), Algorithm::Rs256).is_ok());
        assert_eq!(set.find(Some("1"), Algorithm::Es256), Err(NoKey::Unknown));
    }

    #[test]
    fn the_key_fixes_the_algorithm_and_never_the_token() {
        let set = KeySet::parse(RFC.as_bytes()).unwrap();
        for algorithm in Algorithm::ALL {
            let found = set.find(Some("2011-04-29"), algorithm);
            assert_eq!(found.is_ok(), algorithm == Algorithm::Rs256, "{algorithm:?}");
        }
        let silent = RFC.replace(r#""alg":"RS256","#, "");
        let set = KeySet::parse(silent.as_bytes()).unwrap();
        assert_eq!(set.find(Some("2011-04-29"), Algorithm::Ps256), Err(NoKey::Algorithm));
    }

    #[test]
    fn a_token_without_kid_means_the_only_key_of_its_algorithm() {
        let set = KeySet::parse(RFC.as_bytes()).unwrap();
        assert!(set.find(None, Algorithm::Rs256).is_ok());
        assert_eq!(set.find(None, Algorithm::Es256), Err(NoKey::Unnamed));
    }

    #[test]
    fn a_key_is_also_found_by_its_thumbprint() {
        // RFC 7638 section 3.1, RFC 8037 appendix A.3, and the test key of the Web Bot Auth drafts.
        let nameless = RFC.replace(r#","kid":"2011-04-29""#, "");
        let set = KeySet::parse(nameless.as_bytes()).unwrap();
        let id = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
        assert!(set.find_signer(id, None).is_ok());
        assert!(set.find_signer(id, Some(Algorithm::Rs256)).is_ok());
        assert_eq!(set.find_signer(id, Some(Algorithm::Ps512)), Err(NoKey::Algorithm));
        assert_eq!(set.find_signer("2011-04-29", None), Err(NoKey::Unknown));
        for (x, id) in [
            ("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
            ("JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs", "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U"),
        ] {
            let set = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}]}}"#);
            assert!(KeySet::parse(set.as_bytes()).unwrap().find_signer(id, None).is_ok(), "{id}");
        }
    }

    #[test]
    fn an_id_that_two_keys_have_means_the_one_of_the_stated_algorithm() {
        let set = RFC.replace(r#""use":"enc","kid":"1""#, r#""kid":"2011-04-29""#);
        let set = KeySet::parse(set.as_bytes()).unwrap();
        assert_eq!(set.find_signer("2011-04-29", None), Err(NoKey::Unnamed));
        let found = set.find_signer("2011-04-29", Some(Algorithm::Es256)).unwrap();
        assert_eq!(found.public.algorithm(), Algorithm::Es256);
    }

    #[test]
    fn a_set_that_no_honest_issuer_publishes_is_refused() {
        let many = format!(r#"{{"keys":[{}]}}"#, vec!["{}"; 10_000].join(","));
        let large = format!(r#"{{"keys":[],"x":"{}"}}"#, "a".repeat(5 << 20));
        for (text, error) in [
            ("", SetError::Malformed),
            ("<html></html>", SetError::Malformed),
            ("{}", SetError::Malformed),
            (r#"{"keys":{}}"#, SetError::Malformed),
            (r#"{"keys":[]}"#, SetError::NoUsableKey),
            (r#"{"keys":[null,1,{"kty":"oct","k":"AAAA"}]}"#, SetError::NoUsableKey),
            (r#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}"#, SetError::NoUsableKey),
            (&many, SetError::TooMany),
            (&large, SetError::TooLarge),
        ] {
            assert_eq!(KeySet::parse(text.as_bytes()), Err(error), "{:.40}", text);
        }
    }

    #[test]
    fn a_wallets_curve_is_no_issuers() {
        // RFC 8812 section 3.1's kind of key, with and without its algorithm, and RSA's with it.
        let point = r#""kty":"EC","crv":"secp256k1","x":"eb5mfvncu6xVoGKVzocLBwKb_NstzijZWfKBWxb4F5g","y":"SDradyajxGVdpPv8DhEIqP0XtEimhVQZnEfQj_sQ1Lg""#;
        let rsa = RFC.replace("RS256", "ES256K");
        for text in [
            format!(r#"{{"keys":[{{{point}}}]}}"#),
            format!(r#"{{"keys":[{{{point},"alg":"ES256K"}}]}}"#),
            format!(r#"{{"keys":[{{{point},"alg":"ES256"}}]}}"#),
            rsa,
        ] {
            assert_eq!(KeySet::parse(text.as_bytes()), Err(SetError::NoUsableKey), "{text}");
        }
        assert_eq!(Algorithm::of_name("ES256K"), None);
        assert!(!Algorithm::ALL.contains(&Algorithm::Es256k));
    }

    #[test]
    fn a_point_off_its_curve_is_no_key() {
        let off = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"}]}"#;
        assert_eq!(KeySet::parse(off.as_bytes()), Err(SetError::NoUsableKey));
        let zero =
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#;
        assert_eq!(KeySet::parse(zero.as_bytes()), Err(SetError::NoUsableKey));
    }
}
