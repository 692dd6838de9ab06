//! What is remembered of a call: told when it is over, or, where memory must have it first, before the answer's
//! last byte passes.
//!
//! # Held answers
//! The chunk that completes an answer is held back, with whatever follows it, until memory has the call or the
//! time for that is over. A host passes on what it has held as a whole, and may keep what comes between that and
//! the end of the stream: so what comes late is held again, and goes with the end.

use std::cell::RefCell;
use std::rc::Rc;

use super::Call;
use super::settlement::told;
use crate::clock::UnixMillis;
use crate::llm::response::ResponseReader;
use crate::llm::usage::TokenUsage;
use crate::mirror::event::{ABORTED, ANSWER, DONE, ERROR, MemoryEvent, Object, PROMPT};
use crate::mirror::transcript::{AnswerTranscript, Said, Transcript};
use crate::stream::{Effect, Env, Flow, Output, Remembered};

/// What of a call is to be remembered.
pub(super) struct Memory {
    /// Until it is told.
    prompt: Option<Transcript>,
    answer: Option<Rc<RefCell<AnswerTranscript>>>,
    session: [u8; 64],
    /// The call's name, once it was told, for its record.
    record_id: Option<String>,
    hold: Hold,
}

/// Whether the answer's last byte is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Not yet, or never.
    Open,
    /// It is, until then.
    Held { until: UnixMillis, is_told: bool, is_remembered: bool },
    /// It was.
    Over,
}

impl Memory {
    pub(super) fn new(mut prompt: Transcript, session: [u8; 64]) -> Self {
        prompt.settle();
        Self { prompt: Some(prompt), answer: None, session, record_id: None, hold: Hold::Open }
    }

    /// The name under which the call was remembered.
    pub(super) fn take_id(&mut self) -> Option<String> {
        self.record_id.take()
    }
}

impl Call {
    /// The answer is to be remembered, if the call is.
    pub(super) fn listen(&mut self, env: &Env<'_>, reader: &mut ResponseReader) {
        if let (Some(memory), Some(rules)) = (&mut self.memory, &env.policy.memory) {
            let answer = Rc::new(RefCell::new(AnswerTranscript::new(env.pool, rules.max_bytes)));
            reader.hand_on(Rc::clone(&answer) as _);
            memory.answer = Some(answer);
        }
    }

    /// Whether the answer is looked at to see where it ends, although it is not read.
    pub(super) fn awaits_end(&self) -> bool {
        self.memory.is_some() && self.is_good() && !self.answer.is_whole
    }

    fn is_good(&self) -> bool {
        (200..300).contains(&self.answer.status)
    }

    /// Whether the whole answer has come.
    fn is_complete(&self) -> bool {
        let is_read = self.answer.reader.as_ref().is_some_and(ResponseReader::is_complete);
        let has_length = self.answer.length.is_some_and(|length| self.answer.come >= length);
        (self.answer.is_whole || is_read || has_length) && !self.was_cut()
    }

    pub(in crate::stream) fn is_held(&self) -> bool {
        matches!(self.memory.as_deref(), Some(Memory { hold: Hold::Held { .. }, .. }))
    }

    /// Whether the answer has been held back for as long as it may be.
    pub(in crate::stream) fn is_hold_over(&self, now: UnixMillis) -> bool {
        matches!(self.memory.as_deref(), Some(Memory { hold: Hold::Held { until, .. }, .. }) if now >= *until)
    }

    /// More of the answer has been read, `shown` bytes wait to pass, and perhaps that is all: holds it back where
    /// memory must have it first.
    pub(super) fn hold(&mut self, env: &mut Env<'_>, shown: usize, end: bool, out: &mut dyn Output) -> Flow {
        let Some(within) = env.policy.memory.as_ref().and_then(|rules| rules.ack_within) else {
            return Flow::Continue;
        };
        let is_last = self.is_complete() || self.was_cut();
        let has_ended = self.has_ended();
        let is_empty = self.answer.come == 0;
        let is_good = self.is_good();
        let Some(memory) = &mut self.memory else { return Flow::Continue };
        let until = env.now.after(within);
        match memory.hold {
            Hold::Open if !is_last || is_empty || !is_good => return Flow::Continue,
            Hold::Open => {
                memory.hold = Hold::Held { until, is_told: false, is_remembered: false };
            }
            Hold::Held { is_remembered: true, .. } if end => {
                memory.hold = Hold::Over;
                return Flow::Continue;
            }
            Hold::Held { .. } => {}
            Hold::Over if shown == 0 || self.answer.is_reset => return Flow::Continue,
            // The end itself goes with the next tick: it is there.
            Hold::Over => {
                let until = if end { env.now } else { until };
                memory.hold = Hold::Held { until, is_told: true, is_remembered: true };
            }
        }
        if has_ended && let Hold::Held { is_told: is_told @ false, .. } = &mut memory.hold {
            *is_told = true;
            let (usage, now) = (self.usage(), (env.clock)());
            if !self.remember(env, &usage, now, true, out) {
                self.end_hold();
                return Flow::Continue;
            }
        }
        Flow::Pause
    }

