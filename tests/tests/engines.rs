//! Engines of every kind behind the gateway.

use attach_tests::fixture::Fixture;
use attach_tests::gateway::{Builder, Gateway};
use attach_tests::request::Request;
use attach_tests::tls::Authority;
use attach_tests::upstream::Upstream;
use attach_tests::wait;
use serde_json::json;

const KEY: &str = "sk-engines-own-key-0123456789";

/// An engine that speaks OpenAI and nothing else, as vLLM does.
fn openai_only() -> Upstream {
    let engine = Upstream::start();
    engine.on("/", |exchange| {
        exchange.reply("404 Not Found", &[("content-type", "application/json")], br#"{"detail":"Not Found"}"#)
    });
    for known in ["/v1/chat/completions", "/v1/models"] {
        engine.on(known, |exchange| exchange.reply("200 OK", &[], br#"{"object":"chat.completion"}"#));
    }
    engine
}

fn chat(fixture: &Fixture, mark: &str) -> Request {
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    Request::post_json(format!("/api/chat?{mark}"), &body).bearer(&fixture.alice())
}

/// Where a chat arrives at the engine.
fn arrives_at(fixture: &Fixture, engine: &Upstream, mark: &str) -> String {
    let response = fixture.gateway.send(&chat(fixture, mark)).expect(200);
    assert!(!response.body.is_empty());
    engine.only(mark).target
}

#[test]
fn an_engine_with_a_key_of_its_own_gets_that_and_never_the_callers() {
    let fixture = Fixture::start("engine-key", |builder| builder.set("ENGINE_API_KEY", KEY));
    let token = fixture.alice();
    let own = format!("Bearer {KEY}");
    for path in ["/v1/models-own-key", "/public/own-key"] {
        fixture.gateway.send(&Request::get(path).bearer(&token)).expect(200);
        let seen = fixture.arrived(path);
        assert_eq!(seen.headers.one("authorization"), Some(own.as_str()), "{path}");
    }
    fixture.gateway.send(&Request::get("/forward/own-key").bearer(&token)).expect(200);
    let seen = fixture.arrived("/forward/own-key");
    assert_eq!(seen.headers.one("authorization"), Some(format!("Bearer {token}").as_str()));

    // Control has no use for it, and nobody may read it.
    let control = fixture.gateway.send(&Request::get("/auth/config")).expect(200);
    assert!(!control.text().contains(KEY));
    assert!(!fixture.gateway.logs().contains(KEY), "in a log");
    let rendered = fixture.gateway.run(&["config", "render"]).expect_success();
    assert!(!rendered.stdout.contains(KEY) && !rendered.stderr.contains(KEY), "in what is rendered");
    for entry in ["envoy.yaml", "run/envoy.json"] {
        let text = std::fs::read_to_string(fixture.gateway.state().join(entry)).expect(entry);
        assert!(!text.contains(KEY), "in {entry}");
    }
    let command =
        std::fs::read(format!("/proc/{}/cmdline", fixture.gateway.pid("envoy").expect("Envoy runs")));
    assert!(!String::from_utf8_lossy(&command.expect("its command line")).contains(KEY), "in a command line");
}

#[test]
fn the_native_chat_is_left_alone_where_the_engine_has_it() {
    let engine = Upstream::start();
    engine.on("/api/version", |exchange| exchange.reply("200 OK", &[], br#"{"version":"0.5.13"}"#));
    let fixture = Fixture::start("rewrite-auto-native", |builder| {
        builder.set("ENGINE_REWRITE_CHAT", "auto").set("ENGINE_URL", engine.url())
    });
    assert_eq!(arrives_at(&fixture, &engine, "auto-native"), "/api/chat?auto-native");
}

#[test]
fn the_native_chat_goes_to_openais_where_the_engine_has_only_that() {
    let engine = openai_only();
    let fixture = Fixture::start("rewrite-auto-openai", |builder| {
        builder.set("ENGINE_REWRITE_CHAT", "auto").set("ENGINE_URL", engine.url())
    });
    let target = arrives_at(&fixture, &engine, "auto-openai");
    assert!(target.starts_with("/v1/chat/completions"), "{target}");
    // Without a token it is as closed as by its own name.
    fixture.gateway.send(&Request::post("/api/chat?no-token", "{}")).expect(401);
    assert!(engine.seen("no-token").is_empty());
}

#[test]
fn the_native_chat_is_rewritten_when_the_operator_says_so() {
    let fixture = Fixture::start("rewrite-on", |builder| builder.set("ENGINE_REWRITE_CHAT", "on"));
    let target = arrives_at(&fixture, &fixture.upstream, "always");
    assert!(target.starts_with("/v1/chat/completions"), "{target}");
    // Nothing else is.
    fixture.gateway.send(&Request::get("/api/chats").bearer(&fixture.alice())).expect(200);
    assert_eq!(fixture.arrived("/api/chats").target, "/api/chats");
}

#[test]
fn an_engine_url_with_v1_means_the_same_as_without() {
    let engine = Upstream::start();
    let fixture =
        Fixture::start("engine-v1", |builder| builder.set("ENGINE_URL", format!("{}/v1/", engine.url())));
    fixture.gateway.send(&Request::get("/v1/models?mark").bearer(&fixture.alice())).expect(200);
    assert_eq!(engine.only("/v1/models?mark").target, "/v1/models?mark");
}

/// A gateway in front of an `https` engine at `localhost`, which trusts one authority.
fn https(name: &str, engine: &Upstream, trusted: &Authority) -> Fixture {
    let url = format!("https://localhost:{}", engine.address().port());
    Fixture::start(name, |builder| {
        builder
            .set("ENGINE_URL", url)
            .set("SSL_CERT_FILE", "authority.pem")
            .file("authority.pem", &trusted.pem())
    })
}

#[test]
fn an_https_engine_of_a_trusted_authority_is_spoken_to() {
    let authority = Authority::new();
    let engine = Upstream::start_tls(authority.server("localhost"));
    let fixture = https("https-trusted", &engine, &authority);
    fixture.gateway.send(&Request::get("/over-tls").bearer(&fixture.alice())).expect(200);
    assert_eq!(engine.only("/over-tls").headers.one("x-attach-user"), Some("alice"));
}

#[test]
fn an_https_engine_with_another_name_is_not_spoken_to() {
    let authority = Authority::new();
    let engine = Upstream::start_tls(authority.server("other.example"));
    let fixture = https("https-name", &engine, &authority);
    fixture.gateway.send(&Request::get("/wrong-name").bearer(&fixture.alice())).expect(503);
    assert!(engine.seen("/wrong-name").is_empty());
}

#[test]
fn an_https_engine_of_an_unknown_authority_is_not_spoken_to() {
    let engine = Upstream::start_tls(Authority::new().server("localhost"));
    let fixture = https("https-unknown", &engine, &Authority::new());
    fixture.gateway.send(&Request::get("/unknown-authority").bearer(&fixture.alice())).expect(503);
    assert!(engine.seen("/unknown-authority").is_empty());
}

#[test]
fn an_engine_that_is_down_is_a_503_and_comes_back_without_a_restart() {
    // Nobody listens there yet.
    let port = attach_tests::ports::free();
    let fixture = Fixture::start("engine-down", |builder| {
        builder.set("ENGINE_URL", format!("http://127.0.0.1:{port}"))
    });
    let request = Request::get("/engine-down").bearer(&fixture.alice());
    assert!(!fixture.gateway.send(&request).expect(503).detail().is_empty());
    let engine = Upstream::start_at(port);
    wait::until("the engine to be found", || (fixture.gateway.send(&request).status == 200).then_some(()));
    assert!(!engine.seen("/engine-down").is_empty());
}

/// With no settings at all, but for a port on which no Ollama answers.
fn by_default(name: &str) -> Gateway {
    Builder::new(name).start()
}

#[test]
fn without_settings_the_built_in_engine_answers_in_both_tongues() {
    let gateway = by_default("echo");
    let token = gateway.run(&["token"]).expect_success().stdout.trim().to_owned();
    if gateway.pid("engine").is_none() {
        println!("skipped: an Ollama answers on this machine's port 11434 and was taken");
        return;
    }
    let messages = json!([{"role": "user", "content": "one two three"}]);
    let native =
        Request::post_json("/api/chat", &json!({"model": "m", "messages": messages, "stream": false}));
    let native = gateway.send(&native.bearer(&token)).expect(200).json();
    let said = native["message"]["content"].as_str().expect("an answer").to_owned();
    assert!(said.contains("one two three"), "{said}");
    assert_eq!(native["eval_count"], said.split_whitespace().count(), "{native}");

    let openai = Request::post_json("/v1/chat/completions", &json!({"model": "m", "messages": messages}));
    let openai = gateway.send(&openai.bearer(&token)).expect(200).json();
    assert_eq!(openai["choices"][0]["message"]["content"], said.as_str());
    assert_eq!(openai["usage"]["prompt_tokens"], 3);
    assert_eq!(openai["usage"]["completion_tokens"], said.split_whitespace().count());

    let stream = json!({"model": "m", "messages": messages, "stream": true});
    let stream = gateway.send(&Request::post_json("/api/chat", &stream).bearer(&token)).expect(200);
    let text = stream.text();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let streamed: String = lines.iter().filter_map(|line| line["message"]["content"].as_str()).collect();
    assert_eq!(streamed, said);
    assert!(lines.len() > 2 && lines.last().is_some_and(|line| line["done"] == true), "{text}");

    let models = gateway.send(&Request::get("/v1/models").bearer(&token)).expect(200).json();
    assert!(models["data"].as_array().is_some_and(|models| !models.is_empty()), "{models}");
    gateway.send(&Request::get("/api/tags")).expect(401);
}
