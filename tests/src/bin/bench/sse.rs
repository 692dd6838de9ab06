//! What a stream costs: 50 chunks 2 ms apart, through Envoys with and without the filter.
//!
//! Chunks that come faster than that reach Envoy several at a time, which hides the cost of each. Every event
//! says when the engine wrote it, so that the delay is each chunk's own. The filter has a limit to hold the
//! stream against, asks the engine for usage, and takes out of the stream again what that adds: no client of
//! these may see any of it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::credentials::AUTHORITY;
use crate::envoy::Envoy;
use crate::failure::{During as _, Failure};
use crate::measure::{Stage, of, turned, warn_if_busy};
use crate::plugin::Accounting;
use crate::report::median;
use crate::rows::{Method, Scheme, Variant};
use crate::server::{Pace, now_nanos};

/// What each stream is.
const PACE: Pace = Pace { chunks: 50, bytes: 12, micros: 2_000, tells_usage: false };
/// How many streams are open at a time: few, so that chunks seldom meet.
const AT_ONCE: u64 = 4;
/// How many streams follow each other in one round.
const IN_TURN: u64 = 8;
/// How long a stream may be silent.
const PATIENCE: Duration = Duration::from_secs(20);
/// What is compared.
pub(crate) const VARIANTS: [Variant; 3] = [Variant::Bare, Variant::AttachPlain, Variant::Chat];

/// What one Envoy's streams gave in one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// CPU microseconds of the Envoy process per chunk.
    pub(crate) cpu: f64,
    /// From the engine's writing to the client's reading of a chunk, median microseconds.
    pub(crate) delay: f64,
    /// From the request to the first chunk, median microseconds.
    pub(crate) first: f64,
}

/// What was found out.
pub(crate) struct Streams {
    /// Chunks that were measured of each variant.
    pub(crate) chunks: u64,
    /// By variant, round by round.
    pub(crate) rounds: Vec<(Variant, Vec<Round>)>,
}

/// One stream as its client saw it.
#[derive(Default)]
struct Seen {
    delays: Vec<f64>,
    first: f64,
}

/// Starts the Envoys and drives them in turn.
///
/// # Errors
/// When one does not start, a stream is not what it should be, or its tokens are not counted.
pub(crate) fn measure(rounds: usize, stage: &mut Stage) -> Result<Streams, Failure> {
    let mut envoys = Vec::new();
    for variant in VARIANTS {
        envoys.push(stage.envoy(variant, &[Scheme::Oidc("RS256")])?);
    }
    let fields = stage.mint().fields(Scheme::Oidc("RS256"), Method::Post, 1);
    let request = request(&fields, &PACE);
    warn_if_busy();
    let mut found: Vec<(Variant, Vec<Round>)> = VARIANTS.map(|variant| (variant, Vec::new())).into();
    let mut calls = 0;
    for round in 0..=rounds {
        calls += AT_ONCE * IN_TURN;
        for at in turned((0..VARIANTS.len()).collect(), round) {
            let Some((variant, figures)) = found.get_mut(at) else { continue };
            let figure = drive(of(&envoys, *variant)?, &request, stage)?;
            // The first one warms up.
            if round > 0 {
                figures.push(figure);
            }
        }
    }
    for envoy in envoys.iter().filter(|envoy| envoy.variant.accounting() != Accounting::Off) {
        envoy.has_counted(calls)?;
    }
    Ok(Streams { chunks: AT_ONCE * IN_TURN * PACE.chunks * rounds as u64, rounds: found })
}

fn drive(envoy: &Envoy, request: &[u8], stage: &Stage) -> Result<Round, Failure> {
    let records = stage.records()?;
    let before = envoy.cpu_time()?;
    let seen = std::thread::scope(|scope| {
        let client = |_| scope.spawn(|| client(envoy.address, request));
        let running: Vec<_> = (0..AT_ONCE).map(client).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Result<Vec<Seen>, Failure>>| {
            thread.join().unwrap_or_else(|_| Err(Failure("a thread of the bench has ended".into())))
        };
        running.into_iter().map(join).collect::<Result<Vec<_>, _>>()
    })?;
    if envoy.variant.accounting() != Accounting::Off {
        stage.delivered(records, AT_ONCE * IN_TURN)?;
    }
    let cpu = envoy.cpu_time()?.saturating_sub(before);
    envoy.empty_access_log();
    let seen: Vec<Seen> = seen.into_iter().flatten().collect();
    let chunks: usize = seen.iter().map(|seen| seen.delays.len()).sum();
    let none = || Failure("a stream had no chunk".into());
    Ok(Round {
        cpu: cpu.as_secs_f64() * 1e6 / chunks as f64,
        delay: median(seen.iter().flat_map(|seen| seen.delays.iter().copied())).ok_or_else(none)?,
        first: median(seen.iter().map(|seen| seen.first)).ok_or_else(none)?,
    })
}

