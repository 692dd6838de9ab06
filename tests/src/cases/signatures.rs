//! Rows about HTTP message signatures: their form, what they cover, when they were made.

use super::{AUTHORITY, Rows};
use crate::mint::Signing;
use crate::sent::Sent;

/// What a signature must cover here, and whose directory it is.
pub(super) const COVERED: [&str; 4] = ["@method", "@authority", "@path", "signature-agent"];

pub(super) fn add(rows: &mut Rows<'_>) {
    accepted(rows);
    form(rows);
    labels(rows);
    components(rows);
    coverage(rows);
    times(rows);
    targets(rows);
}

impl Rows<'_> {
    /// What the first signer's Ed25519 key says of a good signature, and more.
    pub(super) fn by_bot(&self, more: &str) -> String {
        format!(";created={};keyid=\"bot-eddsa\"{more}", self.now - 5)
    }

    /// A request that names the first signer's directory.
    pub(super) fn bot_get(&self) -> Sent {
        self.name_bot(self.get())
    }

    pub(super) fn name_bot(&self, sent: Sent) -> Sent {
        sent.header("signature-agent", format!("\"{}\"", self.world.signers[0].agent))
    }

    /// A request with a signature of the first signer's Ed25519 key.
    pub(super) fn botted(&self, signing: &Signing, sent: Sent) -> Sent {
        signing.put(sent, |base| self.world.signers[0].key("EdDSA").sign(base))
    }
}

fn accepted(rows: &mut Rows<'_>) {
    for (name, covered) in [
        ("a good signature", &COVERED[..]),
        ("one over @target-uri", &["@method", "@target-uri", "signature-agent"]),
        ("one over @request-target", &["@method", "@authority", "@request-target", "signature-agent"]),
        (
            "one over everything of the target",
            &[
                "@method",
                "@authority",
                "@scheme",
                "@path",
                "@query",
                "@request-target",
                "@target-uri",
                "signature-agent",
            ],
        ),
    ] {
        let sent = rows.botted(&Signing::new(covered, rows.by_bot("")), rows.bot_get());
        rows.accept(name, sent, "sig:bot");
    }
    for (name, more) in [
        ("one that states its algorithm", ";alg=\"ed25519\"".to_owned()),
        ("one for bots", ";tag=\"web-bot-auth\"".to_owned()),
        ("one with a nonce", format!(";nonce=\"n{}\"", rows.cases.len())),
        ("one with an end", format!(";expires={}", rows.now + 60)),
        ("one with a parameter of the future", ";something".to_owned()),
    ] {
        let sent = rows.botted(&Signing::new(&COVERED, rows.by_bot(&more)), rows.bot_get());
        rows.accept(name, sent, "sig:bot");
    }
    let mut sent = rows.bot_get();
    sent.target.push_str("?a=b%20c&d=%C3%A9");
    let signing =
        Signing::new(&["@method", "@authority", "@path", "@query", "signature-agent"], rows.by_bot(""));
    let sent = rows.botted(&signing, sent);
    rows.accept("one over a query", sent, "sig:bot");
    let mut sent = rows.bot_get();
    sent.authority = "GATEWAY.example:80".to_owned();
    // What is signed is the authority in its normal form (RFC 9421 section 2.2.3).
    let signing = Signing::new(&COVERED, rows.by_bot(""));
    let base = signing.base(&Sent { authority: AUTHORITY.to_owned(), ..sent.clone() });
    let sent = signing.put_raw(sent, &rows.world.signers[0].key("EdDSA").sign(base.as_bytes()));
    rows.accept("one for the gateway's name in another spelling", sent, "sig:bot");
    // Without an agent, by a key that one directory alone has.
    let signing = Signing::new(&COVERED[..3], rows.by_bot(""));
    let sent = rows.botted(&signing, rows.get());
    rows.accept("one that names no agent and a key that is known", sent, "sig:bot");
}

