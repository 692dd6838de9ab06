//! The table of rules, line by line, with signatures made here.

use super::*;
use crate::authn::extract::acting;

/// A request that nothing is wrong with, before it is signed.
pub(super) const PLAIN: &str = "POST /foo?a=1
:authority: example.com
x-list: a,  b
x-list: c
cookie: a=b
x-dict: a=1,    b=2;x=1;y=2,   c=(a   b   c), d
client-cert: :aGk=:
x-empty:";

/// Signs `covered`, whose values `lines` are, with good parameters and these more.
pub(super) fn signed(covered: &str, lines: &str, more: &str) -> Headers {
    let mut headers = request(PLAIN);
    let input = format!("({covered});created={CREATED};keyid=\"test-key-ed25519\"{more}");
    sign(&mut headers, "sig1", &input, lines);
    headers
}

pub(super) fn plain(more: &str) -> Headers {
    signed("\"@authority\"", "\"@authority\": example.com\n", more)
}

#[test]
fn every_component_has_the_value_that_its_section_gives_it() {
    for (component, value) in [
        ("\"@method\"", "POST"),
        ("\"@scheme\"", "https"),
        ("\"@target-uri\"", "https://example.com/foo?a=1"),
        ("\"@request-target\"", "/foo?a=1"),
        ("\"@path\"", "/foo"),
        ("\"@query\"", "?a=1"),
        ("\"@query-param\";name=\"a\"", "1"),
        ("\"host\"", "example.com"),
        ("\"x-list\"", "a,  b, c"),
        ("\"x-list\";bs", ":YSwgIGI=:, :Yw==:"),
        ("\"x-dict\"", "a=1,    b=2;x=1;y=2,   c=(a   b   c), d"),
        ("\"x-dict\";key=\"a\"", "1"),
        ("\"x-dict\";key=\"b\"", "2;x=1;y=2"),
        ("\"x-dict\";key=\"c\"", "(a b c)"),
        ("\"x-dict\";sf;key=\"d\"", "?1"),
        ("\"client-cert\";sf", ":aGk=:"),
        ("\"x-empty\"", ""),
        ("\"x-empty\";bs", "::"),
    ] {
        let headers = signed(
            &format!("\"@authority\" {component}"),
            &format!("\"@authority\": example.com\n{component}: {value}\n"),
            "",
        );
        World::new().judge(&headers).unwrap_or_else(|error| panic!("{component}: {error:?}"));
    }
    for (component, expected) in [
        ("\"x-dict\";key=\"e\"", Refusal::SignatureComponentAbsent),
        ("\"x-none\"", Refusal::SignatureComponentAbsent),
        ("\"x-none\";bs", Refusal::SignatureComponentAbsent),
        ("\"@query-param\";name=\"b\"", Refusal::SignatureComponentAbsent),
        ("\"x-dict\";sf", Refusal::SignatureComponent),
        ("\"x-list\";key=\"a\";bs", Refusal::SignatureComponent),
        ("\"cookie\";key=\"A\"", Refusal::SignatureComponentAbsent),
        ("\"@status\"", Refusal::SignatureComponent),
        ("\"@method\";req", Refusal::SignatureComponent),
        ("\"x-list\";tr", Refusal::SignatureComponent),
        ("\"X-List\"", Refusal::SignatureComponent),
        ("x-list", Refusal::SignatureMalformed),
        ("\"@authority\"", Refusal::SignatureMalformed),
        ("\"x-dict\";key=\"a\" \"x-dict\";key=\"a\";sf", Refusal::SignatureMalformed),
    ] {
        let headers = signed(&format!("\"@authority\" {component}"), "", "");
        assert_eq!(World::new().refusal(&headers), expected, "{component}");
    }
}

#[test]
fn targets_without_a_path_or_query_have_their_values() {
    for (target, component, value) in [
        ("/foo", "\"@query\"", "?"),
        ("/foo?", "\"@query\"", "?"),
        ("/foo?a?b", "\"@query\"", "?a?b"),
        ("?a", "\"@path\"", "/"),
        ("/a%2fb", "\"@path\"", "/a%2fb"),
        ("*", "\"@target-uri\"", "https://example.com"),
        ("*", "\"@request-target\"", "*"),
    ] {
        let covered = format!("\"@authority\" {component}");
        let mut headers =
            signed(&covered, &format!("\"@authority\": example.com\n{component}: {value}\n"), "");
        set(&mut headers, ":path", target);
        World::new().judge(&headers).unwrap_or_else(|error| panic!("{target} {component}: {error:?}"));
    }
}

