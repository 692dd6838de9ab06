//! Rows about algorithms, keys and signatures.

use ring::hmac;
use serde_json::{Value, json};

use super::Rows;
use crate::mint::{ALGORITHMS, Key, encode, signing_input};

pub(super) fn add(rows: &mut Rows<'_>) {
    every_algorithm(rows);
    unsigned_and_symmetric(rows);
    keys(rows);
    keys_in_the_header(rows);
    signatures(rows);
    extensions(rows);
}

fn every_algorithm(rows: &mut Rows<'_>) {
    let first = &rows.world.first;
    let claims = first.claims(&json!({}));
    for name in ALGORITHMS {
        let token = first.key(name).token(&claims);
        rows.accepted(&format!("a good {name} token"), &token);
    }
}

fn unsigned_and_symmetric(rows: &mut Rows<'_>) {
    let first = &rows.world.first;
    let key = first.key("RS256");
    let claims = first.claims(&json!({})).to_string();
    let header = |alg: Value| json!({"alg": alg, "typ": "JWT", "kid": key.id}).to_string();

    for alg in ["none", "None", "NONE", "nOnE"] {
        let input = signing_input(header(json!(alg)), &claims);
        rows.refused(&format!("alg {alg} without a signature"), &format!("{input}."), &["algorithm_none"]);
        let signed = key.raw(header(json!(alg)), &claims);
        rows.refused(&format!("alg {alg} with a good signature"), &signed, &["algorithm_none"]);
    }
    let unknown = &["algorithm_unknown"];
    for alg in ["rs256", "RS1", "RS257", "ES512", "ES256K", "HS1", "RSA-OAEP", "dir", " RS256", "RS256\n"] {
        let token = key.raw(header(json!(alg)), &claims);
        rows.refused(&format!("alg {alg:?}"), &token, unknown);
    }
    let token = key.raw(header(json!("")), &claims);
    rows.refused("an empty alg", &token, &["algorithm_none"]);
    for (name, alg) in [("a number", json!(256)), ("a list", json!(["RS256"])), ("null", Value::Null)] {
        let token = key.raw(header(alg), &claims);
        rows.refused(&format!("alg as {name}"), &token, unknown);
    }
    let token = key.token_with(&json!({"alg": null}), &first.claims(&json!({})));
    rows.refused("no alg", &token, unknown);

    // The public key, in each form somebody may have it in, as an HMAC's secret.
    let jwk = key.jwk();
    let modulus = jwk["n"].as_str().expect("a modulus").to_owned();
    for (name, secret) in [
        ("as a JWK", jwk.to_string().into_bytes()),
        ("by its modulus", modulus.into_bytes()),
        ("by nothing", Vec::new()),
    ] {
        for (alg, rules) in
            [("HS256", hmac::HMAC_SHA256), ("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)]
        {
            let input = signing_input(header(json!(alg)), &claims);
            let tag = hmac::sign(&hmac::Key::new(rules, &secret), input.as_bytes());
            let token = format!("{input}.{}", encode(tag));
            rows.refused(&format!("{alg} keyed with the public key {name}"), &token, &["hmac_key_unknown"]);
        }
    }
}

fn keys(rows: &mut Rows<'_>) {
    let first = &rows.world.first;
    let claims = first.claims(&json!({}));
    let rs256 = first.key("RS256");

    let token = rs256.token_with(&json!({"kid": "nobody's"}), &claims);
    rows.refused("a kid that the issuer does not have", &token, &["key_unknown"]);
    let token = rs256.token_with(&json!({"kid": ""}), &claims);
    rows.refused("an empty kid", &token, &["key_unknown"]);
    let token = rs256.token_with(&json!({"kid": "../../rs256"}), &claims);
    rows.refused("a kid that is a path", &token, &["key_unknown"]);
    let token = rs256.token_with(&json!({"kid": "RS256"}), &claims);
    rows.refused("a kid in another case", &token, &["key_unknown"]);
    let token = rs256.token_with(&json!({"kid": null}), &claims);
    rows.refused("no kid where two keys could be meant", &token, &["key_unnamed"]);
    let token = first.key("ES384").token_with(&json!({"kid": null}), &claims);
    rows.accepted("no kid where one key alone can be meant", &token);
    let token = rows.world.spare.token(&claims);
    rows.accepted("the second key of an algorithm", &token);

    // The algorithm is the key's, whatever the token says and however well it is signed.
    let mismatch = &["algorithm_not_the_keys"];
    for (kid, algorithm) in [
        ("rs256", "RS384"),
        ("rs256", "RS512"),
        ("rs256", "PS256"),
        ("ps256", "RS256"),
        ("es256", "ES384"),
        ("es256", "RS256"),
        ("rs256", "ES256"),
        ("rs256", "EdDSA"),
        ("eddsa", "ES256"),
    ] {
        let token = first.key(algorithm).token_with(&json!({ "kid": kid }), &claims);
        rows.refused(&format!("{algorithm} by the name of the key {kid}"), &token, mismatch);
    }
    let second = rows.world.second.key("ES256");
    let token = second.token(&claims);
    rows.refused("the first issuer's claims, signed by the second", &token, &["signature_invalid"]);
    let token = rs256.token(&rows.world.second.claims(&json!({})));
    rows.refused("the second issuer's claims, signed by the first", &token, &["key_unknown"]);
}

fn keys_in_the_header(rows: &mut Rows<'_>) {
    let first = &rows.world.first;
    let claims = first.claims(&json!({}));
    let own = &rows.world.strangers;
    let injected = |own: &Key| {
        [
            ("jwk", json!({"jwk": own.jwk()})),
            ("jku", json!({"jku": "http://127.0.0.1:1/keys"})),
            ("x5u", json!({"x5u": "http://127.0.0.1:1/certificate"})),
            ("x5c", json!({"x5c": ["MIIB"]})),
        ]
    };
    for (name, header) in injected(own) {
        let token = own.token_with(&header, &claims);
        rows.refused(&format!("a stranger's key, brought along as {name}"), &token, &["key_unknown"]);
        let named = crate::mint::merged(&header, &json!({"kid": "rs256"}));
        let token = own.token_with(&named, &claims);
        rows.refused(&format!("the same by a known key's name, {name}"), &token, &["signature_invalid"]);
        let token = first.key("RS256").token_with(&header, &claims);
        rows.accepted(&format!("a good token that also has {name}"), &token);
    }
}

fn signatures(rows: &mut Rows<'_>) {
    let first = &rows.world.first;
    let claims = first.claims(&json!({}));
    let wrong = &["signature_invalid"];
    for name in ALGORITHMS {
        let token = first.key(name).token(&claims);
        let (input, signature) = token.rsplit_once('.').expect("a token");
        rows.refused(&format!("{name} without its signature"), &format!("{input}."), wrong);
        // Four characters are three bytes: what is left is still base64url.
        let cut = &signature[..signature.len() / 4 * 4 - 4];
        rows.refused(&format!("{name} with its signature cut"), &format!("{input}.{cut}"), wrong);
        let length = first.key(name).sign(input.as_bytes()).len();
        let zeros = format!("{input}.{}", encode(vec![0; length]));
        rows.refused(&format!("{name} with a signature of zeros"), &zeros, wrong);
        let ones = format!("{input}.{}", encode(vec![0xff; length]));
        rows.refused(&format!("{name} with a signature of ones"), &ones, wrong);
        let other = first.key(name).token(&first.claims(&json!({"sub": "admin"})));
        let (other, _) = other.rsplit_once('.').expect("a token");
        rows.refused(&format!("{name} with another token's claims"), &format!("{other}.{signature}"), wrong);
        let twice = [first.key(name).sign(input.as_bytes()), vec![0]].concat();
        rows.refused(
            &format!("{name} with a byte behind its signature"),
            &format!("{input}.{}", encode(twice)),
            wrong,
        );
    }
    for name in ["ES256", "ES384"] {
        let key = first.key(name);
        let header = json!({"alg": name, "kid": key.id}).to_string();
        let input = signing_input(header, claims.to_string());
        let token = format!("{input}.{}", encode(key.sign_der(input.as_bytes())));
        rows.refused(&format!("{name} with its signature as DER"), &token, wrong);
    }
    // Good signatures of the key, by other rules than its own.
    let key = first.key("RS256");
    let input = signing_input(json!({"alg": "RS256", "kid": "rs256"}).to_string(), claims.to_string());
    for other in ["RS384", "RS512", "PS256"] {
        let token = format!("{input}.{}", encode(key.sign_as(other, input.as_bytes())));
        rows.refused(&format!("RS256 signed as {other}"), &token, wrong);
    }
    let input = signing_input(json!({"alg": "PS256", "kid": "ps256"}).to_string(), claims.to_string());
    let token = format!("{input}.{}", encode(key.sign_as("RS256", input.as_bytes())));
    rows.refused("PS256 signed as RS256", &token, wrong);
}

fn extensions(rows: &mut Rows<'_>) {
    let first = &rows.world.first;
    let key = first.key("RS256");
    let claims = first.claims(&json!({}));
    for (name, header, reason) in [
        ("crit with an unknown extension", json!({"crit": ["x"], "x": 1}), &["critical_extension"]),
        ("crit with a claim", json!({"crit": ["exp"], "exp": 1}), &["critical_extension"]),
        ("an empty crit", json!({"crit": []}), &["critical_extension"]),
        ("crit that is no list", json!({"crit": "x"}), &["critical_extension"]),
        ("b64 true by crit", json!({"crit": ["b64"], "b64": true}), &["critical_extension"]),
        ("b64 false by crit", json!({"crit": ["b64"], "b64": false}), &["unencoded_payload"]),
        ("b64 false", json!({"b64": false}), &["unencoded_payload"]),
        ("b64 that is no boolean", json!({"b64": "true"}), &["unencoded_payload"]),
    ] {
        let token = key.token_with(&header, &claims);
        rows.refused(name, &token, reason);
    }
    let token = key.token_with(&json!({"typ": "JWT", "cty": "x", "unknown": {"a": 1}}), &claims);
    rows.accepted("members of the header that mean nothing here", &token);
}
