//! Rows about claims. All tokens here are signed well.

use serde_json::{Value, json};

use super::{PREFIX, Rows};

pub(super) fn add(rows: &mut Rows<'_>) {
    issuers(rows);
    audiences(rows);
    dates(rows);
    subjects(rows);
}

fn issuers(rows: &mut Rows<'_>) {
    let first = &rows.world.first;
    let issuer = first.issuer.clone();
    let token = first.token_of(&json!({"iss": format!("{issuer}/")}));
    rows.accepted("the issuer with its trailing slash", &token);
    let unknown = &["issuer_unknown"];
    for (name, iss) in [
        ("the issuer with two trailing slashes", format!("{issuer}//")),
        ("the issuer and a path", format!("{issuer}/x")),
        ("the issuer and a query", format!("{issuer}?x")),
        ("the issuer in upper case", issuer.to_ascii_uppercase()),
        ("the issuer with a space", format!("{issuer} ")),
        ("the beginning of the issuer", issuer[..issuer.len() - 1].to_owned()),
        ("the issuer by another scheme", issuer.replacen("http:", "https:", 1)),
        ("somebody else's issuer", "https://evil.example".to_owned()),
        ("a slash alone", "/".to_owned()),
    ] {
        let token = first.token_of(&json!({ "iss": iss }));
        rows.refused(name, &token, unknown);
    }
    for (name, iss) in
        [("no issuer", Value::Null), ("an empty issuer", json!("")), ("a list of issuers", json!([issuer]))]
    {
        let token = first.token_of(&json!({ "iss": iss }));
        rows.refused(name, &token, &["issuer_missing"]);
    }
}

fn audiences(rows: &mut Rows<'_>) {
    let first = &rows.world.first;
    let ours = first.audience.clone();
    for (name, aud) in [
        ("the audience in a list", json!([ours])),
        ("the audience among others", json!(["https://other.example", ours, "x"])),
    ] {
        let token = first.token_of(&json!({ "aud": aud }));
        rows.accepted(name, &token);
    }
    for (name, aud) in [("no audience", Value::Null), ("an empty list of audiences", json!([]))] {
        let token = first.token_of(&json!({ "aud": aud }));
        rows.refused(name, &token, &["audience_missing"]);
    }
    for (name, aud) in [
        ("another audience", json!("other")),
        ("an empty audience", json!("")),
        ("the audience in upper case", json!(ours.to_ascii_uppercase())),
        ("the audience and more", json!(format!("{ours}-2"))),
        ("two audiences in one string", json!(format!("{ours} other"))),
        ("other audiences", json!(["a", "b"])),
        ("the audience in a list in a list", json!([[ours]])),
        ("the audience among what is no text", json!([ours, 1])),
        ("the audience as a member's name", json!({ ours.clone(): true })),
        ("a number for an audience", json!(1)),
    ] {
        let token = first.token_of(&json!({ "aud": aud }));
        rows.refused(name, &token, &["audience_wrong"]);
    }
}

fn dates(rows: &mut Rows<'_>) {
    let first = &rows.world.first;
    let now = rows.now;
    #[allow(clippy::cast_precision_loss)]
    let float = now as f64;
    for (name, claims) in [
        ("expired within the leeway", json!({"exp": now - 20})),
        ("exp with a fraction", json!({"exp": float + 3600.5})),
        ("exp in another notation", json!({"exp": 9.9e9})),
        ("exp in a thousand years", json!({"exp": now + 31_556_952_000_u64})),
        ("nbf ahead within the leeway", json!({"nbf": now + 20})),
        ("iat ahead within the leeway", json!({"iat": now + 20})),
        ("neither nbf nor iat", json!({"nbf": null, "iat": null})),
        ("nbf and iat at the beginning of time", json!({"nbf": 0, "iat": 0})),
    ] {
        let token = first.token_of(&claims);
        rows.accepted(name, &token);
    }
    let malformed = "date_malformed";
    for (name, claims, reason) in [
        ("expired beyond the leeway", json!({"exp": now - 61}), "expired"),
        ("expired long ago", json!({"exp": 1}), "expired"),
        ("exp at the beginning of time", json!({"exp": 0}), "expired"),
        ("no exp", json!({"exp": null}), "expiry_missing"),
        ("exp as text", json!({"exp": (now + 3600).to_string()}), malformed),
        ("exp as a list", json!({"exp": [now + 3600]}), malformed),
        ("exp as a boolean", json!({"exp": true}), malformed),
        ("a negative exp", json!({"exp": -1}), malformed),
        ("exp of 64 bits", json!({"exp": u64::MAX}), malformed),
        ("exp beyond every integer", json!({"exp": 1e300}), malformed),
        ("nbf beyond the leeway", json!({"nbf": now + 120}), "not_yet_valid"),
        ("nbf as text", json!({"nbf": "0"}), malformed),
        ("a negative nbf", json!({"nbf": -1}), malformed),
        ("nbf beyond every integer", json!({"nbf": 1e300}), malformed),
        ("iat beyond the leeway", json!({"iat": now + 120}), "issued_in_future"),
        ("iat as text", json!({"iat": "0"}), malformed),
    ] {
        let token = first.token_of(&claims);
        rows.headers(name, &[format!("Bearer {token}").as_bytes()], one(reason));
    }
    // JSON has no such number, but other writers do.
    let key = first.key("RS256");
    let header = json!({"alg": "RS256", "kid": key.id}).to_string();
    for text in ["1e999", "NaN", "Infinity"] {
        let claims =
            first.claims(&json!({"exp": 0})).to_string().replacen("\"exp\":0", &format!("\"exp\":{text}"), 1);
        let token = key.raw(&header, claims);
        rows.refused(&format!("exp as {text}"), &token, &["token_json"]);
    }
    let null = first.claims(&json!({"exp": 0})).to_string().replacen("\"exp\":0", "\"exp\":null", 1);
    let token = key.raw(&header, null);
    rows.headers(
        "exp as null",
        &[format!("Bearer {token}").as_bytes()],
        &["date_malformed", "expiry_missing"],
    );
}

