//! Rows about rotagent's requests: a token that is good for one request with one body.

use serde_json::{Value, json};
use sha2::Digest as _;

use super::{Expect, Rows};
use crate::mint::{Key, Padding, encode, merged, signing_input};
use crate::sent::Sent;

const BODY: &[u8] = br#"{"task":"plan","input":"hello"}"#;

pub(super) fn add(rows: &mut Rows<'_>) {
    accepted(rows);
    once(rows);
    bodies(rows);
    sizes(rows);
    issuers(rows);
    claims(rows);
    signatures(rows);
}

/// Lower-case hexadecimal SHA-256.
fn hash(body: &[u8]) -> String {
    sha2::Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Rows<'_> {
    /// The claims of a good token of `planner`'s over [`BODY`], changed as said.
    fn planned(&self, over: &Value) -> Value {
        let usual = json!({
            "iss": "planner", "iat": self.now, "exp": self.now + 60,
            "jti": format!("jti-{}", self.cases.len()), "content_sha256": hash(BODY),
        });
        merged(&usual, over)
    }

    /// A request of `planner`'s with [`BODY`] and these claims.
    fn plan(&self, over: &Value) -> Sent {
        self.plan_by(&self.world.orchestrators[0], over)
    }

    fn plan_by(&self, key: &Key, over: &Value) -> Sent {
        self.post(BODY).bearer(&key.token_with(&json!({"typ": "JWT", "kid": null}), &self.planned(over)))
    }

    fn unplanned(&mut self, name: &str, over: &Value, reason: &'static [&'static str; 1]) {
        let sent = self.plan(over);
        self.refuse(name, sent, reason);
    }
}

fn accepted(rows: &mut Rows<'_>) {
    for (name, over) in [
        ("a good request of an orchestrator's", json!({})),
        ("one with fractions of seconds, as its client writes them", {
            #[allow(clippy::cast_precision_loss)]
            let now = rows.now as f64 + 0.25;
            json!({"iat": now, "exp": now + 60.0})
        }),
        ("one that is for this gateway", json!({"aud": rows.world.audience()})),
        ("one that says nothing of its making", json!({"iat": null})),
        ("one for five minutes", json!({"exp": rows.now + 300})),
        ("one that calls itself alice", json!({"sub": "alice"})),
        ("one that has just expired", json!({"exp": rows.now - 20})),
    ] {
        let sent = rows.plan(&over);
        rows.accept(name, sent, "key:planner");
    }
    let key = &rows.world.orchestrators[0];
    let token = key.token_with(&json!({"kid": "../../etc/passwd"}), &rows.planned(&json!({})));
    let sent = rows.post(BODY).bearer(&token);
    rows.accept("one with a kid, which is nobody's business", sent, "key:planner");
    let over = json!({"iss": "other-planner"});
    let sent = rows.plan_by(&rows.world.orchestrators[1], &over);
    rows.accept("another orchestrator's", sent, "key:other-planner");
    let token = key.token_with(&json!({"kid": null}), &rows.planned(&json!({"content_sha256": hash(b"")})));
    let sent = rows.get().bearer(&token);
    rows.accept("one without a body that vouches for nothing", sent, "key:planner");
}

fn once(rows: &mut Rows<'_>) {
    let replay = || Expect::Reason(429, &["rotagent_replay"]);
    let sent = rows.plan(&json!({}));
    rows.row("the same request a second time", sent, replay());
    rows.cases.last_mut().expect("that row").earlier = 1;

    let sent = rows.plan(&json!({"jti": "used"}));
    rows.accept("the first use of an id", sent, "key:planner");
    let sent = rows.plan(&json!({"jti": "used", "exp": rows.now + 61}));
    rows.row("its second use, signed anew", sent, replay());
    let other = b"another body";
    let token = rows.world.orchestrators[0].token_with(
        &json!({"kid": null}),
        &rows.planned(&json!({"jti": "used", "content_sha256": hash(other)})),
    );
    let sent = rows.post(other).bearer(&token);
    rows.row("its third, with another body", sent, replay());
    let over = json!({"iss": "other-planner", "jti": "used"});
    let sent = rows.plan_by(&rows.world.orchestrators[1], &over);
    rows.accept("the same id, used by another orchestrator", sent, "key:other-planner");

    // Whoever tampers, and whoever cannot sign, must not use up somebody else's id.
    let token =
        rows.world.orchestrators[0].token_with(&json!({"kid": null}), &rows.planned(&json!({"jti": "kept"})));
    let sent = rows.post(b"tampered with").bearer(&token);
    rows.refuse("a body that was tampered with", sent, &["rotagent_body"]);
    let sent = rows.plan_by(&rows.world.strangers, &json!({"jti": "kept"}));
    rows.refuse("the same id, signed by a stranger", sent, &["signature_invalid"]);
    let sent = rows.post(BODY).bearer(&token);
    rows.accept("the same token with its own body", sent, "key:planner");
}

