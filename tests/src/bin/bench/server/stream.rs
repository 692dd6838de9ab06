//! A chat completion in chunks, at a steady pace.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The request's field that says what the stream is to be: chunks, bytes of text in each, microseconds between.
pub(crate) const FIELD: &str = "x-bench-stream";
/// The most streams at a time.
pub(super) const MOST: usize = 512;

/// What a stream is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    /// How many chunks with text.
    pub(crate) chunks: u64,
    /// How many bytes of text each has.
    pub(crate) bytes: usize,
    /// Microseconds from one to the next.
    pub(crate) micros: u64,
    /// Whether it tells its usage, as the request asks.
    pub(crate) tells_usage: bool,
}

impl Pace {
    /// As in the field.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        let mut next = || numbers.next()?.ok();
        let (chunks, bytes, micros) = (next()?, usize::try_from(next()?).ok()?, next()?);
        Some(Self { chunks, bytes, micros, tells_usage: false })
    }

    /// As the field of a request.
    pub(crate) fn field(&self) -> String {
        format!("{FIELD}: {} {} {}", self.chunks, self.bytes, self.micros)
    }
}

/// Nanoseconds since the epoch: what processes of one machine can compare.
pub(crate) fn now_nanos() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// Answers with the stream. Every event's `id` says when it was written.
pub(super) fn answer(mut connection: &TcpStream, pace: Pace) -> std::io::Result<()> {
    connection.write_all(
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    )?;
    let text: String = " so the".chars().cycle().take(pace.bytes).collect();
    let start = Instant::now();
    for chunk in 0..pace.chunks {
        let due = start + Duration::from_micros(pace.micros.saturating_mul(chunk));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        connection.write_all(&framed(&event(&text, "null", pace.tells_usage)))?;
    }
    let mut end = event("", "\"stop\"", pace.tells_usage);
    if pace.tells_usage {
        end.push_str(&usage(pace.chunks));
    }
    end.push_str("data: [DONE]\n\n");
    let mut end = framed(&end);
    end.extend_from_slice(b"0\r\n\r\n");
    connection.write_all(&end)
}

fn event(text: &str, finish_reason: &str, tells_usage: bool) -> String {
    let usage = if tells_usage { ",\"usage\":null" } else { "" };
    format!(
        "data: {{\"id\":\"chatcmpl-{:020}\",\"object\":\"chat.completion.chunk\",\"created\":1718345013,\
         \"model\":\"llama3\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}},\
         \"finish_reason\":{finish_reason}}}]{usage}}}\n\n",
        now_nanos()
    )
}

fn usage(chunks: u64) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-{:020}\",\"object\":\"chat.completion.chunk\",\"created\":1718345013,\
         \"model\":\"llama3\",\"choices\":[],\"usage\":{{\"prompt_tokens\":148,\"completion_tokens\":{chunks},\
         \"total_tokens\":{}}}}}\n\n",
        now_nanos(),
        chunks + 148
    )
}

/// A chunk of HTTP/1.1's.
fn framed(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_says_what_the_stream_is() {
        let pace = Pace { chunks: 50, bytes: 20, micros: 2_000, tells_usage: false };
        let field = pace.field();
        assert_eq!(Pace::parse(field.strip_prefix("x-bench-stream: ").unwrap()), Some(pace));
        assert_eq!(Pace::parse("50 20"), None);
    }

    #[test]
    fn every_event_is_json() {
        for event in [event(" word", "null", true), event("", "\"stop\"", false), usage(3)] {
            let text = event.strip_prefix("data: ").unwrap();
            let _: serde_json::Value = serde_json::from_str(text).unwrap();
        }
    }
}
