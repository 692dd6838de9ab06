//! Which places in an answer mean what, whoever's it is.
//!
//! A place is the names of the members around a value, from the root; an array's elements stand at the
//! array's. No two providers put different things in the same place, so that one table serves them all.

use super::facts::{Event, Facts};
use super::names::Name as N;
use super::tally::Count;
use super::text::Field;
use crate::llm::shape::Shape;

/// What a string is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    Nothing,
    Text(Field),
    /// Text that two names may carry, of which one counts.
    Reasoning(N),
    Model,
    Id,
    CreatedAt,
    Type,
    FinishReason,
    /// The same of an answer that has no choices.
    StopReason,
}

pub(super) const CONTENT: Field = 0;
pub(super) const REASONING: Field = 1;
pub(super) const NAME: Field = 2;
pub(super) const ARGUMENTS: Field = 3;
pub(super) const REFUSAL: Field = 4;
/// How many fields there are: every further text of a field adds this.
pub(super) const FIELDS: Field = 5;

/// What the string at this path is wanted for; what it says about the shape is kept.
pub(super) fn string(path: &[N], facts: &mut Facts) -> Want {
    match path {
        [N::Choices, N::Text] => {
            facts.shape.get_or_insert(Shape::OpenAiCompletions);
            Want::Text(CONTENT)
        }
        [N::Choices, N::Delta | N::Message, rest @ ..] => {
            facts.shape.get_or_insert(Shape::OpenAiChat);
            match rest {
                [N::Content] | [N::Content, N::Text] => Want::Text(CONTENT),
                [N::Content, N::Thinking, N::Text] => Want::Text(REASONING),
                [name @ (N::Reasoning | N::ReasoningContent)] => Want::Reasoning(*name),
                [N::Refusal] => Want::Text(REFUSAL),
                [N::ToolCalls, N::Function, N::Called] | [N::FunctionCall, N::Called] => Want::Text(NAME),
                [N::ToolCalls, N::Function, N::Arguments] | [N::FunctionCall, N::Arguments] => {
                    Want::Text(ARGUMENTS)
                }
                _ => Want::Nothing,
            }
        }
        [N::Choices | N::Candidates, N::FinishReason] => Want::FinishReason,
        [N::Candidates, N::Content, N::Parts, rest @ ..] => {
            facts.shape.get_or_insert(Shape::Gemini);
            match rest {
                [N::Text] => Want::Text(CONTENT),
                [N::FunctionCall, N::Called] => Want::Text(NAME),
                _ => Want::Nothing,
            }
        }
        [N::Message, N::Content] => {
            facts.shape.get_or_insert(Shape::OllamaChat);
            Want::Text(CONTENT)
        }
        [N::Response] => {
            facts.shape.get_or_insert(Shape::OllamaGenerate);
            Want::Text(CONTENT)
        }
        // llama.cpp's own routes.
        [N::Content] => Want::Text(CONTENT),
        // Those of text-generation-inference.
        [N::Token, N::Text] => {
            facts.has_tokens = true;
            Want::Text(CONTENT)
        }
        [N::GeneratedText] if !facts.has_tokens => Want::Text(CONTENT),
        [N::Message, N::Thinking] | [N::Thinking] => Want::Text(REASONING),
        [N::Message, N::ToolCalls, N::Function, N::Called] => Want::Text(NAME),
        [N::Delta] => match facts.event {
            Event::Audio => Want::Nothing,
            Event::Reasoning => Want::Text(REASONING),
            Event::Arguments => Want::Text(ARGUMENTS),
            Event::Refusal => Want::Text(REFUSAL),
            _ => Want::Text(CONTENT),
        },
        [N::Item, N::Called] if facts.event == Event::ItemAdded => Want::Text(NAME),
        [N::Output, N::Content, N::Text] | [N::Content | N::Delta | N::ContentBlock, N::Text] => {
            Want::Text(CONTENT)
        }
        [N::Output, N::Content, N::Refusal] => Want::Text(REFUSAL),
        [N::Output, N::Summary, N::Text] | [N::Content | N::Delta | N::ContentBlock, N::Thinking] => {
            Want::Text(REASONING)
        }
        [N::Output | N::Content | N::ContentBlock, N::Called] => Want::Text(NAME),
        [N::Output, N::Arguments | N::Input] | [N::Delta, N::PartialJson] => Want::Text(ARGUMENTS),
        [N::Delta, N::StopReason] => Want::StopReason,
        [N::Model] | [N::Message | N::Response, N::Model] => Want::Model,
        [N::Id] | [N::Response, N::Id] if facts.id.is_none() => Want::Id,
        [N::CreatedAt] => Want::CreatedAt,
        [N::Type] => Want::Type,
        _ => Want::Nothing,
    }
}

/// Whether the object or array at this path is text as it stands: what a model gave a tool.
pub(super) fn is_raw(path: &[N]) -> bool {
    matches!(
        path,
        [N::Message, N::ToolCalls, N::Function, N::Arguments]
            | [N::Candidates, N::Content, N::Parts, N::FunctionCall, N::Args]
            | [N::Content, N::Input]
    )
}

/// Which number of a usage report stands at this path.
pub(super) fn count(path: &[N]) -> Option<Count> {
    let path = match path {
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
            _ => return None,
        },
        [N::UsageMetadata, name] => match name {
            N::PromptTokenCount => Count::Prompt,
            N::ToolUsePromptTokenCount => Count::ToolPrompt,
            N::CachedContentTokenCount => Count::Cached,
            N::CandidatesTokenCount => Count::Candidates,
            N::ThoughtsTokenCount => Count::Thoughts,
            _ => return None,
        },
        [N::PromptEvalCount | N::TokensEvaluated] => Count::Prompt,
        [N::EvalCount | N::TokensPredicted] | [N::Details, N::GeneratedTokens] => Count::Output,
        _ => return None,
    };
    Some(count)
}
