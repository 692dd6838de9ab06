//! What runs beside the requests: reading the configuration, and keeping every issuer's keys.
//!
//! The tick runs in every worker and on the main thread. It looks at what all of them share, takes over
//! keys that another has fetched, fetches when it is this worker's turn, and lets waiting requests look
//! again. Callouts are made here and nowhere else: one made for a request would die with it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use attach_core::clock::UnixMillis;
use attach_core::config::compile::compile;
use attach_core::keys::discovery::{self, Target};
use attach_core::keys::jwk;
use attach_core::keys::turn::{FETCH_TIMEOUT, Record, Turn};
use attach_core::meter::tally::Callout;
use attach_core::mirror::delivery::Route;
use attach_core::policy::memory::Memory;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};

use crate::courier::Courier;
use crate::host;
use crate::metrics::Metrics;
use crate::shared::{SharedKeys, SharedUses};
use crate::stream::Stream;
use crate::windows::Windows;
use crate::worker::Worker;

/// How often a worker looks at what all share. A request that waits for keys waits that much longer.
const TICK: Duration = Duration::from_millis(50);

/// The same where the last byte of an answer waits until the root has told memory.
const STRICT_TICK: Duration = Duration::from_millis(5);

/// The root context of one worker.
pub(crate) struct Root {
    context: u32,
    worker: Option<Rc<Worker>>,
    shared: Vec<SharedKeys>,
    /// Fetches under way, by callout; at most one per issuer.
    fetches: BTreeMap<u32, Fetch>,
    /// What outlives a configuration: records that have not arrived, and counts.
    out: Option<(Rc<Courier>, Rc<Metrics>)>,
    /// Workers of earlier configurations, while streams of theirs are open or they owe control word.
    retired: Vec<Rc<Worker>>,
    /// It was told to go and has something left to tell: when it goes at the latest.
    leaves_by: Option<UnixMillis>,
}

/// A callout that has not been answered.
struct Fetch {
    issuer: usize,
    /// The record of this worker's turn.
    turn: Record,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Discovery,
    Keys,
}

impl Root {
    pub(crate) fn new(context: u32) -> Self {
        Self {
            context,
            worker: None,
            shared: Vec::new(),
            fetches: BTreeMap::new(),
            out: None,
            retired: Vec::new(),
            leaves_by: None,
        }
    }

    /// Follows what all workers share of one issuer, and fetches if it is this worker's turn.
    fn follow(&mut self, worker: &Worker, issuer: usize, now: UnixMillis) {
        let (Some(shared), Some(source)) = (self.shared.get(issuer), worker.policy.sources.get(issuer))
        else {
            return;
        };
        let Some((record, version)) = shared.record() else { return };
        let Some(turn) = worker.observe(issuer, record, now, || shared.set(record.generation)) else {
            return;
        };
        if let Turn::Lead(turn) = turn
            && shared.set_record(&turn, Some(version))
        {
            match &source.discovery {
                Some(discovery) => self.fetch(worker, issuer, turn, What::Discovery, discovery),
                None => self.fetch(worker, issuer, turn, What::Keys, &source.keys),
            }
        }
    }

    fn fetch(&mut self, worker: &Worker, issuer: usize, turn: Record, what: What, target: &Target) {
        let is_internal = worker.policy.sources.get(issuer).is_some_and(|source| source.is_internal);
        let secret = is_internal.then_some(&worker.policy.control_secret);
        match host::fetch(target, secret, FETCH_TIMEOUT) {
            Some(callout) => {
                self.fetches.insert(callout, Fetch { issuer, turn, what });
            }
            None => self.failed(worker, issuer, turn, "Envoy does not take the call; is its cluster there?"),
        }
    }

