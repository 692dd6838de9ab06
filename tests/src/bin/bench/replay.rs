//! How many events a second leave control's outbox for a real Weaviate that was away.

use std::time::{Duration, Instant};

use attach_core::mirror::CLASS;
use attach_tests::peers::{Version, Weaviate};
use attach_tests::request::Request;
use serde_json::json;

use crate::control::Control;
use crate::failure::Failure;

/// How long they may take: a tenth of the goal.
const SLOWEST: u64 = 200;
/// How long control may wait before it asks Weaviate again.
const BACKOFF: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

/// What was found out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replay {
    /// How many events waited.
    pub(crate) events: u64,
    /// How many Weaviate has.
    pub(crate) objects: u64,
    /// Events per second, from the first that it had until it had all.
    pub(crate) per_second: f64,
    /// How long it took from when Weaviate was ready until it had the first.
    pub(crate) first: Duration,
}

/// Fills the outbox while Weaviate is down, starts Weaviate, and waits until it has everything. `None`, after a
/// word, where there is none.
///
/// # Errors
/// When control does not start, or not everything comes.
pub(crate) fn measure(events: u64) -> Result<Option<Replay>, Failure> {
    let Some(mut weaviate) = Weaviate::start(Version::Old) else { return Ok(None) };
    weaviate.kill();
    eprintln!("{events} events for Weaviate …");
    let control = Control::start("bench-weaviate", &weaviate.url())?;
    control.fill(events)?;
    weaviate.up();
    let ready = Instant::now();
    let limit = BACKOFF + Duration::from_secs(events.div_ceil(SLOWEST));
    let (mut begun, mut found) = (None, 0);
    while found < events {
        if ready.elapsed() > limit {
            return Err(Failure(format!("Weaviate has {found} of {events} events: see control's log")));
        }
        std::thread::sleep(POLL);
        found = count(&weaviate);
        if found > 0 && begun.is_none() {
            begun = Some((Instant::now(), found));
        }
    }
    let (start, first) = begun.unwrap_or((ready, 0));
    Ok(Some(Replay {
        events,
        objects: found,
        per_second: (found - first) as f64 / start.elapsed().as_secs_f64(),
        first: start - ready,
    }))
}

/// How many events Weaviate has.
fn count(weaviate: &Weaviate) -> u64 {
    let query = json!({"query": format!("{{ Aggregate {{ {CLASS} {{ meta {{ count }} }} }} }}")});
    let answer = weaviate.send(Request::post_json("/v1/graphql", &query));
    // There is no class yet.
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    answer["data"]["Aggregate"][CLASS][0]["meta"]["count"].as_u64().unwrap_or_default()
}
