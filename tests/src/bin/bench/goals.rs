//! What must be reached, beside what was.

mod remembering;
mod tokens;

use std::fmt::Write as _;

use crate::counting::Counting;
use crate::measure::{Measured, Sample};
use crate::memory::Memory;
use crate::open_streams::OpenStreams;
use crate::report::{BARE, NATIVE, paired};
use crate::rows::Method::{self, Get, Post};
use crate::sse::Streams;
use crate::vm::Step;

pub(crate) use self::remembering::Remembering;

/// What in `vm_speed` is the verification of a signature by Ed25519.
const ED25519: &str = "Ed25519 verify";

/// Everything that was found out.
#[derive(Default)]
pub(crate) struct Found {
    /// The rows.
    pub(crate) measured: Option<Measured>,
    /// Signatures in a VM.
    pub(crate) vm: Option<Vec<Step>>,
    /// Counting in a VM.
    pub(crate) counting: Option<Counting>,
    /// Streams.
    pub(crate) streams: Option<Streams>,
    /// Memory of open streams.
    pub(crate) open_streams: Option<OpenStreams>,
    /// What memory came to.
    pub(crate) memory: Vec<Memory>,
    /// What remembering costs.
    pub(crate) remembering: Remembering,
    /// Bytes of our module.
    pub(crate) module_bytes: u64,
}

/// The list; what was not measured is left out.
pub(crate) fn goals(found: &Found) -> String {
    let mut text = format!("{:<68} {:>10}   goal\n", "What it must reach", "measured");
    let mut line = |what: &str, value: Option<String>, goal: &str| {
        if let Some(value) = value {
            let _ = writeln!(text, "{what:<68} {value:>10}   {goal}");
        }
    };
    if let Some(measured) = &found.measured {
        seen(measured, &mut line);
        new(measured, &mut line);
        once(measured, found.vm.as_deref(), &mut line);
        let refused = compare(measured, "attach-401", "native-401", Get, &above);
        line("CPU of a 401 above jwt_authn's, GET", micros(refused), "≤ +8 µs");
        tokens::calls(measured, &mut line);
    }
    if let Some(streams) = &found.streams {
        tokens::streams(streams, &mut line);
    }
    if let Some(counting) = &found.counting {
        tokens::counting(counting, &mut line);
    }
    if let Some(open_streams) = &found.open_streams {
        tokens::open_streams(open_streams, &mut line);
        remembering::open_streams(open_streams, &mut line);
    }
    for step in found.vm.iter().flatten() {
        let goal = step.limit.map_or_else(String::new, |limit| format!("≤ {limit} µs"));
        line(&format!("Inside a VM, median: {}", step.name), Some(format!("{:.1} µs", step.median)), &goal);
    }
    for memory in &found.memory {
        memory_lines(memory, &mut line);
    }
    remembering::vm_memory(&found.memory, &mut line);
    remembering::lines(&found.remembering, &mut line);
    line("attach.wasm, bytes", Some(found.module_bytes.to_string()), "≤ 8000000");
    text
}

type Line<'a> = dyn FnMut(&str, Option<String>, &str) + 'a;

/// Credentials that were seen before.
fn seen(measured: &Measured, line: &mut Line<'_>) {
    let bare = |name| compare(measured, name, BARE, Get, &above);
    line("CPU above bare Envoy, OIDC token seen before, GET", micros(bare("attach")), "");
    line("… without assertions", micros(bare("attach-plain")), "≤ +9 µs");
    let rate = |mine: &Sample, other: &Sample| mine.per_second / other.per_second;
    let against = compare(measured, "attach-plain", NATIVE, Get, &rate);
    line("… throughput against jwt_authn with cache, without assertions", ratio(against), "≥ 0.89");
    let assertion = compare(measured, "attach", "attach-plain", Get, &above);
    line("… what assertions and the other schemes' presence add", micros(assertion), "");
    for (name, what) in
        [("did-key", "did:key"), ("did-pkh", "did:pkh"), ("hmac", "HS256"), ("gateway", "gateway token")]
    {
        line(&format!("{what} seen before, CPU above bare Envoy, GET"), micros(bare(name)), "");
        let against = ratio(compare(measured, name, "attach", Get, &times));
        line(&format!("{what} seen before, CPU against an OIDC token seen before"), against, "1.00");
    }
}

