//! The last words of a stream that ends for want of budget, as its provider would have said them.

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
        let newline = self.newline;
        let text = match shape {
            Shape::OpenAiChat | Shape::OpenAiCompletions => {
                let choices = self.open_choices().map(|choice| self.data(&self.openai(shape, choice)));
                choices.chain([self.data("[DONE]")]).collect()
            }
            Shape::OpenAiResponses => self.named("response.incomplete", &self.responses()),
            Shape::AnthropicMessages => self.anthropic(),
            Shape::Gemini if self.kind == Kind::Json => {
                format!("{}{}{newline}]", if self.comma { "," } else { "" }, self.gemini())
            }
            Shape::Gemini => self.data(&self.gemini()),
            Shape::OllamaChat => self.ollama(r#""message":{"role":"assistant","content":""}"#),
            Shape::OllamaGenerate => self.ollama(r#""response":"""#),
            Shape::OpenAiEmbeddings | Shape::OllamaEmbed | Shape::Unknown => String::new(),
        };
        text.into_bytes()
    }

    /// A server-sent event.
    fn data(&self, data: &str) -> String {
        let newline = self.newline;
        format!("data: {data}{newline}{newline}")
    }

    fn named(&self, name: &str, data: &str) -> String {
        format!("event: {name}{}{}", self.newline, self.data(data))
    }

    /// The choices that have not said why they ended; the first if none was there.
    fn open_choices(&self) -> impl Iterator<Item = u32> + use<> {
        let open = if self.facts.seen == 0 { 1 } else { self.facts.seen & !self.facts.finished };
        (0..u128::BITS).filter(move |choice| open >> choice & 1 == 1)
    }

    fn model(&self) -> String {
        quoted(self.facts.model.as_deref().unwrap_or_default())
    }

    fn id(&self) -> String {
        quoted(self.facts.id.as_deref().unwrap_or_default())
    }

    fn openai(&self, shape: Shape, choice: u32) -> String {
        let (object, content) = match shape {
            Shape::OpenAiChat => ("chat.completion.chunk", r#""delta":{}"#),
            _ => ("text_completion", r#""text":"""#),
        };
        format!(
            r#"{{"id":{},"object":"{object}","created":{},"model":{},"choices":[{{"index":{choice},{content},"finish_reason":"length"}}]}}"#,
            self.id(),
            self.facts.created.unwrap_or(0),
            self.model(),
        )
    }

    fn responses(&self) -> String {
        format!(
            concat!(
                r#"{{"type":"response.incomplete","sequence_number":{},"response":{{"id":{},"object":"response","#,
                r#""created_at":{},"status":"incomplete","error":null,"#,
                r#""incomplete_details":{{"reason":"max_output_tokens"}},"model":{},"output":[],"#,
                r#""parallel_tool_calls":true,"tool_choice":"auto","tools":[]}}}}"#
            ),
            self.facts.sequence.map_or(0, |last| last.saturating_add(1)),
            self.id(),
            self.facts.created.unwrap_or(0),
            self.model(),
        )
    }

    fn anthropic(&self) -> String {
        let mut text = self.facts.open_block.map_or_else(String::new, |block| {
            let stop = format!(r#"{{"type":"content_block_stop","index":{block}}}"#);
            self.named("content_block_stop", &stop)
        });
        let delta = format!(
            r#"{{"type":"message_delta","delta":{{"stop_reason":"max_tokens","stop_sequence":null}},"usage":{{"output_tokens":{}}}}}"#,
            self.output
        );
        text += &self.named("message_delta", &delta);
        text += &self.named("message_stop", r#"{"type":"message_stop"}"#);
        text
    }

    fn gemini(&self) -> String {
        let candidate = |index| {
            format!(
                r#"{{"content":{{"parts":[{{"text":""}}],"role":"model"}},"finishReason":"MAX_TOKENS","index":{index}}}"#
            )
        };
        let candidates = self.open_choices().map(candidate).collect::<Vec<_>>().join(",");
        let word = |name, word: &Option<String>| {
            word.as_deref().map_or_else(String::new, |word| format!(r#","{name}":{}"#, quoted(word)))
        };
        format!(
            r#"{{"candidates":[{candidates}]{}{}}}"#,
            word("modelVersion", &self.facts.model),
            word("responseId", &self.facts.id),
        )
    }

    fn ollama(&self, content: &str) -> String {
        format!(
            r#"{{"model":{},"created_at":{},{content},"done":true,"done_reason":"length","eval_count":{}}}{}"#,
            self.model(),
            quoted(self.facts.created_at.as_deref().unwrap_or("1970-01-01T00:00:00Z")),
            self.output,
            self.newline,
        )
    }
}

/// A string of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
