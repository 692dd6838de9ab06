//! An event that Weaviate will never take stands in nobody's way.

use attach_tests::peers::Weaviate;
use attach_tests::wait;

use crate::faulty::{Faulty, Mode};
use crate::kit::{self, CLASS, Site, WEAVIATES, text};

#[test]
fn a_poisonous_event_is_set_aside_and_doctor_shows_it() {
    const CALLS: usize = 12;
    for version in WEAVIATES {
        let Some(weaviate) = Weaviate::start(version) else { return };
        let faulty = Faulty::before(weaviate.address());
        let site = Site::with("memory-poison", None, |builder| {
            builder.set("MEM_BACKEND", "weaviate").set("WEAVIATE_URL", faulty.url())
        });
        let (alice, mallory) = (site.token("alice"), site.token("mallory"));
        faulty.be(Mode::Refuse("hemlock"));
        for number in 0..CALLS {
            let _ = site.said(&kit::chat(&alice, &format!("tea {number}"), "with pleasure"));
            if number % 4 == 1 {
                let _ = site.said(&kit::chat(&mallory, "hemlock tea", "rather not"));
            }
        }
        // Whoever shares a batch with it is remembered all the same.
        let objects = wait::until_within(kit::PATIENCE, "what is not poisonous", || {
            let objects = weaviate.objects(CLASS, None);
            (objects.len() >= 2 * CALLS + 3).then_some(objects)
        });
        assert_eq!(objects.len(), 2 * CALLS + 3);
        assert!(!objects.iter().any(|object| text(&object["properties"], "content").contains("hemlock")));
        let doctor = wait::until_within(kit::PATIENCE, "three events to be set aside", || {
            let said = site.gateway().run(&["doctor"]).stdout;
            said.lines().find(|line| line.contains("set aside") && line.contains("3 ")).map(str::to_owned)
        });
        assert!(doctor.starts_with("warn") && doctor.contains("422"), "{doctor}");
        let log = site.gateway().log("control");
        assert!(log.contains("set aside"), "{log}");
        assert!(!site.gateway().logs().contains("hemlock"), "what was said is in a log");
        assert_eq!(site.events(&alice, 2 * CALLS).len(), 2 * CALLS);
    }
}