#[test]
fn a_field_that_no_base_can_hold_is_refused_and_a_fold_is_a_space() {
    for (value, expected) in [
        (&b"a\r\n  b"[..], Refusal::SignatureWrong),
        (b"a\nb", Refusal::SignatureComponent),
        (b"a\rb", Refusal::SignatureComponent),
        (b"a\0b", Refusal::SignatureComponent),
        (b"\xc3\xa4", Refusal::SignatureComponent),
        (b"\xff", Refusal::SignatureComponent),
    ] {
        let mut headers = signed("\"@authority\" \"cookie\"", "", "");
        headers.iter_mut().find(|(name, _)| name == "cookie").unwrap().1 = value.to_vec();
        assert_eq!(World::new().refusal(&headers), expected, "{}", value.escape_ascii());
    }
    let mut headers =
        signed("\"@authority\" \"cookie\"", "\"@authority\": example.com\n\"cookie\": a b\n", "");
    set(&mut headers, "cookie", " a\r\n\t b ");
    World::new().judge(&headers).unwrap();
}

#[test]
fn both_headers_have_the_same_few_labels_and_nothing_twice() {
    let good = "(\"@authority\");created=1618884473;keyid=\"test-key-ed25519\"";
    let five = ["a", "b", "c", "d", "e"];
    let all = |value: &str| five.map(|label| format!("{label}={value}")).join(",");
    for (input, signature, expected) in [
        ("", "", Refusal::SignatureMalformed),
        ("a", "a", Refusal::SignatureMalformed),
        ("a=1", "a=:AA==:", Refusal::SignatureMalformed),
        ("a=(", "a=:AA==:", Refusal::SignatureMalformed),
        (&format!("a={good}"), "a=\"x\"", Refusal::SignatureMalformed),
        (&format!("a={good}"), "a=(:AA==:)", Refusal::SignatureMalformed),
        (&format!("a={good}"), "b=:AA==:", Refusal::SignatureUnmatched),
        (&format!("a={good}"), "a=:AA==:, b=:AA==:", Refusal::SignatureUnmatched),
        (&format!("a={good}, b={good}"), "a=:AA==:", Refusal::SignatureUnmatched),
        (&format!("a={good}, a={good}"), "a=:AA==:", Refusal::SignatureMalformed),
        (&format!("a={good};created=1"), "a=:AA==:", Refusal::SignatureMalformed),
        (&format!("a={good}"), "a=:AA==:, a=:AA==:", Refusal::SignatureMalformed),
        (&all(good), &all(":AA==:"), Refusal::SignatureTooMany),
        (&format!("a={good}"), "a=::", Refusal::SignatureWrong),
        (&format!("a={good}"), "a=:AA==:", Refusal::SignatureWrong),
        (&format!("a={good};x=\"{}\"", "y".repeat(16 * 1024)), "a=:AA==:", Refusal::SignatureMalformed),
    ] {
        let mut headers = request(PLAIN);
        add(&mut headers, "signature-input", input);
        add(&mut headers, "signature", signature);
        assert_eq!(World::new().refusal(&headers), expected, "{input:.80} {signature}");
    }
    for alone in ["signature-input", "signature"] {
        let mut headers = plain("");
        headers.retain(|(name, _)| name != alone);
        assert!(present(&headers));
        assert_eq!(World::new().refusal(&headers), Refusal::SignatureMalformed);
    }
    assert!(!present(&request(PLAIN)));
}

#[test]
fn more_than_any_signer_covers_is_refused() {
    let many: Vec<_> = (0..32).map(|n| format!("\"x{n}\"")).collect();
    let headers = signed(&format!("\"@authority\" {}", many.join(" ")), "", "");
    assert_eq!(World::new().refusal(&headers), Refusal::SignatureComponent);
    // 60 KiB, twice.
    let mut headers = signed("\"@authority\" \"cookie\" \"cookie\";bs", "", "");
    set(&mut headers, "cookie", &"a".repeat(60 * 1024));
    assert_eq!(World::new().refusal(&headers), Refusal::SignatureComponent);
}

