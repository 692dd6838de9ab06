//! The interleaved run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use attach_tests::gateway::{Builder, Gateway};
use attach_tests::request::Request;

use crate::bootstrap::{self, Bootstrap};
use crate::credentials::{AUDIENCE, AUTHORITY, Keys, Mint, set};
use crate::drive::{self, Driver};
use crate::envoy::{self, Envoy, PATIENCE, wait_for};
use crate::failure::{During as _, Failure};
use crate::keys::Publisher;
use crate::lists::Lists;
use crate::options::Options;
use crate::plugin::Accounting;
use crate::rows::{Credential, Method, Row, Scheme, Variant};
use crate::server::{Remembered, Server};

/// How long each row is driven before it is measured: V8 compiles what is hot, connections are made.
const WARM_UP: Duration = Duration::from_secs(2);
/// More than any of these Envoys answers in that time on one processor.
const WARM_UP_REQUESTS: u64 = 80_000;
/// The most credentials that are good for one request that are made for one round of a row: each takes up to
/// a millisecond to make, and stands in the table of what was used for as long as it is good.
const ONCE: u64 = 6_000;

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
    wanted: u64,
    /// How many calls were sent whose tokens are counted, warming up included.
    calls: u64,
}

impl Case {
    /// Whether tokens are counted in what it sends.
    fn is_accounted(&self) -> bool {
        self.method == Method::Post && self.row.variant.accounting() != Accounting::Off
    }
}

/// Everything that was measured.
pub(crate) struct Measured {
    /// All rows.
    pub(crate) cases: Vec<Case>,
    /// How many requests were measured.
    pub(crate) requests: u64,
    /// Of how many rounds.
    pub(crate) rounds: usize,
}

/// Everything but the Envoys.
pub(crate) struct Stage {
    binary: PathBuf,
    bootstrap: Bootstrap,
    environment: Vec<(&'static str, String)>,
    driver: Driver,
    /// Its folder goes when it goes.
    gateway: Gateway,
    module_bytes: u64,
    publisher: Publisher,
    server: Server,
}

impl Stage {
    /// Starts it.
    ///
    /// # Errors
    /// With the first thing that goes wrong.
    pub(crate) fn set() -> Result<Self, Failure> {
        drive::check()?;
        let binary = envoy::find()?;
        let (module, noop) = (file("ATTACH_WASM")?, file("NOOP_WASM")?);
        file("ATTACH_BIN")?;
        let module_bytes = std::fs::metadata(&module).during(module.display())?.len();
        let keys = Keys::new()?;
        let environment = keys.environment()?;
        let (publisher, server) = (Publisher::start(&keys), Server::start()?);
        let gateway = bootstrap::gateway(&publisher.issuer(), &server);
        let bootstrap = Bootstrap::render(&gateway, publisher.issuer(), set(&keys.issuer), module, noop)?;
        let mint = Mint { keys, issuer: publisher.issuer(), gateway: bootstrap.public_url()? };
        let driver = Driver::new(gateway.folder(), Lists::new(gateway.folder(), mint))?;
        Ok(Self { binary, bootstrap, environment, driver, gateway, module_bytes, publisher, server })
    }

    /// A folder that goes when the bench ends.
    pub(crate) fn folder(&self) -> &Path {
        self.gateway.folder()
    }

    /// Who makes credentials.
    pub(crate) fn mint(&self) -> &Mint {
        &self.driver.lists.mint
    }

    /// Starts an Envoy and sees that it does what is said of it with these credentials.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn envoy(&mut self, variant: Variant, schemes: &[Scheme]) -> Result<Envoy, Failure> {
        let folder: &Path = self.gateway.folder();
        let mut envoy = Envoy::start(&self.binary, folder, &self.bootstrap, variant, &self.environment)?;
        for scheme in schemes {
            prove(&mut envoy, *scheme, &mut self.driver.lists)
                .map_err(|Failure(why)| Failure(format!("{scheme:?}: {why}")))?;
        }
        Ok(envoy)
    }