/// Credentials that were not.
fn new(measured: &Measured, line: &mut Line<'_>) {
    let bare = |name| micros(compare(measured, name, BARE, Get, &above));
    for (name, algorithm) in [
        ("attach-new", "RS256"),
        ("rs384-new", "RS384"),
        ("rs512-new", "RS512"),
        ("es256-new", "ES256"),
        ("es384-new", "ES384"),
    ] {
        line(&format!("Every token new, {algorithm}, CPU above bare Envoy, GET"), bare(name), "");
        let against = ratio(compare(measured, name, "native-new", Get, &times));
        line(&format!("Every token new, {algorithm}, CPU against jwt_authn's for RS256"), against, "≤ 1.10");
    }
    // Elliptic curves cost the host itself more than RSA does, P-384 ten times as much, whoever asks it.
    for (name, native, algorithm) in
        [("es256-new", "native-es256-new", "ES256"), ("es384-new", "native-es384-new", "ES384")]
    {
        let against = ratio(compare(measured, name, native, Get, &times));
        line(
            &format!("Every token new, {algorithm}, CPU against jwt_authn's for {algorithm}"),
            against,
            "≤ 1.10",
        );
    }
    let plain = ratio(compare(measured, "attach-plain-new", "native-new", Get, &times));
    line("Every token new, RS256, the same without assertions", plain, "≤ 1.10");
    let users = micros(compare(measured, "attach-new-users", "attach-new", Get, &above));
    line("Every token new and of another user: an assertion signed for each", users, "");
    for (name, what) in [
        ("ps256-new", "PS256"),
        ("eddsa-new", "EdDSA"),
        ("did-pkh-new", "did:pkh ES256K-R"),
        ("hmac-new", "HS256"),
    ] {
        line(&format!("Every token new, {what}, CPU above bare Envoy, GET"), bare(name), "");
    }
}

/// Credentials that are good for one request.
fn once(measured: &Measured, vm: Option<&[Step]>, line: &mut Line<'_>) {
    let ed25519 = vm.and_then(|steps| steps.iter().find(|step| step.name == ED25519));
    for (name, what, method, beside) in [
        ("rotagent", "rotagent, POST", Post, "attach-new"),
        ("httpsig", "RFC 9421, GET", Get, "eddsa-new"),
        ("httpsig", "RFC 9421, POST", Post, "eddsa-new"),
        ("httpsig-digest", "RFC 9421 with digest, POST", Post, "eddsa-new"),
    ] {
        let bare = compare(measured, name, BARE, method, &above);
        line(&format!("{what}: CPU above bare Envoy"), micros(bare), "");
        let of = if name == "rotagent" { "RS256" } else { "EdDSA" };
        let added = micros(compare(measured, name, beside, method, &above));
        line(&format!("{what}: added to the row of a new {of} token"), added, "≤ +25 µs");
        if let Some(ed25519) = ed25519.filter(|_| name != "rotagent") {
            let beyond = micros(bare.map(|bare| bare - ed25519.median));
            line(&format!("{what}: beyond Ed25519's median inside a VM"), beyond, "");
        }
    }
}

fn memory_lines(memory: &Memory, line: &mut Line<'_>) {
    if !memory.vm.is_empty() {
        tokens::vm_memory(&format!("{} {}", memory.sent, memory.what), &memory.vm, line);
    }
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let at = |percent: usize| memory.resident.get((memory.resident.len() * percent / 100).saturating_sub(1));
    for percent in [10, 50, 100] {
        let value = at(percent).map(|bytes| megabytes(*bytes));
        let what = format!("{} {}: Envoy's RSS after {percent} %", memory.sent, memory.what);
        line(&what, value.map(|value| format!("{value:.1} MB")), "");
    }
    let more = at(10).zip(at(100)).map(|(first, last)| megabytes(*last) - megabytes(*first));
    line("… more at the end than after 10 %", more.map(|more| format!("{more:+.1} MB")), memory.goal);
}

fn above(mine: &Sample, other: &Sample) -> f64 {
    mine.cpu - other.cpu
}

fn times(mine: &Sample, other: &Sample) -> f64 {
    mine.cpu / other.cpu
}

fn micros(value: Option<f64>) -> Option<String> {
    value.map(|value| format!("{value:+.1} µs"))
}

fn ratio(value: Option<f64>) -> Option<String> {
    value.map(|value| format!("{value:.2}"))
}

/// One row's figures against another's of the same method.
fn compare(
    measured: &Measured,
    name: &str,
    other: &str,
    method: Method,
    with: &dyn Fn(&Sample, &Sample) -> f64,
) -> Option<f64> {
    let case = measured.cases.iter().find(|case| case.row.name == name && case.method == method)?;
    paired(measured, case, other, method, with)
}
