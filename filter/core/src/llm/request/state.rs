//! What is known of a body that is not read to its end.

use super::cap::{self, CapField, CapValue, Holder, StatedCap};
use super::facts::{HolderAt, Place, StreamOptions};
use super::hear::Heard;
use super::role::Role;
use super::{BodyError, MAX_CAPS};
use crate::llm::scan::{Event, Span};
use crate::llm::shape::Shape;

/// An array or object around what is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) role: Role,
    pub(super) is_array: bool,
    pub(super) start: u64,
    /// Whether nothing has been read in it that matters for that: a member, or a prompt's first token id.
    pub(super) is_empty: bool,
    /// Whether the texts in it are what somebody says.
    pub(super) is_said: bool,
}

/// What is done with a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Skip,
    /// It is text.
    Feed,
    /// It is a setting.
    Keep,
    /// It is media, or text: its beginning will tell.
    Guess,
}

/// The model that the body names.
#[derive(Default)]
pub(super) struct Named {
    exact: Option<Box<str>>,
    folded: Option<Box<str>>,
    is_odd: bool,
}

impl Named {
    pub(super) fn name(&self) -> Option<&str> {
        self.exact.as_deref().or(self.folded.as_deref())
    }

    pub(super) fn into_name(self) -> Option<Box<str>> {
        self.exact.or(self.folded)
    }

    /// Whether two engines could read different names.
    pub(super) const fn is_unclear(&self) -> bool {
        self.is_odd || self.folded.is_some()
    }

    fn add(&mut self, name: Option<&str>, is_exact: bool) {
        let place = if is_exact { &mut self.exact } else { &mut self.folded };
        self.is_odd |= name.is_none() || place.as_deref().is_some_and(|have| Some(have) != name);
        if let Some(name) = name {
            *place = Some(Box::from(name));
        }
    }
}

/// What the body says about streaming.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Says {
    pub(super) yes: bool,
    pub(super) no: bool,
    /// In other letters, or by something that only some engines take for a truth value.
    pub(super) is_odd: bool,
}

/// Which members were there that tell a format.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) messages: bool,
    contents: bool,
    prompt: bool,
    input: bool,
    /// A setting that only calls have which generate.
    generates: bool,
}

impl Seen {
    /// The format: the path's, or where that leaves it open, the body's.
    pub(super) const fn shape(self, by_path: Shape) -> Shape {
        match by_path {
            // Mistral's agents: the route ends like that of completions, the body is a chat.
            Shape::OpenAiCompletions if self.messages && !self.prompt => Shape::OpenAiChat,
            Shape::Unknown if self.contents => Shape::Gemini,
            Shape::Unknown if self.messages => Shape::OpenAiChat,
            Shape::Unknown if self.prompt => Shape::OpenAiCompletions,
            Shape::Unknown if self.input && self.generates => Shape::OpenAiResponses,
            Shape::Unknown if self.input => Shape::OpenAiEmbeddings,
            known => known,
        }
    }
}

/// What is known of a body that is not read to its end.
pub(super) struct State {
    shape: Shape,
    pub(super) stack: Vec<Frame>,
    /// What the value after the last name is.
    next: Role,
    pub(super) mode: Mode,
    pub(super) role: Role,
    /// A setting's string, or the beginning of what may be media.
    pub(super) kept: String,
    pub(super) began: u64,
    pub(super) is_too_long: bool,
    /// From where on the body is itself text.
    pub(super) raw_from: Option<u64>,
    /// Whether the message that is read has taken its token for a name off.
    pub(super) is_named: bool,
    times_asked: u32,
    pub(super) error: Option<BodyError>,
    pub(super) model: Named,
    pub(super) stream: Says,
    pub(super) caps: Vec<StatedCap>,
    pub(super) choices: u64,
    pub(super) prompts: u64,
    pub(super) overhead: u64,
    pub(super) text_bytes: u64,
    pub(super) holders: [HolderAt; Holder::ALL.len()],
    pub(super) stream_options: StreamOptions,
    pub(super) seen: Seen,
    pub(super) heard: Heard,
}

