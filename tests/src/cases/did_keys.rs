//! Rows about DIDs in general and did:key: a key that is its own name lets nobody in who is not listed.

use serde_json::{Value, json};

use super::Rows;
use crate::mint::{Holder, base58, high_s, signing_input};

/// The order of secp256k1's group.
pub(super) const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba,
    0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

pub(super) fn add(rows: &mut Rows<'_>) {
    accepted(rows);
    who(rows);
    forms(rows);
    claims(rows);
    algorithms(rows);
    signatures(rows);
    names(rows);
}

fn accepted(rows: &mut Rows<'_>) {
    let world = rows.world;
    for holder in world.dids.allowed() {
        let kind = holder.did.split(':').nth(1).unwrap_or_default();
        let token = holder.token(&holder.claims(world.audience(), &json!({})));
        let bearer = format!("Bearer {token}");
        rows.accepted_as(&format!("a good did:{kind} token by {}", holder.algorithm), &bearer, &holder.did);
        let prefixed = format!("Bearer {}.{token}", holder.did);
        rows.accepted_as(
            &format!("the same behind its DID, did:{kind} {}", holder.algorithm),
            &prefixed,
            &holder.did,
        );
    }
    let holder = &world.dids.ed25519;
    let claims = holder.claims(world.audience(), &json!({}));
    for (name, header) in [
        ("a DID's token whose kid is the DID alone", json!({"kid": holder.did})),
        ("a DID's token without kid", json!({"kid": null})),
        ("a DID's token whose alg is Ed25519's new name", json!({"alg": "Ed25519"})),
    ] {
        let token = holder.token_with(&header, &claims);
        rows.accepted_as(name, &format!("Bearer {token}"), &holder.did);
    }
    let token = holder.token(&holder.claims(world.audience(), &json!({"iss": null})));
    let value = format!("Bearer {}.{token}", holder.did);
    rows.accepted_as("a token without iss behind its DID", &value, &holder.did);
    // What it says about its own rights and its own name is not read.
    let boasting = json!({"sub": "alice", "scope": "admin", "act": {"sub": "key:planner"}});
    let token = holder.token(&holder.claims(world.audience(), &boasting));
    rows.accepted_as("a DID's token that calls itself alice", &format!("Bearer {token}"), &holder.did);
}

fn who(rows: &mut Rows<'_>) {
    let world = rows.world;
    let (holder, outsider) = (&world.dids.ed25519, &world.dids.outsider);
    let audience = world.audience();
    let own = outsider.token(&outsider.claims(audience, &json!({})));
    rows.refused("a DID that is not listed", &own, &["did_not_allowed"]);
    rows.refused("the same behind its DID", &format!("{}.{own}", outsider.did), &["did_not_allowed"]);
    let stolen = outsider.named(&holder.did).token(&holder.claims(audience, &json!({})));
    rows.refused("a listed DID's token that another key signed", &stolen, &["signature_invalid"]);
    rows.refused(
        "another key's token behind a listed DID",
        &format!("{}.{stolen}", holder.did),
        &["signature_invalid"],
    );
    let mismatch = &["did_mismatch"];
    let token = outsider.token_with(&json!({}), &holder.claims(audience, &json!({})));
    rows.refused("a key of one DID and the issuer of another", &token, mismatch);
    let token = holder.token_with(&json!({"kid": outsider.key_url()}), &holder.claims(audience, &json!({})));
    rows.refused("a listed DID's token by the name of another's key", &token, mismatch);
    rows.refused(
        "another DID before a good token",
        &format!("{}.{}", outsider.did, good(rows, holder)),
        mismatch,
    );
    rows.refused("a listed DID before another's token", &format!("{}.{own}", holder.did), mismatch);
    let token = holder
        .token_with(&json!({"kid": format!("{}#other", holder.did)}), &holder.claims(audience, &json!({})));
    rows.refused("a kid that is another key of the DID", &token, mismatch);
    let token =
        holder.token_with(&json!({"kid": format!("{} ", holder.did)}), &holder.claims(audience, &json!({})));
    rows.refused("a kid that is the DID and a space", &token, mismatch);
    let token = holder.token_with(&json!({"kid": "rs256"}), &holder.claims(audience, &json!({})));
    rows.refused("a DID's token by the name of an issuer's key", &token, mismatch);
    let token = holder.token(&holder.claims(audience, &json!({"iss": null})));
    rows.accepted_as("a DID's kid and no issuer", &format!("Bearer {token}"), &holder.did);
    let token = holder.token(&holder.claims(audience, &json!({"iss": [holder.did]})));
    rows.refused("a DID's kid and a list of issuers", &token, &["issuer_missing"]);
    let token = holder.token(&holder.claims(audience, &json!({"iss": [holder.did]})));
    rows.refused("a list of issuers behind a DID", &format!("{}.{token}", holder.did), mismatch);
    for (name, header) in [
        ("jwk", json!({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}})),
        ("jku", json!({"jku": "http://127.0.0.1:1/keys"})),
    ] {
        let token = outsider.named(&holder.did).token_with(&header, &holder.claims(audience, &json!({})));
        rows.refused(&format!("a stranger's {name} in a listed DID's token"), &token, &["signature_invalid"]);
    }
}

