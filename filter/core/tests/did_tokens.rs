//! DID tokens as they come in: the specification's vectors, what other libraries made, and what must not pass.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)] // A test.

use attach_core::authn::Refusal;
use attach_core::authn::did::{self, AllowedDid, Rules, authenticate};
use attach_core::authn::jws::Jws;
use attach_core::clock::UnixMillis;
use attach_core::crypto::{NoHost, SigningKey, hex, keccak256, sha256, to_base64url};
use p256::ecdsa::signature::Signer as _;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: u64 = 1_800_000_000;
const AUDIENCE: &str = "attach";
/// The Ed25519 key of the seed 7, 7, … 7, the wallet of the same number, and its address in both spellings.
const ED25519: &str = "did:key:z6MkvDqGT54cXesYGvABpF1UapVNwjCqRcafi4Px6Thv5T3Z";
const SOLANA: &str =
    "did:pkh:solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp:GmaDrppBC7P5ARKV8g3djiwP89vz1jLK23V2GBjuAEGB";
const WALLET: &str = "did:pkh:eip155:1:0x4a62316623ad457F02cDC5D997deD67a383EC569";
const WALLET_LOWER: &str = "did:pkh:eip155:1:0x4a62316623ad457f02cdc5d997ded67a383ec569";

fn rules(allow: &[&str]) -> Rules {
    Rules {
        allow: allow.iter().map(|entry| AllowedDid::parse(entry).unwrap()).collect(),
        audiences: [AUDIENCE.into()].into(),
    }
}

fn judge(token: &str, allow: &[&str]) -> Result<String, Refusal> {
    authenticate(token, &rules(allow), &NoHost, UnixMillis(NOW * 1000)).map(|accepted| {
        assert_eq!(accepted.source, None);
        assert!(accepted.identity.scopes().is_empty());
        accepted.identity.user().to_owned()
    })
}

fn claims(issuer: &str) -> Value {
    json!({"iss": issuer, "aud": AUDIENCE, "exp": NOW + 3600})
}

fn input(header: &Value, claims: &Value) -> String {
    [header, claims].map(|part| to_base64url(part.to_string().as_bytes())).join(".")
}

fn with(input: &str, signature: &[u8]) -> String {
    format!("{input}.{}", to_base64url(signature))
}

/// Signed with the Ed25519 key of the constants.
fn eddsa(header: &Value, claims: &Value) -> String {
    let input = input(header, claims);
    with(&input, &SigningKey::from_seed(&[7; 32]).sign(input.as_bytes()))
}

fn wallet() -> k256::ecdsa::SigningKey {
    k256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap()
}

/// Signed by the wallet of the constants, by either algorithm.
fn by_wallet(header: &Value, claims: &Value) -> String {
    let input = input(header, claims);
    let digest = if header["alg"] == "EIP191" {
        let length = input.len().to_string();
        keccak256(&[b"\x19Ethereum Signed Message:\n", length.as_bytes(), input.as_bytes()])
    } else {
        sha256(&[input.as_bytes()])
    };
    let (signature, recovery) = wallet().sign_prehash_recoverable(&digest).unwrap();
    with(&input, &[&signature.to_bytes()[..], &[recovery.to_byte()]].concat())
}