fn bodies(rows: &mut Rows<'_>) {
    let wrong = &["rotagent_body"];
    rows.unplanned("no hash of the body", &json!({"content_sha256": null}), wrong);
    rows.unplanned(
        "the hash in upper case",
        &json!({"content_sha256": hash(BODY).to_ascii_uppercase()}),
        wrong,
    );
    rows.unplanned("the hash cut", &json!({"content_sha256": &hash(BODY)[..62]}), wrong);
    rows.unplanned(
        "the hash and two digits more",
        &json!({"content_sha256": format!("{}00", hash(BODY))}),
        wrong,
    );
    rows.unplanned("the hash with a space", &json!({"content_sha256": format!("{} ", hash(BODY))}), wrong);
    rows.unplanned("the hash with 0x", &json!({"content_sha256": format!("0x{}", hash(BODY))}), wrong);
    rows.unplanned("an empty hash", &json!({"content_sha256": ""}), wrong);
    rows.unplanned("a number for the hash", &json!({"content_sha256": 0}), wrong);
    rows.unplanned("a list of hashes", &json!({"content_sha256": [hash(BODY), hash(b"")]}), wrong);
    rows.unplanned("true for the hash", &json!({"content_sha256": true}), wrong);
    let base64 = encode(sha2::Sha256::digest(BODY));
    rows.unplanned("the hash in base64", &json!({"content_sha256": base64}), wrong);
    rows.unplanned("another body's hash", &json!({"content_sha256": hash(b"other")}), wrong);
    rows.unplanned("nothing's hash for a body", &json!({"content_sha256": hash(b"")}), wrong);
    let token = |rows: &Rows<'_>| {
        rows.world.orchestrators[0].token_with(&json!({"kid": null}), &rows.planned(&json!({})))
    };
    let sent = rows.get().bearer(&token(rows));
    rows.refuse("a hash of a body that is not there", sent, wrong);
    let sent = rows.post(b"").bearer(&token(rows));
    rows.refuse("a hash of a body that is empty", sent, wrong);
    let sent = rows.post([BODY, b"\n"].concat()).bearer(&token(rows));
    rows.refuse("a body with a line feed behind it", sent, wrong);
    let sent = rows.post(&BODY[..BODY.len() - 1]).bearer(&token(rows));
    rows.refuse("a body cut by one byte", sent, wrong);
    let sent = rows.post(br#"{"task": "plan", "input": "hello"}"#).bearer(&token(rows));
    rows.refuse("the same JSON in another spelling", sent, wrong);
}

/// What is signed is kept until it has been seen whole: up to what Envoy keeps, and no byte more.
fn sizes(rows: &mut Rows<'_>) {
    let signed = |rows: &Rows<'_>, size: usize| {
        let body = vec![b'a'; size];
        let over = json!({"content_sha256": hash(&body)});
        let token = rows.world.orchestrators[0].token_with(&json!({"kid": null}), &rows.planned(&over));
        rows.post(body).bearer(&token)
    };
    let sent = signed(rows, 1_000_000);
    rows.accept("a signed body of a million bytes", sent, "key:planner");
    let sent = signed(rows, 1_000_001);
    rows.row("a signed body of a million bytes and one", sent, Expect::Reason(413, &["body_too_large"]));
    let sent = signed(rows, 3 * 1024 * 1024);
    rows.row("a signed body of 3 MiB", sent, Expect::Reason(413, &["body_too_large"]));
    let mut sent = signed(rows, 1000);
    sent.body = Some(vec![b'b'; 3 * 1024 * 1024]);
    rows.row("a body of 3 MiB that nobody signed", sent, Expect::Reason(413, &["body_too_large"]));
}

fn issuers(rows: &mut Rows<'_>) {
    let unknown = &["rotagent_unknown_issuer"];
    for (name, iss) in [
        ("an orchestrator that has no key", json!("stranger")),
        ("an orchestrator's name in capitals", json!("PLANNER")),
        ("an orchestrator's file", json!("planner.pem")),
        ("an orchestrator's name as a path", json!("./planner")),
        ("an orchestrator's name past its folder", json!("../authorized_keys/planner")),
        ("an orchestrator's name and a NUL", json!("planner\0")),
        ("an orchestrator's name and a space", json!("planner ")),
        ("an orchestrator's name and a header", json!("planner\r\nX-Attach-User: admin")),
        ("an orchestrator with its prefix", json!("key:planner")),
        ("an orchestrator without a name", json!("")),
        ("a list of orchestrators", json!(["planner"])),
        ("a number for an orchestrator", json!(1)),
        ("an orchestrator that says nothing", Value::Null),
        ("an orchestrator with a name of 4,000 letters", json!("p".repeat(4000))),
    ] {
        rows.unplanned(name, &json!({ "iss": iss }), unknown);
    }
}

