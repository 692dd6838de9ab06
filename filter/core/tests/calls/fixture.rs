//! A worker of the filter with limits: a real book, windows in memory, and a control that answers when the test
//! says so. A call runs against it as Envoy would have it run.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use attach_core::authn::replay::{Consumed, OneUseStore};
use attach_core::authn::verdict::OneUse;
use attach_core::clock::UnixMillis;
use attach_core::config::compile::compile;
use attach_core::crypto::{NoHost, SigningKey, to_base64url};
use attach_core::keys::KeySet;
use attach_core::keys::cache::JwksCache;
use attach_core::keys::turn::Record;
use attach_core::meter::UsageRecord;
use attach_core::mirror::pool::Pool;
use attach_core::outbox::Outbox;
use attach_core::policy::Policy;
use attach_core::quota::book::{Answered, Book, Operation};
use attach_core::quota::bucket::SharedWindows;
use attach_core::quota::entry::Entry;
use attach_core::quota::{Key, Window, home, wire};
use attach_core::stamp::assertion::AssertionCache;
use attach_core::stream::memo::Tokens;
use attach_core::stream::stop::Replies;
use attach_core::stream::{Effect, Env, Finished, Flow, Input, Machine, Output, Remembered};
use serde_json::{Value, json};

pub(crate) const NOW: u64 = 1_800_000_000;
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const JSON: &str = "application/json";
pub(crate) const SSE: &str = "text/event-stream";

/// Accounts that all workers of an Envoy share, and whether they can be had.
#[derive(Default)]
pub(crate) struct Windows {
    pub(crate) entries: RefCell<HashMap<Key, (Window, Entry)>>,
    pub(crate) is_away: bool,
    /// Never more than that may be used and leased when something is leased.
    pub(crate) most: Cell<Option<u64>>,
}

impl SharedWindows for Windows {
    fn update(&self, key: Key, window: Window, now: u64, change: &mut dyn FnMut(&mut Entry)) -> bool {
        if self.is_away {
            return false;
        }
        let mut entries = self.entries.borrow_mut();
        let entry = &mut entries.entry(key).or_insert((window, Entry::default())).1;
        let before = entry.held(now);
        change(entry);
        let (used, held) = (entry.used(window, now), entry.held(now));
        let most = self.most.get().unwrap_or(u64::MAX);
        assert!(held <= before || used + held <= most, "{used} used and {held} leased of {most}");
        true
    }
}

struct Nothing;

impl OneUseStore for Nothing {
    fn consume(&self, _: &OneUse, _: u64) -> Consumed {
        Consumed::Fresh
    }
}

