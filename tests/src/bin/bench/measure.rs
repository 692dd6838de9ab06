//! The interleaved run.

use std::path::PathBuf;
use std::time::Duration;

use attach_tests::issuer::Issuer;
use attach_tests::mint::Key;
use attach_tests::request::Request;
use ring::rand::{SecureRandom as _, SystemRandom};

use crate::bootstrap::{self, Bootstrap};
use crate::drive::{self, Driver};
use crate::envoy::{self, Envoy};
use crate::failure::{During as _, Failure};
use crate::options::Options;
use crate::rows::{Credential, Method, Row, Variant};
use crate::server::Server;
use crate::tokens::Tokens;

/// How long each row is driven before it is measured: V8 compiles what is hot, connections are made.
const WARM_UP: Duration = Duration::from_secs(2);
/// More than any of these Envoys answers on one processor; so many tokens are read for the warm-up.
const FASTEST: f64 = 40_000.0;

/// What one row gave in one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// CPU microseconds of the Envoy process per request.
    pub(crate) cpu: f64,
    /// Requests per second.
    pub(crate) per_second: f64,
    /// Median latency, microseconds.
    pub(crate) p50: f64,
    /// 99th percentile of latency, microseconds.
    pub(crate) p99: f64,
}

/// One row on one method.
pub(crate) struct Case {
    /// Which row.
    pub(crate) row: &'static Row,
    /// On which method.
    pub(crate) method: Method,
    /// What it gave, round by round.
    pub(crate) samples: Vec<Sample>,
    seconds: Duration,
    expected: f64,
}

/// Everything that was measured.
pub(crate) struct Measured {
    /// All rows.
    pub(crate) cases: Vec<Case>,
    /// How many requests were measured.
    pub(crate) requests: u64,
    /// Of how many rounds.
    pub(crate) rounds: usize,
    /// Bytes of our module.
    pub(crate) module_bytes: u64,
}

/// Starts everything, drives it, and stops it.
///
/// # Errors
/// With the first thing that goes wrong.
pub(crate) fn measure(options: &Options) -> Result<Measured, Failure> {
    drive::check()?;
    let binary = envoy::find()?;
    let (module, noop) = (file("ATTACH_WASM")?, file("NOOP_WASM")?);
    file("ATTACH_BIN")?;
    let module_bytes = std::fs::metadata(&module).during(module.display())?.len();

    let mut cases: Vec<Case> = Vec::new();
    for (row, method) in options.cases() {
        cases.push(Case { row, method, samples: Vec::new(), seconds: WARM_UP, expected: FASTEST * 2.0 });
    }
    let key = Key::new("RS256", "bench");
    let issuer = Issuer::start(vec![key.jwk()]);
    let server = Server::start()?;
    let gateway = bootstrap::gateway(&issuer, server.address);
    let bootstrap = Bootstrap::render(&gateway, &issuer, vec![key.jwk()], module, noop)?;
    let many = cases.iter().any(|case| case.row.credential == Credential::New);
    let tokens = Tokens::mint(gateway.folder(), &key, &issuer.url(), many)?;
    let mut driver = Driver::new(gateway.folder(), tokens)?;

    let mut envoys: Vec<Envoy> = Vec::new();
    let secret = secret()?;
    for case in &cases {
        if !envoys.iter().any(|envoy| envoy.variant == case.row.variant) {
            let variant = case.row.variant;
            let mut envoy = Envoy::start(&binary, gateway.folder(), &bootstrap, variant, &secret)?;
            prove(&mut envoy, driver.tokens())?;
            envoys.push(envoy);
        }
    }
    warn_if_busy();
    let mut requests = 0;
    for round in 0..=options.rounds {
        let order: Vec<usize> = (0..cases.len()).collect();
        for at in turned(order, round) {
            let Some(case) = cases.get_mut(at) else { continue };
            let envoy = of(&envoys, case.row.variant)?;
            let before = envoy.cpu_time()?;
            let run = driver.run(case.row, case.method, envoy.address, case.seconds, case.expected)?;
            let cpu = envoy.cpu_time()?.saturating_sub(before);
            envoy.empty_access_log();
            if round == 0 {
                case.seconds = options.seconds(run.per_second());
                case.expected = run.per_second() * case.seconds.as_secs_f64();
                continue;
            }
            requests += run.requests;
            case.samples.push(Sample {
                cpu: cpu.as_secs_f64() * 1e6 / run.requests as f64,
                per_second: run.per_second(),
                p50: run.p50 as f64,
                p99: run.p99 as f64,
            });
        }
        match round {
            0 => eprintln!("warmed up"),
            round => eprintln!("round {round} of {} done", options.rounds),
        }
    }
    Ok(Measured { cases, requests, rounds: options.rounds, module_bytes })
}

/// Other work on the same processors makes every figure higher, ratios included.
fn warn_if_busy() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().and_then(|minute| minute.parse::<f64>().ok()).unwrap_or_default();
    // The minting before has kept all processors busy itself.
    let own = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    if load > own + 0.5 {
        eprintln!("this machine does other work (load {load:.1}): do not trust the figures");
    }
}

/// Sees that a variant does what its rows say, and waits until it does.
fn prove(envoy: &mut Envoy, tokens: &Tokens) -> Result<(), Failure> {
    let get = || Request::get(Method::Get.path());
    envoy.answers(&get().bearer(&tokens.good), 200)?;
    let refused = if envoy.variant.verifies() { 401 } else { 200 };
    envoy.answers(&get().bearer(&tokens.forged), refused)?;
    envoy.answers(&get(), refused)
}

fn of(envoys: &[Envoy], variant: Variant) -> Result<&Envoy, Failure> {
    let found = envoys.iter().find(|envoy| envoy.variant == variant);
    found.ok_or_else(|| Failure(format!("no Envoy was started for {}", variant.name())))
}

/// Every other round goes backwards, so that no row always follows the same one.
fn turned<T>(mut order: Vec<T>, round: usize) -> Vec<T> {
    if !round.is_multiple_of(2) {
        order.reverse();
    }
    order
}

fn file(variable: &str) -> Result<PathBuf, Failure> {
    let path = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_file());
    path.ok_or_else(|| Failure(format!("{variable} names no file: run `make bench`")))
}

/// What filter and control would share; made for this run.
fn secret() -> Result<String, Failure> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).during("random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
