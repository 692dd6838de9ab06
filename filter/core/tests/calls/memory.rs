//! What is remembered of calls: what was said, by whom, and how it ended.

use attach_core::mirror::event::{ABORTED, DONE, ERROR};
use attach_core::mirror::pool::MAX_BYTES;
use attach_core::mirror::{MemoryEvent, Object};
use attach_core::redact::{Redactor, Rules};
use serde_json::{Value, json};

use crate::fixture::{
    CHAT, Call, Done, JSON, SSE, Worker, chat, completion, event, last_event, minute, token,
};

const NDJSON: &str = "application/x-ndjson";

/// A worker that remembers, with more members of `memory`.
pub(crate) fn remembering(memory: &Value) -> Worker {
    Worker::with(&minute(100_000_000), &json!({"memory": memory}))
}

/// What was remembered of a call so far; its memory goes back.
pub(crate) fn told(call: &mut Call) -> Vec<Object> {
    let at = call.done.iter().position(|done| matches!(done, Done::Remembered(_)));
    let told = at.map(|at| call.done.remove(at));
    assert!(!call.done.iter().any(|done| matches!(done, Done::Remembered(_))), "remembered twice");
    match told {
        Some(Done::Remembered(told)) => {
            let texts: usize = told.objects.iter().map(|object| object.properties.content.len()).sum();
            assert_eq!(told.share.bytes(), texts);
            told.objects
        }
        _ => Vec::new(),
    }
}

/// The events of a whole call: who speaks, what, and how it ended.
fn said(worker: &mut Worker, call: &mut Call) -> Vec<(String, String, String)> {
    worker.close(call).expect("a record");
    let said = told(call).into_iter().map(|object| {
        let event = object.properties;
        (event.role, event.content, event.state)
    });
    let said = said.collect();
    assert_eq!(worker.pool.taken(), 0);
    said
}

fn spoken(prompt: &str, answer: &str) -> Vec<(String, String, String)> {
    let one = |role: &str, text: &str| (role.to_owned(), text.to_owned(), DONE.to_owned());
    match answer {
        "" => vec![one("user", prompt)],
        answer => vec![one("user", prompt), one("assistant", answer)],
    }
}

/// Sends a body in two pieces.
fn send_split(worker: &mut Worker, path: &str, body: &[u8], at: usize) -> Call {
    let (bearer, length) = (format!("Bearer {}", token(&json!({}))), body.len().to_string());
    let headers =
        [(":method", "POST"), (":path", path), ("content-length", &*length), ("authorization", &*bearer)];
    let mut call = worker.open(&headers, false);
    worker.body(&mut call, &body[..at], false);
    worker.body(&mut call, &body[at..], true);
    call
}

