//! What is left of limits that are control's: those by day and month, and with `REDIS_URL` all of them.
//!
//! The filter's workers report what they have spent and ask for leases ([`wire`](attach_core::quota::wire));
//! one operation is one transaction, and the same operation again gets the first answer for
//! [`KEEP_SECONDS`] and changes nothing. What was answered is on the disk, or in Redis and in the journal on
//! the disk, before the answer goes out.
//!
//! **Without `REDIS_URL`** the accounts are rows of control's database ([`local`]): they survive a kill of
//! control, and belong to the Envoys that ask this control.
//!
//! **With `REDIS_URL`** ([`fleet`]) the accounts live in Redis and are shared by all controls: one script does
//! what [`Entry`](attach_core::quota::entry::Entry) does, by Redis's clock. Every key is in the slot of
//! `{attach}` and expires after its window:
//!
//! | key | what |
//! |---|---|
//! | `{attach}:epoch` | `ready NAME`, or `rebuilding NAME UNTIL`; while it is missing nobody gets a lease |
//! | `{attach}:members` | the controls, and when each was heard of |
//! | `{attach}:rebuild` | what each control has added since the epoch began: `-`, a key, or `done` |
//! | `{attach}:quota:KEY` | an account |
//! | `{attach}:op:ID` | what an operation was answered |
//!
//! **When Redis has lost everything** (it keeps nothing on disk and was restarted, or was flushed) the epoch is
//! missing. Each control keeps a journal of what it relayed ([`journal`]) and adds its part once, in pieces; a
//! lease is granted again when every control that was heard of within the last hour has added its part. A
//! control that is down then holds this up for one longest sliding window (as far as the journals know it), five
//! minutes at most, and adds its part before it relays anything when it is back.
//!
//! - Rebuilt: what was used, in sliding windows, days and months alike; open leases, as their worker was heard of
//!   last; what operations of the last minutes were answered, so that one that is repeated is not done twice.
//! - Not rebuilt: the part of a control whose state folder is gone or that has not come back; operations that
//!   Redis carried out and whose control was killed before it wrote them down and whose worker is gone too; and
//!   whatever is missing when Redis comes back with *old* data (a snapshot, a replica that lagged), since the
//!   epoch is there then: run it with `appendonly yes`, or without any persistence.
//! - A control that has never seen an epoch has nothing to add and begins one at once, so that a first start
//!   refuses nobody. What lived in control's database before `REDIS_URL` was set stays there: the windows begin
//!   anew.
//!
//! Redis must not evict (`maxmemory-policy noeviction`, its default).

use attach_core::quota::wire::{Answer, Request};

pub mod fleet;
pub mod journal;
pub mod local;
mod outage;

use crate::clock::unix_now;
use crate::replay::BadUrl;
use crate::settings::Secret;
use crate::store::{self, Store, rusqlite};

/// How long an operation's answer is kept, in seconds.
pub const KEEP_SECONDS: u64 = 11 * 60;
/// The largest number of tokens that is told apart from larger ones: what a double holds exactly.
const LARGEST: u64 = (1 << 53) - 1;

/// The limits' home; cheap to clone.
#[derive(Clone, Debug)]
pub struct Quotas {
    home: Home,
}

#[derive(Clone, Debug)]
enum Home {
    Local(local::Local),
    Fleet(fleet::Fleet),
}

/// Why there is no answer. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Control's own database.
    #[error("control's database cannot be had: {0}")]
    Store(#[from] store::Error),
    /// An account in the database is none.
    #[error("the account {0} in control's database cannot be read; it is forgotten when its window is over")]
    Unreadable(String),
    /// Redis.
    #[error("Redis cannot be had ({0}): check REDIS_URL")]
    Redis(String),
    /// Redis has lost the windows.
    #[error("Redis came back empty: limits are closed until what was used is in it again")]
    Rebuilding,
    /// The id was another request's.
    #[error("the id was used before, by a request about other accounts")]
    Repeated,
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl Quotas {
    /// The home of limits: Redis where there is one, else the database. Touches neither. Must be called within a
    /// Tokio runtime.
    ///
    /// # Errors
    /// [`BadUrl`].
    pub fn new(store: Store, redis_url: Option<&Secret>) -> Result<Self, BadUrl> {
        let home = match redis_url {
            None => Home::Local(local::Local::new(store)),
            Some(url) => Home::Fleet(fleet::Fleet::new(store, url, fleet::Pace::default())?),
        };
        Ok(Self { home })
    }

    /// Carries an operation out, once.
    ///
    /// # Errors
    /// See [`Error`]. But for [`Error::Repeated`] it may have been carried out all the same: the same request
    /// again finds out.
    pub async fn operate(&self, request: Request) -> Result<Answer, Error> {
        let accounts = request.accounts.len();
        let answer = match &self.home {
            Home::Local(local) => local.operate(request, unix_now()).await?,
            Home::Fleet(fleet) => fleet.operate(&request).await?,
        };
        if answer.is_about(accounts) { Ok(answer) } else { Err(Error::Repeated) }
    }
}

/// A number as SQLite has it.
fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// [`stored`] backwards.
fn read(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests;
