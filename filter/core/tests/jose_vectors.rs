//! The examples of RFC 7515 (appendix A) and RFC 7520 (section 4): signatures that others made.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::string_slice)] // A test.

use attach_core::authn::Refusal;
use attach_core::authn::jws::Jws;
use attach_core::crypto::{Algorithm, Hash, HmacKey, NoHost, base64url};
use attach_core::keys::KeySet;
use attach_core::secret::Secret;
use serde_json::json;

/// RFC 7515 A.2.1.
const A2_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
/// RFC 7520 section 3.3.
const FRODO_N: &str = "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw";

const JOE: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const FRODO: &str = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4";

/// Whose key, which algorithm, header, payload, signature.
const PUBLIC: [(&str, Algorithm, &str, &str, &str); 4] = [
    (
        "A.2",
        Algorithm::Rs256,
        "eyJhbGciOiJSUzI1NiJ9",
        JOE,
        "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
    ),
    (
        "A.3",
        Algorithm::Es256,
        "eyJhbGciOiJFUzI1NiJ9",
        JOE,
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    ),
    (
        "4.1",
        Algorithm::Rs256,
        "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
        FRODO,
        "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg",
    ),
    (
        "4.2",
        Algorithm::Ps384,
        "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
        FRODO,
        "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw",
    ),
];

/// Section, key, header, payload, code.
const SHARED: [(&str, &str, &str, &str, &str); 2] = [
    (
        "A.1",
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
        JOE,
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    ),
    (
        "4.4",
        "hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg",
        "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9",
        FRODO,
        "s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0",
    ),
];

fn keys() -> KeySet {
    let set = json!({"keys": [
        {"kid": "A.2", "kty": "RSA", "alg": "RS256", "n": A2_N, "e": "AQAB"},
        {"kid": "A.3", "kty": "EC", "crv": "P-256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
        {"kid": "4.1", "kty": "RSA", "alg": "RS256", "n": FRODO_N, "e": "AQAB"},
        {"kid": "4.2", "kty": "RSA", "alg": "PS384", "n": FRODO_N, "e": "AQAB"},
    ]});
    KeySet::parse(set.to_string().as_bytes()).unwrap()
}

#[test]
fn the_rfcs_signatures_are_right_and_of_nothing_else() {
    let keys = keys();
    for (name, algorithm, header, payload, signature) in PUBLIC {
        let key = keys.find(Some(name), algorithm).unwrap();
        let mut signature = base64url(signature.as_bytes()).unwrap();
        let input = format!("{header}.{payload}");
        assert!(key.public.verify(&NoHost, input.as_bytes(), &signature), "{name}");
        assert!(!key.public.verify(&NoHost, format!("{input}A").as_bytes(), &signature), "{name}");
        signature[17] ^= 1;
        assert!(!key.public.verify(&NoHost, input.as_bytes(), &signature), "{name}");
    }
}

#[test]
fn the_rfcs_codes_are_right_and_of_nothing_else() {
    for (name, key, header, payload, code) in SHARED {
        let key = HmacKey::new(Secret::new(base64url(key.as_bytes()).unwrap()));
        let code = base64url(code.as_bytes()).unwrap();
        let input = format!("{header}.{payload}");
        assert!(key.verify(Hash::Sha256, input.as_bytes(), &code), "{name}");
        assert!(!key.verify(Hash::Sha256, format!("{input}A").as_bytes(), &code), "{name}");
        assert!(!key.verify(Hash::Sha512, input.as_bytes(), &code), "{name}");
    }
}

#[test]
fn the_rfcs_tokens_are_read_as_far_as_they_are_tokens() {
    for (name, _, header, payload, signature) in PUBLIC {
        let parsed = Jws::parse(&format!("{header}.{payload}.{signature}")).map(|jws| jws.algorithm());
        // RFC 7520 signs a sentence, which is no set of claims.
        match payload == JOE {
            true => assert!(matches!(parsed, Ok(Ok(_))), "{name}"),
            false => assert!(matches!(parsed, Err(Refusal::TokenJson)), "{name}"),
        }
    }
    // A.5 is not signed; A.4 and 4.3 are by an algorithm that no key here has.
    let unsigned = format!("eyJhbGciOiJub25lIn0.{JOE}.");
    assert!(matches!(Jws::parse(&unsigned), Err(Refusal::AlgorithmNone)));
    let es512 = format!("eyJhbGciOiJFUzUxMiJ9.{JOE}.AdwM");
    assert_eq!(Jws::parse(&es512).unwrap().algorithm(), Err(Refusal::AlgorithmUnknown));
}
