//! Rows about the header, the token's form, its encoding and its JSON.

use serde_json::json;

use super::Rows;
use crate::mint::{encode, merged};

/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 8192;

pub(super) fn add(rows: &mut Rows<'_>) {
    headers(rows);
    segments(rows);
    encoding(rows);
    texts(rows);
    length(rows);
}

fn headers(rows: &mut Rows<'_>) {
    let good = rows.world.first.token("alice");
    let other = rows.world.first.token("mallory");
    let bearer = format!("Bearer {good}");

    rows.headers("no Authorization header", &[], &["credential_missing"]);
    // An empty header is one that Envoy may as well have dropped.
    rows.headers("an empty Authorization header", &[b""], &["credential_empty", "credential_missing"]);
    rows.headers("a scheme without a token", &[b"Bearer"], &["credential_empty"]);
    rows.headers("a scheme and a space", &[b"Bearer "], &["credential_empty"]);
    rows.headers("another scheme", &[b"Basic YWxpY2U6c2VjcmV0"], &["credential_malformed"]);
    rows.headers(
        "another scheme with a good token",
        &[format!("Token {good}").as_bytes()],
        &["credential_malformed"],
    );
    rows.headers("a token without a scheme", &[good.as_bytes()], &["credential_malformed"]);
    rows.headers(
        "no space behind the scheme",
        &[format!("Bearer{good}").as_bytes()],
        &["credential_malformed"],
    );
    rows.headers(
        "a tab behind the scheme",
        &[format!("Bearer\t{good}").as_bytes()],
        &["credential_malformed"],
    );
    rows.headers(
        "white space in the token",
        &[bearer.replacen('.', " .", 1).as_bytes()],
        &["credential_malformed"],
    );
    rows.headers(
        "a second word behind the token",
        &[format!("{bearer} x").as_bytes()],
        &["credential_malformed"],
    );
    rows.headers("a comma behind the token", &[format!("{bearer},").as_bytes()], &["credential_malformed"]);
    rows.headers(
        "two credentials in one header",
        &[format!("{bearer}, Bearer {other}").as_bytes()],
        &["credential_malformed"],
    );
    rows.headers(
        "a parameter behind the token",
        &[format!("{bearer}, realm=\"x\"").as_bytes()],
        &["credential_malformed"],
    );
    rows.headers("bytes that are not UTF-8", &[b"Bearer \xff\xfe\xc3\x28"], &["credential_malformed"]);
    rows.headers(
        "a good token and bytes that are not UTF-8",
        &[&[bearer.as_bytes(), b"\xff"].concat()],
        &["credential_malformed"],
    );
    let doubled = &["credential_doubled", "credential_malformed"];
    rows.headers("the same header twice", &[bearer.as_bytes(), bearer.as_bytes()], doubled);
    rows.headers("two headers", &[bearer.as_bytes(), format!("Bearer {other}").as_bytes()], doubled);
    rows.headers("a good header and another scheme's", &[bearer.as_bytes(), b"Basic YTpi"], doubled);
    rows.headers("another scheme's header and a good one", &[b"Basic YTpi", bearer.as_bytes()], doubled);

    rows.accepted_header("a good token", &bearer);
    rows.accepted_header("the scheme in lower case", &format!("bearer {good}"));
    rows.accepted_header("the scheme in upper case", &format!("BEARER {good}"));
    rows.accepted_header("two spaces behind the scheme", &format!("Bearer  {good}"));
}

fn segments(rows: &mut Rows<'_>) {
    let good = rows.world.first.token("alice");
    let (input, signature) = good.rsplit_once('.').expect("a token");
    let segments = &["token_segments"];
    rows.refused("one part", "abc", segments);
    rows.refused("two parts", input, segments);
    rows.refused("four parts", &format!("{good}.{signature}"), segments);
    rows.refused("six parts", &format!("{good}.a.b.c"), segments);
    rows.refused("nothing but dots of three parts", "..", &["token_json"]);
    rows.refused("nothing but a dot", ".", segments);
    rows.refused("the five parts of a JWE", &format!("{good}.a.b"), &["token_encrypted"]);
    let key = rows.world.first.key("RS256");
    let claims = rows.world.first.claims(&json!({}));
    let enc = key.token_with(&json!({"enc": "A256GCM"}), &claims);
    rows.refused("a JWE's header on three parts", &enc, &["token_encrypted"]);
}

