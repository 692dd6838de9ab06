//! What is known of a request once its body is read.

use super::cap::{CapField, CapValue, Holder, StatedCap};
use crate::llm::scan::Span;
use crate::llm::shape::Shape;

/// What is known of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFacts {
    /// Whose wire format it speaks; where the path did not say, by the body's members.
    pub shape: Shape,
    /// The model: the path's where it names one, else the last that the body names.
    pub model: Option<Box<str>>,
    /// The model that the body names where the path names one as well: engines take the one or the other.
    pub other_model: Option<Box<str>>,
    /// Whether two engines could find different models in it.
    pub is_model_unclear: bool,
    /// Whether the answer is to be a stream: it is if any member says so.
    pub stream: bool,
    /// Whether another engine might read the contrary: said twice, in other letters, or not by a truth value.
    pub is_stream_unclear: bool,
    /// Whether the model writes; embeddings and scores cost a prompt alone.
    pub generates: bool,
    /// Whether the client itself asks for the usage of a stream.
    pub includes_usage: bool,
    /// The caps that it states, at most [`MAX_CAPS`](super::MAX_CAPS), `null` among them.
    pub caps: Vec<StatedCap>,
    /// How many answers it asks for, each as long as the cap: `n`, `best_of`, `candidateCount`, times the
    /// prompts of a completion.
    pub choices: u64,
    /// The tokens that stand beside its texts: the formula's, token ids, and a flat
    /// [`MEDIA_TOKENS`](super::MEDIA_TOKENS) for every picture, sound or file.
    pub overhead: u64,
    /// The length of all its texts, in bytes.
    pub text_bytes: u64,
    /// The length of the body, in bytes.
    pub length: u64,
    pub(in crate::llm) holders: [HolderAt; Holder::ALL.len()],
    pub(in crate::llm) stream_options: StreamOptions,
}

/// Where a holder of settings stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::llm) struct HolderAt {
    /// How often a member names it, in any letters.
    pub(in crate::llm) times: u32,
    /// The last that is named as engines write it.
    pub(in crate::llm) value: Place,
}

/// Where a member of a known name stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::llm) enum Place {
    /// Nowhere.
    #[default]
    Absent,
    /// An object that ends with the brace at that offset, and whether nothing is in it.
    Object {
        /// The offset of its last brace.
        close: u64,
        /// Whether nothing is in it.
        is_empty: bool,
    },
    /// `null`.
    Null(Span),
    /// Something else.
    Odd,
}

/// What `stream_options` holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::llm) struct StreamOptions {
    /// Where it stands; [`Place::Odd`] also where it stands twice or in other letters.
    pub(in crate::llm) place: Place,
    /// The value of its `include_usage`: where, and whether it is `true`.
    pub(in crate::llm) include_usage: Option<(Span, bool)>,
}

impl RequestFacts {
    /// The most tokens that the prompt can be: no text has more tokens than bytes.
    #[must_use]
    pub const fn prompt_bound(&self) -> u64 {
        self.overhead.saturating_add(self.text_bytes)
    }

    /// The largest cap that it states, in tokens; `None` where it states none, or only endless ones.
    #[must_use]
    pub fn stated_cap(&self) -> Option<u64> {
        let tokens = |cap: &StatedCap| match cap.value {
            CapValue::Tokens(tokens) => Some(tokens),
            CapValue::Null | CapValue::Endless => None,
        };
        self.caps.iter().filter_map(tokens).max()
    }

    /// Whether the engine is sure to obey what [`stated_cap`](Self::stated_cap) says: one that the format
    /// knows is stated in the letters that every engine reads, and nothing beside it says otherwise.
    #[must_use]
    pub fn is_capped(&self) -> bool {
        let mut obeyed = self.caps.iter().filter(|cap| {
            cap.value != CapValue::Null
                && cap.field.is_obeyed(self.shape)
                && !self.is_repeated(cap.field.holder)
        });
        obeyed.clone().any(|cap| cap.is_exact) && obeyed.all(|cap| matches!(cap.value, CapValue::Tokens(_)))
    }

    /// The most tokens that the answers are taken to have before anything is known: the cap for each, or
    /// `default` where an engine might obey none; nothing where the model does not write.
    #[must_use]
    pub fn output_bound(&self, default: u64) -> u64 {
        if !self.generates {
            return 0;
        }
        let stated = self.stated_cap().unwrap_or_default();
        let each = if self.is_capped() { stated } else { stated.max(default) };
        each.saturating_mul(self.choices)
    }

    /// Whether `stream_options.include_usage` can be asked for in the client's place: a stream that reports
    /// its usage only then, whose client did not ask, and whose `stream_options` can be read in one way.
    #[must_use]
    pub const fn can_ask_for_usage(&self) -> bool {
        self.shape.reports_when_asked()
            && self.stream
            && !self.is_stream_unclear
            && !self.includes_usage
            && matches!(self.stream_options.place, Place::Absent | Place::Object { .. })
    }

    /// Whether a cap can be put into that field: the model writes, and what holds the field is an object.
    #[must_use]
    pub fn can_cap(&self, field: CapField) -> bool {
        self.generates && self.place(field.holder) != Place::Odd
    }

    pub(in crate::llm) fn place(&self, holder: Holder) -> Place {
        self.holders.get(holder.index()).copied().unwrap_or_default().value
    }

    /// Whether a holder stands there twice: engines read the last, or all of them.
    pub(in crate::llm) fn is_repeated(&self, holder: Holder) -> bool {
        self.holders.get(holder.index()).is_some_and(|at| at.times > 1)
    }
}
