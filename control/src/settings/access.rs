//! Who may come in besides an issuer's users, and what those who are in may do.

use std::fmt;
use std::path::PathBuf;

use attach_core::config::Grant;
use url::Url;

use super::Secret;

/// A way to say who one is (`AUTH_METHODS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// An issuer's tokens.
    Oidc,
    /// Tokens signed with a DID's key.
    Did,
    /// rotagent's signed requests.
    Rotagent,
    /// JWTs with a shared key.
    Hmac,
    /// HTTP message signatures (RFC 9421).
    Httpsig,
}

impl Method {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 5] = [Self::Oidc, Self::Did, Self::Rotagent, Self::Hmac, Self::Httpsig];

    /// Its name in `AUTH_METHODS`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Oidc => "oidc",
            Self::Did => "did",
            Self::Rotagent => "rotagent",
            Self::Hmac => "hmac",
            Self::Httpsig => "httpsig",
        }
    }

    /// The setting that turns it on by being given; `oidc` is on without one.
    #[must_use]
    pub fn setting(self) -> Option<&'static str> {
        match self {
            Self::Oidc => None,
            Self::Did => Some("DID_ALLOW"),
            Self::Rotagent => Some("AUTHORIZED_KEYS_DIR"),
            Self::Hmac => Some("HMAC_KEYS"),
            Self::Httpsig => Some("HTTPSIG_DIRECTORIES"),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// rotagent's signed requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotagent {
    /// `AUTHORIZED_KEYS_DIR`, absolute: public keys in files that are named after their issuers.
    pub folder: PathBuf,
    /// Stands before the issuer in `X-Attach-User`.
    pub user_prefix: String,
}

/// JWTs with shared keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hmac {
    /// `HMAC_KEYS`; empty only where secrets are withheld.
    pub keys: Vec<HmacKey>,
    /// Stands before the service's name in `X-Attach-User`.
    pub user_prefix: String,
}

/// One service and the key it shares with the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HmacKey {
    /// The service's name, which is the key's `kid`.
    pub name: String,
    /// At least 32 bytes.
    pub secret: Secret,
}

/// HTTP message signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Httpsig {
    /// `PUBLIC_URL`'s authority and `HTTPSIG_AUTHORITIES`, lower case.
    pub authorities: Vec<String>,
    /// `HTTPSIG_DIRECTORIES`.
    pub directories: Vec<Directory>,
    /// Stands before a directory's name in `X-Attach-User`.
    pub user_prefix: String,
    /// What a signature must cover where a route says nothing.
    pub components: Vec<String>,
    /// The oldest `created`, in seconds.
    pub max_age_seconds: u64,
}

/// One signer's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// The signer's name.
    pub name: String,
    /// What `Signature-Agent` says for it.
    pub agent: String,
    /// Where its keys are.
    pub jwks_url: Url,
}

/// Tokens that are swapped for an issuer's before they count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The setting that asks for it: `ENABLE_DESCOPE_EXCHANGE`, `exchanges[0]`; for messages.
    pub setting: String,
    /// The issuer of the tokens that are swapped, or `*`: every one that is not configured.
    pub from: String,
    /// The configured issuer whose token comes back.
    pub to: String,
    /// How it is asked for.
    pub grant: Grant,
    /// The token endpoint.
    pub endpoint: Url,
    /// The client's id.
    pub client_id: String,
    /// The client's secret; `None` only where secrets are withheld.
    pub client_secret: Option<Secret>,
    /// The audience to ask for.
    pub audience: Option<String>,
    /// The scopes to ask for.
    pub scope: Option<String>,
}

/// A service behind `/agents/{name}/…` (`A2A_TARGETS`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its address, without a trailing slash behind a path.
    pub url: Url,
}

/// Which identity is which target (`A2A_AGENTS`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// The target's name.
    pub target: String,
    /// The agent as the filter stamps it: `key:planner`.
    pub identity: String,
}
