//! Whether memory stays as it is however many tokens come, however much is used once, and however many users
//! call models.
//!
//! An Envoy of its own is sent so many different credentials, and its resident memory is read on the way. What
//! it remembers is bounded and full long before the first reading, so that it must not grow from then on.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::client::Client;
use crate::credentials::{AUTHORITY, Mint};
use crate::failure::Failure;
use crate::measure::Stage;
use crate::rows::{Method, Scheme, Variant};

/// How many connections send.
const CONNECTIONS: u64 = 16;
/// How many requests each connection has under way.
const UNDER_WAY: u64 = 8;
/// So many user agents come with the tokens that no memory of assertions holds one for each.
const USER_AGENTS: u64 = 20_000;
/// What the calls name: the first two are counted by different vocabularies.
const MODELS: [&str; 3] = ["gpt-4", "gpt-4o", "llama3"];
/// One call in so many has a long prompt.
const LONG_EVERY: u64 = 256;
/// How long that is, in bytes: more than the filter keeps.
const LONG_BYTES: usize = 40_000;
/// An Envoy says the memory of its VM once a second.
const BEATS: Duration = Duration::from_millis(1_500);
/// Readings.
const STEPS: u64 = 10;

/// What was found out.
pub(crate) struct Memory {
    /// Of what.
    pub(crate) what: String,
    /// How many were sent and answered 200.
    pub(crate) sent: u64,
    /// Resident bytes after each tenth of them.
    pub(crate) resident: Vec<u64>,
    /// Bytes of the VM's memory at the same times, where it says them.
    pub(crate) vm: Vec<u64>,
    /// By how much it may grow after the first tenth.
    pub(crate) goal: &'static str,
    /// Whether what was said was remembered.
    pub(crate) remembered: bool,
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flood {
    /// Tokens of services that share a key, which are the cheapest to make, with ever other user agents.
    Tokens,
    /// Signatures by such keys, each of which stands in the table of what was used.
    Uses,
    /// Model calls of so many users, each with a token of its own, all prompts counted.
    Calls(u64),
    /// The same, and what is said is remembered.
    Remembered(u64),
}

impl Flood {
    fn method(self) -> Method {
        match self {
            Self::Tokens | Self::Uses => Method::Get,
            Self::Calls(_) | Self::Remembered(_) => Method::Post,
        }
    }
}

/// Sends `count` of them to an Envoy of its own.
///
/// # Errors
/// When it does not start, a connection breaks, or an answer is not 200.
pub(crate) fn measure(flood: Flood, count: u64, stage: &mut Stage) -> Result<Memory, Failure> {
    let (what, goal) = match flood {
        Flood::Tokens => ("distinct HS256 tokens".to_owned(), "flat"),
        // What is good for minutes is remembered for minutes: the table grows up to its bound.
        Flood::Uses => ("signatures in the replay table".to_owned(), "≤ +20 MB, the table's bound"),
        Flood::Calls(users) => (format!("model calls of {} users", users.min(count)), ""),
        Flood::Remembered(users) => (format!("remembered calls of {} users", users.min(count)), ""),
    };
    let (variant, scheme) = match flood {
        Flood::Tokens | Flood::Uses => (Variant::Attach, Scheme::Hmac),
        Flood::Calls(_) => (Variant::ChatCounted, Scheme::Oidc("EdDSA")),
        Flood::Remembered(_) => (Variant::ChatCountedMemory, Scheme::Oidc("EdDSA")),
    };
    let envoy = stage.envoy(variant, &[scheme])?;
    let (mint, address) = (stage.mint(), envoy.address);
    // Others have had the numbers before.
    let next = AtomicU64::new(1 << 32);
    let (mut resident, mut vm) = (Vec::new(), Vec::new());
    for step in 1..=STEPS {
        let end = (1 << 32) + count * step / STEPS;
        std::thread::scope(|scope| {
            let send = || {
                let next = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < end);
                connection(flood, mint, address, &next)
            };
            let running: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(send)).collect();
            running.into_iter().try_for_each(|thread| {
                thread.join().unwrap_or_else(|_| Err(Failure("a thread of the bench has ended".into())))
            })
        })?;
        // Each connection took a number too many.
        next.store(end, Ordering::Relaxed);
        envoy.empty_access_log();
        if flood.method() == Method::Post {
            // An Envoy says it once a second, and only what was there then.
            envoy.has_counted(count * step / STEPS)?;
            std::thread::sleep(BEATS);
            vm.push(envoy.vm_memory()?);
        }
        resident.push(envoy.resident()?);
        eprintln!("{} of {count} {what}", count * step / STEPS);
    }
    Ok(Memory { what, sent: count, resident, vm, goal, remembered: variant.remembers() })
}

/// Sends requests on one connection until there are no more numbers.
fn connection(
    flood: Flood,
    mint: &Mint,
    address: SocketAddr,
    next: &dyn Fn() -> Option<u64>,
) -> Result<(), Failure> {
    let mut client = Client::connect(address)?;
    loop {
        let numbers: Vec<u64> = (0..UNDER_WAY).map_while(|_| next()).collect();
        let requests: String = numbers.iter().map(|number| request(flood, mint, *number)).collect();
        if numbers.is_empty() {
            return Ok(());
        }
        client.send(requests.as_bytes())?;
        for _ in &numbers {
            let status = client.status()?;
            if status != 200 {
                return Err(Failure(format!("{flood:?}: an answer had status {status}, not 200")));
            }
        }
    }
}

fn request(flood: Flood, mint: &Mint, number: u64) -> String {
    let (method, agent) = (flood.method(), number % USER_AGENTS);
    let (fields, body) = match flood {
        Flood::Tokens => (mint.hmac(number), String::new()),
        Flood::Uses => (mint.hmac_signature(method, number).replace('\t', "\r\n"), String::new()),
        Flood::Calls(users) | Flood::Remembered(users) => {
            let body = call(number);
            let token = mint.of_user("EdDSA", number % users, number);
            let length = body.len();
            (format!("{token}\r\ncontent-type: application/json\r\ncontent-length: {length}"), body)
        }
    };
    format!(
        "{} {} HTTP/1.1\r\nHost: {AUTHORITY}\r\nUser-Agent: attach-bench/{agent}\r\n{fields}\r\n\r\n{body}",
        method.name(),
        method.path(),
    )
}

/// A model call: of each vocabulary, and now and then one whose prompt is too long to be kept.
fn call(number: u64) -> String {
    let model = MODELS.get(number as usize % MODELS.len()).unwrap_or(&"llama3");
    let body = Method::Post.body().unwrap_or_default().replace("llama3", model);
    match number % LONG_EVERY {
        0 => body.replacen("Why is", &"Why is the sky blue? ".repeat(LONG_BYTES / 21), 1),
        _ => body,
    }
}
