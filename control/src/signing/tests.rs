use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::*;
use crate::supervise::tests::Folder;

/// Some moment.
const T: u64 = 1_700_000_000;

fn kids(ring: &Keyring, now: u64) -> BTreeSet<String> {
    let jwks = ring.jwks(now);
    jwks["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// Who signs, by the token's own word.
fn signer(ring: &Keyring, now: u64) -> String {
    let token = ring.sign("at+jwt", &json!({}), now).unwrap();
    let jws = attach_core::authn::jws::Jws::parse(&token).unwrap();
    let kid = jws.key_id.unwrap();
    let key = ring.find(&kid, now).expect("whoever signs is published");
    assert!(key.verifies(jws.signing_input, &jws.signature));
    kid
}

#[test]
fn a_missing_ring_is_made_for_its_owner_alone_and_kept() {
    let folder = Folder::new("ring-made");
    let path = folder.path().join("secrets/gateway-keys.json");
    let ring = Keyring::open(path.clone(), Purpose::GatewayTokens, T).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = Keyring::open(path, Purpose::GatewayTokens, T + 1).unwrap();
    assert_eq!(signer(&ring, T), signer(&again, T + 1));
    let listed = ring.jwks(T);
    assert_eq!(listed["keys"].as_array().unwrap().len(), 1);
    let members: Vec<_> = listed["keys"][0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"], "nothing private");
}

#[test]
fn gateway_tokens_change_to_the_next_key_a_minute_after_it_was_published() {
    let folder = Folder::new("ring-takeover");
    let path = folder.path().join("gateway-keys.json");
    let ring = Keyring::open(path.clone(), Purpose::GatewayTokens, T).unwrap();
    let old = signer(&ring, T);
    let old_seed = start_key(&path, T).unwrap().seed();
    let Rotated::Made(new) = rotate(&path, Purpose::GatewayTokens, T).unwrap() else { panic!("no key") };
    let both = BTreeSet::from([old.clone(), new.clone()]);

    for (after, by, published) in [
        (0, &old, both.clone()),
        (TAKEOVER - 1, &old, both.clone()),
        (TAKEOVER, &new, both.clone()),
        (TAKEOVER + 15 * 60 + 60, &new, both.clone()),
        (TAKEOVER + Purpose::GatewayTokens.grace(), &new, BTreeSet::from([new.clone()])),
    ] {
        assert_eq!(&signer(&ring, T + after), by, "{after} s");
        assert_eq!(kids(&ring, T + after), published, "{after} s");
    }
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains(&old_seed), "a key that was replaced is forgotten");
}

#[test]
fn services_that_cannot_write_the_file_agree_all_the_same() {
    let folder = Folder::new("ring-agree");
    let path = folder.path().join("gateway-keys.json");
    let one = Keyring::open(path.clone(), Purpose::GatewayTokens, T).unwrap();
    let Rotated::Made(new) = rotate(&path, Purpose::GatewayTokens, T).unwrap() else { panic!("no key") };
    assert_ne!(signer(&one, T), new, "the change is seen before it counts");
    let held = file::Guard::take(&path).unwrap();
    let other = Keyring::open(path.clone(), Purpose::GatewayTokens, T + 300).unwrap();
    assert_eq!(signer(&one, T + 300), new);
    assert_eq!(one.jwks(T + 300), other.jwks(T + 300));
    drop(held);
}

#[test]
fn assertions_change_when_envoy_has_started_with_the_next_key() {
    let folder = Folder::new("ring-start");
    let path = folder.path().join("assertion-keys.json");
    let first = start_key(&path, T).unwrap();
    let ring = Keyring::open(path.clone(), Purpose::Assertions, T).unwrap();
    assert_eq!(kids(&ring, T), BTreeSet::from([first.kid().to_owned()]));
    promote(&path, first.kid(), T).unwrap();
    assert_eq!(start_key(&path, T).unwrap().kid(), first.kid(), "nothing to promote");

    let Rotated::Made(new) = rotate(&path, Purpose::Assertions, T).unwrap() else { panic!("no key") };
    let both = BTreeSet::from([first.kid().to_owned(), new.clone()]);
    assert_eq!(kids(&ring, T), both, "published at once");
    assert_eq!(signer(&ring, T + 86_400), first.kid(), "no time passes the turn on");
    assert_eq!(start_key(&path, T + 86_400).unwrap().kid(), new);
    assert_eq!(kids(&ring, T + 86_400), both, "a start that failed harms nobody");

    promote(&path, "another", T + 86_400).unwrap();
    assert_eq!(signer(&ring, T + 86_400), first.kid());
    promote(&path, &new, T + 86_400).unwrap();
    assert_eq!(signer(&ring, T + 86_400), new);
    assert_eq!(kids(&ring, T + 86_400 + 599), both);
    assert_eq!(kids(&ring, T + 86_400 + 600), BTreeSet::from([new]));
}

#[test]
fn rotating_twice_does_not_withdraw_what_was_just_published() {
    let folder = Folder::new("ring-twice");
    let path = folder.path().join("assertion-keys.json");
    for purpose in [Purpose::Assertions, Purpose::GatewayTokens] {
        let path = path.with_file_name(purpose.file_name());
        let Rotated::Made(new) = rotate(&path, purpose, T).unwrap() else { panic!("no key") };
        assert_eq!(rotate(&path, purpose, T + 1).unwrap(), Rotated::Waiting(new));
    }
    let path = path.with_file_name(Purpose::GatewayTokens.file_name());
    assert!(matches!(rotate(&path, Purpose::GatewayTokens, T + TAKEOVER), Ok(Rotated::Made(_))));
}

#[test]
fn a_file_that_is_no_ring_is_refused_at_the_start_and_passed_over_later() {
    let folder = Folder::new("ring-bad");
    let path = folder.path().join("gateway-keys.json");
    let ring = Keyring::open(path.clone(), Purpose::GatewayTokens, T).unwrap();
    let good: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let by = signer(&ring, T);
    let mut other_kid = good.clone();
    other_kid["current"]["kid"] = "x".into();
    let mut no_retired = good.clone();
    no_retired.as_object_mut().unwrap().remove("retired");
    for bad in [json!({}), json!([]), other_kid, no_retired] {
        fs::write(&path, bad.to_string()).unwrap();
        let refused = Keyring::open(path.clone(), Purpose::GatewayTokens, T);
        assert!(matches!(refused, Err(Error::Malformed(_))), "{bad}");
        assert_eq!(signer(&ring, T), by, "the keys that were read last go on");
    }
    fs::write(&path, good.to_string()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let refused = Keyring::open(path.clone(), Purpose::GatewayTokens, T);
    assert!(matches!(refused, Err(Error::Exposed(_))));
    fs::remove_file(&path).unwrap();
    assert_eq!(signer(&ring, T), by);
}

#[test]
fn of_several_that_make_a_ring_at_once_all_have_the_same() {
    let folder = Folder::new("ring-race");
    let path = folder.path().join("assertion-keys.json");
    let made: BTreeSet<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| start_key(&path, T).unwrap().seed())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(made.len(), 1);
}
