//! What a call must fit into before it goes upstream, and what it looks like when it does.

use attach_core::quota::book::Need;
use attach_core::stream::{Flow, Input};
use serde_json::{Value, json};

use crate::fixture::{CHAT, Call, JSON, NOW, Worker, chat, completion, day, minute, token};

/// How much of alice's limit is held.
fn held(worker: &Worker) -> u64 {
    let accounting = worker.policy.accounting.as_ref().unwrap();
    let rule = &accounting.limits[0];
    let key = attach_core::quota::Key::of(&rule.limit.name, if rule.is_shared { "" } else { "alice" });
    let need = Need { key, limit: &rule.limit };
    worker.book.view(&[need], attach_core::clock::UnixMillis(worker.now))[0].held
}

/// "hi" from a user: 3 and 4, the role, the word.
const HI: u64 = 9;
/// The same by its bytes.
const HI_BOUND: u64 = 13;

#[test]
fn what_a_call_may_cost_is_set_aside_before_it_goes() {
    for (path, body, expected) in [
        // The largest cap, times the answers.
        (CHAT, chat("hi", &json!({"max_tokens": 20})), HI + 20),
        (CHAT, chat("hi", &json!({"max_tokens": 20, "max_completion_tokens": 50})), HI + 50),
        (CHAT, chat("hi", &json!({"max_tokens": 20, "n": 3})), HI + 60),
        (CHAT, chat("hi", &json!({"max_tokens": "20", "n": 2, "best_of": 4})), HI + 80),
        // A default where none is stated, or one that an engine might not obey.
        (CHAT, chat("hi", &json!({})), HI + 100),
        (CHAT, chat("hi", &json!({"max_tokens": null})), HI + 100),
        (CHAT, chat("hi", &json!({"max_tokens": -1})), HI + 100),
        (CHAT, chat("hi", &json!({"max_tokens": 0})), HI + 100),
        (CHAT, chat("hi", &json!({"Max_Tokens": 20})), HI + 100),
        (CHAT, chat("hi", &json!({"options": {"num_predict": 20}})), HI + 100),
        // Never more than the limit.
        (CHAT, chat("hi", &json!({"max_tokens": 1e9})), 1000),
        (CHAT, chat("hi", &json!({"max_tokens": 20, "n": 100})), 1000),
        // What writes nothing costs its prompt.
        ("/v1/embeddings", json!({"model": "e", "input": ["hi", "hi"]}), 2),
        ("/v1/embeddings", json!({"model": "e", "input": "hi", "max_tokens": 500}), 1),
        ("/v1/embeddings", json!({"model": "e", "input": [1, 2, 3]}), 3),
        ("/api/generate", json!({"model": "m", "prompt": "hi", "options": {"num_predict": 7}}), 8),
        ("/v1/completions", json!({"model": "m", "prompt": ["hi", "hi"], "max_tokens": 5}), 12),
    ] {
        let mut worker = Worker::new(&minute(1000));
        let mut call = worker.send(path, &body);
        assert_eq!(call.became(), "forwarded", "{body}");
        assert_eq!(held(&worker), expected, "{path} {body}");
        worker.respond(&mut call, 500, JSON, b"{}");
        assert_eq!(worker.costs(&mut call), (0, 0));
        assert_eq!((worker.book.holds(), worker.used()), (0, 0));
    }
}

#[test]
fn bytes_stand_in_for_tokens_while_more_than_half_is_free() {
    let mut worker = Worker::new(&minute(10_000));
    // Of an account that nobody has asked about, nothing is known: it is counted.
    let mut first = worker.send(CHAT, &chat("hi", &json!({"max_tokens": 20})));
    assert_eq!(held(&worker), HI + 20);
    let mut second = worker.send(CHAT, &chat("hi", &json!({"max_tokens": 20})));
    assert_eq!(held(&worker), HI + 20 + HI_BOUND + 20);
    let mut third = worker.send(CHAT, &chat("hi", &json!({"max_tokens": 5000})));
    assert_eq!(held(&worker), HI + 20 + HI_BOUND + 20 + HI + 5000, "too close to the half");
    for call in [&mut first, &mut second, &mut third] {
        worker.respond(call, 200, JSON, &completion("yes", Some((9, 1))));
        assert_eq!(worker.costs(call), (9, 1));
    }
    assert_eq!((worker.book.holds(), worker.used()), (0, 30));
}