    /// How many usage records control has so far.
    ///
    /// # Errors
    /// When it does not say.
    pub(crate) fn records(&self) -> Result<u64, Failure> {
        self.server.records()
    }

    /// Waits until control has so many more records than before: what follows a call is part of its cost.
    ///
    /// # Errors
    /// When they do not come.
    pub(crate) fn delivered(&self, before: u64, calls: u64) -> Result<(), Failure> {
        wait_for("records at control", calls, PATIENCE, || Ok(self.server.records()?.saturating_sub(before)))
    }

    /// What Weaviate and control have been told to remember so far.
    ///
    /// # Errors
    /// When the server does not say.
    pub(crate) fn remembered(&self) -> Result<Remembered, Failure> {
        self.server.remembered()
    }

    /// Waits until so many more objects are remembered than before.
    ///
    /// # Errors
    /// When they do not come.
    pub(crate) fn has_remembered(&self, before: &Remembered, objects: u64) -> Result<(), Failure> {
        let what = "objects at Weaviate and control";
        wait_for(what, objects, PATIENCE, || Ok(self.server.remembered()?.since(before).objects))
    }

    /// A gateway that is started as people start theirs; the engine is the bench's.
    pub(crate) fn gateway(&self, name: &str) -> Builder {
        Builder::new(name)
            .set("OIDC_ISSUER", self.publisher.issuer())
            .set("OIDC_AUD", AUDIENCE)
            .set("ENGINE_URL", format!("http://{}", self.server.engine))
            .set("ENGINE_REWRITE_CHAT", "off")
            .set("MAX_TOKENS_PER_MIN", bootstrap::TOKENS_PER_MINUTE)
    }

    /// Bytes of our module.
    pub(crate) fn module_bytes(&self) -> u64 {
        self.module_bytes
    }
}

/// Starts every Envoy, drives it, and stops it.
///
/// # Errors
/// With the first thing that goes wrong.
pub(crate) fn measure(options: &Options, stage: &mut Stage) -> Result<Measured, Failure> {
    let mut cases: Vec<Case> = Vec::new();
    for (row, method) in options.cases() {
        let wanted = if matches!(row.credential, Credential::Once(_)) { ONCE } else { WARM_UP_REQUESTS };
        cases.push(Case { row, method, samples: Vec::new(), seconds: WARM_UP, wanted, calls: 0 });
    }
    stage.driver.lists.prepare(cases.iter().map(|case| case.row.credential))?;
    let mut envoys: Vec<Envoy> = Vec::new();
    for case in &cases {
        let variant = case.row.variant;
        if !envoys.iter().any(|envoy| envoy.variant == variant) {
            let mut schemes = vec![Scheme::Oidc("RS256")];
            for scheme in cases.iter().filter(|case| case.row.variant == variant) {
                schemes.extend(scheme.row.credential.scheme().filter(|scheme| !schemes.contains(scheme)));
            }
            envoys.push(stage.envoy(variant, &schemes)?);
        }
    }
    warn_if_busy();
    let mut requests = 0;
    for round in 0..=options.rounds {
        let order: Vec<usize> = (0..cases.len()).collect();
        for at in turned(order, round) {
            let Some(case) = cases.get_mut(at) else { continue };
            let is_once = matches!(case.row.credential, Credential::Once(_));
            let envoy = of(&envoys, case.row.variant)?;
            let list = stage.driver.lists.of(case.row.credential, case.method, case.wanted)?;
            let records = case.is_accounted().then(|| stage.records()).transpose()?;
            let before = envoy.cpu_time()?;
            let run = stage.driver.run(case.row, case.method, envoy.address, case.seconds, list.as_ref())?;
            if let Some(records) = records {
                stage.delivered(records, run.requests)?;
                case.calls += run.requests;
            }
            let cpu = envoy.cpu_time()?.saturating_sub(before);
            envoy.empty_access_log();
            if round == 0 {
                case.seconds =
                    if is_once { Duration::from_secs(1) } else { options.seconds(run.per_second()) };
                if !is_once {
                    // They are read beforehand, and the next run may be faster.
                    case.wanted = (run.per_second() * case.seconds.as_secs_f64() * 1.5) as u64;
                }
                continue;
            }
            requests += run.requests;
            case.samples.push(Sample {
                cpu: cpu.as_secs_f64() * 1e6 / run.requests as f64,
                // What is good for one request is used up before the time is.
                per_second: if is_once { f64::NAN } else { run.per_second() },
                p50: run.p50 as f64,
                p99: run.p99 as f64,
            });
        }
        match round {
            0 => eprintln!("warmed up"),
            round => eprintln!("round {round} of {} done", options.rounds),
        }
    }
    for case in cases.iter().filter(|case| case.is_accounted()) {
        of(&envoys, case.row.variant)?.has_counted(case.calls)?;
    }
    Ok(Measured { cases, requests, rounds: options.rounds })
}

