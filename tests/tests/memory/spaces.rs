//! Named spaces: whom a claim admits reads and writes there, and nothing crosses from one space, or from a person, to
//! another.

use attach_tests::request::Request;
use serde_json::{Value, json};

use crate::kit::{self, Site, contents, text};

kit::on_every_backend!(
    what_a_space_holds_is_for_those_whom_a_claim_admits,
    what_is_said_in_a_space_is_redacted
);

const OF_A: &str = "/mem/spaces/team-a/events";

fn member(site: &Site, user: &str, groups: &[&str]) -> String {
    site.token_with(user, &json!({ "groups": groups }))
}

fn note(site: &Site, token: &str, target: &str, content: &str) -> u16 {
    site.gateway().send(&Request::post_json(target, &json!({ "content": content })).bearer(token)).status
}

fn what_a_space_holds_is_for_those_whom_a_claim_admits(site: &Site) {
    let alice = member(site, "space-alice", &["staff", "team-a"]);
    let bob = member(site, "space-bob", &["team-b"]);
    let carol = member(site, "space-carol", &["team-a", "team-b"]);
    let dave = member(site, "space-dave", &["team-ab", "Team-A", "team", "a"]);
    assert_eq!(note(site, &alice, OF_A, "a kumquat for the team"), 201);
    assert_eq!(note(site, &bob, "/mem/spaces/team-b/events", "a lychee for the others"), 201);
    let _ = site.said(&kit::chat(&alice, "a kumquat for myself", "yes"));
    let listed = |token: &str, space: &str, count: usize| {
        attach_tests::wait::until_within(kit::PATIENCE, &format!("{count} events of {space}"), || {
            let answer = site.get(token, &format!("/mem/spaces/{space}/events"));
            let events = kit::listed(&answer.expect(200));
            (events.len() >= count).then_some(events)
        })
    };
    for token in [&alice, &carol] {
        let events = listed(token, "team-a", 1);
        assert_eq!(contents(&events), ["a kumquat for the team".to_owned()].into());
        assert_eq!(text(&events[0], "user"), "space-alice");
    }
    assert_eq!(contents(&listed(&carol, "team-b", 1)), ["a lychee for the others".to_owned()].into());
    // What is a person's is not the space's, and the other way round.
    assert_eq!(contents(&site.events(&alice, 2)), ["a kumquat for myself", "yes"].map(str::to_owned).into());
    assert_eq!(contents(&site.found(&alice, "q=kumquat")), ["a kumquat for myself".to_owned()].into());
    let found = kit::listed(&site.get(&carol, "/mem/spaces/team-a/search?q=kumquat").expect(200));
    assert_eq!(contents(&found), ["a kumquat for the team".to_owned()].into());
    let found = kit::listed(&site.get(&carol, "/mem/spaces/team-b/search?q=kumquat").expect(200));
    assert_eq!(found, Vec::<Value>::new());
    // Whom no claim admits, and a space that is none, are told the same.
    for token in [&bob, &dave] {
        for request in [
            Request::get(OF_A),
            Request::get("/mem/spaces/team-a/search?q=kumquat"),
            Request::post_json(OF_A, &json!({"content": "let me in"})),
            Request::new("DELETE", OF_A),
        ] {
            let refused = site.gateway().send(&request.clone().bearer(token));
            assert!(
                matches!(refused.status, 403 | 404),
                "{request:?}: {} {}",
                refused.status,
                refused.text()
            );
        }
        let [mine, none] =
            ["team-a", "team-none"].map(|space| site.get(token, &format!("/mem/spaces/{space}/events")));
        assert_eq!(mine.status, none.status, "whether there is a space can be seen");
    }
    // Who forgets a space forgets that space.
    let forgotten = site.gateway().send(&Request::new("DELETE", OF_A).bearer(&carol));
    assert!(matches!(forgotten.status, 200 | 204), "{}", forgotten.text());
    attach_tests::wait::until("the space to be empty", || {
        kit::listed(&site.get(&alice, OF_A).expect(200)).is_empty().then_some(())
    });
    assert_eq!(site.events(&alice, 2).len(), 2);
    assert_eq!(listed(&bob, "team-b", 1).len(), 1);
}

fn what_is_said_in_a_space_is_redacted(site: &Site) {
    let bob = member(site, "space-secret-bob", &["team-b"]);
    let secret = ["gh", "p_", "Zz8F3kLq9ZxT2vBn7MwRc5YhJd1GsEp4UoI6"].concat();
    assert_eq!(note(site, &bob, "/mem/spaces/team-b/events", &format!("use {secret}")), 201);
    let found = attach_tests::wait::until_within(kit::PATIENCE, "the note", || {
        let events = kit::listed(&site.get(&bob, "/mem/spaces/team-b/events").expect(200));
        events.into_iter().find(|event| text(event, "user") == "space-secret-bob")
    });
    assert!(text(&found, "content").starts_with("use [REDACTED:"), "{found:#}");
    assert!(!site.keeps(&secret));
}