#[test]
fn a_cap_beyond_the_limit_is_lowered_and_others_stay() {
    for (body, expected) in [
        (chat("hi", &json!({"max_tokens": 5000})), json!(1000 - HI)),
        (chat("hi", &json!({"max_tokens": 5000, "n": 2})), json!((1000 - HI) / 2)),
        (chat("hi", &json!({"max_tokens": 991})), json!(991)),
        // One that no engine obeys for sure gets another beside it.
        (chat("hi", &json!({"max_tokens": -1})), json!(100)),
        (chat("hi", &json!({})), json!(100)),
    ] {
        let call = Worker::new(&minute(1000)).send(CHAT, &body);
        assert_eq!(call.sent()["max_tokens"], expected, "{body}");
        assert_eq!(
            call.body.len().to_string(),
            call.header("content-length").map_or(call.body.len().to_string(), str::to_owned)
        );
    }
}

#[test]
fn an_unstreamed_call_without_a_cap_gets_one_where_its_format_has_it() {
    for (path, body, field) in [
        (CHAT, chat("hi", &json!({})), "/max_tokens"),
        ("/v1/messages", chat("hi", &json!({})), "/max_tokens"),
        ("/v1/completions", json!({"prompt": "hi"}), "/max_tokens"),
        ("/v1/responses", json!({"input": "hi"}), "/max_output_tokens"),
        ("/api/chat", chat("hi", &json!({"stream": false})), "/options/num_predict"),
        (
            "/api/generate",
            json!({"prompt": "hi", "stream": false, "options": {"seed": 1}}),
            "/options/num_predict",
        ),
        (
            "/v1beta/models/g:generateContent",
            json!({"contents": [{"parts": [{"text": "hi"}]}]}),
            "/generationConfig/maxOutputTokens",
        ),
    ] {
        let call = Worker::new(&minute(1000)).send(path, &body);
        assert_eq!(call.sent().pointer(field), Some(&json!(100)), "{path}");
        let call = Worker::new(&json!({"default_output": 100})).send(path, &body);
        assert_eq!(call.sent().pointer(field), None, "nobody limits {path}");
    }
    let route = json!({"routes": [{"path": "/v1/**", "tokens": {"cap_field": "max_completion_tokens"}}]});
    let call = Worker::with(&minute(1000), &route).send(CHAT, &chat("hi", &json!({})));
    assert_eq!(call.sent()["max_completion_tokens"], 100);
}

#[test]
fn a_stream_without_a_cap_gets_none_but_is_asked_for_its_usage() {
    let call = Worker::new(&minute(1000)).send(CHAT, &chat("hi", &json!({"stream": true})));
    assert_eq!(call.sent()["stream_options"], json!({"include_usage": true}));
    assert_eq!(call.sent()["max_tokens"], Value::Null);
    for (accounting, route, is_asked) in [
        (json!({"usage_injection": "off"}), json!({}), false),
        (json!({"usage_injection": "off"}), json!({"usage_injection": "on"}), true),
        (json!({"usage_injection": "on"}), json!({"usage_injection": "off"}), false),
        (json!({}), json!({"usage_injection": "auto"}), true),
    ] {
        let routes = json!({"routes": [{"path": "/v1/**", "tokens": route}]});
        let call = Worker::with(&accounting, &routes).send(CHAT, &chat("hi", &json!({"stream": true})));
        assert_eq!(call.sent()["stream_options"].is_object(), is_asked, "{accounting} {route}");
    }
}

