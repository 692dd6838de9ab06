use super::*;

const OPENAI: &str = "data: {\"id\":\"c\\\"1\",\"object\":\"chat.completion.chunk\",\"created\":5,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one two\"}}]}\n\n";

#[test]
fn a_stream_ends_with_the_event_that_reaches_its_limit() {
    let mut reader = reader(Shape::OpenAiChat, Kind::Sse);
    reader.end_at(Some(4));
    let (first, second) = OPENAI.split_at(OPENAI.len() / 2);
    let stream = [OPENAI, first].concat();
    assert_eq!(reader.push(stream.as_bytes(), false), Output::Same);
    let seen = text_of(&mut reader, [second, OPENAI].concat().as_bytes());
    let (rest, last) = seen.split_at(second.len());
    assert_eq!(rest, second);
    assert!(last.ends_with("\n\ndata: [DONE]\n\n"), "{last}");
    let chunk: serde_json::Value =
        serde_json::from_str(last.lines().next().unwrap().trim_start_matches("data: ")).unwrap();
    let expected = serde_json::json!({
        "id": "c\"1", "object": "chat.completion.chunk", "created": 5, "model": "m",
        "choices": [{"index": 0, "delta": {}, "finish_reason": "length"}],
    });
    assert_eq!(chunk, expected);
    assert!(reader.is_cut() && !reader.is_complete());
    // What still comes is not passed on, and costs nothing.
    assert_eq!(reader.push(OPENAI.as_bytes(), false), Output::Replaced(Vec::new()));
    assert_eq!(reader.push(b"", true), Output::Same);
    assert_eq!(reader.usage(Some(7)), usage(7, 4, 0, 0, Source::Counted));
}

#[test]
fn a_stream_that_has_finished_is_left_to_end_by_itself() {
    let finished = OPENAI.replace("}}]", "},\"finish_reason\":\"stop\"}]");
    let stopped = "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n";
    for (shape, stream) in [
        (Shape::OpenAiChat, finished),
        (Shape::OpenAiChat, format!("{OPENAI}data: [DONE]\n\n")),
        (Shape::AnthropicMessages, stopped.to_owned()),
    ] {
        let mut reader = reader(shape, Kind::Sse);
        reader.push(stream.as_bytes(), false);
        reader.end_at(Some(0));
        assert_eq!(reader.push(b"", false), Output::Same, "{stream}");
        assert!(!reader.is_cut());
    }
}

/// What ends these streams, with what stands before it.
#[test]
fn every_shape_ends_in_its_own_words() {
    let anthropic = "event: content_block_start\r\ndata: {\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\r\n\r\nevent: content_block_delta\r\ndata: {\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"one two\"}}\r\n\r\n";
    let gemini =
        r#"{"candidates":[{"content":{"parts":[{"text":"one two"}]},"index":0}],"modelVersion":"g"}"#;
    let ollama = |member| format!("{{\"model\":\"m\",\"created_at\":\"2025\",{member},\"done\":false}}\n");
    let table = [
        (
            Shape::OpenAiCompletions,
            Kind::Sse,
            "data: {\"id\":\"c\",\"created\":5,\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\"one\"},{\"index\":2,\"text\":\" two\"}]}\n\n".to_owned(),
            vec!["data: {\"id\":\"c\",\"object\":\"text_completion\",\"created\":5,\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"length\"}]}\n\n", r#""index":2"#, "data: [DONE]\n\n"],
        ),
        (
            Shape::AnthropicMessages,
            Kind::Sse,
            anthropic.to_owned(),
            vec![
                "event: content_block_stop\r\ndata: {\"type\":\"content_block_stop\",\"index\":1}\r\n\r\n",
                "event: message_delta\r\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"max_tokens\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":",
                "event: message_stop\r\ndata: {\"type\":\"message_stop\"}\r\n\r\n",
            ],
        ),
        (
            Shape::OpenAiResponses,
            Kind::Sse,
            "data: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"created_at\":5,\"model\":\"m\"}}\n\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"delta\":\"one two\"}\n\n".to_owned(),
            vec!["event: response.incomplete\n", r#""sequence_number":5"#, r#""id":"r""#, r#""max_output_tokens""#],
        ),
        (
            Shape::Gemini,
            Kind::Sse,
            format!("data: {gemini}\n\n"),
            vec![r#""finishReason":"MAX_TOKENS","index":0"#, r#""modelVersion":"g""#],
        ),
        (Shape::Gemini, Kind::Json, format!("[{gemini}\n"), vec![r#","#, "MAX_TOKENS", "\n]"]),
        (Shape::Gemini, Kind::Json, format!("[{gemini},\r\n"), vec![r#"{"candidates""#, "MAX_TOKENS", "\n]"]),
        (
            Shape::OllamaChat,
            Kind::Ndjson,
            ollama(r#""message":{"role":"assistant","content":"one two"}"#),
            vec![r#""created_at":"2025","message":{"role":"assistant","content":""},"done":true,"done_reason":"length""#, "}\n"],
        ),
        (
            Shape::OllamaGenerate,
            Kind::Ndjson,
            ollama(r#""response":"one two""#),
            vec![r#"{"model":"m","created_at":"2025","response":"","done":true,"#, "}\n"],
        ),
    ];
    for (shape, kind, stream, expected) in table {
        for known in [shape, Shape::Unknown] {
            let mut reader = reader(known, kind);
            reader.end_at(Some(2));
            let seen = [
                text_of(&mut reader, &stream.as_bytes()[..9]),
                text_of(&mut reader, &stream.as_bytes()[9..]),
                text_of(&mut reader, b""),
            ]
            .concat();
            let last = seen.strip_prefix(&stream).unwrap_or_else(|| panic!("{shape:?}: {seen}"));
            let mut rest = last;
            for words in &expected {
                let (_, after) =
                    rest.split_once(words).unwrap_or_else(|| panic!("{shape:?}: {words} is not in {rest}"));
                rest = after;
            }
            assert!(reader.is_cut(), "{shape:?}");
            if kind == Kind::Json {
                assert!(serde_json::from_str::<serde_json::Value>(&seen).is_ok(), "{seen}");
            }
            // What the filter says is what a client of this shape reads to its end.
            let mut reader = self::reader(shape, kind);
            reader.push(seen.as_bytes(), true);
            assert!(reader.is_complete(), "{seen}");
        }
    }
}

#[test]
fn what_is_no_stream_is_not_ended() {
    for (shape, kind, body) in [
        (Shape::OpenAiChat, Kind::Json, r#"{"choices":[{"message":{"content":"one two"}}],"#),
        (Shape::OpenAiEmbeddings, Kind::Sse, OPENAI),
        (Shape::Unknown, Kind::Sse, "data: 1\n\n"),
    ] {
        let mut reader = reader(shape, kind);
        reader.end_at(Some(0));
        assert_eq!(reader.push(body.as_bytes(), false), Output::Same);
        assert_eq!(reader.push(b"", false), Output::Same);
        assert!(reader.final_event().is_empty());
    }
}
