//! While the answer passes: what it says is read, what was only asked for is taken out again, and where the
//! budget ends, the answer does.

use core::time::Duration;

use super::Call;
use crate::clock::UnixMillis;
use crate::headers::Pairs;
use crate::llm::response::{Kind, Output as Passed, ResponseReader};
use crate::quota::book::{Answered, Grown};
use crate::stream::stop::Stop;
use crate::stream::{Effect, Env, Flow, Output};

/// How many times a hold is tried to grow at once, at most.
const MOST_STEPS: u32 = 16;
/// After so long more budget is asked for again where there was none.
const ASKS_AGAIN: Duration = Duration::from_millis(250);
/// How far a short answer may be beyond its cap by our count, in tokens.
const CAP_SLACK: u64 = 16;
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
        self.answer.length = length;
        let is_good = (200..300).contains(&self.answer.status);
        if self.flat.is_some() || !is_good || self.answer.is_encoded || end {
            return Flow::Continue;
        }
        if self.asked_for_usage && length.is_some() {
            // It will be shorter than that.
            out.effect(Effect::RemoveResponseHeader("content-length"));
        }
        let mut reader = ResponseReader::new(self.shape, self.encoding, self.asked_for_usage, kind);
        self.listen(env, &mut reader);
        self.answer.reader = Some(reader);
        let wants_headers = env.policy.accounting.as_ref().is_some_and(|accounting| accounting.usage_headers);
        self.answer.is_kept = wants_headers
            && !self.is_streamed
            && kind == Kind::Json
            && length.is_some_and(|length: u64| length <= MAX_KEPT);
        if self.answer.is_kept { Flow::Pause } else { Flow::Continue }
    }

    /// Whether the answer's body is looked at.
    pub(in crate::stream) fn reads_answer(&self) -> bool {
        self.answer.reader.is_some() || self.awaits_refusal() || self.awaits_end()
    }

    fn awaits_refusal(&self) -> bool {
        self.asked_for_usage && matches!(self.answer.status, 400 | 422)
    }

    /// Whether the stream has its last event and is to be broken off, no earlier than in the callback after the
    /// one that wrote it: otherwise the host drops it.
    pub(in crate::stream) fn is_cut(&self) -> bool {
        !self.answer.is_reset && self.was_cut() && !self.is_held()
    }

    pub(super) fn was_cut(&self) -> bool {
        self.answer.reader.as_ref().is_some_and(ResponseReader::is_cut)
    }

    /// A tick has come.
    pub(in crate::stream) fn on_tick(&mut self, env: &Env<'_>, out: &mut dyn Output) {
        if self.is_held() {
            self.hold_on_tick(env, out);
        } else {
            self.end_cut(out);
        }
    }

    fn end_cut(&mut self, out: &mut dyn Output) {
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
        let seen = core::mem::take(&mut self.answer.seen);
        let (before, chunk) = chunk.split_at_checked(seen).unwrap_or((chunk, &[]));
        self.answer.come = self.answer.come.saturating_add(chunk.len() as u64);
        if self.awaits_refusal() {
            self.answer.refusal.read(chunk);
            return Flow::Continue;
        }
        self.end_cut(out);
        self.make_room(env, chunk.len() as u64, out);
        let mut shown = before.len().saturating_add(chunk.len());
        if let Some(reader) = &mut self.answer.reader {
            if let Passed::Replaced(bytes) = reader.push(chunk, end) {
                let bytes = if before.is_empty() { bytes } else { [before, &bytes].concat() };
                let size = core::mem::replace(&mut shown, bytes.len());
                out.effect(Effect::ReplaceResponseBody(size, bytes));
            }
            let bound = reader.output_bound();
            if self.answer.first_text.is_none() && reader.first_text_seen() {
                self.answer.first_text = Some((env.clock)());
            }
            self.give_back(env, bound);
        }
        if self.answer.is_kept && end {
            self.say_usage(out);
        }
        let flow = match self.answer.is_kept && !end {
            true => Flow::Pause,
            false => self.hold(env, shown, end, out),
        };
        if flow == Flow::Pause {
            self.answer.seen = shown;
        }
        flow
    }

    /// The answer's trailers are there, so that all of its body has come. A host lets go with them what it holds.
    pub(in crate::stream) fn on_trailers(&mut self, env: &mut Env<'_>, out: &mut dyn Output) -> Flow {
        self.answer.is_whole = true;
        self.hold(env, 0, true, out)
    }

    /// An engine that does not know the word is not asked again.
    pub(super) fn learn(&self, out: &mut dyn Output) {
        if self.may_learn && self.awaits_refusal() && self.answer.refusal.names_the_word() {
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
        let step = accounting.default_output.max(1);
        // An engine that was told where to end does so by itself. Otherwise control needs a while to answer, and is
        // asked before there is nothing left.
        let ahead = if self.is_capped { 0 } else { coming.saturating_add(step / 4) };
        if env.now >= self.asks_from && reader.output_bound().saturating_add(ahead) > self.for_output {
            let most = reader.output_exact().saturating_add(ahead);
            let steps = |tokens: u64| tokens.div_ceil(step).saturating_mul(step);
            // All that is missing, in whole steps.
            let mut most_at_once = self.last_step.take().unwrap_or(u64::MAX);
            for _ in 0..MOST_STEPS {
                if most <= self.for_output || self.operation.is_some() {
                    break;
                }
                let by = steps(most.saturating_sub(self.for_output)).min(most_at_once);
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
                        most_at_once = refused.view.remaining;
                    }
                    Grown::Refused(_) | Grown::Unavailable => {
                        if env.policy.is_shadow && self.asks_from == UnixMillis(0) {
                            out.effect(Effect::CountWouldDeny(Stop::OVER_LIMIT));
                        }
                        self.asks_from = env.now.after(ASKS_AGAIN);
                        break;
                    }
                }
            }
        }
        let end = match self.is_capped {
            _ if env.policy.is_shadow => None,
            // Its count of what it writes may be another than ours: it is ended where it does not obey.
            true => Some(self.for_output.saturating_add(self.for_output / 4).saturating_add(CAP_SLACK)),
            false => Some(self.for_output),
        };
        reader.end_at(end);
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
            // There is something to be had again.
            self.asks_from = UnixMillis(0);
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
                self.last_step = Some(refused.view.remaining).filter(|left| *left > 0);
                self.asks_from = env.now.after(ASKS_AGAIN);
            }
            (Answered::Unavailable | Answered::Done, _) => self.asks_from = env.now.after(ASKS_AGAIN),
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
