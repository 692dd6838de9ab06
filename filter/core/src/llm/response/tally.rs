//! What a provider says a call cost, in whichever words.
//!
//! Every field keeps the last number that was said: what providers repeat while they stream is cumulative,
//! so it is assigned and never added.

use crate::llm::usage::{Source, TokenUsage};

/// More than this is no count of one call's tokens, and is not believed.
const MAX_TOKENS: u64 = 1_000_000_000;

/// One number of a usage report, by the name that the provider gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// OpenAI `prompt_tokens`, Gemini `promptTokenCount`, Ollama `prompt_eval_count`: all of the prompt.
    Prompt,
    /// `input_tokens`: all of the prompt for OpenAI's Responses, what no cache held for Anthropic.
    Input,
    /// Anthropic `cache_creation_input_tokens`: the prompt's, besides `input_tokens`.
    CacheWrite,
    /// Anthropic `cache_read_input_tokens`: the prompt's, besides `input_tokens`.
    CacheRead,
    /// Gemini `toolUsePromptTokenCount`: the prompt's, besides `promptTokenCount`.
    ToolPrompt,
    /// Of the prompt, read from a cache.
    Cached,
    /// All of the answer.
    Output,
    /// Of the answer, reasoning.
    Reasoning,
    /// Gemini `candidatesTokenCount`: the answer without its reasoning.
    Candidates,
    /// Gemini `thoughtsTokenCount`: the answer's reasoning, besides `candidatesTokenCount`.
    Thoughts,
}

/// What a provider reported; `None` where it said nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// Of the prompt, those that were read from a cache among them.
    pub input: Option<u64>,
    /// Of the answer, those of a model's reasoning among them.
    pub output: Option<u64>,
    /// Of the prompt, read from the provider's cache.
    pub cached: Option<u64>,
    /// Of the answer, a model's reasoning, which a client need not have seen.
    pub reasoning: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    prompt: Option<u64>,
    input: Option<u64>,
    cache_write: Option<u64>,
    cache_read: Option<u64>,
    tool_prompt: Option<u64>,
    cached: Option<u64>,
    output: Option<u64>,
    reasoning: Option<u64>,
    candidates: Option<u64>,
    thoughts: Option<u64>,
}

/// A JSON number as a count of tokens. Fractions, exponents, negative and absurd numbers are none.
pub(super) fn tokens(number: &[u8]) -> Option<u64> {
    if number.is_empty() || number.len() > 10 {
        return None;
    }
    let mut value = 0u64;
    for digit in number {
        value = value * 10 + u64::from(digit.checked_sub(b'0').filter(|digit| *digit <= 9)?);
    }
    (value <= MAX_TOKENS).then_some(value)
}

impl Tally {
    pub(super) const fn set(&mut self, count: Count, tokens: u64) {
        let field = match count {
            Count::Prompt => &mut self.prompt,
            Count::Input => &mut self.input,
            Count::CacheWrite => &mut self.cache_write,
            Count::CacheRead => &mut self.cache_read,
            Count::ToolPrompt => &mut self.tool_prompt,
            Count::Cached => &mut self.cached,
            Count::Output => &mut self.output,
            Count::Reasoning => &mut self.reasoning,
            Count::Candidates => &mut self.candidates,
            Count::Thoughts => &mut self.thoughts,
        };
        *field = Some(tokens);
    }

    /// The same in our words.
    pub(super) fn reported(&self) -> Reported {
        let sum = |first: Option<u64>, rest: [Option<u64>; 2]| {
            first.map(|first| rest.into_iter().flatten().fold(first, u64::saturating_add))
        };
        // A gateway that speaks OpenAI's words for Anthropic gives both; its `prompt_tokens` is the sum.
        let input = sum(self.prompt, [self.tool_prompt, None])
            .or_else(|| sum(self.input, [self.cache_write, self.cache_read]));
        // Gemini leaves `candidatesTokenCount` out while the model only thinks.
        let gemini = sum(self.candidates.or(self.thoughts.and(Some(0))), [self.thoughts, None]);
        Reported {
            input,
            output: self.output.or(gemini),
            cached: self.cached.or(self.cache_read),
            reasoning: self.reasoning.or(self.thoughts),
        }
    }
}

impl Reported {
    /// The usage of a call of which the provider said this, and of which `written` says whether there was
    /// text. `counted` is asked for our number only where it decides, with the number that it is held against.
    ///
    /// A report of nothing for a text that was there is not believed, and where an answer did not reach
    /// its end, the report may be an early one: the larger number holds.
    pub(super) fn settle(
        &self,
        prompt_counted: Option<u64>,
        complete: bool,
        written: bool,
        counted: impl FnOnce(u64) -> u64,
    ) -> TokenUsage {
        let prompt = prompt_counted.unwrap_or(0);
        let input = self.input.filter(|input| *input > 0 || prompt == 0);
        let said = self.output.filter(|output| *output > 0 || !written);
        let counted = if written && !(complete && said.is_some()) { counted(said.unwrap_or(0)) } else { 0 };
        let output = match said {
            // Nothing was said and nothing was written: an embedding, or an answer that never began.
            None if !written => input.map(|_| 0),
            said => said.filter(|said| *said >= counted),
        };
        self.with(input, prompt, output, counted)
    }

    fn with(&self, input: Option<u64>, prompt: u64, output: Option<u64>, counted: u64) -> TokenUsage {
        let source = match (input, output) {
            (Some(_), Some(_)) => Source::Reported,
            (None, None) => Source::Counted,
            _ => Source::Mixed,
        };
        let (input, output) = (input.unwrap_or(prompt), output.unwrap_or(counted));
        TokenUsage {
            input,
            output,
            // Parts are never more than the whole.
            cached: self.cached.unwrap_or(0).min(input),
            reasoning: self.reasoning.unwrap_or(0).min(output),
            source,
        }
    }
}
