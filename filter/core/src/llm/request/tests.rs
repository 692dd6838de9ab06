//! What each format's bodies ask for, however they are cut, and what hostile ones are taken for.

use proptest::prelude::*;

use super::cap::{CapField, StatedCap};
use super::*;
use crate::llm::shape::Shape::*;

mod bodies;
mod prompts;

pub(in crate::llm) use bodies::{bodies, shapes};
use prompts::PROMPTS;

/// The texts, each by itself.
#[derive(Debug, Default, PartialEq)]
struct Texts {
    done: Vec<String>,
    open: Vec<u8>,
}

impl TextSink for Texts {
    fn text(&mut self, piece: &[u8]) {
        self.open.extend_from_slice(piece);
    }
    fn end_text(&mut self) {
        self.done.push(String::from_utf8(core::mem::take(&mut self.open)).unwrap());
    }
}

fn read(call: impl Into<Call>, chunks: &[&[u8]]) -> Result<(RequestFacts, Vec<String>), BodyError> {
    let mut reader = RequestReader::new(call);
    let mut texts = Texts::default();
    for chunk in chunks {
        reader.push(chunk, &mut texts)?;
    }
    assert!(texts.open.is_empty());
    Ok((reader.finish()?, texts.done))
}

fn facts(shape: Shape, body: &str) -> RequestFacts {
    read(shape, &[body.as_bytes()]).unwrap().0
}

fn field(name: &str) -> CapField {
    CapField::parse(name).unwrap()
}

const SETTINGS: &[&str] = &[
    r#"{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true},"max_tokens":1.5e2,"n":2}"#,
    r#"{"options":{"num_predict":-1,"max_tokens":"5"},"generationConfig":{"maxOutputTokens":7,"candidateCount":3}}"#,
    r#"{"MAX_TOKENS":5,"max_to\u212aens":null,"Model":"x","ſtream":"no","best_of":4,"parameters":null}"#,
];

#[test]
fn every_cut_in_two_finds_the_same() {
    let rows = PROMPTS.iter().map(|(shape, body, ..)| (*shape, *body));
    for (shape, body) in rows.chain(SETTINGS.iter().map(|body| (OpenAiChat, *body))) {
        let whole = read(shape, &[body.as_bytes()]).unwrap();
        for at in 0..=body.len() {
            let (first, second) = body.as_bytes().split_at(at);
            let mut reader = RequestReader::new(shape);
            let mut texts = Texts::default();
            reader.push(first, &mut texts).unwrap();
            reader.push(second, &mut texts).unwrap();
            assert_eq!((reader.finish().unwrap(), texts.done), whole, "{body} cut at {at}");
        }
        let mut reader = RequestReader::new(shape);
        let mut texts = Texts::default();
        for byte in body.as_bytes().chunks(1) {
            reader.push(byte, &mut texts).unwrap();
        }
        assert_eq!((reader.finish().unwrap(), texts.done), whole, "{body} byte by byte");
    }
}