/// What the machine asked its host to do.
#[derive(Debug)]
pub(crate) enum Done {
    Set(String, String),
    Removed,
    Body(Vec<u8>),
    SetAnswer(&'static str, String),
    RemovedAnswer(&'static str),
    Answer(usize, Vec<u8>),
    Reset,
    Asked(Operation),
    Counted(&'static str),
    Refused,
    Finished(Box<Finished>),
    Remembered(Box<Remembered>),
    ResumedAnswer,
    Reply(u16, Vec<(&'static str, String)>, String),
    Resume,
}

struct Recorder(Vec<Done>);

impl Output for Recorder {
    fn effect(&mut self, effect: Effect<'_>) {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        self.0.push(match effect {
            Effect::SetRequestHeader(name, value) => Done::Set(name.to_owned(), text(value)),
            Effect::RemoveRequestHeader(_) | Effect::RemoveRequestTrailer(_) => Done::Removed,
            Effect::ReplaceRequestBody(_, body) => Done::Body(body),
            Effect::SetResponseHeader(name, value) => Done::SetAnswer(name, text(value)),
            Effect::RemoveResponseHeader(name) => Done::RemovedAnswer(name),
            Effect::ReplaceResponseBody(size, body) => Done::Answer(size, body),
            Effect::ResetStream => Done::Reset,
            Effect::AskLedger(operation) => Done::Asked(operation),
            Effect::CountUnlimited => Done::Counted("unlimited"),
            Effect::CountAllowed => Done::Counted("allowed"),
            Effect::CountDenied(reason) => Done::Counted(reason),
            Effect::CountWouldDeny(reason) => Done::Counted(reason),
            Effect::RefusedStreamOptions => Done::Refused,
            Effect::Finished(finished) => Done::Finished(finished),
            Effect::Remember(remembered) => Done::Remembered(remembered),
            Effect::ResumeResponse => Done::ResumedAnswer,
            Effect::Ask(question) => panic!("{question:?}"),
            Effect::Reply(reply) => Done::Reply(reply.status, reply.headers.clone(), reply.body.clone()),
            Effect::Resume => Done::Resume,
        });
    }
}

pub(crate) struct Worker {
    pub(crate) policy: Policy,
    replies: Replies,
    keys: Vec<JwksCache>,
    tokens: Tokens,
    assertions: AssertionCache,
    pub(crate) book: Book,
    pub(crate) windows: Windows,
    /// The accounts at control.
    pub(crate) control: HashMap<Key, (Window, Entry)>,
    pub(crate) outbox: Outbox<UsageRecord>,
    pub(crate) is_full: bool,
    pub(crate) refuses: bool,
    pub(crate) pool: Pool,
    ids: Cell<u64>,
    calls: u64,
    /// In milliseconds.
    pub(crate) now: u64,
}

/// One stream, and what its client and its engine have seen.
#[derive(Default)]
pub(crate) struct Call {
    pub(crate) machine: Machine,
    pub(crate) done: Vec<Done>,
    /// What the host keeps of the request's body, then what goes upstream.
    pub(crate) body: Vec<u8>,
    /// What the client has of the answer's body.
    pub(crate) got: Vec<u8>,
    /// What is held back of the answer: the host shows it again with what comes.
    kept: Vec<u8>,
    /// Whether the answer waits.
    pub(crate) is_held: bool,
    /// Whether it went on other than in a callback: Envoy does not pass on what comes with the next one.
    was_resumed: bool,
    pub(crate) is_forwarded: bool,
    pub(crate) is_paused: bool,
    pub(crate) is_closed: bool,
}

pub(crate) fn token(claims: &Value) -> String {
    let mut all = json!({"iss": "https://idp", "aud": "attach", "sub": "alice", "exp": NOW + 86_000});
    for (name, value) in claims.as_object().unwrap() {
        all[name] = value.clone();
    }
    let part = |value: &Value| to_base64url(value.to_string().as_bytes());
    let input = format!("{}.{}", part(&json!({"alg": "EdDSA", "kid": "idp"})), part(&all));
    format!("{input}.{}", to_base64url(&key().sign(input.as_bytes())))
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

/// A gateway's configuration with these members of `accounting`, and these at its top.
pub(crate) fn policy(accounting: &Value, more: &Value) -> Policy {
    let at = |path: &str| json!({"cluster": "c", "scheme": "http", "authority": "x", "path": path});
    let mut document = json!({
        "version": 1, "public_url": "http://gateway",
        "issuers": [{"issuer": "https://idp", "audiences": ["attach"], "jwks": {"keys": at("/idp")},
            "claim_headers": [{"claim": "tier", "header": "x-attach-tier"}]}],
        "control": {"secret_env": "SECRET", "target": at("/")},
        "accounting": accounting,
    });
    for (name, value) in more.as_object().unwrap() {
        document[name] = value.clone();
    }
    compile(document.to_string().as_bytes(), &|_| Some(SECRET.to_owned())).unwrap()
}

/// A limit of so many tokens a minute for each user.
pub(crate) fn minute(tokens: u64) -> Value {
    json!({"default_output": 100, "limits": [
        {"name": "minute", "tokens": tokens, "window": {"sliding": 60}}]})
}

/// The same by the day, which lives at control.
pub(crate) fn day(tokens: u64) -> Value {
    json!({"default_output": 100, "limits": [{"name": "day", "tokens": tokens, "window": "day"}]})
}

impl Worker {
    pub(crate) fn new(accounting: &Value) -> Self {
        Self::with(accounting, &json!({}))
    }

    pub(crate) fn with(accounting: &Value, more: &Value) -> Self {
        let policy = policy(accounting, more);
        let now = UnixMillis(NOW * 1000);
        let record = Record { generation: 1, attempted_at: now, fetched_at: now, ..Record::default() };
        let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "idp", "x": to_base64url(&key().public())}]});
        let keys = policy.sources.iter().map(|source| {
            let mut cache = JwksCache::new(source.schedule);
            cache.adopt(record, KeySet::parse(set.to_string().as_bytes()).unwrap());
            cache
        });
        Self {
            keys: keys.collect(),
            replies: Replies::new(&policy),
            book: Book::new("test-1", policy.accounting.as_ref().is_some_and(|accounting| accounting.strict)),
            policy,
            tokens: Tokens::default(),
            assertions: AssertionCache::default(),
            windows: Windows::default(),
            control: HashMap::new(),
            outbox: Outbox::new(1),
            is_full: false,
            refuses: false,
            pool: Pool::default(),
            ids: Cell::new(0),
            calls: 0,
            now: NOW * 1000,
        }
    }

