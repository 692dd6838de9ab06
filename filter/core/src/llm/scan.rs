//! JSON (RFC 8259) read as it comes, in chunks cut anywhere, without keeping any of it.
//!
//! What is read is told as [`Event`]s with their places in the whole text, so that a reader can take a few
//! values out of a long body, and an editor can put others into their places. A text costs one pass and no
//! memory of its own: strings are handed on in pieces, names up to [`MAX_NAME`] bytes, numbers up to
//! [`MAX_NUMBER`].
//!
//! Strict where engines differ: UTF-8 must be valid, nothing may follow the value, no `NaN`, no comments.
//! Lenient in one thing that the grammar leaves open: half of a surrogate pair stands for U+FFFD, as Go's
//! reader has it; clients that cut texts in the middle of an emoji send it.

use core::fmt;

mod event;
mod plain;
mod text;
mod token;

pub use event::{Event, Events, ScanError, Span};
use text::{Step, Text};
use token::{Digits, Word};

/// The deepest nesting, in arrays and objects.
pub const MAX_DEPTH: u8 = 128;

/// The longest name that is told, in decoded bytes.
pub const MAX_NAME: usize = 128;

/// The longest number that is told, in bytes.
pub const MAX_NUMBER: usize = 64;

/// What may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value.
    Value,
    /// The first value of an array, or its end.
    FirstElement,
    /// The first name of an object, or its end.
    FirstName,
    /// A name.
    Name,
    /// The colon after a name.
    Colon,
    /// A comma or the end of what is around; at depth 0 the end of the text.
    After,
    /// The rest of a string that is a value.
    InString,
    /// The rest of a name.
    InName,
    /// The rest of a number.
    InNumber(Digits),
    /// The rest of a word, so many letters of which are read.
    InWord(Word, u8),
    /// Nothing: it failed.
    Failed(ScanError),
}

