//! Rows about one scheme's credential in another's place, and about RSA signatures that almost verify.

use serde_json::{Value, json};

use super::{PREFIX, Rows};
use crate::mint::{Padding, encode, signing_input};

pub(super) fn add(rows: &mut Rows<'_>) {
    names(rows);
    issuers(rows);
    kinds(rows);
    paddings(rows);
    salts(rows);
    lines(rows);
}

/// No subject without a prefix begins as another source's users do.
fn names(rows: &mut Rows<'_>) {
    let world = rows.world;
    for subject in [
        "key:planner",
        "key:",
        "hmac:billing",
        "sig:bot",
        "sig:",
        "did:web:example.com",
        "did:pkh:eip155:1:0xab16a96D359eC26a11e2C2b3d8f8B8942d5Bfcdb",
        &world.dids.ed25519.did,
        &format!("{PREFIX}alice"),
    ] {
        let kind = subject.split(':').take(2).collect::<Vec<_>>().join(":");
        let kind = if subject.starts_with("did:key") { "a listed did:key" } else { kind.as_str() };
        rows.refused(
            &format!("an issuer's subject that begins {kind:?}"),
            &world.first.token(subject),
            &["subject_reserved"],
        );
    }
    for subject in ["KEY:planner", "key", "hmac", "signal:bot", "keys:planner"] {
        let value = format!("Bearer {}", world.first.token(subject));
        rows.accepted_as(
            &format!("an issuer's subject {subject:?}, which is nobody else's"),
            &value,
            subject,
        );
    }
}

fn issuers(rows: &mut Rows<'_>) {
    let world = rows.world;
    let holder = &world.dids.ed25519;
    let claims = |over: Value| holder.claims(world.audience(), &over);
    let token = holder.token(&claims(json!({"iss": world.first.issuer, "sub": "alice"})));
    rows.refused("a DID's key and an issuer's name", &token, &["key_unknown"]);
    let token = holder
        .token_with(&json!({"kid": "eddsa"}), &claims(json!({"iss": world.first.issuer, "sub": "alice"})));
    rows.refused("a DID's key by an issuer's and its key's name", &token, &["signature_invalid"]);
    let token = world.first.key("EdDSA").token_with(&json!({"kid": holder.key_url()}), &claims(json!({})));
    rows.refused("an issuer's key and a DID's name", &token, &["signature_invalid"]);
    let token = world
        .first
        .key("EdDSA")
        .token_with(&json!({"kid": holder.key_url()}), &world.first.claims(&json!({})));
    rows.refused("an issuer's token by a DID's key", &token, &["key_unknown"]);
    let token = world.orchestrators[0].token_with(&json!({"kid": null}), &claims(json!({"iss": holder.did})));
    rows.refused("an orchestrator's key and a DID's name", &token, &["did_algorithm"]);
    let behind = format!("{}.{}", holder.did, world.first.token("alice"));
    rows.refused("an issuer's good token behind a DID", &behind, &["did_mismatch"]);
    let behind = format!("{}.{}", holder.did, super::gateway::token(rows, &json!({})));
    rows.refused("a gateway's good token behind a DID", &behind, &["did_mismatch"]);

    // An orchestrator's claims by others, and others' by an orchestrator.
    let planner = &world.orchestrators[0];
    let body = json!({"content_sha256": "0".repeat(64), "jti": "x", "exp": rows.now + 60});
    let token = planner.token_with(&json!({"kid": null}), &world.first.claims(&body));
    rows.refused("an orchestrator's key and an issuer's name, no kid", &token, &["key_unnamed"]);
    let token = planner.token_with(&json!({"kid": "rs256"}), &world.first.claims(&body));
    rows.refused("an orchestrator's key and an issuer's name", &token, &["signature_invalid"]);
    let token = planner.token(&world.first.claims(&body));
    rows.refused("an orchestrator's key by its own name and an issuer's", &token, &["key_unknown"]);
    let over = json!({"iss": "planner", "exp": rows.now + 60});
    let token = world.first.key("RS256").token(&world.first.claims(&over));
    rows.refused("an issuer's key and an orchestrator's name", &token, &["signature_invalid"]);
    let token = planner.token(&world.first.claims(&over));
    rows.refused("an orchestrator's token that speaks of no body", &token, &["rotagent_claims"]);
    let token = world.services[0].token("HS256", &json!({}), &world.first.claims(&json!({"iss": "planner"})));
    rows.refused("a service's key and an orchestrator's name", &token, &["hmac_issuer"]);
    let token = world
        .second
        .key("EdDSA")
        .token(&claims(json!({"iss": world.second.issuer, "sub": holder.did, "aud": "x"})));
    rows.refused("the second issuer's token about a DID, for another", &token, &["audience_wrong"]);
    for (name, issuer) in [
        ("a service's name", "billing"),
        ("a signer's name", "bot"),
        ("nobody's name", "stranger"),
        ("a signer's directory", world.signers[0].agent.as_str()),
    ] {
        let token = world.first.token_of(&json!({ "iss": issuer }));
        rows.refused(&format!("an issuer's key and {name}"), &token, &["issuer_unknown"]);
    }
}

