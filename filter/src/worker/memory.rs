//! What a worker tells memory, and the streams whose last byte waits for that.

use std::rc::Rc;

use attach_core::stream::{Flow, Remembered};

use super::output::HostOutput;
use super::{SharedMachine, Worker};
use crate::host;

impl Worker {
    /// Tells memory; nobody waits for it.
    pub(super) fn remember(&self, remembered: Remembered) {
        let Remembered { objects, share, .. } = remembered;
        // What does not fit is counted there, and said in the log.
        let _ = self.courier.mirror().delivery().push(objects, share, None);
    }

    /// Tells memory on behalf of a stream that waits; what comes out of it if it need not wait.
    pub(super) fn remember_for(
        &self,
        context: u32,
        machine: &SharedMachine,
        remembered: Remembered,
    ) -> Option<HostOutput<'_>> {
        let Remembered { objects, share, .. } = remembered;
        if let Some(kept) = self.courier.mirror().delivery().push(objects, share, Some(context)) {
            return Some(self.told(context, machine, kept));
        }
        if let Ok(mut held) = self.held.try_borrow_mut() {
            held.insert(context, Rc::downgrade(machine));
        }
        // The root's next tick sends them. A call made from here is the stream's in the SDK's books, and its answer,
        // which others may wait for as well, would be lost with the stream.
        None
    }

    /// Tells a stream whether its events have arrived; `false` if none of this worker's waits by that name. Host
    /// calls are about the root afterwards.
    pub(crate) fn remembered(&self, context: u32, kept: bool) -> bool {
        let held = self.held.try_borrow_mut().ok().and_then(|mut held| held.remove(&context));
        let Some(machine) = held else { return false };
        if let Some(machine) = machine.upgrade() {
            if host::act_for(context) {
                self.told(context, &machine, kept).finish();
            }
            host::act_for(self.root);
        }
        true
    }

    fn told(&self, context: u32, machine: &SharedMachine, kept: bool) -> HostOutput<'_> {
        let (_, output) = self.with(context, machine, |machine, env, output| {
            machine.remembered(env, kept, output);
            Flow::Continue
        });
        output
    }
}