fn good(rows: &Rows<'_>, holder: &Holder) -> String {
    holder.token(&holder.claims(rows.world.audience(), &json!({})))
}

fn forms(rows: &mut Rows<'_>) {
    let holder = &rows.world.dids.ed25519;
    let did = &holder.did;
    let token = good(rows, holder);
    let (input, _) = token.rsplit_once('.').expect("a token");
    rows.refused("a DID and nothing else", did, &["did_unsigned"]);
    rows.refused("a wallet's DID and nothing else", &rows.world.dids.ethereum.did.clone(), &["did_unsigned"]);
    rows.refused("a DID and a dot", &format!("{did}."), &["did_unsigned"]);
    rows.refused("a DID and claims without a signature", &format!("{did}.{input}."), &["did_unsigned"]);
    rows.refused("a DID and two parts", &format!("{did}.{input}"), &["token_segments"]);
    rows.refused("a DID and four parts", &format!("{did}.{token}.x"), &["token_segments"]);
    rows.refused("the form of the original's README", &format!("{did}...{token}"), &["did_readme_form"]);
    rows.refused(
        "the README's form to the letter",
        "did:key:z6Mki...<sig>.<payload>.<sig>",
        &["did_readme_form"],
    );
    rows.refused("a DID with a fragment before the token", &format!("{did}#key.{token}"), &["did_malformed"]);
    rows.refused("a DID with a query before the token", &format!("{did}?a=b.{token}"), &["did_malformed"]);
    rows.refused("a DID with a path before the token", &format!("{did}/a.{token}"), &["did_malformed"]);
    rows.refused("did:web", "did:web:example.com", &["did_web"]);
    rows.refused("did:web before a good token", &format!("did:web:example.com.{token}"), &["did_web"]);
    let web = holder.named("did:web:example.com");
    rows.refused("a token of did:web", &good(rows, &web), &["did_web"]);
    for method in ["ion", "ethr", "peer", "jwk", "x"] {
        let other = holder.named(format!("did:{method}:{}", holder.last()));
        rows.refused(&format!("a token of did:{method}"), &good(rows, &other), &["did_method"]);
    }
    let malformed = &["did_malformed"];
    for other in
        ["did:", "did::", "did:key", "did:KEY:z6Mk", "did:key:", "did:pkh", "did:pkh:", "did:pkh:eip155"]
    {
        rows.refused(&format!("{other} before a good token"), &format!("{other}.{token}"), malformed);
    }
    let upper = holder.named(did.replacen("did:", "DID:", 1));
    rows.refused("an issuer that is DID in capitals", &good(rows, &upper), &["issuer_unknown"]);
    rows.refused(
        "DID in capitals before a good token",
        &format!("DID{}.{token}", &did[3..]),
        &["token_segments"],
    );
}

fn claims(rows: &mut Rows<'_>) {
    let (world, now) = (rows.world, rows.now);
    let holder = &world.dids.p256;
    let token = |over: Value| holder.token(&holder.claims(world.audience(), &over));
    let value = format!("Bearer {}", token(json!({"exp": now + 86_000})));
    rows.accepted_as("a DID's token for almost a day", &value, &holder.did);
    let value = format!("Bearer {}", token(json!({"exp": now - 20})));
    rows.accepted_as("a DID's token that expired within the leeway", &value, &holder.did);
    rows.refused(
        "a DID's token for more than a day",
        &token(json!({"exp": now + 86_600})),
        &["lifetime_too_long"],
    );
    rows.refused("a DID's token for ever", &token(json!({"exp": 9_999_999_999_u64})), &["lifetime_too_long"]);
    rows.refused("a DID's token that has expired", &token(json!({"exp": now - 90})), &["expired"]);
    rows.refused("a DID's token without exp", &token(json!({"exp": null})), &["expiry_missing"]);
    rows.refused("a DID's token with exp as text", &token(json!({"exp": "9"})), &["date_malformed"]);
    rows.refused(
        "a DID's token that is not valid yet",
        &token(json!({"nbf": now + 120})),
        &["not_yet_valid"],
    );
    rows.refused("a DID's token of the future", &token(json!({"iat": now + 120})), &["issued_in_future"]);
    rows.refused("a DID's token without an audience", &token(json!({"aud": null})), &["audience_missing"]);
    rows.refused(
        "a DID's token with no audience in its list",
        &token(json!({"aud": []})),
        &["audience_missing"],
    );
    rows.refused(
        "a DID's token for another",
        &token(json!({"aud": "https://other.example"})),
        &["audience_wrong"],
    );
    rows.refused("a DID's token for its own DID", &token(json!({"aud": holder.did})), &["audience_wrong"]);
    let behind = format!("{}.{}", holder.did, token(json!({"aud": null})));
    rows.refused("a token without an audience behind its DID", &behind, &["audience_missing"]);
}

