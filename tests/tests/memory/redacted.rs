//! No secret is remembered, wherever it stands, and none is in anything that the gateway writes.

use serde_json::json;

use crate::kit::{self, Site, only, text};

kit::on_every_backend!(
    a_secret_in_a_prompt_or_an_answer_is_not_remembered,
    a_secret_that_comes_in_pieces_is_not_remembered,
    a_secret_at_the_cut_is_not_remembered,
    a_secret_in_a_log_or_a_document_is_not_remembered,
);

/// Secrets of known shapes. Put together here, so that nobody who looks for secrets finds one in this file.
fn secrets() -> Vec<(&'static str, String)> {
    vec![
        ("OpenAI", ["sk-", "proj-", "Zt9vKq3LmN8xWc2RbY7dHf4JgS6aPeUiQ1oXk5Tn0BvCzMwE"].concat()),
        ("GitHub", ["gh", "p_", "a8F3kLq9ZxT2vBn7MwRc5YhJd1GsEp4UoI6t"].concat()),
        ("AWS", ["AK", "IA", "Q3EGVZ7KPLMN2XWB"].concat()),
        (
            "JWT",
            ["eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJ4eHh4eHgifQ", "4rT9_kLmZx2QvBn7MwRc5YhJd1GsEp4UoI6tWq8Aa0"]
                .join("."),
        ),
        ("e-mail", ["jane.doe.redact", "example.com"].join("@")),
        ("card", ["4242", "4242", "4242", "4242"].join(" ")),
        ("IBAN", ["DE89", "3704", "0044", "0532", "0130", "00"].join(" ")),
    ]
}

fn a_secret_in_a_prompt_or_an_answer_is_not_remembered(site: &Site) {
    let token = site.token("secret-alice");
    for (number, (kind, secret)) in secrets().into_iter().enumerate() {
        let said = format!("before, {secret} after {kind}");
        let answered = site.said(&kit::chat(&token, &said, &said));
        assert!(
            answered.text().contains(&secret),
            "the client's own answer was changed: {}",
            answered.text()
        );
        let events = site.events(&token, 2 * (number + 1));
        for content in [&events[0], &events[1]].map(|event| text(event, "content")) {
            assert!(
                content.starts_with("before, ") && content.ends_with(&format!(" after {kind}")),
                "{content}"
            );
            assert!(content.contains("[REDACTED:") && !content.contains(&secret), "{kind}: {content}");
        }
    }
    let arrived = site.fixture.upstream.seen(kit::CHAT);
    for (kind, secret) in secrets() {
        let came = arrived.iter().any(|seen| String::from_utf8_lossy(&seen.body).contains(&secret));
        assert!(came, "{kind}: the engine was not asked what the client asks");
        assert!(!site.keeps(&secret), "{kind} is kept somewhere");
    }
}

fn a_secret_that_comes_in_pieces_is_not_remembered(site: &Site) {
    let token = site.token("pieces-alice");
    for (number, (kind, secret)) in secrets().into_iter().enumerate() {
        let pieces: Vec<String> = format!("so: {secret} .").chars().map(String::from).collect();
        let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
        let _ = site.said(&kit::stream(&token, "tell me a secret", &pieces));
        let events = site.events(&token, 2 * (number + 1));
        let answer = text(only(&events[..2], "answer"), "content");
        assert!(answer.starts_with("so: [REDACTED:") && answer.ends_with("] ."), "{kind}: {answer}");
        assert!(!site.keeps(&secret), "{kind} is kept somewhere");
    }
}

/// Half of a secret is no secret by its shape: it is found before the text is cut.
fn a_secret_at_the_cut_is_not_remembered(site: &Site) {
    let token = site.token("cut-alice");
    let (_, secret) = secrets().swap_remove(0);
    for (number, left) in [4, 10, 25, secret.len() - 1].into_iter().enumerate() {
        let said = format!("{} {secret}", "a".repeat(kit::MAX_BYTES - left - 1));
        let _ = site.said(&kit::stream(&token, &said, &[&said, " and more"]));
        for event in site.events(&token, 2 * (number + 1)) {
            let content = text(&event, "content");
            assert!(!content.contains(secret.get(..12).expect("long enough")), "…{:?}", content.get(4000..));
            // What stands in its place is shorter than it: then the text may fit.
            assert!(event["truncated"] == json!(true) || content.contains("[REDACTED:"), "{event}");
        }
    }
    assert!(!site.keeps(secret.get(..20).expect("long enough")));
}

fn a_secret_in_a_log_or_a_document_is_not_remembered(site: &Site) {
    let token = site.token("log-secret-alice");
    for (kind, secret) in secrets() {
        // Of its own, so that nothing else has put it where it is looked for.
        let secret = secret.replace("4242 4242 4242 4242", "5555 5555 5555 4444");
        let said = format!("look: {secret}");
        let log = json!({"run_id": "r", "level": "info", "message": said});
        site.gateway()
            .send(&attach_tests::request::Request::post_json("/v1/logs", &log).bearer(&token))
            .expect(202);
        let document = json!({"content": said});
        let made = site
            .gateway()
            .send(&attach_tests::request::Request::post_json("/mem/docs", &document).bearer(&token));
        assert!(matches!(made.status, 200 | 201), "{}", made.text());
        let read =
            site.get(&token, &format!("/mem/docs/{}", text(&made.json(), "mem_id"))).expect(200).text();
        assert!(read.contains("[REDACTED:") && !read.contains(&secret), "{kind}: {read}");
    }
    let events = site.events(&token, secrets().len());
    assert!(events.iter().all(|event| text(event, "content").contains("[REDACTED:")), "{events:#?}");
    for (kind, secret) in secrets() {
        assert!(!site.keeps(&secret), "{kind} is kept somewhere");
    }
}
