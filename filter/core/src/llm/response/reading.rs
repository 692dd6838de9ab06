//! What stands where in an answer, whoever's it is: its text, its usage, what it says about itself.
//!
//! No two providers put different things in the same place, so that one table serves them all, and an
//! answer is understood where the path says nothing.

use super::facts::{Event as Typed, Facts, MAX_WORD, bit};
use super::hide::Hide;
use super::names::Name;
use super::tally::{Count, Tally, tokens};
use super::text::{Field, Texts};
use crate::llm::bpe::Encoding;
use crate::llm::scan::{Event, Events, Span};
use crate::llm::shape::Shape;

/// The most bytes of a choice's text that wait for its `index`, where that comes behind the text.
const MAX_STAGED: usize = 2 * 1024;

/// The most pieces that do.
const MAX_PIECES: usize = 16;

/// What a string is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Nothing,
    Text(Field),
    /// Text that two names may carry, of which one counts.
    Reasoning(Name),
    Model,
    Id,
    CreatedAt,
    Type,
    FinishReason,
}

const CONTENT: Field = 0;
const REASONING: Field = 1;
const NAME: Field = 2;
const ARGUMENTS: Field = 3;
const REFUSAL: Field = 4;
/// How many fields there are: every further text of a field adds this.
const FIELDS: Field = 5;

#[derive(Clone, Copy, Debug)]
struct Level {
    is_array: bool,
    /// How long the path is around it.
    path: usize,
}

/// The choice that is being read.
#[derive(Default)]
struct Choice {
    /// How deep it lies; 0 for none.
    depth: usize,
    /// Its place among its fellows, which stands in for an `index` that it does not have.
    place: u32,
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
    levels: Vec<Level>,
    /// The names of the members around the value that comes next; an array's elements have the array's.
    path: Vec<Name>,
    want: Want,
    /// Up to here the string has been told, as the reader of JSON counts.
    told: u64,
    word: Vec<u8>,
    /// The value whose bytes are text as they stand: how deep it lies, and where it begins.
    raw: Option<(usize, u64)>,
    choice: Choice,
    /// Which of two names carries the reasoning.
    reasoning: Option<Name>,
    /// Which text of its field this is, times [`FIELDS`].
    turn: Field,
    /// Every string is a text of its own, since this is no stream.
    is_whole: bool,
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