fn algorithms(rows: &mut Rows<'_>) {
    let world = rows.world;
    let dids = &world.dids;
    let claims = |holder: &Holder| holder.claims(world.audience(), &json!({}));
    for (holder, algorithm) in [
        (&dids.ed25519, "ES256"),
        (&dids.ed25519, "RS256"),
        (&dids.ed25519, "ES256K"),
        (&dids.ed25519, "eddsa"),
        (&dids.ed25519, "Ed448"),
        (&dids.p256, "ES256K"),
        (&dids.p256, "ES384"),
        (&dids.p384, "ES256"),
        (&dids.secp256k1, "ES256"),
        (&dids.secp256k1, "ES256K-R"),
        (&dids.secp256k1, "EIP191"),
    ] {
        let token = holder.token_with(&json!({"alg": algorithm}), &claims(holder));
        let name = format!("a did:key of {} whose token says {algorithm}", holder.algorithm);
        rows.refused(&name, &token, &["did_algorithm"]);
    }
    let holder = &dids.ed25519;
    for alg in ["none", "None", "NONE"] {
        let header = json!({"alg": alg, "kid": holder.key_url()}).to_string();
        let input = signing_input(header, claims(holder).to_string());
        rows.refused(&format!("a DID's token with alg {alg}"), &format!("{input}."), &["algorithm_none"]);
        let behind = format!("{}.{input}.", holder.did);
        rows.refused(&format!("alg {alg} behind a DID"), &behind, &["algorithm_none"]);
    }
    let input = signing_input(
        json!({"alg": "HS256", "kid": holder.key_url()}).to_string(),
        claims(holder).to_string(),
    );
    let code = super::world::code("HS256", holder.last().as_bytes(), input.as_bytes());
    let token = format!("{input}.{}", crate::mint::encode(code));
    rows.refused("HS256 keyed with a DID", &token, &["hmac_key_unknown"]);
    rows.refused("the same behind the DID", &format!("{}.{token}", holder.did), &["algorithm_symmetric"]);
}

fn signatures(rows: &mut Rows<'_>) {
    let world = rows.world;
    let wrong = &["signature_invalid"];
    let dids = &world.dids;
    for holder in [&dids.ed25519, &dids.p256, &dids.p384, &dids.secp256k1] {
        let claims = holder.claims(world.audience(), &json!({}));
        let kind = holder.algorithm;
        let token = holder.token_but(&claims, |signature| vec![0; signature.len()]);
        rows.refused(&format!("a did:key's {kind} signature of zeros"), &token, wrong);
        let token = holder.token_but(&claims, |signature| vec![0xff; signature.len()]);
        rows.refused(&format!("a did:key's {kind} signature of ones"), &token, wrong);
        let token = holder.token_but(&claims, |mut signature| {
            signature.pop();
            signature
        });
        rows.refused(&format!("a did:key's {kind} signature cut"), &token, wrong);
        let token = holder.token_but(&claims, |signature| [&signature[..], &[0]].concat());
        rows.refused(&format!("a did:key's {kind} signature and a byte"), &token, wrong);
        let token = holder.token_but(&claims, |_| Vec::new());
        rows.refused(&format!("a did:key's {kind} token without its signature"), &token, &["did_unsigned"]);
        let token = holder.token_but(&claims, |mut signature| {
            let half = signature.len() / 2;
            signature.rotate_left(half);
            signature
        });
        rows.refused(&format!("a did:key's {kind} signature with its halves swapped"), &token, wrong);
    }
    let holder = &dids.secp256k1;
    let claims = holder.claims(world.audience(), &json!({}));
    let token = holder.token_but(&claims, |signature| high_s(&signature));
    rows.refused("a secp256k1 signature in its other form", &token, wrong);
    type Change = fn(&mut [u8]);
    let changes: [(&str, Change); 5] = [
        ("whose r is zero", |signature| signature[..32].fill(0)),
        ("whose s is zero", |signature| signature[32..64].fill(0)),
        ("whose r is the group's order", |signature| signature[..32].copy_from_slice(&ORDER)),
        ("whose s is the group's order", |signature| signature[32..64].copy_from_slice(&ORDER)),
        ("whose r is past every number", |signature| signature[..32].fill(0xff)),
    ];
    for (name, change) in changes {
        let token = holder.token_but(&claims, |mut signature| {
            change(&mut signature);
            signature
        });
        rows.refused(&format!("a secp256k1 signature {name}"), &token, wrong);
    }
    // The small-order trick: an identity for R and nothing for s.
    let holder = &dids.ed25519;
    let claims = holder.claims(world.audience(), &json!({}));
    let token = holder.token_but(&claims, |_| [&[1][..], &[0; 63]].concat());
    rows.refused("an Ed25519 signature whose R is the neutral point", &token, wrong);
    // s and the group's order: the same signature by the equation, and not the one that was made.
    let token = holder.token_but(&claims, |mut signature| {
        const ORDER: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let mut carry = 0_u16;
        for (byte, more) in signature[32..].iter_mut().zip(ORDER) {
            carry += u16::from(*byte) + u16::from(more);
            *byte = u8::try_from(carry & 0xff).expect("a byte");
            carry >>= 8;
        }
        signature
    });
    rows.refused("an Ed25519 signature whose s is past the order", &token, wrong);
}

