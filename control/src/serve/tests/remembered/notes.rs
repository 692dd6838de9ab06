//! Events: one's own, a space's, and across with the scope.

use super::*;

#[tokio::test]
async fn ones_own_come_newest_first_in_the_originals_shape() {
    let (_folder, state) = remembering();
    for n in 0..12 {
        note(&state, ALICE, "/mem/events", &format!("n-{n}")).await;
    }
    let body = json!({ "content": "last", "role": "agent", "task_id": "t-1" }).to_string();
    let (_, created) = ask(&state, ALICE, "POST", "/mem/events", &body).await;
    let (status, answer) = ask(&state, ALICE, "GET", "/mem/events?limit=1", "").await;
    let event = &answer["data"]["Get"]["MemoryEvent"][0];
    assert_eq!(status, 200);
    // Two may have the same millisecond.
    let (_, all) = ask(&state, ALICE, "GET", "/mem/events?limit=100", "").await;
    let last = all["data"]["Get"]["MemoryEvent"].as_array().unwrap().iter();
    let last = last.clone().find(|event| event["content"] == "last").unwrap();
    assert_eq!(
        *last,
        json!({
            "timestamp": last["timestamp"], "event": "note", "session_id": SESSION, "user": "alice",
            "owner": "alice", "task_id": "t-1", "role": "agent", "content": "last", "truncated": false,
            "model": "", "tokens": 0, "request_id": "", "state": "done", "_additional": { "id": created["id"] },
        })
    );
    assert!(event["_additional"]["id"].is_string() && texts(&all).len() == 13);
    assert_eq!(
        texts(&ask(&state, ALICE, "GET", "/mem/events", "").await.1).len(),
        10,
        "the original's default"
    );
}

#[tokio::test]
async fn pages_hold_every_event_once() {
    let (_folder, state) = remembering();
    for n in 0..9 {
        note(&state, ALICE, "/mem/events", &format!("n-{n}")).await;
    }
    let (mut seen, mut path) = (Vec::new(), "/mem/events?limit=2".to_owned());
    for _ in 0..9 {
        let (status, answer) = ask(&state, ALICE, "GET", &path, "").await;
        assert_eq!(status, 200, "{answer}");
        seen.extend(texts(&answer).into_iter().map(str::to_owned));
        let Some(next) = answer["next"].as_str() else { break };
        path = format!("/mem/events?limit=2&before={next}");
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..9).map(|n| format!("n-{n}")).collect::<Vec<_>>());
    let none = ask(&state, ALICE, "GET", "/mem/events?before=2001-01-01", "").await.1;
    assert_eq!((texts(&none).len(), &none["next"]), (0, &Value::Null));
}

#[tokio::test]
async fn nobody_reads_searches_or_forgets_what_is_anothers() {
    let (_folder, state) = remembering();
    let id = note(&state, ALICE, "/mem/events", "alices zebra").await;
    note(&state, BOB, "/mem/events", "bobs zebra").await;
    let others = [
        BOB,
        user("ALICE"),
        user("alice bob"),
        user("bob\" OR owner = \"alice"),
        user("alice' --"),
        user("*"),
        user("%"),
        // The session is computable: it is no right.
        Asker { session: SESSION, ..user("mallory") },
        Asker { scopes: "mem:read mem:all", spaces: "alice", ..user("mallory") },
    ];
    let reads = [
        "/mem/events".to_owned(),
        format!("/mem/events?session={SESSION}"),
        format!("/mem/events?before=9999999999999-{id}&limit=100"),
        "/mem/search?q=zebra".to_owned(),
        "/mem/search?q=alices%20OR%20zebra*&limit=100".to_owned(),
    ];
    for asker in others {
        for path in &reads {
            let (status, answer) = ask(&state, asker, "GET", path, "").await;
            assert_eq!(status, 200, "{}: {path}", asker.user);
            assert!(!texts(&answer).iter().any(|text| text.contains("alice")), "{}: {path}", asker.user);
        }
        for path in ["/mem/events?all=true", "/mem/events?user=alice", "/mem/search?q=zebra&user=alice"] {
            let (status, answer) = ask(&state, asker, "GET", path, "").await;
            assert_eq!(status, 403, "{path}");
            assert!(answer["detail"].as_str().unwrap().contains("mem:read:all"), "{answer}");
        }
        let path = format!("/mem/events?session={SESSION}");
        for path in [path.as_str(), "/mem/events"] {
            assert_eq!(ask(&state, asker, "DELETE", path, "").await.0, 200);
        }
    }
    assert_eq!(texts(&ask(&state, ALICE, "GET", "/mem/events", "").await.1), ["alices zebra"]);
}