fn claims(rows: &mut Rows<'_>) {
    let now = rows.now;
    let wrong = &["rotagent_claims"];
    rows.unplanned("an orchestrator's token without jti", &json!({"jti": null}), wrong);
    rows.unplanned("an orchestrator's token with an empty jti", &json!({"jti": ""}), wrong);
    rows.unplanned("an orchestrator's token with a number for jti", &json!({"jti": 7}), wrong);
    rows.unplanned("an orchestrator's token with a list for jti", &json!({"jti": ["a"]}), wrong);
    rows.unplanned(
        "an orchestrator's token with a jti of 300 letters",
        &json!({"jti": "j".repeat(300)}),
        wrong,
    );
    rows.unplanned("an orchestrator's token without exp", &json!({"exp": null}), wrong);
    rows.unplanned("an orchestrator's token with exp as text", &json!({"exp": "soon"}), wrong);
    rows.unplanned(
        "an orchestrator's token that has expired",
        &json!({"exp": now - 90}),
        &["rotagent_expired"],
    );
    rows.unplanned(
        "an orchestrator's token for ten minutes",
        &json!({"exp": now + 600}),
        &["lifetime_too_long"],
    );
    rows.unplanned(
        "an orchestrator's token for an hour that began before it",
        &json!({"iat": now - 3500, "exp": now + 100}),
        &["lifetime_too_long"],
    );
    rows.unplanned(
        "an orchestrator's token for ten minutes that says nothing of its making",
        &json!({"iat": null, "exp": now + 600}),
        &["lifetime_too_long"],
    );
    rows.unplanned(
        "an orchestrator's token of the future",
        &json!({"iat": now + 120}),
        &["issued_in_future"],
    );
    rows.unplanned(
        "an orchestrator's token that is not valid yet",
        &json!({"nbf": now + 120}),
        &["not_yet_valid"],
    );
    for (name, aud) in [
        ("for another", json!("https://other.example")),
        ("for others", json!(["a", "b"])),
        ("for nobody's name", json!("")),
        ("for a number", json!(1)),
    ] {
        rows.unplanned(
            &format!("an orchestrator's token {name}"),
            &json!({ "aud": aud }),
            &["audience_wrong"],
        );
    }
    rows.unplanned(
        "an orchestrator's token for a list of nobody",
        &json!({"aud": []}),
        &["audience_missing"],
    );
}

fn signatures(rows: &mut Rows<'_>) {
    let planner = rows.world.orchestrators[0].clone();
    let wrong = &["signature_invalid"];
    for (name, key) in [
        ("signed by another orchestrator", rows.world.orchestrators[1].clone()),
        ("signed by an issuer", rows.world.first.key("RS256").clone()),
        ("signed by a stranger", rows.world.strangers.clone()),
    ] {
        let sent = rows.plan_by(&key, &json!({}));
        rows.refuse(&format!("an orchestrator's token {name}"), sent, wrong);
    }
    let alone = &["rotagent_algorithm"];
    for algorithm in ["RS384", "RS512", "PS256", "PS384", "PS512"] {
        let header = json!({"alg": algorithm}).to_string();
        let input = signing_input(header, rows.planned(&json!({})).to_string());
        let token = format!("{input}.{}", encode(planner.sign_as(algorithm, input.as_bytes())));
        let sent = rows.post(BODY).bearer(&token);
        rows.refuse(&format!("an orchestrator's {algorithm}"), sent, alone);
    }
    for algorithm in ["ES256", "EdDSA", "RS1", "rs256"] {
        let token = planner.token_with(&json!({"alg": algorithm, "kid": null}), &rows.planned(&json!({})));
        let sent = rows.post(BODY).bearer(&token);
        rows.refuse(&format!("an orchestrator's token that says {algorithm}"), sent, alone);
    }
    for (name, secret) in [("its PEM", planner.pem()), ("its PEM's text", planner.pem().replace('\n', ""))] {
        let input = signing_input(json!({"alg": "HS256"}).to_string(), rows.planned(&json!({})).to_string());
        let token =
            format!("{input}.{}", encode(super::world::code("HS256", secret.as_bytes(), input.as_bytes())));
        let sent = rows.post(BODY).bearer(&token);
        rows.refuse(&format!("an orchestrator's HS256 keyed with {name}"), sent, &["key_unnamed"]);
    }
    let input = signing_input(json!({"alg": "none"}).to_string(), rows.planned(&json!({})).to_string());
    let sent = rows.post(BODY).bearer(&format!("{input}."));
    rows.refuse("an orchestrator's token that is not signed", sent, &["algorithm_none"]);
    let usual = json!({"alg": "RS256"});
    for (name, padding) in [
        ("padded with garbage behind the digest", Padding::ShortWithGarbage),
        ("padded as an encryption", Padding::TypeTwo),
        ("that says SHA-1", Padding::Sha1),
    ] {
        let input = signing_input(usual.to_string(), rows.planned(&json!({})).to_string());
        let token = format!("{input}.{}", encode(planner.sign_padded(padding, input.as_bytes())));
        let sent = rows.post(BODY).bearer(&token);
        rows.refuse(&format!("an orchestrator's signature {name}"), sent, wrong);
    }
    let own = json!({"alg": "RS256", "jwk": rows.world.strangers.jwk(), "kid": null});
    let token = rows.world.strangers.token_with(&own, &rows.planned(&json!({})));
    let sent = rows.post(BODY).bearer(&token);
    rows.refuse("a stranger's jwk in an orchestrator's token", sent, wrong);
}
