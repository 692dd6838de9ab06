//! Tokens of services that share a key, and the list that the keys stand in.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)] // A test.

use attach_core::authn::Refusal;
use attach_core::authn::hmac::{KeysError, Rules, Service, authenticate, names_hmac, parse_keys};
use attach_core::authn::jws::Jws;
use attach_core::clock::UnixMillis;
use attach_core::crypto::{SigningKey, to_base64url};
use attach_core::secret::Secret;
use proptest::prelude::*;
use rust_hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};

const NOW: u64 = 1_800_000_000;
const BILLING: &str = "0123456789abcdef0123456789abcdef";
const REPORTS: &str = "fedcba9876543210fedcba9876543210=,"; // Its comma stands in no list.

fn rules() -> Rules {
    Rules {
        services: [("billing", BILLING), ("reports", REPORTS)]
            .map(|(name, secret)| Service::new(name, &Secret::new(secret.as_bytes())))
            .into(),
        audiences: ["attach".into()].into(),
        user_prefix: "hmac:".into(),
    }
}

fn token(header: &Value, claims: &Value, secret: &str) -> String {
    let input = [header, claims].map(|part| to_base64url(part.to_string().as_bytes())).join(".");
    let message = input.as_bytes();
    let key = secret.as_bytes();
    let code = match header["alg"].as_str().unwrap() {
        "HS384" => Hmac::<Sha384>::new_from_slice(key)
            .unwrap()
            .chain_update(message)
            .finalize()
            .into_bytes()
            .to_vec(),
        "HS512" => Hmac::<Sha512>::new_from_slice(key)
            .unwrap()
            .chain_update(message)
            .finalize()
            .into_bytes()
            .to_vec(),
        _ => Hmac::<Sha256>::new_from_slice(key)
            .unwrap()
            .chain_update(message)
            .finalize()
            .into_bytes()
            .to_vec(),
    };
    format!("{input}.{}", to_base64url(&code))
}

fn judge(token: &str) -> Result<String, Refusal> {
    authenticate(&Jws::parse(token)?, &rules(), UnixMillis(NOW * 1000)).map(|accepted| {
        assert_eq!(accepted.source, None);
        assert!(accepted.identity.scopes().is_empty());
        accepted.identity.user().to_owned()
    })
}

fn claims() -> Value {
    json!({"aud": "attach", "exp": NOW + 600})
}

fn header(algorithm: &str) -> Value {
    json!({"alg": algorithm, "kid": "billing"})
}

#[test]
fn a_service_is_known_by_its_key_whichever_hash_it_uses() {
    for algorithm in ["HS256", "HS384", "HS512"] {
        for (name, secret) in [("billing", BILLING), ("reports", REPORTS)] {
            let header = json!({"alg": algorithm, "kid": name});
            for claims in [
                claims(),
                json!({"aud": "attach", "exp": NOW + 600, "iss": name, "sub": "admin", "scope": "admin"}),
                json!({"aud": ["x", "attach"], "exp": NOW + 600, "iat": NOW, "nbf": NOW}),
            ] {
                let token = token(&header, &claims, secret);
                assert_eq!(judge(&token), Ok(format!("hmac:{name}")));
                assert!(names_hmac(&Jws::parse(&token).unwrap()));
            }
        }
    }
}

#[test]
fn what_is_no_services_token_is_refused_with_its_reason() {
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        token(&header("HS256"), &claims, BILLING)
    };
    let without = |name: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        token(&header("HS256"), &claims, BILLING)
    };
    let good = token(&header("HS256"), &claims(), BILLING);
    assert_eq!(judge(&good), Ok("hmac:billing".to_owned()));
    let (input, code) = good.rsplit_once('.').unwrap();
    for (name, token, expected) in [
        ("another service's key", token(&header("HS256"), &claims(), REPORTS), Refusal::SignatureInvalid),
        ("no code", format!("{input}."), Refusal::SignatureInvalid),
        ("half a code", format!("{input}.{}", &code[..20]), Refusal::SignatureInvalid),
        (
            "the code of another hash",
            token(&header("HS512"), &claims(), BILLING).replacen(
                &to_base64url(header("HS512").to_string().as_bytes()),
                &to_base64url(header("HS256").to_string().as_bytes()),
                1,
            ),
            Refusal::SignatureInvalid,
        ),
        ("an empty key", token(&header("HS256"), &claims(), ""), Refusal::SignatureInvalid),
        ("no kid", token(&json!({"alg": "HS256"}), &claims(), BILLING), Refusal::KeyUnnamed),
        (
            "an unknown kid",
            token(&json!({"alg": "HS256", "kid": "Billing"}), &claims(), BILLING),
            Refusal::HmacKeyUnknown,
        ),
        (
            "an empty kid",
            token(&json!({"alg": "HS256", "kid": ""}), &claims(), BILLING),
            Refusal::HmacKeyUnknown,
        ),
        (
            "a kid with the prefix",
            token(&json!({"alg": "HS256", "kid": "hmac:billing"}), &claims(), BILLING),
            Refusal::HmacKeyUnknown,
        ),
        (
            "a kid that is a path",
            token(&json!({"alg": "HS256", "kid": "../../dev/null"}), &claims(), ""),
            Refusal::HmacKeyUnknown,
        ),
        ("RS256 with the kid", token(&header("RS256"), &claims(), BILLING), Refusal::AlgorithmUnknown),
        ("EdDSA with the kid", token(&header("EdDSA"), &claims(), BILLING), Refusal::AlgorithmUnknown),
        ("hs256", token(&header("hs256"), &claims(), BILLING), Refusal::AlgorithmUnknown),
        ("none", token(&header("none"), &claims(), BILLING), Refusal::AlgorithmNone),
        ("another service's name", with("iss", json!("reports")), Refusal::HmacIssuer),
        ("an issuer that is an address", with("iss", json!("https://idp.example")), Refusal::HmacIssuer),
        ("an issuer that is no text", with("iss", json!(["billing"])), Refusal::HmacIssuer),
        ("an empty issuer", with("iss", json!("")), Refusal::HmacIssuer),
        ("an issuer of null", with("iss", Value::Null), Refusal::HmacIssuer),
        ("no audience", without("aud"), Refusal::AudienceMissing),
        ("another audience", with("aud", json!("other")), Refusal::AudienceWrong),
        ("no expiry", without("exp"), Refusal::ExpiryMissing),
        ("expired", with("exp", json!(NOW - 60)), Refusal::Expired),
        ("not yet", with("nbf", json!(NOW + 61)), Refusal::NotYetValid),
        ("issued in the future", with("iat", json!(NOW + 61)), Refusal::IssuedInFuture),
    ] {
        assert_eq!(judge(&token), Err(expected), "{name}");
    }
}

