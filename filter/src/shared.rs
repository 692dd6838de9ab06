//! What the workers of an Envoy share: about each source of keys a record of whose turn it is to fetch them
//! and the set that was fetched last, and of what may be used once what was used.
//!
//! Names hold a hash of where the keys come from, so that after a change of configuration nobody reads
//! another issuer's. The record is made by whoever configures first, which is the main thread, before any
//! worker runs; workers only swap it.

use attach_core::authn::replay::{self, Bucket, Consumed, OneUseStore};
use attach_core::authn::verdict::OneUse;
use attach_core::crypto::{sha256, sha256_hex};
use attach_core::keys::turn::Record;
use attach_core::policy::KeySource;
use attach_core::secret::Secret;

use crate::host;

/// The two shared values of an issuer.
pub(crate) struct SharedKeys {
    record: String,
    set: String,
}

impl SharedKeys {
    /// Their names; the record is there afterwards.
    pub(crate) fn of(source: &KeySource) -> Self {
        let place = sha256_hex(&[
            source.keys.cluster.as_bytes(),
            b" ",
            source.keys.scheme.as_bytes(),
            b"://",
            source.keys.authority.as_bytes(),
            source.keys.path.as_bytes(),
        ]);
        let place = String::from_utf8_lossy(&place).into_owned();
        let keys = Self { record: format!("attach/turn/{place}"), set: format!("attach/keys/{place}") };
        if keys.record().is_none() {
            host::set_shared(&keys.record, &Record::default().to_bytes(), None);
        }
        keys
    }

    /// The record and its version.
    pub(crate) fn record(&self) -> Option<(Record, u32)> {
        let (bytes, version) = host::shared(&self.record);
        Some((Record::from_bytes(&bytes?)?, version?))
    }

    /// Writes the record; with a version, only if nobody has written it since.
    pub(crate) fn set_record(&self, record: &Record, version: Option<u32>) -> bool {
        host::set_shared(&self.record, &record.to_bytes(), version)
    }

    /// The set of a generation, as it was fetched.
    pub(crate) fn set(&self, generation: u64) -> Option<Vec<u8>> {
        let (bytes, _) = host::shared(&self.set);
        let bytes = bytes?;
        let (stamp, text) = bytes.split_first_chunk::<8>()?;
        (u64::from_le_bytes(*stamp) == generation).then(|| text.to_vec())
    }

    /// The set as it is there, whatever its generation.
    pub(crate) fn last_set(&self) -> Option<Vec<u8>> {
        let (bytes, _) = host::shared(&self.set);
        Some(bytes?.split_first_chunk::<8>()?.1.to_vec())
    }

    /// Publishes the set of a generation; its record must follow.
    pub(crate) fn set_set(&self, generation: u64, text: &[u8]) {
        host::set_shared(&self.set, &[&generation.to_le_bytes(), text].concat(), None);
    }
}

/// How often a worker tries to write a bucket that others write at the same time.
const WRITE_ATTEMPTS: usize = 16;

/// What was used, by any worker of this Envoy.
pub(crate) struct SharedUses {
    /// What chooses the bucket, so that nobody can find out which one.
    secret: [u8; 32],
}

impl SharedUses {
    /// The table of a gateway, by the secret that it shares with control.
    pub(crate) fn new(secret: &Secret) -> Self {
        Self { secret: sha256(&[b"attach/once\0", secret.expose()]) }
    }

    /// Makes the table, which must be there before workers compete for its buckets. What is in it stays.
    pub(crate) fn prepare() {
        for bucket in 0..replay::BUCKETS {
            let name = Self::name(bucket);
            if host::shared(&name).1.is_none() {
                host::set_shared(&name, &[], None);
            }
        }
    }

    fn name(bucket: usize) -> String {
        format!("attach/once/{bucket}")
    }
}

impl OneUseStore for SharedUses {
    fn consume(&self, one: &OneUse, now_seconds: u64) -> Consumed {
        let name = Self::name(replay::bucket_of(one, &self.secret));
        for _ in 0..WRITE_ATTEMPTS {
            // Without a version nothing is known about who else writes.
            let (bytes, Some(version)) = host::shared(&name) else { return Consumed::Unknown };
            match replay::add(&bytes.unwrap_or_default(), one, now_seconds) {
                Bucket::Used => return Consumed::Used,
                Bucket::Full => return Consumed::Unknown,
                Bucket::Write(bytes) if host::set_shared(&name, &bytes, Some(version)) => {
                    return Consumed::Fresh;
                }
                Bucket::Write(_) => {}
            }
        }
        Consumed::Unknown
    }
}