#[test]
fn a_body_that_somebody_vouches_for_is_never_edited() {
    for (name, value) in [
        ("content-digest", "sha-256=:x:"),
        ("repr-digest", "x"),
        ("digest", "x"),
        ("content-md5", "x"),
        ("signature", "s=:x:"),
        ("signature-input", "s=()"),
    ] {
        let mut worker = Worker::new(&minute(1000));
        let body = chat("hi", &json!({"stream": true}));
        let call = worker.send_with(CHAT, &[(name, value)], body.to_string().as_bytes());
        assert_eq!((call.became(), call.sent()), ("forwarded", body), "{name}");

        let body = chat("hi", &json!({"max_tokens": 5000}));
        let mut worker = Worker::new(&minute(1000));
        let call = worker.send_with(CHAT, &[(name, value)], body.to_string().as_bytes());
        assert_eq!((call.became(), worker.book.holds()), ("cap_bound", 0), "{name}");
        assert_eq!(call.reply().unwrap().0, 400);
    }
}

#[test]
fn who_has_nothing_left_is_told_when_to_come_again() {
    let mut worker = Worker::new(&minute(1000));
    let mut first = worker.send(CHAT, &chat("hi", &json!({"max_tokens": 900})));
    worker.respond(&mut first, 200, JSON, &completion("yes", Some((9, 900))));
    worker.close(&mut first);
    let call = worker.send(CHAT, &chat("hi", &json!({"max_tokens": 200})));
    assert_eq!(call.became(), "token_quota");
    let (status, headers, body) = call.reply().unwrap();
    assert_eq!(status, 429);
    assert_eq!(
        serde_json::from_str::<Value>(body).unwrap(),
        json!({"detail": "token quota exceeded", "retry_after": 61, "limit": "minute"})
    );
    for (name, value) in [
        ("retry-after", "61"),
        ("ratelimit-policy", "\"minute\";q=1000;w=60"),
        ("ratelimit", "\"minute\";r=91;t=61"),
        ("x-ratelimit-limit-tokens", "1000"),
        ("x-ratelimit-remaining-tokens", "91"),
        ("x-ratelimit-reset-tokens", "61s"),
    ] {
        let have = headers.iter().find(|(have, _)| *have == name).map(|(_, value)| &**value);
        assert_eq!(have, Some(value), "{name}");
    }
    worker.now = (NOW + 62) * 1000;
    assert_eq!(worker.send(CHAT, &chat("hi", &json!({"max_tokens": 200}))).became(), "forwarded");
}

#[test]
fn what_never_fits_is_not_told_to_come_again() {
    for body in [
        chat(&"many words ".repeat(60), &json!({"max_tokens": 5})),
        chat("hi", &json!({"max_tokens": 5, "n": 1_000_000})),
        chat("hi", &json!({"n": 1e30})),
    ] {
        let mut worker = Worker::new(&minute(100));
        let call = worker.send(CHAT, &body);
        assert_eq!(call.became(), "token_quota");
        let (status, headers, text) = call.reply().unwrap();
        assert_eq!((status, headers.iter().any(|(name, _)| *name == "retry-after")), (429, false));
        assert!(text.contains("\"retry_after\":null") && text.contains("more than 100 tokens"), "{text}");
        assert_eq!((worker.book.holds(), worker.used()), (0, 0));
    }
}