#[test]
fn what_a_route_wants_must_be_covered() {
    let headers = plain("");
    let mut world = World::new();
    world.has_body = false;
    for (required, expected) in [
        (&[][..], true),
        (&["@authority"], true),
        (&["@method"], false),
        (&["@authority", "@path"], false),
        // There is nothing to digest.
        (&["content-digest"], true),
    ] {
        let result = world.judge_with(&headers, Some(required));
        assert_eq!(result.is_ok(), expected, "{required:?}");
        world.rules.components =
            required.iter().map(|component| Component::parse(component).unwrap()).collect();
        assert_eq!(world.judge(&headers).is_ok(), expected, "{required:?}");
        // A route's own wish replaces the general one.
        assert!(world.judge_with(&headers, Some(&["@authority"])).is_ok());
    }
    world.has_body = true;
    let result = world.judge_with(&headers, Some(&["content-digest"]));
    assert_eq!(result.map(|_| ()), Err(Refusal::SignatureCoverage.into()));
    let other = signed("\"@method\"", "\"@method\": POST\n", "");
    assert_eq!(world.refusal(&other), Refusal::SignatureCoverage);
    let target = signed("\"@target-uri\"", "\"@target-uri\": https://example.com/foo?a=1\n", "");
    assert!(world.judge_with(&target, Some(&["@authority", "@path"])).is_ok());
}

#[test]
fn a_signature_for_another_site_is_none_for_this_one() {
    for (authority, scheme, expected) in [
        ("example.com", "https", true),
        ("EXAMPLE.com:443", "https", true),
        ("example.com:80", "https", false),
        ("example.com:80", "http", true),
        ("example.com:8443", "https", false),
        ("evil.example", "https", false),
        ("example.com.", "https", false),
        ("", "https", false),
    ] {
        let normal = normal_authority(scheme, authority);
        let mut headers = signed("\"@authority\"", &format!("\"@authority\": {normal}\n"), "");
        set(&mut headers, ":authority", authority);
        let mut world = World::new();
        world.rules.scheme = scheme.into();
        match world.judge(&headers) {
            Ok(_) => assert!(expected, "{authority}"),
            Err(error) => {
                assert!(!expected, "{authority}");
                assert_eq!(error, Refusal::SignatureAuthority.into());
            }
        }
    }
    let mut headers = plain("");
    headers.retain(|(name, _)| name != ":authority");
    assert_eq!(World::new().refusal(&headers), Refusal::SignatureAuthority);
}

#[test]
fn every_signature_is_used_once() {
    let key = |headers: &Headers| {
        let [used] = World::new().judge(headers).unwrap().uses.try_into().unwrap();
        assert_eq!(used.otherwise, Refusal::SignatureReplayed);
        used
    };
    assert_eq!(key(&plain("")).key, key(&plain("")).key);
    assert_ne!(key(&plain("")).key, key(&plain(";x")).key);
    // A nonce is used up, whatever else is signed with it.
    assert_eq!(key(&plain(";nonce=\"n\"")).key, key(&plain(";nonce=\"n\";x")).key);
    assert_ne!(key(&plain(";nonce=\"n\"")).key, key(&plain(";nonce=\"m\"")).key);
    // Until it would be refused anyway.
    assert_eq!(key(&plain("")).until, CREATED + 300 + 60 + 1);
    assert_eq!(key(&plain(";expires=1618884573")).until, CREATED + 100 + 60 + 1);
    for (at, end, expected) in [
        (CREATED + 359, "", None),
        (CREATED + 360, "", Some(Refusal::SignatureExpired)),
        (CREATED + 159, ";expires=1618884573", None),
        (CREATED + 160, ";expires=1618884573", Some(Refusal::SignatureExpired)),
        (CREATED + 360, ";expires=1618888073", Some(Refusal::SignatureExpired)),
        (CREATED - 60, "", None),
        (CREATED - 61, "", Some(Refusal::SignatureCreated)),
    ] {
        let mut world = World::new();
        world.now = at;
        assert_eq!(world.judge(&plain(end)).err(), expected.map(Failure::from), "{at}");
    }
}

