//! Rows about signed bodies (RFC 9530) and about what may be used once.

use super::{Expect, Rows};
use crate::mint::{Signing, sha_256, sha_512};
use crate::sent::Sent;

const BODY: &[u8] = br#"{"model":"llama3","messages":[]}"#;
const COVERED: [&str; 5] = ["@method", "@authority", "@path", "signature-agent", "content-digest"];

pub(super) fn add(rows: &mut Rows<'_>) {
    accepted(rows);
    digests(rows);
    once(rows);
}

impl Rows<'_> {
    /// A signed request with a body and a digest of it.
    fn digested(&self, body: &[u8], digest: &str) -> Sent {
        let sent = self.name_bot(self.post(body)).header("content-digest", digest);
        self.botted(&Signing::new(&COVERED, self.by_bot("")), sent)
    }
}

fn accepted(rows: &mut Rows<'_>) {
    for (name, digest) in [
        ("a body signed by SHA-256", sha_256(BODY)),
        ("a body signed by SHA-512", sha_512(BODY)),
        ("a body signed by both", format!("{}, {}", sha_256(BODY), sha_512(BODY))),
        ("a body signed by one and another that is nobody's", format!("md5=:AAAA:, {}", sha_256(BODY))),
    ] {
        let sent = rows.digested(BODY, &digest);
        rows.accept(name, sent, "sig:bot");
    }
    let sent = rows.name_bot(rows.post(BODY)).header("content-digest", sha_256(BODY));
    let covered = [&COVERED[..4], &["\"content-digest\";sf"]].concat();
    let sent = rows.botted(&Signing::new(&covered, rows.by_bot("")), sent);
    rows.accept("a body signed by the digest's structured form", sent, "sig:bot");
    let sent = rows.name_bot(rows.get()).header("content-digest", sha_256(b""));
    let sent = rows.botted(&Signing::new(&COVERED, rows.by_bot("")), sent);
    rows.accept("no body, and the digest of nothing", sent, "sig:bot");
}

fn digests(rows: &mut Rows<'_>) {
    let wrong = &["digest_wrong"];
    let other = b"another body";
    for (name, digest) in [
        ("by SHA-256", sha_256(BODY)),
        ("by SHA-512", sha_512(BODY)),
        ("by both", format!("{}, {}", sha_256(BODY), sha_512(BODY))),
    ] {
        let sent = rows.digested(other, &digest);
        rows.refuse(&format!("another body than was signed {name}"), sent, wrong);
    }
    // One of two digests is right.
    let sent = rows.digested(BODY, &format!("{}, {}", sha_256(other), sha_512(BODY)));
    rows.refuse("a wrong SHA-256 and a right SHA-512", sent, wrong);
    let sent = rows.digested(BODY, &format!("{}, {}", sha_256(BODY), sha_512(other)));
    rows.refuse("a right SHA-256 and a wrong SHA-512", sent, wrong);
    let sent = rows.digested(&[BODY, b"\n"].concat(), &sha_256(BODY));
    rows.refuse("a signed body with a line feed behind it", sent, wrong);
    let sent = rows.digested(b"", &sha_256(BODY));
    rows.refuse("an empty body in place of the signed one", sent, wrong);
    let sent = rows.name_bot(rows.get()).header("content-digest", sha_256(BODY));
    let sent = rows.botted(&Signing::new(&COVERED, rows.by_bot("")), sent);
    rows.refuse("no body in place of the signed one", sent, wrong);

    let malformed = &["digest_malformed"];
    for (name, digest) in [
        ("by MD5 alone", "md5=:AAAAAAAAAAAAAAAAAAAAAA==:".to_owned()),
        ("by SHA-1 alone", "sha=:AAAAAAAAAAAAAAAAAAAAAAAAAAA=:".to_owned()),
        ("that is too short", "sha-256=:AAAA:".to_owned()),
        ("of the other function's length", sha_512(BODY).replacen("sha-512", "sha-256", 1)),
        ("that is text", sha_256(BODY).replace(':', "\"")),
        ("that is no dictionary", "sha-256".to_owned() + "=="),
        ("in the old header's form", sha_256(BODY).replacen("sha-256", "SHA-256", 1).replace(':', "")),
    ] {
        let sent = rows.digested(BODY, &digest);
        rows.refuse(&format!("a digest {name}"), sent, malformed);
    }
    let sent = rows.name_bot(rows.post(BODY));
    let sent = rows.botted(&Signing::new(&COVERED, rows.by_bot("")), sent);
    rows.refuse("a digest that is covered and not there", sent, &["signature_component_absent"]);
    // The digest is changed with the body; the signature is not.
    let mut sent = rows.digested(BODY, &sha_256(BODY));
    sent.body = Some(other.to_vec());
    for (name, value) in &mut sent.headers {
        if name == "content-digest" {
            *value = sha_256(other).into_bytes();
        }
    }
    rows.refuse("another body and its own digest", sent, &["signature_wrong"]);
    // A second line of the header comes first for some readers.
    let sent = rows.digested(BODY, &sha_256(BODY)).header("content-digest", sha_256(other));
    rows.refuse("a second digest that was not signed", sent, &["signature_wrong"]);
}

