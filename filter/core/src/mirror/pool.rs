//! How much memory one worker gives to memory: what is assembled of open streams and what waits to be told,
//! together.

use std::cell::Cell;
use std::rc::Rc;

/// The most that all of it takes, in bytes.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The most that may be taken when a text of an open stream grows, in bytes. The rest is left for what is made of such
/// texts when their streams end: they are larger once they are written, and may all end at once.
pub const OPEN_BYTES: usize = 6 * 1024 * 1024;

/// One worker's; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Pool {
    taken: Rc<Cell<usize>>,
}

/// Some of it; given back when it is dropped.
#[derive(Debug)]
pub struct Share {
    bytes: usize,
    taken: Rc<Cell<usize>>,
}

impl Pool {
    /// How much is taken, in bytes.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.taken.get()
    }

    /// Nothing yet, to [grow](Share::grow).
    #[must_use]
    pub fn share(&self) -> Share {
        Share { bytes: 0, taken: Rc::clone(&self.taken) }
    }
}

impl Share {
    /// How much it is, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes so much more, in bytes; `false`, and nothing is taken, where there is not that much.
    #[must_use]
    pub fn grow(&mut self, by: usize) -> bool {
        self.grow_within(by, MAX_BYTES)
    }

    /// The same for a text of an open stream, which may take no more than [`OPEN_BYTES`] with all else.
    #[must_use]
    pub fn grow_open(&mut self, by: usize) -> bool {
        self.grow_within(by, OPEN_BYTES)
    }

    fn grow_within(&mut self, by: usize, most: usize) -> bool {
        let after = self.taken.get().saturating_add(by);
        let fits = after <= most;
        if fits {
            self.taken.set(after);
            self.bytes = self.bytes.saturating_add(by);
        }
        fits
    }

    /// Gives back what is beyond so much, in bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        let surplus = self.bytes.saturating_sub(bytes);
        self.taken.set(self.taken.get().saturating_sub(surplus));
        self.bytes = self.bytes.saturating_sub(surplus);
    }

    /// Takes another one over.
    pub fn join(&mut self, mut other: Self) {
        self.bytes = self.bytes.saturating_add(core::mem::take(&mut other.bytes));
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back_and_there_is_never_more() {
        let pool = Pool::default();
        let (mut one, mut other) = (pool.share(), pool.share());
        assert!(one.grow(MAX_BYTES - 10));
        assert!(!other.grow(11));
        assert!(other.grow(10));
        one.shrink_to(5);
        assert_eq!(pool.taken(), 15);
        one.join(other);
        assert_eq!((one.bytes(), pool.taken()), (15, 15));
        drop(one);
        assert_eq!(pool.taken(), 0);
        let mut open = pool.share();
        assert!(open.grow_open(OPEN_BYTES) && !open.grow_open(1) && open.grow(1));
    }
}
