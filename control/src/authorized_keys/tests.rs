use super::*;
use crate::supervise::tests::Folder;
use attach_core::crypto::Algorithm;
use attach_core::keys::KeySet;
use rsa::RsaPrivateKey;
use rsa::pkcs1::EncodeRsaPublicKey as _;
use rsa::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use std::sync::LazyLock;

fn new_key(bits: usize) -> RsaPrivateKey {
    RsaPrivateKey::new(&mut rsa::rand_core::OsRng, bits).unwrap()
}

static KEY: LazyLock<RsaPrivateKey> = LazyLock::new(|| new_key(2048));
static PEM: LazyLock<String> = LazyLock::new(|| pem(&KEY));

fn pem(key: &RsaPrivateKey) -> String {
    key.to_public_key().to_public_key_pem(LineEnding::LF).unwrap()
}

/// An Ed25519 key in PEM (RFC 8410 section 10.1).
const ED25519: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

#[test]
fn a_file_counts_for_what_is_in_it() {
    let private = KEY.to_pkcs8_pem(LineEnding::LF).unwrap();
    let pkcs1 = KEY.to_public_key().to_pkcs1_pem(LineEnding::LF).unwrap();
    let short = pem(&new_key(1024));
    let good = PEM.as_str();
    for (name, content, refused) in [
        ("as written", good.to_owned(), None),
        ("of Windows", good.replace('\n', "\r\n"), None),
        ("without the last line end", good.trim_end().to_owned(), None),
        ("with text around it", format!("planner's key\n{good}\nkeep\n"), None),
        ("indented", good.replace('\n', "\n  "), None),
        ("private", private.to_string(), Some(BadKey::Private)),
        ("both halves", format!("{good}{}", private.as_str()), Some(BadKey::Private)),
        ("encrypted private", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n".to_owned(), Some(BadKey::Private)),
        ("PKCS #1", pkcs1, Some(BadKey::Pkcs1)),
        ("two keys", format!("{good}{good}"), Some(BadKey::Several)),
        ("Ed25519", ED25519.to_owned(), Some(BadKey::NoKey)),
        ("short", short, Some(BadKey::Short(1024))),
        ("empty", String::new(), Some(BadKey::NoKey)),
        ("cut off", good.get(..200).unwrap().to_owned(), Some(BadKey::NoKey)),
        ("damaged", good.replacen('A', "!", 1), Some(BadKey::NoKey)),
        ("too long", format!("{good}{}", " ".repeat(16 * 1024)), Some(BadKey::TooLong)),
    ] {
        assert_eq!(Key::parse(content.as_bytes()).err(), refused, "{name}");
    }
    assert_eq!(Key::parse(&[0xff, 0xfe]).err(), Some(BadKey::NoKey));
    assert_eq!(Key::parse(good.as_bytes()).unwrap().bits(), 2048);
}

proptest::proptest! {
    #[test]
    fn no_content_breaks_the_reader(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2000), at in 0_usize..500) {
        let _ = Key::parse(&bytes);
        let mut damaged = PEM.as_bytes().to_vec();
        for (place, byte) in bytes.iter().take(4).enumerate() {
            let place = (at + place * 97) % damaged.len();
            damaged[place] = *byte;
        }
        let _ = Key::parse(&damaged);
    }
}

#[test]
fn the_set_is_one_that_the_filter_reads_and_names_each_issuer() {
    let folder = Folder::new("authorized-set");
    for name in ["planner.pem", "coder.v2.pub", "x@y.key"] {
        fs::write(folder.path().join(name), PEM.as_str()).unwrap();
    }
    let keys = AuthorizedKeys::new(Some(folder.path().to_owned()));
    let set = KeySet::parse(keys.jwks().unwrap().as_bytes()).unwrap();
    for issuer in ["planner", "coder.v2", "x@y"] {
        assert!(set.find(Some(issuer), Algorithm::Rs256).is_ok(), "{issuer}");
        assert!(set.find(Some(issuer), Algorithm::Ps256).is_err(), "{issuer}");
    }
    assert_eq!(keys.jwks().unwrap(), keys.jwks().unwrap());
}

