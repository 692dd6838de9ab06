//! What counting, limiting and metering tokens may cost.

use super::{Line, above, compare, micros, ratio};
use crate::counting::Counting;
use crate::measure::{Measured, Sample};
use crate::open_streams::{OpenStreams, Reading, STREAMS};
use crate::report::{BARE, median};
use crate::rows::Method::Post;
use crate::rows::Variant;
use crate::sse::{Round, Streams};

/// A bare Envoy that writes no access log.
const SILENT: &str = "bare-silent";
/// The texts that are what people and machines write; the others are made to be hard.
const ORDINARY: [&str; 5] = ["English", "code", "JSON", "Chinese", "Russian"];
const KIB: f64 = 1024.0;

/// Model calls.
pub(super) fn calls(measured: &Measured, line: &mut Line<'_>) {
    let cpu = |name, other| micros(compare(measured, name, other, Post, &above));
    let rate = |mine: &Sample, other: &Sample| mine.per_second / other.per_second;
    let against = |name, other| ratio(compare(measured, name, other, Post, &rate));
    line("POST of 600 bytes: jwt_authn's CPU above bare Envoy", cpu("native", BARE), "");
    line("… attach.wasm that counts nothing", cpu("attach-plain", BARE), "");
    for (name, what, goal) in [
        ("chat", "… everything on: reserve, settle, meter, ledger row", "≤ +25 µs"),
        ("chat-all", "… the same with assertions and the other schemes", "≤ +25 µs"),
        ("chat-counted", "… everything on, and every prompt counted", "≤ +45 µs"),
    ] {
        line(what, cpu(name, BARE), goal);
        line("    above bare Envoy without an access log", cpu(name, SILENT), goal);
        line("    throughput against bare Envoy", against(name, BARE), "≥ 0.62");
    }
    line("… what the tokens add to attach.wasm", cpu("chat", "attach-plain"), "");
    line("… what the exact count of its prompt adds", cpu("chat-counted", "chat"), "≤ +100 µs for 1 KB");
}

/// Counting by itself.
pub(super) fn counting(counting: &Counting, line: &mut Line<'_>) {
    let Counting { vm, native, peer } = counting;
    for (encoding, micros) in &vm.first {
        line(&format!("{encoding} in a VM, first use"), Some(format!("{:.1} ms", micros / 1e3)), "≤ 5 ms");
    }
    for (encoding, micros) in &vm.kilobyte {
        line(&format!("{encoding} in a VM, 1 KB of English"), Some(format!("{micros:.1} µs")), "≤ 100 µs");
    }
    for text in &vm.texts {
        let beside = |told: Option<f64>| told.map_or_else(|| "–".to_owned(), |speed| format!("{speed:.1}"));
        let what = format!(
            "{} in a VM, {} (native {}, js-tiktoken {})",
            text.encoding,
            text.name,
            beside(native.of(text).map(|text| text.speed)),
            beside(peer.of(text).map(|text| text.speed))
        );
        let goal = if ORDINARY.contains(&&*text.name) { "≥ 25 MB/s" } else { "" };
        line(&what, Some(format!("{:.1} MB/s", text.speed)), goal);
    }
}

/// Streams.
pub(super) fn streams(streams: &Streams, line: &mut Line<'_>) {
    let of = |variant| streams.rounds.iter().find(|(have, _)| *have == variant).map(|(_, rounds)| &**rounds);
    let bare = of(Variant::Bare).unwrap_or_default();
    let chunks = streams.chunks;
    let middle =
        |figure: fn(&Round) -> f64| median(bare.iter().map(figure)).map(|value| format!("{value:.1} µs"));
    line(
        &format!("SSE, {chunks} chunks 2 ms apart: bare Envoy's CPU per chunk"),
        middle(|round| round.cpu),
        "",
    );
    line("… its delay of a chunk, engine's write to client's read, median", middle(|round| round.delay), "");
    line("… its first chunk after the request, median", middle(|round| round.first), "");
    for (variant, what, goal, first) in [
        (Variant::AttachPlain, "attach.wasm that counts nothing", "", ""),
        (Variant::Chat, "usage asked for and hidden, a limit", "≤ +20 µs", "never held back"),
    ] {
        let rounds = of(variant).unwrap_or_default();
        let added = |figure: fn(&Round) -> f64| {
            micros(median(rounds.iter().zip(bare).map(|(mine, bare)| figure(mine) - figure(bare))))
        };
        line(&format!("SSE, {what}: delay added to a chunk"), added(|round| round.delay), goal);
        line("… CPU added to a chunk", added(|round| round.cpu), "");
        line("… added to the first chunk after the request", added(|round| round.first), first);
    }
}

/// Memory of open streams.
pub(super) fn open_streams(found: &OpenStreams, line: &mut Line<'_>) {
    let OpenStreams { bare, attach, bytes, .. } = found;
    let each = |from: &Reading, to: &Reading, of: fn(&Reading) -> u64| {
        let grown = of(to) as f64 - of(from) as f64;
        Some(format!("{:+.1} KiB", grown / STREAMS as f64 / KIB))
    };
    let (vm, resident) = (|reading: &Reading| reading.vm, |reading: &Reading| reading.resident);
    let what = format!("{STREAMS} open streams: memory of the VM for each, first chunk");
    line(&what, each(&attach.before, &attach.young, vm), "≤ 64 KiB");
    let what = format!("… each having carried {bytes} bytes of text");
    line(&what, each(&attach.before, &attach.long, vm), "≤ 64 KiB");
    line(
        "… resident memory of the Envoy for each, likewise",
        each(&attach.before, &attach.long, resident),
        "",
    );
    line("… the same of bare Envoy", each(&bare.before, &bare.long, resident), "");
}

/// Memory of a VM in the course of many calls.
pub(super) fn vm_memory(what: &str, vm: &[u64], line: &mut Line<'_>) {
    let mebibytes = |bytes: u64| bytes as f64 / KIB / KIB;
    let at = |percent: usize| vm.get((vm.len() * percent / 100).saturating_sub(1)).copied();
    for percent in [10, 50, 100] {
        let value = at(percent).map(|bytes| format!("{:.1} MiB", mebibytes(bytes)));
        line(&format!("{what}: a VM's memory after {percent} %"), value, "≤ 40 MiB");
    }
    let more = at(10).zip(at(100)).map(|(first, last)| mebibytes(last) - mebibytes(first));
    line("… more at the end than after 10 %", more.map(|more| format!("{more:+.1} MiB")), "flat");
}
