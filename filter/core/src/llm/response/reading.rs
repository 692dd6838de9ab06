//! An answer as far as it was read: its text, its usage, what it says about itself.

use super::facts::{Event as Typed, Facts, bit};
use super::names::Name as N;
use super::places::{self, FIELDS, REASONING, Want};
use super::tally::{Tally, tokens};
use super::text::{Field, Texts};
use crate::llm::bpe::Encoding;

/// The most bytes of a choice's text that wait for its `index`, where that comes behind the text.
const MAX_STAGED: usize = 2 * 1024;

/// The most pieces that do.
const MAX_PIECES: usize = 16;

#[derive(Clone, Copy, Debug)]
pub(super) struct Level {
    pub(super) is_array: bool,
    /// How long the path is around it.
    pub(super) path: usize,
}

/// The choice that is being read.
#[derive(Default)]
pub(super) struct Choice {
    /// How deep it lies; 0 for none.
    pub(super) depth: usize,
    /// Its place among its fellows, which stands in for an `index` that it does not have.
    pub(super) place: u32,
    index: Option<u32>,
    finished: bool,
    /// Text that waits for the index.
    staged: Vec<u8>,
    pieces: Vec<(Field, usize)>,
}

/// An answer as far as it was read.
pub(super) struct Reading {
    pub(super) texts: Texts,
    pub(super) tally: Tally,
    pub(super) facts: Facts,
    pub(super) levels: Vec<Level>,
    /// The names of the members around the value that comes next; an array's elements have the array's.
    pub(super) path: Vec<N>,
    pub(super) want: Want,
    /// Up to here the string has been told, as the reader of JSON counts.
    pub(super) told: u64,
    pub(super) word: Vec<u8>,
    /// The value whose bytes are text as they stand: how deep it lies, and where it begins.
    pub(super) raw: Option<(usize, u64)>,
    pub(super) choice: Choice,
    /// Which of two names carries the reasoning.
    reasoning: Option<N>,
    /// Which text of its field this is, times [`FIELDS`].
    pub(super) turn: Field,
    /// Every string is a text of its own, since this is no stream.
    pub(super) is_whole: bool,
}

