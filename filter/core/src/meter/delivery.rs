//! How usage records leave a worker: to OpenMeter directly where it is configured, then to control.
//!
//! Control gets a row for its ledger, and takes over what OpenMeter did not: the ids that it is given as
//! `undelivered` it keeps sending itself. A batch is over when control has said that it has both, or when
//! there is nothing for control to do. Everybody is told the same under the same ids however often they are
//! told, so that nothing is counted twice.
//!
//! Requests only touch memory here; the root makes the calls ([`Delivery::next_call`]) and brings their
//! answers ([`Delivery::answered`]).

use core::time::Duration;
use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::Serialize;

use self::receiver::Receiver;
use super::UsageRecord;
use super::cloud_event::{cloud_events, write_batch};
use crate::clock::UnixMillis;
use crate::crypto::to_hex;
use crate::json;
use crate::outbox::{BatchId, Entry, Full, Outbox, Room};

pub use self::receiver::Notice;

mod receiver;

/// How long a call may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read, in bytes.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Where control takes records.
pub const RECORDS_PATH: &str = "/internal/records";
/// Where control says how many events it still has to send.
pub const HEALTH_PATH: &str = "/internal/health";

/// Who is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route {
    /// OpenMeter, of every record.
    pub openmeter: bool,
    /// Control, of every record; without it, of those that OpenMeter did not take.
    pub ledger: bool,
}

/// Whom a call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// OpenMeter: CloudEvents.
    OpenMeter,
    /// Control: rows.
    Control,
}

/// A call to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What its answer is about.
    pub batch: BatchId,
    /// Whom it is for.
    pub to: To,
    /// What is posted.
    pub body: Vec<u8>,
}

/// What an answer comes to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// The batch's next call.
    pub next: Option<Call>,
    /// What the log should say.
    pub notices: Vec<Notice>,
    /// Whether the call failed.
    pub failed: bool,
    /// How many of the records control will never take.
    pub rejected: usize,
}

/// The records of one worker on their way out.
#[derive(Debug)]
pub struct Delivery {
    /// The beginning of this worker's ids.
    prefix: Box<str>,
    state: RefCell<State>,
}

#[derive(Debug)]
struct State {
    route: Route,
    outbox: Outbox<UsageRecord>,
    ids: u64,
    /// Of batches that OpenMeter was tried with, whether it took them.
    metered: BTreeMap<BatchId, bool>,
    openmeter: Receiver,
    control: Receiver,
    refused: u64,
}

/// What control is told.
#[derive(Serialize)]
struct Rows<'a> {
    records: &'a [UsageRecord],
    undelivered: Vec<&'a str>,
}

impl Delivery {
    /// The delivery of a worker. `nonce` is random and this start's alone; `worker` tells those apart that
    /// could have the same.
    #[must_use]
    pub fn new(nonce: [u8; 16], worker: u32) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = nonce;
        Self {
            prefix: format!("{}-{worker}-", to_hex(&nonce)).into(),
            state: RefCell::new(State {
                route: Route::default(),
                outbox: Outbox::new(u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ u64::from(worker)),
                ids: 0,
                metered: BTreeMap::new(),
                openmeter: Receiver::OPENMETER,
                control: Receiver::CONTROL,
                refused: 0,
            }),
        }
    }

    /// From now on these are told; what is on its way stays so.
    pub fn set_route(&self, route: Route) {
        if let Ok(mut state) = self.state.try_borrow_mut() {
            state.route = route;
        }
    }

    /// An id that no other record has, of any worker or start.
    #[must_use]
    pub fn next_record_id(&self) -> String {
        // Nothing that is called while it is borrowed calls back.
        let number = self.state.try_borrow_mut().map_or(u64::MAX, |mut state| {
            state.ids = state.ids.saturating_add(1);
            state.ids
        });
        format!("{}{number}", self.prefix)
    }

    /// Whether a record of that size ([`room_for`](super::room::room_for)) would fit now.
    #[must_use]
    pub fn has_room(&self, bytes: usize) -> bool {
        self.state.try_borrow().is_ok_and(|state| !state.route.is_on() || state.outbox.has_room(bytes))
    }

    /// Promises room for the record of a request that is about to be admitted; `None`: there is none, and
    /// the request must follow its route's failure mode.
    #[must_use]
    pub fn admit(&self, bytes: usize) -> Option<Room> {
        let state = self.state.try_borrow().ok()?;
        state.outbox.admit(if state.route.is_on() { bytes } else { 0 })
    }

    /// Takes the record of a request that is over, with the room that was promised for it. It always fits if
    /// room was promised; the caller has nothing to do about an error, which is counted.
    ///
    /// # Errors
    /// [`Full`]: no room was promised and there is none.
    pub fn push(&self, record: UsageRecord, room: Option<Room>) -> Result<(), Full> {
        let mut state = self.state.try_borrow_mut().map_err(|_| Full)?;
        if !state.route.is_on() {
            return Ok(());
        }
        state.outbox.push(record.fitted(), room).inspect_err(|_| {
            state.refused = state.refused.saturating_add(1);
        })
    }

    /// How many records found no room since this was asked last.
    #[must_use]
    pub fn take_refused(&self) -> u64 {
        self.state.try_borrow_mut().map_or(0, |mut state| core::mem::take(&mut state.refused))
    }

    /// Records that have not arrived.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.try_borrow().map_or(0, |state| state.outbox.len())
    }

    /// Whether every record has arrived.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The worker is about to go: nothing waits any more.
    pub fn close(&self) {
        if let Ok(mut state) = self.state.try_borrow_mut() {
            state.outbox.close();
        }
    }

    /// A call to make now, if one is due; ask again until there is none.
    #[must_use]
    pub fn next_call(&self, now: UnixMillis) -> Option<Call> {
        let mut state = self.state.try_borrow_mut().ok()?;
        let state = &mut *state;
        // Without end only if batches were made without end.
        while let Some(batch) = state.outbox.next_batch(now) {
            if state.route.openmeter && !state.metered.contains_key(&batch) {
                let records: Vec<&UsageRecord> = state.outbox.entries(batch).iter().collect();
                if !records.iter().any(|record| cloud_events(record).next().is_some()) {
                    // No tokens, no events: there is nothing that could fail to arrive.
                    state.metered.insert(batch, true);
                } else if state.openmeter.may_be_tried(now) {
                    return Some(Call { batch, to: To::OpenMeter, body: write_batch(&records) });
                } else {
                    state.metered.insert(batch, false);
                }
            }
            match state.to_control(batch) {
                Some(call) => return Some(call),
                None => state.done(batch),
            }
        }
        None
    }

    /// Takes the answer to a call, or that there is none: its status and body.
    pub fn answered(
        &self,
        batch: BatchId,
        to: To,
        answer: Option<(u16, &[u8])>,
        now: UnixMillis,
    ) -> Answered {
        let Ok(mut state) = self.state.try_borrow_mut() else { return Answered::default() };
        if state.outbox.entries(batch).is_empty() {
            // It was sent again meanwhile, and arrived.
            return Answered::default();
        }
        match to {
            To::OpenMeter => state.openmeter_answered(batch, answer, now),
            To::Control => state.control_answered(batch, answer, now),
        }
    }
}