/// An issuer's token that says it is something else (RFC 8725 section 3.11).
fn kinds(rows: &mut Rows<'_>) {
    let key = rows.world.first.key("RS256");
    let claims = rows.world.first.claims(&json!({}));
    for kind in ["attach-assertion+jwt", "application/attach-assertion+jwt"] {
        let token = key.token_with(&json!({ "typ": kind }), &claims);
        rows.refused(&format!("an issuer's {kind}"), &token, &["type_wrong"]);
    }
    for kind in ["JWT", "at+jwt", "application/at+jwt"] {
        let token = key.token_with(&json!({ "typ": kind }), &claims);
        rows.accepted(&format!("an issuer's token that is a {kind}"), &token);
    }
}

fn paddings(rows: &mut Rows<'_>) {
    let first = &rows.world.first;
    let key = first.key("RS256");
    let input = signing_input(
        json!({"alg": "RS256", "kid": key.id}).to_string(),
        first.claims(&json!({})).to_string(),
    );
    let with = |signature: &[u8]| format!("{input}.{}", encode(signature));
    let right = key.sign_padded(Padding::Right, input.as_bytes());
    rows.accepted("an RSA signature padded as it should be", &with(&right));
    let wrong = &["signature_invalid"];
    for padding in [
        Padding::ShortWithGarbage,
        Padding::GarbageBeforeInfo,
        Padding::NoNull,
        Padding::Sha1,
        Padding::NoInfo,
        Padding::TypeTwo,
        Padding::FirstByte,
        Padding::Zeros,
        Padding::NoSeparator,
    ] {
        let signature = key.sign_padded(padding, input.as_bytes());
        rows.refused(&format!("an RSA signature padded so: {padding:?}"), &with(&signature), wrong);
    }
    rows.refused("an RSA signature with a zero before it", &with(&[&[0], &right[..]].concat()), wrong);
    let one = [&vec![0; right.len() - 1][..], &[1]].concat();
    rows.refused("an RSA signature of one", &with(&one), wrong);
    let modulus = crate::mint::decode(key.jwk()["n"].as_str().expect("a modulus"));
    rows.refused("an RSA signature that is the modulus", &with(&modulus), wrong);
    let mut less = modulus;
    *less.last_mut().expect("a byte") -= 1;
    rows.refused("an RSA signature that is the modulus less one", &with(&less), wrong);
    // Not every signature has room for it.
    let sum = (0..64).find_map(|pad| {
        let claims = first.claims(&json!({"pad": pad})).to_string();
        let input = signing_input(json!({"alg": "RS256", "kid": key.id}).to_string(), claims);
        let signature = key.sign(input.as_bytes());
        Some(format!("{input}.{}", encode(key.plus_modulus(&signature)?)))
    });
    rows.refused("an RSA signature and the modulus", &sum.expect("one of 64 has room"), wrong);
}

fn salts(rows: &mut Rows<'_>) {
    let first = &rows.world.first;
    let key = first.key("PS256");
    let input = signing_input(
        json!({"alg": "PS256", "kid": key.id}).to_string(),
        first.claims(&json!({})).to_string(),
    );
    let with = |salt: usize| format!("{input}.{}", encode(key.sign_pss(salt, input.as_bytes())));
    rows.accepted("a PSS signature with a salt as long as its digest", &with(32));
    for salt in [0, 1, 20, 31, 33, 64, 222] {
        rows.refused(
            &format!("a PSS signature with {salt} bytes of salt"),
            &with(salt),
            &["signature_invalid"],
        );
    }
}

/// Headers as only an attacker writes them.
fn lines(rows: &mut Rows<'_>) {
    let world = rows.world;
    let (alice, holder) = (world.first.token("alice"), &world.dids.ed25519);
    let own = holder.token(&holder.claims(world.audience(), &json!({})));
    let doubled = &["credential_doubled", "credential_malformed"];
    let values = [format!("Bearer {alice}"), format!("Bearer {own}")];
    rows.headers("an issuer's token and a DID's", &[values[0].as_bytes(), values[1].as_bytes()], doubled);
    rows.headers("a DID's token and an issuer's", &[values[1].as_bytes(), values[0].as_bytes()], doubled);
    rows.headers(
        "an issuer's token and a DID's in one line",
        &[format!("{}, {}", values[0], values[1]).as_bytes()],
        &["credential_malformed"],
    );
    let long = format!("{}.{}", holder.did, "a".repeat(9000));
    rows.refused("a DID and 9,000 letters", &long, &["token_too_long"]);
    let dots = format!("{}{}", holder.did, ".".repeat(4000));
    rows.refused("a DID and 4,000 dots", &dots, &["did_readme_form"]);
    rows.refused("4,000 dots", &".".repeat(4000), &["token_segments"]);
    let colons = format!("did:pkh:eip155{}", ":1".repeat(2000));
    rows.refused("a DID of 2,000 parts", &format!("{colons}.{own}"), &["did_malformed"]);
}
