//! The gateway's own headers: the one list of their names, and what stands in them.

pub mod assertion;

use crate::authn::Identity;
use crate::crypto::sha256_hex;

/// Towards the upstream, who the caller is; towards the client, its first [`CLIENT_USER_CHARS`] characters.
pub const USER: &str = "x-attach-user";
/// Towards the upstream, the session id; towards the client, its first [`CLIENT_SESSION_DIGITS`] digits.
pub const SESSION: &str = "x-attach-session";
/// Towards the upstream, who acts for the caller, where somebody does.
pub const AGENT: &str = "x-attach-agent";
/// Towards the upstream, a signed statement of all of it; see [`assertion`].
pub const ASSERTION: &str = "x-attach-assertion";
/// Towards control alone, what the caller may do: scopes with spaces between them.
pub const SCOPES: &str = "x-attach-scopes";
/// Towards control alone, the spaces of memory that the caller is admitted to, with spaces between them.
pub const SPACES: &str = "x-attach-spaces";
/// Towards control alone, the proof that the filter sends the request.
pub const CONTROL_SECRET: &str = "x-attach-control-secret";
/// Towards the upstream, what kind of credential the caller was verified by; the access log prints it.
pub const CREDENTIAL: &str = "x-attach-credential";
/// Towards nobody: on a request that is refused, the reason, for the access log to print. Writing a header
/// costs Envoy far less than a log call or a property.
pub const DENIED: &str = "x-attach-denied";

/// How much of the user's name the client sees, as the original shows it.
pub const CLIENT_USER_CHARS: usize = 32;
/// How much of the session id the client sees, as the original shows it.
pub const CLIENT_SESSION_DIGITS: usize = 16;

/// The session id: hexadecimal SHA-256 of user, `:` and user agent, as the original computes it.
///
/// Anyone can compute it, so it labels and never grants. The original reads headers as ISO 8859-1 and hashes
/// UTF-8, so bytes beyond ASCII count as two.
#[must_use]
pub fn session_id(identity: &Identity, user_agent: &[u8]) -> [u8; 64] {
    let user = identity.user().as_bytes();
    if user_agent.is_ascii() {
        return sha256_hex(&[user, b":", user_agent]);
    }
    let latin: String = user_agent.iter().copied().map(char::from).collect();
    sha256_hex(&[user, b":", latin.as_bytes()])
}

/// What the client sees of the user's name.
#[must_use]
pub fn client_user(identity: &Identity) -> &[u8] {
    // A user's name is ASCII, so a byte is a character.
    let user = identity.user().as_bytes();
    user.get(..CLIENT_USER_CHARS).unwrap_or(user)
}

/// What the client sees of the session id.
#[must_use]
pub fn client_session(session: &[u8; 64]) -> &[u8] {
    session.get(..CLIENT_SESSION_DIGITS).unwrap_or(session)
}
