//! One event, and the object of Weaviate's that carries it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{CLASS, tenant_of};
use crate::clock::UnixMillis;
use crate::clock::date::{self, Rfc3339};
use crate::crypto::uuid_v5;

/// The namespace of events' ids (RFC 9562 section 5.5): this project's own, drawn once.
const NAMESPACE: [u8; 16] =
    [0x7d, 0x1f, 0x6a, 0x52, 0x0c, 0x9e, 0x4b, 0x7a, 0x9b, 0x35, 0x2f, 0x64, 0xd0, 0x8e, 0x51, 0xc3];

/// `event` of a prompt that was forwarded.
pub const PROMPT: &str = "prompt";
/// `event` of what was answered.
pub const ANSWER: &str = "answer";
/// `event` of what an agent logged.
pub const LOG: &str = "log";
/// `event` of what somebody wrote himself.
pub const NOTE: &str = "note";

/// `state` of a call that came to its end.
pub const DONE: &str = "done";
/// `state` of a call whose answer was broken off, by whomever.
pub const ABORTED: &str = "aborted";
/// `state` of a call that the upstream refused or that never had an answer.
pub const ERROR: &str = "error";

/// What is remembered, with the names that it has in Weaviate.
///
/// Texts are redacted before they stand here.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MemoryEvent {
    /// When it happened.
    #[serde(serialize_with = "write_time", deserialize_with = "read_time")]
    pub timestamp: UnixMillis,
    /// What it is: [`PROMPT`], [`ANSWER`], [`LOG`], [`NOTE`], or what tasks call theirs.
    pub event: String,
    /// The caller's whole session id.
    pub session_id: String,
    /// Who caused it, as stamped.
    pub user: String,
    /// Whose it is, and the only key of every read: the user, or a space ([`super::space_owner`]).
    pub owner: String,
    /// Who acted for the user.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub agent: String,
    /// The task that it belongs to. Where there is none it is left out: in a class that Weaviate made by itself for the
    /// original's tasks, the property is of type `uuid`, which no empty text is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub task_id: String,
    /// Who speaks: `user`, `assistant`, `agent`.
    pub role: String,
    /// The text.
    pub content: String,
    /// Whether the text was longer.
    pub truncated: bool,
    /// The model.
    pub model: String,
    /// Tokens of this side of the call.
    pub tokens: u64,
    /// The filter's own name for the call: the `id` of its row in `/v1/usage`.
    pub request_id: String,
    /// How it ended: [`DONE`], [`ABORTED`], [`ERROR`].
    pub state: String,
    /// Of a log line, whose run it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub run_id: String,
    /// Of a log line, how grave it is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub level: String,
}

impl core::fmt::Debug for MemoryEvent {
    /// Nothing of what was said.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MemoryEvent")
            .field("event", &self.event)
            .field("request_id", &self.request_id)
            .field("bytes", &self.content.len())
            .finish_non_exhaustive()
    }
}

/// An event as Weaviate takes it, in a batch or alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// [`CLASS`].
    pub class: String,
    /// A UUID ([`event_id`]).
    pub id: String,
    /// Under multi-tenancy, whose shard it lies in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The event.
    pub properties: MemoryEvent,
}

impl Object {
    /// The object of an event. `key` names it once and for all: told twice, it is the same object.
    #[must_use]
    pub fn new(key: &str, event: MemoryEvent, has_tenants: bool) -> Self {
        Self {
            class: CLASS.to_owned(),
            id: event_id(key, &event.role),
            tenant: has_tenants.then(|| tenant_of(&event.owner)),
            properties: event,
        }
    }
}

/// The UUIDv5 of what a call (by the filter's own id, never the client's) said in a role.
#[must_use]
pub fn event_id(key: &str, role: &str) -> String {
    uuid_v5(NAMESPACE, &[key.as_bytes(), b"/", role.as_bytes()])
}

fn write_time<S: Serializer>(time: &UnixMillis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Rfc3339(time.0))
}

fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixMillis, D::Error> {
    let text = String::deserialize(deserializer)?;
    date::parse(&text).map(UnixMillis).ok_or_else(|| serde::de::Error::custom("timestamp is no RFC 3339"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> MemoryEvent {
        MemoryEvent {
            timestamp: UnixMillis(1_709_251_199_999),
            event: PROMPT.into(),
            session_id: "ab".repeat(32),
            user: "alice".into(),
            owner: "alice".into(),
            role: "user".into(),
            content: "hello \"world\"".into(),
            model: "llama3".into(),
            tokens: 3,
            request_id: "r-1".into(),
            state: DONE.into(),
            ..MemoryEvent::default()
        }
    }

    #[test]
    fn an_object_has_weaviates_form_and_comes_back() {
        let object = Object::new("r-1", event(), true);
        let text = serde_json::to_value(&object).unwrap();
        assert_eq!(
            text,
            json!({
                "class": "MemoryEvent",
                "id": event_id("r-1", "user"),
                "tenant": "2bd806c97f0e00af1a1fc3328fa763a9",
                "properties": {
                    "timestamp": "2024-02-29T23:59:59.999Z", "event": "prompt", "session_id": "ab".repeat(32),
                    "user": "alice", "owner": "alice", "role": "user",
                    "content": "hello \"world\"", "truncated": false, "model": "llama3", "tokens": 3,
                    "request_id": "r-1", "state": "done",
                },
            })
        );
        assert_eq!(serde_json::from_value::<Object>(text).unwrap(), object);
    }

    #[test]
    fn an_id_is_of_version_5_and_the_same_every_time() {
        let id = event_id("r-1", "user");
        assert_eq!(id, event_id("r-1", "user"));
        assert_ne!(id, event_id("r-1", "assistant"));
        assert_eq!((id.len(), id.as_bytes()[14], id.as_bytes()[8]), (36, b'5', b'-'));
    }

    #[test]
    fn nothing_of_what_was_said_is_shown() {
        assert!(!format!("{:?}", Object::new("r-1", event(), false)).contains("hello"));
    }
}
