//! What reads a stranger's text: whatever the text, it is read the one way or refused.

use attach_core::authn::claims;
use attach_core::authn::did::{self, AllowedDid};
use attach_core::authn::extract::{Judged, bearer, usual_bearer};
use attach_core::authn::httpsig::{Component, Message};
use attach_core::authn::jws::Jws;
use attach_core::authn::jws::MAX_TOKEN_BYTES;
use attach_core::authn::{hmac as services, httpsig as messages};
use attach_core::clock::UnixMillis;
use attach_core::crypto::{Algorithm, NoHost, to_base64url};
use attach_core::headers::Field;
use attach_core::keys::KeySet;
use attach_core::keys::cache::JwksCache;
use attach_core::keys::discovery;
use attach_core::keys::turn::Record;
use attach_core::policy::Policy;

use super::{script, world};

const NOW: UnixMillis = UnixMillis(world::NOW * 1000);

thread_local! {
    static POLICY: Policy = world::policy(&[]);
    static KEYS: Vec<KeySet> = (0..world::SOURCES).map(world::published).collect();
}

/// A worker's keys.
fn caches(policy: &Policy) -> Vec<JwksCache> {
    let record = Record { generation: 1, attempted_at: NOW, fetched_at: NOW, ..Record::default() };
    let with = |(place, source): (usize, &attach_core::policy::KeySource)| {
        let mut cache = JwksCache::new(source.schedule);
        KEYS.with(|keys| cache.adopt(record, keys[place].clone()));
        cache
    };
    policy.sources.iter().enumerate().map(with).collect()
}

/// An `Authorization` header: its token, whose it is, and what that says.
///
/// # Panics
/// When somebody is let in who should not be.
pub fn extractor(data: &[u8]) {
    let expanded = match core::str::from_utf8(data) {
        Ok(text) => script::expanded(text).into_bytes(),
        Err(_) => data.to_vec(),
    };
    let usual = usual_bearer(Field::One(&expanded));
    let Ok(token) = bearer(Field::One(&expanded)) else { return };
    assert!(!token.is_empty() && token.len() <= MAX_TOKEN_BYTES);
    assert!(token.bytes().all(|b| b.is_ascii_graphic() && b != b','));
    if let Some(usual) = usual {
        assert_eq!(usual.trim_ascii(), token.as_bytes(), "two readings of one header");
    }
    POLICY.with(|policy| {
        let judged = policy.schemes.judge_bearer(token, &mut caches(policy), &NoHost, NOW);
        let user = match &judged {
            Ok(Judged::Accepted(accepted)) => accepted.identity.user(),
            Ok(Judged::Signed(signed)) => signed.identity.user(),
            Ok(Judged::Exchange(at, _)) => {
                assert!(*at < policy.schemes.exchanges.len());
                return;
            }
            Err(_) => return,
        };
        assert!(world::is_known(user), "{user} is nobody");
        let known = world::credentials().iter().any(|(_, have)| have == token || ends_with(token, have));
        assert!(known, "a token that nobody signed lets {user} in");
    });
}

/// Whether it is a token behind a DID.
fn ends_with(token: &str, signed: &str) -> bool {
    token.strip_suffix(signed).is_some_and(|start| start.starts_with("did:") && start.ends_with('.'))
}

/// A JWS: whatever is read has one spelling.
///
/// # Panics
/// When it has another.
pub fn jws(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let text = script::expanded(text);
    let Ok(jws) = Jws::parse(&text) else { return };
    let signed = core::str::from_utf8(jws.signing_input).unwrap();
    assert_eq!(format!("{signed}.{}", to_base64url(&jws.signature)), text, "two spellings of one token");
    assert!(!jws.algorithm_name.is_empty() && !jws.algorithm_name.eq_ignore_ascii_case("none"));
    assert!(!format!("{jws:?}").contains(signed));
    if let Ok(dates) = claims::dates(&jws.claims, NOW) {
        assert!(dates.refused_from > NOW && dates.expires < dates.refused_from);
    }
    let ours: Box<str> = "attach".into();
    if claims::audience(&jws.claims, core::slice::from_ref(&ours)).is_ok() {
        assert!(signed.len() > 20);
    }
    if let Ok(scopes) = claims::scopes(&jws.claims) {
        assert!(scopes.iter().all(|scope| claims::is_scope(scope)));
    }
}

/// A DID, in the list of who may, before a token, and in one.
///
/// # Panics
/// When another's signature is taken for it.
pub fn did(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let text = script::expanded(text);
    if text.len() > MAX_TOKEN_BYTES {
        return;
    }
    let audiences: Box<[Box<str>]> = ["attach".into()].into();
    let own = world::credentials().iter().find(|(name, _)| *name == "did-name").unwrap();
    // Whoever makes a key may come in: then its signature alone is what counts.
    let everyone = did::Rules { allow: vec![AllowedDid::parse("*").unwrap()], audiences: audiences.clone() };
    for token in [text.clone(), format!("{text}.{}", credential("did")), world::did_token(&text)] {
        if let Ok(accepted) = did::authenticate(&token, &everyone, &NoHost, NOW) {
            assert_eq!(accepted.identity.user(), own.1, "another's signature");
        }
    }
    // What is listed lets nobody else in.
    let Ok(allowed) = AllowedDid::parse(&text) else { return };
    let listed = did::Rules { allow: vec![allowed], audiences };
    if did::authenticate(credential("did"), &listed, &NoHost, NOW).is_ok() {
        let beginning = text.strip_suffix('*');
        assert!(
            beginning.map_or(text == own.1, |start| own.1.starts_with(start)),
            "{text} lets {} in",
            own.1
        );
    }
}

