//! What is no DID token, each with its reason.

use attach_core::authn::Refusal;
use attach_core::authn::did::AllowedDid;
use attach_core::crypto::{SigningKey, to_base64url};
use serde_json::{Value, json};

use super::{ED25519, NOW, SOLANA, WALLET, by_wallet, claims, eddsa, input, judge, with};

#[test]
fn what_is_no_did_token_is_refused_with_its_reason() {
    let key = ED25519.strip_prefix("did:key:").unwrap();
    let plain = json!({"alg": "EdDSA"});
    let good = eddsa(&plain, &claims(ED25519));
    assert_eq!(judge(&good, &["*"]), Ok(ED25519.to_owned()));
    let parts: Vec<&str> = good.split('.').collect();
    let changed = |name: &str, value: Value| {
        let mut claims = claims(ED25519);
        claims[name] = value;
        eddsa(&plain, &claims)
    };
    let without = |name: &str| {
        let mut claims = claims(ED25519);
        claims.as_object_mut().unwrap().remove(name);
        eddsa(&plain, &claims)
    };
    let kid = |kid: &str| eddsa(&json!({"alg": "EdDSA", "kid": kid}), &claims(ED25519));
    let alg = |alg: &str| eddsa(&json!({"alg": alg}), &claims(ED25519));
    let wallets = |alg: &str| by_wallet(&json!({"alg": alg}), &claims(WALLET));
    let other = "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp";
    for (name, token, expected) in [
        // A name, and forms of it.
        ("a DID alone", ED25519.to_owned(), Refusal::DidUnsigned),
        ("a wallet's DID alone", WALLET.to_owned(), Refusal::DidUnsigned),
        ("a DID and a dot", format!("{ED25519}."), Refusal::DidUnsigned),
        ("an empty signature", format!("{ED25519}.{}.{}.", parts[0], parts[1]), Refusal::DidUnsigned),
        ("an empty signature of a JWS", format!("{}.{}.", parts[0], parts[1]), Refusal::DidUnsigned),
        ("the original's README", "did:key:z6Mki...<sig>.<payload>.<sig>".to_owned(), Refusal::DidReadmeForm),
        ("its form with a whole token", format!("{ED25519}...{good}"), Refusal::DidReadmeForm),
        ("the original's test", "did:key:zabc".to_owned(), Refusal::DidKeyType),
        ("the original's other test", "did:pkh:eip155:1:0x123".to_owned(), Refusal::DidAddress),
        ("did:web", "did:web:example.com".to_owned(), Refusal::DidWeb),
        ("did:web with a token", format!("did:web:example.com.{good}"), Refusal::DidWeb),
        ("another method", "did:ion:abc".to_owned(), Refusal::DidMethod),
        (
            "the ethr method",
            "did:ethr:0x4a62316623ad457F02cDC5D997deD67a383EC569".to_owned(),
            Refusal::DidMethod,
        ),
        ("no method", "did:".to_owned(), Refusal::DidMalformed),
        ("an upper-case method", format!("did:KEY:{key}"), Refusal::DidMalformed),
        ("an empty method", format!("did::{key}"), Refusal::DidMalformed),
        // did:key.
        ("another multibase", format!("did:key:m{key}"), Refusal::DidMalformed),
        ("no multibase", format!("did:key:{}", &key[1..]), Refusal::DidMalformed),
        ("nothing", "did:key:".to_owned(), Refusal::DidMalformed),
        ("only the multibase", "did:key:z".to_owned(), Refusal::DidMalformed),
        ("a character outside the alphabet", ED25519.replace('T', "0"), Refusal::DidMalformed),
        ("a one before it", format!("did:key:z1{}", &key[1..]), Refusal::DidKeyType),
        ("a version", format!("did:key:1.1:{key}"), Refusal::DidMalformed),
        ("a fragment before the token", format!("{ED25519}#{key}.{good}"), Refusal::DidMalformed),
        (
            "a key for key agreement",
            "did:key:z6LSeu9HkTHSfLLeUs2nnzUSNedgDUevfNQgQjQC23ZCit6F".to_owned(),
            Refusal::DidKeyType,
        ),
        ("a key as long as RSA's", format!("did:key:z{}", "4".repeat(400)), Refusal::DidKeyType),
        // did:pkh.
        (
            "another chain",
            "did:pkh:bip122:000000000019d6689c085ae165831e93:128Lkh3S7CkDTBZ8W7BbpsN3YYizJMp8p6".to_owned(),
            Refusal::DidChain,
        ),
        ("a chain of number 01", WALLET.replace("155:1:", "155:01:"), Refusal::DidChain),
        ("a chain of number 0", WALLET.replace("155:1:", "155:0:"), Refusal::DidChain),
        ("a chain without number", WALLET.replace("155:1:", "155::"), Refusal::DidChain),
        ("a chain in letters", WALLET.replace("155:1:", "155:one:"), Refusal::DidChain),
        ("a long chain", WALLET.replace("155:1:", &format!("155:{}:", "1".repeat(33))), Refusal::DidChain),
        ("no chain", WALLET.replace("155:1:", "155:"), Refusal::DidMalformed),
        ("one part more", format!("{WALLET}:x"), Refusal::DidMalformed),
        ("a wrong checksum", WALLET.replace("7F02c", "7f02c"), Refusal::DidAddress),
        ("0X", WALLET.replace("0x", "0X"), Refusal::DidAddress),
        ("a short address", WALLET[..WALLET.len() - 1].to_owned(), Refusal::DidAddress),
        ("a short account", SOLANA[..SOLANA.len() - 2].to_owned(), Refusal::DidAddress),
        ("a chain of Solana's with a sign", SOLANA.replace("5eyk", "5ey+"), Refusal::DidChain),
        // Whose it is.
        ("another DID before it", format!("{other}.{good}"), Refusal::DidMismatch),
        (
            "another issuer behind the DID",
            format!("{ED25519}.{}", eddsa(&plain, &claims(other))),
            Refusal::DidMismatch,
        ),
        (
            "an issuer that is a number",
            format!("{ED25519}.{}", changed("iss", json!(1))),
            Refusal::DidMismatch,
        ),
        ("another's kid", kid(other), Refusal::DidMismatch),
        ("a kid of another fragment", kid(&format!("{ED25519}#key-1")), Refusal::DidMismatch),
        ("a kid of an empty fragment", kid(&format!("{ED25519}#")), Refusal::DidMismatch),
        ("a kid of the fragment alone", kid(&format!("#{key}")), Refusal::DidMismatch),
        ("a kid that is no DID", kid("1"), Refusal::DidMismatch),
        ("no issuer", without("iss"), Refusal::IssuerMissing),
        ("an issuer that is no DID", changed("iss", json!("https://idp.example")), Refusal::DidMismatch),
        ("a signature of another key", eddsa(&plain, &claims(other)), Refusal::SignatureInvalid),
        (
            "another wallet's",
            by_wallet(
                &json!({"alg": "EIP191"}),
                &claims("did:pkh:eip155:1:0xde709f2102306220921060314715629080e2fb77"),
            ),
            Refusal::SignatureInvalid,
        ),
        // How it is signed.
        ("none", alg("none"), Refusal::AlgorithmNone),
        ("HS256", alg("HS256"), Refusal::AlgorithmSymmetric),
        ("RS256", alg("RS256"), Refusal::DidAlgorithm),
        ("ES256 for an Ed25519 key", alg("ES256"), Refusal::DidAlgorithm),
        ("ES256K-R for an Ed25519 key", alg("ES256K-R"), Refusal::DidAlgorithm),
        ("EIP191 for an Ed25519 key", alg("EIP191"), Refusal::DidAlgorithm),
        ("eddsa", alg("eddsa"), Refusal::DidAlgorithm),
        ("ES256K for an address", wallets("ES256K"), Refusal::DidAlgorithm),
        ("EdDSA for an address", wallets("EdDSA"), Refusal::DidAlgorithm),
        ("eip191", wallets("eip191"), Refusal::DidAlgorithm),
        (
            "a signature of 64 bytes for an address",
            with(&input(&json!({"alg": "ES256K-R"}), &claims(WALLET)), &[1; 64]),
            Refusal::SignatureInvalid,
        ),
        (
            "zeros for an address",
            with(&input(&json!({"alg": "ES256K-R"}), &claims(WALLET)), &[0; 65]),
            Refusal::SignatureInvalid,
        ),
        ("zeros for a key", with(&input(&plain, &claims(ED25519)), &[0; 64]), Refusal::SignatureInvalid),
        (
            "personal_sign said to be ES256K-R",
            by_wallet(&json!({"alg": "EIP191"}), &claims(WALLET)).replacen(
                &to_base64url(br#"{"alg":"EIP191"}"#),
                &to_base64url(br#"{"alg":"ES256K-R"}"#),
                1,
            ),
            Refusal::SignatureInvalid,
        ),
        // What it says.
        ("no audience", without("aud"), Refusal::AudienceMissing),
        ("another audience", changed("aud", json!("https://elsewhere.example")), Refusal::AudienceWrong),
        ("no expiry", without("exp"), Refusal::ExpiryMissing),
        ("expired", changed("exp", json!(NOW - 60)), Refusal::Expired),
        ("an expiry in text", changed("exp", json!("1800003600")), Refusal::DateMalformed),
        ("a day and more", changed("exp", json!(NOW + 86_400 + 61)), Refusal::LifetimeTooLong),
        ("not yet", changed("nbf", json!(NOW + 61)), Refusal::NotYetValid),
        ("issued in the future", changed("iat", json!(NOW + 61)), Refusal::IssuedInFuture),
        // Its form.
        ("two parts", format!("{ED25519}.{}.{}", parts[0], parts[1]), Refusal::TokenSegments),
        ("four parts", format!("{ED25519}.{good}.x"), Refusal::TokenSegments),
        ("no base64url", format!("{ED25519}.{}.{}.=", parts[0], parts[1]), Refusal::TokenEncoding),
        (
            "a critical extension",
            eddsa(&json!({"alg": "EdDSA", "crit": ["x"]}), &claims(ED25519)),
            Refusal::CriticalExtension,
        ),
    ] {
        assert_eq!(judge(&token, &["*"]), Err(expected), "{name}: {token}");
        assert_eq!(judge(&token, &[]), Err(Refusal::DidOff), "{name}");
    }
    assert_eq!(judge(&changed("exp", json!(NOW + 86_400)), &["*"]), Ok(ED25519.to_owned()));
    assert_eq!(judge(&kid(&format!("{ED25519}#{key}")), &["*"]), Ok(ED25519.to_owned()));
    assert_eq!(judge(&kid(ED25519), &["*"]), Ok(ED25519.to_owned()));
    assert_eq!(judge(&format!("{ED25519}.{}", without("iss")), &["*"]), Ok(ED25519.to_owned()));
}

/// did:key of any bytes.
fn did_key(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let mut digits: Vec<u32> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += *digit << 8;
            *digit = carry % 58;
            carry /= 58;
        }
        while carry > 0 {
            digits.push(carry % 58);
            carry /= 58;
        }
    }
    let text = digits.iter().rev().map(|digit| char::from(ALPHABET[*digit as usize]));
    format!("did:key:z{}", text.collect::<String>())
}

