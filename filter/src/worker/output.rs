//! What a step of a stream puts out, carried out.

use std::rc::Rc;

use attach_core::quota::book::Operation;
use attach_core::reply::LocalReply;
use attach_core::stream::{Effect, Finished, Output, Question, Remembered};

use super::Worker;
use crate::host;

/// Carries effects out: header edits at once, the rest when nothing is borrowed any more.
pub(super) struct HostOutput<'a> {
    pub(super) worker: &'a Worker,
    pub(super) reply: Option<Rc<LocalReply>>,
    pub(super) resume: bool,
    pub(super) reset: bool,
    pub(super) question: Option<Question>,
    pub(super) operation: Option<Operation>,
    pub(super) finished: Option<Box<Finished>>,
    pub(super) remembered: Option<Box<Remembered>>,
    pub(super) resume_response: bool,
    /// Whether the request waits for control's answer about limits.
    pub(super) waits: bool,
}

impl<'a> HostOutput<'a> {
    pub(super) fn new(worker: &'a Worker) -> Self {
        Self {
            worker,
            reply: None,
            resume: false,
            reset: false,
            question: None,
            operation: None,
            finished: None,
            remembered: None,
            resume_response: false,
            waits: false,
        }
    }
}

impl Output for HostOutput<'_> {
    fn effect(&mut self, effect: Effect<'_>) {
        match effect {
            Effect::SetRequestHeader(name, value) => host::set_request_header(name, value),
            Effect::RemoveRequestHeader(name) => host::remove_request_header(name),
            Effect::RemoveRequestTrailer(name) => host::remove_request_trailer(name),
            Effect::SetResponseHeader(name, value) => host::set_response_header(name, value),
            Effect::RemoveResponseHeader(name) => host::remove_response_header(name),
            Effect::ReplaceRequestBody(size, body) => host::replace_request_body(size, &body),
            Effect::ReplaceResponseBody(size, body) => host::replace_response_body(size, &body),
            Effect::ResetStream => self.reset = true,
            Effect::AskLedger(operation) => self.operation = Some(operation),
            Effect::CountAllowed => self.worker.metrics.allowed(),
            Effect::CountDenied(reason) => self.worker.metrics.denied(reason),
            Effect::CountUnlimited => self.worker.metrics.unlimited(),
            Effect::RefusedStreamOptions => self.worker.refuses_stream_options.set(true),
            Effect::Finished(finished) => self.finished = Some(finished),
            Effect::CountWouldDeny(reason) => self.worker.count_would_deny(reason),
            Effect::Remember(remembered) => self.remembered = Some(remembered),
            Effect::ResumeResponse => self.resume_response = true,
            Effect::Ask(question) => self.question = Some(question),
            Effect::Reply(reply) => self.reply = Some(reply),
            Effect::Resume => self.resume = true,
        }
    }
}

impl HostOutput<'_> {
    /// What is to be remembered, if the stream waits for that.
    pub(super) fn take_waiting(&mut self) -> Option<Box<Remembered>> {
        self.remembered.take_if(|remembered| remembered.waits)
    }

    /// Whether the response goes on. In its own callback the flow says so: a resume comes before the host has
    /// paused it, and is lost.
    pub(super) fn take_resume_response(&mut self) -> bool {
        core::mem::take(&mut self.resume_response)
    }

    pub(super) fn finish(self) {
        if let Some(finished) = self.finished {
            self.worker.finished(*finished);
        }
        if let Some(remembered) = self.remembered {
            self.worker.remember(*remembered);
        }
        if self.reset {
            host::reset_stream();
        } else if self.resume_response {
            host::resume_response();
        }
        match self.reply {
            Some(reply) => host::reply(&reply),
            None if self.resume => host::resume_request(),
            None => {}
        }
    }
}

impl Worker {
    /// A call is over: it is recorded and counted.
    fn finished(&self, finished: Finished) {
        let Finished { mut record, room, drift, first_text, was_cut } = finished;
        if was_cut {
            self.metrics.cut();
        }
        self.metrics.recorded(&record);
        if let Some((counted, reported)) = drift {
            self.metrics.drift(counted, reported);
        }
        if let Some(milliseconds) = first_text {
            self.metrics.first_token(milliseconds);
        }
        if self.policy.accounting.as_ref().is_some_and(|accounting| accounting.log_usage) {
            host::log_value("attach.model", &record.model);
            host::log_value("attach.tokens_in", &record.input.to_string());
            host::log_value("attach.tokens_out", &record.output.to_string());
        }
        if record.id.is_empty() {
            record.id = self.courier.next_record_id();
        }
        // What does not fit is counted there, and said in the log.
        let _ = self.courier.push(record, room);
    }

    fn count_would_deny(&self, reason: &'static str) {
        let Ok(mut counters) = self.would_deny.try_borrow_mut() else { return };
        let counter = match counters.get(reason) {
            Some(counter) => Some(*counter),
            None => host::counter(&format!("attach_would_deny_total;reason={reason}")),
        };
        if let Some(counter) = counter {
            counters.insert(reason, counter);
            host::count(counter);
        }
    }
}
