//! Prefixes keep the users of different issuers apart, since ownership, quota and session hang on the
//! stamped user. Two sources must never be able to stamp the same one.
//!
//! The first issuer's subjects stand as they are; the filter refuses one that begins with another's prefix
//! or with `did:`. So every further issuer needs a prefix of its own, and of two prefixes, `did:` among
//! them, none may begin the other: with `d` as a prefix the subject `id:key:z6Mk…` would be a DID.

use super::Issuer;
use super::problem::{Findings, shown};

const RESERVED: &str = "did:";
const LONGEST: usize = 64;

/// Checks the prefixes of all issuers; the first one's is empty by construction.
pub(crate) fn check(issuers: &[Issuer], findings: &mut Findings) {
    let mut earlier: Vec<&Issuer> = Vec::new();
    for issuer in issuers.iter().skip(1) {
        let prefix = issuer.user_prefix.as_str();
        let setting = issuer.setting.replace(".issuer", ".user_prefix");
        if prefix.is_empty() {
            findings.problem(
                setting,
                "must be set: every issuer but the first needs a prefix for its users, for example \"partner:\"",
            );
            continue;
        }
        if prefix.len() > LONGEST || !prefix.bytes().all(|b| b.is_ascii_graphic()) {
            findings.problem(
                setting,
                format!("{} must be 1 to {LONGEST} visible ASCII signs without spaces", shown(prefix)),
            );
            continue;
        }
        if begins(prefix, RESERVED) {
            findings.problem(
                setting.clone(),
                format!(
                    "{} can be mistaken for a DID, which begins with \"did:\"; choose another",
                    shown(prefix)
                ),
            );
        }
        for other in earlier.iter().filter(|other| begins(prefix, &other.user_prefix)) {
            findings.problem(
                setting.clone(),
                format!(
                    "{} and {} of {} begin alike, so one issuer could name the other's users; choose prefixes of which none begins another",
                    shown(prefix),
                    shown(&other.user_prefix),
                    other.setting.replace(".issuer", ".user_prefix"),
                ),
            );
        }
        earlier.push(issuer);
    }
}

/// Whether one of the two begins the other.
fn begins(a: &str, b: &str) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(prefixes: &[&str]) -> usize {
        let issuers: Vec<_> = std::iter::once("")
            .chain(prefixes.iter().copied())
            .enumerate()
            .map(|(i, prefix)| Issuer {
                setting: format!("issuers[{i}].issuer"),
                issuer: format!("https://{i}.example.com"),
                audiences: vec!["a".into()],
                jwks_url: None,
                user_prefix: prefix.into(),
            })
            .collect();
        let mut findings = Findings::default();
        check(&issuers, &mut findings);
        findings.problems.len()
    }

    #[test]
    fn prefixes_that_could_be_confused_are_refused() {
        for (prefixes, expected) in [
            (&["a:", "b:"][..], 0),
            (&[""], 1),
            (&["a:", "a:"], 1),
            (&["a", "a:b"], 1),
            (&["a:b", "a"], 1),
            (&["did:"], 1),
            (&["did:web:"], 1),
            (&["d"], 1),
            (&["dida"], 0),
            (&["a b"], 1),
            (&["é:"], 1),
            (&["a", "ab", "abc"], 3),
        ] {
            assert_eq!(problems(prefixes), expected, "{prefixes:?}");
        }
    }
}