#[test]
fn what_cannot_be_counted_does_not_go() {
    let body = chat("hi", &json!({})).to_string();
    let long = format!(r#"{{"messages":"{}"}}"#, "x".repeat(5000));
    let limited = json!({"max_request_bytes": 4096, "limits": [{"name": "m", "tokens": 10_000, "window": {"sliding": 60}}]});
    for (headers, body, expected) in [
        (vec![("content-encoding", "gzip")], &*body, (415, "body_encoded")),
        (vec![("content-encoding", "")], &body, (415, "body_encoded")),
        (vec![("content-encoding", " Identity ")], &body, (0, "forwarded")),
        (vec![], &long, (413, "body_too_large")),
        (vec![("content-length", "4097")], &body, (413, "body_too_large")),
        (vec![("content-length", "99999999999999999999999")], &body, (413, "body_too_large")),
        (vec![], "", (400, "body_unreadable")),
        (vec![], "[]", (400, "body_unreadable")),
        (vec![], "model=x", (400, "body_unreadable")),
        (vec![], r#"{"model":"#, (400, "body_unreadable")),
        (vec![], "{}{}", (400, "body_unreadable")),
        (vec![("content-type", "application/x-www-form-urlencoded")], &body, (0, "forwarded")),
        (vec![("upgrade", "websocket")], "", (403, "uncountable")),
    ] {
        let mut worker = Worker::new(&limited);
        let call = worker.send_with(CHAT, &headers, body.as_bytes());
        assert_eq!((call.reply().map_or(0, |reply| reply.0), call.became()), expected, "{headers:?} {body}");
        let is_open = expected.0 == 0;
        assert_eq!(worker.book.holds(), usize::from(is_open), "{headers:?}");
    }
    let mut worker = Worker::new(&limited);
    let call = worker.send_with(CHAT, &[], long.as_bytes());
    assert_eq!(call.reply().unwrap().2, r#"{"detail":"request too large","limit_bytes":4096}"#);
}

#[test]
fn a_body_without_a_length_is_refused_as_soon_as_it_is_too_large() {
    let limited = json!({"max_request_bytes": 4096, "limits": [{"name": "m", "tokens": 10_000, "window": {"sliding": 60}}]});
    let mut worker = Worker::new(&limited);
    let bearer = format!("Bearer {}", token(&json!({})));
    let mut call = worker.open(&[(":method", "POST"), (":path", CHAT), ("authorization", &bearer)], false);
    assert_eq!(worker.body(&mut call, &[b' '; 4096], false), Flow::Pause);
    worker.body(&mut call, b" ", false);
    assert_eq!(call.became(), "body_too_large");
    worker.body(&mut call, b" ", true);
    assert!(worker.close(&mut call).is_none());
}

#[test]
fn a_body_in_pieces_costs_what_it_costs_whole() {
    let body = chat(&"Grüße, 世界 🦀 ".repeat(20), &json!({"max_tokens": 10})).to_string();
    let whole = {
        let mut worker = Worker::new(&minute(1000));
        let _ = worker.send_with(CHAT, &[], body.as_bytes());
        held(&worker)
    };
    let bearer = format!("Bearer {}", token(&json!({})));
    for (size, has_length, has_trailers) in
        [(1, true, false), (7, false, false), (64, true, true), (64, false, true)]
    {
        let mut worker = Worker::new(&minute(1000));
        let length = body.len().to_string();
        let mut headers = vec![(":method", "POST"), (":path", CHAT), ("authorization", &*bearer)];
        headers.extend(has_length.then_some(("content-length", &*length)));
        let mut call = worker.open(&headers, false);
        for piece in body.as_bytes().chunks(size) {
            assert_eq!(worker.body(&mut call, piece, false), Flow::Pause);
        }
        let flow = match has_trailers {
            true => worker
                .step(&mut call, Input::RequestTrailers(&[("x-attach-user".to_owned(), b"eve".to_vec())])),
            false => worker.body(&mut call, b"", true),
        };
        assert_eq!((flow, held(&worker)), (Flow::Continue, whole), "{size}");
        assert_eq!(call.body, body.as_bytes());
    }
}

#[test]
fn a_long_prompt_is_counted_as_it_comes_whatever_its_encoding() {
    let text = "Grüße, 世界 ".repeat(6_000);
    let mut counts = Vec::new();
    // Of gpt-4o the name alone tells that the first guess was wrong.
    for model in ["gpt-4", "gpt-4o"] {
        let body = chat(&text, &json!({"model": model, "max_tokens": 1})).to_string();
        for has_length in [true, false] {
            let mut worker = Worker::new(&minute(1_000_000));
            let headers: &[(&str, &str)] = if has_length { &[] } else { &[("content-length", "x")] };
            let bearer = format!("Bearer {}", token(&json!({})));
            let mut call = match has_length {
                true => worker.send_with(CHAT, headers, body.as_bytes()),
                false => {
                    let mut call = worker
                        .open(&[(":method", "POST"), (":path", CHAT), ("authorization", &bearer)], false);
                    worker.body(&mut call, body.as_bytes(), true);
                    call
                }
            };
            worker.respond(&mut call, 200, JSON, &completion("yes", None));
            counts.push(worker.costs(&mut call).0);
        }
    }
    assert_eq!(counts[0], counts[1]);
    assert_eq!(counts[2], counts[3]);
    assert!(counts[0] > counts[2] && counts[2] > 18_000, "{counts:?}");
}

#[test]
fn a_body_that_does_not_come_is_waited_for_half_a_minute() {
    let mut worker = Worker::new(&minute(1000));
    let bearer = format!("Bearer {}", token(&json!({})));
    let mut call = worker.open(&[(":method", "POST"), (":path", CHAT), ("authorization", &bearer)], false);
    worker.now += 29_999;
    worker.step(&mut call, Input::Tick);
    assert_eq!(call.became(), "waiting");
    worker.now += 1;
    worker.step(&mut call, Input::Tick);
    assert_eq!((call.became(), call.reply().unwrap().0), ("body_late", 408));
}

#[test]
fn a_limit_is_about_whom_and_what_it_says() {
    let limits = json!({"default_output": 100, "limits": [
        {"name": "a", "user": "alice", "tokens": 100, "window": {"sliding": 60}},
        {"name": "gold", "claim": {"header": "x-attach-tier", "value": "gold"}, "tokens": 200, "window": {"sliding": 60}},
        {"name": "apollo", "project": "apollo", "tokens": 300, "window": {"sliding": 60}},
        {"name": "large", "model": "gpt-4*", "tokens": 400, "window": {"sliding": 60}},
        {"name": "us", "shared": true, "tokens": 500, "window": {"sliding": 60}},
    ]});
    for (claims, project, model, expected) in [
        (json!({}), None, "m", "a"),
        (json!({"sub": "bob"}), None, "m", "us"),
        (json!({"sub": "bob", "tier": "gold"}), None, "m", "gold"),
        (json!({"sub": "bob", "tier": "gold"}), Some("apollo"), "gpt-4", "gold"),
        (json!({"sub": "bob"}), Some("apollo"), "gpt-4", "apollo"),
        (json!({"sub": "bob"}), Some("gemini"), "gpt-4o", "large"),
        (json!({"sub": "bob"}), Some(""), "gpt-3.5", "us"),
    ] {
        let mut worker = Worker::new(&limits);
        let bearer = format!("Bearer {}", token(&claims));
        let mut headers = vec![("authorization", &*bearer)];
        headers.extend(project.map(|project| ("x-attach-project", project)));
        // More than any of them: the smallest says so.
        let body = chat(&"word ".repeat(600), &json!({"model": model}));
        let call = worker.send_with(CHAT, &headers, body.to_string().as_bytes());
        let (_, _, text) = call.reply().unwrap();
        assert!(text.contains(&format!("\"limit\":\"{expected}\"")), "{claims} {project:?} {model}: {text}");
    }
}

#[test]
fn one_users_use_is_no_others_but_where_they_share() {
    for (is_shared, expected) in [(false, "forwarded"), (true, "token_quota")] {
        let mut worker = Worker::new(&json!({"default_output": 100, "limits": [
            {"name": "m", "shared": is_shared, "tokens": 1000, "window": {"sliding": 60}}]}));
        let mut call = worker.send(CHAT, &chat("hi", &json!({"max_tokens": 900})));
        let bearer = format!("Bearer {}", token(&json!({"sub": "bob"})));
        let body = chat("hi", &json!({"max_tokens": 200})).to_string();
        let other = worker.send_with(CHAT, &[("authorization", &bearer)], body.as_bytes());
        assert_eq!(other.became(), expected);
        assert_eq!(worker.close(&mut call).unwrap().record.user, "alice");
    }
}

#[test]
fn windows_that_cannot_be_had_follow_the_routes_mode() {
    for (general, route, expected) in [
        ("deny", None, "quota_unavailable"),
        ("allow", None, "forwarded"),
        ("allow", Some("deny"), "quota_unavailable"),
        ("deny", Some("allow"), "forwarded"),
    ] {
        let mut limits = minute(1000);
        limits["failure_mode"] = json!(general);
        let mut rules = json!({"usage_injection": "off"});
        if let Some(route) = route {
            rules["failure_mode"] = json!(route);
        }
        let mut worker = Worker::with(&limits, &json!({"routes": [{"path": "/v1/**", "tokens": rules}]}));
        worker.windows.is_away = true;
        let mut call = worker.send(CHAT, &chat("hi", &json!({})));
        assert_eq!(call.became(), expected, "{general} {route:?}");
        assert_eq!(call.counted("unlimited"), expected == "forwarded");
        if expected == "forwarded" {
            worker.respond(&mut call, 200, JSON, &completion("yes", Some((9, 1))));
            assert_eq!(worker.costs(&mut call), (9, 1), "it is recorded all the same");
        } else {
            assert_eq!(call.reply().unwrap().0, 503);
        }
    }
}

#[test]
fn a_call_whose_record_nobody_takes_follows_the_routes_mode() {
    for (mode, expected) in [("deny", "records_full"), ("allow", "forwarded")] {
        let mut worker = Worker::new(&json!({"failure_mode": mode}));
        worker.is_full = true;
        let mut call = worker.send(CHAT, &chat("hi", &json!({})));
        assert_eq!(call.became(), expected);
        if let Some(finished) = worker.close(&mut call) {
            assert!(finished.room.is_none());
        }
    }
}

#[test]
fn nothing_else_is_held_back_or_recorded() {
    for (method, path) in [
        ("GET", CHAT),
        ("PUT", CHAT),
        ("POST", "/v1/files"),
        ("POST", "/api/show"),
        ("DELETE", "/v1/models/x"),
        ("POST", "/mem/events"),
    ] {
        let mut worker = Worker::new(&minute(1000));
        let bearer = format!("Bearer {}", token(&json!({})));
        let mut call =
            worker.open(&[(":method", method), (":path", path), ("authorization", &bearer)], false);
        assert!(call.is_forwarded, "{method} {path}");
        assert!(worker.close(&mut call).is_none());
    }
    let mut worker =
        Worker::with(&minute(1000), &json!({"routes": [{"path": "/v1/**", "tokens": {"count": false}}]}));
    assert!(worker.close_quietly(&chat("hi", &json!({}))).is_none());
}

#[test]
fn a_route_can_be_counted_whatever_its_path() {
    let routes = json!({"routes": [{"path": "/mine", "tokens": {"count": true}}]});
    let mut worker = Worker::with(&minute(1000), &routes);
    let mut call = worker.send("/mine", &chat("hi", &json!({"max_tokens": 5})));
    assert_eq!(held(&worker), HI + 5);
    worker.respond(&mut call, 200, JSON, &completion("yes", None));
    assert_eq!(worker.costs(&mut call), (9, 1));
}

#[test]
fn an_upgrade_costs_what_its_route_says() {
    let routes = json!({"routes": [{"path": "/v1/realtime", "tokens": {"flat_charge": 300}}]});
    let headers = [(":method", "GET"), ("upgrade", "websocket")];
    let mut worker = Worker::with(&minute(1000), &routes);
    for expected in ["forwarded", "forwarded", "forwarded", "token_quota"] {
        let mut call = worker.send_with("/v1/realtime", &headers, b"");
        assert_eq!(call.became(), expected);
        if call.is_forwarded {
            worker.answer(&mut call, &[(":status", "101")], false);
            assert_eq!(worker.costs(&mut call), (300, 0));
        }
    }
    assert_eq!(worker.used(), 900);
    let mut worker = Worker::with(&json!({}), &routes);
    let mut call = worker.send_with("/v1/realtime", &headers, b"");
    assert_eq!(worker.costs(&mut call), (300, 0), "recorded, though nobody limits it");
}

#[test]
fn shadow_mode_counts_what_it_would_refuse() {
    let mut worker = Worker::with(&minute(100), &json!({"mode": "shadow"}));
    let mut call = worker.send(CHAT, &chat(&"word ".repeat(600), &json!({})));
    assert!(call.is_forwarded && call.counted("token_quota"), "{:?}", call.done);
    worker.respond(&mut call, 200, JSON, &completion("yes", Some((610, 1))));
    assert_eq!(worker.costs(&mut call), (610, 1));
}

#[test]
fn everybody_is_told_what_he_has_left() {
    let mut limits = minute(1000);
    limits["limits"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "p", "project": "x", "tokens": 50, "window": {"sliding": 10}}));
    let mut worker = Worker::new(&limits);
    let mut call = worker.send(CHAT, &chat("hi", &json!({"max_tokens": 100})));
    let look = |worker: &mut Worker| -> Value {
        let bearer = format!("Bearer {}", token(&json!({})));
        let call =
            worker.open(&[(":method", "GET"), (":path", "/v1/quota/me"), ("authorization", &bearer)], true);
        let (status, headers, body) = call.reply().unwrap();
        assert_eq!(status, 200);
        assert!(headers.contains(&("cache-control", "no-store".to_owned())));
        serde_json::from_str(body).unwrap()
    };
    let seen = look(&mut worker);
    assert_eq!(
        seen["limits"][0],
        json!({"name": "minute", "limit": 1000, "window": {"seconds": 60}, "used": 0, "held": 109, "remaining": 891, "reset": 0})
    );
    assert_eq!(seen["limits"][1]["remaining"], 50);
    worker.respond(&mut call, 200, JSON, &completion("yes", Some((9, 3))));
    worker.close(&mut call);
    let seen = look(&mut worker);
    assert_eq!((&seen["limits"][0]["used"], &seen["limits"][0]["held"]), (&json!(12), &json!(0)));
    assert_eq!(seen["limits"][0]["reset"], 61);
    assert_eq!(worker.send_with("/v1/quota/me", &[], b"").became(), "method_not_allowed");
}

#[test]
fn an_answer_in_a_coding_is_not_asked_for() {
    for (accepts, expected) in [(Some("gzip, br"), Some("identity")), (Some("identity"), None), (None, None)]
    {
        let mut worker = Worker::new(&minute(1000));
        let headers: Vec<_> = accepts.map(|accepts| ("accept-encoding", accepts)).into_iter().collect();
        let call = worker.send_with(CHAT, &headers, chat("hi", &json!({})).to_string().as_bytes());
        assert_eq!(call.header("accept-encoding"), expected);
    }
}

#[test]
fn limits_by_the_day_ask_control() {
    let mut worker = Worker::new(&day(10_000));
    let mut call = worker.send(CHAT, &chat("hi", &json!({"max_tokens": 20})));
    assert_eq!(call.became(), "waiting");
    let operation = call.asked().unwrap();
    worker.control_answers(&mut call, &operation, true);
    assert_eq!((call.became(), held(&worker)), ("forwarded", HI + 20));
}

impl Worker {
    fn close_quietly(&mut self, body: &Value) -> Option<attach_core::stream::Finished> {
        let mut call: Call = self.send(CHAT, body);
        self.close(&mut call)
    }
}
