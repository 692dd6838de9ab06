//! What mirroring and redaction cost a call, at a pace at which the gateway is not busy.
//!
//! Two Envoys differ in nothing but memory. Both are asked the same, with 1.2 KB of text in prompt and answer
//! together, by the same timetable, in turn. The time until everything has reached Weaviate counts too.

use std::time::Duration;

use crate::envoy::Envoy;
use crate::failure::Failure;
use crate::measure::{Stage, of, turned, warn_if_busy};
use crate::paced::{Load, drive};
use crate::report::median;
use crate::rows::{Method, Scheme, Variant};
use crate::texts::Text;

/// Requests per second.
pub(crate) const RATE: u64 = 1_000;
/// How long one Envoy is asked in one round, at least and at most, in seconds.
const ROUND: (f64, f64) = (1.0, 5.0);
/// Who is compared, on what text.
const CELLS: [(Variant, Text); 4] = [
    (Variant::Chat, Text::Plain),
    (Variant::ChatMemory, Text::Plain),
    (Variant::Chat, Text::Secret),
    (Variant::ChatMemory, Text::Secret),
];

/// What one Envoy gave in one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// CPU microseconds of the Envoy process per request.
    pub(crate) cpu: f64,
    /// Median latency from when the request was due, microseconds.
    pub(crate) p50: f64,
    /// 99th percentile of it.
    pub(crate) p99: f64,
}

/// Two Envoys on one text.
pub(crate) struct Pair {
    /// Which.
    pub(crate) text: Text,
    /// Without memory, round by round.
    pub(crate) without: Vec<Sample>,
    /// With it.
    pub(crate) with: Vec<Sample>,
}

/// What was found out.
pub(crate) struct Mirror {
    /// By text.
    pub(crate) pairs: Vec<Pair>,
    /// How many calls of each Envoy on each text were measured.
    pub(crate) calls: u64,
    /// How many events were remembered, and how many of them control was told since Weaviate was busy.
    pub(crate) events: (u64, u64),
}

impl Pair {
    /// The median over the rounds of what memory adds.
    pub(crate) fn added(&self, figure: fn(&Sample) -> f64) -> Option<f64> {
        median(self.with.iter().zip(&self.without).map(|(with, without)| figure(with) - figure(without)))
    }

    /// The medians without memory and with it.
    pub(crate) fn both(&self, figure: fn(&Sample) -> f64) -> Option<(f64, f64)> {
        Some((median(self.without.iter().map(figure))?, median(self.with.iter().map(figure))?))
    }
}

/// Starts the Envoys and asks them in turn, with about so many requests of each.
///
/// # Errors
/// When one does not start, an answer is not 200, an event is missing, or nothing was redacted.
pub(crate) fn measure(requests: u64, rounds: usize, stage: &mut Stage) -> Result<Mirror, Failure> {
    let mut envoys = Vec::new();
    for variant in [Variant::Chat, Variant::ChatMemory] {
        envoys.push(stage.envoy(variant, &[Scheme::Oidc("RS256")])?);
    }
    let fields = stage.mint().fields(Scheme::Oidc("RS256"), Method::Post, 1);
    let seconds = requests as f64 / rounds as f64 / RATE as f64;
    let load = Load { rate: RATE, length: Duration::from_secs_f64(seconds.clamp(ROUND.0, ROUND.1)) };
    warn_if_busy();
    let mut found: Vec<Pair> =
        Text::ALL.map(|text| Pair { text, without: Vec::new(), with: Vec::new() }).into();
    let (mut begun, mut calls) = (stage.remembered()?, 0);
    for round in 0..=rounds {
        for (variant, text) in turned(CELLS.to_vec(), round) {
            let sample = ask(of(&envoys, variant)?, text, load, &fields, stage)?;
            let Some(pair) = found.iter_mut().find(|pair| pair.text == text) else { continue };
            match variant.remembers() {
                // The first round warms up.
                _ if round == 0 => {}
                true => pair.with.push(sample),
                false => pair.without.push(sample),
            }
        }
        match round {
            0 => begun = stage.remembered()?,
            _ => calls += load.requests(),
        }
        eprintln!("calls that are remembered, round {round} of {rounds}");
    }
    let told = stage.remembered()?.since(&begun);
    Ok(Mirror { pairs: found, calls, events: (told.objects, told.through_control) })
}

/// Asks one Envoy for a round.
fn ask(envoy: &Envoy, text: Text, load: Load, fields: &str, stage: &Stage) -> Result<Sample, Failure> {
    let request = text.request(fields, "");
    let (records, told, before) = (stage.records()?, stage.remembered()?, envoy.cpu_time()?);
    let paced = drive(envoy.address, load, &|_| request.clone())?;
    stage.delivered(records, paced.requests())?;
    if envoy.variant.remembers() {
        stage.has_remembered(&told, 2 * paced.requests())?;
    }
    let cpu = envoy.cpu_time()?.saturating_sub(before);
    envoy.empty_access_log();
    let told = stage.remembered()?.since(&told);
    let redacted = if text == Text::Secret { told.objects } else { 0 };
    if told.redacted != redacted {
        let of = told.objects;
        return Err(Failure(format!("{} of {of} events were redacted, not {redacted}", told.redacted)));
    }
    Ok(Sample {
        cpu: cpu.as_secs_f64() * 1e6 / paced.requests() as f64,
        p50: paced.percentile(50.0),
        p99: paced.percentile(99.0),
    })
}
