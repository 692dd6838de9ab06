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
use attach_core::keys::KeySet;
use attach_core::keys::jwk;
use attach_core::keys::turn::{FETCH_TIMEOUT, Record, Turn};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{ContextType, LogLevel};

use crate::host;
use crate::shared::SharedKeys;
use crate::stream::Stream;
use crate::worker::{Memory, Worker};

/// How often a worker looks at what all share. A request that waits for keys waits that much longer.
const TICK: Duration = Duration::from_millis(50);

/// The root context of one worker.
pub(crate) struct Root {
    context: u32,
    worker: Option<Rc<Worker>>,
    shared: Vec<SharedKeys>,
    /// Fetches under way, by callout, at most one per issuer: its number and the record of its turn.
    fetches: BTreeMap<u32, (usize, Record)>,
}

impl Root {
    pub(crate) fn new(context: u32) -> Self {
        Self { context, worker: None, shared: Vec::new(), fetches: BTreeMap::new() }
    }

    /// Follows what all workers share of one issuer, and fetches if it is this worker's turn.
    fn follow(&mut self, worker: &Worker, issuer: usize, now: UnixMillis) {
        let (Some(shared), Some(source)) = (self.shared.get(issuer), worker.policy.sources.get(issuer))
        else {
            return;
        };
        let Some((record, version)) = shared.record() else { return };
        let turn = {
            let Ok(mut memory) = worker.memory.try_borrow_mut() else { return };
            let Memory { keys, tokens } = &mut *memory;
            let Some(cache) = keys.get_mut(issuer) else { return };
            if cache.observe(record)
                && let Some(set) = shared.set(record.generation).and_then(|text| KeySet::parse(&text).ok())
            {
                cache.adopt(record, set);
                tokens.retain(issuer, |key| cache.holds(key));
            }
            if !cache.serves(now) && !tokens.is_empty() {
                tokens.retain(issuer, |_| false);
            }
            cache.turn(now)
        };
        if let Turn::Lead(turn) = turn
            && shared.set_record(&turn, Some(version))
        {
            match host::fetch(source, FETCH_TIMEOUT) {
                Some(callout) => {
                    self.fetches.insert(callout, (issuer, turn));
                }
                None => {
                    shared.set_record(&turn.failed(), None);
                    log_failure(&source.authority, "Envoy does not take the call; is its cluster there?");
                }
            }
        }
    }

    /// Takes a fetch's answer, for this worker and for all.
    fn answered(&self, worker: &Worker, issuer: usize, turn: Record, body_size: usize) {
        let (Some(shared), Some(source)) = (self.shared.get(issuer), worker.policy.sources.get(issuer))
        else {
            return;
        };
        let answer = match host::answer_status() {
            Some(200..=299) if body_size > jwk::MAX_BYTES => Err(jwk::SetError::TooLarge.to_string()),
            Some(200..=299) => {
                let text = host::answer_body(body_size);
                KeySet::parse(&text).map(|set| (text, set)).map_err(|error| error.to_string())
            }
            Some(status) => Err(format!("status {status}")),
            None => Err("no answer".to_owned()),
        };
        // The lease outlives the fetch, so nobody else has written the record meanwhile.
        match answer {
            Ok((text, set)) => {
                let record = turn.fetched(host::now());
                shared.set_set(record.generation, &text);
                shared.set_record(&record, None);
                host::log(LogLevel::Info, &format!("keys of {}: {} loaded", source.authority, set.len()));
                if let Ok(mut memory) = worker.memory.try_borrow_mut() {
                    let Memory { keys, tokens } = &mut *memory;
                    if let Some(cache) = keys.get_mut(issuer) {
                        cache.adopt(record, set);
                        tokens.retain(issuer, |key| cache.holds(key));
                    }
                }
            }
            Err(problem) => {
                shared.set_record(&turn.failed(), None);
                log_failure(&source.authority, &problem);
            }
        }
    }
}

fn log_failure(authority: &str, problem: &str) {
    host::log(LogLevel::Warn, &format!("keys of {authority}: {problem}; the last good set stays"));
}

impl Context for Root {
    fn on_http_call_response(&mut self, callout: u32, _: usize, body_size: usize, _: usize) {
        let Some(worker) = self.worker.clone() else { return };
        if let Some((issuer, turn)) = self.fetches.remove(&callout) {
            self.answered(&worker, issuer, turn, body_size);
            worker.wake(self.context);
        }
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        match compile(&host::configuration(size), &|name| std::env::var(name).ok()) {
            Ok(policy) => {
                self.shared = policy.sources.iter().map(SharedKeys::of).collect();
                self.worker = Some(Rc::new(Worker::new(policy)));
                // Calls cannot be made before the first tick.
                host::tick_every(TICK);
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
        for issuer in 0..worker.policy.sources.len() {
            self.follow(&worker, issuer, now);
        }
        worker.wake(self.context);
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(context, self.worker.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