    /// Memory has what it was told, or will not have it.
    pub(in crate::stream) fn on_remembered(&mut self, kept: bool, out: &mut dyn Output) {
        let Some(memory) = &mut self.memory else { return };
        let Hold::Held { is_told: true, is_remembered: false, .. } = memory.hold else { return };
        if !kept {
            self.break_off(out);
        } else {
            self.resume(out);
        }
    }

    /// A tick has come: an answer is not held back for ever.
    pub(super) fn hold_on_tick(&mut self, env: &Env<'_>, out: &mut dyn Output) {
        match self.memory.as_deref() {
            Some(Memory { hold: Hold::Held { until, is_remembered, .. }, .. }) if env.now >= *until => {
                if *is_remembered {
                    self.resume(out)
                } else {
                    self.break_off(out)
                }
            }
            _ => {}
        }
    }

    /// Whether nothing of the answer's last event is still to come.
    fn has_ended(&self) -> bool {
        self.answer.is_whole
            || self.was_cut()
            || self.answer.length.is_some_and(|length| self.answer.come >= length)
            || self.answer.reader.as_ref().is_some_and(ResponseReader::has_ended)
    }

    fn resume(&mut self, out: &mut dyn Output) {
        self.end_hold();
        out.effect(Effect::ResumeResponse);
    }

    fn break_off(&mut self, out: &mut dyn Output) {
        self.end_hold();
        self.answer.is_reset = true;
        out.effect(Effect::ResetStream);
    }

    fn end_hold(&mut self) {
        self.answer.seen = 0;
        if let Some(memory) = &mut self.memory {
            memory.hold = Hold::Over;
        }
    }

    /// The call is over: what has not been told is.
    pub(super) fn remember_at_end(
        &mut self,
        env: &Env<'_>,
        usage: &TokenUsage,
        now: UnixMillis,
        out: &mut dyn Output,
    ) {
        self.remember(env, usage, now, false, out);
    }

    /// Tells memory of the call, once; whether there was anything to tell.
    fn remember(
        &mut self,
        env: &Env<'_>,
        usage: &TokenUsage,
        now: UnixMillis,
        waits: bool,
        out: &mut dyn Output,
    ) -> bool {
        let (Some(rules), Some(memory)) = (&env.policy.memory, &mut self.memory) else { return false };
        let Some(prompt) = memory.prompt.take() else { return false };
        if let Some(reader) = &mut self.answer.reader {
            reader.hand_on_rest();
        }
        let finish = |said: &Rc<RefCell<AnswerTranscript>>| {
            said.try_borrow_mut().ok().map(|mut said| said.finish(&rules.redactor, rules.max_bytes))
        };
        let prompt = prompt.finish(&rules.redactor, rules.max_bytes);
        let answer = memory.answer.take().as_ref().and_then(finish).filter(|said| !said.content.is_empty());
        let (session, id) = (memory.session, (env.record_id)());
        memory.record_id = Some(id.clone());
        let state = match (self.is_good(), self.is_complete()) {
            (true, true) => DONE,
            (true, false) => ABORTED,
            (false, _) => ERROR,
        };
        let mut share = env.pool.share();
        let mut object = |said: Said, timestamp, event: &str, role: &str, tokens| {
            share.join(said.share);
            let user = self.identity.user();
            let event = MemoryEvent {
                timestamp,
                event: event.to_owned(),
                session_id: String::from_utf8_lossy(&session).into_owned(),
                user: user.to_owned(),
                owner: user.to_owned(),
                agent: self.identity.agent().unwrap_or_default().to_owned(),
                role: role.to_owned(),
                content: said.content,
                truncated: said.truncated,
                // Whatever stands in the request's place for it, or in the answer's.
                model: rules.redactor.redact(self.model()).into_owned(),
                tokens: told(tokens),
                request_id: id.clone(),
                state: state.to_owned(),
                ..MemoryEvent::default()
            };
            let has_tenants = rules.weaviate.as_ref().is_some_and(|weaviate| weaviate.has_tenants);
            Object::new(&id, event, has_tenants)
        };
        let mut objects = vec![object(prompt, self.started, PROMPT, "user", usage.input)];
        if let Some(answer) = answer.filter(|_| state != ERROR) {
            objects.push(object(answer, now, ANSWER, "assistant", usage.output));
        }
        out.effect(Effect::Remember(Box::new(Remembered { objects, share, waits })));
        true
    }
}
