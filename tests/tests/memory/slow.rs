//! No request waits for memory, whatever is the matter with it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use attach_tests::peers::{Version, Weaviate};
use attach_tests::wait;
use serde_json::json;

use crate::faulty::{Faulty, Mode};
use crate::kit::{self, CLASS, Site, text};

/// How many calls there are of each kind.
const CALLS: usize = 10;
/// What a call may take at most on a machine that is busy with other tests; Weaviate takes longer, or for ever.
const AT_MOST: Duration = Duration::from_secs(2);

/// How many events control has taken and Weaviate has not.
fn outbox(site: &Site) -> usize {
    let token = site.token_with("ops", &json!({"scope": "metrics:read"}));
    let page = site.get(&token, "/metrics").expect(200).text();
    let lines = page.lines().filter(|line| line.starts_with("attach_control_memory_events"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
}

#[test]
fn a_weaviate_that_hangs_fails_or_dawdles_slows_no_request_and_loses_nothing() {
    let Some(weaviate) = Weaviate::start(Version::New) else { return };
    let faulty = Faulty::before(weaviate.address());
    let mut site = Site::with("memory-slow", None, |builder| {
        builder.set("MEM_BACKEND", "weaviate").set("WEAVIATE_URL", faulty.url())
    });
    let token = site.token("alice");
    let _ = site.said(&kit::chat(&token, "while all is well", "it is"));
    assert_eq!(site.events(&token, 2).len(), 2);
    let (mut said, mut waiting) = (1, 0);
    let modes = [
        Mode::Hang,
        Mode::Status(500),
        Mode::Status(429),
        Mode::Status(503),
        Mode::Slow(Duration::from_secs(15)),
    ];
    for mode in modes {
        faulty.be(mode.clone());
        for number in 0..CALLS {
            let start = Instant::now();
            let prompt = format!("{number} while it is {mode:?}");
            let request = if number % 2 == 0 {
                kit::chat(&token, &prompt, "yes")
            } else {
                kit::stream(&token, &prompt, &["yes"])
            };
            let _ = site.said(&request);
            let took = start.elapsed();
            assert!(took < AT_MOST, "{prompt}: {} ms", took.as_millis());
            said += 1;
        }
        waiting += 2 * CALLS;
        if !matches!(mode, Mode::Slow(_)) {
            wait::until_within(
                kit::PATIENCE,
                &format!("{waiting} events in the outbox while it is {mode:?}"),
                || (outbox(&site) >= waiting).then_some(()),
            );
        }
    }
    faulty.be(Mode::Pass);
    let objects = wait::until_within(2 * kit::PATIENCE, "everything to be in Weaviate", || {
        let objects = weaviate.objects(CLASS, None);
        (objects.len() >= 2 * said).then_some(objects)
    });
    assert_eq!(objects.len(), 2 * said);
    let told = objects.iter().map(|object| &object["properties"]);
    let told: BTreeSet<_> = told.map(|event| (text(event, "request_id"), text(event, "role"))).collect();
    assert_eq!(told.len(), 2 * said, "something is there twice, and something not at all");
    site.weaviate = Some(weaviate);
}

/// What is read has nobody else to answer it: it is told so, and soon.
#[test]
fn who_asks_for_memory_while_weaviate_hangs_is_told_so() {
    let Some(weaviate) = Weaviate::start(Version::New) else { return };
    let faulty = Faulty::before(weaviate.address());
    let site = Site::with("memory-hang", None, |builder| {
        builder.set("MEM_BACKEND", "weaviate").set("WEAVIATE_URL", faulty.url())
    });
    let token = site.token("alice");
    faulty.be(Mode::Hang);
    for target in ["/mem/events", "/mem/search?q=a"] {
        let start = Instant::now();
        let answer = site.get(&token, target);
        assert!(matches!(answer.status, 502..=504), "{target}: {} {}", answer.status, answer.text());
        assert!(start.elapsed() < Duration::from_secs(30), "{target} took {} s", start.elapsed().as_secs());
    }
    faulty.be(Mode::Pass);
    assert!(site.events(&token, 0).is_empty());
}