fn form(rows: &mut Rows<'_>) {
    let good = |rows: &Rows<'_>| rows.botted(&Signing::new(&COVERED, rows.by_bot("")), rows.bot_get());
    let without = |mut sent: Sent, name: &str| {
        sent.headers.retain(|(have, _)| have != name);
        sent
    };
    let changed = |sent: Sent, name: &str, change: &dyn Fn(String) -> String| {
        let value = sent.field(name).expect("that header");
        without(sent, name).header(name, change(value))
    };
    let malformed = &["signature_malformed"];
    let sent = without(good(rows), "signature");
    rows.refuse("Signature-Input without Signature", sent, malformed);
    let sent = without(good(rows), "signature-input");
    rows.refuse("Signature without Signature-Input", sent, malformed);
    type Change = fn(String) -> String;
    let inputs: [(&str, Change); 12] = [
        ("that is no dictionary", |value| value.replacen("sig1=", "", 1)),
        ("with a label in capitals", |value| value.replacen("sig1", "Sig1", 1)),
        ("with no list", |value| value.replacen("(\"@method\" ", "\"@method\";x=(", 1)),
        ("with a comma behind it", |value| format!("{value},")),
        ("with the same label twice", |value| format!("{value}, {value}")),
        ("with created twice", |value| format!("{value};created=1")),
        ("with keyid twice", |value| format!("{value};keyid=\"bot-es256\"")),
        ("with a component twice", |value| value.replacen("\"@method\"", "\"@method\" \"@method\"", 1)),
        ("with a component that is no text", |value| value.replacen("\"@method\"", "method", 1)),
        ("with a component that is a list", |value| value.replacen("\"@method\"", "(\"@method\")", 1)),
        ("without its closing quote", |value| value.replacen("\"@path\"", "\"@path", 1)),
        ("of 17,000 bytes", |value| format!("{value};x=\"{}\"", "a".repeat(17_000))),
    ];
    for (name, change) in inputs {
        let sent = changed(good(rows), "signature-input", &change);
        rows.refuse(&format!("a Signature-Input {name}"), sent, malformed);
    }
    let signatures: [(&str, Change); 6] = [
        ("that is text", |value| value.replace(':', "\"")),
        ("that is no base64", |value| value.replacen("=:", "=:!", 1)),
        ("in base64url", |_| "sig1=:-_-_:".to_owned()),
        ("without its colons", |value| value.replace(':', "")),
        ("that is a list", |value| value.replacen("sig1=", "sig1=(", 1) + ")"),
        ("with the same label twice", |value| format!("{value}, {value}")),
    ];
    for (name, change) in signatures {
        let sent = changed(good(rows), "signature", &change);
        rows.refuse(&format!("a Signature {name}"), sent, malformed);
    }
    let sent = changed(good(rows), "signature-input", &|_| String::new());
    rows.refuse("an empty Signature-Input", sent, &["signature_unmatched"]);
    let sent = changed(good(rows), "signature", &|_| String::new());
    rows.refuse("an empty Signature", sent, &["signature_unmatched"]);
    // What is signed is the list in its one canonical form (RFC 9421 section 2.3).
    let sent = rows.botted(&Signing::new(&COVERED, rows.by_bot(";something=?1")), rows.bot_get());
    rows.refuse("a signature over a form that is not canonical", sent, &["signature_wrong"]);
    for (name, parameter) in [
        ("created as text", ";created=\"1\""),
        ("created with a fraction", ";created=1.0"),
        ("created before time", ";created=-1"),
        ("created as yes", ";created"),
        ("a date of another kind for created", ";created=@1"),
    ] {
        let parameters = format!("{parameter};keyid=\"bot-eddsa\"");
        let sent = rows.botted(&Signing::new(&COVERED, parameters), rows.bot_get());
        rows.refuse(name, sent, malformed);
    }
    let sent = rows.botted(&Signing::new(&COVERED, rows.by_bot(";expires=\"1\"")), rows.bot_get());
    rows.refuse("expires as text", sent, malformed);
    let sent = rows.botted(&Signing::new(&COVERED, rows.by_bot(";tag=1")), rows.bot_get());
    rows.refuse("a tag that is a number", sent, malformed);
    for (name, nonce) in [
        ("an empty nonce", "\"\"".to_owned()),
        ("a nonce that is a number", "7".to_owned()),
        ("a nonce of 300 letters", format!("\"{}\"", "n".repeat(300))),
    ] {
        let sent =
            rows.botted(&Signing::new(&COVERED, rows.by_bot(&format!(";nonce={nonce}"))), rows.bot_get());
        rows.refuse(name, sent, &["signature_nonce"]);
    }
}

