//! What the server answers to what.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::batch;
use super::stream::{FIELD, Pace};
use crate::texts::{self, Text};

/// Where the bench asks how many records came.
pub(super) const COUNT: &str = "/bench/records";

const LIST: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 27\r\n\r\n\
    {\"object\":\"list\",\"data\":[]}";
/// A chat completion of 500 bytes, as vLLM writes them.
const CHAT: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n\
    {\"id\":\"chatcmpl-5f0c7a522d1e4b8a\",\"object\":\"chat.completion\",\"created\":1718345013,\"model\":\"llama3\",\
    \"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Air scatters blue light more than red: \
    its waves are shorter. In the evening the light comes a longer way through the air, most of the blue is gone \
    by then, and what is left to see is red. It is called Rayleigh scattering.\"},\"logprobs\":null,\
    \"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":148,\"completion_tokens\":52,\"total_tokens\":200}}";
const NO_CONTENT: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
const HEALTH: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 37\r\n\r\n\
    {\"outbox\":0,\"memory\":{\"direct\":true}}";

/// What is answered to whom asks for a text.
static TEXTS: LazyLock<[String; 2]> = LazyLock::new(|| Text::ALL.map(Text::response));
/// Usage records that came.
static RECORDS: AtomicU64 = AtomicU64::new(0);

/// One whole request.
pub(super) struct Request<'a> {
    line: &'a [u8],
    body: &'a [u8],
    pace: Option<Pace>,
    text: Option<Text>,
    /// Of its head and its body.
    pub(super) length: usize,
}

/// An answer.
pub(super) enum Answer {
    /// The same each time.
    Fixed(&'static [u8]),
    /// Another one each time.
    Text(String),
    /// One that takes a while.
    Stream(Pace),
}

impl<'a> Request<'a> {
    /// The first request in `held`, if the whole of it is there.
    pub(super) fn parse(held: &'a [u8]) -> Option<Self> {
        let (mut head, mut body, mut pace, mut text) = (0, 0, None, None);
        for line in held.split_inclusive(|byte| *byte == b'\n') {
            head += line.len();
            if line == b"\r\n" {
                let length = head + body;
                let line = held.split(|byte| *byte == b'\r').next()?;
                return Some(Self { line, body: held.get(head..length)?, pace, text, length });
            }
            if let Some(value) = value(line, b"content-length:") {
                body = std::str::from_utf8(value).ok()?.trim().parse().ok()?;
            } else if let Some(value) = value(line, FIELD.as_bytes()) {
                let value = value.strip_prefix(b":").unwrap_or(value);
                pace = std::str::from_utf8(value).ok().and_then(Pace::parse);
            } else if let Some(value) = value(line, texts::FIELD.as_bytes()) {
                let value = value.strip_prefix(b":").unwrap_or(value);
                text = std::str::from_utf8(value).ok().and_then(Text::parse);
            }
        }
        None
    }
}

fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (before, value) = line.split_at_checked(name.len())?;
    before.eq_ignore_ascii_case(name).then_some(value)
}

/// What a request is answered with.
pub(super) fn to(request: &Request<'_>) -> Answer {
    let mut words = request.line.split(|byte| *byte == b' ');
    match (words.next(), words.next(), request.pace) {
        (_, Some(b"/internal/records"), _) => {
            RECORDS.fetch_add(records(request.body), Ordering::Relaxed);
            Answer::Fixed(NO_CONTENT)
        }
        (_, Some(b"/internal/health"), _) => Answer::Fixed(HEALTH),
        (_, Some(path), _) if path == batch::COUNT.as_bytes() => Answer::Text(batch::count()),
        (_, Some(path), _) if batch::is_one(path) => Answer::Text(batch::to(path, request.body)),
        (_, Some(path), _) if path == COUNT.as_bytes() => {
            let count = RECORDS.load(Ordering::Relaxed).to_string();
            Answer::Text(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{count}", count.len()))
        }
        (Some(b"POST"), _, Some(pace)) => {
            let asked = b"\"include_usage\":true";
            let tells_usage = request.body.windows(asked.len()).any(|part| part == asked);
            Answer::Stream(Pace { tells_usage, ..pace })
        }
        (Some(b"POST"), ..) => match (request.text, &*TEXTS) {
            (Some(Text::Plain), [plain, _]) => Answer::Fixed(plain.as_bytes()),
            (Some(Text::Secret), [_, secret]) => Answer::Fixed(secret.as_bytes()),
            (None, _) => Answer::Fixed(CHAT),
        },
        _ => Answer::Fixed(LIST),
    }
}

/// How many records a batch has: each says once who counted.
fn records(batch: &[u8]) -> u64 {
    let member = b"\"source\":";
    batch.windows(member.len()).filter(|part| part == member).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_once_the_whole_of_it_is_there() {
        let length = |held| Request::parse(held).map(|request| request.length);
        let get = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        assert_eq!(length(get), Some(get.len()));
        assert_eq!(length(&get[..get.len() - 1]), None);
        let post = b"POST / HTTP/1.1\r\nContent-Length: 3\r\nhost: x\r\n\r\nabcGET";
        assert_eq!(length(post), Some(post.len() - 3));
        assert_eq!(length(&post[..post.len() - 5]), None);
    }

    #[test]
    fn answers_are_as_long_as_they_say() {
        for answer in [LIST, CHAT, HEALTH] {
            let text = std::str::from_utf8(answer).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.ends_with(&format!("content-length: {}", body.len())), "{} in {head}", body.len());
            let _: serde_json::Value = serde_json::from_str(body).unwrap();
        }
    }

    #[test]
    fn a_stream_is_what_its_request_asks_for() {
        let of = |request: &[u8]| match to(&Request::parse(request).unwrap()) {
            Answer::Stream(pace) => Some(pace),
            _ => None,
        };
        let plain = b"POST /v1/chat/completions HTTP/1.1\r\nX-Bench-Stream: 50 20 2000\r\n\r\n";
        let pace = of(plain).unwrap();
        assert_eq!((pace.chunks, pace.bytes, pace.micros, pace.tells_usage), (50, 20, 2000, false));
        let asked =
            b"POST / HTTP/1.1\r\nx-bench-stream: 1 2 3\r\ncontent-length: 22\r\n\r\n{\"include_usage\":true}";
        assert!(of(asked).unwrap().tells_usage);
        assert!(of(b"POST / HTTP/1.1\r\n\r\n").is_none());
    }

    #[test]
    fn an_answer_has_the_text_that_is_asked_for() {
        let request = Text::Secret.request("A: b", "");
        let Answer::Fixed(answer) = to(&Request::parse(&request).unwrap()) else {
            panic!("not a fixed answer")
        };
        assert_eq!(answer, Text::Secret.response().as_bytes());
    }

    #[test]
    fn records_of_a_batch_are_counted() {
        assert_eq!(records(br#"{"records":[{"source":"reported"},{"source":"mixed"}],"undelivered":[]}"#), 2);
    }
}
