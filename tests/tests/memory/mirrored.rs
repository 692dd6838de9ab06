//! Of each call its prompt and its answer are remembered, once, with all that is known of them.

use std::collections::BTreeSet;
use std::time::Duration;

use attach_core::clock::date;
use attach_tests::mint::now;
use attach_tests::request::Request;
use serde_json::{Value, json};

use crate::kit::{self, CLASS, MAX_BYTES, Site, id, only, text};

kit::on_every_backend!(
    a_call_is_remembered_with_all_that_is_known_of_it,
    a_stream_is_remembered_as_its_text,
    a_stream_of_lines_is_remembered_as_its_text,
    what_was_said_before_is_not_said_again,
    a_call_that_is_sent_again_is_a_call_of_its_own,
    what_is_to_be_kept_out_is_kept_out,
    what_is_not_talk_is_not_remembered,
    a_long_text_is_cut_between_two_characters_and_says_so,
    how_a_call_ended_is_remembered_too,
);

fn a_call_is_remembered_with_all_that_is_known_of_it(site: &Site) {
    let user = "whole-alice";
    let token = site.token(user);
    // What a client says its request is called is not what it is called here.
    let said = site.said(&kit::chat(&token, "what is rare?", "a day in June").header("x-request-id", "mine"));
    let events = site.events(&token, 2);
    let row = kit::calls(site, &token, 1).into_iter().next().expect("one");
    let seen = said.headers.one("x-attach-session").expect("the beginning of a session id").to_owned();
    let (prompt, answer) = (only(&events, "prompt"), only(&events, "answer"));
    for (event, role, content, tokens) in [
        (prompt, "user", "what is rare?", kit::USAGE.0),
        (answer, "assistant", "a day in June", kit::USAGE.1),
    ] {
        assert_eq!((text(event, "role"), text(event, "content")), (role.to_owned(), content.to_owned()));
        assert_eq!((text(event, "user"), text(event, "model")), (user.to_owned(), kit::MODEL.to_owned()));
        assert_eq!((text(event, "request_id"), text(event, "state")), (row.clone(), "done".to_owned()));
        assert_eq!((&event["tokens"], &event["truncated"]), (&json!(tokens), &json!(false)), "{event:#}");
        let session = text(event, "session_id");
        assert!(session.len() == 64 && session.starts_with(&seen), "{session} does not begin with {seen}");
        let at = date::parse(&text(event, "timestamp")).expect("RFC 3339");
        assert!(now().abs_diff(at / 1000) < 120, "{event:#}");
        let id = id(event);
        assert_eq!((id.len(), id.get(14..15)), (36, Some("5")), "no UUIDv5: {id}");
    }
    assert_ne!(id(prompt), id(answer));
    let Some(weaviate) = &site.weaviate else { return };
    // Who asks Weaviate itself finds the same, in whatever way he asks.
    let ours: BTreeSet<_> = events.iter().map(|event| (id(event), text(event, "content"))).collect();
    for objects in [weaviate.read(CLASS, None), weaviate.objects(CLASS, None)] {
        let objects = objects.iter().filter(|object| object["properties"]["owner"] == user);
        let objects = objects.map(|object| {
            assert_eq!(object["properties"]["request_id"], row, "{object:#}");
            (text(object, "id"), text(&object["properties"], "content"))
        });
        assert_eq!(objects.collect::<BTreeSet<_>>(), ours);
    }
}

fn a_stream_is_remembered_as_its_text(site: &Site) {
    let token = site.token("stream-alice");
    let _ = site.said(&kit::stream(&token, "sing", &["Über ", "allen Gip", "", "feln\n", "ist \"Ruh\" 🌙"]));
    let events = site.events(&token, 2);
    let answer = only(&events, "answer");
    assert_eq!(text(answer, "content"), "Über allen Gipfeln\nist \"Ruh\" 🌙");
    assert_eq!(
        (text(only(&events, "prompt"), "content"), text(answer, "state")),
        ("sing".into(), "done".into())
    );
    if let Some(weaviate) = &site.weaviate {
        let read = weaviate.read(CLASS, None);
        let read = read.iter().find(|object| object["id"] == id(answer)).expect("it is in Weaviate");
        assert_eq!(read["properties"]["content"], answer["content"]);
    }
}

fn a_stream_of_lines_is_remembered_as_its_text(site: &Site) {
    const MARK: &str = "/api/chat?lines";
    site.fixture.upstream.on(MARK, |exchange| {
        exchange.body()?;
        exchange.start("200 OK", &[("content-type", "application/x-ndjson")])?;
        for piece in ["one ", "two ", "three"] {
            let line =
                json!({"model": "llama3", "message": {"role": "assistant", "content": piece}, "done": false});
            exchange.chunk(format!("{line}\n").as_bytes())?;
        }
        let end = json!({
            "model": "llama3", "message": {"role": "assistant", "content": ""}, "done": true,
            "prompt_eval_count": 5, "eval_count": 3,
        });
        exchange.chunk(format!("{end}\n").as_bytes())?;
        exchange.end(&[])
    });
    let token = site.token("lines-alice");
    let body = json!({"model": "llama3", "messages": [{"role": "user", "content": "count"}]});
    let _ = site.said(&Request::post_json(MARK, &body).bearer(&token));
    let events = site.events(&token, 2);
    assert_eq!(text(only(&events, "answer"), "content"), "one two three");
    assert_eq!(text(only(&events, "prompt"), "content"), "count");
    assert_eq!(
        (&only(&events, "prompt")["tokens"], &only(&events, "answer")["tokens"]),
        (&json!(5), &json!(3))
    );
}

