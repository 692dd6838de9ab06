//! Tokens of DIDs, made by `did-jwt`, `key-did-provider-ed25519` and `ethers`.

use std::sync::OnceLock;

use attach_tests::mint::now;
use attach_tests::peers::node;
use attach_tests::request::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::AUDIENCE;
use crate::site::{Site, text};

/// Every kind of signer. The last is nobody's guest.
const KINDS: [&str; 8] =
    ["key-did-provider", "ed25519", "p256", "secp256k1", "es256k-r", "eip191", "solana", "ed25519"];
const STRANGER: usize = KINDS.len() - 1;

struct Fixture {
    site: Site,
    /// A DID and a token of it, for each of [`KINDS`].
    signed: Vec<(String, String)>,
}

fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let claims = json!({"aud": AUDIENCE, "exp": now() + 3600});
        let asked: Vec<Value> = KINDS.iter().map(|kind| json!({"kind": kind, "claims": claims})).collect();
        let made = node("did.mjs", &json!(asked));
        let signed: Vec<(String, String)> = made
            .as_array()
            .expect("tokens")
            .iter()
            .map(|one| (text(&one["did"]).to_owned(), text(&one["token"]).to_owned()))
            .collect();
        let exact = |kind: usize| signed[kind].0.clone();
        let allow = [exact(0), exact(1), exact(2), exact(3), "did:pkh:eip155:1:*".to_owned(), exact(6)];
        let site = Site::start("did", &[], |builder| builder.set("DID_ALLOW", allow.join(",")));
        Fixture { site, signed }
    })
}

#[test]
fn every_kind_of_did_gets_in_under_its_own_name() {
    let fixture = fixture();
    for (number, kind) in KINDS.iter().enumerate().take(STRANGER) {
        let (did, token) = &fixture.signed[number];
        let mark = format!("/did-jws-{number}-");
        let response = fixture.site.send(&Request::get(&mark).bearer(token));
        assert_eq!(response.status, 200, "{kind} {did}: {}", response.text());
        assert_eq!(fixture.site.user(&mark).as_ref(), Some(did), "{kind}");
    }
}

#[test]
fn the_originals_form_with_the_did_before_the_token_gets_in_too() {
    let fixture = fixture();
    for (number, kind) in KINDS.iter().enumerate().take(STRANGER) {
        let (did, token) = &fixture.signed[number];
        let mark = format!("/did-prefix-{number}-");
        let response = fixture.site.send(&Request::get(&mark).bearer(&format!("{did}.{token}")));
        assert_eq!(response.status, 200, "{kind}: {}", response.text());
        assert_eq!(fixture.site.user(&mark).as_ref(), Some(did), "{kind}");
    }
}

#[test]
fn a_did_that_is_not_listed_is_refused_and_the_log_names_the_setting() {
    let fixture = fixture();
    let (did, token) = &fixture.signed[STRANGER];
    for (mark, token) in
        [("/did-stranger-jws", token.clone()), ("/did-stranger-prefix", format!("{did}.{token}"))]
    {
        fixture.site.send(&Request::get(mark).bearer(&token)).expect(401);
        let reason = fixture.site.reason(mark);
        assert!(reason.starts_with("did_not_allowed") && reason.contains("DID_ALLOW"), "{reason}");
        fixture.site.nothing_arrived(mark);
    }
}

#[test]
fn a_did_without_a_signature_is_a_name_and_no_credential() {
    let fixture = fixture();
    for (number, kind) in KINDS.iter().enumerate().take(STRANGER) {
        let mark = format!("/did-unsigned-{number}-");
        fixture.site.send(&Request::get(&mark).bearer(&fixture.signed[number].0)).expect(401);
        assert!(fixture.site.reason(&mark).starts_with("did_unsigned"), "{kind}");
        fixture.site.nothing_arrived(&mark);
    }
}

#[test]
fn nobodys_signature_serves_for_another() {
    let fixture = fixture();
    for (number, kind) in KINDS.iter().enumerate().take(STRANGER) {
        let (did, token) = &fixture.signed[number];
        let (input, signature) = token.rsplit_once('.').expect("a signature");
        let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
        bytes[10] ^= 1;
        let forged = format!("{input}.{}", URL_SAFE_NO_PAD.encode(&bytes));
        let (header, payload) = input.split_once('.').expect("two parts");
        let claims = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
        let mut claims: Value = serde_json::from_slice(&claims).expect("claims");
        claims["scope"] = json!("everything");
        let changed = format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        // The name of one DID before the token of another.
        let other = &fixture.signed[(number + 1) % STRANGER].0;
        let rows = [
            ("forged", forged.clone()),
            ("forged-prefix", format!("{did}.{forged}")),
            ("changed", changed),
            ("other", format!("{other}.{token}")),
        ];
        for (name, token) in rows {
            let mark = format!("/did-{name}-{number}-");
            let status = fixture.site.send(&Request::get(&mark).bearer(&token)).status;
            assert_eq!(status, 401, "{kind} {name}");
            fixture.site.nothing_arrived(&mark);
        }
    }
}

#[test]
fn audience_and_dates_count_as_for_any_other_token() {
    let fixture = fixture();
    let good = json!({"aud": AUDIENCE, "exp": now() + 3600});
    let rows = [
        ("no-audience", json!({"aud": null}), "audience_missing"),
        ("other-audience", json!({"aud": "other"}), "audience_wrong"),
        ("expired", json!({"exp": now() - 3600}), "expired"),
        ("no-expiry", json!({"exp": null}), "expiry_missing"),
        ("two-days", json!({"exp": now() + 2 * 86_400}), "lifetime_too_long"),
        ("not-yet", json!({"nbf": now() + 1800}), "not_yet_valid"),
    ];
    let asked: Vec<Value> = rows
        .iter()
        .map(|(_, over, _)| json!({"kind": "eip191", "claims": attach_tests::mint::merged(&good, over)}))
        .collect();
    let made = node("did.mjs", &json!(asked));
    for ((name, _, reason), one) in rows.iter().zip(made.as_array().expect("tokens")) {
        let mark = format!("/did-claims-{name}");
        let status = fixture.site.send(&Request::get(&mark).bearer(text(&one["token"]))).status;
        assert_eq!(status, 401, "{name}");
        assert!(fixture.site.reason(&mark).starts_with(reason), "{name}: {}", fixture.site.reason(&mark));
    }
}
