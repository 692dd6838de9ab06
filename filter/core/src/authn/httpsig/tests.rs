//! Whole requests: RFC 9421's own, everything that can be wrong with one, and what no signer would send.

mod clients;
mod keys;
mod rfc9421;
mod rules;

use super::*;
use crate::authn::verdict::Digest;
use crate::crypto::{NoHost, SigningKey, base64url, sha512};
use crate::keys::KeySet;
use crate::keys::turn::{Record, Schedule};
use crate::secret::Secret;
use core::time::Duration;
use sfv::ItemSerializer;

/// `created` of most of the RFC's signatures.
const CREATED: u64 = 1_618_884_473;

type Headers = Vec<(String, Vec<u8>)>;

/// A request from its text: `METHOD target`, then header lines.
fn request(text: &str) -> Headers {
    let mut lines = text.lines();
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let pair = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    let mut headers = vec![pair(":method", method), pair(":path", target), pair(":scheme", "http")];
    headers.extend(lines.map(|line| {
        let (name, value) = line.split_once(": ").or_else(|| line.split_once(':')).unwrap();
        pair(name, value.trim_start())
    }));
    headers
}

fn add(headers: &mut Headers, name: &str, value: &str) {
    headers.push((name.to_owned(), value.as_bytes().to_vec()));
}

fn set(headers: &mut Headers, name: &str, value: &str) {
    headers.iter_mut().find(|(have, _)| have == name).unwrap().1 = value.as_bytes().to_vec();
}

/// Everything a signature is judged by, with what the RFC's examples need.
struct World {
    rules: Rules,
    caches: Vec<JwksCache>,
    services: hmac::Rules,
    now: u64,
    has_body: bool,
}

impl World {
    fn new() -> Self {
        let boxed = |names: &[&str]| names.iter().map(|name| Box::from(*name)).collect();
        Self {
            rules: Rules {
                authorities: boxed(&[
                    "example.com",
                    "example.org",
                    "origin.host.internal.example",
                    "service.internal.example",
                ]),
                scheme: "https".into(),
                directories: vec![
                    Directory::new("bot.example", "https://Bot.example/", 0).unwrap(),
                    Directory::new("other.example", "https://other.example/jwks/a.json", 1).unwrap(),
                ],
                user_prefix: "sig:".into(),
                components: Box::default(),
                max_age: 300,
            },
            caches: vec![cache(rfc9421::KEYS), cache(OTHER_KEYS)],
            services: hmac::Rules {
                services: vec![hmac::Service::new(
                    "test-shared-secret",
                    &Secret::new(base64url(rfc9421::SHARED_SECRET.as_bytes()).unwrap()),
                )],
                audiences: Box::default(),
                user_prefix: "hmac:".into(),
            },
            now: CREATED,
            has_body: true,
        }
    }

    fn judge(&mut self, headers: &Headers) -> Result<Signed, Failure> {
        self.judge_with(headers, None)
    }

    fn judge_with(&mut self, headers: &Headers, required: Option<&[&str]>) -> Result<Signed, Failure> {
        let required: Option<Vec<_>> =
            required.map(|texts| texts.iter().map(|text| Component::parse(text).unwrap()).collect());
        authenticate(
            &Message::read(headers, self.has_body),
            &self.rules,
            required.as_deref(),
            &mut self.caches,
            Some(&self.services),
            &NoHost,
            UnixMillis(self.now * 1000),
        )
    }

