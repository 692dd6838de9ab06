//! Rows about the gateway's own tokens, which control makes for agents, and about its statements, which are
//! no tokens.

use serde_json::{Value, json};

use super::{Expect, Rows};
use crate::mint::{Key, merged, signing_input};

pub(super) fn add(rows: &mut Rows<'_>) {
    accepted(rows);
    kinds(rows);
    keys(rows);
    claims(rows);
}

fn of(rows: &Rows<'_>, over: &Value) -> Value {
    let url = rows.world.public_url();
    let usual = json!({
        "iss": url, "aud": url, "sub": "alice", "act": {"sub": "key:planner"}, "client_id": "key:planner",
        "scope": "chat:run", "iat": rows.now, "exp": rows.now + 600, "jti": format!("g{}", rows.cases.len()),
    });
    merged(&usual, over)
}

/// A good token, changed as said.
pub(super) fn token(rows: &Rows<'_>, over: &Value) -> String {
    rows.world.gateway.token(&of(rows, over))
}

fn accepted(rows: &mut Rows<'_>) {
    let planner = || Some("key:planner".to_owned());
    let sent = rows.get().bearer(&token(rows, &json!({})));
    rows.row("a good token of the gateway's own", sent, Expect::User("alice".into(), planner()));
    for user in ["partner|bob", "key:other", "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"] {
        let sent = rows.get().bearer(&token(rows, &json!({"sub": user})));
        rows.row(&format!("one for {user}, whose name is final"), sent, Expect::User(user.into(), planner()));
    }
    let long = rows.world.gateway.token_with(&json!({"typ": "application/at+jwt"}), &of(rows, &json!({})));
    let sent = rows.get().bearer(&long);
    rows.row("one with its type in full", sent, Expect::User("alice".into(), planner()));
}

fn kinds(rows: &mut Rows<'_>) {
    let wrong = &["type_wrong"];
    let gateway = rows.world.gateway.clone();
    for (name, kind) in [
        ("a JWT", json!("JWT")),
        ("a statement", json!("attach-assertion+jwt")),
        ("nothing", Value::Null),
        ("nothing's name", json!("")),
        ("an identity", json!("id+jwt")),
        ("a DPoP proof", json!("dpop+jwt")),
        ("a logout", json!("logout+jwt")),
    ] {
        let token = gateway.token_with(&json!({ "typ": kind }), &of(rows, &json!({})));
        rows.refused(&format!("a token of the gateway's own that calls itself {name}"), &token, wrong);
    }
    let token = gateway.token_with(&json!({"typ": ["at+jwt"]}), &of(rows, &json!({})));
    rows.refused("a token of the gateway's own of a list of types", &token, &["token_json"]);
    // A statement for an upstream, shown as a token: by its own type, and by a token's.
    let statements = rows.world.assertions.clone();
    let url = rows.world.public_url();
    for audience in ["engine", "control", "planner", &url] {
        let over = json!({
            "aud": audience, "exp": rows.now + 120, "sid": "ab".repeat(32), "jti": null, "client_id": null,
            "user_exp": rows.now + 3600,
        });
        let token = statements.token_with(&json!({"typ": "attach-assertion+jwt"}), &of(rows, &over));
        rows.refused(&format!("a statement for {audience} as a token"), &token, wrong);
        let token = statements.token(&of(rows, &over));
        rows.refused(
            &format!("a statement for {audience} that calls itself a token"),
            &token,
            &["key_unknown"],
        );
    }
    let named = statements.token_with(&json!({"kid": gateway.id}), &of(rows, &json!({})));
    rows.refused("the statements' key by the name of the tokens'", &named, &["signature_invalid"]);
}

fn keys(rows: &mut Rows<'_>) {
    let world = rows.world;
    let gateway = &world.gateway;
    let unknown = &["key_unknown"];
    let foreign: [(&str, &Key); 3] = [
        ("the first issuer's key", world.first.key("EdDSA")),
        ("the second issuer's key", world.second.key("EdDSA")),
        ("a signer's key", world.signers[0].key("EdDSA")),
    ];
    for (name, key) in foreign {
        rows.refused(
            &format!("the gateway as issuer, by {name}"),
            &key.token(&of(rows, &json!({}))),
            unknown,
        );
        let named = key.token_with(&json!({"kid": gateway.id}), &of(rows, &json!({})));
        rows.refused(&format!("the gateway's own key's name, {name}"), &named, &["signature_invalid"]);
    }
    let token = gateway.token_with(&json!({"kid": null}), &of(rows, &json!({})));
    rows.refused("a token of the gateway's own without kid", &token, &["key_unnamed"]);
    let not_its = &["algorithm_not_the_keys"];
    for algorithm in ["RS256", "ES256", "PS256"] {
        let token = world.first.key(algorithm).token_with(&json!({"kid": gateway.id}), &of(rows, &json!({})));
        rows.refused(&format!("the gateway's own key's name and {algorithm}"), &token, not_its);
    }
    let secret = gateway.public();
    let input = signing_input(
        json!({"alg": "HS256", "typ": "at+jwt", "kid": gateway.id}).to_string(),
        of(rows, &json!({})).to_string(),
    );
    let token =
        format!("{input}.{}", crate::mint::encode(super::world::code("HS256", &secret, input.as_bytes())));
    rows.refused("HS256 keyed with the gateway's own public key", &token, &["algorithm_symmetric"]);
    let service = &world.services[0];
    let token = service.token("HS256", &json!({"typ": "at+jwt"}), &of(rows, &json!({})));
    rows.refused("the gateway as issuer, by a service", &token, &["algorithm_symmetric"]);
    // The gateway's keys verify no issuer's tokens.
    let token = gateway.token(&world.first.claims(&json!({})));
    rows.refused("an issuer's token by the gateway's own key", &token, unknown);
    let token = gateway.token_with(&json!({"kid": "eddsa"}), &world.first.claims(&json!({})));
    rows.refused("the same by the issuer's key's name", &token, &["signature_invalid"]);
}