/// One stream after the other on one connection.
fn client(address: SocketAddr, request: &[u8]) -> Result<Vec<Seen>, Failure> {
    let mut events = Events::connect(address)?;
    (0..IN_TURN).map(|_| stream(&mut events, request)).collect()
}

fn stream(events: &mut Events, request: &[u8]) -> Result<Seen, Failure> {
    let (start, mut seen) = (Instant::now(), Seen::default());
    events.ask(request)?;
    while let Some(event) = events.next()? {
        if event.contains("usage") {
            return Err(Failure("a client saw the usage that it did not ask for".into()));
        }
        let Some(written) = written(&event) else { continue };
        if seen.delays.is_empty() {
            seen.first = start.elapsed().as_secs_f64() * 1e6;
        }
        seen.delays.push(now_nanos().saturating_sub(written) as f64 / 1e3);
    }
    // The last one ends the answer, and has no text.
    let wanted = usize::try_from(PACE.chunks).unwrap_or_default() + 1;
    match seen.delays.len() {
        found if found == wanted => Ok(seen),
        found => Err(Failure(format!("a stream had {found} events, not {wanted}"))),
    }
}

/// When an event was written, in nanoseconds.
fn written(event: &str) -> Option<u64> {
    event.strip_prefix("data: {\"id\":\"chatcmpl-")?.get(..20)?.parse().ok()
}

/// A chat request that is answered with such a stream.
pub(crate) fn request(fields: &str, pace: &Pace) -> Vec<u8> {
    let body = Method::Post.body().unwrap_or_default().replace("\"stream\":false", "\"stream\":true");
    let fields = fields.replace('\t', "\r\n");
    format!(
        "POST {} HTTP/1.1\r\nHost: {AUTHORITY}\r\nUser-Agent: attach-bench/1\r\ncontent-type: application/json\r\n\
         {}\r\n{fields}\r\ncontent-length: {}\r\n\r\n{body}",
        Method::Post.path(),
        pace.field(),
        body.len()
    )
    .into_bytes()
}

/// A connection on which events come, in chunks of HTTP/1.1.
pub(crate) struct Events {
    reader: BufReader<TcpStream>,
    /// What has come of the next event.
    text: String,
    is_over: bool,
}

impl Events {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).during("a connection to Envoy")?;
        let ready = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(PATIENCE)));
        ready.during("a connection to Envoy")?;
        Ok(Self { reader: BufReader::new(stream), text: String::new(), is_over: true })
    }

    /// Sends a request and reads the head of its answer.
    ///
    /// # Errors
    /// When it is not a stream, or the connection breaks.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Result<(), Failure> {
        self.reader.get_ref().write_all(request).during("a request")?;
        let (mut line, mut status) = (String::new(), String::new());
        loop {
            line.clear();
            self.reader.read_line(&mut line).during("a stream's head")?;
            match line.trim_end() {
                "" if status.contains(" 200 ") => break,
                "" => return Err(Failure(format!("a stream was answered {status}"))),
                text if status.is_empty() => status = format!("{text} "),
                _ => {}
            }
        }
        self.is_over = false;
        Ok(())
    }

    /// The next event; `None` after the last.
    ///
    /// # Errors
    /// When the connection breaks.
    pub(crate) fn next(&mut self) -> Result<Option<String>, Failure> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let rest = self.text.split_off(end + 2);
                return Ok(Some(std::mem::replace(&mut self.text, rest)));
            }
            if self.is_over {
                return Ok(None);
            }
            self.read_chunk().during("a stream")?;
        }
    }

    fn read_chunk(&mut self) -> std::io::Result<()> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        let broken = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        let size = usize::from_str_radix(line.trim_end(), 16).map_err(|_| broken())?;
        let mut bytes = vec![0; size + 2];
        self.reader.read_exact(&mut bytes)?;
        bytes.truncate(size);
        self.is_over = size == 0;
        self.text.push_str(std::str::from_utf8(&bytes).map_err(|_| broken())?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_when_it_was_written() {
        assert_eq!(written("data: {\"id\":\"chatcmpl-00000000000000001234\",\"o\":1}\n\n"), Some(1_234));
        assert_eq!(written("data: [DONE]\n\n"), None);
    }

    #[test]
    fn the_request_is_as_long_as_it_says() {
        let request = String::from_utf8(request("A: b\tC: d", &PACE)).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("A: b\r\nC: d\r\ncontent-length: {}", body.len())));
        assert!(head.contains("\r\nx-bench-stream: 50 12 2000\r\n"));
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["stream"], true);
    }
}
