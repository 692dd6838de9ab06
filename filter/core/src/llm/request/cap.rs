//! The fields by which a request bounds how many tokens its answer may have.

use core::fmt;

use crate::llm::scan::Span;
use crate::llm::shape::Shape;

/// The object in which a field stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The body itself.
    Top,
    /// Ollama's `options`.
    Options,
    /// Gemini's `generationConfig`.
    GenerationConfig,
    /// The `sampling_params` of vLLM's own routes.
    SamplingParams,
    /// The `parameters` of text-generation-inference and Vertex.
    Parameters,
}

impl Holder {
    /// All of them.
    pub(super) const ALL: [Self; 5] =
        [Self::Top, Self::Options, Self::GenerationConfig, Self::SamplingParams, Self::Parameters];

    /// The member that holds it; empty for the body itself.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Top => "",
            Self::Options => "options",
            Self::GenerationConfig => "generationConfig",
            Self::SamplingParams => "sampling_params",
            Self::Parameters => "parameters",
        }
    }

    /// Its place in a table of all of them.
    pub(super) const fn index(self) -> usize {
        self as usize
    }

    /// The holder of a member's name as a reader that does not tell cases apart sees it.
    pub(super) fn of_folded(name: &str) -> Option<Self> {
        Some(match name {
            "options" => Self::Options,
            "generationconfig" | "generation_config" => Self::GenerationConfig,
            "sampling_params" => Self::SamplingParams,
            "parameters" => Self::Parameters,
            _ => return None,
        })
    }

    /// Whether that is how engines write the name.
    pub(super) fn is_exact(self, name: &str) -> bool {
        name == self.name() || (self == Self::GenerationConfig && name == "generation_config")
    }
}

/// The names of caps, as engines write them.
const NAMES: [&str; 8] = [
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "maxOutputTokens",
    "num_predict",
    "n_predict",
    "max_new_tokens",
    "max_gen_len",
];

/// A field that can state a cap: `max_tokens`, `options.num_predict`, `generationConfig.maxOutputTokens`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct CapField {
    /// Where it stands.
    pub holder: Holder,
    name: &'static str,
}

impl CapField {
    /// The field of that name, for settings; `None` for one that no engine is known to read.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (holder, name) = match text.split_once('.') {
            None => (Holder::Top, text),
            Some((holder, name)) => {
                (Holder::ALL.into_iter().find(|known| *known != Holder::Top && known.name() == holder)?, name)
            }
        };
        let name = NAMES.into_iter().find(|known| *known == name)?;
        Some(Self { holder, name })
    }

    /// The field of a member by its name as a reader that does not tell cases apart sees it.
    pub(super) fn of_folded(holder: Holder, name: &str) -> Option<Self> {
        let name = NAMES.into_iter().find(|known| known.eq_ignore_ascii_case(name))?;
        Some(Self { holder, name })
    }

    /// Its last part, as engines write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Whether every engine of that format obeys it.
    #[must_use]
    pub fn is_obeyed(self, shape: Shape) -> bool {
        match (shape, self.holder) {
            (Shape::OpenAiChat, Holder::Top) => matches!(self.name, "max_tokens" | "max_completion_tokens"),
            (Shape::OpenAiCompletions | Shape::AnthropicMessages, Holder::Top) => self.name == "max_tokens",
            (Shape::OpenAiResponses, Holder::Top) => self.name == "max_output_tokens",
            (Shape::Gemini, Holder::GenerationConfig) => {
                matches!(self.name, "maxOutputTokens" | "max_output_tokens")
            }
            (Shape::OllamaChat | Shape::OllamaGenerate, Holder::Options) => self.name == "num_predict",
            _ => false,
        }
    }
}

impl fmt::Display for CapField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.holder {
            Holder::Top => f.write_str(self.name),
            holder => write!(f, "{}.{}", holder.name(), self.name),
        }
    }
}

impl fmt::Debug for CapField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a request states in such a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapValue {
    /// `null`: nothing.
    Null,
    /// So many tokens.
    Tokens(u64),
    /// No end: zero and less are that to Ollama and llama.cpp; and whatever cannot be read as a number, since
    /// what an engine makes of it is not known.
    Endless,
}

