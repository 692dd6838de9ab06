//! Rows about whose a message signature is: keys, algorithms, directories, and a bearer token beside it.

use serde_json::json;

use super::signatures::COVERED;
use super::{Expect, Forge, Rows};
use crate::mint::{Key, Padding, Signing, high_s};
use crate::sent::Sent;

pub(super) fn add(rows: &mut Rows<'_>) {
    algorithms(rows);
    keys(rows);
    agents(rows);
    signatures(rows);
    shared(rows);
    beside_a_token(rows);
}

/// The names of what the first signer's keys do.
const NAMES: [(&str, &str); 4] = [
    ("EdDSA", "ed25519"),
    ("ES256", "ecdsa-p256-sha256"),
    ("PS512", "rsa-pss-sha512"),
    ("RS256", "rsa-v1_5-sha256"),
];

impl Rows<'_> {
    /// A request signed by a key, with these parameters besides the date.
    fn by_key(&self, key: &Key, parameters: &str) -> Sent {
        let signing = Signing::new(&COVERED, format!(";created={}{parameters}", self.now - 5));
        signing.put(self.bot_get(), |base| key.sign(base))
    }
}

fn algorithms(rows: &mut Rows<'_>) {
    let bot = &rows.world.signers[0];
    for (algorithm, name) in NAMES {
        let key = bot.key(algorithm);
        let sent = rows.by_key(key, &format!(";keyid=\"{}\";alg=\"{name}\"", key.id));
        rows.accept(&format!("a good {name}"), sent, "sig:bot");
        let sent = rows.by_key(key, &format!(";keyid=\"{}\"", key.id));
        rows.accept(&format!("a good {name} that does not say so"), sent, "sig:bot");
        let sent = rows.by_key(key, &format!(";keyid=\"{}\";alg=\"{name}\"", key.thumbprint()));
        rows.accept(&format!("a good {name} by the key's thumbprint"), sent, "sig:bot");
    }
    let wrong = &["signature_algorithm"];
    for (algorithm, name) in [
        ("EdDSA", "ecdsa-p256-sha256"),
        ("ES256", "ed25519"),
        ("PS512", "rsa-v1_5-sha256"),
        ("RS256", "rsa-pss-sha512"),
        ("RS256", "ed25519"),
        ("ES256", "ecdsa-p384-sha384"),
        ("EdDSA", "EdDSA"),
        ("EdDSA", "Ed25519"),
        ("EdDSA", "none"),
        ("EdDSA", ""),
        ("RS256", "hs2019"),
        ("RS256", "rsa-sha1"),
        ("EdDSA", "hmac-sha256"),
    ] {
        let key = bot.key(algorithm);
        let sent = rows.by_key(key, &format!(";keyid=\"{}\";alg=\"{name}\"", key.id));
        rows.refuse(&format!("a key for {algorithm} and a signature that says {name:?}"), sent, wrong);
    }
    let sent = rows.by_key(bot.key("EdDSA"), ";keyid=\"bot-eddsa\";alg=7");
    rows.refuse("an algorithm that is a number", sent, wrong);
}

fn keys(rows: &mut Rows<'_>) {
    let bot = rows.world.signers[0].clone();
    let key = bot.key("EdDSA");
    let missing = &["signature_key_missing"];
    for (name, parameters) in [
        ("no keyid", ""),
        ("an empty keyid", ";keyid=\"\""),
        ("a keyid that is a number", ";keyid=1"),
        ("a keyid that is a token", ";keyid=bot-eddsa"),
    ] {
        let sent = rows.by_key(key, parameters);
        rows.refuse(name, sent, missing);
    }
    let unknown = &["signature_key_unknown"];
    for (name, id) in [
        ("a keyid that the directory does not have", "nobody's".to_owned()),
        ("a keyid in capitals", "BOT-EDDSA".to_owned()),
        ("a keyid that is an address", format!("{}#bot-eddsa", bot.agent)),
        ("another directory's keyid", "crawler-eddsa".to_owned()),
        ("another directory's thumbprint", rows.world.signers[1].key("EdDSA").thumbprint()),
        ("an issuer's keyid", "eddsa".to_owned()),
        ("an orchestrator's keyid", "planner".to_owned()),
        ("the gateway's own keyid", rows.world.gateway.id.clone()),
        ("a keyid of 4,000 letters", "k".repeat(4000)),
    ] {
        let sent = rows.by_key(key, &format!(";keyid=\"{id}\""));
        rows.refuse(name, sent, unknown);
    }
    for (name, key) in [
        ("an issuer's", rows.world.first.key("EdDSA").clone()),
        ("the other directory's", rows.world.signers[1].key("EdDSA").clone()),
        ("the gateway's", rows.world.gateway.clone()),
        ("the gateway's statements'", rows.world.assertions.clone()),
    ] {
        let sent = rows.by_key(&key, ";keyid=\"bot-eddsa\"");
        rows.refuse(&format!("a signer's name and {name} key"), sent, &["signature_wrong"]);
    }
}

