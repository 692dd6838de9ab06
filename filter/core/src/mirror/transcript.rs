//! What was said in a call, kept while it passes: as much of it as there is memory for.
//!
//! A text is redacted when it is whole, since a secret may have come in pieces, and cut only then. What is kept
//! beyond the most that is remembered ([`MARGIN`]) is there so that a secret at the cut is seen.

use std::borrow::Cow;

use super::pool::{Pool, Share};
use crate::llm::response::{AnswerSink, SaidText};
use crate::redact::Redactor;

/// How much of a text is kept beyond what is remembered of it, in bytes: the longest secret that is looked for.
pub const MARGIN: usize = 4 * 1024;
/// How much memory is taken at first, in bytes; it doubles.
const FIRST: usize = 1024;
/// The most choices of an answer that are told apart.
const MAX_CHOICES: usize = 16;

/// A text that grows.
#[derive(Debug)]
pub struct Transcript {
    text: Text,
    /// The most that is kept, in bytes.
    most: usize,
    /// Whether what comes next is another text than what came.
    is_next: bool,
}

/// A text that is over, redacted and cut.
pub struct Said {
    /// What was said.
    pub content: String,
    /// Whether it was longer.
    pub truncated: bool,
    /// The memory that it takes up.
    pub share: Share,
}

impl core::fmt::Debug for Said {
    /// Nothing of what was said.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Said").field("bytes", &self.content.len()).finish_non_exhaustive()
    }
}

impl Transcript {
    /// A prompt of which at most `max_bytes` will be remembered.
    #[must_use]
    pub fn new(pool: &Pool, max_bytes: usize) -> Self {
        Self { text: Text::new(pool), most: max_bytes.saturating_add(MARGIN), is_next: false }
    }

    /// Adds a piece.
    pub fn push(&mut self, piece: &[u8]) {
        if core::mem::take(&mut self.is_next) {
            self.text.push(b"\n", self.most);
        }
        self.text.push(piece, self.most);
    }

    /// What comes next is another text: a line of its own.
    pub fn end_text(&mut self) {
        self.is_next |= !self.text.bytes.is_empty() || self.text.is_cut;
    }

    /// Forgets what came: it was told before.
    pub fn clear(&mut self) {
        self.text.bytes.clear();
        self.text.is_cut = false;
        self.is_next = false;
    }

    /// There is more that cannot be read.
    pub fn cut(&mut self) {
        self.text.is_cut = true;
    }

    /// Nothing more comes for now: memory that is not needed goes back.
    pub fn settle(&mut self) {
        self.text.settle();
    }

    /// The text, without what is secret in it.
    #[must_use]
    pub fn finish(self, redactor: &Redactor, max_bytes: usize) -> Said {
        let Text { bytes, mut share, is_cut } = self.text;
        let mut truncated = is_cut;
        let mut content = redacted(bytes, is_cut, redactor);
        fit(&mut content, &mut truncated, max_bytes, &mut share);
        Said { content, truncated, share }
    }
}

/// An answer that grows: its choices, each by itself.
#[derive(Debug)]
pub struct AnswerTranscript {
    pool: Pool,
    /// The most that is kept of all of them, in bytes.
    most: usize,
    choices: Vec<Choice>,
    /// Whether there were more choices.
    is_cut: bool,
}

#[derive(Debug)]
struct Choice {
    index: u32,
    /// Which text was written to last.
    last: SaidText,
    text: Text,
}

impl AnswerTranscript {
    /// An answer of which at most `max_bytes` will be remembered.
    #[must_use]
    pub fn new(pool: &Pool, max_bytes: usize) -> Self {
        let most = max_bytes.saturating_add(MARGIN);
        Self { pool: pool.clone(), most, choices: Vec::new(), is_cut: false }
    }

    /// The choices in their order, an empty line between them, without what is secret in them; what there was is
    /// taken.
    #[must_use]
    pub fn finish(&mut self, redactor: &Redactor, max_bytes: usize) -> Said {
        let mut choices = core::mem::take(&mut self.choices);
        // What still comes is not kept.
        self.most = 0;
        choices.sort_by_key(|choice| choice.index);
        let (mut content, mut truncated, mut share) = (String::new(), self.is_cut, self.pool.share());
        for choice in choices {
            let Text { bytes, share: of_choice, is_cut } = choice.text;
            share.join(of_choice);
            truncated |= is_cut;
            let text = redacted(bytes, is_cut, redactor);
            if content.is_empty() {
                content = text;
            } else if !text.is_empty() {
                content.push_str("\n\n");
                content.push_str(&text);
            }
        }
        fit(&mut content, &mut truncated, max_bytes, &mut share);
        Said { content, truncated, share }
    }
}

