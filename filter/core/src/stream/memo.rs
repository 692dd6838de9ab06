//! What a worker has worked out about a verified token, so that the next request with it need not.

use std::rc::Rc;

use crate::authn::Identity;
use crate::authn::token_cache::{Entry, TokenCache};
use crate::clock::UnixMillis;
use crate::policy::Policy;
use crate::policy::accounting::Accounts;
use crate::stamp::assertion::Assertion;
use crate::stamp::session_id;

/// The longest user agent whose session is remembered with the token.
const MAX_AGENT_BYTES: usize = 512;

/// Tokens verified lately.
pub type Tokens = TokenCache<Memo>;

/// What was worked out.
#[derive(Debug, Default)]
pub struct Memo {
    /// Whether the token needs no further look on a route without rules of its own: it lacks no scope that
    /// is required everywhere, and its user may use every model.
    pub is_plain: bool,
    /// The accounts that the user's calls may count against.
    accounts: Option<Accounts>,
    /// The session of the user agent that came with it last.
    session: Option<(Box<[u8]>, [u8; 64])>,
    /// The statement that was signed last, for that session.
    assertion: Option<Rc<Assertion>>,
}

/// The session id of a token's user and a user agent.
pub(super) fn session(entry: &mut Entry<Memo>, user_agent: &[u8]) -> [u8; 64] {
    if let Some((last, session)) = &entry.memo.session
        && **last == *user_agent
    {
        return *session;
    }
    let session = session_id(&entry.identity, user_agent);
    entry.memo.assertion = None;
    entry.memo.session = (user_agent.len() <= MAX_AGENT_BYTES).then(|| (user_agent.into(), session));
    session
}

/// The statement for an upstream about a token's user in the session of [`session`], which comes first.
pub(super) fn assertion(
    entry: &mut Entry<Memo>,
    audience: &str,
    now: UnixMillis,
    sign: impl FnOnce(&Identity) -> Rc<Assertion>,
) -> Rc<Assertion> {
    if let Some(last) = &entry.memo.assertion
        && last.serves(&entry.identity, audience, now)
    {
        return Rc::clone(last);
    }
    let made = sign(&entry.identity);
    // Of a user agent that is too long to be remembered, nothing is.
    entry.memo.assertion = entry.memo.session.is_some().then(|| Rc::clone(&made));
    made
}

/// The accounts of a token's user.
pub(super) fn accounts(entry: &mut Entry<Memo>, policy: &Policy) -> Accounts {
    let Entry { identity, memo, .. } = entry;
    Rc::clone(memo.accounts.get_or_insert_with(|| policy.accounts(identity)))
}
