//! Who is told what calls did cost: clients in headers, operators in `/metrics` and the access log.

use std::sync::OnceLock;

use attach_tests::fixture::Fixture;
use attach_tests::gateway::Builder;
use attach_tests::request::Request;
use attach_tests::wait;
use serde_json::json;

use crate::kit::{self, CHAT, PROMPT, row};

const SECRET_WORD: &str = "xylophone-of-the-prompt";
const SECRET_ANSWER: &str = "zeppelin-of-the-answer";

/// A gateway that tells everything that it may tell.
fn telling() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let fixture = Fixture::start("tokens-told", |builder| {
            builder
                .set("USAGE_METERING", "prometheus")
                .set("USAGE_HEADERS", "on")
                .set("LOG_USAGE", "on")
                .document("limits:\n  - {name: told, user: \"limited-*\", tokens: 100, per: minute}\n")
        });
        fixture.upstream.on(CHAT, |exchange| {
            let mut answer = kit::reported(17, 4);
            answer["choices"][0]["message"]["content"] = json!(SECRET_ANSWER);
            kit::reply(exchange, &answer)
        });
        fixture
    })
}

fn metrics(fixture: &Fixture, scope: &str) -> attach_tests::request::Response {
    let token = fixture.world.first.token_of(&json!({"sub": "prometheus", "scope": scope}));
    fixture.gateway.send(&Request::get("/metrics").bearer(&token))
}

#[test]
fn unstreamed_answers_say_what_they_cost() {
    let fixture = telling();
    let target = format!("{CHAT}?headers");
    let body = kit::chat(kit::HI, &json!({}));
    let answer = fixture.gateway.send(&kit::call(fixture, "alice", "headers", &target, &body)).expect(200);
    assert_eq!(answer.headers.one("x-llm-model"), Some(kit::MODEL));
    assert_eq!(answer.headers.one("x-tokens-in"), Some("17"));
    assert_eq!(answer.headers.one("x-tokens-out"), Some("4"));
    assert_eq!(answer.json()["usage"]["prompt_tokens"], 17);

    // Where nobody asked for them there are none.
    let fixture = kit::free();
    let target = format!("{CHAT}?no-headers");
    fixture.upstream.on(&target, |exchange| kit::reply(exchange, &kit::reported(17, 4)));
    let answer = fixture.gateway.send(&kit::call(fixture, "alice", "no-headers", &target, &body)).expect(200);
    assert!(!answer.headers.names().iter().any(|name| name.starts_with("x-tokens")), "{answer:?}");
}

