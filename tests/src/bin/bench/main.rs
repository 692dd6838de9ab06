//! What the filter costs: `make bench`.
//!
//! Several Envoys run side by side, all from the one bootstrap that `attach config render` makes; they differ
//! in nothing but the filter between CORS and router: none, native `jwt_authn`, a module that does nothing, our
//! module, with every scheme on or with OIDC alone, counting tokens or not. wrk drives them in turn, round after round, so that whatever else the machine does falls on all
//! of them alike. Behind them is a small server in a process of its own.
//!
//! The steady figure is the CPU time of the Envoy process per request. Throughput and latency depend on what
//! the driver and the server leave of the machine; take them as ratios. Nothing is asserted on time.
//!
//! Besides: what signatures and the counting of tokens cost in a VM alone, what a chunk of a stream costs, what
//! an open stream takes of memory, and whether memory grows with the number of tokens, users and calls.
//!
//! And what remembering costs: mirroring and redaction per call, at a pace; events into control's outbox and out of
//! it into a real Weaviate; searching; and whether anything is lost while that Weaviate is away.

mod bootstrap;
mod client;
mod control;
mod counting;
mod credentials;
mod drive;
mod envoy;
mod failure;
mod goals;
mod keys;
mod lists;
mod measure;
mod memory;
mod mirror;
mod open_streams;
mod options;
mod outage;
mod outbox;
mod paced;
mod plugin;
mod process;
mod replay;
mod report;
mod rows;
mod server;
mod speeds;
mod sse;
mod start;
mod texts;
mod vm;

use std::process::ExitCode;

use crate::failure::Failure;
use crate::goals::{Found, Remembering};
use crate::measure::Stage;
use crate::memory::Flood;
use crate::options::Options;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // The server is this program again.
    let ended = match arguments.first().map(String::as_str) {
        Some(server::ARGUMENT) => server::serve(),
        Some("--help" | "-h") => {
            println!("{}", options::HELP);
            Ok(())
        }
        _ => Options::parse(&arguments).and_then(|options| bench(&options)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<(), Failure> {
    let mut stage = Stage::set()?;
    let mut found = Found::default();
    if options.measures_vm() {
        found.vm = Some(vm::measure(stage.folder())?);
    }
    if options.measures_counting() {
        found.counting = Some(counting::measure(stage.folder())?);
    }
    if options.measures_requests() {
        let measured = measure::measure(options, &mut stage)?;
        println!("{}", report::table(&measured));
        found.measured = Some(measured);
    }
    if options.measures_streams() {
        found.streams = Some(sse::measure(options.rounds, &mut stage)?);
    }
    if options.measures_open_streams() {
        found.open_streams = Some(open_streams::measure(&mut stage)?);
    }
    let (calls, users) = options.calls().unzip();
    let users = users.unwrap_or(1);
    for (flood, count) in [
        (Flood::Tokens, options.tokens()),
        (Flood::Uses, options.uses()),
        (Flood::Calls(users), calls),
        (Flood::Remembered(users), calls),
    ] {
        if let Some(count) = count {
            found.memory.push(memory::measure(flood, count, &mut stage)?);
        }
    }
    remember(options, &mut stage, &mut found.remembering)?;
    found.module_bytes = stage.module_bytes();
    drop(stage);
    println!("{}", goals::goals(&found));
    if options.measures_start() {
        println!("{}", start::measure()?);
    }
    Ok(())
}

/// What remembering costs.
fn remember(options: &Options, stage: &mut Stage, found: &mut Remembering) -> Result<(), Failure> {
    if options.measures_redaction() {
        found.redactions = Some(speeds::redact(stage.folder())?);
    }
    if options.measures_mirror() {
        found.mirror = Some(mirror::measure(options.requests, options.rounds, stage)?);
    }
    if let Some(events) = options.outbox() {
        found.outbox = Some(outbox::measure(events)?);
    }
    if let Some(events) = options.weaviate() {
        found.replay = Some(replay::measure(events)?);
    }
    if let Some(events) = options.search() {
        found.searches = Some(speeds::search(events)?);
    }
    if options.measures_outage() {
        found.outage = Some(outage::measure(stage)?);
    }
    Ok(())
}
