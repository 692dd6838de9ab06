//! What is said in a conversation, and by whom: for those who listen, beside those who count.
//!
//! Said are the texts of messages, prompts and inputs, and what a tool has answered. Not said is what frames
//! them (roles, names, ids), what a model may call, pictures, and what is put above the conversation as a
//! setting (`system`, `instructions`).

use super::role::Role;
use super::state::State;
use crate::llm::shape::Shape;

/// The longest word that tells whose a message is.
const MAX_WORD: usize = 32;

/// The member that is read, where it tells whose a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Tells {
    #[default]
    Nothing,
    Role,
    Type,
}

/// What is heard.
#[derive(Default)]
pub(super) struct Heard {
    /// Whether anybody listens.
    pub(super) is_on: bool,
    /// Whether the text that is read is said.
    pub(super) is_said: bool,
    /// Whether the message that is read is the model's own.
    pub(super) is_models: bool,
    /// Whether the value after the last name is said.
    next: bool,
    tells: Tells,
    word: String,
}

impl Heard {
    /// A member's name: `around` is what holds it and whether that is said, `None` for the body itself; `role` is
    /// what its value is.
    pub(super) fn name(
        &mut self,
        shape: Shape,
        around: Option<(Role, bool)>,
        role: Role,
        name: Option<&str>,
    ) {
        let is = |words: &[&str]| {
            name.is_some_and(|name| words.iter().any(|word| name.eq_ignore_ascii_case(word)))
        };
        let is_open = shape == Shape::Unknown;
        self.tells = Tells::Nothing;
        self.next = match around {
            None => match role {
                Role::Messages | Role::Prompt => true,
                Role::Texts => is_open && is(&["input"]),
                Role::Walk => is_open && is(&["inputs"]),
                _ => false,
            },
            Some((_, false)) => false,
            Some((Role::Message, true)) => {
                if is(&["role"]) {
                    self.tells = Tells::Role;
                } else if (is_open || shape == Shape::OpenAiResponses) && is(&["type"]) {
                    self.tells = Tells::Type;
                }
                role == Role::Content || is(&["text", "prompt_string"])
            }
            Some((Role::Content | Role::Part, true)) => {
                matches!(role, Role::Content | Role::Media)
                    || is(&["text", "functionresponse", "function_response"])
            }
            Some((Role::Media, true)) => matches!(role, Role::Content | Role::Media) || is(&["text"]),
            Some((around, true)) => around == Role::Walk,
        };
    }

    /// A piece of a string.
    pub(super) fn piece(&mut self, piece: &str) {
        if self.tells != Tells::Nothing && self.word.len().saturating_add(piece.len()) <= MAX_WORD {
            self.word.push_str(piece);
        }
    }

    /// A string has ended.
    pub(super) fn end_string(&mut self) {
        let is = |word: &str| self.word.eq_ignore_ascii_case(word);
        self.is_models |= match core::mem::take(&mut self.tells) {
            Tells::Nothing => return,
            Tells::Role => is("assistant") || is("model"),
            // What a model calls is an item of its own for OpenAI's Responses, and has no role.
            Tells::Type => is("reasoning") || self.word.ends_with("_call"),
        };
        self.word.clear();
    }
}

impl State {
    /// Whether the value that begins is said.
    pub(super) fn is_said(&self) -> bool {
        match self.stack.last() {
            None => false,
            Some(frame) if frame.is_array => frame.is_said,
            Some(_) => self.heard.next,
        }
    }
}