/// Other work on the same processors makes every figure higher, ratios included.
pub(crate) fn warn_if_busy() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().and_then(|minute| minute.parse::<f64>().ok()).unwrap_or_default();
    // The minting before has kept all processors busy itself.
    let own = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    if load > own + 0.5 {
        eprintln!("this machine does other work (load {load:.1}): do not trust the figures");
    }
}

/// Sees that a variant does what its rows say, and waits until it does. What is good for one request is
/// refused when it comes again.
fn prove(envoy: &mut Envoy, scheme: Scheme, lists: &mut Lists) -> Result<(), Failure> {
    let is_once = matches!(scheme, Scheme::Rotagent | Scheme::Signature | Scheme::SignatureWithDigest);
    let method = if is_once { Method::Post } else { Method::Get };
    let (one, other) = (lists.number(), lists.number());
    let good = lists.mint.fields(scheme, method, one);
    let forged = lists.mint.forged(scheme, method, other);
    let refused = if envoy.variant.verifies() { 401 } else { 200 };
    envoy.answers(&request(method, &good), 200)?;
    envoy.answers(&request(method, &forged), refused)?;
    envoy.answers(&request(method, ""), refused)?;
    match scheme {
        Scheme::Rotagent => envoy.answers(&request(method, &good), 429),
        Scheme::Signature | Scheme::SignatureWithDigest => envoy.answers(&request(method, &good), 401),
        _ => Ok(()),
    }
}

/// A request as the driver makes it, by fields with tabs between them.
pub(crate) fn request(method: Method, fields: &str) -> Request {
    let bare = match method.body() {
        Some(body) => Request::post(method.path(), body),
        None => Request::get(method.path()),
    };
    let fields = fields.split('\t').filter_map(|field| field.split_once(": "));
    fields.fold(bare.header("host", AUTHORITY), |request, (name, value)| request.header(name, value))
}

/// The Envoy of a variant.
///
/// # Errors
/// When it was not started.
pub(crate) fn of(envoys: &[Envoy], variant: Variant) -> Result<&Envoy, Failure> {
    let found = envoys.iter().find(|envoy| envoy.variant == variant);
    found.ok_or_else(|| Failure(format!("no Envoy was started for {}", variant.name())))
}

/// Every other round goes backwards, so that no row always follows the same one.
pub(crate) fn turned<T>(mut order: Vec<T>, round: usize) -> Vec<T> {
    if !round.is_multiple_of(2) {
        order.reverse();
    }
    order
}

/// The file that an environment variable names.
///
/// # Errors
/// When there is none.
pub(crate) fn file(variable: &str) -> Result<PathBuf, Failure> {
    let path = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_file());
    path.ok_or_else(|| Failure(format!("{variable} names no file: run `make bench`")))
}
