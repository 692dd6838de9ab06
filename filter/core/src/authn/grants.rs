//! Scopes that the operator grants by name, for callers whose credential nobody but themselves signs.

use super::identity::Identity;

/// A user as stamped, or all whose name begins so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPattern {
    text: Box<str>,
    open: bool,
}

impl UserPattern {
    /// Reads a pattern: a name, or a beginning that ends in `*`.
    #[must_use]
    pub fn new(text: &str) -> Self {
        match text.strip_suffix('*') {
            Some(start) => Self { text: start.into(), open: true },
            None => Self { text: text.into(), open: false },
        }
    }

    /// Whether a name is meant.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        if self.open { name.starts_with(&*self.text) } else { name == &*self.text }
    }
}

/// To whom, and what.
type Grant = (UserPattern, Box<[Box<str>]>);

/// What is granted to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(Box<[Grant]>);

impl Grants {
    /// The grants of a configuration.
    #[must_use]
    pub fn new(grants: impl IntoIterator<Item = Grant>) -> Self {
        Self(grants.into_iter().collect())
    }

    /// The caller with what is granted to it besides what it has.
    pub(super) fn apply(&self, identity: Identity) -> Identity {
        if !self.0.iter().any(|(pattern, _)| pattern.matches(identity.user())) {
            return identity;
        }
        let mut scopes = identity.scopes().to_vec();
        for (_, more) in self.0.iter().filter(|(pattern, _)| pattern.matches(identity.user())) {
            for scope in more {
                if !scopes.contains(scope) {
                    scopes.push(scope.clone());
                }
            }
        }
        identity.with_scopes(scopes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMillis;

    #[test]
    fn a_grant_adds_to_what_a_caller_may_and_takes_nothing() {
        let grants = Grants::new([
            (UserPattern::new("key:*"), ["a".into(), "b".into()].into()),
            (UserPattern::new("key:planner"), ["c".into()].into()),
        ]);
        let of = |user: &str| {
            let identity = Identity::new(user.into(), UnixMillis(0), crate::authn::Credential::Oidc)
                .with_scopes(["b".into()]);
            grants.apply(identity).scopes().iter().map(|scope| scope.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(of("key:planner"), ["b", "a", "c"]);
        assert_eq!(of("key:planner2"), ["b", "a"]);
        assert_eq!(of("alice"), ["b"]);
    }
}