/// The one reason, as a list that lives for ever.
fn one(reason: &'static str) -> &'static [&'static str] {
    match reason {
        "expired" => &["expired"],
        "expiry_missing" => &["expiry_missing"],
        "not_yet_valid" => &["not_yet_valid"],
        "issued_in_future" => &["issued_in_future"],
        _ => &["date_malformed"],
    }
}

fn subjects(rows: &mut Rows<'_>) {
    let (first, second) = (&rows.world.first, &rows.world.second);
    for subject in [
        "auth0|5f7c8ec7c33c6c004bbafe82",
        "a b",
        "x@clients",
        "did",
        "partner",
        "Did:key:z6",
        "~!\"#$%&'()*,",
    ] {
        let value = format!("Bearer {}", first.token(subject));
        rows.accepted_as(&format!("the subject {subject:?}"), &value, subject);
    }
    let longest = "a".repeat(255);
    let value = format!("Bearer {}", first.token(&longest));
    rows.accepted_as("a subject of 255 characters", &value, &longest);

    for (name, sub) in [
        ("no subject", Value::Null),
        ("an empty subject", json!("")),
        ("a number for a subject", json!(7)),
        ("a list for a subject", json!(["alice"])),
    ] {
        let token = first.token_of(&json!({ "sub": sub }));
        rows.refused(name, &token, &["subject_missing"]);
    }
    for (name, sub) in [
        ("a subject with a line break", "alice\r\nX-Attach-User: admin"),
        ("a subject with a line feed", "alice\nx"),
        ("a subject with a NUL", "alice\0"),
        ("a subject with a tab", "alice\tx"),
        ("a subject that is not ASCII", "älice"),
        ("a subject with a space before it", " alice"),
        ("a subject with a space behind it", "alice "),
        ("a subject that is a space", " "),
        ("a subject with a DEL", "alice\u{7f}"),
        ("a subject in another script", "\u{430}lice"),
    ] {
        let token = first.token(sub);
        rows.refused(name, &token, &["subject_unfit"]);
    }
    let token = first.token(&"a".repeat(256));
    rows.refused("a subject of 256 characters", &token, &["subject_unfit"]);
    for (name, sub) in [
        ("a subject that begins as the second issuer's", format!("{PREFIX}bob")),
        ("the second issuer's prefix alone", PREFIX.to_owned()),
        ("a subject that is a DID", "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK".to_owned()),
        ("the beginning of a DID", "did:".to_owned()),
    ] {
        let token = first.token(&sub);
        rows.refused(name, &token, &["subject_reserved"]);
    }

    for sub in ["bob", "did:key:z6Mk", "partner|bob", "alice"] {
        let token = second.key("ES256").token(&second.claims(&json!({ "sub": sub })));
        rows.accepted_as(
            &format!("the second issuer's {sub}"),
            &format!("Bearer {token}"),
            &format!("{PREFIX}{sub}"),
        );
    }
    let token = second.key("EdDSA").token(&second.claims(&json!({ "sub": " bob" })));
    rows.refused("a space behind the prefix", &token, &["subject_unfit"]);
    let token = second.key("EdDSA").token(&second.claims(&json!({ "sub": "" })));
    rows.refused("nothing behind the prefix", &token, &["subject_missing"]);
}
