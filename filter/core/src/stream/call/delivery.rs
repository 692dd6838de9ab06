//! While the answer passes: what it says is read, what was only asked for is taken out again, and where the
//! budget ends, the answer does.

use super::Call;
use crate::headers::Pairs;
use crate::llm::response::{Kind, Output as Passed, ResponseReader};
use crate::quota::book::{Answered, Grown};
use crate::stream::{Effect, Env, Flow, Output};

/// How much of an upstream's refusal is looked at, in bytes.
const MAX_REFUSAL: usize = 16 * 1024;
/// The word by which an engine refuses to be asked for usage.
const REFUSED_WORD: &[u8] = b"stream_options";
/// How many steps a hold grows by at once, at most: a chunk is seldom larger.
const MOST_STEPS: u32 = 16;
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
                (12, "content-type") => kind = Kind::of_content_type(value),
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
        self.answer.reader = Some(ResponseReader::new(self.shape, self.encoding, self.asked_for_usage, kind));
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

    /// Whether the stream has its last event and is to be broken off, no earlier than in the callback after the
    /// one that wrote it: otherwise the host drops it.
    pub(in crate::stream) fn is_cut(&self) -> bool {
        !self.answer.is_reset && self.was_cut()
    }

    pub(super) fn was_cut(&self) -> bool {
        self.answer.reader.as_ref().is_some_and(ResponseReader::is_cut)
    }

    /// A tick has come.
    pub(in crate::stream) fn on_tick(&mut self, out: &mut dyn Output) {
        if self.is_cut() && !self.answer.is_whole {
            self.answer.is_reset = true;
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
        if self.awaits_refusal() {
            self.look_for_refusal(chunk, out);
            return Flow::Continue;
        }
        self.on_tick(out);
        self.make_room(env, chunk.len() as u64, out);
        let Some(reader) = &mut self.answer.reader else { return Flow::Continue };
        if let Passed::Replaced(bytes) = reader.push(chunk, end) {
            out.effect(Effect::ReplaceResponseBody(chunk.len(), bytes));
        }
        let bound = reader.output_bound();
        if self.answer.first_text.is_none() && reader.first_text_seen() {
            self.answer.first_text = Some((env.clock)());
        }
        self.give_back(env, bound);
        match (self.answer.is_kept, end) {
            (false, _) => Flow::Continue,
            (true, false) => Flow::Pause,
            (true, true) => {
                self.say_usage(out);
                Flow::Continue
            }
        }
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

    /// Lets the hold grow before more of a stream passes, while there is budget; where there is none, the stream
    /// ends with the event that reaches its end. `coming` is how many bytes come next.
    fn make_room(&mut self, env: &mut Env<'_>, coming: u64, out: &mut dyn Output) {
        let Some(accounting) = &env.policy.accounting else { return };
        let (Some(hold), Some(reader)) = (&mut self.hold, &mut self.answer.reader) else { return };
        if !self.is_streamed {
            return;
        }
        let step = accounting.default_output;
        // Control needs a while to answer, and is asked before there is nothing left.
        let ahead = coming.saturating_add(step / 4);
        if reader.output_bound().saturating_add(ahead) > self.for_output {
            let most = reader.output_exact().saturating_add(ahead);
            let mut steps = 0;
            let mut by = self.last_step.take().unwrap_or(step);
            while most > self.for_output && self.operation.is_none() && steps < MOST_STEPS {
                steps += 1;
                match env.quota.grow(hold, by, env.now, env.windows) {
                    Grown::Granted => {
                        self.for_output = self.for_output.saturating_add(by);
                        self.grown = self.grown.saturating_add(by);
                    }
                    Grown::Ask(operation) => {
                        self.operation = Some(operation.id);
                        out.effect(Effect::AskLedger(operation));
                    }
                    // The last step is as long as what is left.
                    Grown::Refused(refused) if (1..by).contains(&refused.view.remaining) => {
                        by = refused.view.remaining;
                    }
                    Grown::Refused(_) | Grown::Unavailable => break,
                }
            }
        }
        reader.end_at(Some(self.for_output));
    }

    /// Before a chunk has been read, its bytes stand for its tokens, of which there are far fewer: once it has
    /// passed, what the hold has grown by and does not need goes back. `said` is what the answer has at most.
    fn give_back(&mut self, env: &mut Env<'_>, said: u64) {
        let (Some(accounting), Some(hold)) = (&env.policy.accounting, &mut self.hold) else { return };
        let step = accounting.default_output;
        let surplus = self.for_output.saturating_sub(said.saturating_add(step)).min(self.grown);
        if surplus >= step {
            env.quota.shrink(hold, surplus);
            self.grown = self.grown.saturating_sub(surplus);
            self.for_output = self.for_output.saturating_sub(surplus);
        }
    }

    /// Control has answered, or will not. The next chunk that comes finds what there is.
    pub(in crate::stream) fn on_answer(&mut self, env: &mut Env<'_>, answered: Answered) {
        self.operation = None;
        match (answered, &mut self.hold) {
            (Answered::Granted(more), Some(hold)) => {
                self.for_output = self.for_output.saturating_add(more.tokens());
                self.grown = self.grown.saturating_add(more.tokens());
                env.quota.join(hold, more);
            }
            (Answered::Granted(more), None) => env.quota.settle(more, 0, env.now),
            (Answered::Refused(refused), _) => {
                let step = env.policy.accounting.as_ref().map_or(0, |accounting| accounting.default_output);
                let left = refused.view.remaining;
                self.last_step = Some(left).filter(|left| (1..step).contains(left));
            }
            (Answered::Unavailable | Answered::Done, _) => {}
        }
    }

    /// The answer is whole and has been held back: it says what it cost.
    fn say_usage(&mut self, out: &mut dyn Output) {
        let usage = self.usage();
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
