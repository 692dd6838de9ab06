//! What is remembered is its owner's, whoever says that he is somebody else.

use std::collections::BTreeSet;

use attach_tests::request::Request;
use serde_json::{Value, json};

use crate::kit::{self, Site, contents, id, text};

kit::on_every_backend!(
    two_users_never_see_each_others_memory,
    forged_headers_make_nobody_somebody_else,
    a_session_is_a_filter_and_never_a_right,
    names_that_share_their_words_are_two_names,
    nothing_that_is_said_in_a_parameter_is_said_to_the_store,
    only_the_scope_reads_across,
    a_search_ranks_the_callers_own,
    pages_go_on_where_the_last_one_ended,
    who_has_no_token_has_no_memory,
);

/// Alice's and Bob's tokens, each of whom has said and heard something.
fn pair(site: &Site, case: &str) -> (String, String) {
    let (alice, bob) = (site.token(&format!("{case}-alice")), site.token(&format!("{case}-bob")));
    let _ = site.said(&kit::chat(&alice, &format!("{case} apricot of alice"), "an apricot"));
    let _ = site.said(&kit::chat(&bob, &format!("{case} banana of bob"), "a banana"));
    (alice, bob)
}

/// Says that nothing in an answer is Alice's.
fn is_not_alices(answer: &str, what: &str) {
    assert!(!answer.contains("apricot"), "{what} shows what is alice's: {answer}");
}

fn two_users_never_see_each_others_memory(site: &Site) {
    let (alice, bob) = pair(site, "pair");
    let hers = site.events(&alice, 2);
    assert_eq!(contents(&hers), ["an apricot", "pair apricot of alice"].map(str::to_owned).into());
    assert_eq!(contents(&site.events(&bob, 2)), ["a banana", "pair banana of bob"].map(str::to_owned).into());
    assert_eq!(site.found(&bob, "q=apricot"), Vec::<Value>::new());
    assert_eq!(contents(&site.found(&alice, "q=apricot")).len(), 2);
    // Ids of hers are nothing to him.
    for event in &hers {
        for target in [
            format!("/mem/docs/{}", id(event)),
            format!("/mem/docs/{}/history", id(event)),
            format!("/mem/events?before={}", id(event)),
            format!("/mem/events/{}", id(event)),
        ] {
            let answer = site.get(&bob, &target);
            assert!(answer.status < 500, "{target}: {}", answer.text());
            is_not_alices(&answer.text(), &target);
        }
    }
    // He forgets his own, and she has hers.
    let forgotten = site.gateway().send(&Request::new("DELETE", "/mem/events").bearer(&bob));
    assert!(matches!(forgotten.status, 200 | 204), "{}", forgotten.text());
    let _ = site.events(&bob, 0);
    assert_eq!(site.found(&bob, "q=banana"), Vec::<Value>::new());
    assert_eq!(site.events(&alice, 2), hers);
    if let Some(weaviate) = &site.weaviate {
        let owners: Vec<_> = weaviate.objects(kit::CLASS, None);
        assert!(
            !owners.iter().any(|object| object["properties"]["owner"] == "pair-bob"),
            "his are still there"
        );
    }
}

fn forged_headers_make_nobody_somebody_else(site: &Site) {
    let (alice, bob) = pair(site, "forged");
    let session = text(&site.events(&alice, 2)[0], "session_id");
    let user = "forged-alice";
    let forgeries = [
        ("x-attach-user", user),
        ("X-Attach-User", user),
        ("X_Attach_User", user),
        ("x-attach-owner", user),
        ("x-attach-session", &session),
        ("x-attach-scopes", "mem:read:all"),
        ("x-attach-scope", "mem:read:all"),
        ("x-attach-spaces", "team-a"),
        ("x-attach-agent", user),
        ("x-attach-assertion", &alice),
    ];
    let forge = |request: Request| {
        forgeries.iter().fold(request, |request, (name, value)| request.header(name, value))
    };
    let mut alone: Vec<Vec<(&str, &str)>> = forgeries.iter().map(|forgery| vec![*forgery]).collect();
    alone.push(forgeries.to_vec());
    for set in alone {
        for target in ["/mem/events", "/mem/search?q=apricot", "/mem/spaces/team-a/events"] {
            let request = set.iter().fold(Request::get(target).bearer(&bob), |request, (name, value)| {
                request.header(name, value)
            });
            let answer = site.gateway().send(&request);
            assert!(answer.status < 500, "{target} with {set:?}: {}", answer.text());
            is_not_alices(&answer.text(), &format!("{target} with {set:?}"));
        }
    }
    // Nor does he write as her, nor forget what is hers.
    let _ = site.said(&forge(kit::chat(&bob, "forged banana", "a banana")));
    let _ = site
        .gateway()
        .send(&forge(Request::new("DELETE", format!("/mem/events?session={session}")).bearer(&bob)));
    site.settle();
    assert_eq!(contents(&site.events(&alice, 2)).len(), 2);
    for event in site.events(&bob, 4) {
        assert_eq!(text(&event, "user"), "forged-bob");
    }
}

