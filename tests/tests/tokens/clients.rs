//! The clients that people use, unchanged: what they get is what the engine says, and what it says is recorded.

use attach_tests::gateway::Builder;
use attach_tests::issuer::Issuer;
use attach_tests::mint::Mint;
use attach_tests::peers::{Ollama, python};
use attach_tests::request::Request;
use attach_tests::wait;
use serde_json::{Value, json};

/// What PyPI's `openai` and `ollama` got at an address, by the name of each call.
fn clients(url: &str, token: &str, model: &str) -> Value {
    python("usage_clients.py", &json!({"url": url, "token": token, "model": model}))
}

/// Holds what the clients got through a gateway against what they get without, and against the ledger.
fn compare(through: &Value, direct: &Value, row_of: impl Fn(&str) -> Value) {
    let calls = through.as_object().expect("calls");
    assert!(calls.len() >= 8, "{through:#}");
    for (name, got) in calls {
        assert_eq!(got["text"], direct[name]["text"], "{name}: {through:#}\n{direct:#}");
        assert_eq!(got["usage"], direct[name]["usage"], "{name}: what was reported");
        let row = row_of(name);
        assert_eq!(row["source"], "reported", "{name}: {row:#}");
        let said = [&got["usage"], &got["same_as"]].into_iter().find(|said| !said.is_null());
        let twin = said.and_then(Value::as_str).map(|twin| &through[twin]["usage"]);
        let expected = twin.or(said).unwrap_or_else(|| panic!("{name} reports nothing: {got:#}"));
        assert_eq!(json!([row["input"], row["output"]]), *expected, "{name}: {row:#}");
    }
}

fn row(gateway: &attach_tests::gateway::Gateway, token: &str, project: &str) -> Value {
    let request = Request::get(format!("/v1/usage?project={project}")).bearer(token);
    wait::until(&format!("a row for {project}"), || {
        let rows = gateway.send(&request).expect(200).json()["data"].as_array().expect("rows").clone();
        assert!(rows.len() <= 1, "{rows:#?}");
        rows.into_iter().next()
    })
}

#[test]
fn answers_of_a_real_engine_are_whole_and_its_reports_are_recorded() {
    let Some(ollama) = Ollama::start() else { return };
    let mint = Mint::new("", "attach-test");
    let issuer = Issuer::start(mint.jwks());
    let mint = mint.of_issuer(&issuer.url());
    let direct = clients(&format!("http://{}", ollama.address), "none", Ollama::MODEL);
    // With a limit, too: it is far away, and nothing is different.
    for (name, limit) in [("real-free", "none"), ("real-limited", "1000000")] {
        let gateway = Builder::new(name)
            .set("OIDC_ISSUER", issuer.url())
            .set("OIDC_AUD", "attach-test")
            .set("ENGINE_URL", format!("http://{}", ollama.address))
            .set("MAX_TOKENS_PER_MIN", limit)
            .start();
        let token = mint.token("alice");
        let through = clients(&gateway.url(), &token, Ollama::MODEL);
        compare(&through, &direct, |project| row(&gateway, &token, project));
    }
}

#[test]
fn answers_of_the_built_in_engine_are_whole_and_its_reports_are_recorded() {
    let gateway = Builder::new("echo-usage").start();
    if gateway.pid("engine").is_none() {
        println!("skipped: an Ollama answers on this machine's port 11434 and was taken");
        return;
    }
    let token = gateway.run(&["token"]).expect_success().stdout.trim().to_owned();
    let through = clients(&gateway.url(), &token, "echo");
    let direct = clients(&format!("http://{}", gateway.echo), &token, "echo");
    compare(&through, &direct, |project| row(&gateway, &token, project));
}
