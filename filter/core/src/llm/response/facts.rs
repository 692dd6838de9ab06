//! What an answer says about itself: enough to tell when it is over, and to write its last event.

use crate::llm::shape::Shape;

/// The longest model name, id or date that is kept, in bytes.
pub(super) const MAX_WORD: usize = 256;

/// What a server-sent event's `type` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Event {
    #[default]
    Other,
    /// Anthropic's `content_block_start`.
    BlockStart,
    /// Anthropic's `content_block_stop`.
    BlockStop,
    /// `response.output_item.added` of OpenAI's Responses.
    ItemAdded,
    /// A piece of something that is no text.
    Audio,
    /// A piece of what a model of OpenAI's Responses thinks.
    Reasoning,
    /// A piece of what it gives a tool.
    Arguments,
    /// A piece of its refusal.
    Refusal,
}

/// What was said so far.
#[derive(Default)]
pub(super) struct Facts {
    /// The provider's own word for the model.
    pub(super) model: Option<String>,
    pub(super) id: Option<String>,
    /// OpenAI's `created`, or `created_at` where it is a number.
    pub(super) created: Option<u64>,
    /// Ollama's `created_at`.
    pub(super) created_at: Option<String>,
    /// The last `sequence_number` of OpenAI's Responses.
    pub(super) sequence: Option<u64>,
    /// The terminal event was there.
    pub(super) is_complete: bool,
    /// `done` was there, and false: more is to come.
    pub(super) goes_on: bool,
    /// The text comes token by token: where it stands as a whole beside them, it is the same.
    pub(super) has_tokens: bool,
    /// Choices that were there, one bit each.
    pub(super) seen: u128,
    /// Those that said why they ended.
    pub(super) finished: u128,
    /// Anthropic's content block that has begun and not ended.
    pub(super) open_block: Option<u64>,
    /// The shape that the answer has.
    pub(super) shape: Option<Shape>,
    /// Of the event that is being read.
    pub(super) event: Event,
    /// The same event's `index`.
    pub(super) index: Option<u64>,
}

/// The bit of a choice; choices beyond it are not told apart.
pub(super) const fn bit(choice: u32) -> u128 {
    if choice < 128 { 1 << choice } else { 1 << 127 }
}

impl Facts {
    /// Every choice said why it ended: what follows costs nothing.
    pub(super) const fn has_finished(&self) -> bool {
        self.seen != 0 && self.seen & !self.finished == 0
    }

    /// The event's `type`.
    pub(super) fn typed(&mut self, name: &[u8]) {
        self.event = match name {
            b"content_block_start" => Event::BlockStart,
            b"content_block_stop" => Event::BlockStop,
            b"response.output_item.added" => Event::ItemAdded,
            b"response.audio.delta" | b"response.output_audio.delta" => Event::Audio,
            b"response.function_call_arguments.delta"
            | b"response.mcp_call_arguments.delta"
            | b"response.custom_tool_call_input.delta" => Event::Arguments,
            b"response.refusal.delta" => Event::Refusal,
            _ if name.starts_with(b"response.reasoning") => Event::Reasoning,
            _ => Event::Other,
        };
        match name {
            b"message_stop" | b"response.completed" | b"response.incomplete" | b"response.failed" => {
                self.is_complete = true;
            }
            b"message_start" | b"content_block_start" | b"content_block_delta" => {
                self.shape = Some(Shape::AnthropicMessages)
            }
            _ if name.starts_with(b"response.") => self.shape = Some(Shape::OpenAiResponses),
            _ => {}
        }
    }

    /// The event has ended.
    pub(super) fn end_event(&mut self) {
        match core::mem::take(&mut self.event) {
            Event::BlockStart => self.open_block = Some(self.index.unwrap_or(0)),
            Event::BlockStop => self.open_block = None,
            _ => {}
        }
        self.index = None;
    }
}