fn a_session_is_a_filter_and_never_a_right(site: &Site) {
    let (alice, bob) = pair(site, "session");
    let other = kit::chat(&alice, "apricot by another program", "yes");
    let _ = site.said(&other.header("user-agent", "another/1.0"));
    let events = site.events(&alice, 4);
    let sessions: BTreeSet<_> = events.iter().map(|event| text(event, "session_id")).collect();
    assert_eq!(sessions.len(), 2, "{events:#?}");
    for session in &sessions {
        let short = session.get(..16).expect("64 digits");
        for query in [session.as_str(), short] {
            let of_session = site.events_of(&alice, &format!("session={query}"), 2);
            assert!(of_session.iter().all(|event| text(event, "session_id") == *session));
            assert_eq!(site.events_of(&bob, &format!("session={query}"), 0), Vec::<Value>::new());
            // Neither does he forget it.
            let _ = site
                .gateway()
                .send(&Request::new("DELETE", format!("/mem/events?session={query}")).bearer(&bob));
        }
    }
    assert_eq!(site.events(&alice, 4), events);
    // She forgets one, and has the other.
    let session = text(
        events.iter().find(|event| text(event, "content").contains("another")).expect("said"),
        "session_id",
    );
    let short = session.get(..16).expect("64 digits");
    let forgotten =
        site.gateway().send(&Request::new("DELETE", format!("/mem/events?session={short}")).bearer(&alice));
    assert!(matches!(forgotten.status, 200 | 204), "{}", forgotten.text());
    let left = attach_tests::wait::until("a session to be forgotten", || {
        let events = kit::listed(&site.get(&alice, "/mem/events").expect(200));
        (events.len() == 2).then_some(events)
    });
    assert!(left.iter().all(|event| text(event, "session_id") != session), "{left:#?}");
}

/// Weaviate takes a text apart into words, where it is told nothing else, and compares those.
fn names_that_share_their_words_are_two_names(site: &Site) {
    let users =
        ["auth0|Anna-Lee", "auth0|anna-lee", "anna-lee|auth0", "auth0-anna|lee", "anna", "auth0|Anna"];
    for user in users {
        let _ = site.said(&kit::chat(&site.token(user), &format!("I am {user} indeed"), "hello"));
    }
    for user in users {
        let events = site.events(&site.token(user), 2);
        assert!(events.iter().all(|event| event["user"] == user), "{user} sees {events:#?}");
        for found in site.found(&site.token(user), "q=indeed") {
            assert_eq!(found["user"], user);
        }
    }
}

fn nothing_that_is_said_in_a_parameter_is_said_to_the_store(site: &Site) {
    let (alice, bob) = pair(site, "inject");
    let _ = (site.events(&alice, 2), site.events(&bob, 2));
    let long = "a ".repeat(4_000);
    let payloads = [
        "\"",
        "\\\"",
        "\"}}) { content } } } #",
        "x\") { content } MemoryEvent(limit: 100) { content user } a: MemoryEvent(where: {path: [\"user\"], operator: Like, valueText: \"*\"}",
        "\"}, {path: [\"owner\"], operator: Like, valueText: \"*\"}]",
        "{\"operator\":\"Like\"}",
        "\\u0022}}){content}",
        "' OR 1=1 --",
        "*",
        "NEAR(apricot, 1)",
        "apricot OR banana",
        "content:apricot",
        "\"apricot\" NOT banana",
        "apricot*",
        "(((((((((",
        "\u{0}apricot",
        "\n}}\n",
        "inject-alice",
        "../../v1/objects",
        "-1",
        "99999999999999999999999",
        &long,
    ];
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    for payload in payloads {
        let payload = encode(payload);
        for target in [
            format!("/mem/search?q={payload}"),
            format!("/mem/search?q=banana&limit={payload}"),
            format!("/mem/events?limit={payload}"),
            format!("/mem/events?before={payload}"),
            format!("/mem/events?session={payload}"),
            format!("/mem/events?user={payload}"),
            format!("/mem/events?all={payload}"),
            format!("/mem/events?{payload}={payload}"),
            format!("/mem/spaces/{payload}/events"),
            format!("/mem/spaces/{payload}/search?q=apricot"),
            format!("/mem/docs/{payload}"),
            format!("/mem/docs/{payload}/history"),
        ] {
            let answer = site.get(&bob, &target);
            assert!(answer.status < 500, "{} for {target}: {}", answer.status, answer.text());
            is_not_alices(&answer.text(), &target);
        }
        // What is to be forgotten is never somebody else's, nor more than was named.
        for target in [format!("/mem/events?session={payload}"), format!("/mem/spaces/{payload}/events")] {
            let answer = site.gateway().send(&Request::new("DELETE", &target).bearer(&bob));
            assert!(answer.status < 500, "{} for {target}: {}", answer.status, answer.text());
        }
    }
    assert_eq!(site.events(&alice, 2).len(), 2);
    assert_eq!(site.events(&bob, 2).len(), 2, "a session that is none names no event");
}

