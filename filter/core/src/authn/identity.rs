//! A verified caller.

/// Who a request comes from. Its constructor is private to [`authn`](super): having one is the proof.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    user: Box<str>,
}

impl Identity {
    /// `user` must have been found fit for a header ([`fits_header`]).
    pub(super) fn new(user: Box<str>) -> Self {
        Self { user }
    }

    /// The name that is stamped: unique across all sources of identities.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }
}

/// The longest user name, in bytes; OpenID Connect Core section 2 allows a subject 255.
pub const MAX_USER_BYTES: usize = 255;

/// Whether a name can stand in a header and come out as it went in: printable ASCII, no space at an end.
#[must_use]
pub fn fits_header(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_USER_BYTES
        && name.bytes().all(|b| matches!(b, 0x20..=0x7e))
        && !name.starts_with(' ')
        && !name.ends_with(' ')
}

#[cfg(test)]
mod tests {
    use super::fits_header;

    #[test]
    fn a_name_that_a_header_would_change_is_unfit() {
        for name in ["auth0|123", "alice", "a b", "did:key:z6Mk", "üx".trim_start_matches('ü')] {
            assert!(fits_header(name), "{name}");
        }
        for name in ["", " a", "a ", "a\n", "a\r\nX-Attach-User: b", "a\0", "ü", "\u{7f}", &"a".repeat(256)]
        {
            assert!(!fits_header(name), "{name}");
        }
    }
}
