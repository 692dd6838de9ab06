//! What a book is asked for, and what comes of it.

use std::rc::Rc;

use crate::quota::{Key, Limit, MAX_LIMITS};

/// A limit that a request counts against, and whose account it is.
#[derive(Clone, Copy, Debug)]
pub struct Need<'a> {
    /// The account.
    pub key: Key,
    /// Its limit.
    pub limit: &'a Limit,
}

/// Tokens that are set aside for a request, under each of its limits. Ends with [`Book::settle`](super::Book::settle).
#[must_use = "what is held stays held until it is settled"]
#[derive(Debug)]
pub struct Hold {
    pub(super) places: Places,
    pub(super) tokens: u64,
}

/// Where a request's accounts are in the book's table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Places {
    places: [u32; MAX_LIMITS],
    len: usize,
}

impl Places {
    pub(super) fn push(&mut self, place: u32) {
        if let Some(free) = self.places.get_mut(self.len) {
            *free = place;
            self.len = self.len.saturating_add(1);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + use<> {
        self.places.into_iter().take(self.len)
    }
}

impl Hold {
    /// How much is held.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }
}

/// What comes of reserving.
#[derive(Debug)]
pub enum Taken {
    /// All limits have enough.
    Granted(Hold),
    /// One has not; nothing is held.
    Refused(Refused),
    /// Control must be asked: send this, and hand what comes back to [`Book::answered`](super::Book::answered) or [`Book::failed`](super::Book::failed),
    /// which says what comes of it.
    Ask(Operation),
    /// A limit's home is not to be had, or too many accounts are in use; nothing is held.
    Unavailable,
}

/// What comes of growing a hold.
#[derive(Debug)]
pub enum Grown {
    /// It has grown.
    Granted,
    /// One limit has not enough; the hold is as it was.
    Refused(Refused),
    /// Control must be asked; the hold that is granted then is to be [joined](super::Book::join) to the one that
    /// was to grow.
    Ask(Operation),
    /// A limit's home is not to be had; the hold is as it was.
    Unavailable,
}

/// What comes of asking how accounts stand.
#[derive(Debug)]
pub enum Refreshed {
    /// [`Book::view`](super::Book::view) says it.
    Now,
    /// It will when this is answered.
    Ask(Operation),
    /// A limit's home is not to be had.
    Unavailable,
}

/// A limit that has not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The account.
    pub key: Key,
    /// In how many seconds there may be enough, at least one; `None` if the limit itself is less.
    pub retry_after: Option<u64>,
    /// How the account stands.
    pub view: View,
}

/// How an account stands, as far as a worker knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The limit.
    pub limit: u64,
    /// Used in the window that ends now.
    pub used: u64,
    /// Set aside: for this worker's requests, and leased to other workers.
    pub held: u64,
    /// The rest.
    pub remaining: u64,
    /// In how many seconds all that was used has left the window; of a day and a month, their rest.
    pub reset: u64,
}

/// A request to control, as it goes to [`PATH`](crate::quota::wire::PATH).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Which one, within its book.
    pub id: u64,
    /// The JSON text.
    pub body: Rc<[u8]>,
}

/// What control's answer means for who has asked.
#[derive(Debug)]
pub enum Answered {
    /// The reservation is made. Who does not want it any more settles it with nothing.
    Granted(Hold),
    /// A limit has not enough.
    Refused(Refused),
    /// Control cannot tell, or nobody knows what it has done; it is asked again, but the request must not
    /// wait for that.
    Unavailable,
    /// Nobody waits for it.
    Done,
}