#[test]
fn the_last_model_counts_and_two_are_unclear() {
    for (body, model, is_unclear) in [
        (r#"{"model":"a"}"#, Some("a"), false),
        (r#"{"model":"a","model":"a"}"#, Some("a"), false),
        (r#"{"model":"a","model":"b"}"#, Some("b"), true),
        (r#"{"model":"a","MODEL":"b"}"#, Some("a"), true),
        (r#"{"Model":"b"}"#, Some("b"), true),
        (r#"{"model":null}"#, None, false),
        (r#"{"model":7}"#, None, true),
        (r#"{"model":["a"]}"#, None, true),
        (r#"{"messages":[{"model":"x"}]}"#, None, false),
        (r#"{"\u006dodel":"a\u0062"}"#, Some("ab"), false),
    ] {
        let facts = facts(OpenAiChat, body);
        assert_eq!((facts.model.as_deref(), facts.is_model_unclear), (model, is_unclear), "{body}");
    }
    let long = format!(r#"{{"model":"{}"}}"#, "m".repeat(257));
    assert_eq!(facts(OpenAiChat, &long).model, None);
    let call = Call::of("POST", "/v1beta/models/gemini-pro:streamGenerateContent").unwrap();
    let (facts, _) = read(call, &[br#"{"model":"other","stream":false}"#]).unwrap();
    assert_eq!(facts.model.as_deref(), Some("gemini-pro"));
    assert!(facts.stream && !facts.is_stream_unclear && !facts.is_model_unclear);
}

#[test]
fn it_is_a_stream_if_any_member_says_so() {
    for (shape, body, stream, is_unclear) in [
        (OpenAiChat, r#"{}"#, false, false),
        (OpenAiChat, r#"{"stream":true}"#, true, false),
        (OpenAiChat, r#"{"stream":false}"#, false, false),
        (OpenAiChat, r#"{"stream":null}"#, false, false),
        (OpenAiChat, r#"{"stream":true,"stream":false}"#, true, true),
        (OpenAiChat, r#"{"STREAM":true}"#, true, true),
        (OpenAiChat, r#"{"ſtream":true}"#, true, true),
        (OpenAiChat, r#"{"stream":1}"#, true, true),
        (OpenAiChat, r#"{"stream":0}"#, false, true),
        (OpenAiChat, r#"{"stream":"yes"}"#, true, true),
        (OpenAiChat, r#"{"stream":"False"}"#, false, true),
        (OpenAiChat, r#"{"stream":{}}"#, true, true),
        (OllamaChat, r#"{}"#, true, false),
        (OllamaGenerate, r#"{"stream":null}"#, true, false),
        (OllamaChat, r#"{"stream":false}"#, false, false),
        (OllamaEmbed, r#"{}"#, false, false),
    ] {
        let facts = facts(shape, body);
        assert_eq!((facts.stream, facts.is_stream_unclear), (stream, is_unclear), "{body}");
    }
}

#[test]
fn the_largest_cap_counts_and_only_a_known_one_is_sure() {
    for (shape, body, stated, is_capped) in [
        (OpenAiChat, r#"{}"#, None, false),
        (OpenAiChat, r#"{"max_tokens":5}"#, Some(5), true),
        (OpenAiChat, r#"{"max_tokens":5,"max_completion_tokens":900}"#, Some(900), true),
        (OpenAiChat, r#"{"max_tokens":5,"max_tokens":900}"#, Some(900), true),
        (OpenAiChat, r#"{"max_tokens":900,"max_tokens":5}"#, Some(900), true),
        (OpenAiChat, r#"{"max_tokens":5,"MAX_TOKENS":900}"#, Some(900), true),
        (OpenAiChat, r#"{"MAX_TOKENS":5}"#, Some(5), false),
        (OpenAiChat, "{\"max_to\u{212a}ens\":5}", Some(5), false),
        (OpenAiChat, r#"{"max_tokens":null}"#, None, false),
        (OpenAiChat, r#"{"max_tokens":5,"max_tokens":null}"#, Some(5), false),
        (OpenAiChat, r#"{"max_tokens":5,"Max_Tokens":null}"#, Some(5), false),
        (OpenAiChat, r#"{"max_tokens":5,"max_tokens":-1}"#, Some(5), false),
        (OpenAiChat, r#"{"max_tokens":5,"max_completion_tokens":null}"#, Some(5), true),
        (OpenAiChat, r#"{"max_tokens":0}"#, None, false),
        (OpenAiChat, r#"{"max_tokens":1.5}"#, Some(2), true),
        (OpenAiChat, r#"{"max_tokens":1e309}"#, Some(u64::MAX), true),
        (OpenAiChat, r#"{"max_tokens":"5"}"#, Some(5), true),
        (OpenAiChat, r#"{"max_tokens":" 5 "}"#, Some(5), true),
        (OpenAiChat, r#"{"max_tokens":"many"}"#, None, false),
        (OpenAiChat, r#"{"max_tokens":true}"#, None, false),
        (OpenAiChat, r#"{"max_tokens":[5]}"#, None, false),
        (OpenAiChat, r#"{"max_tokens":{"a":5}}"#, None, false),
        (OpenAiChat, r#"{"num_predict":5}"#, Some(5), false),
        (OpenAiChat, r#"{"max_output_tokens":5}"#, Some(5), false),
        (OpenAiChat, r#"{"options":{"num_predict":5}}"#, Some(5), false),
        (OpenAiCompletions, r#"{"max_tokens":5}"#, Some(5), true),
        (OpenAiResponses, r#"{"max_output_tokens":5}"#, Some(5), true),
        (AnthropicMessages, r#"{"max_tokens":5}"#, Some(5), true),
        (Gemini, r#"{"generationConfig":{"maxOutputTokens":5}}"#, Some(5), true),
        (Gemini, r#"{"generation_config":{"max_output_tokens":5}}"#, Some(5), true),
        (Gemini, r#"{"generationConfig":{"maxOutputTokens":5},"generation_config":{}}"#, Some(5), false),
        (Gemini, r#"{"maxOutputTokens":5}"#, Some(5), false),
        (OllamaChat, r#"{"options":{"num_predict":5}}"#, Some(5), true),
        (OllamaChat, r#"{"options":{"num_predict":-2}}"#, None, false),
        (OllamaChat, r#"{"options":{"num_predict":5},"options":null}"#, Some(5), false),
        (OllamaChat, r#"{"options":{"num_predict":5},"OPTIONS":{}}"#, Some(5), false),
        (OllamaChat, r#"{"Options":{"num_predict":5}}"#, Some(5), false),
        (OllamaChat, r#"{"options":[{"num_predict":5}]}"#, None, false),
        (OllamaChat, r#"{"max_tokens":5}"#, Some(5), false),
        (Unknown, r#"{"sampling_params":{"max_tokens":5}}"#, Some(5), false),
        (Unknown, r#"{"parameters":{"max_new_tokens":5}}"#, Some(5), false),
        (OpenAiChat, r#"{"messages":[{"max_tokens":5}]}"#, None, false),
    ] {
        let facts = facts(shape, body);
        assert_eq!((facts.stated_cap(), facts.is_capped()), (stated, is_capped), "{body}");
        let expected = if is_capped { stated.unwrap() } else { stated.unwrap_or(0).max(100) };
        assert_eq!(facts.output_bound(100), expected, "{body}");
    }
}

#[test]
fn a_cap_is_told_with_its_place() {
    let body = r#"{"a":1, "max_tokens" : 1.5e1 ,"options":{"num_predict":"7"},"max_completion_tokens":null}"#;
    let facts = facts(OpenAiChat, body);
    let told: Vec<(CapField, CapValue, &str)> = facts
        .caps
        .iter()
        .map(|StatedCap { field, value, span, .. }| {
            (*field, *value, body.get(span.start as usize..span.end as usize).unwrap())
        })
        .collect();
    assert_eq!(
        told,
        [
            (field("max_tokens"), CapValue::Tokens(15), "1.5e1"),
            (field("options.num_predict"), CapValue::Tokens(7), "\"7\""),
            (field("max_completion_tokens"), CapValue::Null, "null"),
        ]
    );
}

#[test]
fn every_answer_that_is_asked_for_counts() {
    for (shape, body, choices) in [
        (OpenAiChat, r#"{}"#, 1),
        (OpenAiChat, r#"{"n":3}"#, 3),
        (OpenAiChat, r#"{"n":3,"N":8,"best_of":5}"#, 8),
        (OpenAiChat, r#"{"n":"4"}"#, 4),
        (OpenAiChat, r#"{"n":1.5}"#, 2),
        (OpenAiChat, r#"{"n":null}"#, 1),
        (OpenAiChat, r#"{"n":0}"#, 1),
        (OpenAiChat, r#"{"n":-3}"#, 1),
        (OpenAiChat, r#"{"n":1e309}"#, MAX_CHOICES),
        (OpenAiCompletions, r#"{"prompt":["a","b"],"n":3}"#, 6),
        (OpenAiCompletions, r#"{"prompt":[[1,2],[3]],"best_of":2}"#, 4),
        (OpenAiCompletions, r#"{"prompt":[1,2,3]}"#, 1),
        (OpenAiCompletions, r#"{"prompt":"a"}"#, 1),
        (Gemini, r#"{"generationConfig":{"candidateCount":2}}"#, 2),
    ] {
        assert_eq!(facts(shape, body).choices, choices, "{body}");
    }
    assert_eq!(facts(OpenAiCompletions, r#"{"prompt":["a","b"],"max_tokens":10,"n":3}"#).output_bound(1), 60);
    assert_eq!(facts(OpenAiChat, r#"{"max_tokens":1e99,"n":9}"#).output_bound(1), u64::MAX);
}

#[test]
fn a_body_says_what_it_is_where_its_path_does_not() {
    for (shape, body, expected) in [
        (Unknown, r#"{"messages":[]}"#, OpenAiChat),
        (Unknown, r#"{"contents":[]}"#, Gemini),
        (Unknown, r#"{"prompt":"a"}"#, OpenAiCompletions),
        (Unknown, r#"{"input":"a"}"#, OpenAiEmbeddings),
        (Unknown, r#"{"input":"a","max_output_tokens":5}"#, OpenAiResponses),
        (Unknown, r#"{"input":"a","instructions":"b"}"#, OpenAiResponses),
        (Unknown, r#"{"query":"a"}"#, Unknown),
        (OpenAiCompletions, r#"{"messages":[]}"#, OpenAiChat),
        (OpenAiCompletions, r#"{"messages":[],"prompt":"a"}"#, OpenAiCompletions),
        (OllamaChat, r#"{"prompt":"a"}"#, OllamaChat),
    ] {
        assert_eq!(facts(shape, body).shape, expected, "{body}");
    }
}

#[test]
fn usage_can_be_asked_for_where_nobody_can_read_it_otherwise() {
    for (body, includes, can) in [
        (r#"{"stream":true}"#, false, true),
        (r#"{"stream":true,"stream_options":{}}"#, false, true),
        (r#"{"stream":true,"stream_options":{"include_usage":false}}"#, false, true),
        (r#"{"stream":true,"stream_options":{"include_usage":null}}"#, false, true),
        (r#"{"stream":true,"stream_options":{"include_usage":true}}"#, true, false),
        (r#"{"stream":true,"stream_options":{"include_usage":1}}"#, false, false),
        (r#"{"stream":true,"stream_options":{"include_usage":[true]}}"#, false, false),
        (r#"{"stream":true,"stream_options":null}"#, false, false),
        (r#"{"stream":true,"stream_options":[]}"#, false, false),
        (r#"{"stream":true,"stream_options":"x"}"#, false, false),
        (r#"{"stream":true,"Stream_Options":{}}"#, false, false),
        (r#"{"stream":true,"stream_options":{},"stream_options":{}}"#, false, false),
        (r#"{"stream":true,"stream_options":{"include_usage":false,"include_usage":false}}"#, false, false),
        (r#"{"stream":true,"stream_options":{"include_usage":true,"include_usage":false}}"#, true, false),
        (r#"{"stream":true,"stream_options":{"Include_Usage":false}}"#, false, false),
        (r#"{"stream":false}"#, false, false),
        (r#"{"stream":true,"stream":false}"#, false, false),
    ] {
        let facts = facts(OpenAiChat, body);
        assert_eq!((facts.includes_usage, facts.can_ask_for_usage()), (includes, can), "{body}");
    }
    assert!(!facts(OllamaChat, r#"{"stream":true}"#).can_ask_for_usage());
}

#[test]
fn what_is_no_object_of_json_is_an_error() {
    for body in ["[]", "1", "\"a\"", "null", "true", "[{\"messages\":[]}]"] {
        assert_eq!(read(OpenAiChat, &[body.as_bytes()]), Err(BodyError::NotAnObject), "{body}");
    }
    let is_no_json = |body: &[u8]| matches!(read(OpenAiChat, &[body]), Err(BodyError::NotJson(_)));
    for body in
        [&b""[..], b"{", b"{} x", b"model=a", b"{\"messages\":[{\"content\":\"\xff\"}]}", b"{\"n\":NaN}"]
    {
        assert!(is_no_json(body), "{:?}", String::from_utf8_lossy(body));
    }
    assert!(is_no_json(&[b"{\"messages\":".as_slice(), &b"[".repeat(1_000_000)].concat()));
    let caps = format!("{{{}}}", vec!["\"max_tokens\":1"; MAX_CAPS + 1].join(","));
    assert_eq!(read(OpenAiChat, &[caps.as_bytes()]), Err(BodyError::TooManyCaps));
}

#[test]
fn a_long_body_is_measured_and_not_kept() {
    let text = "word é\\n".repeat(125_000);
    let body = format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}],"tools":["{text}"]}}"#);
    let mut reader = RequestReader::new(OpenAiChat);
    for chunk in body.as_bytes().chunks(16_384) {
        reader.push(chunk, &mut Unread).unwrap();
    }
    assert!(reader.state.kept.capacity() < 1024 && reader.state.stack.capacity() < 64);
    let facts = reader.finish().unwrap();
    assert_eq!(facts.text_bytes, 4 + 125_000 * 8 + 125_000 * 9 + 4);
}

#[test]
fn half_a_surrogate_pair_costs_what_engines_make_of_it() {
    let (_, texts) = read(OpenAiChat, &[br#"{"messages":[{"content":"a\ud83e"}]}"#]).unwrap();
    assert_eq!(texts, ["a\u{fffd}"]);
}

#[test]
fn nothing_of_a_prompt_is_printed() {
    let mut reader = RequestReader::new(OpenAiChat);
    reader.push(br#"{"messages":[{"content":"secret"#, &mut Unread).unwrap();
    assert!(!format!("{reader:?}").contains("secret"));
}

proptest! {
    #[test]
    fn any_body_cut_anywhere_reads_alike(shape in shapes(), body in bodies(), sizes in prop::collection::vec(1_usize..30, 0..20)) {
        let whole = read(shape, &[body.as_bytes()]);
        let mut rest = body.as_bytes();
        let mut reader = RequestReader::new(shape);
        let mut texts = Texts::default();
        let mut pushed = Ok(());
        for size in sizes {
            let (first, later) = rest.split_at(size.min(rest.len()));
            pushed = pushed.and_then(|()| reader.push(first, &mut texts));
            rest = later;
        }
        let cut = pushed.and_then(|()| reader.push(rest, &mut texts)).and_then(|()| reader.finish());
        prop_assert_eq!(cut.map(|facts| (facts, texts.done)), whole);
    }

    #[test]
    fn no_bytes_are_too_odd(shape in shapes(), bytes in prop::collection::vec(any::<u8>(), 0..64), body in bodies(), at: prop::sample::Index) {
        let mut mangled = body.into_bytes();
        let at = at.index(mangled.len());
        mangled.splice(at..at, bytes);
        let _ = read(shape, &[&mangled]);
    }
}
