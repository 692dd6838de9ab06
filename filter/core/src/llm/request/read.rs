//! The events of a body, turned into what is known of the request.

use super::cap::{self, CapValue, Holder};
use super::facts::Place;
use super::role::Role;
use super::state::{Frame, Mode, State};
use super::{BodyError, MEDIA_TOKENS, TextSink};
use crate::llm::scan::{Event, Events, Span};
use crate::llm::shape::MAX_MODEL;

/// How many bytes of a string decide whether it is a picture, a sound or a file.
const MEDIA_HEAD: usize = 64;

/// What a message costs beside its texts.
const PER_MESSAGE: u64 = 4;

/// The reader with the chunk that it reads and whom it tells.
pub(super) struct Reading<'a, S: ?Sized> {
    pub(super) state: &'a mut State,
    pub(super) chunk: &'a [u8],
    pub(super) base: u64,
    pub(super) sink: &'a mut S,
}

impl<S: TextSink + ?Sized> Events for Reading<'_, S> {
    fn event(&mut self, event: Event<'_>, span: Span) {
        if self.state.error.is_some() {
            return;
        }
        match event {
            Event::Name(name) => self.state.name(name),
            Event::Text(piece) => self.piece(piece),
            Event::BeginString => self.begin_string(span.start),
            Event::EndString => self.end_string(span.end),
            Event::BeginObject => self.begin(span.start, false),
            Event::BeginArray => self.begin(span.start, true),
            Event::EndObject | Event::EndArray => self.end(span),
            Event::Number(number) => self.number(number, span),
            Event::Bool(truth) => self.word(event, if truth { "true" } else { "false" }, span),
            Event::Null => self.word(event, "", span),
        }
    }
}