    /// Takes the discovery document, and fetches the keys from where it says; if it says nothing that can
    /// be used, from where they were.
    fn discovered(&mut self, worker: &Worker, issuer: usize, turn: Record, body_size: usize) {
        let Some(source) = worker.policy.sources.get(issuer) else { return };
        let known = [Some(&source.keys), source.discovery.as_ref()];
        let known: Vec<&Target> = known.into_iter().flatten().collect();
        let target = answer(body_size, discovery::MAX_BYTES).and_then(|document| {
            discovery::keys_of(&document, &source.issuer, &known).map_err(|error| error.to_string())
        });
        let target = target.unwrap_or_else(|problem| {
            let name = &source.name;
            host::log(LogLevel::Warn, &format!("discovery of {name}: {problem}; asking where the keys were"));
            source.keys.clone()
        });
        self.fetch(worker, issuer, turn, What::Keys, &target);
    }

    /// Takes a key set, for this worker and for all.
    fn fetched(&self, worker: &Worker, issuer: usize, turn: Record, body_size: usize) {
        let parsed = answer(body_size, jwk::MAX_BYTES).and_then(|text| {
            worker.parse(issuer, &text).map(|set| (text, set)).map_err(|error| error.to_string())
        });
        let (text, set) = match parsed {
            Ok(parsed) => parsed,
            Err(problem) => return self.failed(worker, issuer, turn, &problem),
        };
        let (Some(shared), Some(source)) = (self.shared.get(issuer), worker.policy.sources.get(issuer))
        else {
            return;
        };
        // The lease outlives the fetch, so nobody else has written the record meanwhile.
        if turn.generation > 0 && shared.last_set().is_some_and(|last| last == text) {
            // Nobody need read it again.
            shared.set_record(&turn.confirmed(host::now()), None);
            return;
        }
        let record = turn.fetched(host::now());
        shared.set_set(record.generation, &text);
        shared.set_record(&record, None);
        host::log(LogLevel::Info, &format!("keys of {}: {} loaded", source.name, set.len()));
        worker.adopt(issuer, record, set);
    }

    fn failed(&self, worker: &Worker, issuer: usize, turn: Record, problem: &str) {
        worker.metrics.callout_failed(Callout::Keys);
        if let (Some(shared), Some(source)) = (self.shared.get(issuer), worker.policy.sources.get(issuer)) {
            shared.set_record(&turn.failed(), None);
            let name = &source.name;
            host::log(LogLevel::Warn, &format!("keys of {name}: {problem}; the last good set stays"));
        }
    }
}

/// How long a root that is told to go may take to deliver what it has.
const LEAVE_WITHIN: Duration = Duration::from_secs(30);

impl Root {
    /// The way out, made when it is first needed; `None` if the host gives no random bytes.
    fn out(&mut self) -> Option<(Rc<Courier>, Rc<Metrics>)> {
        if self.out.is_none() {
            let nonce = host::random()?;
            self.out = Some((Rc::new(Courier::new(nonce, self.context)), Rc::new(Metrics::new(nonce))));
        }
        self.out.clone()
    }

    /// The last word of a root that was told to go, when it has nothing left or no more time.
    fn leave(&mut self, worker: &Worker, now: UnixMillis) {
        self.leaves_by = None;
        worker.metrics.close(now);
        let left = worker.courier.len();
        if left > 0 {
            host::log(
                LogLevel::Error,
                &format!("usage records: {left} could not be delivered before the end"),
            );
        }
        let left = worker.courier.mirror().delivery().len();
        if left > 0 {
            host::log(
                LogLevel::Error,
                &format!("memory: {left} events could not be delivered before the end"),
            );
        }
        host::done();
    }

    /// Tells streams that waited whether their events have arrived.
    fn tell_streams(&self, worker: &Worker) {
        for (context, kept) in worker.courier.mirror().take_told() {
            if !worker.remembered(context, kept) {
                self.retired.iter().any(|old| old.remembered(context, kept));
            }
        }
    }
}

/// The body of a callout's answer, if it is a good one and not too large to be looked at.
fn answer(size: usize, max: usize) -> Result<Vec<u8>, String> {
    match host::answer_status() {
        Some(200..=299) if size > max => Err(format!("{size} bytes, more than {max}")),
        Some(200..=299) => Ok(host::answer_body(size)),
        Some(status) => Err(format!("status {status}")),
        None => Err("no answer".to_owned()),
    }
}

