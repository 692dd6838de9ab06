//! The accounts of limits that the workers of an Envoy share: a fixed number of shared values, made by whoever
//! configures first, which is the main thread, before any worker runs; workers only swap them.

use attach_core::crypto::sha256;
use attach_core::quota::bucket::{self, BUCKETS, SharedWindows};
use attach_core::quota::entry::Entry;
use attach_core::quota::{Key, Window};
use attach_core::secret::Secret;

use crate::host;

/// How often a worker tries to write a bucket that others write at the same time.
const WRITE_ATTEMPTS: usize = 16;

/// The table of a gateway.
pub(crate) struct Windows {
    /// What chooses the bucket, so that nobody can find out which one.
    secret: [u8; 32],
}

impl Windows {
    /// The table, by the secret that the gateway shares with control.
    pub(crate) fn new(secret: &Secret) -> Self {
        Self { secret: sha256(&[b"attach/quota\0", secret.expose()]) }
    }

    /// Makes the table, which must be there before workers compete for its buckets. What is in it stays.
    pub(crate) fn prepare() {
        for bucket in 0..BUCKETS {
            let name = name(bucket);
            if host::shared(&name).1.is_none() {
                host::set_shared(&name, &[], None);
            }
        }
    }
}

fn name(bucket: usize) -> String {
    format!("attach/quota/{bucket}")
}

impl SharedWindows for Windows {
    fn update(&self, key: Key, window: Window, now_seconds: u64, change: &mut dyn FnMut(&mut Entry)) -> bool {
        let name = name(bucket::bucket_of(key, &self.secret));
        for _ in 0..WRITE_ATTEMPTS {
            // Without a version nothing is known about who else writes.
            let (bytes, Some(version)) = host::shared(&name) else { return false };
            let bytes = bytes.unwrap_or_default();
            let mut entry = bucket::find(&bytes, key);
            change(&mut entry);
            match bucket::put(&bytes, key, &entry, window, now_seconds) {
                Some(bytes) if host::set_shared(&name, &bytes, Some(version)) => return true,
                Some(_) => {}
                None => return false,
            }
        }
        false
    }
}
