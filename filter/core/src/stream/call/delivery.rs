//! While the answer passes: what it says is read, what was only asked for is taken out again, and where the
//! budget ends, the answer does.

use super::admission::needs;
use super::{Call, Cut};
use crate::headers::Pairs;
use crate::llm::response::{Kind, Output as Passed, ResponseReader};
use crate::quota::book::Taken;
use crate::stream::{Effect, Env, Flow, Output};

/// How much of an upstream's refusal is looked at, in bytes.
const MAX_REFUSAL: usize = 16 * 1024;
/// The word by which an engine refuses to be asked for usage.
const REFUSED_WORD: &[u8] = b"stream_options";
/// The largest answer that is held back for headers that say what it cost, in bytes.
const MAX_KEPT: u64 = 512 * 1024;

impl Call {
    /// The answer's headers are there.
    pub(in crate::stream) fn on_headers(
        &mut self,
        env: &Env<'_>,
        pairs: &Pairs,
        end: bool,
        out: &mut dyn Output,
    ) -> Flow {
        let (mut kind, mut length) = (Kind::Unknown, None);
        for (name, value) in pairs {
            match (name.len(), name.as_str()) {
                (7, ":status") => self.answer.status = number(value).unwrap_or(0),
                (12, "content-type") => kind = Kind::of(value),
                (14, "content-length") => length = number(value),
                (16, "content-encoding") => {
                    self.answer.is_encoded = !value.trim_ascii().eq_ignore_ascii_case(b"identity");
                }
                _ => {}
            }
        }
        self.answer.is_whole = end;
        let is_good = (200..300).contains(&self.answer.status);
        if self.flat.is_some() || !is_good || self.answer.is_encoded || end {
            return Flow::Continue;
        }
        if self.asked_for_usage && length.is_some() {
            // It will be shorter than that.
            out.effect(Effect::RemoveResponseHeader("content-length"));
        }
        self.answer.reader =
            Some(ResponseReader::new(self.shape, self.encoding, self.asked_for_usage, kind));
        let wants_headers = env.policy.accounting.as_ref().is_some_and(|accounting| accounting.usage_headers);
        self.answer.is_kept = wants_headers
            && !self.is_streamed
            && kind == Kind::Json
            && length.is_some_and(|length: u64| length <= MAX_KEPT);
        if self.answer.is_kept { Flow::Pause } else { Flow::Continue }
    }

    /// Whether the answer's body is looked at.
    pub(in crate::stream) fn reads_answer(&self) -> bool {
        self.answer.reader.is_some() || self.awaits_refusal()
    }

    fn awaits_refusal(&self) -> bool {
        self.asked_for_usage && matches!(self.answer.status, 400 | 422)
    }

    /// Whether the stream is to be reset, no earlier than in the callback after the one that wrote its end.
    pub(in crate::stream) fn is_cut(&self) -> bool {
        self.answer.cut == Cut::Done
    }

    /// A tick has come, and the answer's end is on its way.
    pub(in crate::stream) fn on_tick(&mut self, out: &mut dyn Output) {
        if self.answer.cut == Cut::Done {
            self.answer.cut = Cut::Reset;
            out.effect(Effect::ResetStream);
        }
    }

