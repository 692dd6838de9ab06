//! Counts, held against an independent implementation's: texts of the corpus that `js-tiktoken` counted, as
//! prompts and as answers, of engines that report nothing.

use attach_tests::fixture::Fixture;
use serde_json::{Value, json};

use crate::kit::{self, CHAT, FRAME, cost, row};

/// Some texts, with their counts in `cl100k_base` and `o200k_base`.
fn corpus() -> Vec<(String, u64, u64)> {
    let text = String::from_utf8(kit::core_file("data/token_counts.jsonl")).expect("UTF-8");
    let all: Vec<(String, u64, u64)> =
        text.lines().map(|line| serde_json::from_str(line).expect("a text and its counts")).collect();
    assert!(all.len() >= 2_000, "{}", all.len());
    let some: Vec<_> = all.iter().take(30).chain(all.iter().skip(30).step_by(50)).cloned().collect();
    assert!(some.len() >= 60 && some.iter().any(|(_, one, other)| one != other));
    some
}

fn ask(fixture: &Fixture, project: &str, model: &str, text: &str) -> (u64, u64, String) {
    let target = format!("{CHAT}?{project}&");
    let answer = kit::silent(text);
    fixture.upstream.on(&target, move |exchange| kit::reply(exchange, &answer));
    let body = kit::chat(text, &json!({"model": model}));
    fixture.gateway.send(&kit::call(fixture, "alice", project, &target, &body)).expect(200);
    let row = row(fixture, "alice", project);
    let (input, output, source) = cost(&row);
    (input, output, source.to_owned())
}

#[test]
fn prompts_and_answers_cost_what_another_implementation_counts() {
    let fixture = kit::free();
    let mut wrong = Vec::new();
    for (at, (text, cl100k, o200k)) in corpus().into_iter().enumerate() {
        for (model, tokens) in [("gpt-4", cl100k), ("gpt-4o", o200k)] {
            let got = ask(fixture, &format!("corpus-{model}-{at}"), model, &text);
            if got != (FRAME + tokens, tokens, "counted".to_owned()) {
                wrong.push(format!("{model}: {got:?} instead of {tokens}: {text:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// A body that is written in escapes, comes in pieces and is large is counted as it comes; it is no other prompt.
#[test]
fn large_prompts_are_counted_as_they_come() {
    let fixture = kit::free();
    let (mut text, mut tokens) = (String::new(), 0);
    // A blank line between two texts of letters alone parts their tokens; what it costs is counted beside.
    let words: Vec<_> = corpus()
        .into_iter()
        .filter(|(text, ..)| text.len() > 20 && text.bytes().all(|b| b.is_ascii_alphabetic() || b == b' '))
        .filter(|(text, ..)| !text.starts_with(' ') && !text.ends_with(' '))
        .collect();
    let mut messages = Vec::<Value>::new();
    while text.len() < 100_000 {
        for (word, cl100k, _) in &words {
            messages.push(json!({"role": "user", "content": word}));
            text.push_str(word);
            tokens += cl100k + 5;
        }
        assert!(!words.is_empty(), "the corpus has such texts");
    }
    let target = format!("{CHAT}?large-prompt");
    fixture.upstream.on(&target, |exchange| kit::reply(exchange, &kit::silent("")));
    let body = json!({"model": "gpt-4", "messages": messages}).to_string();
    let escaped = body.replace("user", "\\u0075ser");
    for (project, body) in [("large-plain", body.clone()), ("large-escaped", escaped)] {
        let request = attach_tests::request::Request::post_chunked(&target)
            .bearer(&fixture.alice())
            .header("x-attach-project", project);
        let mut stream = request.open(fixture.gateway.address);
        for piece in body.as_bytes().chunks(10_007) {
            stream.send(piece);
        }
        stream.end(&[]);
        assert_eq!(stream.head().0, 200);
        assert_eq!(cost(&row(fixture, "alice", project)), (3 + tokens, 0, "counted"), "{project}");
    }
}

#[test]
fn the_operators_encoding_stands_for_every_model() {
    let fixture = Fixture::start("tokens-encoding", |builder| builder.set("QUOTA_ENCODING", "o200k_base"));
    let texts = corpus();
    let (text, _, o200k) =
        texts.iter().find(|(text, one, other)| text.len() > 20 && one != other).expect("such a text");
    for model in ["gpt-4", "unknown"] {
        let got = ask(&fixture, &format!("encoding-{model}"), model, text);
        assert_eq!(got, (FRAME + o200k, *o200k, "counted".to_owned()));
    }
}