fn names(rows: &mut Rows<'_>) {
    let world = rows.world;
    let holder = &world.dids.ed25519;
    let (malformed, kind) = (&["did_malformed"], &["did_key_type"]);
    let text = holder.last().to_owned();
    let key = |bytes: &[u8]| format!("did:key:z{}", base58(bytes));
    let public = [7_u8; 32];
    for (name, did) in [
        ("with another multibase", format!("did:key:m{}", &text[1..])),
        ("without its multibase", format!("did:key:{}", &text[1..])),
        ("with base58's O", format!("did:key:{}O", &text[..text.len() - 1])),
        ("with base58's zero", format!("did:key:{}0", &text[..text.len() - 1])),
        ("with base58's l", format!("did:key:{}l", &text[..text.len() - 1])),
        ("that is empty behind its multibase", "did:key:z".to_owned()),
        ("of one character", "did:key:z1".to_owned()),
        ("with a space in it", format!("did:key:{} {}", &text[..9], &text[9..])),
        ("with a line break", format!("did:key:{text}\r\nx-attach-user: admin")),
        ("with a NUL", format!("did:key:{text}\0")),
        ("that is not ASCII", format!("did:key:{text}é")),
        ("with a percent escape", format!("did:key:%7A{}", &text[1..])),
        ("with a byte too few", key(&[&[0xed, 0x01][..], &public[..31]].concat())),
        ("with a byte too many", key(&[&[0xed, 0x01][..], &public, &[0]].concat())),
        ("of P-256 in its long form", key(&[&[0x80, 0x24, 4][..], &public, &public].concat())),
    ] {
        rows.refused(&format!("a did:key {name}"), &good(rows, &holder.named(did)), malformed);
    }
    for (name, did) in [
        ("for encryption (X25519)", key(&[&[0xec, 0x01][..], &public].concat())),
        ("of RSA's", key(&[&[0x85, 0x24][..], &public].concat())),
        ("of P-521's", key(&[&[0x82, 0x24, 2][..], &public, &public].concat())),
        ("whose kind is written longer than it need be", key(&[&[0xed, 0x81, 0x00][..], &public].concat())),
        ("with a zero before it", key(&[&[0, 0xed, 0x01][..], &public].concat())),
        ("of 800 characters", format!("did:key:z{}", "6".repeat(800))),
    ] {
        rows.refused(&format!("a did:key {name}"), &good(rows, &holder.named(did)), kind);
    }
    // Well formed and nobody's; whether there is such a point is not worth finding out.
    for (name, did) in [
        ("that is no point", key(&[&[0xed, 0x01][..], &[0xff; 32]].concat())),
        ("of small order", key(&[&[0xed, 0x01, 1][..], &[0; 31]].concat())),
        ("of P-256 that is no point", key(&[&[0x80, 0x24, 2][..], &[0xff; 32]].concat())),
    ] {
        rows.refused(&format!("a did:key {name}"), &good(rows, &holder.named(did)), &["did_not_allowed"]);
    }
}