#[test]
fn a_public_keys_bytes_are_no_shared_key() {
    // The old confusion: HS256 with what everybody can read.
    let public = SigningKey::from_seed(&[7; 32]).public();
    let text = to_base64url(&public);
    assert_eq!(judge(&token(&header("HS256"), &claims(), &text)), Err(Refusal::SignatureInvalid));
}

#[test]
fn lists_are_read_by_line_and_by_comma() {
    let long = "s".repeat(32);
    for (text, names) in [
        (format!("a={long}"), vec!["a"]),
        (format!("a={long},b={long}"), vec!["a", "b"]),
        (format!("a={long}\nb={long}\n"), vec!["a", "b"]),
        (format!("\n a={long}\r\n\r\n,\tb.C_1-2={long},\n"), vec!["a", "b.C_1-2"]),
        (format!("{}={long}", "n".repeat(64)), vec![&*"n".repeat(64)]),
    ] {
        let keys = parse_keys(&text).unwrap();
        assert_eq!(keys.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), names, "{text:?}");
        assert!(keys.iter().all(|(_, secret)| secret.matches(long.as_bytes())), "{text:?}");
    }
    // What follows the first equals sign is the secret's, whatever it is.
    let odd = format!("=={}=", "s".repeat(30));
    assert!(parse_keys(&format!("a={odd}")).unwrap()[0].1.matches(odd.as_bytes()));
}

#[test]
fn a_list_that_is_wrong_says_where_and_never_what() {
    let long = "secret-secret-secret-secret-secret";
    let many: Vec<String> = (0..257).map(|number| format!("s{number}={long}")).collect();
    for (text, error) in [
        (String::new(), KeysError::Empty),
        (" \n,\n".to_owned(), KeysError::Empty),
        (long.to_owned(), KeysError::Form(1)),
        (format!("a={long}\n{long}"), KeysError::Form(2)),
        (format!("={long}"), KeysError::Name(1)),
        (format!("a b={long}"), KeysError::Name(1)),
        (format!("hmac:a={long}"), KeysError::Name(1)),
        (format!("ä={long}"), KeysError::Name(1)),
        (format!("{}={long}", "n".repeat(65)), KeysError::Name(1)),
        // A secret in base64 without its name.
        (format!("{long}="), KeysError::Form(1)),
        (format!("a={long}\n{long}== "), KeysError::Form(2)),
        ("a=".to_owned(), KeysError::Form(1)),
        ("a=b".to_owned(), KeysError::Short("a".into())),
        (format!("a={}", "s".repeat(31)), KeysError::Short("a".into())),
        (format!("a={long} "), KeysError::Spaced("a".into())),
        (format!("a= {long}"), KeysError::Spaced("a".into())),
        (format!("a={long}\0"), KeysError::Spaced("a".into())),
        (format!("a={long},b={long}\na={long}"), KeysError::Twice("a".into())),
        (many.join("\n"), KeysError::TooMany),
    ] {
        let found = parse_keys(&text).expect_err(&text);
        assert_eq!(found, error, "{text:?}");
    }
    assert_eq!(parse_keys(&many[..256].join(",")).unwrap().len(), 256);
    assert!(!format!("{:?}", rules()).contains("0123456789"));
}

proptest! {
    #[test]
    fn no_list_makes_it_panic_or_repeats_a_secret(text in "([a-c=,\n\r \t.-]{0,20}[a-c]=SECRET[ -+.-<>-~]{0,40}[\n,])?[a-c=,\n\r \t.-]{0,60}") {
        match parse_keys(&text) {
            Ok(keys) => prop_assert!(keys.iter().all(|(_, secret)| secret.expose().len() >= 32)),
            Err(error) => prop_assert!(!error.to_string().contains("SECRET"), "{error}"),
        }
    }

    #[test]
    fn a_token_with_any_byte_changed_is_refused(place in any::<prop::sample::Index>(), with in "[a-zA-Z0-9_.-]") {
        let good = token(&header("HS256"), &claims(), BILLING);
        let place = place.index(good.len());
        let changed = format!("{}{with}{}", &good[..place], &good[place + 1..]);
        prop_assert_eq!(judge(&changed).is_ok(), changed == good);
    }
}
