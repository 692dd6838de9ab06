//! One issuer's keys as one worker knows them: a copy of what all workers share.

use crate::clock::UnixMillis;
use crate::crypto::Algorithm;

use super::turn::{Record, Schedule, Turn};
use super::{Key, KeySet, NoKey};

/// An issuer's keys in this VM.
#[derive(Debug)]
pub struct JwksCache {
    schedule: Schedule,
    keys: KeySet,
    /// The record that was read last; its generation is that of `keys`.
    record: Record,
    /// A request waits for a key that is not there.
    wanted: bool,
}

/// Why there is no key for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// It may come: wait for the root.
    Wait,
    /// There are no keys, and none can be had at the moment; seconds after which to try again.
    NoKeys(u64),
    /// There are keys, and none is meant.
    Key(NoKey),
}

impl JwksCache {
    /// An empty cache.
    #[must_use]
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule, keys: KeySet::default(), record: Record::default(), wanted: false }
    }

    /// The key that a token's header means.
    ///
    /// # Errors
    /// [`Missing`]. With [`Missing::Wait`] the root is asked to look for it.
    pub fn find(&mut self, now: UnixMillis, id: Option<&str>, algorithm: Algorithm) -> Result<&Key, Missing> {
        self.look(now, |keys| keys.find(id, algorithm))
    }

    /// The key that an HTTP message signature names, by its id or its thumbprint.
    ///
    /// # Errors
    /// As of [`JwksCache::find`].
    pub fn find_signer(
        &mut self,
        now: UnixMillis,
        id: &str,
        algorithm: Option<Algorithm>,
    ) -> Result<&Key, Missing> {
        self.look(now, |keys| keys.find_signer(id, algorithm))
    }

    /// Whether [`JwksCache::find_signer`] would find a key; asks nobody for it.
    #[must_use]
    pub fn has_signer(&self, now: UnixMillis, id: &str, algorithm: Option<Algorithm>) -> bool {
        self.serves(now) && self.keys.find_signer(id, algorithm).is_ok()
    }

    fn look(
        &mut self,
        now: UnixMillis,
        find: impl Fn(&KeySet) -> Result<&Key, NoKey>,
    ) -> Result<&Key, Missing> {
        if !self.serves(now) {
            return Err(match self.record.turn(now, false, &self.schedule) {
                Turn::NotBefore(_) => Missing::NoKeys(self.retry_after(now)),
                Turn::Lead(_) | Turn::Wait => Missing::Wait,
            });
        }
        match find(&self.keys) {
            Ok(key) => Ok(key),
            // Only an id that the set does not have can be in the next one.
            Err(NoKey::Unknown) => match self.record.turn(now, true, &self.schedule) {
                Turn::NotBefore(_) => Err(Missing::Key(NoKey::Unknown)),
                Turn::Lead(_) | Turn::Wait => {
                    self.wanted = true;
                    Err(Missing::Wait)
                }
            },
            Err(other) => Err(Missing::Key(other)),
        }
    }

    /// Whether the keys may be used.
    #[must_use]
    pub fn serves(&self, now: UnixMillis) -> bool {
        self.record.serves(now, &self.schedule) && (self.schedule.may_be_empty || !self.keys.is_empty())
    }

    /// Whether a key of that id is there, whatever its algorithm.
    #[must_use]
    pub fn names(&self, now: UnixMillis, id: &str) -> bool {
        self.serves(now) && self.keys.names(id)
    }

    /// Whether there is a key that somebody could be verified with.
    #[must_use]
    pub fn can_verify(&self, now: UnixMillis) -> bool {
        self.serves(now) && !self.keys.is_empty()
    }

    /// Seconds after which there may be keys.
    #[must_use]
    pub fn retry_after(&self, now: UnixMillis) -> u64 {
        self.record.retry_after(now, &self.schedule)
    }

    /// Whether a key is still one of them.
    #[must_use]
    pub fn holds(&self, fingerprint: &[u8; 32]) -> bool {
        self.keys.holds(fingerprint)
    }

    /// Whether there is a fetch to make, by the record as it stands in shared data now.
    #[must_use]
    pub fn turn(&self, now: UnixMillis) -> Turn {
        self.record.turn(now, self.wanted, &self.schedule)
    }

    /// Takes note of the shared record. `true`: it is of a generation whose keys this worker lacks; read
    /// them and hand them to [`JwksCache::adopt`].
    #[must_use]
    pub fn observe(&mut self, shared: Record) -> bool {
        if shared.generation != self.record.generation {
            return true;
        }
        self.note(shared);
        false
    }

    /// Takes the set of a record's generation.
    pub fn adopt(&mut self, record: Record, keys: KeySet) {
        self.note(record);
        self.keys = keys;
    }

    fn note(&mut self, record: Record) {
        // Whoever fetched meanwhile fetched for everybody's wish.
        if record.attempted_at != self.record.attempted_at {
            self.wanted = false;
        }
        self.record = record;
    }

    /// The record that was seen last.
    #[must_use]
    pub fn record(&self) -> Record {
        self.record
    }
}