#[test]
fn tokens_of_other_libraries_are_accepted() {
    for (name, token, user) in [
        (
            "did-jwt, EdDSASigner",
            "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE4MDAwMDAwMDAsImV4cCI6MTgwMDAwMzYwMCwiYXVkIjoiYXR0YWNoIiwibmJmIjoxODAwMDAwMDAwLCJpc3MiOiJkaWQ6a2V5Ono2TWt2RHFHVDU0Y1hlc1lHdkFCcEYxVWFwVk53akNxUmNhZmk0UHg2VGh2NVQzWiJ9.ciI9RepmiQ-YFvz6s1q-Zd6M-sfko8ZnhMp6vVcWnFUcn690h4wKdl2GXQHeSwIabTjX3e0yfM3hOWw8M0SmCg",
            ED25519,
        ),
        (
            "did-jwt, ES256KSigner with recovery",
            "eyJhbGciOiJFUzI1NkstUiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE4MDAwMDAwMDAsImV4cCI6MTgwMDAwMzYwMCwiYXVkIjoiYXR0YWNoIiwibmJmIjoxODAwMDAwMDAwLCJpc3MiOiJkaWQ6cGtoOmVpcDE1NToxOjB4NGE2MjMxNjYyM2FkNDU3RjAyY0RDNUQ5OTdkZUQ2N2EzODNFQzU2OSJ9.OkfFJaEWoqXKUZsfw9eDjy1Wi9eaX9ySW1U8z19XJ6QenKcJt79NHCCdG1gVNbzd2Xkuo57LZqBgdTvpqs8_lwE",
            WALLET,
        ),
        (
            "did-jwt, ES256KSigner",
            "eyJhbGciOiJFUzI1NksiLCJ0eXAiOiJKV1QifQ.eyJpYXQiOjE4MDAwMDAwMDAsImV4cCI6MTgwMDAwMzYwMCwiYXVkIjoiYXR0YWNoIiwibmJmIjoxODAwMDAwMDAwLCJpc3MiOiJkaWQ6a2V5OnpRM3NoWGdXalZzQ0pzdjltQm02a1ZxRlNqQW5Fck1nM3pHOUNjeXZtVUNDYUZSQ3IifQ.jtFtuGSCQarYIdN8z9t8EDAOfWAF6nqtIALVIr_xA7o06KoXJMUI9DyFaW5KEZu8OXPvJzOTZ7eqjTNqLnD_6w",
            "did:key:zQ3shXgWjVsCJsv9mBm6kVqFSjAnErMg3zG9CcyvmUCCaFRCr",
        ),
        (
            "key-did-provider-ed25519, whose kid is the key's DID URL",
            "eyJhbGciOiJFZERTQSIsImtpZCI6ImRpZDprZXk6ejZNa3ZEcUdUNTRjWGVzWUd2QUJwRjFVYXBWTndqQ3FSY2FmaTRQeDZUaHY1VDNaI3o2TWt2RHFHVDU0Y1hlc1lHdkFCcEYxVWFwVk53akNxUmNhZmk0UHg2VGh2NVQzWiJ9.eyJhdWQiOiJhdHRhY2giLCJleHAiOjE4MDAwMDM2MDAsImlzcyI6ImRpZDprZXk6ejZNa3ZEcUdUNTRjWGVzWUd2QUJwRjFVYXBWTndqQ3FSY2FmaTRQeDZUaHY1VDNaIiwibmJmIjoxODAwMDAwMDAwfQ.P4an9Iqn_Yq9UVEgGl_f0xJG-wXNzylthjnc-HWULklEl6h3hzLvqumnFXic_BDb2MXtZ6e6zZgbEfApTlVZBQ",
            ED25519,
        ),
        (
            "ethers' Wallet.signMessage, the address in lower case",
            "eyJhbGciOiJFSVAxOTEiLCJ0eXAiOiJKV1QifQ.eyJhdWQiOiJhdHRhY2giLCJleHAiOjE4MDAwMDM2MDAsIm5iZiI6MTgwMDAwMDAwMCwiaXNzIjoiZGlkOnBraDplaXAxNTU6MToweDRhNjIzMTY2MjNhZDQ1N2YwMmNkYzVkOTk3ZGVkNjdhMzgzZWM1NjkifQ.knLxS1kQ2Efwk9202IZ4KkpKaDRfhqSq4_txg8klBHl0B1B0CX9wO8jFfATQSO-NX0ynqpwYbxQLDL_iqNi19xs",
            WALLET,
        ),
    ] {
        assert_eq!(judge(token, &["*"]), Ok(user.to_owned()), "{name}");
        assert_eq!(judge(token, &[user]), Ok(user.to_owned()), "{name}");
        assert_eq!(judge(&format!("{user}.{token}"), &[user]), Ok(user.to_owned()), "{name}");
    }
}

