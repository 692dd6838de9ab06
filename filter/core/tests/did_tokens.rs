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

#[path = "did_tokens/refusals.rs"]
mod refusals;

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
fn a_token_cannot_grant_itself_a_scope_or_another_name() {
    let mut claims = claims(ED25519);
    claims["scope"] = json!("chat:run admin");
    claims["scp"] = json!(["admin"]);
    claims["sub"] = json!("auth0|somebody");
    // judge() asserts that there are no scopes.
    assert_eq!(judge(&eddsa(&json!({"alg": "EdDSA"}), &claims), &["*"]), Ok(ED25519.to_owned()));
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