fn claims(rows: &mut Rows<'_>) {
    let now = rows.now;
    let wrong = &["gateway_token_claims"];
    for (name, over) in [
        ("without a user", json!({"sub": null})),
        ("with an empty user", json!({"sub": ""})),
        ("with a number for a user", json!({"sub": 7})),
        ("whose user has a line break", json!({"sub": "alice\r\nx-attach-user: admin"})),
        ("whose user is not ASCII", json!({"sub": "älice"})),
        ("whose user has a space behind", json!({"sub": "alice "})),
        ("whose user is too long", json!({"sub": "a".repeat(256)})),
        ("without an agent", json!({"act": null})),
        ("with text for an agent", json!({"act": "key:planner"})),
        ("with an agent without a name", json!({"act": {}})),
        ("with an agent with an empty name", json!({"act": {"sub": ""}})),
        ("with an agent that is a list", json!({"act": [{"sub": "key:planner"}]})),
        ("whose agent has a line break", json!({"act": {"sub": "key:planner\r\nx: y"}})),
        ("whose agent has a NUL", json!({"act": {"sub": "key:planner\0"}})),
        ("whose agent is too long", json!({"act": {"sub": "a".repeat(256)}})),
        ("with a claim for the user's header", json!({"claims": {"x-attach-user": "admin"}})),
        ("with a claim for the agent's header", json!({"claims": {"x-attach-agent": "admin"}})),
        ("with a claim for control's secret", json!({"claims": {"x-attach-control-secret": "0"}})),
        ("with a claim for any header", json!({"claims": {"authorization": "Bearer x"}})),
        ("with a claim for a header in capitals", json!({"claims": {"X-Attach-Team": "a"}})),
        ("with a claim for a header with underscores", json!({"claims": {"x-attach-a_b": "a"}})),
        ("with a claim with a line break", json!({"claims": {"x-attach-team": "a\r\nb: c"}})),
        ("with a claim that is a number", json!({"claims": {"x-attach-team": 7}})),
        ("with a list of claims", json!({"claims": ["a"]})),
    ] {
        rows.refused(&format!("a token of the gateway's own {name}"), &token(rows, &over), wrong);
    }
    for (name, over, reason) in [
        ("for an hour", json!({"exp": now + 3600}), &["lifetime_too_long"]),
        ("for ever", json!({"exp": 9_999_999_999_u64}), &["lifetime_too_long"]),
        ("that has expired", json!({"exp": now - 90}), &["expired"]),
        ("without exp", json!({"exp": null}), &["expiry_missing"]),
        ("with exp as text", json!({"exp": "1"}), &["date_malformed"]),
        ("of the future", json!({"iat": now + 120}), &["issued_in_future"]),
        ("that is not valid yet", json!({"nbf": now + 120}), &["not_yet_valid"]),
        ("for the engine", json!({"aud": "engine"}), &["audience_wrong"]),
        ("for an issuer's audience", json!({"aud": rows.world.audience()}), &["audience_wrong"]),
        ("for another gateway", json!({"aud": "http://other.example"}), &["audience_wrong"]),
        (
            "for the gateway and a slash",
            json!({"aud": format!("{}/", rows.world.public_url())}),
            &["audience_wrong"],
        ),
        ("for nobody", json!({"aud": null}), &["audience_missing"]),
        ("with a number for its scope", json!({"scope": 7}), &["scope_malformed"]),
    ] {
        rows.refused(&format!("a token of the gateway's own {name}"), &token(rows, &over), reason);
    }
    let slash = format!("{}/", rows.world.public_url());
    for (name, iss) in [
        ("the gateway with a slash", slash),
        ("the gateway by the other scheme", rows.world.public_url().replacen("http:", "https:", 1)),
        ("the gateway in capitals", rows.world.public_url().to_ascii_uppercase()),
    ] {
        let token = token(rows, &json!({ "iss": iss }));
        rows.refused(&format!("a token by {name}"), &token, &["issuer_unknown"]);
    }
}
