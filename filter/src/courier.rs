//! Carries out what has to be told after requests: [`Delivery`] says what and to whom, this makes the calls.
//!
//! Requests push and go on. The root's tick makes the calls, since one made for a request would die with it,
//! and an answer lets the next batch go without waiting for a tick.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::time::Duration;

use attach_core::clock::UnixMillis;
use attach_core::keys::discovery::Target;
use attach_core::meter::cloud_event::BATCH_CONTENT_TYPE;
use attach_core::meter::delivery::{
    Answered, CALL_TIMEOUT, Call, Delivery, HEALTH_PATH, MAX_ANSWER_BYTES, RECORDS_PATH, To, control_depth,
};
use attach_core::meter::tally::{Callout, Lost};
use attach_core::mirror::delivery::says_direct;
use attach_core::mirror::pool::Pool;
use attach_core::outbox::BatchId;
use attach_core::policy::Policy;
use proxy_wasm::types::LogLevel;

use crate::host;
use crate::metrics::Metrics;
use crate::mirror::Mirror;

/// How long control may take to say how it is.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// The way out of one worker.
pub(crate) struct Courier {
    delivery: Delivery,
    mirror: Mirror,
    /// Calls under way; at most two of batches and one about control's health.
    calls: RefCell<BTreeMap<u32, What>>,
}

/// What a call is about.
#[derive(Clone, Copy)]
enum What {
    Batch(BatchId, To),
    Health,
}

impl Courier {
    /// The way out of a root. `nonce` is random.
    pub(crate) fn new(nonce: [u8; 16], root: u32) -> Self {
        Self { delivery: Delivery::new(nonce, root), mirror: Mirror::new(nonce), calls: RefCell::default() }
    }

    /// The memory that there is for what is to be remembered.
    pub(crate) fn pool(&self) -> &Pool {
        self.mirror.pool()
    }

    /// The way to memory.
    pub(crate) fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Whether everything has arrived.
    pub(crate) fn has_delivered(&self) -> bool {
        self.delivery.is_empty() && self.mirror.delivery().is_empty()
    }

    /// The worker is about to go: nothing waits any more.
    pub(crate) fn close(&self) {
        self.delivery.close();
        self.mirror.delivery().close();
    }

    /// Makes the calls that are due, for the root, which host calls must be about.
    pub(crate) fn tick(&self, policy: &Policy, metrics: &Metrics) {
        let now = host::now();
        self.send_due(policy, metrics, now);
        self.mirror.tick(policy, metrics, now);
        if self.mirror.delivery().asks_control(now) {
            self.ask_health(policy);
        }
        let refused = self.delivery.take_refused();
        if refused > 0 {
            metrics.lost(Lost::Full, refused);
            host::log(
                LogLevel::Warn,
                &format!("usage records: {refused} dropped, the worker's outbox is full"),
            );
        }
    }

    fn send_due(&self, policy: &Policy, metrics: &Metrics, now: UnixMillis) {
        while let Some(call) = self.delivery.next_call(now) {
            self.send(policy, metrics, call);
        }
    }

    /// Asks control how much it still has to send, and whether Weaviate may be told.
    pub(crate) fn ask_health(&self, policy: &Policy) {
        let Some(target) = at_control(policy, HEALTH_PATH) else { return };
        let Ok(mut calls) = self.calls.try_borrow_mut() else { return };
        if calls.values().any(|what| matches!(what, What::Health)) {
            return;
        }
        if let Some(callout) = host::fetch(&target, Some(&policy.control_secret), HEALTH_TIMEOUT) {
            calls.insert(callout, What::Health);
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
        let Some(what) = self.calls.try_borrow_mut().ok().and_then(|mut calls| calls.remove(&callout)) else {
            return self.mirror.answered(policy, metrics, callout, body_size);
        };
        let status = host::answer_status();
        let body = if body_size <= MAX_ANSWER_BYTES { host::answer_body(body_size) } else { Vec::new() };
        match what {
            What::Health => match status.filter(|status| *status == 200).and_then(|_| control_depth(&body)) {
                Some(depth) => {
                    metrics.control_depth(&host::EnvoyMetrics, depth);
                    self.mirror.delivery().set_direct(says_direct(&body));
                }
                // What it said last still holds.
                None => metrics.callout_failed(Callout::Control),
            },
            What::Batch(batch, to) => {
                self.take(policy, metrics, (batch, to), status.map(|status| (status, &*body)));
                // There may be room for the next batch now.
                self.send_due(policy, metrics, host::now());
            }
        }
        true
    }

    /// Makes a call. What the host does not take counts as not answered.
    fn send(&self, policy: &Policy, metrics: &Metrics, call: Call) {
        let callout = match call.to {
            To::OpenMeter => policy.metering.openmeter.as_ref().and_then(|openmeter| {
                let key = Some(&openmeter.authorization);
                host::post(&openmeter.target, BATCH_CONTENT_TYPE, key, None, &call.body, CALL_TIMEOUT)
            }),
            To::Control => at_control(policy, RECORDS_PATH).and_then(|target| {
                let secret = Some(&policy.control_secret);
                host::post(&target, "application/json", None, secret, &call.body, CALL_TIMEOUT)
            }),
        };
        let Some(callout) = callout else { return self.take(policy, metrics, (call.batch, call.to), None) };
        if let Ok(mut calls) = self.calls.try_borrow_mut() {
            calls.insert(callout, What::Batch(call.batch, call.to));
        }
    }

    fn take(
        &self,
        policy: &Policy,
        metrics: &Metrics,
        (batch, to): (BatchId, To),
        answer: Option<(u16, &[u8])>,
    ) {
        let Answered { next, notices, failed, rejected } =
            self.delivery.answered(batch, to, answer, host::now());
        if failed {
            metrics.callout_failed(match to {
                To::OpenMeter => Callout::OpenMeter,
                To::Control => Callout::Control,
            });
        }
        if rejected > 0 {
            metrics.lost(Lost::Rejected, u64::try_from(rejected).unwrap_or(u64::MAX));
        }
        for notice in notices {
            let level = if notice.is_good() { LogLevel::Info } else { LogLevel::Warn };
            host::log(level, &notice.to_string());
        }
        if let Some(call) = next {
            self.send(policy, metrics, call);
        }
    }
}

/// Requests only see the delivery, which is memory alone.
impl Deref for Courier {
    type Target = Delivery;

    fn deref(&self) -> &Delivery {
        &self.delivery
    }
}

/// A path at control, if it is known where that is.
pub(crate) fn at_control(policy: &Policy, path: &str) -> Option<Target> {
    policy.control.as_ref().map(|control| Target { path: path.into(), ..control.clone() })
}