fn credential(name: &str) -> &'static str {
    world::credentials().iter().find(|(have, _)| *have == name).map_or("", |(_, text)| text)
}

/// A set of keys, an issuer's and control's own, and a discovery document.
///
/// # Panics
/// When a key verifies what it never signed.
pub fn jwks(data: &[u8]) {
    for read in [KeySet::parse, KeySet::parse_own] {
        let Ok(set) = read(data) else { continue };
        assert!(set.len() <= 500 && data.len() <= 256 * 1024);
        for algorithm in Algorithm::ALL {
            let Ok(key) = set.find(None, algorithm) else { continue };
            assert_eq!(key.public.algorithm(), algorithm);
            assert_eq!(key.fingerprint, key.public.fingerprint());
            assert!(set.holds(&key.fingerprint));
            for length in [0, 64, 96, 256] {
                assert!(!key.public.verify(&NoHost, b"nobody signed this", &vec![0; length]));
            }
        }
    }
    let known = discovery::Target {
        cluster: "idp".into(),
        scheme: "https".into(),
        authority: "idp.example".into(),
        path: "/keys".into(),
    };
    if let Ok(target) = discovery::keys_of(data, "https://idp.example", &[&known]) {
        // A document can move the keys, and nobody else's host.
        assert_eq!((&target.cluster, &target.authority), (&known.cluster, &known.authority));
        assert!(target.path.starts_with('/') && target.path.bytes().all(|b| b.is_ascii_graphic()));
    }
}

/// The headers of a signed message, and what a route wants covered.
///
/// # Panics
/// When a signature is taken that nobody made.
pub fn httpsig(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    for line in text.lines().take(16) {
        let _ = Component::parse(line);
    }
    let pairs = script::headers(text);
    let is_made = text.contains("$signed");
    POLICY.with(|policy| {
        let Some(rules) = &policy.schemes.httpsig else { return };
        for has_body in [false, true] {
            let message = Message::read(&pairs, has_body);
            let hmac = policy.schemes.hmac.as_ref();
            let judged =
                messages::authenticate(&message, rules, None, &mut caches(policy), hmac, &NoHost, NOW);
            if let Ok(signed) = judged {
                assert!(is_made, "nobody has signed this");
                assert_eq!(signed.identity.user(), "sig:bot");
                assert!(!has_body || !signed.digests.is_empty(), "a body that nobody vouches for");
                assert!(!signed.uses.is_empty(), "a signature that can be used for ever");
                assert!(signed.uses.iter().all(|one| one.until > world::NOW));
            }
        }
    });
}

/// The keys of services, and a token of one.
///
/// # Panics
/// When an error shows a key, or a key is too short.
pub fn hmac(data: &[u8]) {
    let Ok(text) = core::str::from_utf8(data) else { return };
    let text = script::expanded(text);
    match services::parse_keys(&text) {
        Ok(keys) => {
            for (place, (name, secret)) in keys.iter().enumerate() {
                assert!(secret.expose().len() >= services::MIN_SECRET_BYTES);
                assert!(keys[..place].iter().all(|(other, _)| other != name), "one name, two keys");
                assert!(!format!("{secret:?}").contains(&*String::from_utf8_lossy(secret.expose())));
            }
        }
        Err(error) => {
            // The same list with other secrets: what is said of it depends on no letter of them.
            let other = services::parse_keys(&masked(&text)).err();
            assert_eq!(other.map(|other| other.to_string()), Some(error.to_string()), "an error shows a key");
        }
    }
    POLICY.with(|policy| {
        let Some(rules) = &policy.schemes.hmac else { return };
        let Ok(jws) = Jws::parse(&text) else { return };
        if let Ok(accepted) = services::authenticate(&jws, rules, NOW) {
            assert_eq!(text, credential("hmac"));
            assert_eq!(accepted.identity.user(), "hmac:billing");
        }
    });
}

/// A list of keys with an `x` for every letter and digit of a secret.
fn masked(text: &str) -> String {
    let mask = |secret: &str| {
        secret.chars().map(|c| if c.is_ascii_alphanumeric() { 'x' } else { c }).collect::<String>()
    };
    let entries = text.split_inclusive(['\n', ',']).map(|entry| match entry.split_once('=') {
        Some((name, secret)) => format!("{name}={}", mask(secret)),
        None => entry.to_owned(),
    });
    entries.collect()
}