fn agents(rows: &mut Rows<'_>) {
    let signing = |rows: &Rows<'_>| Signing::new(&COVERED, rows.by_bot(""));
    let foreign = &["signature_agent"];
    let agent = rows.world.signers[0].agent.clone();
    for (name, value) in [
        ("a directory that is not listed", "\"https://evil.example\"".to_owned()),
        ("a directory under a listed one's name", format!("\"{agent}/evil\"")),
        ("a listed directory's name as a user's", format!("\"{}\"", agent.replacen("://", "://evil@", 1))),
        ("a listed directory and a query", format!("\"{agent}?a\"")),
        ("a listed directory by another scheme", format!("\"{}\"", agent.replacen("http:", "https:", 1))),
        ("a listed directory without its scheme", format!("\"{}\"", agent.replacen("http://", "", 1))),
        ("a directory that is a file", "\"file:///etc/passwd\"".to_owned()),
        ("a directory that is data", "\"data:application/json,{}\"".to_owned()),
        ("no directory's name", "\"\"".to_owned()),
        ("a directory that is a number", "7".to_owned()),
        ("two directories", format!("\"{agent}\", \"https://evil.example\"")),
    ] {
        let sent = rows.get().header("signature-agent", &value);
        let sent = rows.botted(&signing(rows), sent);
        rows.refuse(name, sent, foreign);
    }
    let sent = rows.bot_get();
    let sent = rows.botted(&Signing::new(&COVERED[..3], rows.by_bot("")), sent);
    rows.refuse("a directory that the signature does not cover", sent, &["signature_agent_unsigned"]);
    // Named behind the signer's back: what was signed named none.
    let sent = rows.botted(&Signing::new(&COVERED[..3], rows.by_bot("")), rows.get());
    let sent = sent.header("signature-agent", format!("\"{}\"", rows.world.signers[1].agent));
    rows.refuse("a directory that somebody added", sent, &["signature_agent_unsigned"]);
    // The other directory's name over a good signature of the first.
    let crawler = format!("\"{}\"", rows.world.signers[1].agent);
    let sent = rows.botted(&signing(rows), rows.get().header("signature-agent", crawler));
    rows.refuse("one signer's key and another's directory", sent, &["signature_key_unknown"]);
    // Two signers on one request.
    let sent = rows.get();
    let bot = Signing::new(&COVERED[..3], rows.by_bot("")).label("a");
    let crawler =
        Signing::new(&COVERED[..3], format!(";created={};keyid=\"crawler-eddsa\"", rows.now - 5)).label("b");
    let made = [
        (&bot, rows.world.signers[0].key("EdDSA").sign(bot.base(&sent).as_bytes())),
        (&crawler, rows.world.signers[1].key("EdDSA").sign(crawler.base(&sent).as_bytes())),
    ];
    let input: Vec<_> =
        made.iter().map(|(signing, _)| format!("{}={}", signing.label, signing.input())).collect();
    let signature: Vec<_> = made
        .iter()
        .map(|(signing, bytes)| format!("{}=:{}:", signing.label, crate::mint::encode_standard(bytes)))
        .collect();
    let sent = sent.header("signature-input", input.join(", ")).header("signature", signature.join(", "));
    rows.refuse("two signers on one request", sent, &["agent_differs"]);
}

