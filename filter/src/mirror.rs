//! Carries out what is told to memory: [`Delivery`] says what and to whom, this makes the calls.
//!
//! As with usage records, requests push and go on, and the root makes the calls. Events of a stream whose last byte
//! waits go with the next tick; the root tells it how that went ([`Mirror::take_told`]).

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use attach_core::clock::UnixMillis;
use attach_core::meter::tally::{Callout, Forgotten};
use attach_core::mirror::delivery::{
    Answered, BatchId, CONTROL_TIMEOUT, Call, Delivery, MAX_ANSWER_BYTES, To, WEAVIATE_TIMEOUT,
};
use attach_core::mirror::pool::Pool;
use attach_core::mirror::{BATCH_PATH, EMBEDDED_PREFIX, OUTBOX_PATH};
use attach_core::policy::Policy;
use proxy_wasm::types::LogLevel;

use crate::courier::at_control;
use crate::host;
use crate::metrics::Metrics;

/// How often the log says that events were dropped.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// One worker's way to memory.
pub(crate) struct Mirror {
    delivery: Delivery,
    pool: Pool,
    /// Calls under way; a handful.
    calls: RefCell<BTreeMap<u32, (BatchId, To)>>,
    /// Streams that are to be told; as many as waited for the batches that were answered last.
    told: RefCell<Vec<(u32, bool)>>,
    /// Events that were dropped, and the log has not said so.
    unsaid: Cell<u64>,
    said_at: Cell<UnixMillis>,
}

impl Mirror {
    /// The way of a root. `nonce` is random.
    pub(crate) fn new(nonce: [u8; 16]) -> Self {
        let pool = Pool::default();
        let [.., a, b, c, d, e, f, g, h] = nonce;
        Self {
            delivery: Delivery::new(u64::from_le_bytes([a, b, c, d, e, f, g, h]), &pool),
            pool,
            calls: RefCell::default(),
            told: RefCell::default(),
            unsaid: Cell::new(0),
            said_at: Cell::new(UnixMillis(0)),
        }
    }

    /// What waits; memory alone.
    pub(crate) fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// The memory that there is for what is to be remembered.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    fn send_due(&self, policy: &Policy, metrics: &Metrics) {
        // Asked for the time only where there is something to send.
        if self.delivery.is_empty() {
            return;
        }
        let now = host::now();
        while let Some(call) = self.delivery.next_call(now) {
            self.send(policy, metrics, call);
        }
    }

    /// Makes the calls that are due and counts what came, for the root, which host calls must be about.
    pub(crate) fn tick(&self, policy: &Policy, metrics: &Metrics, now: UnixMillis) {
        self.send_due(policy, metrics);
        let counts = self.delivery.take_counts();
        if counts.accepted > 0 {
            metrics.remembered(counts.accepted);
        }
        for (why, events) in [(Forgotten::Full, counts.full), (Forgotten::Off, counts.off)] {
            if events > 0 {
                metrics.forgotten(why, events);
                self.unsaid.set(self.unsaid.get().saturating_add(events));
            }
        }
        let (unsaid, said_at) = (self.unsaid.get(), self.said_at.get());
        if unsaid > 0 && (now >= said_at.after(SAY_EVERY) || now < said_at) {
            self.unsaid.set(0);
            self.said_at.set(now);
            host::log(
                LogLevel::Warn,
                &format!(
                    "memory: {unsaid} events dropped: the worker's queue is full, or memory was turned off"
                ),
            );
        }
    }

    /// Takes an answer; `false` if it is to nothing that was asked from here.
    pub(crate) fn answered(
        &self,
        policy: &Policy,
        metrics: &Metrics,
        callout: u32,
        body_size: usize,
    ) -> bool {
        let Some(asked) = self.calls.try_borrow_mut().ok().and_then(|mut calls| calls.remove(&callout))
        else {
            return false;
        };
        let status = host::answer_status();
        // Of other answers the status says all there is to know.
        let body = match status {
            Some(200) if body_size <= MAX_ANSWER_BYTES => host::answer_body(body_size),
            _ => Vec::new(),
        };
        self.take(policy, metrics, asked, status.map(|status| (status, &*body)));
        // There may be room for the next batch now.
        self.send_due(policy, metrics);
        true
    }

    /// Streams that waited, and whether their events have arrived.
    pub(crate) fn take_told(&self) -> Vec<(u32, bool)> {
        self.told.try_borrow_mut().map(|mut told| core::mem::take(&mut *told)).unwrap_or_default()
    }

    /// Makes a call. What the host does not take counts as not answered.
    fn send(&self, policy: &Policy, metrics: &Metrics, call: Call) {
        const JSON: &str = "application/json";
        let to_control = |path: &str| {
            let secret = Some(&policy.control_secret);
            at_control(policy, path)
                .and_then(|target| host::post(&target, JSON, None, secret, &call.body, CONTROL_TIMEOUT))
        };
        let callout = match call.to {
            To::Weaviate => policy.memory.as_ref().and_then(|memory| {
                let weaviate = memory.weaviate.as_ref()?;
                // Who waits for it waits for control afterwards.
                let timeout =
                    memory.ack_within.map_or(WEAVIATE_TIMEOUT, |most| WEAVIATE_TIMEOUT.min(most / 2));
                host::post(&weaviate.target, JSON, weaviate.authorization.as_ref(), None, &call.body, timeout)
            }),
            To::Embedded => to_control(&format!("{EMBEDDED_PREFIX}{BATCH_PATH}")),
            To::Control => to_control(OUTBOX_PATH),
        };
        let Some(callout) = callout else { return self.take(policy, metrics, (call.batch, call.to), None) };
        if let Ok(mut calls) = self.calls.try_borrow_mut() {
            calls.insert(callout, (call.batch, call.to));
        }
    }

    fn take(
        &self,
        policy: &Policy,
        metrics: &Metrics,
        (batch, to): (BatchId, To),
        answer: Option<(u16, &[u8])>,
    ) {
        let Answered { next, notices, failed, rejected, told } =
            self.delivery.answered(batch, to, answer, host::now());
        if failed {
            metrics.callout_failed(match to {
                To::Weaviate => Callout::Weaviate,
                To::Embedded | To::Control => Callout::Control,
            });
        }
        if rejected > 0 {
            metrics.forgotten(Forgotten::Rejected, u64::try_from(rejected).unwrap_or(u64::MAX));
        }
        for notice in notices {
            let level = if notice.is_good() { LogLevel::Info } else { LogLevel::Warn };
            host::log(level, &notice.to_string());
        }
        if let Ok(mut streams) = self.told.try_borrow_mut() {
            streams.extend(told);
        }
        if let Some(call) = next {
            self.send(policy, metrics, call);
        }
    }
}