    /// Reads a piece of JSON that begins at `base`, as the reader of JSON counts, and at `base + shift` of the stream.
    pub(super) fn view<'a>(
        &'a mut self,
        piece: &'a [u8],
        base: u64,
        shift: u64,
        hide: &'a mut Hide,
        is_json: bool,
    ) -> View<'a> {
        View { reading: self, piece, base, shift, hide, is_json }
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
    fn assign(&mut self) {
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

    fn begin_choice(&mut self, place: u32) {
        self.choice.depth = self.levels.len();
        self.choice.place = place;
        self.choice.index = None;
        self.choice.finished = false;
    }

    fn end_choice(&mut self) {
        self.assign();
        let bit = bit(self.choice.index.unwrap_or(self.choice.place));
        self.facts.seen |= bit;
        if self.choice.finished {
            self.facts.finished |= bit;
        }
        // Gemini's streams have no other end.
        if self.path.first() == Some(&Name::Candidates) {
            self.facts.is_complete = self.facts.has_finished();
        }
        self.choice.depth = 0;
        self.choice.place = self.choice.place.saturating_add(1);
        self.choice.index = None;
    }

    /// What the string at this path is wanted for.
    fn want(&mut self) -> Want {
        use Name as N;
        match self.path.as_slice() {
            [N::Choices, N::Text] => {
                self.facts.shape.get_or_insert(Shape::OpenAiCompletions);
                Want::Text(CONTENT)
            }
            [N::Choices, N::Delta | N::Message, rest @ ..] => {
                self.facts.shape.get_or_insert(Shape::OpenAiChat);
                match rest {
                    [N::Content] | [N::Content, N::Text] => Want::Text(CONTENT),
                    [N::Content, N::Thinking, N::Text] => Want::Text(REASONING),
                    [name @ (N::Reasoning | N::ReasoningContent)] => Want::Reasoning(*name),
                    [N::Refusal] => Want::Text(REFUSAL),
                    [N::ToolCalls, N::Function, N::Name] | [N::FunctionCall, N::Name] => Want::Text(NAME),
                    [N::ToolCalls, N::Function, N::Arguments] | [N::FunctionCall, N::Arguments] => {
                        Want::Text(ARGUMENTS)
                    }
                    _ => Want::Nothing,
                }
            }
            [N::Choices | N::Candidates, N::FinishReason] => Want::FinishReason,
            [N::Candidates, N::Content, N::Parts, rest @ ..] => {
                self.facts.shape.get_or_insert(Shape::Gemini);
                match rest {
                    [N::Text] => Want::Text(CONTENT),
                    [N::FunctionCall, N::Name] => Want::Text(NAME),
                    _ => Want::Nothing,
                }
            }
            [N::Message, N::Content] => {
                self.facts.shape.get_or_insert(Shape::OllamaChat);
                Want::Text(CONTENT)
            }
            [N::Response] => {
                self.facts.shape.get_or_insert(Shape::OllamaGenerate);
                Want::Text(CONTENT)
            }
            [N::Message, N::Thinking] | [N::Thinking] => Want::Text(REASONING),
            [N::Message, N::ToolCalls, N::Function, N::Name] => Want::Text(NAME),
            [N::Delta] if self.facts.event != Typed::Audio => Want::Text(CONTENT),
            [N::Item, N::Name] if self.facts.event == Typed::ItemAdded => Want::Text(NAME),
            [N::Output, N::Content, N::Text] | [N::Content | N::Delta | N::ContentBlock, N::Text] => {
                Want::Text(CONTENT)
            }
            [N::Output, N::Content, N::Refusal] => Want::Text(REFUSAL),
            [N::Output, N::Summary, N::Text] | [N::Content | N::Delta | N::ContentBlock, N::Thinking] => {
                Want::Text(REASONING)
            }
            [N::Output | N::Content | N::ContentBlock, N::Name] => Want::Text(NAME),
            [N::Output, N::Arguments | N::Input] | [N::Delta, N::PartialJson] => Want::Text(ARGUMENTS),
            [N::Model] | [N::Message | N::Response, N::Model] => Want::Model,
            [N::Id] | [N::Response, N::Id] if self.facts.id.is_none() => Want::Id,
            [N::CreatedAt] => Want::CreatedAt,
            [N::Type] => Want::Type,
            _ => Want::Nothing,
        }
    }

    /// Whether the object or array at this path is text as it stands: what a model gave a tool.
    fn is_raw(&self) -> bool {
        use Name as N;
        matches!(
            self.path.as_slice(),
            [N::Message, N::ToolCalls, N::Function, N::Arguments]
                | [N::Candidates, N::Content, N::Parts, N::FunctionCall, N::Args]
                | [N::Content, N::Input]
        )
    }

    /// The string has ended.
    fn string_end(&mut self) {
        let want = core::mem::replace(&mut self.want, Want::Nothing);
        match want {
            Want::Text(_) | Want::Reasoning(_) if self.is_whole => {
                self.turn = self.turn.wrapping_add(FIELDS);
            }
            Want::FinishReason if !self.word.is_empty() => {
                self.choice.finished = true;
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

    fn number(&mut self, number: Option<&str>) {
        use Name as N;
        if self.is_element() {
            return;
        }
        let value = number.and_then(|number| tokens(number.as_bytes()));
        let path = match self.path.as_slice() {
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
            [N::Response | N::Message | N::XGroq, rest @ ..] => rest,
            path => path,
        };
        let count = match path {
            [N::Usage, rest @ ..] => match rest {
                [N::PromptTokens] => Count::Prompt,
                [N::InputTokens] => Count::Input,
                [N::CompletionTokens | N::OutputTokens] => Count::Output,
                [N::InputDetails, N::CachedTokens] | [N::PromptCacheHitTokens] => Count::Cached,
                [N::OutputDetails, N::ReasoningTokens] => Count::Reasoning,
                [N::CacheCreationInputTokens] => Count::CacheWrite,
                [N::CacheReadInputTokens] => Count::CacheRead,
                _ => return,
            },
            [N::UsageMetadata, name] => match name {
                N::PromptTokenCount => Count::Prompt,
                N::ToolUsePromptTokenCount => Count::ToolPrompt,
                N::CachedContentTokenCount => Count::Cached,
                N::CandidatesTokenCount => Count::Candidates,
                N::ThoughtsTokenCount => Count::Thoughts,
                _ => return,
            },
            [N::PromptEvalCount] => Count::Prompt,
            [N::EvalCount] => Count::Output,
            _ => return,
        };
        if let Some(value) = value {
            self.tally.set(count, value);
        }
    }

    fn literal(&mut self, value: Option<bool>) {
        if self.path.as_slice() == [Name::Done] && !self.is_element() {
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

/// An answer, and the piece of it that is being read.
pub(super) struct View<'a> {
    reading: &'a mut Reading,
    piece: &'a [u8],
    base: u64,
    /// Added to a place in the JSON text, it is one in the stream (wrapping).
    shift: u64,
    hide: &'a mut Hide,
    /// The body is one JSON text.
    is_json: bool,
}

impl View<'_> {
    fn place(&self, at: u64) -> u64 {
        at.wrapping_add(self.shift)
    }

    /// A value that is no array and no object has ended, or one that is.
    fn value_end(&mut self, end: u64) {
        if let [top] = self.reading.levels.as_slice()
            && !top.is_array
        {
            let end = self.place(end);
            self.hide.value_end(end);
        }
    }

    fn open(&mut self, is_array: bool, start: u64) {
        let reading = &mut *self.reading;
        if reading.raw.is_none() {
            match (reading.path.as_slice(), reading.levels.len()) {
                ([], 0) => reading.is_whole = self.is_json && !is_array,
                ([Name::Choices | Name::Candidates], 1 | 2) if is_array => reading.choice.place = 0,
                ([Name::Usage], 1) if !is_array => self.hide.usage(),
                ([Name::ContentBlock], 1) => reading.turn = reading.turn.wrapping_add(FIELDS),
                _ => {}
            }
            if is_array && reading.path.as_slice() == [Name::Choices] && reading.levels.len() == 1 {
                self.hide.choices();
            }
            if reading.is_raw() {
                reading.raw = Some((reading.levels.len(), start));
                reading.want = Want::Text(ARGUMENTS);
            }
        }
        reading.levels.push(Level { is_array, path: reading.path.len() });
        let in_list = matches!(reading.path.as_slice(), [Name::Choices | Name::Candidates]);
        if !is_array && in_list && reading.choice.depth == 0 {
            let place = reading.choice.place;
            reading.begin_choice(place);
            self.hide.choice();
        }
    }

    fn close(&mut self, end: u64) {
        let reading = &mut *self.reading;
        if reading.choice.depth > 0 && reading.choice.depth == reading.levels.len() {
            reading.end_choice();
        }
        let Some(level) = reading.levels.pop() else { return };
        reading.path.truncate(level.path);
        if let Some((depth, start)) = reading.raw
            && depth == reading.levels.len()
        {
            self.raw(start, end);
            self.reading.raw = None;
            self.reading.string_end();
        }
        if self.reading.levels.is_empty() {
            self.hide.closed();
        }
        self.value_end(end);
    }

    /// The bytes of this piece that are text as they stand.
    fn raw(&mut self, start: u64, end: u64) {
        let place = |at: u64| usize::try_from(at.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let bytes = self.piece.get(place(start)..place(end)).unwrap_or_default();
        self.reading.text(bytes);
    }

    /// The piece has been read.
    pub(super) fn finish(mut self) {
        if let Some((_, start)) = self.reading.raw {
            self.raw(start, self.base.saturating_add(self.piece.len() as u64));
        }
    }
}

impl Events for View<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) {
        match event {
            Event::BeginObject => self.open(false, span.start),
            Event::BeginArray => self.open(true, span.start),
            Event::EndObject | Event::EndArray => self.close(span.end),
            _ if self.reading.raw.is_some() => {}
            Event::Name(name) => {
                let name = name.map_or(Name::Other, |name| Name::of(name.as_bytes()));
                let around = self.reading.levels.last().map_or(0, |level| level.path);
                self.reading.path.truncate(around);
                self.reading.path.push(name);
                if self.reading.levels.len() == 1 {
                    let at = self.place(span.start);
                    self.hide.name(name == Name::Usage, at);
                }
            }
            Event::BeginString => {
                self.reading.want = self.reading.want();
                self.reading.told = span.end;
            }
            Event::Text(piece) => {
                self.reading.told = span.end;
                match self.reading.want {
                    Want::Nothing => {}
                    Want::Text(_) | Want::Reasoning(_) => self.reading.text(piece.as_bytes()),
                    _ if self.reading.word.len().saturating_add(piece.len()) <= MAX_WORD => {
                        self.reading.word.extend_from_slice(piece.as_bytes());
                    }
                    // Too long to be what it should be.
                    _ => {
                        self.reading.want = Want::Nothing;
                        self.reading.word.clear();
                    }
                }
            }
            Event::EndString => {
                self.reading.string_end();
                self.value_end(span.end);
            }
            Event::Number(number) => {
                self.reading.number(number);
                self.value_end(span.end);
            }
            Event::Bool(value) => {
                self.reading.literal(Some(value));
                self.value_end(span.end);
            }
            Event::Null => {
                self.reading.literal(None);
                self.value_end(span.end);
            }
        }
    }
}