#[test]
fn all_signatures_must_be_right_and_one_signers() {
    let line = "\"@authority\": example.com\n";
    let input = |key: &str| format!("(\"@authority\");created={CREATED};keyid=\"{key}\"");
    let mut headers = request(super::rfc9421::REQUEST);
    sign(&mut headers, "a", &input("test-key-ed25519"), line);
    sign(&mut headers, "b", &format!("{};x", input("test-key-ed25519")), line);
    let signed = World::new().judge(&headers).unwrap();
    assert_eq!((signed.identity.user(), signed.uses.len()), ("sig:bot.example", 2));
    // Another's, right too.
    let mut mixed = headers.clone();
    add(&mut mixed, "signature-input", super::rfc9421::B25.0);
    add(&mut mixed, "signature", super::rfc9421::B25.1);
    assert_eq!(World::new().refusal(&mixed), Refusal::AgentDiffers);
    // One that is wrong.
    sign(&mut headers, "c", &input("test-key-ed25519"), "\"@authority\": example.org\n");
    assert_eq!(World::new().refusal(&headers), Refusal::SignatureWrong);
}

#[test]
fn a_covered_digest_is_what_the_body_must_have() {
    // RFC 9530 appendix B.1, B.2, B.5 and D: the same digests, for the body and for no body.
    let hello = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
    let empty = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    let two = "sha-256=:d435Qo+nKZ+gLcUHn7GQtQ72hiBVAgqoLsZnZPiTGPk=:, sha-512=:db7fdBbgZMgX1Wb2MjA8zZj+rSNgfmDCEEXM8qLWfpfoNY0sCpHAzZbj09X1/7HAb7Od5Qfto4QpuBsFbUO3dQ==:";
    let malformed = Err(Refusal::DigestMalformed);
    for (component, field, value, has_body, expected) in [
        ("", hello, hello, true, Ok(1)),
        ("", two, two, true, Ok(2)),
        ("", "md5=:AA==:, sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:", "", true, Ok(1)),
        (";key=\"sha-256\"", two, ":d435Qo+nKZ+gLcUHn7GQtQ72hiBVAgqoLsZnZPiTGPk=:", true, Ok(1)),
        (";sf", two, two, true, Ok(2)),
        ("", empty, empty, false, Ok(0)),
        ("", hello, hello, false, Err(Refusal::DigestWrong)),
        ("", "md5=:AA==:", "", true, malformed),
        ("", "sha-256=:AA==:", "", true, malformed),
        ("", "sha-256=\"x\"", "", true, malformed),
        ("", "sha-256=(:AA==:)", "", true, malformed),
        ("", "sha-256", "", true, malformed),
        ("", "SHA-256=:AA==:", "", true, malformed),
        ("", "", "", true, malformed),
    ] {
        let name = format!("\"content-digest\"{component}");
        let value = if value.is_empty() { field } else { value };
        let mut headers = signed(
            &format!("\"@authority\" {name}"),
            &format!("\"@authority\": example.com\n{name}: {value}\n"),
            "",
        );
        add(&mut headers, "content-digest", field);
        let mut world = World::new();
        world.has_body = has_body;
        let found = world.judge_with(&headers, Some(&["content-digest"]));
        assert_eq!(found.map(|signed| signed.digests.len()), expected.map_err(Failure::from), "{field}");
    }
    let mut headers = plain("");
    add(&mut headers, "content-digest", hello);
    assert!(World::new().judge(&headers).unwrap().digests.is_empty(), "nobody vouches for it");
}

#[test]
fn beside_a_bearer_the_signer_is_who_acts() {
    let signed = || World::new().judge(&plain("")).unwrap();
    let bearer = || Identity::new("alice".into(), UnixMillis(1), Credential::Oidc);
    let both = acting(bearer(), &signed().identity).unwrap();
    assert_eq!((both.user(), both.agent()), ("alice", Some("sig:bot.example")));
    assert_eq!(both.expires(), UnixMillis(1));
    let same = acting(bearer().acting("sig:bot.example".into()), &signed().identity).unwrap();
    assert_eq!(same.agent(), Some("sig:bot.example"));
    assert_eq!(acting(bearer().acting("key:planner".into()), &signed().identity), Err(Refusal::AgentDiffers));
}