    fn refusal(&mut self, headers: &Headers) -> Refusal {
        match self.judge(headers) {
            Err(Failure::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }
}

/// A key of another directory.
const OTHER_KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"other","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

fn schedule() -> Schedule {
    Schedule {
        refresh: Duration::from_secs(600),
        max_stale: Duration::from_secs(1_000_000_000),
        may_be_empty: false,
    }
}

fn cache(keys: &str) -> JwksCache {
    let mut cache = JwksCache::new(schedule());
    let now = UnixMillis(CREATED * 1000);
    let record = Record { generation: 1, attempted_at: now, fetched_at: now, ..Record::default() };
    cache.adopt(record, KeySet::parse(keys.as_bytes()).unwrap());
    cache
}

/// Signs with the RFC's Ed25519 key: `input` is the inner list and its parameters, `base` what it stands for.
fn sign(headers: &mut Headers, label: &str, input: &str, base: &str) {
    let seed = base64url(rfc9421::ED25519_SEED.as_bytes()).unwrap();
    let key = SigningKey::from_seed(&seed.try_into().unwrap());
    let base = format!("{base}\"@signature-params\": {input}");
    let signature = byte_sequence(&key.sign(base.as_bytes()));
    add(headers, "signature-input", &format!("{label}={input}"));
    add(headers, "signature", &format!("{label}={signature}"));
}

fn byte_sequence(bytes: &[u8]) -> String {
    ItemSerializer::new().bare_item(bytes).finish()
}

#[test]
fn the_signatures_of_rfc_9421_are_right() {
    use rfc9421::{B3, B4, B22, B23, B25, B26, CLIENT, FORWARDED, PROXY, REQUEST, TERMINATED, TRANSFORMED};
    for (name, text, headers, user, digests) in [
        ("B.2.2", REQUEST, B22, "sig:bot.example", 1),
        ("B.2.3", REQUEST, B23, "sig:bot.example", 1),
        ("B.2.5", REQUEST, B25, "hmac:test-shared-secret", 0),
        ("B.2.6", REQUEST, B26, "sig:bot.example", 0),
        ("B.3", TERMINATED, B3, "sig:bot.example", 0),
        ("B.4", TRANSFORMED, B4, "sig:bot.example", 0),
        ("4.3, client", REQUEST, CLIENT, "sig:bot.example", 1),
        ("4.3, proxy", FORWARDED, PROXY, "sig:bot.example", 1),
    ] {
        let mut request = request(text);
        add(&mut request, "signature-input", headers.0);
        add(&mut request, "signature", headers.1);
        let signed = World::new().judge(&request).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(signed.identity.user(), user, "{name}");
        assert_eq!(signed.digests.len(), digests, "{name}");
        assert_eq!(signed.uses.len(), 1, "{name}");
        assert_eq!(signed.source.is_none(), user.starts_with("hmac:"), "{name}");
        for digest in signed.digests {
            assert_eq!(digest.expected, Digest::Sha512(Box::new(sha512(&[rfc9421::BODY]))), "{name}");
        }
    }
}

#[test]
fn what_rfc_9421_signs_of_too_little_or_of_a_response_is_refused_though_the_signature_is_right() {
    let keys = KeySet::parse(rfc9421::KEYS.as_bytes()).unwrap();
    let nothing = rfc9421::B21.0.split_once('=').unwrap().1;
    for (headers, key, base, expected) in [
        (
            rfc9421::B21,
            "test-key-rsa-pss",
            &*format!("\"@signature-params\": {nothing}"),
            Refusal::SignatureCoverage,
        ),
        (rfc9421::B24, "test-key-ecc-p256", rfc9421::B24_BASE, Refusal::SignatureComponent),
    ] {
        let key = keys.find_signer(key, None).unwrap();
        let signatures = Members::dictionary(headers.1.as_bytes()).unwrap();
        let Some(BareItem::ByteSequence(signature)) = signatures.iter().next().unwrap().item() else {
            panic!("{}", headers.1);
        };
        assert!(key.public.verify(&NoHost, base.as_bytes(), signature), "{}", headers.0);
        let mut request = request(rfc9421::REQUEST);
        add(&mut request, "signature-input", headers.0);
        add(&mut request, "signature", headers.1);
        assert_eq!(World::new().refusal(&request), expected);
    }
}

#[test]
fn a_message_may_be_changed_as_appendix_b_4_allows_and_not_otherwise() {
    let wrong = Some(Refusal::SignatureWrong);
    for (text, expected) in [
        (rfc9421::TRANSFORMED, None),
        (
            "GET /demo?name1=Value1&Name2=value2&param=added\n:authority: example.org\naccept: application/json\naccept: */*\naccept-language: en-US,en;q=0.5",
            None,
        ),
        (
            "GET /demo?name1=Value1&Name2=value2\n:authority: example.org\nreferer: https://developer.example.org/demo\naccept: application/json, */*",
            None,
        ),
        ("GET /demo\naccept:  application/json \naccept: */*\ndate: x\n:authority: EXAMPLE.org:443", None),
        (
            "POST /demo?name1=Value1&Name2=value2\n:authority: example.com\naccept: application/json\naccept: */*",
            wrong,
        ),
        (
            "GET /demo?name1=Value1&Name2=value2\n:authority: example.org\naccept: */*\naccept: application/json",
            wrong,
        ),
        ("GET /demo\n:authority: example.org\naccept: application/json,*/*", wrong),
        ("GET /demo/\n:authority: example.org\naccept: application/json, */*", wrong),
        ("get /demo\n:authority: example.org\naccept: application/json, */*", wrong),
        ("GET /demo\n:authority: example.org", Some(Refusal::SignatureComponentAbsent)),
        (
            "GET /demo\n:authority: example.net\naccept: application/json, */*",
            Some(Refusal::SignatureAuthority),
        ),
    ] {
        let mut request = request(text);
        add(&mut request, "signature-input", rfc9421::B4.0);
        add(&mut request, "signature", rfc9421::B4.1);
        let result = World::new().judge(&request);
        assert_eq!(result.map(|_| ()).map_err(Some).err(), expected.map(|r| Some(r.into())), "{text}");
    }
}

#[test]
fn whatever_is_covered_cannot_be_changed() {
    let changes = [
        ("date", "Tue, 20 Apr 2021 02:07:56 GMT"),
        (":method", "PUT"),
        (":path", "/foo2?param=Value&Pet=dog"),
        (":path", "/foo?param=value&Pet=dog"),
        (":authority", "example.org"),
        ("content-type", "application/json; x"),
        ("content-digest", "sha-512=:AAAA:"),
        ("content-length", "19"),
    ];
    for (name, value) in changes {
        let mut request = request(rfc9421::REQUEST);
        set(&mut request, name, value);
        add(&mut request, "signature-input", rfc9421::B23.0);
        add(&mut request, "signature", rfc9421::B23.1);
        assert_eq!(World::new().refusal(&request), Refusal::SignatureWrong, "{name}: {value}");
        // Nor can a line be added to it.
        let mut doubled = request.clone();
        if !name.starts_with(':') {
            set(&mut doubled, name, "x");
            add(&mut doubled, name, "y");
            assert_eq!(World::new().refusal(&doubled), Refusal::SignatureWrong, "{name}");
        }
    }
    for (from, to) in [
        ("created=1618884473", "created=1618884474"),
        ("\"test-key-rsa-pss\"", "\"test-key-rsa-pss\";expires=1618884573"),
        ("\"date\" \"@method\"", "\"@method\" \"date\""),
        ("\"date\" ", ""),
        ("\"date\"", "\"date\";bs"),
    ] {
        let mut request = request(rfc9421::REQUEST);
        assert!(rfc9421::B23.0.contains(from));
        add(&mut request, "signature-input", &rfc9421::B23.0.replace(from, to));
        add(&mut request, "signature", rfc9421::B23.1);
        assert_eq!(World::new().refusal(&request), Refusal::SignatureWrong, "{to}");
    }
}

#[test]
fn a_header_of_another_spelling_is_the_same_signature() {
    for spelling in [
        "a=(  \"date\"   \"@authority\" \"content-type\"  );created=1618884473 ;  keyid=\"test-shared-secret\"",
        "  sig-b25=(\"date\" \"@authority\" \"content-type\");created=01618884473; keyid=\"test-shared-secret\" ",
    ] {
        let mut request = request(rfc9421::REQUEST);
        let spelling = spelling.replace(" ;", ";").replace("a=(", "sig-b25=(");
        add(&mut request, "signature-input", &spelling);
        add(&mut request, "signature", rfc9421::B25.1);
        World::new().judge(&request).unwrap();
    }
}

mod hostile {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_header_makes_it_panic(
            input in proptest::collection::vec(any::<u8>(), 0..200),
            signature in proptest::collection::vec(any::<u8>(), 0..100),
            agent in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..60)),
            path in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut headers = request(rfc9421::REQUEST);
            headers.iter_mut().find(|(name, _)| name == ":path").unwrap().1 = path;
            headers.push(("signature-input".into(), input));
            headers.push(("signature".into(), signature));
            headers.extend(agent.map(|agent| ("signature-agent".into(), agent)));
            prop_assert!(World::new().judge(&headers).is_err());
        }

        /// Close to what is right, so that what lies behind the form is reached.
        #[test]
        fn no_component_or_parameter_makes_it_panic(
            components in proptest::collection::vec(
                "(\"(@query-param|@query|@target-uri|date|x-any|signature-agent|content-digest)\"|[a-z]{1,3})(;(sf|bs|key=\"[a-b]\"|name=\"(Pet|.{0,4})\")){0,2}",
                0..6,
            ),
            parameters in "(;(nonce|alg|tag|expires|x)=(\"[ -~]{0,6}\"|[0-9]{1,12}|:[a-zA-Z]{0,8}:|[a-z]{1,4})){0,3}",
            any in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut headers = request(rfc9421::REQUEST);
            headers.push(("x-any".into(), any.clone()));
            headers.push(("content-digest".into(), any));
            let components = components.join(" ");
            let input = format!(
                "a=(\"@authority\" {components});created={CREATED};keyid=\"test-key-ed25519\"{parameters}"
            );
            add(&mut headers, "signature-input", &input);
            add(&mut headers, "signature", &format!("a={}", byte_sequence(&[0; 64])));
            prop_assert!(World::new().judge(&headers).is_err());
        }
    }
}
