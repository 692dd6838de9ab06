//! What a worker asks and tells control about limits.

use std::rc::Rc;
use std::time::Duration;

use attach_core::keys::discovery::Target;
use attach_core::meter::tally::Callout;
use attach_core::quota::book::{Answered, Operation};
use attach_core::quota::wire;

use super::output::HostOutput;
use super::{Memory, SharedMachine, Worker};
use crate::host;

/// How long control may take to say whether there is budget.
const LEDGER_TIMEOUT: Duration = Duration::from_secs(2);

impl Worker {
    /// Asks control about limits, for the root; `false` if it was not asked.
    pub(super) fn ask_ledger(&self, waiter: Option<(u32, &SharedMachine)>, operation: &Operation) -> bool {
        let Some(control) = &self.policy.control else { return false };
        let target = Target { path: wire::PATH.into(), ..control.clone() };
        let Ok(mut operations) = self.operations.try_borrow_mut() else { return false };
        host::act_for(self.root);
        let secret = Some(&self.policy.control_secret);
        let callout = host::post(&target, "application/json", None, secret, &operation.body, LEDGER_TIMEOUT);
        if let Some((context, _)) = waiter {
            host::act_for(context);
        }
        let Some(callout) = callout else { return false };
        let waiter = waiter.map(|(context, machine)| (context, Rc::downgrade(machine)));
        operations.insert(callout, (operation.id, waiter));
        true
    }

    /// Takes note that control has not answered. Whoever waits for it must not.
    pub(super) fn ledger_failed(&self, operation: u64) -> Answered {
        self.metrics.callout_failed(Callout::Control);
        let failed = self
            .memory
            .try_borrow_mut()
            .ok()
            .map(|mut memory| memory.quota.failed(operation, self.now.get()));
        match failed {
            Some(Answered::Granted(hold)) => Answered::Granted(hold),
            _ => Answered::Unavailable,
        }
    }

    /// Takes control's answer about limits; `false` if it is to nothing that was asked from here. Host calls are
    /// about the root afterwards.
    pub(crate) fn ledger_answered(&self, callout: u32, body_size: usize) -> bool {
        let asked = self.operations.try_borrow_mut().ok().and_then(|mut open| open.remove(&callout));
        let Some((operation, waiter)) = asked else { return false };
        host::act_for(self.root);
        let body = match host::answer_status() {
            Some(200) if body_size <= wire::MAX_BYTES => host::answer_body(body_size),
            _ => Vec::new(),
        };
        let answer = wire::Answer::from_json(&body).ok();
        let answered = match (answer, self.memory.try_borrow_mut()) {
            (Some(answer), Ok(mut memory)) => memory.quota.answered(operation, &answer, self.now.get()),
            (answer, memory) => {
                drop((answer, memory));
                self.ledger_failed(operation)
            }
        };
        let machine = waiter.and_then(|(context, machine)| Some((context, machine.upgrade()?)));
        match machine {
            Some((context, machine)) if host::act_for(context) => {
                let (_, output) = self.ledger_step(context, &machine, answered);
                // What it was asked for may not have been all that there is to ask.
                self.finish(context, &machine, output);
                host::act_for(self.root);
            }
            _ => {
                if let (Answered::Granted(hold), Ok(mut memory)) = (answered, self.memory.try_borrow_mut()) {
                    memory.quota.settle(hold, 0, self.now.get());
                }
            }
        }
        true
    }

    fn finish(&self, context: u32, machine: &SharedMachine, mut output: HostOutput<'_>) {
        if let Some(operation) = output.operation.take()
            && !self.ask_ledger(Some((context, machine)), &operation)
        {
            let refused = self.ledger_failed(operation.id);
            output.finish();
            let (_, output) = self.ledger_step(context, machine, refused);
            output.finish();
            return;
        }
        output.finish();
    }

    /// Looks after what is leased of limits. Host calls must be about the root.
    pub(crate) fn look_after_limits(&self) {
        let operations = self
            .memory
            .try_borrow_mut()
            .map(|mut memory| {
                let Memory { quota, told_held, .. } = &mut *memory;
                let held = i64::try_from(quota.held()).unwrap_or(i64::MAX);
                self.metrics.held(held.saturating_sub(core::mem::replace(told_held, held)));
                quota.tick(self.now.get(), &self.windows)
            })
            .unwrap_or_default();
        for operation in operations {
            if !self.ask_ledger(None, &operation) {
                self.ledger_failed(operation.id);
            }
        }
    }

    /// Gives all that is leased back, but for what open streams hold. Host calls must be about the root.
    pub(crate) fn return_limits(&self) {
        let operations = self
            .memory
            .try_borrow_mut()
            .map(|mut memory| memory.quota.close(self.now.get(), &self.windows))
            .unwrap_or_default();
        for operation in operations {
            if !self.ask_ledger(None, &operation) {
                self.ledger_failed(operation.id);
            }
        }
    }

    /// Whether control has not answered all that it was told about limits.
    pub(crate) fn owes_limits(&self) -> bool {
        self.memory.try_borrow().is_ok_and(|memory| memory.quota.unanswered() > 0)
    }
}
