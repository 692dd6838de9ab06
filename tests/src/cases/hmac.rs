//! Rows about services that share a key with the gateway.

use serde_json::{Value, json};

use super::Rows;
use crate::mint::{encode, signing_input};

pub(super) fn add(rows: &mut Rows<'_>) {
    accepted(rows);
    keys(rows);
    claims(rows);
    codes(rows);
}

fn accepted(rows: &mut Rows<'_>) {
    let world = rows.world;
    let service = &world.services[0];
    for algorithm in ["HS256", "HS384", "HS512"] {
        let token = service.token(algorithm, &json!({}), &service.claims(world.audience(), &json!({})));
        rows.accepted_as(&format!("a service's {algorithm}"), &format!("Bearer {token}"), "hmac:billing");
    }
    for (name, over) in [
        ("a service that is its own issuer", json!({"iss": "billing"})),
        ("a service that calls itself alice", json!({"sub": "alice"})),
        ("a service's token that has just expired", json!({"exp": rows.now - 20})),
    ] {
        let token = service.token("HS256", &json!({}), &service.claims(world.audience(), &over));
        rows.accepted_as(name, &format!("Bearer {token}"), "hmac:billing");
    }
    let other = &world.services[1];
    let token = other.token("HS256", &json!({"typ": null}), &other.claims(world.audience(), &json!({})));
    rows.accepted_as("another service", &format!("Bearer {token}"), "hmac:reports");
}

fn keys(rows: &mut Rows<'_>) {
    let world = rows.world;
    let [billing, reports] = &world.services;
    let claims = billing.claims(world.audience(), &json!({}));
    let unknown = &["hmac_key_unknown"];
    for (name, kid) in [
        ("a service that has no key", json!("stranger")),
        ("a service's name in capitals", json!("BILLING")),
        ("a service's name with a space", json!("billing ")),
        ("a service with its prefix", json!("hmac:billing")),
        ("a service without a name", json!("")),
        ("a service's name and a header", json!("billing\r\nX-Attach-User: admin")),
        ("a service whose key is an empty file", json!("/dev/null")),
        ("a service's name and its key", json!(format!("billing={}", billing.secret))),
    ] {
        let token = billing.token("HS256", &json!({ "kid": kid }), &claims);
        rows.refused(name, &token, unknown);
    }
    let token = billing.token("HS256", &json!({"kid": null}), &claims);
    rows.refused("a service that does not say which", &token, &["key_unnamed"]);
    let token = billing.token("HS256", &json!({"kid": ["billing"]}), &claims);
    rows.refused("a list of services", &token, &["token_json"]);
    let oct = json!({"kid": "own", "jwk": {"kty": "oct", "k": encode("own"), "kid": "own"}});
    let input =
        signing_input(crate::mint::merged(&json!({"alg": "HS256"}), &oct).to_string(), claims.to_string());
    let token = format!("{input}.{}", encode(super::world::code("HS256", b"own", input.as_bytes())));
    rows.refused("a service that brings its own key", &token, unknown);
    let wrong = &["signature_invalid"];
    let token = reports.token("HS256", &json!({"kid": "billing"}), &claims);
    rows.refused("one service's name and another's key", &token, wrong);
    let issuer = &["hmac_issuer"];
    for (name, iss) in [
        ("another service", json!("reports")),
        ("the first issuer", json!(world.first.issuer)),
        ("the second issuer", json!(world.second.issuer)),
        ("an orchestrator", json!("planner")),
        ("a DID", json!(world.dids.ed25519.did)),
        ("nobody's name", json!("")),
        ("its own name with its prefix", json!("hmac:billing")),
        ("its own name in capitals", json!("Billing")),
        ("a list of its own name", json!(["billing"])),
        ("a number", json!(1)),
    ] {
        let token =
            billing.token("HS256", &json!({}), &billing.claims(world.audience(), &json!({ "iss": iss })));
        rows.refused(&format!("a service's token by {name}"), &token, issuer);
    }
    // What a public key should verify, no shared key does, and the other way round.
    let token =
        world.first.key("RS256").token_with(&json!({"kid": "billing"}), &world.first.claims(&json!({})));
    rows.refused("an issuer's token by a service's name", &token, &["key_unknown"]);
    let token = billing.token("HS256", &json!({"kid": "rs256"}), &world.first.claims(&json!({})));
    rows.refused("a service's token by an issuer's key", &token, unknown);
}

fn claims(rows: &mut Rows<'_>) {
    let (world, now) = (rows.world, rows.now);
    let service = &world.services[0];
    let token = |over: Value| service.token("HS256", &json!({}), &service.claims(world.audience(), &over));
    rows.refused(
        "a service's token without an audience",
        &token(json!({"aud": null})),
        &["audience_missing"],
    );
    rows.refused("a service's token for another", &token(json!({"aud": "other"})), &["audience_wrong"]);
    rows.refused("a service's token for no text", &token(json!({"aud": true})), &["audience_wrong"]);
    rows.refused("a service's token without exp", &token(json!({"exp": null})), &["expiry_missing"]);
    rows.refused("a service's token that has expired", &token(json!({"exp": now - 90})), &["expired"]);
    rows.refused("a service's token with exp as text", &token(json!({"exp": "1"})), &["date_malformed"]);
    rows.refused(
        "a service's token that is not valid yet",
        &token(json!({"nbf": now + 120})),
        &["not_yet_valid"],
    );
    rows.refused("a service's token of the future", &token(json!({"iat": now + 120})), &["issued_in_future"]);
}

fn codes(rows: &mut Rows<'_>) {
    let world = rows.world;
    let service = &world.services[0];
    let claims = service.claims(world.audience(), &json!({})).to_string();
    let wrong = &["signature_invalid"];
    let mut with = |name: &str, algorithm: &str, code: &dyn Fn(&[u8]) -> Vec<u8>| {
        let input = signing_input(json!({"alg": algorithm, "kid": "billing"}).to_string(), &claims);
        let token = format!("{input}.{}", encode(code(input.as_bytes())));
        rows.refused(name, &token, wrong);
    };
    with("a service's token without its code", "HS256", &|_| Vec::new());
    with("a service's code cut to one byte", "HS256", &|input| service.sign("HS256", input)[..1].to_vec());
    with("a service's code cut to a half", "HS256", &|input| service.sign("HS256", input)[..16].to_vec());
    with("a service's code and a byte", "HS256", &|input| [&service.sign("HS256", input)[..], &[0]].concat());
    with("a service's code of zeros", "HS256", &|_| vec![0; 32]);
    with("an HS256 code that is said to be HS384's", "HS384", &|input| service.sign("HS256", input));
    with("an HS512 code that is said to be HS256's", "HS256", &|input| service.sign("HS512", input));
    with("an HS512 code cut to HS256's length", "HS256", &|input| {
        service.sign("HS512", input)[..32].to_vec()
    });
    with("a service's code keyed with its name", "HS256", &|input| {
        super::world::code("HS256", b"billing", input)
    });
    with("a service's code keyed with nothing", "HS256", &|input| super::world::code("HS256", b"", input));
    with("a code of another token", "HS256", &|_| service.sign("HS256", b"other"));
}
