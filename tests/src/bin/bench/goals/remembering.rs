//! What remembering prompts and answers may cost.

use super::{Line, micros};
use crate::memory::Memory;
use crate::mirror::{Mirror, RATE, Sample};
use crate::open_streams::{OpenStreams, Readings, STREAMS};
use crate::outage::{AWAY, Outage};
use crate::outbox::Outbox;
use crate::replay::Replay;
use crate::speeds::{Redaction, Redactions, Search, Searches};
use crate::texts::{BYTES, Text};

const MIB: f64 = 1024.0 * 1024.0;
/// What one worker may hold of what is remembered, in open streams and on its way.
const ROOM: &str = "≤ +8 MiB";
/// In the place of a figure that only a real Weaviate gives.
const SKIPPED: &str = "skipped";
/// How to have it.
const TO_BUILD: &str = "no real Weaviate: install Go, run `make test-setup`";

/// Everything that was found out. Of what needs a real Weaviate, `Some(None)` says that there was none.
#[derive(Default)]
pub(crate) struct Remembering {
    /// Of each call.
    pub(crate) mirror: Option<Mirror>,
    /// Into control's outbox.
    pub(crate) outbox: Option<Outbox>,
    /// Out of it.
    pub(crate) replay: Option<Option<Replay>>,
    /// While Weaviate is away.
    pub(crate) outage: Option<Option<Outage>>,
    /// Redaction alone.
    pub(crate) redactions: Option<Redactions>,
    /// Searching control's own store.
    pub(crate) searches: Option<Searches>,
}

pub(super) fn lines(found: &Remembering, line: &mut Line<'_>) {
    if let Some(found) = &found.redactions {
        redactions(found, line);
    }
    if let Some(mirrored) = &found.mirror {
        mirror(mirrored, line);
    }
    if let Some(outbox) = &found.outbox {
        let Outbox { events, took, rows, ids } = *outbox;
        let speed = events as f64 / took.as_secs_f64();
        let what = format!("{events} events into control's outbox, acknowledged, per second");
        line(&what, Some(format!("{speed:.0}/s")), "≥ 5000/s");
        line("… of them lost by kill -9", Some(events.saturating_sub(ids).to_string()), "0");
        line("… of them there more than once", Some(rows.saturating_sub(ids).to_string()), "0");
    }
    match &found.replay {
        None => {}
        Some(None) => line("Events out of the outbox into Weaviate", Some(SKIPPED.into()), TO_BUILD),
        Some(Some(Replay { events, objects, per_second, first })) => {
            let what = format!("{events} events out of the outbox into Weaviate, per second");
            line(&what, Some(format!("{per_second:.0}/s")), "≥ 2000/s");
            let first = format!("{:.1} s", first.as_secs_f64());
            line("… the first of them after Weaviate is ready again", Some(first), "");
            line("… objects there beyond those", Some(objects.saturating_sub(*events).to_string()), "0");
        }
    }
    if let Some(found) = &found.searches {
        searches(found, line);
    }
    match &found.outage {
        None => {}
        Some(None) => line("Events while Weaviate is away", Some(SKIPPED.into()), TO_BUILD),
        Some(Some(Outage { calls, missing, doubled, latency: (p50, p99) })) => {
            let what = format!("{calls} calls, Weaviate killed for {} s: events missing", AWAY.as_secs());
            line(&what, Some(missing.to_string()), "0");
            line("… there more than once", Some(doubled.to_string()), "0");
            let latency = format!("{:.1} ms, {:.1} ms", p50 / 1e3, p99 / 1e3);
            line("… latency of the calls, median and 99th percentile", Some(latency), "");
        }
    }
}

fn mirror(found: &Mirror, line: &mut Line<'_>) {
    for pair in &found.pairs {
        let (which, goal) = match pair.text {
            Text::Plain => ("without secrets", "≤ +20 µs"),
            Text::Secret => ("with secrets", ""),
        };
        let calls = found.calls;
        let cpu = pair.both(|sample| sample.cpu).map(|(without, _)| format!("{without:.1} µs"));
        line(&format!("{calls} calls at {RATE}/s, {BYTES} bytes {which}: Envoy's CPU, no memory"), cpu, "");
        line("… what mirroring and redaction add", micros(pair.added(|sample| sample.cpu)), goal);
        for (what, figure) in [
            ("… median latency, what they add", (|sample| sample.p50) as fn(&Sample) -> f64),
            ("… 99th percentile of latency, what they add", |sample| sample.p99),
        ] {
            let before = pair.both(figure).map(|(without, _)| format!("to {without:.0} µs"));
            line(what, micros(pair.added(figure)), &before.unwrap_or_default());
        }
    }
    let (events, through_control) = found.events;
    let what = format!("… events that Weaviate was too busy for, of {events}");
    line(&what, Some(through_control.to_string()), "");
}

fn redactions(found: &Redactions, line: &mut Line<'_>) {
    let sides = [("natively", "≥ 300 MB/s", &found.native), ("in a VM", "", &found.vm)];
    for (place, goal, texts) in sides {
        for Redaction { text, has_findings, plain, ids, custom } in texts {
            let (with, goal) = if *has_findings { ("with", "") } else { ("without", goal) };
            let what = format!(
                "Redaction {place}, {text} {with} findings (national ids {ids:.0}, custom {custom:.0})"
            );
            line(&what, Some(format!("{plain:.0} MB/s")), goal);
        }
    }
}

fn searches(found: &Searches, line: &mut Line<'_>) {
    let Searches { events, written, searches } = found;
    line(
        &format!("{events} events of one user's into control's own store"),
        Some(format!("{written:.0}/s")),
        "",
    );
    for Search { what, p50, p99 } in searches {
        let goal = if what.contains("in at most 1 %") { "≤ 50 ms at 1000000" } else { "" };
        line(&format!("… {what}, median {p50:.1} ms, 99th percentile"), Some(format!("{p99:.1} ms")), goal);
    }
}

/// Memory of open streams that are remembered.
pub(super) fn open_streams(found: &OpenStreams, line: &mut Line<'_>) {
    let memory = &found.memory;
    let vm = |readings: &Readings| readings.long.vm as f64 / MIB;
    line(
        &format!("… and remembered, {STREAMS} of them: the VM's memory"),
        Some(format!("{:.1} MiB", vm(&memory.readings))),
        "",
    );
    let more = vm(&memory.readings) - vm(&found.attach);
    line("… more than without memory", Some(format!("{more:+.1} MiB")), ROOM);
    let cut = format!("{} of {:.1} MiB", memory.cut, memory.cut_bytes as f64 / MIB);
    line("… answers that were cut, and their text together", Some(cut), "≤ 8 MiB");
    line("… events that found no room", Some(memory.dropped.to_string()), "");
}

/// Memory of a VM in the course of many calls that are remembered.
pub(super) fn vm_memory(found: &[Memory], line: &mut Line<'_>) {
    let of = |remembered: bool| {
        let floods = found.iter().filter(|memory| memory.remembered == remembered);
        floods.filter_map(|memory| memory.vm.last()).map(|bytes| *bytes as f64 / MIB).next()
    };
    let more = of(true).zip(of(false)).map(|(with, without)| format!("{:+.1} MiB", with - without));
    line("… a VM's memory more than where nothing is remembered", more, ROOM);
}
