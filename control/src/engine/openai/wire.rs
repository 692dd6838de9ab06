//! Answers as they go over the wire, whole and in events.

use std::time::SystemTime;

use serde_json::{Value, json};

use crate::engine::answer::{Answer, Finish};
use crate::engine::pace::Frame;
use crate::engine::{State, unix_seconds};

/// Which of the two APIs answers.
#[derive(Clone, Copy)]
enum Api {
    Chat,
    Completion,
}

/// What all parts of one answer have in common.
#[derive(Clone)]
pub(super) struct Wire {
    api: Api,
    id: String,
    created: u64,
    model: String,
    include_usage: bool,
}

/// What one event of a stream adds.
enum Delta<'a> {
    Opening,
    Text(&'a str),
    End(Finish),
}

impl Wire {
    pub(super) fn chat(state: &State, model: String, include_usage: bool) -> Wire {
        Wire::new(Api::Chat, state.next_id("chatcmpl"), model, include_usage)
    }

    pub(super) fn completion(state: &State, model: String, include_usage: bool) -> Wire {
        Wire::new(Api::Completion, state.next_id("cmpl"), model, include_usage)
    }

    fn new(api: Api, id: String, model: String, include_usage: bool) -> Wire {
        Wire { api, id, created: unix_seconds(SystemTime::now()), model, include_usage }
    }

    /// The answer in one piece.
    pub(super) fn whole(&self, answer: &Answer) -> Value {
        let finish = answer.finish.as_str();
        let (object, choice) = match self.api {
            Api::Chat => (
                "chat.completion",
                json!({
                    "index": 0,
                    "message": { "role": "assistant", "content": answer.text(), "refusal": null },
                    "logprobs": null,
                    "finish_reason": finish,
                }),
            ),
            Api::Completion => (
                "text_completion",
                json!({ "index": 0, "text": answer.text(), "logprobs": null, "finish_reason": finish }),
            ),
        };
        let mut whole = self.envelope(object, &json!([choice]));
        set(&mut whole, "usage", usage(answer));
        whole
    }

    /// The answer event by event: a role (chat), a chunk for each token, the reason of the end, the usage where
    /// it was asked for, and `[DONE]`.
    pub(super) fn stream(self, answer: Answer) -> impl Iterator<Item = Frame> + Send + 'static {
        let opening = match self.api {
            Api::Chat => Some(Frame::at_once(self.event(&Delta::Opening))),
            Api::Completion => None,
        };
        let end = Frame::at_once(self.event(&Delta::End(answer.finish)));
        let usage = self.include_usage.then(|| {
            let mut last = self.envelope(self.chunk_object(), &json!([]));
            set(&mut last, "usage", usage(&answer));
            Frame::at_once(event(&last))
        });
        let words =
            answer.pieces.into_iter().map(move |piece| Frame::paced(self.event(&Delta::Text(&piece))));
        let done = Frame::at_once("data: [DONE]\n\n");
        opening.into_iter().chain(words).chain([end]).chain(usage).chain([done])
    }

    fn event(&self, delta: &Delta<'_>) -> String {
        let finish = match delta {
            Delta::End(finish) => Some(finish.as_str()),
            Delta::Opening | Delta::Text(_) => None,
        };
        let choice = match (self.api, delta) {
            (Api::Chat, delta) => {
                let delta = match delta {
                    Delta::Opening => json!({ "role": "assistant", "content": "", "refusal": null }),
                    Delta::Text(text) => json!({ "content": text }),
                    Delta::End(_) => json!({}),
                };
                json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish })
            }
            (Api::Completion, delta) => {
                let text = if let Delta::Text(text) = delta { text } else { "" };
                json!({ "index": 0, "text": text, "logprobs": null, "finish_reason": finish })
            }
        };
        let mut chunk = self.envelope(self.chunk_object(), &json!([choice]));
        if self.include_usage {
            set(&mut chunk, "usage", Value::Null);
        }
        event(&chunk)
    }

    fn chunk_object(&self) -> &'static str {
        match self.api {
            Api::Chat => "chat.completion.chunk",
            Api::Completion => "text_completion",
        }
    }

    fn envelope(&self, object: &str, choices: &Value) -> Value {
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": "fp_attach_echo",
            "choices": choices,
        })
    }
}

fn usage(answer: &Answer) -> Value {
    json!({
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.tokens(),
        "total_tokens": answer.prompt_tokens.saturating_add(answer.tokens()),
    })
}

fn event(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn set(object: &mut Value, member: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(member.to_owned(), value);
    }
}
