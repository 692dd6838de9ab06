//! When a call is over: what it cost, in the end.

use super::{Call, prompt};
use crate::llm::shape::Shape;
use crate::llm::usage::TokenUsage;
use crate::meter::UsageRecord;
use crate::meter::bounds::MAX_TOKENS;
use crate::stream::{Effect, Env, Finished, Output};

/// What is reserved or charged flatly may be larger than any record's receiver takes.
pub(super) fn told(tokens: u64) -> u64 {
    tokens.min(MAX_TOKENS)
}

impl Call {
    /// The stream is over, whoever ended it. The reservation is settled, once, and a record made.
    pub(in crate::stream) fn finish(mut self: Box<Self>, env: &mut Env<'_>, out: &mut dyn Output) {
        if let Some(operation) = self.operation.take() {
            env.quota.abandon(operation);
        }
        let usage = self.usage();
        let now = (env.clock)();
        self.remember_at_end(env, &usage, now, out);
        let drift = self.drift();
        self.learn(out);
        if let Some(hold) = self.hold.take() {
            env.quota.settle(hold, usage.total(), env.now);
        }
        let identity = &self.identity;
        let record = UsageRecord {
            // Without one the worker gives it.
            id: self.memory.as_mut().and_then(|memory| memory.take_id()).unwrap_or_default(),
            at: self.started.0,
            user: identity.user().to_owned(),
            agent: identity.agent().map(str::to_owned),
            project: self.project.to_string(),
            model: self.model().to_owned(),
            credential: identity.credential().name().to_owned(),
            request_id: self.request_id.to_string(),
            status: self.answer.status,
            milliseconds: now.0.saturating_sub(self.started.0),
            input: told(usage.input),
            output: told(usage.output),
            cached: told(usage.cached),
            reasoning: told(usage.reasoning),
            source: usage.source,
        };
        let first_text = self.answer.first_text.filter(|_| self.is_streamed);
        out.effect(Effect::Finished(Box::new(Finished {
            record,
            room: self.room.take(),
            drift,
            first_text: first_text.map(|at| at.0.saturating_sub(self.started.0)),
            was_cut: self.was_cut(),
        })));
    }

    /// The model: the answer's word for it, else the request's.
    pub(super) fn model(&self) -> &str {
        self.answer.reader.as_ref().and_then(|reader| reader.model()).unwrap_or(&self.model)
    }

    /// What it cost, as far as it has gone.
    pub(super) fn usage(&mut self) -> TokenUsage {
        let counted = |input, output| TokenUsage { input, output, ..TokenUsage::default() };
        // An upstream that failed has said nothing that anybody would pay for.
        if self.answer.status >= 300 {
            return counted(0, 0);
        }
        if let Some(flat) = self.flat {
            return counted(flat, 0);
        }
        if self.answer.is_encoded {
            // Nobody can tell: what was reserved was used.
            return counted(self.prompt_exact(), self.for_output);
        }
        let Some(reader) = &self.answer.reader else {
            // Whoever goes before the answer comes has sent the prompt all the same.
            return counted(self.prompt_exact(), 0);
        };
        // In a format that nobody knows it may have said anything: no more than it has bytes, and than was
        // reserved.
        let strange = reader.not_understood().filter(|_| self.generates && self.wire.shape == Shape::Unknown);
        let is_reported = reader.reported().input.is_some_and(|input| input > 0);
        let prompt = if is_reported { self.prompt.known() } else { self.prompt_exact() };
        let usage = match &mut self.answer.reader {
            Some(reader) => reader.usage(Some(prompt)),
            None => counted(prompt, 0),
        };
        match strange {
            Some(bytes) => TokenUsage { output: bytes.min(self.for_output), ..usage },
            None => usage,
        }
    }

    /// What was counted and what was reported, where both are known: of calls whose prompt was counted although
    /// nobody needed it, one in so many, and of those whose budget was nearly used up.
    fn drift(&mut self) -> Option<(u64, u64)> {
        let input = self.prompt.exact?;
        let reader = self.answer.reader.as_mut().filter(|reader| reader.is_complete())?;
        let reported = reader.reported();
        // What a model has thought is not in the text.
        let said = reported.output?.saturating_sub(reported.reasoning.unwrap_or(0));
        Some((input.saturating_add(reader.output_exact()), reported.input?.saturating_add(said)))
    }

    /// The prompt's tokens, counted now if they were only measured.
    fn prompt_exact(&mut self) -> u64 {
        if let Some(exact) = self.prompt.exact {
            return exact;
        }
        let counted = match self.prompt.body.take() {
            Some(body) => prompt::count(&self.wire, self.encoding, [&*body]),
            None => None,
        };
        let counted = counted.unwrap_or(self.prompt.bound);
        self.prompt.exact = Some(counted);
        counted
    }
}