fn signatures(rows: &mut Rows<'_>) {
    let bot = rows.world.signers[0].clone();
    let wrong = &["signature_wrong"];
    for (algorithm, name) in NAMES {
        let key = bot.key(algorithm);
        let signing = Signing::new(&COVERED, format!(";created={};keyid=\"{}\"", rows.now - 5, key.id));
        let changes: [(&str, Forge); 5] = [
            ("of zeros", |signature| vec![0; signature.len()]),
            ("of ones", |signature| vec![0xff; signature.len()]),
            ("that is empty", |_| Vec::new()),
            ("cut by a byte", |mut signature| {
                signature.pop();
                signature
            }),
            ("and a byte", |signature| [&signature[..], &[0]].concat()),
        ];
        for (what, change) in changes {
            let sent = signing.put(rows.bot_get(), |base| change(key.sign(base)));
            rows.refuse(&format!("an {name} {what}"), sent, wrong);
        }
    }
    let key = bot.key("ES256");
    let parameters = format!(";created={};keyid=\"{}\"", rows.now - 5, key.id);
    let sent = Signing::new(&COVERED, parameters).put(rows.bot_get(), |base| key.sign_der(base));
    rows.refuse("an ECDSA message signature as DER", sent, wrong);
    let key = bot.key("PS512");
    let parameters = format!(";created={};keyid=\"{}\"", rows.now - 5, key.id);
    let signing = Signing::new(&COVERED, parameters);
    for salt in [0, 20, 32, 63] {
        let sent = signing.put(rows.bot_get(), |base| key.sign_pss(salt, base));
        rows.refuse(&format!("an RSA-PSS message signature with {salt} bytes of salt"), sent, wrong);
    }
    let key = bot.key("RS256");
    let parameters = format!(";created={};keyid=\"{}\"", rows.now - 5, key.id);
    let signing = Signing::new(&COVERED, parameters);
    for padding in [Padding::ShortWithGarbage, Padding::NoNull, Padding::Sha1, Padding::NoInfo] {
        let sent = signing.put(rows.bot_get(), |base| key.sign_padded(padding, base));
        rows.refuse(&format!("an RSA message signature padded so: {padding:?}"), sent, wrong);
    }
}

/// Services sign messages with the key that they share.
fn shared(rows: &mut Rows<'_>) {
    let [billing, reports] = rows.world.services.clone();
    let covered = &COVERED[..3];
    let signed = |rows: &Rows<'_>, more: &str, service: &super::Service| {
        let signing = Signing::new(covered, format!(";created={};keyid=\"billing\"{more}", rows.now - 5));
        signing.put(rows.get(), |base| service.sign("HS256", base))
    };
    let sent = signed(rows, ";alg=\"hmac-sha256\"", &billing);
    rows.accept("a service's message", sent, "hmac:billing");
    let sent = signed(rows, "", &billing);
    rows.accept("a service's message that does not say how", sent, "hmac:billing");
    let wrong = &["signature_wrong"];
    let sent = signed(rows, ";alg=\"hmac-sha256\"", &reports);
    rows.refuse("a service's message with another's key", sent, wrong);
    let sent = signed(rows, ";alg=\"ed25519\"", &billing);
    rows.refuse("a service's message that says ed25519", sent, &["signature_key_unknown"]);
    let signing =
        Signing::new(covered, format!(";created={};keyid=\"nobody\";alg=\"hmac-sha256\"", rows.now - 5));
    let sent = signing.put(rows.get(), |base| billing.sign("HS256", base));
    rows.refuse("a message of a service that has no key", sent, &["signature_key_unknown"]);
    let signing =
        Signing::new(covered, format!(";created={};keyid=\"bot-eddsa\";alg=\"hmac-sha256\"", rows.now - 5));
    let public = rows.world.signers[0].key("EdDSA").public();
    let sent = signing.put(rows.get(), |base| super::world::code("HS256", &public, base));
    rows.refuse("a message keyed with a public key", sent, &["signature_key_unknown"]);
    let signing =
        Signing::new(&COVERED, format!(";created={};keyid=\"billing\";alg=\"hmac-sha256\"", rows.now - 5));
    let sent = signing.put(rows.bot_get(), |base| billing.sign("HS256", base));
    rows.refuse("a service's message in a signer's name", sent, &["signature_algorithm"]);
    for (name, change) in [
        (
            "a service's message with half a code",
            (|code: Vec<u8>| code[..16].to_vec()) as fn(Vec<u8>) -> Vec<u8>,
        ),
        ("a service's message without a code", |_| Vec::new()),
        ("a service's message with a code of zeros", |code| vec![0; code.len()]),
    ] {
        let signing =
            Signing::new(covered, format!(";created={};keyid=\"billing\";alg=\"hmac-sha256\"", rows.now - 5));
        let sent = signing.put(rows.get(), |base| change(billing.sign("HS256", base)));
        rows.refuse(name, sent, wrong);
    }
}

