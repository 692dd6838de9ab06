//! A verified caller.

use crate::clock::UnixMillis;

/// The kind of credential that a caller was verified by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// An OIDC issuer's token, or one that was exchanged for it.
    Oidc,
    /// A DID's own token.
    Did,
    /// A request that rotagent's client signed.
    Rotagent,
    /// A JWT with a shared key.
    Hmac,
    /// An HTTP message signature.
    Httpsig,
    /// One of the gateway's own tokens.
    Gateway,
}

impl Credential {
    /// What logs and records call it: the names of `AUTH_METHODS`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::Did => "did",
            Self::Rotagent => "rotagent",
            Self::Hmac => "hmac",
            Self::Httpsig => "httpsig",
            Self::Gateway => "gateway",
        }
    }
}

/// Who a request comes from. Its constructor is private to [`authn`](super): having one is the proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    user: Box<str>,
    agent: Option<Box<str>>,
    scopes: Box<[Box<str>]>,
    claims: Box<[MappedClaim]>,
    spaces: Box<[Box<str>]>,
    expires: UnixMillis,
    credential: Credential,
}

/// A claim that travels to the upstream in a header of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedClaim {
    /// The header's name, lower case; begins with `x-attach-`.
    pub header: Box<str>,
    /// Its value, which [fits a header](fits_header); of a list, its elements with commas between them.
    pub value: Box<str>,
    /// Whether it is a list. A comma in a text does not make it one.
    pub is_list: bool,
}

impl MappedClaim {
    /// Whether the claim is that value, or as a list has it.
    #[must_use]
    pub fn has(&self, value: &str) -> bool {
        *self.value == *value || (self.is_list && self.value.split(',').any(|element| element == value))
    }
}

impl Identity {
    /// `user` must have been found fit for a header ([`fits_header`]); it may act until `expires`.
    pub(super) fn new(user: Box<str>, expires: UnixMillis, credential: Credential) -> Self {
        Self {
            user,
            agent: None,
            scopes: Box::default(),
            claims: Box::default(),
            spaces: Box::default(),
            expires,
            credential,
        }
    }

    /// The same caller with these scopes.
    pub(super) fn with_scopes(mut self, scopes: impl IntoIterator<Item = Box<str>>) -> Self {
        self.scopes = scopes.into_iter().collect();
        self
    }

    /// The same caller with these claims to be stamped.
    pub(super) fn with_claims(mut self, claims: Vec<MappedClaim>) -> Self {
        self.claims = claims.into();
        self
    }

    /// The same caller, admitted to these spaces of memory.
    pub(super) fn with_spaces(mut self, spaces: impl IntoIterator<Item = Box<str>>) -> Self {
        self.spaces = spaces.into_iter().collect();
        self
    }

    /// The same user, for whom `agent` acts. The agent's name must fit a header.
    pub(super) fn acting(mut self, agent: Box<str>) -> Self {
        self.agent = Some(agent);
        self
    }

    /// The name that is stamped: unique across all sources of identities.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Who acts for the user, where a credential says so.
    #[must_use]
    pub fn agent(&self) -> Option<&str> {
        self.agent.as_deref()
    }

    /// What the user may do, by the credential or by the operator's grants.
    #[must_use]
    pub fn scopes(&self) -> &[Box<str>] {
        &self.scopes
    }

    /// The claims that are stamped.
    #[must_use]
    pub fn claims(&self) -> &[MappedClaim] {
        &self.claims
    }

    /// The spaces of memory that the user is admitted to.
    #[must_use]
    pub fn spaces(&self) -> &[Box<str>] {
        &self.spaces
    }

    /// What the user was verified by.
    #[must_use]
    pub fn credential(&self) -> Credential {
        self.credential
    }

    /// Until when the credential says so: its own expiry, without leeway.
    #[must_use]
    pub fn expires(&self) -> UnixMillis {
        self.expires
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
