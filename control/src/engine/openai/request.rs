//! Requests, and what the engine makes of them.

use serde::Deserialize;

use super::error::Error;
use crate::engine::answer::{Answer, Limits, tokens};
use crate::engine::body::Stop;

/// A request that can be answered, with its answer.
pub(super) struct Parsed {
    pub(super) model: String,
    pub(super) answer: Answer,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
}

#[derive(Deserialize)]
pub(super) struct ChatRequest {
    #[serde(flatten)]
    common: Common,
    #[serde(default)]
    messages: Option<Vec<Message>>,
    #[serde(default)]
    max_completion_tokens: Option<i64>,
}

#[derive(Deserialize)]
pub(super) struct CompletionRequest {
    #[serde(flatten)]
    common: Common,
    #[serde(default)]
    prompt: Option<Prompt>,
}

#[derive(Deserialize)]
struct Common {
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    max_tokens: Option<i64>,
    #[serde(default)]
    n: Option<i64>,
    #[serde(default)]
    stop: Option<Stop>,
}

#[derive(Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Message {
    role: String,
    /// Null in messages that carry tool calls instead.
    #[serde(default)]
    content: Option<Content>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

/// A text, or an image, a sound, a file, which the engine neither echoes nor counts.
#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Prompt {
    One(String),
    Many(Vec<String>),
}

impl Message {
    fn text(&self) -> String {
        match &self.content {
            None => String::new(),
            Some(Content::Text(text)) => text.clone(),
            Some(Content::Parts(parts)) => {
                let texts: Vec<&str> = parts.iter().filter_map(|part| part.text.as_deref()).collect();
                texts.join("\n")
            }
        }
    }
}

impl ChatRequest {
    pub(super) fn check(self) -> Result<Parsed, Error> {
        let messages = self.messages.ok_or_else(|| Error::missing("messages"))?;
        let said = messages.iter().rfind(|message| message.role == "user").or(messages.last());
        let said = said.ok_or_else(|| {
            Error::param(
                "messages",
                Some("empty_array"),
                "Invalid 'messages': it must hold at least one message.",
            )
        })?;
        let most = match (self.common.max_tokens, self.max_completion_tokens) {
            (Some(_), Some(_)) => {
                return Err(Error::param(
                    "max_tokens",
                    Some("invalid_parameter_combination"),
                    "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
                ));
            }
            (Some(most), None) => Some(("max_tokens", most)),
            (None, most) => most.map(|most| ("max_completion_tokens", most)),
        };
        let prompt_tokens = messages.iter().map(|message| tokens(&message.text())).sum();
        self.common.check(most, prompt_tokens, &said.text())
    }
}

impl CompletionRequest {
    pub(super) fn check(self) -> Result<Parsed, Error> {
        let prompt = match self.prompt {
            None => return Err(Error::missing("prompt")),
            Some(Prompt::One(text)) => text,
            Some(Prompt::Many(texts)) => match <[String; 1]>::try_from(texts) {
                Ok([text]) => text,
                Err(_) => {
                    return Err(Error::param("prompt", None, "This engine answers one prompt at a time."));
                }
            },
        };
        let most = self.common.max_tokens.map(|most| ("max_tokens", most));
        self.common.check(most, tokens(&prompt), &prompt)
    }
}

impl Common {
    /// `most` is the limit with the name of the parameter that sets it.
    fn check(
        self,
        most: Option<(&'static str, i64)>,
        prompt_tokens: usize,
        said: &str,
    ) -> Result<Parsed, Error> {
        let model = self.model.filter(|model| !model.is_empty()).ok_or_else(|| Error::missing("model"))?;
        if self.n.is_some_and(|n| n != 1) {
            return Err(Error::param("n", None, "This engine gives one choice: 'n' must be 1."));
        }
        let stream = self.stream == Some(true);
        if self.stream_options.is_some() && !stream {
            return Err(Error::param(
                "stream_options",
                None,
                "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            ));
        }
        let most = match most {
            None => None,
            Some((param, most)) => match u64::try_from(most) {
                Ok(most) if most > 0 => Some(most),
                _ => {
                    let message = format!("Invalid '{param}': it must be at least 1.");
                    return Err(Error::param(param, Some("integer_below_min_value"), message));
                }
            },
        };
        let include_usage = self.stream_options.and_then(|options| options.include_usage) == Some(true);
        let limits = Limits { tokens: most, stop: Stop::into_texts(self.stop) };
        Ok(Parsed { model, answer: Answer::new(prompt_tokens, said, &limits), stream, include_usage })
    }
}