fn only_the_scope_reads_across(site: &Site) {
    let (alice, bob) = pair(site, "scope");
    let _ = (site.events(&alice, 2), site.events(&bob, 2));
    let across = ["/mem/events?all=true", "/mem/search?q=scope&all=true", "/mem/events?user=scope-alice"];
    for scope in ["mem:read", "mem:read:allx", "Mem:Read:All", "mem:*"] {
        let token = site.token_with("scope-carol", &json!({ "scope": scope }));
        assert_eq!(site.events(&token, 0), Vec::<Value>::new(), "{scope}");
        for target in across {
            let refused = site.get(&token, target);
            assert_eq!(refused.status, 403, "{scope} {target}: {}", refused.text());
        }
    }
    let token = site.token_with("scope-carol", &json!({"scope": "chat:run mem:read:all"}));
    let seen = contents(&site.found(&token, "q=scope&limit=100&all=true"));
    for theirs in ["scope apricot of alice", "scope banana of bob"] {
        assert!(seen.contains(theirs), "no {theirs}: {seen:?}");
    }
    assert_eq!(site.events_of(&token, "user=scope-alice", 2), site.events(&alice, 2));
    // Who does not ask for it sees his own, and to read is not to forget.
    assert_eq!(site.events(&token, 0), Vec::<Value>::new());
    for target in ["/mem/events", "/mem/events?all=true", "/mem/events?user=scope-alice"] {
        let _ = site.gateway().send(&Request::new("DELETE", target).bearer(&token));
    }
    assert_eq!((site.events(&alice, 2).len(), site.events(&bob, 2).len()), (2, 2));
}

fn a_search_ranks_the_callers_own(site: &Site) {
    let (alice, bob) = (site.token("search-alice"), site.token("search-bob"));
    let long =
        format!("{}and one quince at its very end", "a long talk of plums, pears and medlars, ".repeat(20));
    for said in ["quince", "quince and quince and quince", long.as_str()] {
        let _ = site.said(&kit::chat(&alice, said, "I see"));
        let _ = site.said(&kit::chat(&bob, &format!("{said} of bob"), "I see"));
    }
    let _ = (site.events(&alice, 6), site.events(&bob, 6));
    let found: Vec<_> = site.found(&alice, "q=quince").iter().map(|event| text(event, "content")).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[2].starts_with("a long talk"), "{found:?}");
    assert_eq!(site.found(&alice, "q=QUINCE&limit=1").len(), 1);
    assert_eq!(contents(&site.found(&alice, "q=medlars")).len(), 1);
    assert_eq!(site.found(&alice, "q=persimmons"), Vec::<Value>::new());
}

fn pages_go_on_where_the_last_one_ended(site: &Site) {
    let token = site.token("pages-alice");
    for number in 0..6 {
        let _ = site.said(&kit::chat(&token, &format!("page {number}"), &format!("turned {number}")));
    }
    let all = site.events(&token, 12);
    let times: Vec<_> = all.iter().map(|event| text(event, "timestamp")).collect();
    assert!(times.is_sorted_by(|newer, older| newer >= older), "{times:?}");
    let (mut paged, mut next) = (Vec::new(), String::new());
    for _ in 0..3 {
        let answer = site.get(&token, &format!("/mem/events?limit=5{next}")).expect(200);
        paged.extend(kit::listed(&answer));
        next = answer.json()["next"].as_str().map(|next| format!("&before={next}")).unwrap_or_default();
    }
    assert_eq!(next, "", "there is a fourth page");
    assert_eq!(paged, all);
}

fn who_has_no_token_has_no_memory(site: &Site) {
    for (method, target) in [
        ("GET", "/mem/events"),
        ("GET", "/mem/search?q=a"),
        ("DELETE", "/mem/events"),
        ("GET", "/mem/spaces/team-a/events"),
        ("POST", "/mem/docs"),
        ("POST", "/v1/logs"),
    ] {
        let answer = site.gateway().send(&Request::with_body(method, target, "{}"));
        assert_eq!(answer.status, 401, "{method} {target}: {}", answer.text());
    }
    // What only the filter calls is nobody else's.
    let token = site.token("inside-alice");
    for target in ["/internal/memory", "/internal/weaviate/v1/batch/objects"] {
        // To the listener it is a path like any other: the engine's.
        let answer = site.gateway().send(&Request::post_json(target, &json!({"objects": []})).bearer(&token));
        assert_eq!(answer.text(), r#"{"from":"upstream"}"#, "{target}");
        let answer = Request::post_json(target, &json!({"objects": []})).send(site.gateway().control);
        assert!(matches!(answer.status, 401 | 403 | 404), "{target}: {} {}", answer.status, answer.text());
    }
}