#[tokio::test]
async fn the_scope_reads_across_when_it_is_asked_to_and_forgets_nothing() {
    let (_folder, state) = remembering();
    note(&state, ALICE, "/mem/events", "alices zebra").await;
    note(&state, BOB, "/mem/events", "bobs zebra").await;
    let member = Asker { spaces: "team-a", ..ALICE };
    note(&state, member, "/mem/spaces/team-a/events", "teams zebra").await;
    for (path, count) in [
        ("/mem/events", 0),
        ("/mem/search?q=zebra", 0),
        ("/mem/events?all=true", 3),
        ("/mem/search?q=zebra&all=true", 3),
        ("/mem/events?user=bob", 1),
        ("/mem/search?q=zebra&user=alice", 1),
    ] {
        let (status, answer) = ask(&state, AUDITOR, "GET", path, "").await;
        assert_eq!((status, texts(&answer).len()), (200, count), "{path}");
    }
    for path in ["/mem/events?all=true", "/mem/events?user=bob"] {
        assert_eq!(ask(&state, AUDITOR, "DELETE", path, "").await.0, 400, "{path}");
    }
    assert_eq!(ask(&state, AUDITOR, "DELETE", "/mem/events", "").await.1, json!({ "deleted": 0 }));
    assert_eq!(ask(&state, AUDITOR, "GET", "/mem/spaces/team-a/events", "").await.0, 404);
}

#[tokio::test]
async fn a_session_narrows_by_its_whole_id_or_by_what_clients_see() {
    let (_folder, state) = remembering();
    let other = "0".repeat(64);
    note(&state, ALICE, "/mem/events", "one").await;
    note(&state, Asker { session: &other, ..ALICE }, "/mem/events", "two").await;
    for (session, expected) in [
        (SESSION, &["one"][..]),
        (SESSION.get(..16).unwrap(), &["one"]),
        (&other, &["two"]),
        ("ffffffffffffffff", &[]),
    ] {
        let (_, answer) = ask(&state, ALICE, "GET", &format!("/mem/events?session={session}"), "").await;
        assert_eq!(texts(&answer), expected, "{session}");
    }
    for bad in ["", "abc", "%25", "5e55104b5e55104_", "' OR '1'='1", "5e55104b5e55104b\"}"] {
        let bad: String = bad.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for method in ["GET", "DELETE"] {
            let (status, answer) =
                ask(&state, ALICE, method, &format!("/mem/events?session={bad}"), "").await;
            assert_eq!(status, 400, "{bad}");
            assert!(answer["detail"].as_str().unwrap().starts_with("session "), "{answer}");
        }
    }
    let path = format!("/mem/events?session={}", SESSION.get(..16).unwrap());
    assert_eq!(ask(&state, ALICE, "DELETE", &path, "").await.1, json!({ "deleted": 1 }));
    assert_eq!(ask(&state, ALICE, "DELETE", "/mem/events", "").await.1, json!({ "deleted": 1 }));
    assert!(texts(&ask(&state, ALICE, "GET", "/mem/events", "").await.1).is_empty());
}