impl State {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            shape,
            stack: Vec::with_capacity(8),
            next: Role::Ignored,
            mode: Mode::Skip,
            role: Role::Ignored,
            kept: String::new(),
            began: 0,
            is_too_long: false,
            raw_from: None,
            is_named: false,
            times_asked: 0,
            error: None,
            model: Named::default(),
            stream: Says::default(),
            caps: Vec::new(),
            choices: 1,
            prompts: 0,
            overhead: 0,
            text_bytes: 0,
            holders: [HolderAt::default(); Holder::ALL.len()],
            stream_options: StreamOptions::default(),
            seen: Seen::default(),
            heard: Heard::default(),
        }
    }

    pub(super) fn cost(&mut self, tokens: u64) {
        self.overhead = self.overhead.saturating_add(tokens);
    }

    /// What the value is that begins.
    pub(super) fn value(&self) -> Role {
        match self.stack.last() {
            None => Role::Body,
            Some(frame) if frame.is_array => frame.role.element(),
            Some(_) => self.next,
        }
    }

    pub(super) fn name(&mut self, name: Option<&str>) {
        let Some(frame) = self.stack.last_mut() else { return };
        frame.is_empty = false;
        let (around, is_said, is_top) = (frame.role, frame.is_said, self.stack.len() == 1);
        let is_named = |word: &str| name.is_some_and(|name| name.eq_ignore_ascii_case(word));
        self.next = around.member(self.shape, name);
        match self.next {
            // Twice, or in other letters: one engine reads one of them, the next another.
            Role::StreamOptions(is_exact) if !is_exact || self.stream_options.place != Place::Absent => {
                self.stream_options.place = Place::Odd;
            }
            Role::IncludeUsage(_) => self.times_asked = self.times_asked.saturating_add(1),
            Role::Settings(holder, _) => {
                if let Some(at) = self.holders.get_mut(holder.index()) {
                    at.times = at.times.saturating_add(1);
                }
            }
            Role::Name if core::mem::replace(&mut self.is_named, true) => self.next = Role::Raw,
            Role::Messages if is_top => {
                self.seen.messages = true;
                self.seen.contents |= is_named("contents");
            }
            Role::Prompt => self.seen.prompt = true,
            Role::Texts if is_named("input") => self.seen.input = true,
            Role::Message | Role::Stream(_) | Role::Cap(..) if is_top => self.seen.generates = true,
            _ => {}
        }
        if self.heard.is_on {
            self.heard.name(self.shape, if is_top { None } else { Some((around, is_said)) }, self.next, name);
        }
    }

    /// Adds a cap.
    pub(super) fn cap(&mut self, field: CapField, is_exact: bool, value: CapValue, span: Span) {
        if self.caps.len() == MAX_CAPS {
            self.error = Some(BodyError::TooManyCaps);
        } else {
            self.caps.push(StatedCap { field, is_exact, value, span });
        }
    }

    pub(super) fn choices(&mut self, text: &str) {
        // What is no number asks for nothing that an engine would give.
        self.choices = self.choices.max(cap::whole(text).unwrap_or_default());
    }

    /// Takes a setting's value that is neither a string nor a number.
    pub(super) fn setting(&mut self, role: Role, event: Event<'_>, span: Span) {
        match (role, event) {
            (Role::Model(is_exact), Event::Null) if is_exact => {}
            (Role::Model(is_exact), _) => self.model.add(None, is_exact),
            (Role::Stream(is_exact), Event::Bool(truth)) => self.says(truth, is_exact),
            (Role::Stream(_), Event::Null) => {}
            (Role::Stream(_), _) => self.says(true, false),
            (Role::Cap(field, is_exact), Event::Null) => self.cap(field, is_exact, CapValue::Null, span),
            (Role::Cap(field, is_exact), _) => self.cap(field, is_exact, CapValue::Endless, span),
            (Role::IncludeUsage(is_exact), Event::Bool(_) | Event::Null) => {
                let is_asked = event == Event::Bool(true);
                if !is_exact || self.times_asked > 1 {
                    self.stream_options.place = Place::Odd;
                }
                let was_asked = self.stream_options.include_usage.is_some_and(|(_, asked)| asked);
                self.stream_options.include_usage = Some((span, is_asked || was_asked));
            }
            (Role::IncludeUsage(_) | Role::StreamOptions(_), _) => self.stream_options.place = Place::Odd,
            (Role::Settings(holder, true), _) => {
                let place = if event == Event::Null { Place::Null(span) } else { Place::Odd };
                self.hold(holder, place);
            }
            _ => {}
        }
    }

    pub(super) fn says(&mut self, truth: bool, is_sure: bool) {
        self.stream.yes |= truth;
        self.stream.no |= !truth;
        self.stream.is_odd |= !is_sure;
    }

    pub(super) fn hold(&mut self, holder: Holder, place: Place) {
        if let Some(at) = self.holders.get_mut(holder.index()) {
            at.value = place;
        }
    }

    /// Takes a setting's value that was written as a string.
    pub(super) fn kept(&mut self, span: Span) {
        let kept = core::mem::take(&mut self.kept);
        let text = (!self.is_too_long).then_some(kept.as_str());
        match self.role {
            Role::Model(is_exact) => self.model.add(text, is_exact),
            Role::Cap(field, is_exact) => {
                let value = text.map_or(CapValue::Endless, |text| CapValue::of_text(text.trim()));
                self.cap(field, is_exact, value, span);
            }
            Role::Choices => self.choices(text.unwrap_or_default().trim()),
            // Python's readers take these for a truth value; Go's do not.
            Role::Stream(_) => {
                const NO: [&str; 6] = ["false", "0", "off", "no", "n", "f"];
                let is_no = text.is_some_and(|text| NO.iter().any(|no| no.eq_ignore_ascii_case(text)));
                self.says(!is_no, false);
            }
            role => self.setting(role, Event::EndString, span),
        }
        self.kept = kept;
    }
}