    fn run(
        &mut self,
        call: &mut Call,
        act: impl FnOnce(&mut Machine, &mut Env<'_>, &mut dyn Output) -> Flow,
    ) -> (Flow, Vec<Done>) {
        let mut out = Recorder(Vec::new());
        let (body, outbox, is_full, now) = (&call.body, &self.outbox, self.is_full, UnixMillis(self.now));
        let mut env = Env {
            policy: &self.policy,
            replies: &self.replies,
            keys: &mut self.keys,
            tokens: &mut self.tokens,
            assertions: &mut self.assertions,
            host: &NoHost,
            once: &Nothing,
            body: &|start, size| body.iter().skip(start).take(size).copied().collect(),
            quota: &mut self.book,
            windows: &self.windows,
            room: &|bytes| outbox.admit(bytes).filter(|_| !is_full),
            record_id: &|| {
                self.ids.set(self.ids.get() + 1);
                format!("call-{}", self.ids.get())
            },
            pool: &self.pool,
            refuses_stream_options: self.refuses,
            calls: &mut self.calls,
            caller: None,
            clock: &|| now,
            now,
        };
        let flow = act(&mut call.machine, &mut env, &mut out);
        (flow, out.0)
    }

    /// One step, with what the host does about it.
    pub(crate) fn step(&mut self, call: &mut Call, input: Input<'_>) -> Flow {
        let (flow, done) = self.run(call, |machine, env, out| machine.step(env, input, out));
        let is_request =
            matches!(input, Input::RequestHeaders(..) | Input::RequestBody(..) | Input::RequestTrailers(_));
        self.carry_out(call, done, is_request.then_some(flow));
        flow
    }

    fn carry_out(&mut self, call: &mut Call, done: Vec<Done>, flow: Option<Flow>) {
        for one in &done {
            match one {
                Done::Body(body) => call.body.clone_from(body),
                Done::Resume => {
                    assert!(call.is_paused && !call.is_forwarded, "a resume without a pause");
                    call.is_forwarded = true;
                }
                Done::Refused => self.refuses = true,
                Done::ResumedAnswer => {
                    assert!(call.is_held, "an answer goes on that does not wait");
                    call.got.append(&mut call.kept);
                    (call.is_held, call.was_resumed) = (false, true);
                }
                _ => {}
            }
        }
        if let Some(flow) = flow {
            call.is_paused = flow == Flow::Pause;
            call.is_forwarded |= flow == Flow::Continue;
        }
        call.done.extend(done);
    }

    /// A request's headers; its body is to come, or not.
    pub(crate) fn open(&mut self, headers: &[(&str, &str)], end: bool) -> Call {
        let mut call = Call::default();
        let pairs: Vec<(String, Vec<u8>)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        self.step(&mut call, Input::RequestHeaders(&pairs, end));
        call
    }

    /// More of its body.
    pub(crate) fn body(&mut self, call: &mut Call, piece: &[u8], end: bool) -> Flow {
        if call.reply().is_some() {
            return Flow::Pause;
        }
        call.body.extend_from_slice(piece);
        self.step(call, Input::RequestBody(call.body.len(), end))
    }

    /// A whole request, with more headers.
    pub(crate) fn send_with(&mut self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Call {
        let (bearer, length) = (format!("Bearer {}", token(&json!({}))), body.len().to_string());
        let mut all = vec![(":method", "POST"), (":path", path), ("content-length", &*length)];
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            all.push(("authorization", &*bearer));
        }
        for header in headers {
            match all.iter_mut().find(|(name, _)| name == &header.0) {
                Some(there) => *there = *header,
                None => all.push(*header),
            }
        }
        let mut call = self.open(&all, body.is_empty());
        if !body.is_empty() && !call.is_forwarded {
            self.body(&mut call, body, true);
        } else {
            call.body = body.to_vec();
        }
        call
    }

    pub(crate) fn send(&mut self, path: &str, body: &Value) -> Call {
        self.send_with(path, &[], body.to_string().as_bytes())
    }

    /// The answer's headers.
    pub(crate) fn answer(&mut self, call: &mut Call, headers: &[(&str, &str)], end: bool) -> Flow {
        assert!(call.is_forwarded, "{:?}", call.done);
        let pairs: Vec<(String, Vec<u8>)> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        let flow = self.step(call, Input::ResponseHeaders(&pairs, end));
        call.is_held = flow == Flow::Pause;
        flow
    }

    /// A chunk of its body.
    pub(crate) fn chunk(&mut self, call: &mut Call, chunk: &[u8], end: bool) {
        if !call.machine.reads_response() {
            call.got.extend_from_slice(chunk);
            return;
        }
        call.kept.extend_from_slice(chunk);
        let shown = call.kept.clone();
        let from = call.done.len();
        let flow = self.step(call, Input::ResponseBody(&shown, end));
        for done in &call.done[from..] {
            if let Done::Answer(size, bytes) = done {
                assert_eq!(*size, shown.len());
                call.kept.clone_from(bytes);
            }
        }
        call.is_held = flow == Flow::Pause;
        let was_resumed = core::mem::take(&mut call.was_resumed);
        if flow == Flow::Continue {
            let is_lost = was_resumed && !call.kept.is_empty();
            assert!(!is_lost || call.was_reset(), "the host keeps this for itself");
            call.got.append(&mut call.kept);
        }
    }

    /// Its trailers: a host that is not told to wait lets go with them what it holds.
    pub(crate) fn response_trailers(&mut self, call: &mut Call) {
        let flow = self.step(call, Input::ResponseTrailers);
        call.is_held = flow == Flow::Pause;
        if flow == Flow::Continue {
            call.got.append(&mut call.kept);
        }
    }

    /// Memory has the call, or has not.
    pub(crate) fn remembered(&mut self, call: &mut Call, kept: bool) {
        let (_, done) = self.run(call, |machine, env, out| {
            machine.remembered(env, kept, out);
            Flow::Continue
        });
        self.carry_out(call, done, None);
    }

    /// A whole answer.
    pub(crate) fn respond(&mut self, call: &mut Call, status: u16, kind: &str, body: &[u8]) {
        let (status, length) = (status.to_string(), body.len().to_string());
        let mut headers = vec![(":status", &*status), ("content-type", kind)];
        if kind == JSON {
            headers.push(("content-length", &length));
        }
        self.answer(call, &headers, body.is_empty());
        if !body.is_empty() {
            self.chunk(call, body, true);
        }
    }

    /// The stream is over; what was recorded of it, if it was a call.
    pub(crate) fn close(&mut self, call: &mut Call) -> Option<Finished> {
        let (_, done) = self.run(call, |machine, env, out| {
            machine.close(env, out);
            Flow::Continue
        });
        call.is_closed = true;
        let mut finished = None;
        for one in done {
            match one {
                Done::Finished(one) => assert!(finished.replace(*one).is_none(), "two records of one call"),
                Done::Refused => self.refuses = true,
                other => call.done.push(other),
            }
        }
        finished
    }

    /// A whole call: input and output tokens of its record.
    pub(crate) fn costs(&mut self, call: &mut Call) -> (u64, u64) {
        let record = self.close(call).expect("a record").record;
        (record.input, record.output)
    }

    /// What control answers to an operation, if the answer arrives.
    pub(crate) fn control(&mut self, operation: &Operation) -> wire::Answer {
        let request = wire::Request::parse(&operation.body).unwrap();
        let accounts = &request.accounts;
        let mut entries: Vec<Entry> = accounts
            .iter()
            .map(|account| {
                self.control.get(&account.key).map_or_else(Entry::default, |(_, entry)| entry.clone())
            })
            .collect();
        let answer = home::apply(&mut entries, accounts, request.worker_number(), self.now / 1000);
        for (account, entry) in accounts.iter().zip(entries) {
            let (now, before) = (self.now / 1000, self.control.get(&account.key));
            let before = before.map_or(0, |(_, entry)| entry.held(now));
            let (used, held) = (entry.used(account.window, now), entry.held(now));
            assert!(held <= before || used + held <= account.tokens, "{used} used and {held} leased");
            self.control.insert(account.key, (account.window, entry));
        }
        answer
    }

    /// Control answers what the call has asked it last, or does not.
    pub(crate) fn control_answers(&mut self, call: &mut Call, operation: &Operation, arrives: bool) {
        let now = UnixMillis(self.now);
        let answered = match arrives {
            true => {
                let answer = self.control(operation);
                self.book.answered(operation.id, &answer, now)
            }
            false => match self.book.failed(operation.id, now) {
                Answered::Done => Answered::Unavailable,
                other => other,
            },
        };
        self.hand_over(call, answered);
    }

    /// The call learns what came of what it has asked.
    pub(crate) fn hand_over(&mut self, call: &mut Call, answered: Answered) {
        let (_, done) = self.run(call, |machine, env, out| machine.ledger_answered(env, answered, out));
        self.carry_out(call, done, None);
    }

    /// The root's tick, and control answers what comes of it.
    pub(crate) fn tick(&mut self) {
        let operations = self.book.tick(UnixMillis(self.now), &self.windows);
        for operation in operations {
            let answer = self.control(&operation);
            let _ = self.book.answered(operation.id, &answer, UnixMillis(self.now));
        }
    }

    /// What all accounts within the Envoy have used and what is leased of them, when all is quiet.
    pub(crate) fn used(&mut self) -> u64 {
        self.now += 2000;
        self.tick();
        let now = self.now / 1000;
        let shared = self.windows.entries.borrow();
        shared
            .values()
            .chain(self.control.values())
            .map(|(window, entry)| {
                assert_eq!(entry.held(now), 0, "something is leased for ever");
                entry.used(*window, now)
            })
            .sum()
    }
}

impl Call {
    /// What the filter has answered itself.
    pub(crate) fn reply(&self) -> Option<(u16, &[(&'static str, String)], &str)> {
        let mut replies = self.done.iter().filter_map(|done| match done {
            Done::Reply(status, headers, body) => Some((*status, &**headers, &**body)),
            _ => None,
        });
        let reply = replies.next();
        assert!(replies.next().is_none(), "two replies");
        reply
    }

    /// Why it was refused; `forwarded` if it was not.
    pub(crate) fn became(&self) -> &str {
        let denied = self.done.iter().find_map(|done| match done {
            Done::Set(name, value) if name == "x-attach-denied" => Some(&**value),
            _ => None,
        });
        denied.unwrap_or(if self.is_forwarded { "forwarded" } else { "waiting" })
    }

    /// Its last question to control, which is taken.
    pub(crate) fn asked(&mut self) -> Option<Operation> {
        let at = self.done.iter().rposition(|done| matches!(done, Done::Asked(_)))?;
        match self.done.remove(at) {
            Done::Asked(operation) => Some(operation),
            _ => None,
        }
    }

    pub(crate) fn counted(&self, what: &str) -> bool {
        self.done.iter().any(|done| matches!(done, Done::Counted(label) if *label == what))
    }

    pub(crate) fn was_reset(&self) -> bool {
        self.done.iter().any(|done| matches!(done, Done::Reset))
    }

    /// The body that went upstream.
    pub(crate) fn sent(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, wanted: &str) -> Option<&str> {
        self.done.iter().rev().find_map(|done| match done {
            Done::Set(name, value) if name == wanted => Some(&**value),
            _ => None,
        })
    }

    pub(crate) fn answered_with(&self, wanted: &str) -> Option<&str> {
        self.done.iter().rev().find_map(|done| match done {
            Done::SetAnswer(name, value) if *name == wanted => Some(&**value),
            _ => None,
        })
    }

    pub(crate) fn got(&self) -> &str {
        std::str::from_utf8(&self.got).unwrap()
    }
}

/// A chat of one message.
pub(crate) fn chat(text: &str, more: &Value) -> Value {
    let mut body = json!({"model": "gpt-4", "messages": [{"role": "user", "content": text}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// An unstreamed answer of OpenAI's, which reports.
pub(crate) fn completion(text: &str, usage: Option<(u64, u64)>) -> Vec<u8> {
    let mut body = json!({"id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4-0613",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]});
    if let Some((input, output)) = usage {
        body["usage"] =
            json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output});
    }
    body.to_string().into_bytes()
}

/// A server-sent event of OpenAI's with a piece of text.
pub(crate) fn event(text: &str) -> String {
    let chunk = json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4-0613",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
    format!("data: {chunk}\n\n")
}

/// The event in which a stream of OpenAI's says why it has ended.
pub(crate) fn last_event(reason: &str) -> String {
    let chunk = json!({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4-0613",
        "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]});
    format!("data: {chunk}\n\n")
}
