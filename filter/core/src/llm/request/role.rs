//! What each value of a request's body means, by the names that lead to it.
//!
//! Names are compared as a reader sees them that does not tell cases apart: Go's, and with it Ollama's,
//! takes `MESSAGES` and even `meſſages` for what it looks for. More is counted then than some engines read,
//! never less.

use std::borrow::Cow;

use super::cap::{CapField, Holder};
use crate::llm::shape::Shape;

/// What a value is to the reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// The body itself.
    Body,
    /// Nothing that costs tokens.
    Ignored,
    /// Settings; whether they are named as engines write it.
    Settings(Holder, bool),
    /// OpenAI's `stream_options`; whether it is named so.
    StreamOptions(bool),
    /// Its `include_usage`; whether it is named so.
    IncludeUsage(bool),
    /// Messages, or one alone.
    Messages,
    /// One message: its text, its parts, or its members.
    Message,
    /// A message's `name`, which stands for its role.
    Name,
    /// What a message says: text or parts.
    Content,
    /// One part of that.
    Part,
    /// A picture, a sound, a file.
    Media,
    /// Texts, or token ids, or arrays of them.
    Texts,
    /// The same, and each is answered by itself.
    Prompt,
    /// What is given to the model as the JSON that it is.
    Raw,
    /// An output format, of which the model is given the schema.
    Format,
    /// Gemini's requests for embeddings.
    Requests,
    /// All texts in there, however deep.
    Walk,
    /// The model's name; whether it is named as engines write it.
    Model(bool),
    /// Whether the answer is to be a stream; whether it is named so.
    Stream(bool),
    /// How many answers there are to be.
    Choices,
    /// A cap; whether it, and what holds it, is named as engines write it.
    Cap(CapField, bool),
}

impl Role {
    /// What an element of such an array is.
    pub(super) const fn element(self) -> Self {
        match self {
            Self::Messages => Self::Message,
            Self::Message | Self::Content | Self::Part => Self::Part,
            same @ (Self::Media | Self::Texts | Self::Prompt | Self::Requests | Self::Walk) => same,
            _ => Self::Ignored,
        }
    }

    /// What a member of such an object is; `name` is `None` for one too long to be told.
    pub(super) fn member(self, shape: Shape, name: Option<&str>) -> Self {
        let Some(name) = name else {
            return match self {
                Self::Walk | Self::Media => self,
                Self::Message | Self::Part => Self::Raw,
                Self::Body if shape == Shape::Unknown => Self::Walk,
                _ => Self::Ignored,
            };
        };
        let folded = folded(name);
        let folded = folded.as_ref();
        match self {
            Self::Body => of_body(shape, name, folded),
            Self::Settings(holder, is_exact) => of_settings(holder, is_exact, name, folded),
            Self::StreamOptions(_) if folded == "include_usage" => Self::IncludeUsage(name == folded),
            Self::Message => of_message(shape, name, folded),
            Self::Content | Self::Part => of_part(folded),
            Self::Media => match folded {
                "type" | "detail" | "format" | "media_type" | "mime_type" | "mimetype" => Self::Ignored,
                "content" | "parts" => Self::Content,
                "filename" | "text" => Self::Raw,
                _ => Self::Media,
            },
            Self::Format => match folded {
                "json_schema" | "schema" => Self::Raw,
                "format" => Self::Format,
                _ => Self::Ignored,
            },
            Self::Requests => match folded {
                "content" => Self::Content,
                "title" => Self::Raw,
                _ => Self::Ignored,
            },
            Self::Walk => Self::Walk,
            _ => Self::Ignored,
        }
    }
}

fn of_body(shape: Shape, name: &str, folded: &str) -> Role {
    match folded {
        "model" => Role::Model(name == folded),
        "stream" => Role::Stream(name == folded),
        "stream_options" => Role::StreamOptions(name == folded),
        "n" | "best_of" => Role::Choices,
        "messages" | "contents" => Role::Messages,
        "input" if shape == Shape::OpenAiResponses => Role::Messages,
        "input" | "context" => Role::Texts,
        "prompt" => Role::Prompt,
        "system" | "systeminstruction" | "system_instruction" | "instructions" => Role::Message,
        "suffix" | "template" | "chat_template" => Role::Texts,
        "tools" | "functions" | "chat_template_kwargs" => Role::Raw,
        "response_format" => Role::Format,
        "text" if shape == Shape::OpenAiResponses => Role::Format,
        "content" | "prediction" => Role::Content,
        "images" => Role::Media,
        "requests" if shape == Shape::Gemini => Role::Requests,
        "documents" | "queries" | "query" | "text_1" | "text_2" | "texts" | "inputs" | "input_prefix"
        | "input_suffix" | "input_extra" => Role::Walk,
        _ => {
            if let Some(holder) = Holder::of_folded(folded) {
                Role::Settings(holder, holder.is_exact(name))
            } else if let Some(field) = CapField::of_folded(Holder::Top, folded) {
                Role::Cap(field, name == field.name())
            } else if shape == Shape::Unknown {
                // An engine that is not known may read text from anywhere.
                Role::Walk
            } else {
                Role::Ignored
            }
        }
    }
}

fn of_settings(holder: Holder, is_exact: bool, name: &str, folded: &str) -> Role {
    match folded {
        "n" | "best_of" | "candidatecount" | "candidate_count" => Role::Choices,
        "responseschema" | "response_schema" | "responsejsonschema" | "response_json_schema" => Role::Raw,
        _ => match CapField::of_folded(holder, folded) {
            Some(field) => Role::Cap(field, is_exact && name == field.name()),
            None => Role::Ignored,
        },
    }
}

/// The original's formula counts every member of a message; what only frames it is left out: what kind it
/// is, and the ids of OpenAI's Responses.
fn of_message(shape: Shape, name: &str, folded: &str) -> Role {
    match folded {
        "type" | "cache_control" => Role::Ignored,
        "id" | "status" if shape == Shape::OpenAiResponses => Role::Ignored,
        "content" | "parts" | "output" | "summary" => Role::Content,
        "images" | "audio" | "encrypted_content" => Role::Media,
        "name" if name == folded => Role::Name,
        _ => Role::Raw,
    }
}

fn of_part(folded: &str) -> Role {
    match folded {
        "type" | "cache_control" | "signature" | "thoughtsignature" | "thought_signature" | "detail" => {
            Role::Ignored
        }
        "content" | "parts" | "output" => Role::Content,
        "image_url" | "image" | "input_image" | "audio" | "input_audio" | "audio_url" | "video"
        | "video_url" | "file" | "file_data" | "file_id" | "file_url" | "filedata" | "inlinedata"
        | "inline_data" | "source" | "data" | "url" | "encrypted_content" => Role::Media,
        _ => Role::Raw,
    }
}

/// A name as a reader that does not tell cases apart sees it; nearly every name is that already.
fn folded(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return Cow::Borrowed(name);
    }
    let fold = |c| match c {
        'ſ' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    Cow::Owned(name.chars().map(fold).collect())
}
