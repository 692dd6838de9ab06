//! When a call is over: what it cost, in the end.

use super::{Call, Cut};
use crate::llm::usage::{Source, TokenUsage};
use crate::meter::UsageRecord;
use crate::stream::{Effect, Env, Finished, Output};

use super::prompt;

impl Call {
    /// The stream is over, whoever ended it. The reservation is settled, once, and a record made.
    pub(in crate::stream) fn finish(mut self: Box<Self>, env: &mut Env<'_>, out: &mut dyn Output) {
        let (usage, drift) = self.usage();
        if let Some(hold) = self.hold.take() {
            env.quota.settle(hold, usage.total(), env.now);
        }
        let now = (env.clock)();
        let identity = &self.identity;
        let record = UsageRecord {
            id: String::new(),
            at: self.started.0,
            user: identity.user().to_owned(),
            agent: identity.agent().map(str::to_owned),
            project: self.project.to_string(),
            model: self.model().to_owned(),
            credential: identity.credential().name().to_owned(),
            request_id: self.request_id.to_string(),
            status: self.answer.status,
            milliseconds: now.0.saturating_sub(self.started.0),
            input: usage.input,
            output: usage.output,
            cached: usage.cached,
            reasoning: usage.reasoning,
            source: usage.source,
        };
        let first_text = self.answer.first_text.filter(|_| self.is_streamed);
        out.effect(Effect::Finished(Box::new(Finished {
            record,
            drift,
            first_text: first_text.map(|at| at.0.saturating_sub(self.started.0)),
            was_cut: self.answer.cut != Cut::No,
        })));
    }

    /// The model: the answer's word for it, else the request's.
    pub(super) fn model(&self) -> &str {
        self.answer.reader.as_ref().and_then(|reader| reader.model()).unwrap_or(&self.model)
    }

    /// What it cost, and where both are known, what was counted and what was reported.
    pub(super) fn usage(&mut self) -> (TokenUsage, Option<(u64, u64)>) {
        if let Some(flat) = self.flat {
            return (TokenUsage { input: flat, ..TokenUsage::default() }, None);
        }
        // An upstream that failed has said nothing that anybody would pay for.
        if self.answer.status >= 300 {
            return (TokenUsage::default(), None);
        }
        if self.answer.is_encoded {
            // Nobody can tell: what was reserved was used.
            let (input, output) = (self.prompt_exact(), self.for_output);
            return (TokenUsage { input, output, ..TokenUsage::default() }, None);
        }
        let Some(mut reader) = self.answer.reader.take() else {
            // Whoever goes before the answer comes has sent the prompt all the same.
            let input = self.prompt_exact();
            return (TokenUsage { input, ..TokenUsage::default() }, None);
        };
        let reported = reader.reported();
        let was_cut = self.answer.cut != Cut::No;
        let is_final = reader.is_complete() && !was_cut;
        let input = match reported.input {
            Some(input) => input,
            None => self.prompt_exact(),
        };
        let output = match reported.output {
            Some(output) if is_final => output,
            Some(output) => output.max(reader.output_exact()),
            None => reader.output_exact(),
        };
        let source = match (reported.input, reported.output) {
            (Some(_), Some(_)) if is_final => Source::Reported,
            (None, None) => Source::Counted,
            _ => Source::Mixed,
        };
        // Only where the prompt was counted all the same: one in so many.
        let drift = match (self.prompt.exact, reported.input, reported.output) {
            (Some(counted), Some(reported_input), Some(reported_output)) if is_final => Some((
                counted.saturating_add(reader.output_exact()),
                reported_input.saturating_add(reported_output),
            )),
            _ => None,
        };
        let usage = TokenUsage {
            input,
            output,
            cached: reported.cached.unwrap_or(0).min(input),
            reasoning: reported.reasoning.unwrap_or(0).min(output),
            source,
        };
        self.answer.reader = Some(reader);
        (usage, drift)
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