impl Reading {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self {
            texts: Texts::new(encoding),
            tally: Tally::default(),
            facts: Facts::default(),
            levels: Vec::new(),
            path: Vec::new(),
            want: Want::Nothing,
            told: 0,
            word: Vec::new(),
            raw: None,
            choice: Choice::default(),
            reasoning: None,
            turn: 0,
            is_whole: false,
        }
    }

    /// A new JSON text begins.
    pub(super) fn begin(&mut self) {
        self.assign();
        self.choice.depth = 0;
        self.levels.clear();
        self.path.clear();
        self.want = Want::Nothing;
        self.raw = None;
        self.facts.index = None;
        self.facts.event = Typed::Other;
    }

    /// The JSON text has ended.
    pub(super) fn end(&mut self) {
        self.facts.end_event();
        self.begin();
    }

    /// Bytes of text, those among them that wait for their choice.
    pub(super) fn bytes(&self) -> u64 {
        self.texts.bytes().saturating_add(self.choice.staged.len() as u64)
    }

    /// Tokens of text, never too few.
    pub(super) fn bound(&self) -> u64 {
        self.texts.bound().saturating_add(self.choice.staged.len() as u64)
    }

    /// Tokens of text, counted.
    pub(super) fn exact(&mut self) -> u64 {
        self.assign();
        self.texts.exact()
    }

    /// In the outermost array and in none of its elements.
    pub(super) fn is_between_elements(&self) -> bool {
        matches!(self.levels.as_slice(), [outermost] if outermost.is_array)
    }

    /// Bytes of memory.
    #[cfg(test)]
    pub(super) fn footprint(&self) -> usize {
        self.texts.footprint()
            + self.choice.staged.capacity()
            + self.word.capacity()
            + self.levels.capacity() * size_of::<Level>()
            + self.path.capacity()
    }

    /// From somewhere in this piece, which begins at `base`, it is no JSON. If that was in a text, the rest
    /// may be text as well, and counts as such.
    pub(super) fn broken(&mut self, piece: &[u8], base: u64) {
        // A value that is taken as it stands has been taken.
        if self.raw.is_none() {
            let from = usize::try_from(self.told.saturating_sub(base)).unwrap_or(usize::MAX);
            self.text(piece.get(from..).unwrap_or_default());
        }
    }

    /// A piece of the text that is being read, if one is.
    pub(super) fn text(&mut self, piece: &[u8]) {
        let field = match self.want {
            Want::Text(field) => field,
            Want::Reasoning(name) if *self.reasoning.get_or_insert(name) == name => REASONING,
            _ => return,
        };
        let field = field.saturating_add(self.turn);
        if self.choice.depth == 0 {
            self.texts.push(0, field, piece);
        } else if let Some(index) = self.choice.index {
            self.texts.push(index, field, piece);
        } else if self.choice.staged.len().saturating_add(piece.len()) > MAX_STAGED {
            self.assign();
            self.texts.push(self.choice.place, field, piece);
        } else {
            self.choice.staged.extend_from_slice(piece);
            match self.choice.pieces.last_mut() {
                Some((last, length)) if *last == field => *length = length.saturating_add(piece.len()),
                _ => self.choice.pieces.push((field, piece.len())),
            }
            if self.choice.pieces.len() > MAX_PIECES {
                self.assign();
            }
        }
    }

    /// Gives what was staged to the choice, by its index if that is known.
    pub(super) fn assign(&mut self) {
        let choice = self.choice.index.unwrap_or(self.choice.place);
        let mut rest = self.choice.staged.as_slice();
        for &(field, length) in &self.choice.pieces {
            let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            self.texts.push(choice, field, piece);
            rest = after;
        }
        self.choice.staged.clear();
        self.choice.pieces.clear();
    }

    /// A choice begins.
    pub(super) fn begin_choice(&mut self, place: u32) {
        self.choice.depth = self.levels.len();
        self.choice.place = place;
        self.choice.index = None;
        self.choice.finished = false;
    }

    /// The choice has ended.
    pub(super) fn end_choice(&mut self) {
        self.assign();
        let bit = bit(self.choice.index.unwrap_or(self.choice.place));
        self.facts.seen |= bit;
        if self.choice.finished {
            self.facts.finished |= bit;
        }
        // Gemini's streams have no other end.
        if self.path.first() == Some(&N::Candidates) {
            self.facts.is_complete = self.facts.has_finished();
        }
        self.choice.depth = 0;
        self.choice.place = self.choice.place.saturating_add(1);
        self.choice.index = None;
    }

    /// The string has ended.
    pub(super) fn string_end(&mut self) {
        let want = core::mem::replace(&mut self.want, Want::Nothing);
        match want {
            Want::Text(_) | Want::Reasoning(_) if self.is_whole => {
                self.turn = self.turn.wrapping_add(FIELDS);
            }
            Want::FinishReason if !self.word.is_empty() => {
                self.choice.finished = true;
            }
            Want::StopReason if !self.word.is_empty() => {
                self.facts.seen |= 1;
                self.facts.finished |= 1;
            }
            Want::Type => self.facts.typed(&self.word),
            Want::Model => keep(&mut self.facts.model, &self.word),
            Want::Id => keep(&mut self.facts.id, &self.word),
            Want::CreatedAt => keep(&mut self.facts.created_at, &self.word),
            _ => {}
        }
        self.word.clear();
    }

    /// The value stands in an array.
    fn is_element(&self) -> bool {
        self.levels.last().is_some_and(|level| level.is_array)
    }

    /// A number has ended.
    pub(super) fn number(&mut self, number: Option<&str>) {
        if self.is_element() {
            return;
        }
        let value = number.and_then(|number| tokens(number.as_bytes()));
        let count = match self.path.as_slice() {
            [N::Choices | N::Candidates, N::Index] if self.choice.depth > 0 => {
                self.choice.index = value.and_then(|index| u32::try_from(index).ok());
                return;
            }
            [N::Index] => {
                self.facts.index = value;
                return;
            }
            [N::SequenceNumber] => {
                self.facts.sequence = number.and_then(whole);
                return;
            }
            [N::Created] | [N::Response, N::CreatedAt] => {
                self.facts.created = number.and_then(whole);
                return;
            }
            path => places::count(path),
        };
        if let (Some(count), Some(value)) = (count, value) {
            self.tally.set(count, value);
        }
    }

    /// `true`, `false` or `null`.
    pub(super) fn literal(&mut self, value: Option<bool>) {
        if self.path.as_slice() == [N::Done] && !self.is_element() {
            self.facts.is_complete = value == Some(true);
            self.facts.goes_on = value == Some(false);
        }
    }
}

/// A whole number that is no count, such as a date in seconds.
fn whole(number: &str) -> Option<u64> {
    number.parse().ok()
}

/// Keeps a word unless it is the one that is kept already, or none.
fn keep(kept: &mut Option<String>, word: &[u8]) {
    if word.is_empty() || kept.as_ref().is_some_and(|kept| kept.as_bytes() == word) {
        return;
    }
    if let Ok(word) = core::str::from_utf8(word) {
        *kept = Some(word.to_owned());
    }
}
