//! Ways to tokens that nobody pays for, and ways to keep others from theirs, that were found and closed.

use serde_json::{Value, json};

use crate::fixture::{CHAT, Call, JSON, SSE, Worker, chat, completion, event, last_event, minute, token};

/// Whose limit stops a call that fits into none.
fn stopped_by(worker: &mut Worker, path: &str, body: &str) -> String {
    let call = worker.send_with(path, &[], body.as_bytes());
    let reply: Value = call.reply().map_or(Value::Null, |reply| serde_json::from_str(reply.2).unwrap());
    reply["limit"].as_str().unwrap_or("nothing").to_owned()
}

#[test]
fn a_model_that_two_engines_read_differently_counts_against_every_models_limit() {
    let limits = json!({"default_output": 100, "limits": [
        {"name": "large", "model": "large*", "tokens": 50, "window": {"sliding": 60}}]});
    for (path, model, expected) in [
        (CHAT, r#""model":"small""#, "nothing"),
        (CHAT, r#""model":"large-1""#, "large"),
        (CHAT, r#""model":"small","Model":"large-1""#, "large"),
        (CHAT, r#""MODEL":"large-1","model":"small""#, "large"),
        (CHAT, r#""model":"large-1","model":"small""#, "large"),
        (CHAT, r#""model":"small","mode\u006c":"large-1""#, "large"),
        (CHAT, r#""model":["large-1"],"model":"small""#, "large"),
        (CHAT, r#""x":1"#, "large"),
        // The engine may read either.
        ("/engines/small/v1/chat/completions", r#""model":"large-1""#, "large"),
        ("/engines/small/v1/chat/completions", r#""model":"small""#, "nothing"),
        ("/v1/engines/large-1/completions", r#""model":"small""#, "large"),
        ("/v1beta/models/small:generateContent", r#""model":"models/small""#, "nothing"),
    ] {
        let body =
            format!(r#"{{{model},"messages":[{{"role":"user","content":"{}"}}]}}"#, "word ".repeat(90));
        assert_eq!(stopped_by(&mut Worker::new(&limits), path, &body), expected, "{path} {model}");
    }
}

#[test]
fn what_only_says_that_it_is_grpc_is_read_all_the_same() {
    let routes = json!({"routes": [{"path": "/**", "tokens": {"flat_charge": 1}}]});
    let body = chat("hi", &json!({"max_tokens": 5})).to_string();
    for kind in ["application/grpc", "application/grpc-web+json", "application/grpc+json;x=y"] {
        for policy in [minute(1000), json!({})] {
            let mut worker = Worker::with(&policy, &routes);
            let mut call = worker.send_with(CHAT, &[("content-type", kind)], body.as_bytes());
            worker.respond(&mut call, 200, JSON, &completion("yes", Some((9, 1))));
            assert_eq!(worker.costs(&mut call), (9, 1), "{kind}");
        }
    }
    // What is one costs what its route says, whatever its method is called.
    let mut worker = Worker::with(&minute(1000), &routes);
    let mut call =
        worker.send_with("/inference.Service/Generate", &[("content-type", "application/grpc")], b"\0");
    assert_eq!(worker.costs(&mut call), (1, 0));
}

#[test]
fn a_call_that_says_that_it_is_an_upgrade_is_none() {
    // Engines answer it as if the header were not there.
    for policy in [minute(1000), json!({})] {
        let mut worker = Worker::new(&policy);
        let body = chat("hi", &json!({})).to_string();
        let call = worker.send_with(CHAT, &[("upgrade", "websocket")], body.as_bytes());
        assert_eq!(call.became(), "uncountable");
    }
}

#[test]
fn an_upgrade_that_is_refused_costs_nothing() {
    let routes = json!({"routes": [{"path": "/v1/realtime", "tokens": {"flat_charge": 300}}]});
    let headers = [(":method", "GET"), ("upgrade", "websocket")];
    for (status, expected) in [("101", 300), ("200", 300), ("403", 0), ("503", 0)] {
        let mut worker = Worker::with(&minute(1000), &routes);
        let mut call = worker.send_with("/v1/realtime", &headers, b"");
        worker.answer(&mut call, &[(":status", status)], true);
        assert_eq!(worker.costs(&mut call), (expected, 0), "{status}");
        assert_eq!(worker.used(), expected);
    }
}

#[test]
fn a_record_never_says_more_than_its_receiver_takes() {
    let routes = json!({"routes": [{"path": "/v1/realtime", "tokens": {"flat_charge": 2_000_000_000}}]});
    let mut worker = Worker::with(&json!({}), &routes);
    let headers = [(":method", "GET"), ("upgrade", "websocket")];
    let mut call = worker.send_with("/v1/realtime", &headers, b"");
    worker.answer(&mut call, &[(":status", "101")], true);
    assert_eq!(worker.costs(&mut call), (attach_core::meter::bounds::MAX_TOKENS, 0));
}

#[test]
fn an_upgrade_whose_record_nobody_takes_follows_its_routes_mode() {
    let routes = json!({"routes": [{"path": "/v1/realtime", "tokens": {"flat_charge": 300}}]});
    let mut worker = Worker::with(&minute(1000), &routes);
    worker.is_full = true;
    let call = worker.send_with("/v1/realtime", &[(":method", "GET"), ("upgrade", "websocket")], b"");
    assert_eq!((call.became(), worker.book.holds()), ("records_full", 0));
}

#[test]
fn a_counted_routes_method_is_one_in_any_letters() {
    let routes = json!({"routes": [{"path": "/mine", "tokens": {"count": true}}]});
    let mut worker = Worker::with(&minute(1000), &routes);
    let body = chat("hi", &json!({})).to_string();
    let mut call = worker.send_with("/mine", &[(":method", "post")], body.as_bytes());
    assert!(worker.close(&mut call).is_some());
}

#[test]
fn an_answer_that_may_not_be_a_stream_is_capped() {
    for more in [
        r#","stream":true,"stream":false"#,
        r#","Stream":true"#,
        r#","stream":"yes""#,
        r#","stream":1"#,
        r#","stream":false,"STREAM":true"#,
    ] {
        let body = format!(r#"{{"messages":[{{"role":"user","content":"hi"}}]{more}}}"#);
        let call = Worker::new(&minute(1000)).send_with(CHAT, &[], body.as_bytes());
        let sent = String::from_utf8(call.body.clone()).unwrap();
        assert!(sent.ends_with(r#""max_tokens":100}"#), "{sent}");
    }
}

#[test]
fn engines_without_a_known_format_are_not_free() {
    let llama =
        json!({"content": "one two three four", "stop": true, "tokens_predicted": 40, "tokens_evaluated": 9});
    let silent = json!({"content": "one two three four", "stop": true});
    let tgi = json!({"generated_text": "one two three four"});
    let detailed = json!({"generated_text": "x", "details": {"generated_tokens": 17}});
    let strange = json!({"predictions": ["one two three four"]});
    for (path, answer, expected) in [
        ("/completion", llama, 40),
        ("/completion", silent, 4),
        ("/generate", tgi.clone(), 4),
        ("/generate", json!([tgi]), 4),
        ("/generate", detailed, 17),
        // Nobody can tell: no more than its bytes, and no more than was set aside.
        ("/predict", strange.clone(), strange.to_string().len() as u64),
        ("/predict", json!({"predictions": "x".repeat(500)}), 100),
    ] {
        let mut worker = Worker::new(&minute(1000));
        let mut call = worker.send(path, &json!({"inputs": "hi"}));
        worker.respond(&mut call, 200, JSON, answer.to_string().as_bytes());
        assert_eq!(worker.costs(&mut call).1, expected, "{answer}");
    }
    for (path, answer) in
        [("/rerank", json!({"results": [{"index": 0, "score": 0.5}]})), ("/score", json!({"data": []}))]
    {
        let mut worker = Worker::new(&minute(1000));
        let mut call = worker.send(path, &json!({"query": "hi", "documents": ["a"]}));
        worker.respond(&mut call, 200, JSON, answer.to_string().as_bytes());
        assert_eq!(worker.costs(&mut call).1, 0, "{path}");
    }
}

#[test]
fn engines_streams_without_a_known_format_are_not_free() {
    let llama =
        "data: {\"content\":\"one\",\"stop\":false}\n\ndata: {\"content\":\" two\",\"stop\":false}\n\n";
    let tgi = "data: {\"token\":{\"text\":\"one\"},\"generated_text\":null}\n\n\
        data: {\"token\":{\"text\":\" two\"},\"generated_text\":\"one two\"}\n\n";
    for (path, answer) in [("/completion", llama), ("/generate_stream", tgi)] {
        let mut worker = Worker::new(&minute(1000));
        let mut call = worker.send(path, &json!({"inputs": "hi", "stream": true}));
        worker.respond(&mut call, 200, SSE, answer.as_bytes());
        assert_eq!(worker.costs(&mut call).1, 2, "{path}");
    }
}

#[test]
fn nobody_talks_an_engine_out_of_saying_what_streams_cost() {
    let own = r#"{"detail":[{"loc":["body","stream_options"],"msg":"Extra inputs are not permitted","type":"extra_forbidden"}]}"#;
    let echo =
        |sent: &str| format!(r#"{{"detail":[{{"type":"missing","loc":["body","x"],"input":{sent}}}]}}"#);
    let python =
        |_: &str| "[{'input': {'stream': True, 'stream_options': {'include_usage': True}}}]".to_owned();
    let plain = chat("hi", &json!({"stream": true})).to_string();
    let said = chat("stream_options", &json!({"stream": true})).to_string();
    let hidden = plain.replace("hi", r"stream\u005foptions");
    let word = |_: &str| "not known: stream_options".to_owned();
    let refusal = |_: &str| own.to_owned();
    let table: [(&str, &dyn Fn(&str) -> String, bool); 7] = [
        (&plain, &refusal, true),
        (&plain, &word, true),
        // An answer that shows the request says nothing about what the gateway put into it.
        (&plain, &echo, false),
        (&plain, &python, false),
        // Nor does what a client has put there itself.
        (&said, &word, false),
        (&hidden, &word, false),
        (&hidden, &echo, false),
    ];
    for (body, answer, expected) in table {
        let mut worker = Worker::new(&minute(1000));
        let mut call = worker.send_with(CHAT, &[], body.as_bytes());
        assert!(call.sent()["stream_options"].is_object());
        let answer = answer(std::str::from_utf8(&call.body).unwrap());
        for size in [1, 1000] {
            worker.refuses = false;
            let mut call = worker.send_with(CHAT, &[], body.as_bytes());
            worker.answer(&mut call, &[(":status", "422"), ("content-type", JSON)], false);
            for piece in answer.as_bytes().chunks(size) {
                worker.chunk(&mut call, piece, false);
            }
            worker.chunk(&mut call, b"", true);
            assert_eq!(call.got(), answer);
            assert_eq!(worker.costs(&mut call), (0, 0));
            assert_eq!(worker.refuses, expected, "{body} {answer}");
        }
        worker.close(&mut call);
    }
}

#[test]
fn a_refusal_of_any_length_is_read_once() {
    let mut worker = Worker::new(&minute(1000));
    let mut call = worker.send(CHAT, &chat("hi", &json!({"stream": true})));
    worker.answer(&mut call, &[(":status", "400")], false);
    let begun = std::time::Instant::now();
    for _ in 0..30_000 {
        worker.chunk(&mut call, b"_", false);
    }
    assert!(begun.elapsed().as_secs() < 5);
}

#[test]
fn a_body_whose_length_is_a_lie_is_not_kept() {
    let body = chat(&"word ".repeat(20_000), &json!({"max_tokens": 5})).to_string();
    let mut worker = Worker::new(&minute(1_000_000));
    let mut call = worker.send_with(CHAT, &[("content-length", "100")], body.as_bytes());
    worker.respond(&mut call, 200, JSON, &completion("yes", None));
    let (input, output) = worker.costs(&mut call);
    assert!((20_000..20_100).contains(&input) && output == 1, "{input} {output}");
}

#[test]
fn requests_that_never_come_take_no_room_from_others() {
    let mut worker = Worker::new(&minute(1_000_000));
    let bearer = format!("Bearer {}", token(&json!({})));
    let headers = [(":method", "POST"), (":path", CHAT), ("authorization", &*bearer)];
    let slow: Vec<Call> = (0..10_000).map(|_| worker.open(&headers, false)).collect();
    assert_eq!(worker.send(CHAT, &chat("hi", &json!({}))).became(), "forwarded");
    drop(slow);
}

#[test]
fn a_stream_with_a_cap_takes_no_more_than_that() {
    let mut worker = Worker::new(&json!({"default_output": 4096, "limits": [
        {"name": "minute", "tokens": 10_000, "window": {"sliding": 60}}]}));
    let mut call = worker.send(CHAT, &chat("hi", &json!({"stream": true, "max_tokens": 10})));
    worker.answer(&mut call, &[(":status", "200"), ("content-type", SSE)], false);
    for _ in 0..5 {
        worker.chunk(&mut call, event("word ").as_bytes(), false);
    }
    let other = worker.send(CHAT, &chat("hi", &json!({"max_tokens": 9900})));
    assert_eq!(other.became(), "forwarded");
    worker.close(&mut call);
}

#[test]
fn a_stream_whose_cap_was_lowered_ends_as_its_engine_ends_it() {
    let mut worker = Worker::new(&minute(20));
    let mut call = worker.send(CHAT, &chat("hi", &json!({"stream": true, "max_tokens": 500})));
    assert_eq!(call.sent()["max_tokens"], 11);
    worker.answer(&mut call, &[(":status", "200"), ("content-type", SSE)], false);
    let mut whole = String::new();
    for _ in 0..11 {
        whole += &event(" word");
        worker.chunk(&mut call, event(" word").as_bytes(), false);
    }
    whole += &last_event("length");
    worker.chunk(&mut call, last_event("length").as_bytes(), false);
    let usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":11}}\n\n";
    worker.chunk(&mut call, usage.as_bytes(), false);
    whole += "data: [DONE]\n\n";
    worker.chunk(&mut call, b"data: [DONE]\n\n", true);
    assert_eq!(call.got(), whole);
    assert!(!call.was_reset());
    let finished = worker.close(&mut call).unwrap();
    assert_eq!((finished.record.input, finished.record.output, finished.was_cut), (8, 11, false));
}

#[test]
fn shadow_mode_changes_no_answer() {
    let shadow = json!({"mode": "shadow"});
    let mut worker = Worker::with(&minute(20), &shadow);
    let call = worker.send(CHAT, &chat("hi", &json!({"max_tokens": 500})));
    assert_eq!(call.sent()["max_tokens"], 500);
    let mut worker = Worker::with(&minute(20), &shadow);
    let call = worker.send(CHAT, &chat("hi", &json!({})));
    assert_eq!(call.sent().get("max_tokens"), None);
    let mut worker = Worker::with(&minute(20), &shadow);
    let body = chat("hi", &json!({"max_tokens": 500})).to_string();
    let call = worker.send_with(CHAT, &[("content-digest", "x")], body.as_bytes());
    assert_eq!(call.became(), "forwarded");
    let mut worker = Worker::with(&minute(20), &shadow);
    let mut call = worker.send(CHAT, &chat("hi", &json!({"stream": true})));
    worker.answer(&mut call, &[(":status", "200"), ("content-type", SSE)], false);
    let mut whole = String::new();
    for _ in 0..200 {
        whole += &event(" word");
        worker.chunk(&mut call, event(" word").as_bytes(), false);
    }
    assert_eq!(call.got(), whole);
    assert_eq!(worker.costs(&mut call).1, 200);
}

#[test]
fn a_stream_grows_as_fast_as_it_comes() {
    let mut worker = Worker::new(&json!({"default_output": 10, "usage_injection": "off", "limits": [
        {"name": "minute", "tokens": 100_000, "window": {"sliding": 60}}]}));
    let mut call = worker.send(CHAT, &chat("hi", &json!({"stream": true})));
    worker.answer(&mut call, &[(":status", "200"), ("content-type", SSE)], false);
    let chunk = event(" word").repeat(1000);
    worker.chunk(&mut call, chunk.as_bytes(), false);
    assert_eq!(call.got(), chunk);
    assert_eq!(worker.costs(&mut call).1, 1000);
}

#[test]
fn nothing_is_held_after_a_fault() {
    let mut worker = Worker::new(&minute(1000));
    for is_answered in [false, true] {
        let mut call = worker.send(CHAT, &chat("hi", &json!({})));
        if is_answered {
            worker.answer(&mut call, &[(":status", "200")], false);
        }
        worker.step(&mut call, attach_core::stream::Input::RequestHeaders(&[], false));
        assert_eq!(call.became(), "filter_fault");
        let records =
            call.done.iter().filter(|done| matches!(done, crate::fixture::Done::Finished(_))).count();
        assert_eq!((records, worker.close(&mut call).is_none(), worker.book.holds()), (1, true, 0));
    }
}