impl State {
    /// What control is to be told of a batch; `None`: nothing.
    fn to_control(&self, batch: BatchId) -> Option<Call> {
        let records = self.outbox.entries(batch);
        let is_undelivered = self.metered.get(&batch) == Some(&false);
        if !self.route.ledger && !is_undelivered {
            return None;
        }
        let undelivered = if is_undelivered {
            let with_events = records.iter().filter(|record| cloud_events(record).next().is_some());
            with_events.map(|record| record.id.as_str()).collect()
        } else {
            Vec::new()
        };
        let bytes = records.iter().map(Entry::bytes).fold(64, usize::saturating_add);
        let mut body = Vec::with_capacity(bytes);
        // Strings and numbers in a struct: there is nothing that could not be written.
        serde_json::to_writer(&mut body, &Rows { records, undelivered }).ok()?;
        Some(Call { batch, to: To::Control, body })
    }

    fn done(&mut self, batch: BatchId) {
        self.metered.remove(&batch);
        self.outbox.acknowledged(batch);
    }

    fn openmeter_answered(
        &mut self,
        batch: BatchId,
        answer: Option<(u16, &[u8])>,
        now: UnixMillis,
    ) -> Answered {
        let status = answer.map(|(status, _)| status);
        let (is_good, notice) = self.openmeter.answered(status, now);
        // An answer that comes after its batch was handed to control changes nothing any more.
        self.metered.entry(batch).or_insert(is_good);
        let next = self.to_control(batch);
        if next.is_none() {
            self.done(batch);
        }
        Answered { next, notices: notice.into_iter().collect(), failed: !is_good, rejected: 0 }
    }

    fn control_answered(
        &mut self,
        batch: BatchId,
        answer: Option<(u16, &[u8])>,
        now: UnixMillis,
    ) -> Answered {
        let status = answer.map(|(status, _)| status);
        let (is_good, notice) = self.control.answered(status, now);
        let mut notices: Vec<Notice> = notice.into_iter().collect();
        if !is_good {
            self.outbox.failed(batch, now);
            return Answered { notices, failed: true, ..Answered::default() };
        }
        let rejected = answer.map_or(0, |(_, body)| rejected(body)).min(self.outbox.entries(batch).len());
        if rejected > 0 {
            notices.push(Notice::Rejected(rejected));
        }
        self.done(batch);
        Answered { notices, rejected, ..Answered::default() }
    }
}

impl Route {
    /// Whether anybody is told anything.
    #[must_use]
    pub const fn is_on(self) -> bool {
        self.openmeter || self.ledger
    }
}

/// How many events control still has to send, by its answer at [`HEALTH_PATH`].
#[must_use]
pub fn control_depth(body: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Health {
        outbox: u64,
    }
    serde_json::from_slice::<Health>(body).ok().map(|health| health.outbox)
}

/// How many records an answer of control's says it will never take: `{"rejected":[…]}`.
fn rejected(body: &[u8]) -> usize {
    if body.is_empty() || body.len() > MAX_ANSWER_BYTES {
        return 0;
    }
    let answer = json::object(body).unwrap_or_default();
    answer.get("rejected").and_then(json::Value::as_array).map_or(0, <[json::Value]>::len)
}

#[cfg(test)]
mod tests;
