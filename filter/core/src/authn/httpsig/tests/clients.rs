//! Requests that others' programs signed, with the keys of RFC 9421 appendix B.1: kept as they were sent.

use super::*;

/// A request, and the signature's headers.
type Sent = (&'static str, &'static str, &'static str);

/// npm `web-bot-auth` 0.1.3, which names a key by its thumbprint; with and without an agent.
const WEB_BOT_AUTH: [Sent; 2] = [
    (
        r#"GET /foo?a=1
:authority: example.com
signature-agent: "https://bot.example""#,
        r#"sig1=("@authority" "signature-agent");created=1618884473;keyid="poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U";alg="ed25519";expires=1618888073;nonce="hn1IRYdmNcB/jAOEZneD1BhUuJzxH+ffr8sogOVVZSlPrFn2QOXCApIuuaxpl49oCsHlvWzf++pETpy0hgD9WA==";tag="web-bot-auth""#,
        "sig1=:e9luZS0A3vddJvDtCLgYnZvGxpNm0biaCcDQSWkjyJF2r0bTKvfDdBA4kxSaehdHmWE8iDiLt1+rdYWEqzXGDg==:",
    ),
    (
        r#"GET /foo?a=1
:authority: example.com"#,
        r#"sig1=("@authority");created=1618884473;keyid="poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U";alg="ed25519";expires=1618888073;nonce="7yXrrp4+Tgk0TGDZVsqYNm/wqKRgF/dYZYu7s32tf4RXp6J2WorenZaeSRsJcQ0MS/RxwyZ5gRBwYfXHkmG+Tg==";tag="web-bot-auth""#,
        "sig1=:3OqUwOcZPhwLupbvAyyQgcMa9mcqlRDxuHTjannLjbUi2gC6aijMrWGiW1L6TWUsei2C0qEI6qL5C0GjWm0+DQ==:",
    ),
];

/// OpenBotAuth's `bot-cli`, its two forms of `Signature-Agent`.
const OPENBOTAUTH: [Sent; 2] = [
    (
        r#"POST /foo?a=1
:authority: example.com
content-type: application/json
signature-agent: sig1="https://bot.example/jwks/bot.json""#,
        r#"sig1=("@method" "@path" "@authority" "signature-agent";key="sig1" "content-type");created=1618884473;expires=1618884773;nonce="t55xRvXq_b8d-vkurSqWq1zto0Ajh1mDLLWAXVSdTwe_M3rW9tzx67LrMGHpiAdqfLLVQIwUAwTD4amNBjL0Yw";keyid="test-key-ed25519";alg="ed25519";tag="web-bot-auth""#,
        "sig1=:RsxFo4RsdzcfAME2nyj2ASfuqFrc4MFCCRMqnn75Q2xPmzqUBSHfsl4Z3oQES0aJFjI31ZQ7LscJ8mZX6QEfCQ==:",
    ),
    (
        r#"POST /foo?a=1
:authority: example.com
content-type: application/json
signature-agent: https://bot.example/jwks/bot.json"#,
        r#"sig1=("@method" "@path" "@authority" "signature-agent" "content-type");created=1618884473;expires=1618884773;nonce="oAO1dw4nD6UVWWtbMLJPaS0dXEZ6logx7XymNk_1ATgRMye0Ns8OjIF_mUGvRvxt8w-Jt061gQpNN6EHAocjHw";keyid="test-key-ed25519";alg="ed25519";tag="web-bot-auth""#,
        "sig1=:yi9Ya0wGZBQgCjWwQ1X+uOEIU6haxY5NiW6RswF438Ip71/mvNdQSjDhuBjWJgxjYjAls6VE1iFeUCvyG/FfBQ==:",
    ),
];

/// PyPI `http-message-signatures` 3.0.0, an algorithm each.
const HTTP_MESSAGE_SIGNATURES: [(&str, &str); 5] = [
    (
        r#"pyhms=("@method" "@authority" "@target-uri" "@path" "@query" "@query-param";name="b" "content-type" "content-digest");created=1618884473;keyid="test-key-ed25519";alg="ed25519";nonce="n1";tag="t""#,
        "pyhms=:+sPucfAFRGMf13WDjZexQ0s9wBwUNREPMKvfpizpU1SU8LNQlqW2D1PCcYoe2nDv4/PaShmc3fvHIW7xPgU/Bg==:",
    ),
    (
        r#"pyhms=("@method" "@authority" "@target-uri" "@path" "@query" "@query-param";name="b" "content-type" "content-digest");created=1618884473;keyid="test-key-ecc-p256";alg="ecdsa-p256-sha256";nonce="n1";tag="t""#,
        "pyhms=:amulWXzdyKATOnDt6/H1nOB7IKBGmx9madaC3h7zlmIBp9qO+iw3SF95h00V7RHjX7L3ZSb1kTDwECAAtGk9qg==:",
    ),
    (
        r#"pyhms=("@method" "@authority" "@target-uri" "@path" "@query" "@query-param";name="b" "content-type" "content-digest");created=1618884473;keyid="test-key-rsa";alg="rsa-v1_5-sha256";nonce="n1";tag="t""#,
        "pyhms=:Oz1MIwslW7xXFGBfAI1Vm87VQoZEpGD384hA7eHRZSkw6bPqoEUhx1x6yVsZOoe24ljuTUj4HrutoP2s1qLT8LSM4ARdkeUqnxInkCgNmnh5IUteNergld3mr3UL4/3Syu7iManfLy5f6li/aPa6Je/LZDgQy+H/OWGjVlM655ego/FseTvNG8fxkV5Pr80lJilnJFbdRg33tpUqQ76Fr2gGwbrgH2+pkuZJOcWDy5Dtw6okOtyLhTZ78LplWTt1BkIAG2mGhcmEIAXFW4mYGOmBKkPtAFo4D/c0S4o3vRI03iOY5FatrwHlM3/jpRlPlv5nA2EFMnn9C5N+yxBp8Q==:",
    ),
    (
        r#"pyhms=("@method" "@authority" "@target-uri" "@path" "@query" "@query-param";name="b" "content-type" "content-digest");created=1618884473;keyid="test-key-rsa-pss";alg="rsa-pss-sha512";nonce="n1";tag="t""#,
        "pyhms=:EkP1zO+XB4m4a85o+k78ZzgIigIbOEOb6iEfznNK35gQh6YWufa6AyZxfLWCKH595qh5PvQe3ElbXFF7GlFk6YUeYgKhSxCsIKC/TS8PLelzeV582MzwF/DcclulxH6Sjg8dvBgSWee6NYI2RKulsPrgO6JcZ2MhzRkKzHXcNLo/vQrKXbkPm+UpFe8kfqzQAxQxHXDQQtaYXXM79kCKlOGMBQGM87LGKh+1peqmuZEQ829RmVmVr6muXCPgKU36zo2Q0i9fa8xUY9ymvW3lrOvanNlfNbkeKmRP4qwHZYTszCuRQ5xMy82mowPAN0CPdJiN+IvbkRAQJMru2Z7ikg==:",
    ),
    (
        r#"pyhms=("@method" "@authority" "@target-uri" "@path" "@query" "@query-param";name="b" "content-type" "content-digest");created=1618884473;keyid="test-shared-secret";alg="hmac-sha256";nonce="n1";tag="t""#,
        "pyhms=:P4L3KYsDf1Cdo9ObEO+48ddBU6ygaMvhvqx7Zsxt25w=:",
    ),
];
const ITS_REQUEST: &str = "POST /foo?a=1&b=x%20y
:authority: example.com
content-type: application/json
content-digest: sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:";

fn sent(text: &str, input: &str, signature: &str) -> Headers {
    let mut headers = request(text);
    add(&mut headers, "signature-input", input);
    add(&mut headers, "signature", signature);
    headers
}

#[test]
fn web_bot_auths_requests_are_accepted() {
    for (text, input, signature) in WEB_BOT_AUTH {
        let mut headers = sent(text, input, signature);
        let signed = World::new().judge(&headers).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        assert_eq!(signed.identity.user(), "sig:bot.example");
        set(&mut headers, ":authority", "example.org");
        assert_eq!(World::new().refusal(&headers), Refusal::SignatureWrong);
    }
}

#[test]
fn openbotauths_requests_are_accepted() {
    let mut world = World::new();
    world.rules.directories = vec![Directory::new("bot", "https://bot.example/jwks/bot.json", 0).unwrap()];
    for (text, input, signature) in OPENBOTAUTH {
        let headers = sent(text, input, signature);
        let signed = world.judge(&headers).unwrap_or_else(|error| panic!("{text}: {error:?}"));
        assert_eq!(signed.identity.user(), "sig:bot");
        for (name, value) in [(":path", "/bar"), (":method", "PUT"), ("content-type", "text/plain")] {
            let mut changed = headers.clone();
            set(&mut changed, name, value);
            assert_eq!(world.refusal(&changed), Refusal::SignatureWrong, "{name}");
        }
    }
}

#[test]
fn http_message_signatures_requests_are_accepted() {
    for (input, signature) in HTTP_MESSAGE_SIGNATURES {
        let mut headers = sent(ITS_REQUEST, input, signature);
        let signed = World::new().judge(&headers).unwrap_or_else(|error| panic!("{input}: {error:?}"));
        assert_eq!(signed.digests.len(), 1, "{input}");
        set(&mut headers, ":path", "/foo?a=1&b=x%20z");
        assert_eq!(World::new().refusal(&headers), Refusal::SignatureWrong, "{input}");
    }
}