#[test]
fn the_new_part_of_a_conversation_is_remembered_in_every_format_however_it_is_cut() {
    let turns = json!([
        {"role": "system", "content": "be kind"},
        {"content": "earlier", "role": "user"},
        {"content": "hello", "role": "assistant"},
        {"role": "user", "content": "how \"é\"?"},
        {"role": "tool", "tool_call_id": "t1", "content": "42"},
    ]);
    let parts = json!([
        {"role": "user", "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, {"type": "text", "text": "here"}]}]);
    let table = [
        (
            CHAT,
            json!({"model": "m", "messages": turns, "tools": [{"type": "function", "function": {"name": "f", "description": "secret sauce"}}]}),
            "how \"é\"?\n42",
        ),
        (CHAT, json!({"model": "m", "messages": parts}), "look\nhere"),
        (
            CHAT,
            json!({"model": "m", "messages": [{"role": "system", "content": "be kind"}, {"role": "user", "name": "bob", "content": "hi"}]}),
            "be kind\nhi",
        ),
        ("/v1/completions", json!({"model": "m", "prompt": "once upon", "suffix": "end"}), "once upon"),
        ("/v1/completions", json!({"model": "m", "prompt": ["one", "two"]}), "one\ntwo"),
        ("/v1/completions", json!({"model": "m", "prompt": [1, 2, 3]}), ""),
        ("/v1/responses", json!({"model": "m", "instructions": "be kind", "input": "hi"}), "hi"),
        (
            "/v1/responses",
            json!({"model": "m", "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "earlier"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "42"},
            {"role": "user", "content": "so?"}]}),
            "42\nso?",
        ),
        (
            "/v1/messages",
            json!({"model": "m", "max_tokens": 9, "system": "be kind", "messages": [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "x", "name": "f", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "x", "content": [{"type": "text", "text": "42"}]},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A".repeat(80)}}]}]}),
            "42",
        ),
        (
            "/v1beta/models/g:generateContent",
            json!({"systemInstruction": {"parts": [{"text": "be kind"}]}, "contents": [
            {"role": "user", "parts": [{"text": "earlier"}]}, {"parts": [{"text": "hello"}], "role": "model"},
            {"role": "user", "parts": [{"text": "and"}, {"functionResponse": {"name": "f", "response": {"n": 1}}}]}]}),
            "and\n{\"name\":\"f\",\"response\":{\"n\":1}}",
        ),
        ("/api/chat", json!({"model": "m", "messages": turns}), "how \"é\"?\n42"),
        (
            "/api/generate",
            json!({"model": "m", "system": "be kind", "prompt": "hi", "images": ["AAAA"]}),
            "hi",
        ),
        ("/generate", json!({"inputs": "hi", "parameters": {"stop": ["x"]}}), "hi"),
    ];
    let mut worker = remembering(&json!({}));
    for (path, body, prompt) in table {
        let body = body.to_string();
        for at in 0..body.len() {
            let mut call = send_split(&mut worker, path, body.as_bytes(), at);
            worker.respond(&mut call, 200, JSON, b"{}");
            assert_eq!(said(&mut worker, &mut call), spoken(prompt, ""), "{path} {body} at {at}");
        }
    }
}

#[test]
fn the_answer_is_remembered_in_every_format_however_it_is_cut() {
    // The type first, as providers write it.
    let typed = |event: &Value| {
        let mut event = event.clone();
        let kind = event.as_object_mut().unwrap().remove("type");
        let rest = event.to_string();
        match kind {
            Some(kind) if rest == "{}" => format!("data: {{\"type\":{kind}}}\n\n"),
            Some(kind) => format!("data: {{\"type\":{kind},{}\n\n", &rest[1..]),
            None => format!("data: {rest}\n\n"),
        }
    };
    let sse = |events: &[Value]| events.iter().map(typed).collect::<String>();
    let lines = |events: &[Value]| events.iter().map(|event| format!("{event}\n")).collect::<String>();
    let delta = |index: u64, delta: Value| json!({"choices": [{"index": index, "delta": delta}]});
    let call = json!({"index": 0, "id": "c", "type": "function", "function": {"name": "look", "arguments": "{\"a\""}});
    let more = json!({"index": 0, "function": {"arguments": ":1}"}});
    let table = [
        (CHAT, JSON, String::from_utf8(completion("yes é", Some((9, 1)))).unwrap(), "yes é"),
        (CHAT, JSON, json!({"choices": [
            {"index": 1, "message": {"content": "no"}},
            {"index": 0, "message": {"reasoning_content": "hm", "content": "yes", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}}]}).to_string(),
            "yes\nf {}\n\nno"),
        (CHAT, JSON, json!({"choices": [{"message": {"content": null, "refusal": "no"}}]}).to_string(), "no"),
        (CHAT, SSE, sse(&[delta(0, json!({"role": "assistant", "content": "ye"})), delta(1, json!({"content": "no"})),
            delta(0, json!({"reasoning": "hm"})), delta(0, json!({"content": "s é"}))]) + &last_event("stop") + "data: [DONE]\n\n", "yes é\n\nno"),
        (CHAT, SSE, sse(&[delta(0, json!({"content": "so"})), delta(0, json!({"tool_calls": [call]})), delta(0, json!({"tool_calls": [more]}))])
            + "data: [DONE]\n\n", "so\nlook {\"a\":1}"),
        ("/v1/completions", JSON, json!({"choices": [{"index": 0, "text": " yes"}]}).to_string(), " yes"),
        ("/v1/completions", SSE, sse(&[json!({"choices": [{"index": 0, "text": " ye"}]}), json!({"choices": [{"index": 0, "text": "s"}]})]) + "data: [DONE]\n\n", " yes"),
        ("/v1/responses", JSON, json!({"output": [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "message", "content": [{"type": "output_text", "text": "yes"}]},
            {"type": "function_call", "name": "f", "arguments": "{}"}]}).to_string(), "yes\nf {}"),
        ("/v1/responses", SSE, sse(&[json!({"type": "response.reasoning_summary_text.delta", "delta": "hm"}),
            json!({"type": "response.output_text.delta", "delta": "ye"}), json!({"type": "response.output_text.delta", "delta": "s"}),
            json!({"type": "response.output_text.done", "text": "yes"}),
            json!({"type": "response.output_item.added", "item": {"type": "function_call", "name": "f"}}),
            json!({"type": "response.function_call_arguments.delta", "delta": "{}"}),
            json!({"type": "response.completed", "response": {"output": [{"content": [{"text": "yes"}]}]}})]), "yes\nf {}"),
        ("/v1/messages", JSON, json!({"type": "message", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "yes"},
            {"type": "tool_use", "name": "f", "input": {"a": 1}}]}).to_string(), "yes\nf {\"a\":1}"),
        ("/v1/messages", SSE, sse(&[json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ye"}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "s"}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "name": "f", "input": {}}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}}),
            json!({"type": "message_stop"})]), "yes\nf {}"),
        ("/v1beta/models/g:generateContent", JSON, json!({"candidates": [{"content": {"parts": [{"text": "yes"}, {"functionCall": {"name": "f", "args": {"a": 1}}}]}, "finishReason": "STOP"}]}).to_string(),
            "yes\nf {\"a\":1}"),
        ("/v1beta/models/g:streamGenerateContent", SSE, sse(&[json!({"candidates": [{"content": {"parts": [{"text": "ye"}]}}]}),
            json!({"candidates": [{"content": {"parts": [{"text": "s"}]}, "finishReason": "STOP"}]})]), "yes"),
        ("/api/chat", NDJSON, lines(&[json!({"message": {"content": "ye"}, "done": false}), json!({"message": {"content": "s", "thinking": "hm"}, "done": false}),
            json!({"message": {"content": ""}, "done": true, "eval_count": 3})]), "yes"),
        ("/api/generate", NDJSON, lines(&[json!({"response": "ye", "done": false}), json!({"response": "s", "done": false}), json!({"response": "", "done": true})]), "yes"),
        (CHAT, "text/plain", "nothing that is known".to_owned(), ""),
    ];
    let mut worker = remembering(&json!({}));
    for (path, kind, answer, text) in table {
        // As engines write it: the name first, and the choice's index.
        let no = r#""delta":{"content":"no"}"#;
        let mut answer = answer.replace(&format!("{no},\"index\":1"), &format!("\"index\":1,{no}"));
        for (name, sorted) in [
            ("f", r#""arguments":"{}","#),
            ("look", r#""arguments":"{\"a\"","#),
            ("f", r#""args":{"a":1},"#),
            ("f", r#""input":{"a":1},"#),
        ] {
            let (name, members) = (format!("\"name\":\"{name}\""), sorted.trim_end_matches(','));
            answer = answer.replace(&format!("{sorted}{name}"), &format!("{name},{members}"));
        }
        for at in 0..=answer.len() {
            let mut call = worker.send(path, &json!({"model": "m", "prompt": "hi", "stream": kind != JSON}));
            worker.answer(&mut call, &[(":status", "200"), ("content-type", kind)], false);
            worker.chunk(&mut call, &answer.as_bytes()[..at], false);
            worker.chunk(&mut call, &answer.as_bytes()[at..], false);
            worker.chunk(&mut call, b"", true);
            let expected =
                if path.starts_with("/v1/completions") || path == "/api/generate" { "hi" } else { "" };
            let mut said = said(&mut worker, &mut call);
            said[0].1.retain(|c| !"hi".contains(c) || !expected.is_empty());
            assert_eq!(said, spoken(expected, text), "{path} {kind} at {at}");
        }
    }
}

#[test]
fn an_event_says_who_when_and_what_it_cost() {
    let mut worker = Worker::with(
        &minute(1000),
        &json!({"memory": {"weaviate": {"target": {"cluster": "w", "scheme": "http", "authority": "w", "path": "/"}, "tenants": true}}}),
    );
    let started = worker.now;
    let mut call = worker.send(CHAT, &chat("hi", &json!({})));
    let session = call.header("x-attach-session").unwrap().to_owned();
    worker.now += 250;
    worker.respond(&mut call, 200, JSON, &completion("yes", Some((9, 1))));
    let record = worker.close(&mut call).unwrap().record;
    let objects = told(&mut call);
    let event = |role: &str, event: &str, content: &str, tokens, at| MemoryEvent {
        timestamp: attach_core::clock::UnixMillis(at),
        event: event.into(),
        session_id: session.clone(),
        user: "alice".into(),
        owner: "alice".into(),
        role: role.into(),
        content: content.into(),
        model: "gpt-4-0613".into(),
        tokens,
        request_id: "call-1".into(),
        state: DONE.into(),
        ..MemoryEvent::default()
    };
    assert_eq!(session.len(), 64);
    assert_eq!(record.id, "call-1");
    let expected = [
        Object::new("call-1", event("user", "prompt", "hi", 9, started), true),
        Object::new("call-1", event("assistant", "answer", "yes", 1, started + 250), true),
    ];
    assert_eq!(objects, expected);
}

#[test]
fn whoever_says_so_is_not_remembered() {
    let mut worker = remembering(&json!({}));
    let body = chat("hi", &json!({})).to_string();
    for (name, value, is_off) in [
        ("x-attach-memory", "off", true),
        ("X-Attach-Memory", " OFF ", true),
        ("x_attach_memory", "Off", true),
        ("x-attach_MEMORY", "off", true),
        ("x-attach-memory", "on", false),
        ("x-attach-memory", "", false),
        ("x-attach-memoryx", "off", false),
        ("x-attached-memory", "off", false),
    ] {
        let mut call = worker.send_with(CHAT, &[(name, value)], body.as_bytes());
        worker.respond(&mut call, 200, JSON, &completion("yes", None));
        let record = worker.close(&mut call).unwrap().record;
        assert_eq!((told(&mut call).is_empty(), record.id.is_empty()), (is_off, is_off), "{name}: {value}");
    }
    let bearer = format!("Bearer {}", token(&json!({})));
    let headers = [
        (":method", "POST"),
        (":path", CHAT),
        ("authorization", &*bearer),
        ("x-attach-memory", "on"),
        ("x-attach-memory", "off"),
    ];
    let mut call = worker.open(&headers, false);
    worker.body(&mut call, body.as_bytes(), true);
    worker.close(&mut call);
    assert!(told(&mut call).is_empty());
}

#[test]
fn embeddings_and_what_is_refused_are_not_remembered() {
    let mut worker = remembering(&json!({}));
    for (path, body) in [
        ("/v1/embeddings", json!({"model": "m", "input": "hi"})),
        ("/api/embed", json!({"model": "m", "input": ["hi"]})),
        ("/rerank", json!({"query": "hi", "documents": ["a"]})),
        ("/invocations", json!({"input": "hi"})),
    ] {
        let mut call = worker.send(path, &body);
        worker.respond(&mut call, 200, JSON, b"{}");
        worker.close(&mut call);
        assert!(told(&mut call).is_empty(), "{path}");
    }
    let mut call = worker.send_with(CHAT, &[("content-encoding", "gzip")], b"x");
    assert!(call.reply().is_some());
    worker.close(&mut call);
    assert!(told(&mut call).is_empty());
    let mut worker = Worker::new(&minute(1000));
    let mut call = worker.send(CHAT, &chat("hi", &json!({})));
    worker.respond(&mut call, 200, JSON, &completion("yes", None));
    assert!(worker.close(&mut call).unwrap().record.id.is_empty() && told(&mut call).is_empty());
}

#[test]
fn how_a_call_ended_is_remembered() {
    let mut worker = remembering(&json!({}));
    let one = |role: &str, text: &str, state: &str| (role.to_owned(), text.to_owned(), state.to_owned());
    // Nobody answers.
    let mut call = worker.send(CHAT, &chat("hi", &json!({})));
    assert_eq!(said(&mut worker, &mut call), [one("user", "hi", ERROR)]);
    // The upstream refuses.
    let mut call = worker.send(CHAT, &chat("hi", &json!({})));
    worker.respond(&mut call, 500, JSON, &completion("sorry", None));
    assert_eq!(said(&mut worker, &mut call), [one("user", "hi", ERROR)]);
    // The client goes, or the upstream breaks off, also in mid-event.
    for more in ["", "data: {\"choices\":[{\"delta\":{\"content\":\"t"] {
        let mut call = worker.send(CHAT, &chat("hi", &json!({"stream": true})));
        worker.answer(&mut call, &[(":status", "200"), ("content-type", SSE)], false);
        worker.chunk(&mut call, (event("no") + more).as_bytes(), false);
        let text = if more.is_empty() { "no" } else { "not" };
        assert_eq!(
            said(&mut worker, &mut call),
            [one("user", "hi", ABORTED), one("assistant", text, ABORTED)]
        );
    }
    // All was said before the client went.
    let mut call = worker.send(CHAT, &chat("hi", &json!({"stream": true})));
    worker.answer(&mut call, &[(":status", "200"), ("content-type", SSE)], false);
    worker.chunk(&mut call, (event("yes") + "data: [DONE]\n\n").as_bytes(), false);
    assert_eq!(said(&mut worker, &mut call), spoken("hi", "yes"));
    // The answer's text cannot be read.
    let mut call = worker.send(CHAT, &chat("hi", &json!({})));
    worker.answer(
        &mut call,
        &[(":status", "200"), ("content-type", JSON), ("content-encoding", "gzip")],
        false,
    );
    worker.chunk(&mut call, b"\x1f\x8b", false);
    worker.chunk(&mut call, b"", true);
    assert_eq!(said(&mut worker, &mut call), spoken("hi", ""));
    // Its budget ends it; the last event is not the model's.
    let mut worker = Worker::with(&minute(300), &json!({"memory": {}}));
    let mut call = worker.send(CHAT, &chat("hi", &json!({"stream": true})));
    worker.answer(&mut call, &[(":status", "200"), ("content-type", SSE)], false);
    let mut sent = 0;
    while !call.machine.is_waiting() {
        worker.chunk(&mut call, event(" word").as_bytes(), false);
        sent += 1;
    }
    let said = said(&mut worker, &mut call);
    assert_eq!(said[1].2, ABORTED);
    assert!(
        (sent - 1..=sent).contains(&said[1].1.matches(" word").count()) && said[1].1.len().is_multiple_of(5)
    );
}

#[test]
fn long_texts_are_cut_and_no_worker_keeps_more_than_it_may() {
    let mut worker = remembering(&json!({"max_bytes": 2048}));
    let long = "all work and no play ".repeat(5000);
    let mut call = worker.send(CHAT, &chat(&long, &json!({})));
    worker.respond(&mut call, 200, JSON, &completion(&long, None));
    worker.close(&mut call);
    for object in told(&mut call) {
        let event = object.properties;
        assert!(event.truncated && long.starts_with(&event.content) && event.content.len() <= 2048);
        assert!(event.content.len() > 2000);
    }
    let mut worker = remembering(&json!({"max_bytes": 1_048_576}));
    let huge = "some words ".repeat(82_000);
    let mut calls: Vec<Call> = (0..12)
        .map(|_| {
            let mut call = worker.send(CHAT, &chat(&huge, &json!({"stream": true})));
            worker.answer(&mut call, &[(":status", "200"), ("content-type", SSE)], false);
            worker.chunk(&mut call, event(&huge[..9000]).as_bytes(), false);
            assert!(worker.pool.taken() <= MAX_BYTES);
            call
        })
        .collect();
    assert!(worker.pool.taken() > MAX_BYTES / 2);
    let mut cut = 0;
    for call in &mut calls {
        worker.close(call);
        cut += told(call).iter().filter(|object| object.properties.truncated).count();
    }
    assert!(cut >= 2, "{cut}");
    assert_eq!(worker.pool.taken(), 0);
}

#[test]
fn a_secret_that_comes_in_pieces_is_redacted_as_a_whole() {
    let redactor = Redactor::new(&Rules::default()).unwrap();
    let key = format!("sk-{}", "a1B2c3D4e5F6".repeat(4));
    let text = format!("my key is {key} and that was it");
    let expected = redactor.redact(&text).into_owned();
    assert!(!expected.contains(&key) && expected.contains("[REDACTED:"), "{expected}");
    let mut worker = remembering(&json!({}));
    for size in [1, 3, 7, 20] {
        let mut call = worker.send(CHAT, &chat(&text, &json!({"stream": true})));
        worker.answer(&mut call, &[(":status", "200"), ("content-type", SSE)], false);
        for piece in text.as_bytes().chunks(size) {
            worker.chunk(&mut call, event(core::str::from_utf8(piece).unwrap()).as_bytes(), false);
        }
        worker.chunk(&mut call, b"data: [DONE]\n\n", true);
        assert_eq!(said(&mut worker, &mut call), spoken(&expected, &expected));
    }
}

#[test]
fn a_body_that_cannot_be_read_is_remembered_as_far_as_it_can() {
    let mut worker = Worker::with(&json!({"default_output": 100}), &json!({"memory": {}}));
    let mut call = worker.send_with(CHAT, &[], br#"{"messages":[{"content":"hi there"}],"n":}"#);
    worker.respond(&mut call, 200, JSON, &completion("yes", None));
    worker.close(&mut call);
    let objects = told(&mut call);
    // Its last word may be half a secret.
    let event = &objects[0].properties;
    assert!(event.content.starts_with("hi") && event.truncated);
}

#[test]
fn what_stands_in_a_models_place_is_redacted_too() {
    let mut worker = remembering(&json!({}));
    let key = ["sk-ant-", "api03-abcdefghij0123456789"].concat();
    let body = json!({"model": key, "messages": [{"role": "user", "content": "hi"}]});
    let mut call = worker.send(CHAT, &body);
    worker.respond(&mut call, 200, JSON, br#"{"choices":[{"message":{"content":"yes"}}]}"#);
    worker.close(&mut call);
    let objects = told(&mut call);
    assert_eq!(objects.len(), 2);
    assert!(objects.iter().all(|object| object.properties.model == "[REDACTED:anthropic-key]"));
}