impl Context for Root {
    fn on_done(&mut self) -> bool {
        let Some((courier, metrics)) = &self.out else { return true };
        let now = host::now();
        if let Some(worker) = &self.worker {
            worker.set_now(now);
            worker.return_limits();
        }
        if courier.has_delivered() && !self.worker.as_ref().is_some_and(|worker| worker.owes_limits()) {
            metrics.close(now);
            return true;
        }
        // Ticks and answers go on until it says that it is done.
        courier.close();
        self.leaves_by = Some(now.after(LEAVE_WITHIN));
        false
    }

    fn on_http_call_response(&mut self, callout: u32, _: usize, body_size: usize, _: usize) {
        let Some(worker) = self.worker.clone() else { return };
        if let Some(Fetch { issuer, turn, what }) = self.fetches.remove(&callout) {
            match what {
                What::Discovery => self.discovered(&worker, issuer, turn, body_size),
                What::Keys => self.fetched(&worker, issuer, turn, body_size),
            }
            worker.wake();
            return;
        }
        if worker.courier.answered(&worker.policy, &worker.metrics, callout, body_size) {
            self.tell_streams(&worker);
            return;
        }
        if worker.ledger_answered(callout, body_size)
            || self.retired.iter().any(|old| old.ledger_answered(callout, body_size))
        {
            return;
        }
        // A stream's question that was asked in a tick comes back here.
        worker.answered(callout, body_size);
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        match compile(&host::configuration(size), &|name| std::env::var(name).ok()) {
            Ok(policy) => {
                let Some((courier, metrics)) = self.out() else {
                    host::log(LogLevel::Error, "configuration refused: the host gives no random bytes");
                    return false;
                };
                courier.set_route(policy.metering.route);
                courier
                    .mirror()
                    .delivery()
                    .set_route(policy.memory.as_ref().map_or(Route::Off, Memory::route));
                metrics.set_max_series(policy.metering.max_series);
                metrics.prepare();
                let uses = SharedUses::new(&policy.control_secret);
                self.shared = policy.sources.iter().map(SharedKeys::of).collect();
                // Answers to what the configuration before this one asked are about its issuers.
                self.fetches.clear();
                if !policy.control_remembers
                    && (policy.schemes.rotagent.is_some() || policy.schemes.httpsig.is_some())
                {
                    SharedUses::prepare();
                }
                if policy.accounting.as_ref().is_some_and(|accounting| !accounting.limits.is_empty()) {
                    Windows::prepare();
                }
                let is_strict = policy.memory.as_ref().is_some_and(|memory| memory.ack_within.is_some());
                let worker = Rc::new(Worker::new(policy, uses, self.context, courier, metrics));
                self.retired.extend(self.worker.replace(worker));
                // Calls cannot be made before the first tick.
                host::tick_every(if is_strict { STRICT_TICK } else { TICK });
                true
            }
            Err(errors) => {
                for error in errors {
                    host::log(LogLevel::Error, &format!("configuration refused: {error}"));
                }
                false
            }
        }
    }

    fn on_tick(&mut self) {
        let Some(worker) = self.worker.clone() else { return };
        let now = host::now();
        worker.set_now(now);
        for issuer in 0..worker.policy.sources.len() {
            self.follow(&worker, issuer, now);
        }
        worker.wake();
        worker.look_after_limits();
        self.retired.retain(|old| {
            old.set_now(now);
            // Its streams have deadlines still: an answer that waits for memory is not held back for ever.
            old.wake();
            old.look_after_limits();
            let is_alone = Rc::strong_count(old) == 1;
            if is_alone {
                old.return_limits();
            }
            !is_alone || old.owes_limits()
        });
        worker.courier.tick(&worker.policy, &worker.metrics);
        self.tell_streams(&worker);
        if worker.metrics.tick(worker.courier.len(), worker.courier.pool().taken(), now) {
            worker.courier.ask_health(&worker.policy);
        }
        let is_done = worker.courier.has_delivered() && !worker.owes_limits();
        if self.leaves_by.is_some_and(|by| now >= by || is_done) {
            self.leave(&worker, now);
        }
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        if let Some((_, metrics)) = &self.out {
            metrics.serving();
        }
        Some(Box::new(Stream::new(context, self.worker.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
