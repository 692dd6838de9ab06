//! What an open stream takes of memory, however much it has carried.
//!
//! So many streams are opened at once and stay open. The memory of the VM and of the Envoy is read before, when
//! each has shown its first chunk, and when each has carried a long answer; an Envoy without the filter goes
//! through the same, since streams take memory of Envoy itself. Where answers are remembered, too, all of them
//! together are longer than what a worker may hold of them, so that they must be cut.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::envoy::{Envoy, wait_for};
use crate::failure::Failure;
use crate::measure::Stage;
use crate::rows::{Method, Scheme, Variant};
use crate::server::Pace;
use crate::sse::{Events, request};

/// How many streams are open.
pub(crate) const STREAMS: u64 = 200;
/// How many warm up.
const FEW: u64 = 2;
/// What each is: it goes on until its client leaves.
const PACE: Pace = Pace { chunks: 100_000, bytes: 6_000, micros: 100_000, tells_usage: false };
/// How many chunks a long answer has: a megabyte and more.
const LONG: u64 = 200;
/// How long the streams may take to carry that much.
const PATIENCE: Duration = Duration::from_secs(120);
/// An Envoy says the memory of its VM once a second.
const BEATS: Duration = Duration::from_millis(2_500);

/// Counts the events that found no room.
const DROPPED: &str = "attach_memory_dropped_total";

/// Bytes at one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// Of the VM; 0 where there is none.
    pub(crate) vm: u64,
    /// Resident, of the Envoy process.
    pub(crate) resident: u64,
}

/// What was found out of one Envoy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readings {
    /// With no stream open, after a few have been.
    pub(crate) before: Reading,
    /// With all open and young.
    pub(crate) young: Reading,
    /// With all open, each having carried a long answer.
    pub(crate) long: Reading,
}

/// What was found out.
pub(crate) struct OpenStreams {
    /// Without the filter.
    pub(crate) bare: Readings,
    /// With it.
    pub(crate) attach: Readings,
    /// With it, and with memory.
    pub(crate) memory: Remembering,
    /// How many bytes of text a long answer has.
    pub(crate) bytes: u64,
}

/// What was found out where answers are remembered.
pub(crate) struct Remembering {
    /// Memory.
    pub(crate) readings: Readings,
    /// How many of the streams' answers were remembered, cut.
    pub(crate) cut: u64,
    /// How much text those have together, in bytes.
    pub(crate) cut_bytes: u64,
    /// How many events found no room.
    pub(crate) dropped: u64,
}

/// Opens the streams on one Envoy after the other.
///
/// # Errors
/// When one does not start, a stream breaks, or no answer was remembered cut.
pub(crate) fn measure(stage: &mut Stage) -> Result<OpenStreams, Failure> {
    let (_, bare) = readings(Variant::Bare, stage)?;
    let (_, attach) = readings(Variant::Chat, stage)?;
    let before = stage.remembered()?;
    let (envoy, readings) = readings(Variant::ChatMemory, stage)?;
    let dropped = || envoy.statistic(DROPPED, "");
    // Each of them was left by its client; what is not told by now will not be.
    wait_for("answers remembered, cut", STREAMS, PATIENCE, || {
        Ok(stage.remembered()?.since(&before).cut + dropped()?)
    })?;
    let told = stage.remembered()?.since(&before);
    let memory = Remembering { readings, cut: told.cut, cut_bytes: told.cut_bytes, dropped: dropped()? };
    Ok(OpenStreams { bare, attach, memory, bytes: LONG * PACE.bytes as u64 })
}

fn readings(variant: Variant, stage: &mut Stage) -> Result<(Envoy, Readings), Failure> {
    let envoy = stage.envoy(variant, &[Scheme::Oidc("RS256")])?;
    let fields = stage.mint().fields(Scheme::Oidc("RS256"), Method::Post, 1);
    let request = request(&fields, &PACE);
    // What is there once for all streams is no stream's. A VM's memory never shrinks: few are enough.
    open(&envoy, &request, FEW, &mut |_| Ok(()))?;
    let before = reading(&envoy)?;
    let (mut young, mut long) = (before, before);
    open(&envoy, &request, STREAMS, &mut |look| {
        match look {
            Look::Young => young = reading(&envoy)?,
            Look::Long => long = reading(&envoy)?,
        }
        Ok(())
    })?;
    Ok((envoy, Readings { before, young, long }))
}

/// When it is looked.
#[derive(Clone, Copy)]
enum Look {
    /// Every stream has shown a chunk.
    Young,
    /// Every stream has carried a long answer.
    Long,
}

/// Opens streams, reads what comes, calls `look` twice on the way, and leaves them.
fn open(
    envoy: &Envoy,
    request: &[u8],
    streams: u64,
    look: &mut dyn FnMut(Look) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (young, long, broken) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let is_over = AtomicBool::new(false);
    let client = || {
        let mut events = Events::connect(envoy.address)?;
        events.ask(request)?;
        for chunk in 1_u64.. {
            if is_over.load(Ordering::Relaxed) {
                break;
            }
            events.next()?.ok_or_else(|| Failure("a stream has ended early".into()))?;
            match chunk {
                1 => _ = young.fetch_add(1, Ordering::Relaxed),
                LONG => _ = long.fetch_add(1, Ordering::Relaxed),
                _ => {}
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let watched = || client().inspect_err(|_: &Failure| broken.store(true, Ordering::Relaxed));
        let running: Vec<_> = (0..streams).map(|_| scope.spawn(watched)).collect();
        let mut looked = Ok(());
        for (count, what) in [(&young, Look::Young), (&long, Look::Long)] {
            let reached = || match broken.load(Ordering::Relaxed) {
                true => Err(Failure("a stream has broken".into())),
                false => Ok(count.load(Ordering::Relaxed)),
            };
            looked = looked
                .and_then(|()| wait_for("streams have come so far", streams, PATIENCE, reached))
                .and_then(|()| look(what));
        }
        is_over.store(true, Ordering::Relaxed);
        // What a stream broke of says more than that one has.
        running.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(Failure("a thread of the bench has ended".into())))
        })?;
        looked
    })
}

fn reading(envoy: &Envoy) -> Result<Reading, Failure> {
    std::thread::sleep(BEATS);
    let vm = if envoy.variant == Variant::Bare { 0 } else { envoy.vm_memory()? };
    Ok(Reading { vm, resident: envoy.resident()? })
}
