//! What the tests here have in common: a gateway in front of each backend, calls that say what is answered, and what is
//! remembered of them.

use std::collections::BTreeSet;
use std::io;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use attach_tests::fixture::Fixture;
use attach_tests::gateway::{Builder, Gateway, finish};
use attach_tests::peers::{Version, Weaviate};
use attach_tests::request::{Request, Response};
use attach_tests::upstream::Exchange;
use attach_tests::wait;
use serde_json::{Value, json};

/// Where chats are sent.
pub const CHAT: &str = "/v1/chat/completions";
/// The model of every call.
pub const MODEL: &str = "gpt-4";
/// The class of events.
pub const CLASS: &str = "MemoryEvent";
/// The most of a text that is remembered on the shared gateways, in bytes.
pub const MAX_BYTES: usize = 4096;
/// What the engine says that a call cost: input, output.
pub const USAGE: (u64, u64) = (11, 7);
/// How long anything may take that waits for somebody who was killed.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// So many calls that each worker of a gateway surely has one of them.
const MARKERS: usize = 12;

/// Where events lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// In control's own store.
    Embedded,
    /// In a real Weaviate.
    Weaviate(Version),
}

/// Both versions of Weaviate.
pub const WEAVIATES: [Version; 2] = [Version::Old, Version::New];

/// A gateway and where its events lie.
pub struct Site {
    /// The gateway, its engine and its issuers.
    pub fixture: Fixture,
    /// The Weaviate, if there is one.
    pub weaviate: Option<Weaviate>,
}

/// Makes a test of each function on the shared gateway of each backend.
macro_rules! on_every_backend {
    ($($case:ident),* $(,)?) => {
        mod embedded {
            $(#[test]
            fn $case() {
                crate::kit::on(crate::kit::Backend::Embedded, super::$case);
            })*
        }

        mod weaviate_of_the_original {
            $(#[test]
            fn $case() {
                crate::kit::on(crate::kit::Backend::Weaviate(attach_tests::peers::Version::Old), super::$case);
            })*
        }

        mod newest_weaviate {
            $(#[test]
            fn $case() {
                crate::kit::on(crate::kit::Backend::Weaviate(attach_tests::peers::Version::New), super::$case);
            })*
        }
    };
}
pub(crate) use on_every_backend;

/// Runs a case on the shared gateway of a backend; where its Weaviate could not be built, says so instead.
pub fn on(backend: Backend, case: impl FnOnce(&Site)) {
    static SITES: [OnceLock<Option<Site>>; 3] = [const { OnceLock::new() }; 3];
    let (site, name) = match backend {
        Backend::Embedded => (&SITES[0], "memory-embedded"),
        Backend::Weaviate(Version::Old) => (&SITES[1], "memory-weaviate-old"),
        Backend::Weaviate(Version::New) => (&SITES[2], "memory-weaviate-new"),
    };
    let site = site.get_or_init(|| {
        Site::start(name, backend, |builder| {
            builder
                .set("MEM_MAX_BYTES", MAX_BYTES)
                .set("MEM_SPACES", "team-a=groups:team-a,team-b=groups:team-b")
        })
    });
    if let Some(site) = site {
        case(site);
    }
}

impl Site {
    /// Starts a gateway in front of a backend; `None`, after a word, where that could not be built.
    pub fn start(name: &str, backend: Backend, change: impl FnOnce(Builder) -> Builder) -> Option<Self> {
        let weaviate = match backend {
            Backend::Embedded => None,
            Backend::Weaviate(version) => Some(Weaviate::start(version)?),
        };
        Some(Self::with(name, weaviate, change))
    }

    /// Starts a gateway in front of a Weaviate that runs already, or of its own store.
    pub fn with(name: &str, weaviate: Option<Weaviate>, change: impl FnOnce(Builder) -> Builder) -> Self {
        let fixture = Fixture::start(name, |builder| {
            change(match &weaviate {
                None => builder.set("MEM_BACKEND", "embedded"),
                Some(weaviate) => builder.set("WEAVIATE_URL", weaviate.url()),
            })
        });
        answer(&fixture);
        Self { fixture, weaviate }
    }