/// A field that states a cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatedCap {
    /// Which one.
    pub field: CapField,
    /// Whether it, and what holds it, is written as engines write it; Go's reader takes other cases as well.
    pub is_exact: bool,
    /// What it states.
    pub value: CapValue,
    /// Where the value stands in the body.
    pub span: Span,
}

impl CapValue {
    /// What a number, or a string that some engines take for one, states.
    pub(super) fn of_text(text: &str) -> Self {
        match whole(text) {
            None | Some(0) => Self::Endless,
            Some(tokens) => Self::Tokens(tokens),
        }
    }
}

/// A number rounded up, [`u64::MAX`] for what is beyond; `None` for a negative one and for what is none.
pub(super) fn whole(text: &str) -> Option<u64> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        None => (text, 0),
        Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
    };
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_number =
        !before.is_empty() && before.bytes().chain(after.bytes()).all(|byte| byte.is_ascii_digit());
    if !is_number {
        return None;
    }
    // How many digits stand before the point once the exponent has moved it.
    let point = i64::try_from(before.len()).unwrap_or(i64::MAX).saturating_add(exponent);
    let mut value = 0_u64;
    let mut place = 0_i64;
    let mut has_fraction = false;
    for byte in before.bytes().chain(after.bytes()) {
        if place < point {
            value = value.saturating_mul(10).saturating_add(u64::from(byte.wrapping_sub(b'0')));
        } else {
            has_fraction |= byte != b'0';
        }
        place = place.saturating_add(1);
    }
    // Twenty zeros are beyond any u64.
    for _ in 0..point.saturating_sub(place).clamp(0, 20) {
        value = value.saturating_mul(10);
    }
    Some(value.saturating_add(u64::from(has_fraction)))
}

/// An exponent; huge ones as far as matters.
fn exponent_of(text: &str) -> Option<i64> {
    let (is_negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: i64 = digits.parse::<i32>().unwrap_or(i32::MAX).into();
    Some(if is_negative { value.saturating_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_rounded_up_to_whole_tokens() {
        for (text, expected) in [
            ("5", Some(5)),
            ("0", Some(0)),
            ("0.0", Some(0)),
            ("1.5", Some(2)),
            ("0.1", Some(1)),
            ("1e3", Some(1000)),
            ("1.25E+1", Some(13)),
            ("1200e-2", Some(12)),
            ("1e-9", Some(1)),
            ("0e999999999999", Some(0)),
            ("1e309", Some(u64::MAX)),
            ("1e-99999999999999999999", Some(1)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", Some(u64::MAX)),
            ("99999999999999999999999999", Some(u64::MAX)),
            ("-1", None),
            ("-0", None),
            ("", None),
            ("five", None),
            ("5 ", None),
            ("1_000", None),
            ("1e", None),
            (".5", None),
        ] {
            assert_eq!(whole(text), expected, "{text}");
        }
    }

    #[test]
    fn zero_and_less_are_no_end_to_some_engines() {
        for (text, expected) in [
            ("7", CapValue::Tokens(7)),
            ("0", CapValue::Endless),
            ("-1", CapValue::Endless),
            ("-2", CapValue::Endless),
            ("1e309", CapValue::Tokens(u64::MAX)),
            ("many", CapValue::Endless),
        ] {
            assert_eq!(CapValue::of_text(text), expected, "{text}");
        }
    }

    #[test]
    fn a_setting_names_a_field_that_engines_read() {
        for name in [
            "max_tokens",
            "max_completion_tokens",
            "options.num_predict",
            "generationConfig.maxOutputTokens",
            "sampling_params.max_tokens",
            "parameters.max_new_tokens",
        ] {
            assert_eq!(CapField::parse(name).unwrap().to_string(), name);
        }
        for name in ["", "tokens", "MAX_TOKENS", "option.num_predict", ".max_tokens", "options.", "a.b.c"] {
            assert_eq!(CapField::parse(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_are_themselves(number: u64) {
            prop_assert_eq!(whole(&number.to_string()), Some(number));
        }

        #[test]
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        fn fractions_are_rounded_as_floats_are(number in 0.0_f64..1e9) {
            prop_assert_eq!(whole(&number.to_string()), Some(number.ceil() as u64));
        }

        #[test]
        fn no_text_is_too_odd(text in "[0-9eE+.-]{0,12}") {
            let _ = whole(&text);
        }
    }
}