    /// More of the answer is there.
    pub(in crate::stream) fn on_body(
        &mut self,
        env: &mut Env<'_>,
        chunk: &[u8],
        end: bool,
        out: &mut dyn Output,
    ) -> Flow {
        self.answer.is_whole |= end;
        // What is held back is shown again with what has come.
        let chunk = match self.answer.is_kept {
            true => chunk.get(core::mem::replace(&mut self.answer.seen, chunk.len())..).unwrap_or_default(),
            false => chunk,
        };
        if self.answer.cut >= Cut::Done {
            if !chunk.is_empty() {
                out.effect(Effect::ReplaceResponseBody(chunk.len(), Vec::new()));
            }
            if !end {
                self.on_tick(out);
            }
            return Flow::Continue;
        }
        if self.awaits_refusal() {
            self.look_for_refusal(chunk, out);
            return Flow::Continue;
        }
        let Some(reader) = &mut self.answer.reader else { return Flow::Continue };
        let passed = reader.push(chunk, end);
        if self.answer.first_text.is_none() && reader.first_text_seen() {
            self.answer.first_text = Some((env.clock)());
        }
        let cut = self.is_over(env, out);
        let mut changed = match passed {
            Passed::Same => None,
            Passed::Replaced(bytes) => Some(bytes),
        };
        if let Some(reader) = &self.answer.reader
            && (cut || self.answer.cut == Cut::Due)
            && self.is_streamed
            && !reader.is_complete()
        {
            self.answer.cut = Cut::Due;
            if reader.at_boundary() {
                let mut bytes = changed.unwrap_or_else(|| chunk.to_vec());
                bytes.extend_from_slice(&reader.final_event());
                changed = Some(bytes);
                self.answer.cut = Cut::Done;
            }
        }
        if let Some(bytes) = changed {
            out.effect(Effect::ReplaceResponseBody(chunk.len(), bytes));
        }
        if !self.answer.is_kept {
            return Flow::Continue;
        }
        if !end {
            return Flow::Pause;
        }
        self.say_usage(out);
        Flow::Continue
    }

    /// An engine that does not know the word is not asked again.
    fn look_for_refusal(&mut self, chunk: &[u8], out: &mut dyn Output) {
        let seen = &mut self.answer.refusal;
        let room = MAX_REFUSAL.saturating_sub(seen.len());
        seen.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
        if seen.windows(REFUSED_WORD.len()).any(|word| word == REFUSED_WORD) {
            self.asked_for_usage = false;
            *seen = Vec::new();
            out.effect(Effect::RefusedStreamOptions);
        }
    }

    /// Whether more has been said than there is budget for. A stream's hold grows before that, while there is.
    fn is_over(&mut self, env: &mut Env<'_>, out: &mut dyn Output) -> bool {
        let Some(accounting) = &env.policy.accounting else { return false };
        let (Some(hold), Some(reader)) = (&mut self.hold, &mut self.answer.reader) else { return false };
        if !self.is_streamed {
            return false;
        }
        let step = accounting.default_output;
        // Control needs a while to answer, and it is asked before there is nothing left.
        let soon = |delivered: u64, held: u64| delivered.saturating_add(step / 4) > held;
        if !soon(reader.output_bound(), self.for_output) {
            return false;
        }
        let delivered = reader.output_exact();
        if !soon(delivered, self.for_output) || self.is_asking {
            return delivered > self.for_output;
        }
        let needs = needs(accounting, &self.accounts, &self.project, Some(&self.model));
        match env.quota.grow(hold, &needs, step, env.now, env.windows) {
            Taken::Granted(()) => {
                self.for_output = self.for_output.saturating_add(step);
                false
            }
            Taken::Ask(operation) => {
                self.is_asking = true;
                out.effect(Effect::AskLedger(operation));
                delivered > self.for_output
            }
            Taken::Refused(_) | Taken::Unavailable => delivered >= self.for_output,
        }
    }

    /// Control has answered, or will not.
    pub(in crate::stream) fn on_answer(&mut self) {
        // The next chunk that comes finds what there is.
        self.is_asking = false;
    }

    /// The answer is whole and has been held back: it says what it cost.
    fn say_usage(&mut self, out: &mut dyn Output) {
        let (usage, _) = self.usage();
        let model = self.model().to_owned();
        if !model.is_empty() && model.bytes().all(|b| b.is_ascii_graphic()) {
            out.effect(Effect::SetResponseHeader("x-llm-model", model.as_bytes()));
        }
        out.effect(Effect::SetResponseHeader("x-tokens-in", usage.input.to_string().as_bytes()));
        out.effect(Effect::SetResponseHeader("x-tokens-out", usage.output.to_string().as_bytes()));
    }
}

fn number<T: core::str::FromStr>(value: &[u8]) -> Option<T> {
    core::str::from_utf8(value).ok()?.trim().parse().ok()
}