impl<S: TextSink + ?Sized> Reading<'_, S> {
    /// Hands on what the chunk holds of JSON that is text itself.
    pub(super) fn end_chunk(&mut self) {
        let end = self.base.saturating_add(self.chunk.len() as u64);
        self.raw(end);
    }

    fn raw(&mut self, end: u64) {
        let Some(from) = self.state.raw_from else { return };
        // Both lie in this chunk.
        let place = |at: u64| usize::try_from(at.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let piece = self.chunk.get(place(from)..place(end)).unwrap_or_default();
        self.state.raw_from = Some(end);
        self.feed(piece);
    }

    fn feed(&mut self, piece: &[u8]) {
        self.state.text_bytes = self.state.text_bytes.saturating_add(piece.len() as u64);
        if !piece.is_empty() {
            self.sink.text(piece);
            if self.state.heard.is_said {
                self.sink.said(piece);
            }
        }
    }

    /// The text has ended.
    fn end_text(&mut self) {
        self.sink.end_text();
        if core::mem::take(&mut self.state.heard.is_said) {
            self.sink.end_said();
        }
    }

    fn begin(&mut self, start: u64, is_array: bool) {
        let mut role = self.state.value();
        let is_said = self.state.is_said();
        match role {
            Role::Body if is_array => self.state.error = Some(BodyError::NotAnObject),
            Role::Message => self.message(),
            Role::Messages | Role::Texts | Role::Prompt if !is_array => {
                role = Role::Message;
                self.message();
            }
            Role::Raw | Role::Name => {
                role = Role::Raw;
                self.state.raw_from = Some(start);
                self.state.heard.is_said = is_said;
            }
            Role::Settings(holder, is_exact) if is_array => {
                if is_exact {
                    self.state.hold(holder, Place::Odd);
                }
                role = Role::Ignored;
            }
            Role::StreamOptions(_) if is_array => {
                self.state.stream_options.place = Place::Odd;
                role = Role::Ignored;
            }
            _ => {}
        }
        self.state.stack.push(Frame { role, is_array, start, is_empty: true, is_said });
    }

    fn message(&mut self) {
        self.state.is_named = false;
        self.state.heard.is_models = false;
        self.state.cost(PER_MESSAGE);
    }

    fn end(&mut self, span: Span) {
        let Some(frame) = self.state.stack.pop() else { return };
        let whole = Span { start: frame.start, end: span.end };
        let object = Place::Object { close: span.start, is_empty: frame.is_empty };
        match frame.role {
            Role::Raw => {
                self.raw(span.end);
                self.state.raw_from = None;
                self.end_text();
            }
            Role::Message if frame.is_said => self.sink.end_message(self.state.heard.is_models),
            Role::Body => self.state.hold(Holder::Top, object),
            Role::Settings(holder, true) => self.state.hold(holder, object),
            Role::StreamOptions(_) => {
                if self.state.stream_options.place == Place::Absent {
                    self.state.stream_options.place = object;
                }
            }
            // A setting that is an array or an object is none that can be read.
            role => self.state.setting(role, Event::EndObject, whole),
        }
    }

    fn begin_string(&mut self, start: u64) {
        let role = self.state.value();
        self.state.role = role;
        self.state.began = start;
        self.state.is_too_long = false;
        self.state.kept.clear();
        // What lies in JSON that is text itself is said if that is.
        if self.state.raw_from.is_none() {
            self.state.heard.is_said = self.state.is_said();
        }
        self.state.mode = match role {
            Role::Body => {
                self.state.error = Some(BodyError::NotAnObject);
                Mode::Skip
            }
            Role::Model(_)
            | Role::Stream(_)
            | Role::Cap(..)
            | Role::Choices
            | Role::IncludeUsage(_)
            | Role::StreamOptions(_)
            | Role::Settings(..) => Mode::Keep,
            Role::Messages | Role::Message => {
                self.state.cost(PER_MESSAGE);
                Mode::Feed
            }
            Role::Prompt => {
                self.state.prompts = self.state.prompts.saturating_add(1);
                Mode::Feed
            }
            Role::Name => {
                self.state.overhead = self.state.overhead.saturating_sub(1);
                Mode::Feed
            }
            Role::Content | Role::Part | Role::Texts | Role::Raw | Role::Format | Role::Walk => Mode::Feed,
            Role::Media => Mode::Guess,
            Role::Ignored | Role::Requests => Mode::Skip,
        };
    }

    fn piece(&mut self, piece: &str) {
        self.state.heard.piece(piece);
        match self.state.mode {
            Mode::Skip => {}
            Mode::Feed => self.feed(piece.as_bytes()),
            Mode::Keep => {
                if self.state.kept.len().saturating_add(piece.len()) > MAX_MODEL {
                    self.state.is_too_long = true;
                } else {
                    self.state.kept.push_str(piece);
                }
            }
            Mode::Guess => self.guess(piece),
        }
    }

    /// Tells media from text by how it begins.
    fn guess(&mut self, piece: &str) {
        let due = MEDIA_HEAD.saturating_sub(self.state.kept.len());
        // Up to there everything is ASCII, or it is text.
        if piece.bytes().take(due).all(|byte| byte.is_ascii_graphic()) {
            self.state.kept.push_str(piece.get(..due.min(piece.len())).unwrap_or_default());
            if self.state.kept.len() >= MEDIA_HEAD {
                self.state.mode = Mode::Skip;
                self.state.cost(MEDIA_TOKENS);
            }
        } else {
            self.state.mode = Mode::Feed;
            let head = core::mem::take(&mut self.state.kept);
            self.feed(head.as_bytes());
            self.feed(piece.as_bytes());
        }
    }

    fn end_string(&mut self, end: u64) {
        self.state.heard.end_string();
        match self.state.mode {
            Mode::Skip => {}
            Mode::Feed => self.end_text(),
            Mode::Keep => {
                let span = Span { start: self.state.began, end };
                self.state.kept(span);
            }
            Mode::Guess => {
                if !self.state.kept.is_empty() {
                    self.state.cost(MEDIA_TOKENS);
                }
            }
        }
        self.state.mode = Mode::Skip;
    }

    fn number(&mut self, number: Option<&str>, span: Span) {
        match self.state.value() {
            Role::Body => self.state.error = Some(BodyError::NotAnObject),
            Role::Cap(field, is_exact) => {
                let value = number.map_or(CapValue::Tokens(u64::MAX), CapValue::of_text);
                self.state.cap(field, is_exact, value, span);
            }
            Role::Choices => self.state.choices(number.unwrap_or_default()),
            role @ (Role::Texts | Role::Prompt | Role::Walk) => self.token_id(role),
            Role::Raw => self.scalar(number.unwrap_or_default()),
            // Some engines take any number but zero for true.
            Role::Stream(_) => self.state.says(number.and_then(cap::whole) != Some(0), false),
            role => self.state.setting(role, Event::Number(number), span),
        }
    }

    /// A token by its id, in an array of them; a number that is a member's value is a setting.
    fn token_id(&mut self, role: Role) {
        let Some(frame) = self.state.stack.last_mut().filter(|frame| frame.is_array) else { return };
        let is_first = core::mem::replace(&mut frame.is_empty, false);
        if is_first && role == Role::Prompt {
            self.state.prompts = self.state.prompts.saturating_add(1);
        }
        self.state.cost(1);
    }

    /// `true`, `false` or `null`, which is no text.
    fn word(&mut self, event: Event<'_>, text: &str, span: Span) {
        match self.state.value() {
            Role::Body => self.state.error = Some(BodyError::NotAnObject),
            Role::Raw => self.scalar(text),
            role => self.state.setting(role, event, span),
        }
    }

    fn scalar(&mut self, text: &str) {
        if !text.is_empty() {
            self.state.heard.is_said = self.state.is_said();
            self.feed(text.as_bytes());
            self.end_text();
        }
    }
}