fn beside_a_token(rows: &mut Rows<'_>) {
    let alice = rows.world.first.token("alice");
    let good = |rows: &Rows<'_>, sent: Sent| rows.botted(&Signing::new(&COVERED, rows.by_bot("")), sent);
    let sent = good(rows, rows.bot_get().bearer(&alice));
    rows.row(
        "a user's token and an agent's signature",
        sent,
        Expect::User("alice".into(), Some("sig:bot".into())),
    );
    let did = &rows.world.dids.ed25519;
    let token = did.token(&did.claims(rows.world.audience(), &json!({})));
    let sent = good(rows, rows.bot_get().bearer(&token));
    rows.row(
        "a DID's token and an agent's signature",
        sent,
        Expect::User(did.did.clone(), Some("sig:bot".into())),
    );
    let with_authorization = [&COVERED[..], &["authorization"]].concat();
    let sent = rows.bot_get().bearer(&alice);
    let sent = rows.botted(&Signing::new(&with_authorization, rows.by_bot("")), sent);
    rows.row(
        "a signature over the token beside it",
        sent,
        Expect::User("alice".into(), Some("sig:bot".into())),
    );
    let sent = rows.bot_get().bearer(&rows.world.first.token("mallory"));
    let signing = Signing::new(&with_authorization, rows.by_bot(""));
    let mut sent = rows.botted(&signing, sent);
    for (name, value) in &mut sent.headers {
        if name == "authorization" {
            *value = format!("Bearer {alice}").into_bytes();
        }
    }
    rows.refuse("a signature over another token than is beside it", sent, &["signature_wrong"]);

    // All that is there must be good.
    let sent = Signing::new(&COVERED, rows.by_bot("")).put_raw(rows.bot_get().bearer(&alice), &[0; 64]);
    rows.refuse("a good token and a bad signature", sent, &["signature_wrong"]);
    let expired = rows.world.first.token_of(&json!({"exp": rows.now - 90}));
    let sent = good(rows, rows.bot_get().bearer(&expired));
    rows.refuse("a bad token and a good signature", sent, &["expired"]);
    let sent = good(rows, rows.bot_get().header("authorization", "Basic YTpi"));
    rows.refuse("a password and a good signature", sent, &["credential_malformed"]);
    let sent = good(rows, rows.bot_get().bearer(&did.did));
    rows.refuse("a DID alone and a good signature", sent, &["did_unsigned"]);
    let sent = rows.bot_get().bearer(&alice).header("signature", "sig1=:AAAA:");
    rows.refuse("a good token and half a signature", sent, &["signature_malformed"]);
    let sent = good(rows, rows.bot_get().bearer(&super::gateway::token(rows, &json!({}))));
    rows.refuse("a token for another agent than the one that signs", sent, &["agent_differs"]);
    let over = json!({"act": {"sub": "sig:bot"}});
    let sent = good(rows, rows.bot_get().bearer(&super::gateway::token(rows, &over)));
    rows.row("a token for the agent that signs", sent, Expect::User("alice".into(), Some("sig:bot".into())));
    // secp256k1 has no place among message signatures.
    let key = &rows.world.dids.secp256k1;
    let signing = Signing::new(&COVERED, rows.by_bot(""));
    let sent = signing.put(rows.bot_get(), |base| high_s(&key.sign(base)));
    rows.refuse("a secp256k1 signature for a message", sent, &["signature_wrong"]);
}