    /// The gateway.
    pub fn gateway(&self) -> &Gateway {
        &self.fixture.gateway
    }

    /// A good token of a user's.
    pub fn token(&self, user: &str) -> String {
        self.fixture.world.first.token(user)
    }

    /// The same with further claims.
    pub fn token_with(&self, user: &str, claims: &Value) -> String {
        let mut claims = claims.clone();
        claims["sub"] = json!(user);
        self.fixture.world.first.token_of(&claims)
    }

    /// What somebody with a token gets to see.
    pub fn get(&self, token: &str, target: &str) -> Response {
        self.gateway().send(&Request::get(target).bearer(token))
    }

    /// Sends a call that must be answered well.
    pub fn said(&self, request: &Request) -> Response {
        self.gateway().send(request).expect(200)
    }

    /// Waits until everything that was said before is remembered: others say something on every worker, and each worker
    /// tells what it has in order.
    pub fn settle(&self) {
        static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let token = self.token(&format!("marker-{number}"));
        for _ in 0..MARKERS {
            let _ = self.said(&chat(&token, "mark", "marked"));
        }
        let _ = self.events(&token, 2 * MARKERS);
    }

    /// A user's events, newest first, once there are so many; more are a mistake.
    pub fn events(&self, token: &str, count: usize) -> Vec<Value> {
        self.events_of(token, "limit=100", count)
    }

    /// The same of those that a query asks for.
    pub fn events_of(&self, token: &str, query: &str, count: usize) -> Vec<Value> {
        let mut last = String::new();
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let answer = self.get(token, &format!("/mem/events?{query}"));
            last = answer.text();
            assert_ne!(answer.status, 404, "{last}");
            if answer.status == 200 {
                let events = listed(&answer);
                if events.len() >= count {
                    assert_eq!(events.len(), count, "{events:#?}");
                    return events;
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("there should be {count} events for {query}: {last}");
    }

    /// What a search finds.
    pub fn found(&self, token: &str, query: &str) -> Vec<Value> {
        listed(&self.get(token, &format!("/mem/search?{query}")).expect(200))
    }

    /// Whether some text lies anywhere that the gateway or its Weaviate write to.
    pub fn keeps(&self, text: &str) -> bool {
        let state = finish(Command::new("grep").args(["-raqF", "-e", text]).arg(self.gateway().state()));
        let is_in_state = state.status == 0;
        is_in_state || self.weaviate.as_ref().is_some_and(|weaviate| weaviate.keeps(text))
    }
}

/// The events of an answer in the original's shape.
pub fn listed(answer: &Response) -> Vec<Value> {
    let answer = answer.json();
    let events = answer["data"]["Get"][CLASS].as_array();
    events.unwrap_or_else(|| panic!("no events: {answer:#}")).clone()
}

/// The only event of a kind among some.
pub fn only<'a>(events: &'a [Value], kind: &str) -> &'a Value {
    let mut of_kind = events.iter().filter(|event| event["event"] == kind);
    let found = of_kind.next().unwrap_or_else(|| panic!("no {kind}: {events:#?}"));
    assert!(of_kind.next().is_none(), "more than one {kind}: {events:#?}");
    found
}

/// The texts of events.
pub fn contents(events: &[Value]) -> BTreeSet<String> {
    events.iter().map(|event| text(event, "content")).collect()
}

/// A text of an event's.
pub fn text(event: &Value, name: &str) -> String {
    event[name].as_str().unwrap_or_else(|| panic!("no {name}: {event:#}")).to_owned()
}

/// The id of an event's object.
pub fn id(event: &Value) -> String {
    text(&event["_additional"], "id")
}

/// A call that is answered in one piece.
pub fn chat(token: &str, prompt: &str, answer: &str) -> Request {
    let messages = json!([{"role": "user", "content": prompt}]);
    call(token, &json!({"model": MODEL, "messages": messages, "script": answer}))
}

