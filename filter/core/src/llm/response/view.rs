//! An answer's JSON as it is read: where the reader is, and which place that is in the stream.

use super::facts::MAX_WORD;
use super::hide::Hide;
use super::names::Name;
use super::places::{ARGUMENTS, FIELDS, Want, is_raw, string};
use super::reading::{Level, Reading};
use crate::llm::scan::{Event, Events, Span};

/// An answer, and the piece of it that is being read.
pub(super) struct View<'a> {
    pub(super) reading: &'a mut Reading,
    pub(super) piece: &'a [u8],
    /// Where the piece begins in the JSON text.
    pub(super) base: u64,
    /// Added to a place in the JSON text, it is one in the stream (wrapping).
    pub(super) shift: u64,
    pub(super) hide: &'a mut Hide,
    /// The body is one JSON text.
    pub(super) is_json: bool,
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
            if is_raw(&reading.path) {
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
                self.reading.want = string(&self.reading.path, &mut self.reading.facts);
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
