//! kill -9 under load: of every call that was answered each event is there once, none missing, none doubled.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use attach_tests::peers::Weaviate;
use attach_tests::wait;
use serde_json::Value;

use crate::kit::{self, Backend, CLASS, Site, WEAVIATES, id, text};

/// How many calls are under way at once.
const CALLERS: usize = 6;
/// How long each of those who are killed stays away.
const AWAY: Duration = Duration::from_secs(4);
/// How many times one is killed.
const ROUNDS: usize = 3;

/// Calls for as long as `chaos` does what it does; how many were answered. They wait for nobody who is killed.
fn under_load(site: &Site, token: &str, chaos: impl FnOnce(&dyn Fn(usize))) -> usize {
    let (answered, is_over, slowest) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (answered, is_over, slowest) = (&answered, &is_over, &slowest);
            scope.spawn(move || {
                let mut number = 0;
                while !is_over.load(Ordering::SeqCst) {
                    let start = Instant::now();
                    let prompt = format!("call {number} of {caller}");
                    let request = if number % 2 == 0 {
                        kit::chat(token, &prompt, "yes")
                    } else {
                        kit::stream(token, &prompt, &["ye", "s"])
                    };
                    let _ = site.said(&request);
                    let took = usize::try_from(start.elapsed().as_millis()).expect("a number");
                    slowest.fetch_max(took, Ordering::SeqCst);
                    answered.fetch_add(1, Ordering::SeqCst);
                    number += 1;
                    std::thread::sleep(Duration::from_millis(50));
                }
            });
        }
        // A test that fails is not to be called for ever.
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let _over = Over(&is_over);
        let more = |count: usize| {
            let before = answered.load(Ordering::SeqCst);
            wait::until_within(kit::PATIENCE, &format!("{count} more answers"), || {
                (answered.load(Ordering::SeqCst) >= before + count).then_some(())
            });
        };
        more(CALLERS);
        chaos(&more);
        more(CALLERS);
    });
    println!(
        "{} calls, the slowest took {} ms",
        answered.load(Ordering::SeqCst),
        slowest.load(Ordering::SeqCst)
    );
    answered.load(Ordering::SeqCst)
}

/// Says that of each call there are a prompt and an answer.
fn each_is_there_once(site: &Site, token: &str, count: usize) {
    let calls = kit::calls(site, token, count);
    assert_eq!(calls.len(), count, "the ledger has other calls than were answered");
    let start = Instant::now();
    let mut events = remembered(site, token);
    while events.as_ref().is_none_or(|events| events.len() < 2 * count) && start.elapsed() < kit::PATIENCE {
        std::thread::sleep(Duration::from_millis(200));
        events = remembered(site, token);
    }
    let mut of_call: BTreeMap<String, Vec<String>> =
        calls.iter().map(|call| (call.clone(), Vec::new())).collect();
    for (call, role) in events.expect("what is remembered").into_values() {
        of_call.get_mut(&call).unwrap_or_else(|| panic!("{call} is no call")).push(role);
    }
    of_call.values_mut().for_each(|roles| roles.sort());
    let wrong: Vec<_> = of_call.iter().filter(|(_, roles)| **roles != ["assistant", "user"]).collect();
    let some: Vec<_> = wrong.iter().take(5).collect();
    assert!(wrong.is_empty(), "{} of {count} calls have not both events, once: {some:?} …", wrong.len());
    println!("all {} events were there after {} ms", 2 * count, start.elapsed().as_millis());
}

/// All events there are, by their ids: whose call and in which role. `None`: nobody says so.
fn remembered(site: &Site, token: &str) -> Option<BTreeMap<String, (String, String)>> {
    let events: Vec<Value> = match &site.weaviate {
        // Weaviate itself, so that nobody stands between who could hide one of two.
        Some(weaviate) => weaviate
            .objects(CLASS, None)
            .iter()
            .map(|object| {
                let mut event = object["properties"].clone();
                event["_additional"] = serde_json::json!({"id": object["id"]});
                event
            })
            .collect(),
        None => {
            let mut events = Vec::new();
            let mut next = String::new();
            loop {
                let answer = site.get(token, &format!("/mem/events?limit=100{next}"));
                if answer.status != 200 {
                    return None;
                }
                events.extend(kit::listed(&answer));
                match answer.json()["next"].as_str() {
                    Some(cursor) => next = format!("&before={cursor}"),
                    None => break events,
                }
            }
        }
    };
    let count = events.len();
    let by_id: BTreeMap<_, _> =
        events.iter().map(|event| (id(event), (text(event, "request_id"), text(event, "role")))).collect();
    assert_eq!(by_id.len(), count, "an id is there twice");
    Some(by_id)
}

/// Waits for a time in which something is to happen to others.
fn stay_away(more: &dyn Fn(usize)) {
    let start = Instant::now();
    while start.elapsed() < AWAY {
        more(CALLERS);
    }
}

#[test]
fn weaviate_is_killed_under_load_and_nothing_is_lost_or_doubled() {
    for version in WEAVIATES {
        let Some(mut site) =
            Site::start("memory-kill-weaviate", Backend::Weaviate(version), |builder| builder)
        else {
            return;
        };
        let token = site.token("alice");
        // Whoever calls needs the gateway while its Weaviate is killed.
        let mut weaviate: Weaviate = site.weaviate.take().expect("a Weaviate");
        let count = under_load(&site, &token, |more| {
            for _ in 0..ROUNDS {
                weaviate.kill();
                stay_away(more);
                weaviate.up();
                more(2 * CALLERS);
            }
        });
        site.weaviate = Some(weaviate);
        each_is_there_once(&site, &token, count);
    }
}

#[test]
fn control_is_killed_under_load_and_nothing_is_lost_or_doubled() {
    let backends = [Backend::Embedded].into_iter().chain(WEAVIATES.map(Backend::Weaviate));
    for backend in backends {
        let Some(site) = Site::start("memory-kill-control", backend, |builder| builder) else { return };
        let token = site.token("alice");
        let count = under_load(&site, &token, |more| {
            for _ in 0..ROUNDS {
                kit::kill(site.gateway(), "control");
                stay_away(more);
                site.gateway().up().expect_success();
                more(2 * CALLERS);
            }
        });
        each_is_there_once(&site, &token, count);
    }
}

/// While Weaviate is away, what control has taken for it outlives control.
#[test]
fn weaviate_is_away_and_control_is_killed_and_nothing_is_lost_or_doubled() {
    for version in WEAVIATES {
        let Some(mut site) = Site::start("memory-kill-both", Backend::Weaviate(version), |builder| builder)
        else {
            return;
        };
        let token = site.token("alice");
        let mut weaviate: Weaviate = site.weaviate.take().expect("a Weaviate");
        let count = under_load(&site, &token, |more| {
            weaviate.kill();
            more(4 * CALLERS);
            kit::kill(site.gateway(), "control");
            more(2 * CALLERS);
            site.gateway().up().expect_success();
            more(2 * CALLERS);
            kit::kill(site.gateway(), "control");
            weaviate.up();
            site.gateway().up().expect_success();
        });
        site.weaviate = Some(weaviate);
        each_is_there_once(&site, &token, count);
    }
}