fn labels(rows: &mut Rows<'_>) {
    let unmatched = &["signature_unmatched"];
    let sent = rows.bot_get();
    let made = Signing::new(&COVERED, rows.by_bot(""));
    let signature = rows.world.signers[0].key("EdDSA").sign(made.base(&sent).as_bytes());
    let encoded = crate::mint::encode_standard(&signature);
    let both = |rows: &Rows<'_>, input: String, signature: String| {
        rows.bot_get().header("signature-input", input).header("signature", signature)
    };
    let sent = both(rows, format!("a={}", made.input()), format!("b=:{encoded}:"));
    rows.refuse("labels that differ", sent, unmatched);
    let sent = both(rows, format!("a={0}, b={0}", made.input()), format!("a=:{encoded}:"));
    rows.refuse("an input without a signature", sent, unmatched);
    let sent = both(rows, format!("a={}", made.input()), format!("a=:{encoded}:, b=:{encoded}:"));
    rows.refuse("a signature without an input", sent, unmatched);
    let five = |value: &str| ["a", "b", "c", "d", "e"].map(|label| format!("{label}={value}")).join(", ");
    let sent = both(rows, five(&made.input()), five(&format!(":{encoded}:")));
    rows.refuse("five signatures", sent, &["signature_too_many"]);
    // Both must be good.
    let second = Signing::new(&COVERED, rows.by_bot(";tag=\"second\"")).label("sig2");
    let sent = rows.botted(&made, rows.bot_get());
    let sent = rows.botted(&second, sent);
    let sent = joined(sent);
    rows.accept("two good signatures of one signer", sent, "sig:bot");
    let third = Signing::new(&COVERED, rows.by_bot(";tag=\"third\"")).label("sig3");
    let sent = rows.botted(&third, rows.botted(&Signing::new(&COVERED, rows.by_bot("")), rows.bot_get()));
    rows.accept("two good signatures in lines of their own", sent, "sig:bot");
    let sent = rows.botted(&Signing::new(&COVERED, rows.by_bot("")), rows.bot_get());
    let sent = third.put_raw(sent, &[0; 64]);
    rows.refuse("a good signature and a bad one in lines of their own", sent, &["signature_wrong"]);
    let same = Signing::new(&COVERED, rows.by_bot(""));
    let sent = rows.botted(&same.clone().label("sig2"), rows.botted(&same, rows.bot_get()));
    let sent = joined(sent);
    rows.refuse("one signature by two labels", sent, &["signature_replayed"]);
    let sent = rows.botted(&Signing::new(&COVERED, rows.by_bot("")), rows.bot_get());
    let sent = joined(second.put_raw(sent, &[0; 64]));
    rows.refuse("a good signature and a bad one", sent, &["signature_wrong"]);
    let sent = second.put_raw(rows.bot_get(), &[0; 64]);
    let sent = rows.botted(&Signing::new(&COVERED, rows.by_bot("")), sent);
    let sent = joined(sent);
    rows.refuse("a bad signature and a good one", sent, &["signature_wrong"]);
}

/// Two lines of a header as one.
fn joined(sent: Sent) -> Sent {
    let (input, signature) = (sent.field("signature-input"), sent.field("signature"));
    let mut sent = sent;
    sent.headers.retain(|(name, _)| !matches!(name.as_str(), "signature" | "signature-input"));
    sent.header("signature-input", input.expect("inputs")).header("signature", signature.expect("signatures"))
}