/// The reader.
pub struct Scanner {
    state: State,
    /// How deep it is.
    depth: u8,
    /// Whether each level is an object, the innermost in the lowest bit.
    objects: u128,
    /// How many bytes came in earlier chunks.
    offset: u64,
    /// Where the token began that is not over yet.
    began: u64,
    /// The string or name that is being read.
    text: Text,
    /// A name, or a number, of which an earlier chunk held the beginning.
    kept: String,
    /// Whether what belongs there is longer than may be kept.
    too_long: bool,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

/// What is read may be somebody's prompt.
impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scanner")
            .field("depth", &self.depth)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

impl Scanner {
    /// A reader before its first byte.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Value,
            depth: 0,
            objects: 0,
            offset: 0,
            began: 0,
            text: Text::new(),
            kept: String::new(),
            too_long: false,
        }
    }

    /// How many bytes have been read.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether one whole value has been read. A number at the top is only over when something follows it.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.depth == 0 && self.state == State::After
    }

    /// Reads the next chunk.
    ///
    /// # Errors
    /// [`ScanError`], the sender's fault; it stays, whatever comes after.
    pub fn push<E: Events + ?Sized>(&mut self, chunk: &[u8], events: &mut E) -> Result<(), ScanError> {
        if let State::Failed(error) = self.state {
            return Err(error);
        }
        let mut at = 0;
        let read = loop {
            match self.step(chunk, at, events) {
                Ok(next) if next < chunk.len() => at = next,
                Ok(_) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = read {
            self.state = State::Failed(error);
        }
        self.offset = self.place(chunk.len());
        read
    }

    /// Takes the end of the text.
    ///
    /// # Errors
    /// [`ScanError`]; the sender's fault.
    pub fn finish<E: Events + ?Sized>(&mut self, events: &mut E) -> Result<(), ScanError> {
        if let State::InNumber(digits) = self.state
            && digits.may_end()
        {
            self.end_number(&[], self.offset, events);
        }
        match self.state {
            State::Failed(error) => Err(error),
            State::After if self.depth == 0 => Ok(()),
            _ => Err(ScanError::Truncated),
        }
    }

    /// The place of a byte of this chunk in the whole text.
    const fn place(&self, at: usize) -> u64 {
        self.offset.saturating_add(at as u64)
    }

    /// Reads on from a byte of the chunk, and says up to where.
    fn step<E: Events + ?Sized>(
        &mut self,
        chunk: &[u8],
        at: usize,
        events: &mut E,
    ) -> Result<usize, ScanError> {
        match self.state {
            State::InString => return self.string(chunk, at, events),
            State::InName => return self.name(chunk, at, events),
            State::InNumber(digits) => return self.number(digits, chunk, at, events),
            State::InWord(word, read) => return self.word(word, read, chunk, at, events),
            _ => {}
        }
        let Some(byte) = chunk.get(at).copied() else { return Ok(at) };
        let place = self.place(at);
        let span = Span { start: place, end: place.saturating_add(1) };
        let next = at.saturating_add(1);
        match (self.state, byte) {
            (_, b' ' | b'\n' | b'\r' | b'\t') => {}
            (State::Value | State::FirstElement, _) if self.begin(byte, span, events)? => {}
            (State::FirstElement, b']') => self.close(Event::EndArray, span, events),
            (State::FirstName, b'}') => self.close(Event::EndObject, span, events),
            (State::FirstName | State::Name, b'"') => {
                self.start_token(place);
                self.state = State::InName;
            }
            (State::Colon, b':') => self.state = State::Value,
            (State::After, b',') if self.depth > 0 => {
                self.state = if self.objects & 1 == 1 { State::Name } else { State::Value };
            }
            (State::After, b']') if self.depth > 0 && self.objects & 1 == 0 => {
                self.close(Event::EndArray, span, events);
            }
            (State::After, b'}') if self.depth > 0 && self.objects & 1 == 1 => {
                self.close(Event::EndObject, span, events);
            }
            _ => return Err(ScanError::Malformed(place)),
        }
        Ok(next)
    }

    /// Begins a value; whether the byte can begin one.
    fn begin<E: Events + ?Sized>(&mut self, byte: u8, span: Span, events: &mut E) -> Result<bool, ScanError> {
        let word = |word| State::InWord(word, 1);
        let state = match byte {
            b'"' => {
                events.event(Event::BeginString, span);
                State::InString
            }
            b'{' | b'[' => {
                if self.depth == MAX_DEPTH {
                    return Err(ScanError::Deep(span.start));
                }
                self.depth = self.depth.saturating_add(1);
                let is_object = byte == b'{';
                self.objects = self.objects << 1 | u128::from(is_object);
                events.event(if is_object { Event::BeginObject } else { Event::BeginArray }, span);
                if is_object { State::FirstName } else { State::FirstElement }
            }
            b'-' => State::InNumber(Digits::Minus),
            b'0' => State::InNumber(Digits::Zero),
            b'1'..=b'9' => State::InNumber(Digits::Whole),
            b't' => word(Word::True),
            b'f' => word(Word::False),
            b'n' => word(Word::Null),
            _ => return Ok(false),
        };
        self.start_token(span.start);
        if matches!(state, State::InNumber(_)) {
            self.kept.push(char::from(byte));
        }
        self.state = state;
        Ok(true)
    }

    fn start_token(&mut self, place: u64) {
        self.began = place;
        self.text = Text::new();
        self.kept.clear();
        self.too_long = false;
    }

    fn close<E: Events + ?Sized>(&mut self, event: Event<'_>, span: Span, events: &mut E) {
        self.depth = self.depth.saturating_sub(1);
        self.objects >>= 1;
        self.state = State::After;
        events.event(event, span);
    }

    fn string<E: Events + ?Sized>(
        &mut self,
        chunk: &[u8],
        at: usize,
        events: &mut E,
    ) -> Result<usize, ScanError> {
        let offset = self.offset;
        let place = |at: usize| offset.saturating_add(at as u64);
        let mut from = at;
        let step = self.text.read(chunk, at, |piece, end| {
            events.event(Event::Text(piece), Span { start: place(from), end: place(end) });
            from = end;
        });
        match step {
            Step::More => Ok(chunk.len()),
            Step::Closed(next) => {
                self.state = State::After;
                events
                    .event(Event::EndString, Span { start: place(next.saturating_sub(1)), end: place(next) });
                Ok(next)
            }
            Step::Malformed(at, back) => Err(ScanError::Malformed(place(at).saturating_sub(u64::from(back)))),
        }
    }

    fn name<E: Events + ?Sized>(
        &mut self,
        chunk: &[u8],
        at: usize,
        events: &mut E,
    ) -> Result<usize, ScanError> {
        // Nearly every name lies in one piece in one chunk, and need not be kept.
        if self.kept.is_empty()
            && !self.too_long
            && self.text.is_fresh()
            && let Some((name, next)) = plain::closed(chunk, at)
        {
            let span = Span { start: self.began, end: self.place(next) };
            self.state = State::Colon;
            events.event(Event::Name((name.len() <= MAX_NAME).then_some(name)), span);
            return Ok(next);
        }
        let (kept, too_long) = (&mut self.kept, &mut self.too_long);
        let step = self.text.read(chunk, at, |piece, _| keep(kept, too_long, piece, MAX_NAME));
        match step {
            Step::More => Ok(chunk.len()),
            Step::Closed(next) => {
                let span = Span { start: self.began, end: self.place(next) };
                self.state = State::Colon;
                events.event(Event::Name((!self.too_long).then_some(self.kept.as_str())), span);
                Ok(next)
            }
            Step::Malformed(at, back) => {
                Err(ScanError::Malformed(self.place(at).saturating_sub(u64::from(back))))
            }
        }
    }

    fn number<E: Events + ?Sized>(
        &mut self,
        mut digits: Digits,
        chunk: &[u8],
        at: usize,
        events: &mut E,
    ) -> Result<usize, ScanError> {
        let rest = chunk.get(at..).unwrap_or_default();
        for (read, byte) in rest.iter().enumerate() {
            if let Some(further) = digits.after(*byte) {
                digits = further;
                continue;
            }
            let end = at.saturating_add(read);
            if !digits.may_end() {
                return Err(ScanError::Malformed(self.place(end)));
            }
            self.end_number(rest.get(..read).unwrap_or_default(), self.place(end), events);
            return Ok(end);
        }
        self.keep_digits(rest);
        self.state = State::InNumber(digits);
        Ok(chunk.len())
    }

    /// Keeps more of a number, whose bytes are all ASCII.
    fn keep_digits(&mut self, digits: &[u8]) {
        keep(
            &mut self.kept,
            &mut self.too_long,
            core::str::from_utf8(digits).unwrap_or_default(),
            MAX_NUMBER,
        );
    }

    fn end_number<E: Events + ?Sized>(&mut self, rest: &[u8], end: u64, events: &mut E) {
        self.keep_digits(rest);
        self.state = State::After;
        let number = (!self.too_long).then_some(self.kept.as_str());
        events.event(Event::Number(number), Span { start: self.began, end });
    }

    fn word<E: Events + ?Sized>(
        &mut self,
        word: Word,
        read: u8,
        chunk: &[u8],
        at: usize,
        events: &mut E,
    ) -> Result<usize, ScanError> {
        let due = word.letters().get(usize::from(read)..).unwrap_or_default();
        let have = chunk.get(at..).unwrap_or_default();
        if let Some(wrong) = due.iter().zip(have).position(|(due, have)| due != have) {
            return Err(ScanError::Malformed(self.place(at.saturating_add(wrong))));
        }
        let taken = due.len().min(have.len());
        let next = at.saturating_add(taken);
        if taken == due.len() {
            self.state = State::After;
            events.event(word.event(), Span { start: self.began, end: self.place(next) });
        } else {
            // At most the four letters of a word.
            self.state = State::InWord(word, read.saturating_add(u8::try_from(taken).unwrap_or(u8::MAX)));
        }
        Ok(next)
    }
}

/// Adds a piece to what is kept, unless it gets longer than that.
fn keep(kept: &mut String, too_long: &mut bool, piece: &str, most: usize) {
    if *too_long || kept.len().saturating_add(piece.len()) > most {
        *too_long = true;
        kept.clear();
    } else {
        kept.push_str(piece);
    }
}

#[cfg(test)]
mod tests;