#[test]
fn what_is_added_removed_or_replaced_counts_at_the_next_look() {
    let folder = Folder::new("authorized-change");
    let keys = AuthorizedKeys::new(Some(folder.path().to_owned()));
    let issuers = || {
        let set: Value = serde_json::from_str(&keys.jwks().unwrap()).unwrap();
        let kid = |key: &Value| key["kid"].as_str().unwrap().to_owned();
        set["keys"].as_array().unwrap().iter().map(kid).collect::<Vec<_>>()
    };
    assert_eq!(&*keys.jwks().unwrap(), r#"{"keys":[]}"#);
    let planner = folder.path().join("planner.pem");
    fs::write(&planner, PEM.as_str()).unwrap();
    assert_eq!(issuers(), ["planner"]);
    let before = keys.jwks().unwrap();
    fs::write(folder.path().join("notes.txt"), "no key").unwrap();
    assert_eq!(keys.jwks().unwrap(), before);
    fs::write(&planner, pem(&new_key(2048))).unwrap();
    assert_ne!(keys.jwks().unwrap(), before, "another key of the same size");
    fs::remove_file(&planner).unwrap();
    assert!(issuers().is_empty());
    fs::remove_dir(folder.path()).unwrap_or_default();
}

#[test]
fn every_file_that_is_passed_over_has_its_reason_and_harms_no_other() {
    let folder = Folder::new("authorized-refused");
    let put = |name: &str, content: &str| fs::write(folder.path().join(name), content).unwrap();
    put("good.pem", &PEM);
    put("mine.key", &KEY.to_pkcs8_pem(LineEnding::LF).unwrap());
    put("twice.pem", &PEM);
    put("twice.pub", &PEM);
    put("a name.pem", &PEM);
    put("grün.pem", &PEM);
    put(&format!("{}.pem", "n".repeat(129)), &PEM);
    put(".draft.pem", &PEM);
    fs::create_dir(folder.path().join("sub.pem")).unwrap();
    std::os::unix::fs::symlink("good.pem", folder.path().join("linked.pub")).unwrap();
    std::os::unix::fs::symlink("nowhere", folder.path().join("lost.pem")).unwrap();

    let found = read(folder.path()).unwrap();
    assert_eq!(found.keys.keys().collect::<Vec<_>>(), ["good", "linked"]);
    let reason = |name: &str| found.refused.get(name).unwrap();
    assert_eq!(*reason("mine.key"), Refused::Key(BadKey::Private));
    assert!(reason("mine.key").to_string().contains("move it"));
    assert_eq!(*reason("twice.pem"), Refused::Twice("twice.pub".to_owned()));
    assert_eq!(*reason("twice.pub"), Refused::Twice("twice.pem".to_owned()));
    for name in ["a name.pem", "grün.pem"] {
        assert_eq!(*reason(name), Refused::Name, "{name}");
    }
    assert!(matches!(reason("lost.pem"), Refused::Key(BadKey::Unreadable(_))));
    assert_eq!(found.refused.len(), 7, "{:?}", found.refused);
}

#[test]
fn at_most_500_keys_are_served() {
    let folder = Folder::new("authorized-many");
    for number in 0..=MAX_KEYS {
        fs::write(folder.path().join(format!("agent{number:03}.pem")), PEM.as_str()).unwrap();
    }
    let found = read(folder.path()).unwrap();
    assert_eq!(found.keys.len(), MAX_KEYS);
    assert_eq!(found.refused.get("agent500.pem"), Some(&Refused::TooMany));
}

#[test]
fn a_folder_that_does_not_exist_holds_no_key_and_one_that_cannot_be_listed_says_nothing() {
    let folder = Folder::new("authorized-none");
    let missing = AuthorizedKeys::new(Some(folder.path().join("missing")));
    assert_eq!(&*missing.jwks().unwrap(), r#"{"keys":[]}"#);
    assert_eq!(&*AuthorizedKeys::new(None).jwks().unwrap(), r#"{"keys":[]}"#);
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(AuthorizedKeys::new(Some(file)).jwks().is_err());
}

#[test]
fn a_set_is_never_longer_than_the_filter_reads() {
    let folder = Folder::new("authorized-long");
    let long = pem(&new_key(4096));
    for number in 0..400 {
        fs::write(folder.path().join(format!("agent{number:03}.pem")), &long).unwrap();
    }
    let found = read(folder.path()).unwrap();
    let text = jwks(&found.keys).to_string();
    assert!(text.len() < attach_core::keys::jwk::MAX_BYTES, "{}", text.len());
    assert!(text.len() > MAX_SET - 1024 && found.refused.values().all(|why| *why == Refused::TooMany));
}