#[tokio::test]
async fn a_space_is_for_those_who_are_admitted_and_nothing_crosses() {
    let (_folder, state) = remembering();
    let [anna, ben] = ["anna", "ben"].map(|name| Asker { spaces: "team-a team-c", ..user(name) });
    let stranger = Asker { spaces: "team-b", ..user("carl") };
    let path = "/mem/spaces/team-a/events";
    note(&state, anna, path, "the zebra plan").await;
    note(&state, anna, "/mem/events", "annas own zebra").await;
    let (_, answer) = ask(&state, ben, "GET", path, "").await;
    assert_eq!(texts(&answer), ["the zebra plan"]);
    assert_eq!(answer["data"]["Get"]["MemoryEvent"][0]["user"], "anna", "who wrote it");
    assert_eq!(
        texts(&ask(&state, ben, "GET", "/mem/spaces/team-a/search?q=zebra", "").await.1),
        ["the zebra plan"]
    );
    // From a person to a space, from a space to a person, from a space to a space.
    assert_eq!(texts(&ask(&state, anna, "GET", "/mem/search?q=zebra", "").await.1), ["annas own zebra"]);
    for path in [
        "/mem/events",
        "/mem/search?q=zebra",
        "/mem/spaces/team-c/events",
        "/mem/spaces/team-c/search?q=zebra",
    ] {
        assert!(texts(&ask(&state, ben, "GET", path, "").await.1).is_empty(), "{path}");
    }
    for name in ["team-a", "team-A", "team-a%20", "%C2%A7team-a", "..", "carl", "team-b%2f..%2fteam-a"] {
        for (method, rest) in
            [("GET", "events"), ("POST", "events"), ("DELETE", "events"), ("GET", "search?q=zebra")]
        {
            let path = format!("/mem/spaces/{name}/{rest}");
            let (status, answer) = ask(&state, stranger, method, &path, r#"{"content":"x"}"#).await;
            assert_eq!((status, answer["detail"].is_string()), (404, true), "{method} {path}");
        }
    }
    for path in ["/mem/spaces/team-a/events?all=true", "/mem/spaces/team-a/events?user=anna"] {
        let asker = Asker { scopes: "mem:read:all", ..ben };
        assert_eq!(ask(&state, asker, "GET", path, "").await.0, 400, "{path}");
    }
    assert_eq!(ask(&state, anna, "DELETE", "/mem/events", "").await.1, json!({ "deleted": 1 }));
    assert_eq!(ask(&state, ben, "DELETE", path, "").await.1, json!({ "deleted": 1 }));
}

#[tokio::test]
async fn a_note_that_cannot_be_kept_is_told_why() {
    let (_folder, state) = remembering();
    let long = json!({ "content": "ä".repeat(32 * 1024 + 1) }).to_string();
    let fits = json!({ "content": "ä".repeat(32 * 1024) }).to_string();
    let huge = json!({ "content": "x".repeat(400 * 1024) }).to_string();
    for (body, status, says) in [
        ("", 422, "JSON object"),
        ("{}", 422, "content"),
        (r#"{"content":""}"#, 422, "content"),
        (r#"{"content":7}"#, 422, "content"),
        (r#"{"content":"x","owner":"alice"}"#, 422, "too many"),
        (r#"{"content":"x","user":"alice"}"#, 422, "too many"),
        (r#"{"content":"x","role":"root"}"#, 422, "role"),
        (&long, 413, "65536"),
        (&huge, 413, "KiB"),
    ] {
        let (told, answer) = ask(&state, BOB, "POST", "/mem/events", body).await;
        assert_eq!(told, status, "{answer}");
        assert!(answer["detail"].as_str().unwrap().contains(says), "{answer}");
    }
    assert_eq!(ask(&state, BOB, "POST", "/mem/events", &fits).await.0, 201);
    assert!(texts(&ask(&state, ALICE, "GET", "/mem/events", "").await.1).is_empty());
}

#[tokio::test]
async fn a_note_said_again_is_the_same_note() {
    let (_folder, state) = remembering();
    let body = r#"{"content":"x"}"#;
    let key = [("idempotency-key", "k-1")];
    let mut ids = Vec::new();
    for asker in [ALICE, ALICE, BOB] {
        let (status, _, answer) = send(&state, asker, "POST", "/mem/events", &key, body).await;
        assert_eq!(status, StatusCode::CREATED);
        ids.push(answer["id"].clone());
    }
    assert!(ids[0] == ids[1] && ids[1] != ids[2]);
    assert_eq!(texts(&ask(&state, ALICE, "GET", "/mem/events", "").await.1).len(), 1);
    note(&state, ALICE, "/mem/events", "x").await;
    assert_eq!(texts(&ask(&state, ALICE, "GET", "/mem/events", "").await.1).len(), 2);
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    assert_eq!(send(&state, ALICE, "POST", "/mem/events", &twice, body).await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn no_parameter_is_more_than_a_value() {
    let (_folder, state) = remembering();
    note(&state, ALICE, "/mem/events", "alices zebra").await;
    let attacks = [
        "\"}){...on MemoryEvent{content}}",
        "\" OR owner:\"alice",
        "') OR 1=1 --",
        "zebra NEAR(x y)",
        "content:zebra^2",
        "\"",
        "*",
        "a* OR b* AND NOT (c",
        "\\u0000",
        "\u{0}",
        "§team-a",
        "{}[]():",
        "NEAR",
        "AND OR NOT",
    ];
    for attack in attacks {
        let attack: String = attack.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for (asker, name) in
            [(BOB, "q"), (BOB, "limit"), (BOB, "before"), (BOB, "session"), (AUDITOR, "user"), (BOB, "user")]
        {
            for path in ["/mem/events", "/mem/search"] {
                let q = if name == "q" || path == "/mem/events" { "" } else { "q=zebra&" };
                let (status, answer) =
                    ask(&state, asker, "GET", &format!("{path}?{q}{name}={attack}"), "").await;
                assert!(matches!(status, 200 | 400 | 403), "{path} {name}={attack}: {status} {answer}");
                assert!(!answer.to_string().contains("alices zebra"), "{path} {name}={attack}");
            }
        }
    }
    for path in [
        "/mem/events?owner=alice",
        "/mem/events?limit=5&limit=6",
        "/mem/search",
        "/mem/search?q=",
        "/mem/events?limit=101",
    ] {
        assert_eq!(ask(&state, BOB, "GET", path, "").await.0, 400, "{path}");
    }
}
