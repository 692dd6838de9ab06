//! Control by itself: `attach serve` on a folder of its own, told of events as the filter tells it.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use attach_core::clock::UnixMillis;
use attach_core::mirror::event::{ANSWER, DONE};
use attach_core::mirror::{MemoryEvent, OUTBOX_PATH, Object};
use attach_tests::gateway::{Builder, Gateway};
use attach_tests::request::Request;
use serde_json::json;

use crate::client::Client;
use crate::envoy::PATIENCE;
use crate::failure::{During as _, Failure};
use crate::process::Watched;
use crate::texts::Text;
use crate::vm;

/// What the filter and control know each other by.
const SECRET: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// How many objects a batch has.
pub(crate) const BATCH: u64 = 64;
/// How many batches are under way at a time: a worker of the filter's has two.
const SENDERS: u64 = 4;
/// How many users the events are of.
const USERS: u64 = 64;
const POLL: Duration = Duration::from_millis(20);
/// Reads the queue as it lies on disk, when nobody runs who could count it otherwise.
const COUNT: &str = "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute(\
    'SELECT count(*), count(DISTINCT id) FROM outbox WHERE kind = ?', ['memory']).fetchone())";

/// A folder, and the service that may run on it.
pub(crate) struct Control {
    /// Ends before its folder goes.
    running: Option<Watched>,
    gateway: Gateway,
}

impl Control {
    /// Starts it; events are for the Weaviate at that address.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn start(name: &str, weaviate: &str) -> Result<Self, Failure> {
        let gateway = Builder::new(name).set("WEAVIATE_URL", weaviate).prepare();
        let mut control = Self { running: None, gateway };
        control.up()?;
        Ok(control)
    }

    /// Starts it again, with all that it had.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn up(&mut self) -> Result<(), Failure> {
        let gateway = &self.gateway;
        let mut command = gateway.command(&["serve", "--state-dir"]);
        command.arg(gateway.state()).arg("--env-file").arg(gateway.env_file());
        command.env("ATTACH_CONTROL_SECRET", SECRET);
        let log = gateway.folder().join("serve.log");
        let output = std::fs::File::options().create(true).append(true).open(&log).during(log.display())?;
        let mut running = Watched::spawn(command.stdout(Stdio::null()).stderr(output))?;
        let health = Request::get("/internal/health").header("x-attach-control-secret", SECRET);
        let start = Instant::now();
        while !health.try_send(gateway.control).is_ok_and(|answer| answer.status == 200) {
            if !running.is_running() || start.elapsed() > PATIENCE {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                let last = said.lines().next_back().unwrap_or("it said nothing").to_owned();
                return Err(Failure(format!("attach serve is not ready: {last}")));
            }
            std::thread::sleep(POLL);
        }
        self.running = Some(running);
        Ok(())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.pipes().kill();
        }
    }

    /// Tells it of so many events in batches, each when the one before it is acknowledged; how long that took.
    ///
    /// # Errors
    /// When a batch is not acknowledged with 204.
    pub(crate) fn fill(&self, events: u64) -> Result<Duration, Failure> {
        let next = AtomicU64::new(0);
        let batches: Vec<Vec<u8>> = (0..events.div_ceil(BATCH))
            .map(|batch| request(batch * BATCH..events.min((batch + 1) * BATCH)))
            .collect::<Result<_, _>>()?;
        let start = Instant::now();
        std::thread::scope(|scope| {
            let send = || {
                let mut client = Client::connect(self.gateway.control)?;
                loop {
                    let number = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(usize::MAX);
                    let Some(batch) = batches.get(number) else { return Ok(()) };
                    client.ask(batch, 204)?;
                }
            };
            let running: Vec<_> = (0..SENDERS).map(|_| scope.spawn(send)).collect();
            running.into_iter().try_for_each(|thread| {
                thread.join().unwrap_or_else(|_| Err(Failure("a thread of the bench has ended".into())))
            })
        })?;
        Ok(start.elapsed())
    }

    /// How many rows its queue has, and how many different ones; it must not run.
    ///
    /// # Errors
    /// When there is no Python, or no queue.
    pub(crate) fn rows(&self) -> Result<(u64, u64), Failure> {
        let database = self.gateway.state().join("control.db");
        let text = vm::output(Command::new("python3").args(["-c", COUNT]).arg(&database))?;
        let mut numbers = text.split_whitespace().map(str::parse::<u64>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(rows)), Some(Ok(ids))) => Ok((rows, ids)),
            _ => Err(Failure(format!("python3 could not count the rows of {}", database.display()))),
        }
    }
}

/// A batch as the filter posts it.
fn request(numbers: std::ops::Range<u64>) -> Result<Vec<u8>, Failure> {
    let objects: Vec<Object> = numbers.map(event).collect();
    let body = serde_json::to_string(&json!({ "objects": objects })).during("a batch")?;
    let head = format!(
        "POST {OUTBOX_PATH} HTTP/1.1\r\nHost: control\r\nx-attach-control-secret: {SECRET}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    Ok([head.as_bytes(), body.as_bytes()].concat())
}

/// An answer of about 600 bytes, as the filter tells of it.
fn event(number: u64) -> Object {
    let user = format!("user-{:09}", number % USERS);
    let call = format!("bench-{number}");
    let event = MemoryEvent {
        timestamp: UnixMillis(attach_tests::mint::now() * 1000),
        event: ANSWER.to_owned(),
        session_id: format!("{:064x}", number % USERS),
        owner: user.clone(),
        user,
        role: "assistant".to_owned(),
        content: Text::Plain.answer(),
        model: "llama3".to_owned(),
        tokens: 130,
        request_id: call.clone(),
        state: DONE.to_owned(),
        ..MemoryEvent::default()
    };
    Object::new(&call, event, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_has_as_many_objects_as_it_has_numbers_and_no_two_are_one() {
        let request = String::from_utf8(request(64..128).unwrap()).unwrap();
        let (head, body) = request.split_once("\r\n\r\n").unwrap();
        assert!(head.ends_with(&format!("content-length: {}", body.len())));
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let objects = body["objects"].as_array().unwrap();
        let mut ids: Vec<&str> = objects.iter().map(|object| object["id"].as_str().unwrap()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 64);
    }
}
