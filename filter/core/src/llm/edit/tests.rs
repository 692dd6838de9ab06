//! Edits change what they must and nothing else, and what they make reads back as they meant it.

use proptest::prelude::*;

use super::*;
use crate::llm::request::tests::{bodies, shapes};
use crate::llm::request::{RequestReader, Unread};
use crate::llm::shape::Shape::{self, *};

fn facts(shape: Shape, body: &[u8]) -> RequestFacts {
    let mut reader = RequestReader::new(shape);
    reader.push(body, &mut Unread).unwrap();
    reader.finish().unwrap()
}

fn edited(shape: Shape, body: &str, edits: &Edits) -> Option<String> {
    edit(body.as_bytes(), &facts(shape, body.as_bytes()), edits).map(|body| String::from_utf8(body).unwrap())
}

fn cap(most: u64, insert: Option<&str>) -> Edits {
    let insert = insert.map(|name| CapField::parse(name).unwrap());
    Edits { ask_for_usage: false, cap: Some(CapEdit { most, insert }) }
}

#[test]
fn usage_is_asked_for_with_the_fewest_bytes() {
    let edits = Edits { ask_for_usage: true, cap: None };
    for (body, expected) in [
        (r#"{"stream":true}"#, Some(r#"{"stream":true,"stream_options":{"include_usage":true}}"#)),
        (
            " { \"stream\" : true } \n",
            Some(" { \"stream\" : true ,\"stream_options\":{\"include_usage\":true}} \n"),
        ),
        (
            r#"{"stream_options":{},"stream":true}"#,
            Some(r#"{"stream_options":{"include_usage":true},"stream":true}"#),
        ),
        (
            r#"{"stream_options":{ "x":1 },"stream":true}"#,
            Some(r#"{"stream_options":{ "x":1 ,"include_usage":true},"stream":true}"#),
        ),
        (
            r#"{"stream_options":{"include_usage": false},"stream":true}"#,
            Some(r#"{"stream_options":{"include_usage": true},"stream":true}"#),
        ),
        (
            r#"{"stream_options":{"include_usage":null},"stream":true}"#,
            Some(r#"{"stream_options":{"include_usage":true},"stream":true}"#),
        ),
        (r#"{"stream_options":{"include_usage":true},"stream":true}"#, None),
        (r#"{"stream_options":null,"stream":true}"#, None),
        (r#"{"stream":false}"#, None),
        (r#"{}"#, None),
    ] {
        assert_eq!(edited(OpenAiChat, body, &edits).as_deref(), expected, "{body}");
    }
}

#[test]
fn every_cap_that_states_more_is_lowered() {
    for (body, expected) in [
        (r#"{"max_tokens":5}"#, None),
        (r#"{"max_tokens":100}"#, None),
        (r#"{"max_tokens": 101 }"#, Some(r#"{"max_tokens": 100 }"#)),
        (r#"{"max_tokens":1e309,"x":1}"#, Some(r#"{"max_tokens":100,"x":1}"#)),
        (r#"{"max_tokens":"500"}"#, Some(r#"{"max_tokens":100}"#)),
        (
            r#"{"MAX_TOKENS":200,"max_tokens":5,"max_tokens":300}"#,
            Some(r#"{"MAX_TOKENS":100,"max_tokens":5,"max_tokens":100}"#),
        ),
        // A stream that states no end is left without one.
        (r#"{"max_tokens":-1}"#, None),
        (r#"{"max_tokens":null}"#, None),
        (r#"{}"#, None),
    ] {
        assert_eq!(edited(OpenAiChat, body, &cap(100, None)).as_deref(), expected, "{body}");
    }
}

#[test]
fn a_cap_is_put_where_none_is_obeyed() {
    for (shape, field, body, expected) in [
        (OpenAiChat, "max_tokens", r#"{}"#, Some(r#"{"max_tokens":9}"#)),
        (OpenAiChat, "max_tokens", r#"{"a":1}"#, Some(r#"{"a":1,"max_tokens":9}"#)),
        (OpenAiChat, "max_completion_tokens", r#"{"a":{}}"#, Some(r#"{"a":{},"max_completion_tokens":9}"#)),
        (OpenAiChat, "max_completion_tokens", r#"{"max_tokens":5}"#, None),
        (OpenAiChat, "max_tokens", r#"{"max_tokens":null}"#, Some(r#"{"max_tokens":9}"#)),
        (OpenAiChat, "max_tokens", r#"{"max_tokens":-1}"#, Some(r#"{"max_tokens":9}"#)),
        (OpenAiChat, "max_tokens", r#"{"max_tokens":[1,{}]}"#, Some(r#"{"max_tokens":9}"#)),
        (
            OpenAiChat,
            "max_tokens",
            r#"{"max_tokens":5,"max_tokens":null}"#,
            Some(r#"{"max_tokens":5,"max_tokens":9}"#),
        ),
        (OpenAiChat, "max_tokens", r#"{"MAX_TOKENS":5}"#, Some(r#"{"MAX_TOKENS":5,"max_tokens":9}"#)),
        (OllamaChat, "options.num_predict", r#"{}"#, Some(r#"{"options":{"num_predict":9}}"#)),
        (OllamaChat, "options.num_predict", r#"{"options":{}}"#, Some(r#"{"options":{"num_predict":9}}"#)),
        (OllamaChat, "options.num_predict", r#"{"options":null}"#, Some(r#"{"options":{"num_predict":9}}"#)),
        (OllamaChat, "options.num_predict", r#"{"options":7}"#, None),
        (
            OllamaChat,
            "options.num_predict",
            r#"{"options":{"seed":1},"x":1}"#,
            Some(r#"{"options":{"seed":1,"num_predict":9},"x":1}"#),
        ),
        (
            OllamaChat,
            "options.num_predict",
            r#"{"options":{"num_predict":5},"options":{}}"#,
            Some(r#"{"options":{"num_predict":5},"options":{"num_predict":9}}"#),
        ),
        (
            Gemini,
            "generationConfig.maxOutputTokens",
            r#"{"contents":[]}"#,
            Some(r#"{"contents":[],"generationConfig":{"maxOutputTokens":9}}"#),
        ),
        (
            Gemini,
            "generationConfig.maxOutputTokens",
            r#"{"generation_config":{"topK":1}}"#,
            Some(r#"{"generation_config":{"topK":1,"maxOutputTokens":9}}"#),
        ),
        (Unknown, "max_tokens", r#"{"max_tokens":5}"#, None),
    ] {
        assert_eq!(edited(shape, body, &cap(9, Some(field))).as_deref(), expected, "{body}");
    }
}

#[test]
fn both_edits_stand_side_by_side() {
    let edits = Edits { ask_for_usage: true, ..cap(9, Some("max_tokens")) };
    assert_eq!(
        edited(OpenAiChat, r#"{"stream":true}"#, &edits).unwrap(),
        r#"{"stream":true,"max_tokens":9,"stream_options":{"include_usage":true}}"#
    );
    // In the middle, at the end, and in the order of the body.
    assert_eq!(
        edited(OpenAiChat, r#"{"stream_options":{},"max_tokens":70,"stream":true}"#, &edits).unwrap(),
        r#"{"stream_options":{"include_usage":true},"max_tokens":9,"stream":true}"#
    );
}

#[test]
fn another_body_than_the_one_that_was_read_is_left_alone() {
    let facts = facts(OpenAiChat, br#"{"max_tokens":700}"#);
    assert_eq!(edit(b"{}", &facts, &cap(9, None)), None);
}

proptest! {
    #[test]
    fn what_an_edit_makes_reads_back_as_it_was_meant(
        shape in shapes(),
        body in bodies(),
        ask_for_usage: bool,
        most in 1_u64..1000,
        field in prop::sample::select(vec![None, Some("max_tokens"), Some("options.num_predict"), Some("generationConfig.maxOutputTokens")]),
    ) {
        let mut reader = RequestReader::new(shape);
        prop_assume!(reader.push(body.as_bytes(), &mut Unread).is_ok());
        let before = reader.finish().unwrap();
        let edits = Edits { ask_for_usage, ..cap(most, field) };
        let insert = edits.cap.and_then(|cap| cap.insert);
        let made = edit(body.as_bytes(), &before, &edits);
        let text = made.clone().unwrap_or_else(|| body.clone().into_bytes());
        prop_assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok());
        let after = facts(shape, &text);
        // What it costs to read is as before, and so is all that was not to change.
        prop_assert_eq!((after.shape, &after.model, after.stream, after.choices), (before.shape, &before.model, before.stream, before.choices));
        prop_assert_eq!(after.prompt_bound(), before.prompt_bound());
        prop_assert!(after.stated_cap().is_none_or(|cap| cap <= most));
        prop_assert_eq!(after.includes_usage, before.includes_usage || (ask_for_usage && before.can_ask_for_usage()));
        if let Some(field) = insert && field.is_obeyed(before.shape) && before.can_cap(field) {
            prop_assert!(after.stated_cap().is_some_and(|cap| cap <= most));
            let holder_is_clear = !after.is_repeated(field.holder);
            prop_assert!(after.is_capped() || !holder_is_clear || after.caps.iter().any(|cap| after.is_repeated(cap.field.holder)), "{}", String::from_utf8_lossy(&text));
        }
        // Once is enough, unless it cannot be known which of two holders is read.
        if insert.is_none_or(|field| !before.is_repeated(field.holder)) && !before.caps.iter().any(|cap| before.is_repeated(cap.field.holder)) {
            prop_assert_eq!(edit(&text, &after, &edits), None);
        }
    }
}