#[test]
fn metrics_are_for_those_who_may_read_them() {
    let fixture = telling();
    fixture.gateway.send(&Request::get("/metrics")).expect(401);
    for scope in ["", "chat:run", "metrics:write"] {
        let refused = metrics(fixture, scope).expect(403);
        let challenge = kit::header(&refused.headers, "www-authenticate");
        assert!(challenge.contains("metrics:read"), "{challenge}");
    }
    let body = kit::chat(kit::HI, &json!({}));
    fixture.gateway.send(&kit::call(fixture, "counted", "metrics", CHAT, &body)).expect(200);
    wait::until("the tokens to be counted", || {
        let page = metrics(fixture, "metrics:read").expect(200).text();
        let value = |direction: &str| {
            let line = page.lines().find(|line| {
                line.starts_with("attach_usage_tokens_total{")
                    && line.contains(r#"user="counted""#)
                    && line.contains(&format!(r#"direction="{direction}""#))
                    && line.contains(&format!(r#"model="{}""#, kit::MODEL))
            })?;
            line.rsplit(' ').next()?.parse::<f64>().ok()
        };
        (value("in")? == 17.0 && value("out")? == 4.0).then_some(())
    });
}

#[test]
fn the_access_log_says_who_and_why_and_how_much_and_never_what() {
    let fixture = telling();
    let body = kit::chat(SECRET_WORD, &json!({}));
    let target = "/audit/v1/chat/completions";
    fixture.upstream.on(target, |exchange| {
        let mut answer = kit::reported(17, 4);
        answer["choices"][0]["message"]["content"] = json!(SECRET_ANSWER);
        kit::reply(exchange, &answer)
    });
    let token = fixture.world.first.token("limited-audit");
    let good = Request::post_json(target, &body).bearer(&token).header("x-request-id", "audit-good");
    fixture.gateway.send(&good).expect(200);
    let large = kit::chat(&kit::WORD.repeat(200), &json!({}));
    fixture.gateway.send(&Request::post_json(target, &large).bearer(&token)).expect(429);
    fixture.gateway.send(&Request::post_json(target, &body)).expect(401);

    let lines = fixture.gateway.access_log(target, 3);
    let of = |status: u64| {
        let line = lines.iter().find(|line| line["status"] == status);
        line.unwrap_or_else(|| panic!("no {status}: {lines:#?}"))
    };
    let good = of(200);
    assert_eq!(good["user"], "limited-audit", "{good:#}");
    assert!(good["credential"].as_str().is_some_and(|credential| !credential.is_empty()), "{good:#}");
    assert!(good["request_id"].as_str().is_some_and(|id| !id.is_empty()), "{good:#}");
    let number = |name: &str| good[name].as_u64().or_else(|| good[name].as_str()?.parse().ok());
    assert_eq!(number("gen_ai.usage.input_tokens"), Some(17), "{good:#}");
    assert_eq!(number("gen_ai.usage.output_tokens"), Some(4), "{good:#}");
    assert_eq!(good["gen_ai.request.model"], kit::MODEL, "{good:#}");
    assert!(good["reason"].is_null() || good["reason"] == "-" || good["reason"] == "", "{good:#}");
    let over = of(429);
    assert_eq!(over["reason"], "token_quota", "{over:#}");
    assert_eq!(over["user"], "limited-audit", "{over:#}");
    assert!(of(401)["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{:#}", of(401));

    let logs = fixture.gateway.logs();
    for secret in [SECRET_WORD, SECRET_ANSWER, token.as_str()] {
        assert!(!logs.contains(secret), "{secret} is in a log");
    }
}

#[test]
fn a_streams_usage_is_in_the_access_log_too() {
    let fixture = telling();
    let target = "/audit-stream/v1/chat/completions";
    fixture.upstream.on(target, |exchange| {
        exchange.body()?;
        kit::begin_stream(exchange)?;
        for _ in 0..3 {
            exchange.chunk(kit::delta(kit::WORD).as_bytes())?;
        }
        exchange.chunk(format!("{}data: [DONE]\n\n", kit::stop()).as_bytes())?;
        exchange.end(&[])
    });
    let body = kit::chat(kit::HI, &json!({"stream": true}));
    fixture.gateway.send(&kit::call(fixture, "alice", "audit-stream", target, &body)).expect(200);
    let row = row(fixture, "alice", "audit-stream");
    assert_eq!(kit::cost(&row), (PROMPT, 3, "counted"));
    let line = fixture.gateway.access_log(target, 1).remove(0);
    let number = |name: &str| line[name].as_u64().or_else(|| line[name].as_str()?.parse().ok());
    assert_eq!(number("gen_ai.usage.input_tokens"), Some(PROMPT), "{line:#}");
    assert_eq!(number("gen_ai.usage.output_tokens"), Some(3), "{line:#}");
}

#[test]
fn what_cannot_be_meant_stops_the_start() {
    for (name, value) in [
        ("QUOTA_ENCODING", "foo"),
        ("MAX_TOKENS_PER_MIN", "0"),
        ("MAX_TOKENS_PER_MIN", "-5"),
        ("MAX_TOKENS_PER_MIN", "1.5"),
        ("MAX_TOKENS_PER_MIN", "many"),
        ("WINDOW", "soon"),
        ("MAX_REQUEST_BYTES", "huge"),
        ("USAGE_METERING", "openmeter"),
        ("USAGE_METERING", "abacus"),
        ("USAGE_INJECTION", "maybe"),
    ] {
        let ended = Builder::new("bad-accounting").set(name, value).prepare().up().expect_failure();
        let said = format!("{}{}", ended.stdout, ended.stderr);
        let named = if value == "openmeter" { "OPENMETER_API_KEY" } else { name };
        assert!(said.contains(named), "{name}={value}: {said}");
    }
}

#[test]
fn there_are_words_for_no_limit() {
    for word in ["null", "none", "false", "infinite", "None"] {
        let gateway = Builder::new("no-limit").set("MAX_TOKENS_PER_MIN", word).prepare();
        gateway.run(&["config", "check"]).expect_success();
    }
}

/// A caller sees his own rows and nobody else's.
#[test]
fn a_caller_sees_his_own_rows() {
    let fixture = kit::free();
    let target = format!("{CHAT}?own-rows");
    fixture.upstream.on(&target, |exchange| kit::reply(exchange, &kit::reported(3, 4)));
    let body = kit::chat(kit::HI, &json!({}));
    for user in ["owner-one", "owner-two"] {
        fixture.gateway.send(&kit::call(fixture, user, "own", &target, &body)).expect(200);
        let row = row(fixture, user, "own");
        assert_eq!(
            (&row["user"], &row["project"], &row["model"]),
            (&json!(user), &json!("own"), &json!(kit::MODEL))
        );
        assert!(row["milliseconds"].is_u64() && row["status"] == 200, "{row:#}");
    }
    fixture.gateway.send(&Request::get("/v1/usage")).expect(401);
    let stranger = Request::get("/v1/usage?user=owner-one").bearer(&fixture.world.first.token("owner-two"));
    fixture.gateway.send(&stranger).expect(400);
}
