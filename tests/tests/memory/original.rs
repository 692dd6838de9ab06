//! A Weaviate that the original has written to keeps working.

use attach_tests::gateway::Builder;
use attach_tests::peers::{Version, Weaviate};
use attach_tests::request::Request;
use attach_tests::wait;
use serde_json::{Value, json};

use crate::kit::{self, CLASS, Site, WEAVIATES, contents};

/// What the original writes, into a class that Weaviate makes of the first object.
fn written_by_the_original(weaviate: &Weaviate, user: &str, content: &str) {
    let object = json!({"class": CLASS, "properties": {
        "timestamp": "2025-08-13T05:59:13.000+00:00", "event": "task_sent", "session_id": "ab".repeat(32),
        "user": user, "task_id": "7a0e7d1c-0000-4000-8000-000000000000", "role": "user", "content": content,
    }});
    // Until its class is there it says so.
    wait::until("an object to be taken", || {
        let answer = weaviate.send(Request::post_json("/v1/objects", &object));
        (answer.status == 200).then_some(())
    });
}

fn on_its_class(version: Version, case: impl FnOnce(&Site)) {
    let Some(weaviate) = Weaviate::start(version) else { return };
    for (user, content) in [("orig-alice", "an olive from before"), ("orig-bob", "a fig from before")] {
        written_by_the_original(&weaviate, user, content);
    }
    case(&Site::with("memory-original", Some(weaviate), |builder: Builder| builder));
}

#[test]
fn a_class_of_the_originals_gets_an_owner_and_rows_without_one_need_the_scope() {
    for version in WEAVIATES {
        on_its_class(version, |site| {
            let (alice, bob) = (site.token("orig-alice"), site.token("orig-bob"));
            let _ = site.said(&kit::chat(&alice, "an olive of now", "an olive"));
            assert_eq!(
                contents(&site.events(&alice, 2)),
                ["an olive of now", "an olive"].map(str::to_owned).into()
            );
            assert_eq!(site.events(&bob, 0), Vec::<Value>::new());
            assert_eq!(site.found(&bob, "q=fig"), Vec::<Value>::new());
            let everybody = site.token_with("orig-carol", &json!({"scope": "mem:read:all"}));
            assert!(contents(&site.found(&everybody, "q=fig&all=true")).contains("a fig from before"));
            let all = contents(&site.events_of(&everybody, "limit=100&all=true", 4));
            assert!(all.contains("an olive from before") && all.contains("an olive of now"), "{all:?}");
            // Who forgets all of his forgets nothing that is nobody's.
            let _ = site.gateway().send(&Request::new("DELETE", "/mem/events").bearer(&alice));
            let left = site.events_of(&everybody, "limit=100&all=true", 2);
            assert_eq!(
                contents(&left),
                ["an olive from before", "a fig from before"].map(str::to_owned).into()
            );
            let class = site.weaviate.as_ref().and_then(|weaviate| weaviate.class(CLASS)).expect("its class");
            let owner =
                class["properties"].as_array().expect("properties").iter().find(|one| one["name"] == "owner");
            assert_eq!(owner.expect("an owner")["tokenization"], "field", "{class:#}");
        });
    }
}

#[test]
fn tenants_are_not_to_be_had_of_a_class_without_them_and_it_says_so_at_the_start() {
    for version in WEAVIATES {
        let Some(weaviate) = Weaviate::start(version) else { return };
        written_by_the_original(&weaviate, "orig-alice", "an olive from before");
        let gateway = Builder::new("memory-no-tenants")
            .set("WEAVIATE_URL", weaviate.url())
            .set("WEAVIATE_TENANCY", "user")
            .set("ENGINE_URL", weaviate.url())
            .prepare();
        let failed = gateway.up().expect_failure();
        let said = format!("{}{}{}", failed.stdout, failed.stderr, gateway.log("control"));
        assert!(said.contains("WEAVIATE_TENANCY") && said.contains(CLASS), "{said}");
    }
}