#[test]
fn bytes_that_are_no_key_of_their_kind_in_its_one_form_are_refused() {
    let ed25519 = SigningKey::from_seed(&[7; 32]).public();
    assert_eq!(did_key(&[&[0xed, 0x01], &ed25519[..]].concat()), ED25519);
    let p256 = p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap();
    let compressed = p256.verifying_key().to_encoded_point(true);
    let whole = p256.verifying_key().to_encoded_point(false);
    let mut identity = [0; 32];
    identity[0] = 1;
    let long = |number: &[u8]| [number, &ed25519[..]].concat();
    for (name, bytes, algorithm, length, expected) in [
        ("a point of order 1", [&[0xed, 0x01], &identity[..]].concat(), "EdDSA", 64, Refusal::DidMalformed),
        ("one byte less", [&[0xed, 0x01], &ed25519[1..]].concat(), "EdDSA", 64, Refusal::DidMalformed),
        ("one byte more", [&[0xed, 0x01, 0], &ed25519[..]].concat(), "EdDSA", 64, Refusal::DidMalformed),
        ("a longer varint", long(&[0xed, 0x81, 0x00]), "EdDSA", 64, Refusal::DidKeyType),
        ("a varint without end", long(&[0xed, 0xed]), "EdDSA", 64, Refusal::DidKeyType),
        ("no varint", ed25519.to_vec(), "EdDSA", 64, Refusal::DidKeyType),
        (
            "an x beyond the field",
            [&[0x80, 0x24, 2], &[255; 32][..]].concat(),
            "ES256",
            64,
            Refusal::DidMalformed,
        ),
        ("the whole point", [&[0x80, 0x24], whole.as_bytes()].concat(), "ES256", 64, Refusal::DidMalformed),
        (
            "a compact point",
            [&[0x80, 0x24, 5], &compressed.as_bytes()[1..]].concat(),
            "ES256",
            64,
            Refusal::DidMalformed,
        ),
        ("the identity", [&[0x80, 0x24], &[0; 33][..]].concat(), "ES256", 64, Refusal::DidMalformed),
        ("secp256k1's identity", [&[0xe7, 0x01], &[0; 33][..]].concat(), "ES256K", 64, Refusal::DidMalformed),
        (
            "P-256's point on P-384",
            [&[0x81, 0x24], compressed.as_bytes()].concat(),
            "ES384",
            96,
            Refusal::DidMalformed,
        ),
    ] {
        let did = did_key(&bytes);
        let token = with(&input(&json!({"alg": algorithm}), &claims(&did)), &vec![1; length]);
        assert_eq!(judge(&token, &["*"]), Err(expected), "{name}");
        assert!(AllowedDid::parse(&did).is_err(), "{name}");
    }
}