/// A call that is answered by a stream of these pieces of text.
pub fn stream(token: &str, prompt: &str, pieces: &[&str]) -> Request {
    let messages = json!([{"role": "user", "content": prompt}]);
    call(token, &json!({"model": MODEL, "stream": true, "messages": messages, "script": pieces}))
}

/// A call with some body, whose `script` is what the engine answers.
pub fn call(token: &str, body: &Value) -> Request {
    Request::post_json(CHAT, body).bearer(token)
}

/// Makes the engine answer every chat as its `script` says: a text, the pieces of a stream, or `{"status"}`. A stream
/// with the piece `null` breaks off there.
pub fn answer(fixture: &Fixture) {
    fixture.upstream.on(CHAT, |exchange| {
        let body: Value = serde_json::from_slice(&exchange.body()?).map_err(io::Error::other)?;
        match &body["script"] {
            Value::Array(pieces) => answer_in_pieces(exchange, &body, pieces),
            Value::Object(_) => {
                let error = json!({"error": {"message": "the engine is not well", "type": "server_error"}});
                exchange.reply("500 Internal Server Error", JSON, error.to_string().as_bytes())
            }
            script => {
                let answer = json!({
                    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL,
                    "choices": [{
                        "index": 0, "finish_reason": "stop",
                        "message": {"role": "assistant", "content": script.as_str().unwrap_or("yes")},
                    }],
                    "usage": usage(),
                });
                exchange.reply("200 OK", JSON, answer.to_string().as_bytes())
            }
        }
    });
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

fn usage() -> Value {
    let (input, output) = USAGE;
    json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output})
}

fn answer_in_pieces(exchange: &mut Exchange, body: &Value, pieces: &[Value]) -> io::Result<()> {
    let event = |choices: Value, usage: Value| {
        let event = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL,
            "choices": choices, "usage": usage,
        });
        format!("data: {event}\n\n")
    };
    exchange.start("200 OK", &[("content-type", "text/event-stream")])?;
    for piece in pieces {
        let Some(piece) = piece.as_str() else {
            return Err(io::ErrorKind::ConnectionAborted.into());
        };
        let delta = json!([{"index": 0, "delta": {"content": piece}, "finish_reason": null}]);
        let event = event(delta, Value::Null);
        // Not where an event ends: no piece of the connection is a piece of the text.
        let (head, tail) = event.as_bytes().split_at(event.len() / 2);
        exchange.chunk(head)?;
        exchange.chunk(tail)?;
    }
    let end = json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]);
    exchange.chunk(event(end, Value::Null).as_bytes())?;
    if body["stream_options"]["include_usage"] == true {
        exchange.chunk(event(json!([]), usage()).as_bytes())?;
    }
    exchange.chunk(b"data: [DONE]\n\n")?;
    exchange.end(&[])
}

/// `kill -9` of a service of a gateway; waits until it is gone.
pub fn kill(gateway: &Gateway, service: &str) {
    let pid = gateway.pid(service).unwrap_or_else(|| panic!("{service} does not run"));
    finish(Command::new("kill").args(["-9", &pid.to_string()])).expect_success();
    wait::until(&format!("{service} to be gone"), || gateway.pid(service).is_none().then_some(()));
}

/// All rows of a user's ledger, once there are so many: the ids of the filter's own.
pub fn calls(site: &Site, token: &str, count: usize) -> BTreeSet<String> {
    wait::until_within(PATIENCE, &format!("{count} rows in the ledger"), || {
        let mut ids = BTreeSet::new();
        let mut target = "/v1/usage?limit=1000".to_owned();
        loop {
            let answer = site.get(token, &target);
            if answer.status != 200 {
                return None;
            }
            let page = answer.json();
            ids.extend(page["data"].as_array().expect("rows").iter().map(|row| text(row, "id")));
            match page["next"].as_str() {
                Some(next) => target = format!("/v1/usage?limit=1000&before={next}"),
                None => return (ids.len() >= count).then_some(ids),
            }
        }
    })
}