/// A JWS under a vector's private key, by its curve.
fn vector_token(did: &str, curve: &str, private: &[u8]) -> Option<String> {
    let algorithm = match curve {
        "Ed25519" => "EdDSA",
        "P-256" => "ES256",
        "P-384" => "ES384",
        "secp256k1" => "ES256K",
        _ => return None,
    };
    let input = input(&json!({"alg": algorithm}), &claims(did));
    let message = input.as_bytes();
    let signature = match curve {
        "Ed25519" => SigningKey::from_seed(private.try_into().unwrap()).sign(message).to_vec(),
        "P-256" => {
            let key = p256::ecdsa::SigningKey::from_slice(private).unwrap();
            let signature: p256::ecdsa::Signature = key.sign(message);
            signature.to_vec()
        }
        "P-384" => {
            let key = p384::ecdsa::SigningKey::from_slice(private).unwrap();
            let signature: p384::ecdsa::Signature = key.sign(message);
            signature.to_vec()
        }
        _ => {
            let key = k256::ecdsa::SigningKey::from_slice(private).unwrap();
            let signature: k256::ecdsa::Signature = key.sign(message);
            signature.to_vec()
        }
    };
    Some(with(&input, &signature))
}

#[test]
fn the_specifications_keys_verify_what_their_private_halves_signed() {
    let mut seen = 0;
    for line in include_str!("data/did_key.txt").lines().filter(|line| !line.starts_with('#')) {
        let [did, curve, _, private] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        match vector_token(did, curve, &hex(private).unwrap()) {
            Some(token) => {
                assert_eq!(judge(&token, &[did]), Ok(did.to_owned()), "{line}");
                assert_eq!(judge(&token, &["did:key:*"]), Ok(did.to_owned()), "{line}");
                assert_eq!(judge(&token, &["did:pkh:*"]), Err(Refusal::DidNotAllowed), "{line}");
                seen += 1;
            }
            // P-521.
            None => assert_eq!(judge(did, &["*"]), Err(Refusal::DidKeyType), "{line}"),
        }
    }
    assert_eq!(seen, 16);
}

#[test]
fn one_wallet_is_one_user_however_its_address_is_spelt() {
    let upper = WALLET_LOWER
        .replace("0x4a62316623ad457f02cdc5d997ded67a383ec569", "0x4A62316623AD457F02CDC5D997DED67A383EC569");
    for algorithm in ["ES256K-R", "EIP191"] {
        for issuer in [WALLET, WALLET_LOWER, &upper] {
            let token = by_wallet(&json!({"alg": algorithm}), &claims(issuer));
            for allowed in
                [WALLET, WALLET_LOWER, &upper, "*", "did:pkh:*", "did:pkh:eip155:*", "did:pkh:eip155:1:*"]
            {
                assert_eq!(
                    judge(&token, &[allowed]),
                    Ok(WALLET.to_owned()),
                    "{algorithm} {issuer} {allowed}"
                );
            }
            for allowed in ["did:key:*", "did:pkh:eip155:10:*", "did:pkh:solana:*", ED25519] {
                assert_eq!(judge(&token, &[allowed]), Err(Refusal::DidNotAllowed), "{allowed}");
            }
            for before in [WALLET, WALLET_LOWER] {
                assert_eq!(judge(&format!("{before}.{token}"), &["*"]), Ok(WALLET.to_owned()));
            }
        }
    }
}

#[test]
fn a_solana_account_signs_with_its_own_key() {
    for (algorithm, chain) in [
        ("EdDSA", SOLANA.to_owned()),
        ("Ed25519", SOLANA.replace("5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp", "EtWTRABZaYq6iMfeYKouRu166VU2xqa1")),
    ] {
        let token = eddsa(&json!({"alg": algorithm, "kid": format!("{chain}#controller")}), &claims(&chain));
        assert_eq!(judge(&token, &["did:pkh:solana:*"]), Ok(chain));
    }
}

#[test]
fn eip_55s_own_addresses_are_read_and_a_wrong_checksum_is_not() {
    // EIP-55's test cases: all upper, all lower, normal.
    for address in [
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x27b1fdb04752bbc536007a920d24acb045561c26",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ] {
        assert_eq!(
            judge(&format!("did:pkh:eip155:1:{address}"), &["*"]),
            Err(Refusal::DidUnsigned),
            "{address}"
        );
        for place in 2..address.len() {
            let mut changed = address.as_bytes().to_vec();
            changed[place] ^= 0x20;
            let changed = String::from_utf8(changed).unwrap();
            if address.as_bytes()[place].is_ascii_alphabetic() {
                let verdict = judge(&format!("did:pkh:eip155:1:{changed}"), &["*"]);
                assert_eq!(verdict, Err(Refusal::DidAddress), "{changed}");
            }
        }
    }
}

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