impl AnswerSink for AnswerTranscript {
    fn said(&mut self, choice: u32, text: SaidText, piece: &[u8]) {
        let all = self.choices.iter().map(|choice| choice.text.bytes.len()).sum::<usize>();
        let at = match self.choices.iter().position(|known| known.index == choice) {
            Some(at) => at,
            None if self.choices.len() >= MAX_CHOICES => {
                self.is_cut = true;
                return;
            }
            None => {
                self.choices.push(Choice { index: choice, last: text, text: Text::new(&self.pool) });
                self.choices.len().saturating_sub(1)
            }
        };
        let Some(choice) = self.choices.get_mut(at) else { return };
        let most = self.most.saturating_sub(all).saturating_add(choice.text.bytes.len());
        if choice.last != text {
            // A call reads as `name {"its":"arguments"}`.
            let is_call = text.is_arguments && !choice.last.is_arguments;
            choice.last = text;
            if !choice.text.bytes.is_empty() {
                choice.text.push(if is_call { b" " } else { b"\n" }, most);
            }
        }
        choice.text.push(piece, most);
    }
}

/// Bytes, and the memory for them.
struct Text {
    bytes: Vec<u8>,
    share: Share,
    /// Whether there was more; nothing is added any more then.
    is_cut: bool,
}

impl core::fmt::Debug for Text {
    /// Nothing of what was said.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Text").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

impl Text {
    fn new(pool: &Pool) -> Self {
        Self { bytes: Vec::new(), share: pool.share(), is_cut: false }
    }

    /// Adds what there is room for.
    fn push(&mut self, piece: &[u8], most: usize) {
        if self.is_cut || piece.is_empty() {
            return;
        }
        let wanted = self.bytes.len().saturating_add(piece.len());
        if wanted > self.share.bytes() {
            self.grow(wanted.min(most), most);
        }
        let room = self.share.bytes().min(most).saturating_sub(self.bytes.len());
        self.is_cut = piece.len() > room;
        self.bytes.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }

    /// Takes memory: twice as much as there was, or as much as is needed, if there is so much.
    fn grow(&mut self, wanted: usize, most: usize) {
        let have = self.share.bytes();
        let ample = have.saturating_mul(2).max(FIRST).min(most).max(wanted);
        let more = |to: usize| to.saturating_sub(have);
        if self.share.grow_open(more(ample)) || self.share.grow_open(more(wanted)) {
            self.bytes.reserve_exact(self.share.bytes().saturating_sub(self.bytes.len()));
        }
    }

    fn settle(&mut self) {
        self.bytes.shrink_to_fit();
        self.share.shrink_to(self.bytes.capacity());
    }
}

/// A text without what is secret in it, and of one that was cut without what might be.
fn redacted(bytes: Vec<u8>, is_cut: bool, redactor: &Redactor) -> String {
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        // A character that the cut went through is no character.
        Err(error) if is_cut && error.utf8_error().error_len().is_none() => {
            let valid = error.utf8_error().valid_up_to();
            let mut bytes = error.into_bytes();
            bytes.truncate(valid);
            String::from_utf8(bytes).unwrap_or_default()
        }
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    };
    let redacted = if is_cut { redactor.redact_cut(&text) } else { redactor.redact(&text) };
    match redacted {
        Cow::Owned(redacted) => redacted,
        Cow::Borrowed(same) if same.len() == text.len() => text,
        Cow::Borrowed(part) => part.to_owned(),
    }
}

/// Cuts a text to what is remembered and to what there is memory for, and makes its share as large as it is.
fn fit(content: &mut String, truncated: &mut bool, max_bytes: usize, share: &mut Share) {
    let mut most = max_bytes.min(content.len());
    // A redacted text may be longer than it was.
    if most > share.bytes() && !share.grow(most.saturating_sub(share.bytes())) {
        most = share.bytes();
    }
    if most < content.len() {
        *truncated = true;
        content.truncate(content.floor_char_boundary(most));
    }
    content.shrink_to_fit();
    share.shrink_to(content.len());
}

#[cfg(test)]
mod tests;
