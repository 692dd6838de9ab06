//! The last words of a stream that ends for want of budget, as its provider would have said them.

use serde_json::{Value, json};

use super::facts::Facts;
use super::frame::Kind;
use crate::llm::shape::Shape;

/// What the last words depend on.
pub(super) struct Ending<'a> {
    pub(super) kind: Kind,
    pub(super) newline: &'a str,
    /// In an array, a comma must come first.
    pub(super) comma: bool,
    /// Tokens of text that there were.
    pub(super) output: u64,
    pub(super) facts: &'a Facts,
}

impl Ending<'_> {
    /// The events that end a stream of this shape, after a whole event of it.
    pub(super) fn of(&self, shape: Shape) -> Vec<u8> {
        let Self { kind, newline, comma, output, facts } = *self;
        let mut text = String::new();
        let mut event = |name: Option<&str>, data: &str| {
            if let Some(name) = name {
                text += &format!("event: {name}{newline}");
            }
            text += &format!("data: {data}{newline}{newline}");
        };
        match shape {
            Shape::OpenAiChat | Shape::OpenAiCompletions => {
                for choice in open_choices(facts) {
                    event(None, &openai(shape, choice, facts).to_string());
                }
                event(None, "[DONE]");
            }
            Shape::OpenAiResponses => {
                event(Some("response.incomplete"), &responses(facts).to_string());
            }
            Shape::AnthropicMessages => {
                if let Some(block) = facts.open_block {
                    let stop = json!({"type": "content_block_stop", "index": block});
                    event(Some("content_block_stop"), &stop.to_string());
                }
                let delta = json!({
                    "type": "message_delta",
                    "delta": {"stop_reason": "max_tokens", "stop_sequence": null},
                    "usage": {"output_tokens": output},
                });
                event(Some("message_delta"), &delta.to_string());
                event(Some("message_stop"), &json!({"type": "message_stop"}).to_string());
            }
            Shape::Gemini if kind == Kind::Json => {
                let comma = if comma { "," } else { "" };
                return format!("{comma}{}{newline}]", gemini(facts)).into_bytes();
            }
            Shape::Gemini => event(None, &gemini(facts).to_string()),
            Shape::OllamaChat | Shape::OllamaGenerate => {
                return format!("{}{newline}", ollama(shape, output, facts)).into_bytes();
            }
            Shape::OpenAiEmbeddings | Shape::OllamaEmbed | Shape::Unknown => {}
        }
        text.into_bytes()
    }
}

/// The choices that have not said why they ended; the first if none was there.
fn open_choices(facts: &Facts) -> impl Iterator<Item = u32> {
    let open = if facts.seen == 0 { 1 } else { facts.seen & !facts.finished };
    (0..128_u32).filter(move |choice| open >> choice & 1 == 1)
}

fn openai(shape: Shape, choice: u32, facts: &Facts) -> Value {
    let (object, choice) = if shape == Shape::OpenAiChat {
        ("chat.completion.chunk", json!({"index": choice, "delta": {}, "finish_reason": "length"}))
    } else {
        ("text_completion", json!({"index": choice, "text": "", "finish_reason": "length"}))
    };
    json!({
        "id": facts.id.as_deref().unwrap_or_default(),
        "object": object,
        "created": facts.created.unwrap_or(0),
        "model": facts.model.as_deref().unwrap_or_default(),
        "choices": [choice],
    })
}

fn responses(facts: &Facts) -> Value {
    json!({
        "type": "response.incomplete",
        "sequence_number": facts.sequence.map_or(0, |last| last.saturating_add(1)),
        "response": {
            "id": facts.id.as_deref().unwrap_or_default(),
            "object": "response",
            "created_at": facts.created.unwrap_or(0),
            "status": "incomplete",
            "error": null,
            "incomplete_details": {"reason": "max_output_tokens"},
            "model": facts.model.as_deref().unwrap_or_default(),
            "output": [],
            "parallel_tool_calls": true,
            "tool_choice": "auto",
            "tools": [],
        },
    })
}

fn gemini(facts: &Facts) -> Value {
    let candidate = |index| {
        json!({
            "content": {"parts": [{"text": ""}], "role": "model"},
            "finishReason": "MAX_TOKENS",
            "index": index,
        })
    };
    let mut answer = json!({"candidates": open_choices(facts).map(candidate).collect::<Vec<_>>()});
    if let Some(members) = answer.as_object_mut() {
        let words = [("modelVersion", &facts.model), ("responseId", &facts.id)];
        for (name, word) in words.iter().filter_map(|(name, word)| Some((name, word.as_ref()?))) {
            members.insert((*name).to_owned(), word.as_str().into());
        }
    }
    answer
}

fn ollama(shape: Shape, output: u64, facts: &Facts) -> Value {
    let mut answer = json!({
        "model": facts.model.as_deref().unwrap_or_default(),
        "created_at": facts.created_at.as_deref().unwrap_or("1970-01-01T00:00:00Z"),
        "done": true,
        "done_reason": "length",
        "eval_count": output,
    });
    if let Some(members) = answer.as_object_mut() {
        if shape == Shape::OllamaChat {
            members.insert("message".to_owned(), json!({"role": "assistant", "content": ""}));
        } else {
            members.insert("response".to_owned(), "".into());
        }
    }
    answer
}