fn once(rows: &mut Rows<'_>) {
    let replayed = || Expect::Reason(401, &["signature_replayed"]);
    let sent = rows.botted(&Signing::new(&super::signatures::COVERED, rows.by_bot("")), rows.bot_get());
    rows.row("the same signature a second time", sent, replayed());
    rows.cases.last_mut().expect("that row").earlier = 1;
    let sent = rows.digested(BODY, &sha_256(BODY));
    rows.row("the same signed body a second time", sent, replayed());
    rows.cases.last_mut().expect("that row").earlier = 1;

    let covered = super::signatures::COVERED;
    let nonce = |rows: &Rows<'_>, more: &str| {
        let parameters = rows.by_bot(&format!(";nonce=\"used-{}\"{more}", rows.now));
        rows.botted(&Signing::new(&covered, parameters), rows.bot_get())
    };
    let sent = nonce(rows, "");
    rows.accept("the first use of a nonce", sent, "sig:bot");
    let sent = nonce(rows, "");
    rows.row("its second use, for another path", sent, replayed());
    let sent = nonce(rows, ";tag=\"x\"");
    rows.row("its third, with another parameter", sent, replayed());
    let crawler = &rows.world.signers[1];
    let parameters = format!(";created={};keyid=\"crawler-eddsa\";nonce=\"used-{}\"", rows.now - 5, rows.now);
    let sent = rows.get().header("signature-agent", format!("\"{}\"", crawler.agent));
    let sent = Signing::new(&covered, parameters).put(sent, |base| crawler.key("EdDSA").sign(base));
    rows.accept("the same nonce, used by another signer", sent, "sig:crawler");

    // An ECDSA signature has a second form over the same message: it is the same use.
    let parameters = format!(";created={};keyid=\"bot-es256\"", rows.now - 7);
    let path = rows.path();
    let signing = Signing::new(&covered, parameters);
    let key = rows.world.signers[0].key("ES256").clone();
    let sent = signing.put(rows.bot_get(), |base| key.sign(base));
    rows.accept("an ECDSA signature", sent, "sig:bot");
    let sent = Sent { target: path, ..rows.bot_get() };
    let sent = signing.put(sent, |base| key.sign(base));
    rows.row("another ECDSA signature over the same message", sent, replayed());

    // A request that is refused uses nothing up.
    let parameters = rows.by_bot(&format!(";nonce=\"kept-{}\"", rows.now));
    let signing = Signing::new(&COVERED, parameters);
    let sent = rows.name_bot(rows.post(b"tampered with")).header("content-digest", sha_256(BODY));
    let sent = rows.botted(&signing, sent);
    rows.refuse("a signed body that was tampered with", sent, &["digest_wrong"]);
    let sent = rows.name_bot(rows.post(BODY)).header("content-digest", sha_256(BODY));
    let sent = rows.botted(&signing, sent);
    rows.accept("its nonce with the right body", sent, "sig:bot");
}