fn components(rows: &mut Rows<'_>) {
    for covered in [
        "\"@status\"",
        "\"@unheard-of\"",
        "\"@method\";req",
        "\"@method\";tr",
        "\"@method\";sf",
        "\"@method\";key=\"a\"",
        "\"@query-param\"",
        "\"@path\";name=\"a\"",
        "\"accept\";tr",
        "\"accept\";bs;sf",
        "\"accept\";sf=?0",
        "\"accept\";unheard-of",
        "\"Accept\"",
        "\"\"",
        "\"a b\"",
        "\":path\"",
        "\"@signature-params\"",
    ] {
        let all = [&COVERED[..], &[covered]].concat();
        let sent = rows.bot_get().header("accept", "a");
        let sent = rows.botted(&Signing::new(&all, rows.by_bot("")), sent);
        rows.refuse(&format!("a signature over {covered}"), sent, &["signature_component"]);
    }
    let all = [&COVERED[..], &["x-absent"]].concat();
    let sent = rows.botted(&Signing::new(&all, rows.by_bot("")), rows.bot_get());
    rows.refuse("a signature over a field that is not there", sent, &["signature_component_absent"]);
    let all = [&COVERED[..], &["\"@query-param\";name=\"absent\""]].concat();
    let sent = rows.botted(&Signing::new(&all, rows.by_bot("")), rows.bot_get());
    rows.refuse(
        "a signature over a query's parameter that is not there",
        sent,
        &["signature_component_absent"],
    );
    let many: Vec<String> = (0..40).map(|number| format!("x-{number}")).collect();
    let all: Vec<&str> = COVERED.iter().copied().chain(many.iter().map(String::as_str)).collect();
    let sent = many.iter().fold(rows.bot_get(), |sent, name| sent.header(name, "a"));
    let sent = rows.botted(&Signing::new(&all, rows.by_bot("")), sent);
    rows.refuse("a signature over forty fields", sent, &["signature_component"]);
}

fn coverage(rows: &mut Rows<'_>) {
    let short = &["signature_coverage"];
    for (name, covered) in [
        ("nothing", &[][..]),
        ("no method", &["@authority", "@path", "signature-agent"]),
        ("no authority", &["@method", "@path", "signature-agent"]),
        ("no path", &["@method", "@authority", "signature-agent"]),
        ("the query in place of the path", &["@method", "@authority", "@query", "signature-agent"]),
        ("Host in place of the authority", &["@method", "host", "@path", "signature-agent"]),
    ] {
        let sent = rows.botted(&Signing::new(covered, rows.by_bot("")), rows.bot_get());
        rows.refuse(&format!("a signature that covers {name}"), sent, short);
    }
    let sent = rows.name_bot(rows.post("body"));
    let sent = rows.botted(&Signing::new(&COVERED, rows.by_bot("")), sent);
    rows.refuse("a signature that does not cover the body", sent, short);
    let sent = rows.name_bot(rows.post("body")).header("content-digest", crate::mint::sha_256(b"body"));
    let sent = rows.botted(&Signing::new(&COVERED, rows.by_bot("")), sent);
    rows.refuse("a signature that does not cover the digest that is there", sent, short);
}

