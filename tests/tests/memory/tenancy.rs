//! A Weaviate with a tenant for each owner, and one with a key.

use std::collections::BTreeSet;

use attach_core::mirror::tenant_of;
use attach_tests::peers::Weaviate;
use attach_tests::request::Request;
use serde_json::{Value, json};

use crate::kit::{self, Backend, CLASS, Site, WEAVIATES, contents, text};

#[test]
fn each_owner_has_a_tenant() {
    for version in WEAVIATES {
        let started = Site::start("memory-tenants", Backend::Weaviate(version), |builder| {
            builder.set("WEAVIATE_TENANCY", "user").set("MEM_SPACES", "team-a=groups:team-a")
        });
        let Some(site) = started else { return };
        let (alice, bob) = (site.token("alice"), site.token_with("bob", &json!({"groups": ["team-a"]})));
        // Of nobody's tenant there is anything to be read before he has said something.
        assert_eq!(site.events(&alice, 0), Vec::<Value>::new());
        assert_eq!(site.found(&alice, "q=apricot"), Vec::<Value>::new());
        let _ = site.said(&kit::chat(&alice, "an apricot", "yes"));
        let _ = site.said(&kit::stream(&bob, "a banana", &["no"]));
        let note =
            Request::post_json("/mem/spaces/team-a/events", &json!({"content": "a cherry"})).bearer(&bob);
        site.gateway().send(&note).expect(201);
        assert_eq!(contents(&site.events(&alice, 2)), ["an apricot", "yes"].map(str::to_owned).into());
        assert_eq!(contents(&site.events(&bob, 2)), ["a banana", "no"].map(str::to_owned).into());
        assert_eq!(contents(&site.found(&bob, "q=banana")), ["a banana".to_owned()].into());
        assert_eq!(site.found(&bob, "q=apricot"), Vec::<Value>::new());
        let everybody = site.token_with("carol", &json!({"scope": "mem:read:all"}));
        assert!(contents(&site.events_of(&everybody, "limit=100&all=true", 5)).contains("an apricot"));
        let weaviate = site.weaviate.as_ref().expect("a Weaviate");
        let tenants: BTreeSet<_> = weaviate.tenants(CLASS).into_iter().collect();
        for owner in ["alice", "bob", &attach_core::mirror::space_owner("team-a")] {
            assert!(tenants.contains(&tenant_of(owner)), "{owner} is not among {tenants:?}");
        }
        let read = weaviate.read(CLASS, Some(&tenant_of("alice")));
        let read = read.iter().map(|object| text(&object["properties"], "content"));
        assert_eq!(read.collect::<BTreeSet<_>>(), ["an apricot", "yes"].map(str::to_owned).into());
        // One who forgets everything leaves the others what they have.
        let _ = site.gateway().send(&Request::new("DELETE", "/mem/events").bearer(&alice));
        assert_eq!(site.events(&alice, 0), Vec::<Value>::new());
        assert_eq!(site.events(&bob, 2).len(), 2);
    }
}

#[test]
fn a_weaviate_with_a_key_is_told_it_and_a_wrong_one_is_an_error_that_names_the_setting() {
    for version in WEAVIATES {
        let Some(weaviate) = Weaviate::with_key(version) else { return };
        let wrong = "weaviate-wrong-key-77aa";
        let site = Site::with("memory-key", Some(weaviate), |builder| {
            builder.set("WEAVIATE_API_KEY", Weaviate::KEY)
        });
        let weaviate = site.weaviate.as_ref().expect("a Weaviate");
        let alice = site.token("alice");
        let _ = site.said(&kit::chat(&alice, "an apricot", "yes"));
        assert_eq!(site.events(&alice, 2).len(), 2);
        assert_eq!(weaviate.read(CLASS, None).len(), 2);
        // With another it would not be let in, and says which setting to look at.
        site.gateway().set("WEAVIATE_API_KEY", wrong);
        let refused = site.gateway().up();
        assert_eq!(refused.status, 1, "{refused:?}");
        assert!(refused.stderr.contains("WEAVIATE_API_KEY"), "{}", refused.stderr);
        assert_eq!(weaviate.objects(CLASS, None).len(), 2);
        site.gateway().set("WEAVIATE_API_KEY", Weaviate::KEY);
        site.gateway().up().expect_success();
        let _ = site.said(&kit::chat(&alice, "a banana", "no"));
        assert_eq!(site.events(&alice, 4).len(), 4);
        let logs = site.gateway().logs();
        assert!(!logs.contains(Weaviate::KEY) && !logs.contains(wrong), "a key is in a log");
    }
}