#[test]
fn a_token_cannot_grant_itself_a_scope_or_another_name() {
    let mut claims = claims(ED25519);
    claims["scope"] = json!("chat:run admin");
    claims["scp"] = json!(["admin"]);
    claims["sub"] = json!("auth0|somebody");
    // judge() asserts that there are no scopes.
    assert_eq!(judge(&eddsa(&json!({"alg": "EdDSA"}), &claims), &["*"]), Ok(ED25519.to_owned()));
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

#[test]
fn an_entry_of_the_list_is_a_did_a_whole_beginning_or_everything() {
    for entry in [
        "*",
        "did:key:*",
        "did:pkh:*",
        "did:pkh:eip155:*",
        "did:pkh:eip155:137:*",
        "did:pkh:solana:*",
        "did:pkh:solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp:*",
        ED25519,
        WALLET,
        WALLET_LOWER,
        SOLANA,
    ] {
        assert!(AllowedDid::parse(entry).is_ok(), "{entry}");
    }
    for entry in [
        "",
        " ",
        "**",
        "did:*",
        "did:k*",
        "did:key*",
        "did:key:z6Mk*",
        "did:key:z6Mk:*",
        "did:web:*",
        "did:web:example.com",
        "did:pkh:eip155:1*",
        "did:pkh:eip155:01:*",
        "did:pkh:eip155:1:0x4a*",
        "did:pkh:eip155:1:0x4a:*",
        "did:pkh::*",
        "did:pkh:eip155::*",
        "did:pkh:bip122:*",
        "*:*",
        "did:key:zabc",
        "did:pkh:eip155:1",
        "key:*",
        "alice",
        "did:pkh:eip155:1:0x4a62316623ad457f02cDC5D997deD67a383EC569",
        " did:key:*",
    ] {
        let error = AllowedDid::parse(entry).expect_err(entry);
        assert!(!error.is_empty());
    }
}

#[test]
fn the_two_forms_are_told_apart_from_everything_else() {
    assert!(did::is_prefix_form(ED25519));
    assert!(!did::is_prefix_form("eyJ.eyJ.x"));
    let plain = json!({"alg": "EdDSA"});
    for (token, expected) in [
        (eddsa(&plain, &claims(ED25519)), true),
        (eddsa(&json!({"alg": "EdDSA", "kid": ED25519}), &claims("https://idp.example")), true),
        (eddsa(&plain, &claims("https://idp.example")), false),
        (eddsa(&json!({"alg": "EdDSA", "kid": "1"}), &json!({})), false),
    ] {
        assert_eq!(did::names_did(&Jws::parse(&token).unwrap()), expected);
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_or_gets_in(text in "\\PC{0,200}", did in "did:(key|pkh|web):[a-zA-Z0-9:.#]{0,90}") {
        for text in [&text, &did, &format!("{did}.{text}"), &format!("{ED25519}.{text}"), &format!("did:key:z{text}")] {
            prop_assert!(judge(text, &["*"]).is_err());
            let _ = AllowedDid::parse(text);
        }
    }

    #[test]
    fn a_token_with_any_byte_changed_is_refused_or_was_not_changed_in_meaning(
        place in any::<prop::sample::Index>(), with in "[a-zA-Z0-9_.:-]", wallet in any::<bool>(), prefix in any::<bool>(),
    ) {
        let (did, token) = if wallet {
            (WALLET, by_wallet(&json!({"alg": "ES256K-R"}), &claims(WALLET)))
        } else {
            (ED25519, eddsa(&json!({"alg": "EdDSA"}), &claims(ED25519)))
        };
        let token = if prefix { format!("{did}.{token}") } else { token };
        let place = place.index(token.len());
        let changed = format!("{}{with}{}", &token[..place], &token[place + 1..]);
        prop_assert_eq!(judge(&changed, &["*"]).is_ok(), changed == token);
    }
}
