//! A worker's metrics: requests count in its memory ([`Tally`]), the root's tick tells the host.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use attach_core::clock::UnixMillis;
use attach_core::meter::fleet::Levels;
use attach_core::meter::tally::Tally;

use crate::host;

/// What this VM is called among the VMs of its Envoy.
static VM: OnceLock<u64> = OnceLock::new();
/// Whether this VM's start has been counted.
static HAS_STARTED: AtomicBool = AtomicBool::new(false);

/// The metrics of one worker.
pub(crate) struct Metrics {
    tally: Tally,
    /// What this worker is called among the workers of its Envoy.
    worker: u64,
    vm: u64,
    /// Whether it has seen a request: the main thread has a VM as well, and that one never does.
    serves: Cell<bool>,
}

impl Metrics {
    /// The metrics of a root. `nonce` is random.
    pub(crate) fn new(nonce: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = nonce;
        let worker = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        Self { tally: Tally::default(), worker, vm: *VM.get_or_init(|| worker), serves: Cell::new(false) }
    }

    /// Makes what workers share.
    pub(crate) fn prepare(&self) {
        Tally::prepare(&host::EnvoyMetrics, self.worker);
    }

    /// A request has come.
    pub(crate) fn serving(&self) {
        if !self.serves.replace(true) && !HAS_STARTED.swap(true, Ordering::Relaxed) {
            self.tally.vm_started();
        }
    }

    /// Tells the host, if it is time; `depth` is the number of records that have not arrived, `pool` the memory
    /// of texts, in bytes. Whether it is this worker's turn to ask control how it is doing.
    pub(crate) fn tick(&self, depth: usize, pool: usize, now: UnixMillis) -> bool {
        let levels = self.serves.get().then(|| Levels {
            vm: self.vm,
            depth: u64::try_from(depth).unwrap_or(u64::MAX),
            memory: host::memory(),
            pool: u64::try_from(pool).unwrap_or(u64::MAX),
            ..Levels::default()
        });
        self.tally.flush(&host::EnvoyMetrics, self.worker, levels, now).asks_control
    }

    /// The root is about to go.
    pub(crate) fn close(&self, now: UnixMillis) {
        self.tally.close(&host::EnvoyMetrics, self.worker, now);
    }
}

/// Requests only see the tally, which is memory alone.
impl Deref for Metrics {
    type Target = Tally;

    fn deref(&self) -> &Tally {
        &self.tally
    }
}