fn times(rows: &mut Rows<'_>) {
    let now = rows.now;
    for (name, parameters, reason) in [
        ("without created", String::new(), &["signature_created"]),
        ("of the future", format!(";created={}", now + 120), &["signature_created"]),
        ("of a thousand years ahead", ";created=33000000000".to_owned(), &["signature_created"]),
        ("that is too old", format!(";created={}", now - 400), &["signature_expired"]),
        ("of the beginning of time", ";created=0".to_owned(), &["signature_expired"]),
        ("that has ended", format!(";created={};expires={}", now - 300, now - 90), &["signature_expired"]),
        (
            "that ended before it began",
            format!(";created={};expires={}", now, now - 1),
            &["signature_expired"],
        ),
        ("for two days", format!(";created={};expires={}", now, now + 2 * 86_400), &["lifetime_too_long"]),
        ("for ever", format!(";created={now};expires=999999999999999"), &["lifetime_too_long"]),
        ("with an end and no beginning", format!(";expires={}", now + 60), &["signature_created"]),
    ] {
        let parameters = format!("{parameters};keyid=\"bot-eddsa\"");
        let sent = rows.botted(&Signing::new(&COVERED, parameters), rows.bot_get());
        rows.refuse(&format!("a signature {name}"), sent, reason);
    }
    for (name, parameters) in [
        ("a signature that is almost too old", format!(";created={}", now - 280)),
        ("a signature that has just ended", format!(";created={};expires={}", now - 100, now - 20)),
        ("a signature of a clock that is ahead", format!(";created={}", now + 20)),
    ] {
        let parameters = format!("{parameters};keyid=\"bot-eddsa\"");
        let sent = rows.botted(&Signing::new(&COVERED, parameters), rows.bot_get());
        rows.accept(name, sent, "sig:bot");
    }
}

fn targets(rows: &mut Rows<'_>) {
    let foreign = &["signature_authority"];
    for authority in
        ["other.example", "gateway.example:8080", "gateway.example.evil.example", "xgateway.example"]
    {
        let sent = Sent { authority: authority.to_owned(), ..rows.bot_get() };
        let sent = rows.botted(&Signing::new(&COVERED, rows.by_bot("")), sent);
        rows.refuse(&format!("a signature for {authority}"), sent, foreign);
    }
    let wrong = &["signature_wrong"];
    let all = ["@method", "@authority", "@path", "@query", "signature-agent", "accept"];
    let good = |rows: &Rows<'_>| {
        let mut sent = rows.bot_get().header("accept", "a");
        sent.target.push_str("?a=b");
        rows.botted(&Signing::new(&all, rows.by_bot("")), sent)
    };
    type Change = fn(&mut Sent);
    let changes: [(&str, Change); 7] = [
        ("sent by another method", |sent| sent.method = "DELETE"),
        ("sent to another path", |sent| sent.target = sent.target.replacen("?", "/x?", 1)),
        ("sent with another query", |sent| sent.target.push_str("&c=d")),
        ("sent without its query", |sent| sent.target.truncate(sent.target.len() - 4)),
        ("with a field changed", |sent| {
            sent.headers
                .iter_mut()
                .filter(|(name, _)| name == "accept")
                .for_each(|(_, value)| value.push(b'b'))
        }),
        ("with a line more of a field", |sent| sent.headers.push(("accept".to_owned(), b"b".to_vec()))),
        ("with a field in capitals", |sent| {
            sent.headers
                .iter_mut()
                .filter(|(name, _)| name == "accept")
                .for_each(|(_, value)| value.make_ascii_uppercase())
        }),
    ];
    for (name, change) in changes {
        let mut sent = good(rows);
        change(&mut sent);
        rows.refuse(&format!("a signed request {name}"), sent, wrong);
    }
    // Made for another site and sent here.
    let sent = rows.bot_get();
    let signing = Signing::new(&COVERED, rows.by_bot(""));
    let base = signing.base(&Sent { authority: "other.example".to_owned(), ..sent.clone() });
    let sent = signing.put_raw(sent, &rows.world.signers[0].key("EdDSA").sign(base.as_bytes()));
    rows.refuse("a signature that was made for another site", sent, wrong);
    let mut sent = rows.bot_get();
    let signing = Signing::new(&["@method", "@target-uri", "signature-agent"], rows.by_bot(""));
    let base = signing.base(&sent).replacen("http://", "https://", 1);
    sent = signing.put_raw(sent, &rows.world.signers[0].key("EdDSA").sign(base.as_bytes()));
    rows.refuse("a signature over the other scheme's address", sent, wrong);
}