fn what_was_said_before_is_not_said_again(site: &Site) {
    let token = site.token("talk-alice");
    let messages = json!([
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "the first question"},
        {"role": "assistant", "content": "the first answer"},
        {"role": "user", "content": [{"type": "text", "text": "the second"}, {"type": "text", "text": "question"}]},
    ]);
    let _ =
        site.said(&kit::call(&token, &json!({"model": kit::MODEL, "messages": messages, "script": "no"})));
    let events = site.events(&token, 2);
    let prompt = text(only(&events, "prompt"), "content");
    assert!(prompt.contains("the second") && prompt.contains("question"), "{prompt}");
    assert!(!prompt.contains("first") && !prompt.contains("brief"), "{prompt}");
}

/// The ids of what is remembered are the filter's own: a client that names two calls alike loses neither.
fn a_call_that_is_sent_again_is_a_call_of_its_own(site: &Site) {
    let token = site.token("again-alice");
    for _ in 0..3 {
        let call = kit::chat(&token, "again", "and again");
        let _ = site.said(
            &call
                .header("x-request-id", "6f1c3e9e-0000-4000-8000-000000000001")
                .header("idempotency-key", "1"),
        );
    }
    let events = site.events(&token, 6);
    assert_eq!(events.iter().map(id).collect::<BTreeSet<_>>().len(), 6);
    let calls: BTreeSet<_> = events.iter().map(|event| text(event, "request_id")).collect();
    assert_eq!(calls, kit::calls(site, &token, 3));
}

fn what_is_to_be_kept_out_is_kept_out(site: &Site) {
    let token = site.token("off-alice");
    for word in ["off", "OFF"] {
        let _ = site
            .said(&kit::chat(&token, "not for kept-out-ears", "nor this").header("x-attach-memory", word));
        let _ = site
            .said(&kit::stream(&token, "not for kept-out-ears", &["nor"]).header("X-Attach-Memory", word));
    }
    site.settle();
    assert_eq!(listed(site, &token), Vec::<Value>::new());
    assert!(!site.keeps("kept-out-ears"));
}

fn what_is_not_talk_is_not_remembered(site: &Site) {
    let token = site.token("embedding-alice");
    let body = json!({"model": "embed", "input": "a text to be embedded"});
    for target in ["/v1/embeddings?quiet", "/api/embed?quiet"] {
        let _ = site.said(&Request::post_json(target, &body).bearer(&token));
    }
    let _ = site.said(&Request::get("/v1/models?quiet").bearer(&token));
    site.settle();
    assert_eq!(listed(site, &token), Vec::<Value>::new());
}

fn a_long_text_is_cut_between_two_characters_and_says_so(site: &Site) {
    let token = site.token("long-alice");
    // Of two bytes each, after one: the limit falls into the midst of one.
    let long = format!("x{}", "é".repeat(MAX_BYTES));
    let pieces: Vec<&str> = std::iter::once("x").chain(std::iter::repeat_n("éé", MAX_BYTES / 2)).collect();
    let whole = site.said(&kit::stream(&token, &long, &pieces));
    assert!(whole.text().matches("éé").count() >= pieces.len() - 1, "the client's own answer was cut");
    for event in site.events(&token, 2) {
        let content = text(&event, "content");
        assert!(long.starts_with(&content), "{content}");
        assert!((MAX_BYTES / 2..=MAX_BYTES).contains(&content.len()), "{} bytes are left", content.len());
        assert_eq!(event["truncated"], json!(true), "{event:#}");
    }
    // What just fits is whole.
    let token = site.token("long-bob");
    let fits = "y".repeat(MAX_BYTES);
    let _ = site.said(&kit::chat(&token, &fits, &fits));
    for event in site.events(&token, 2) {
        assert_eq!((text(&event, "content"), &event["truncated"]), (fits.clone(), &json!(false)));
    }
}

fn how_a_call_ended_is_remembered_too(site: &Site) {
    let messages = |content: &str| json!([{"role": "user", "content": content}]);
    let token = site.token("failing-alice");
    let body = json!({"model": kit::MODEL, "messages": messages("are you well?"), "script": {"status": 500}});
    assert_eq!(site.gateway().send(&kit::call(&token, &body)).status, 500);
    let events = attach_tests::wait::until_within(kit::PATIENCE, "the prompt of a call that failed", || {
        let events = listed(site, &token);
        (!events.is_empty()).then_some(events)
    });
    assert_eq!(text(only(&events, "prompt"), "content"), "are you well?");
    assert!(events.iter().all(|event| event["state"] == "error"), "{events:#?}");

    let token = site.token("broken-alice");
    let script = json!(["half an ", "answer", null]);
    let body = json!({"model": kit::MODEL, "stream": true, "messages": messages("go on"), "script": script});
    let mut stream = kit::call(&token, &body).open(site.gateway().address);
    assert_eq!(stream.head().0, 200);
    while let Ok(Some(_)) = stream.wire().piece() {}
    drop(stream);
    let events = site.events(&token, 2);
    let answer = only(&events, "answer");
    assert_eq!((text(answer, "content"), text(answer, "state")), ("half an answer".into(), "aborted".into()));
}

/// What is remembered of a user now.
fn listed(site: &Site, token: &str) -> Vec<Value> {
    kit::listed(&site.get(token, "/mem/events").expect(200))
}

/// A stop between a call and its being remembered is a second at most.
#[test]
fn what_was_said_is_there_within_two_seconds() {
    kit::on(kit::Backend::Embedded, |site| {
        let token = site.token("prompt-alice");
        let _ = site.said(&kit::chat(&token, "soon?", "soon"));
        let start = std::time::Instant::now();
        let _ = site.events(&token, 2);
        assert!(start.elapsed() < Duration::from_secs(2), "it took {} ms", start.elapsed().as_millis());
    });
}