fn encoding(rows: &mut Rows<'_>) {
    let key = rows.world.first.key("RS256");
    let good = rows.world.first.token("alice");
    let wrong = &["token_encoding"];
    rows.refused("padding", &format!("{good}=="), wrong);
    rows.refused("the last byte's spare bits set", &loosened(&good), wrong);
    // A payload whose length leaves spare bits, which are then set, and all of it signed.
    let header = encode(json!({"alg": "RS256", "kid": key.id}).to_string());
    let payload = (0..3)
        .map(|pad| merged(&rows.world.first.claims(&json!({})), &json!({"pad": "x".repeat(pad)})).to_string())
        .find(|payload| payload.len() % 3 != 0)
        .expect("one of three lengths has spare bits");
    let input = format!("{header}.{}", loosened(&encode(payload)));
    let signature = encode(key.sign(input.as_bytes()));
    rows.refused("a signed payload with spare bits set", &format!("{input}.{signature}"), wrong);
    // The standard alphabet in place of base64url's.
    let (input, _) = good.rsplit_once('.').expect("a token");
    rows.refused("the alphabet of plain base64", &format!("{input}.+/+/"), wrong);
    rows.refused("no base64 at all", &good.replacen('.', ".!", 1), wrong);
    rows.refused("a NUL's percent escape", &format!("{good}%00"), wrong);
}

/// The same bytes in another spelling: the unused bits of the last character set.
fn loosened(text: &str) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (last, rest) = text.as_bytes().split_last().expect("some text");
    let place = ALPHABET.iter().position(|byte| byte == last).expect("base64url");
    assert_eq!(place % 4, 0, "spare bits: the text's length must leave some");
    format!("{}{}", String::from_utf8_lossy(rest), char::from(ALPHABET[place + 1]))
}

fn texts(rows: &mut Rows<'_>) {
    let first = &rows.world.first;
    let key = first.key("RS256");
    let claims = first.claims(&json!({})).to_string();
    let header = json!({"alg": "RS256", "kid": key.id}).to_string();
    let open = |text: &str| text.strip_suffix('}').expect("an object").to_owned();
    let with = |text: &str, more: &str| format!("{},{more}}}", open(text));
    let json = &["token_json"];
    let twice = &["token_duplicate_member"];

    for (name, header, reason) in [
        ("a header that is no JSON", "hello".to_owned(), json),
        ("a header that is an array", "[]".to_owned(), json),
        ("a header with something behind it", format!("{header} x"), json),
        ("a header of two objects", format!("{header}{header}"), json),
        ("alg twice", with(&header, r#""alg":"RS256""#), twice),
        ("alg twice, once as none", with(&header, r#""alg":"none""#), twice),
        ("alg twice, once in escapes", with(&header, r#""\u0061lg":"none""#), twice),
        ("kid twice", with(&header, r#""kid":"rs256""#), twice),
    ] {
        let token = key.raw(header, &claims);
        rows.refused(name, &token, reason);
    }
    let kid = key.token_with(&json!({"kid": 7}), &first.claims(&json!({})));
    rows.refused("kid as a number", &kid, json);
    for (name, payload, reason) in [
        ("claims that are no JSON", "hello".to_owned(), json),
        ("claims that are an array", format!("[{claims}]"), json),
        ("claims that are a number", "1".to_owned(), json),
        ("no claims", String::new(), json),
        ("claims with something behind them", format!("{claims}x"), json),
        (
            "claims deeper than anybody reads",
            with(&claims, &format!("\"x\":{}{}", "[".repeat(500), "]".repeat(500))),
            json,
        ),
        ("sub twice", with(&claims, r#""sub":"admin""#), twice),
        ("sub twice, the same", with(&claims, r#""sub":"alice""#), twice),
        ("sub twice, once in escapes", with(&claims, r#""s\u0075b":"admin""#), twice),
        ("exp twice", with(&claims, r#""exp":9999999999"#), twice),
        ("a member twice further in", with(&claims, r#""x":{"y":[{"z":1,"z":2}]}"#), twice),
    ] {
        let token = key.raw(&header, payload);
        rows.refused(name, &token, reason);
    }
    let invalid = [open(&claims).as_bytes(), b",\"x\":\"\xff\xfe\"}"].concat();
    let token = key.raw(&header, invalid);
    rows.refused("claims that are not UTF-8", &token, json);
    let token = key.raw(&header, with(&claims, r#""x":"\ud800""#));
    rows.refused("half a surrogate pair", &token, json);
    let token = key.raw(format!(" \n{header}\t"), format!("\r\n {claims} "));
    rows.accepted("white space around the JSON", &token);
}

fn length(rows: &mut Rows<'_>) {
    let first = &rows.world.first;
    let with = |pad: usize| first.token_of(&json!({"pad": "x".repeat(pad)}));
    // Three bytes of payload are four of token.
    let mut pad = (MAX_TOKEN - with(0).len()) / 4 * 3;
    while with(pad).len() <= MAX_TOKEN {
        pad += 1;
    }
    let (fits, too_long) = (with(pad - 1), with(pad));
    rows.accepted("as long as a token may be", &fits);
    rows.refused("longer than a token may be", &too_long, &["token_too_long"]);
    rows.refused("32 KiB of one letter", &"a".repeat(32 * 1024), &["token_too_long"]);
}
