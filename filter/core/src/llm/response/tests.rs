mod ending;

use proptest::prelude::*;

use super::*;
use crate::llm::bpe;
use crate::llm::usage::Source;

fn reader(shape: Shape, kind: Kind) -> ResponseReader {
    ResponseReader::new(shape, Encoding::Cl100k, false, kind)
}

fn sent(reader: &mut ResponseReader, chunk: &[u8], end: bool) -> Vec<u8> {
    match reader.push(chunk, end) {
        Output::Same => chunk.to_vec(),
        Output::Replaced(bytes) => bytes,
    }
}

fn text_of(reader: &mut ResponseReader, chunk: &[u8]) -> String {
    String::from_utf8(sent(reader, chunk, false)).unwrap()
}

fn usage(input: u64, output: u64, cached: u64, reasoning: u64, source: Source) -> TokenUsage {
    TokenUsage { input, output, cached, reasoning, source }
}

/// The usage of a stream that delivered ` one two three`, three tokens of a prompt of seven, and said this.
fn streamed(usage: &str, done: &str) -> TokenUsage {
    let mut reader = reader(Shape::OpenAiChat, Kind::Sse);
    let text = r#"{"choices":[{"index":0,"delta":{"content":" one two three"}}]}"#;
    reader.push(format!("data: {text}\n\ndata: {usage}\n\n{done}").as_bytes(), true);
    reader.usage(Some(7))
}

#[test]
fn what_the_provider_says_holds_field_by_field() {
    let done = "data: [DONE]\n\n";
    let reported = |input, output| usage(input, output, 0, 0, Source::Reported);
    let mixed = |input, output| usage(input, output, 0, 0, Source::Mixed);
    let counted = usage(7, 3, 0, 0, Source::Counted);
    let table = [
        (r#"{"usage":{"prompt_tokens":9,"completion_tokens":5}}"#, reported(9, 5)),
        (r#"{"usage":{"completion_tokens":5}}"#, mixed(7, 5)),
        (r#"{"usage":{"prompt_tokens":9}}"#, mixed(9, 3)),
        // The sum does not say which is which.
        (r#"{"usage":{"total_tokens":14}}"#, counted),
        (r#"{"usage":null}"#, counted),
        (r#"{"usage":[]}"#, counted),
        (r#"{"usage":"9"}"#, counted),
        // The last word holds, and null takes nothing back.
        (
            "{\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}\n\ndata: {\"usage\":{\"completion_tokens\":5}}\n\ndata: {\"usage\":null}",
            reported(1, 5),
        ),
        // Nothing at all is not believed where there was a text.
        (r#"{"usage":{"prompt_tokens":0,"completion_tokens":0}}"#, counted),
        // Neither is what is no count.
        (r#"{"usage":{"prompt_tokens":-9,"completion_tokens":-5}}"#, counted),
        (r#"{"usage":{"prompt_tokens":9.5,"completion_tokens":5e3}}"#, counted),
        (r#"{"usage":{"prompt_tokens":"9","completion_tokens":true}}"#, counted),
        (r#"{"usage":{"prompt_tokens":99999999999,"completion_tokens":18446744073709551616}}"#, counted),
        (r#"{"usage":{"prompt_tokens":{"a":9},"completion_tokens":[5]}}"#, counted),
        // Only where it belongs.
        (r#"{"x":{"usage":{"prompt_tokens":9,"completion_tokens":5}}}"#, counted),
        (
            r#"{"usage":{"prompt_tokens":9,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":2}}}"#,
            usage(9, 5, 4, 2, Source::Reported),
        ),
        // Parts are no more than the whole.
        (
            r#"{"usage":{"prompt_tokens":9,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":40},"completion_tokens_details":{"reasoning_tokens":20}}}"#,
            usage(9, 5, 9, 5, Source::Reported),
        ),
        (
            r#"{"usage":{"prompt_tokens":9,"completion_tokens":5,"prompt_cache_hit_tokens":4}}"#,
            usage(9, 5, 4, 0, Source::Reported),
        ),
        // A gateway's mixture: the prompt is all of it.
        (
            r#"{"usage":{"prompt_tokens":9,"input_tokens":3,"cache_read_input_tokens":6,"completion_tokens":5}}"#,
            usage(9, 5, 6, 0, Source::Reported),
        ),
    ];
    for (said, expected) in table {
        assert_eq!(streamed(said, done), expected, "{said}");
    }
}

#[test]
fn of_a_stream_that_broke_off_the_larger_number_holds() {
    let said = |output| format!(r#"{{"usage":{{"prompt_tokens":9,"completion_tokens":{output}}}}}"#);
    assert_eq!(streamed(&said(1), ""), usage(9, 3, 0, 0, Source::Mixed));
    assert_eq!(streamed(&said(50), ""), usage(9, 50, 0, 0, Source::Reported));
    assert_eq!(streamed(&said(1), "data: [DONE]\n\n"), usage(9, 1, 0, 0, Source::Reported));
}

#[test]
fn an_answer_that_never_began_costs_its_prompt() {
    let mut reader = reader(Shape::OpenAiChat, Kind::Sse);
    assert_eq!(reader.usage(Some(7)), usage(7, 0, 0, 0, Source::Counted));
    assert_eq!(reader.usage(None), TokenUsage::default());
    assert!(!reader.first_text_seen() && !reader.is_complete());
    assert!(reader.at_boundary());
}

#[test]
fn only_what_decides_is_counted() {
    let text = "word ".repeat(1000);
    let mut reader = reader(Shape::OpenAiChat, Kind::Sse);
    let chunk = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
    reader.push(chunk.as_bytes(), false);
    assert_eq!(reader.output_bound(), 5000);
    reader.push(b"data: {\"usage\":{\"completion_tokens\":9}}\n\ndata: [DONE]\n\n", true);
    assert_eq!(reader.usage(None).output, 9);
    assert_eq!(reader.output_bound(), 5000, "nothing was counted");
    let exact = bpe::count(Encoding::Cl100k, &text);
    assert_eq!(reader.output_exact(), exact);
    assert_eq!(reader.output_exact(), exact);
    assert!((exact..exact + 8).contains(&reader.output_bound()));
}

#[test]
fn a_choice_whose_index_follows_its_text_is_the_choice_it_says() {
    let mut reader = reader(Shape::OpenAiChat, Kind::Sse);
    for (index, piece) in [(0, "un"), (1, "im"), (0, "believ"), (1, "poss"), (0, "able"), (1, "ible")] {
        let chunk = format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{piece}\"}},\"index\":{index}}}]}}\n\n"
        );
        reader.push(chunk.as_bytes(), false);
    }
    let expected = bpe::count(Encoding::Cl100k, "unbelievable") + bpe::count(Encoding::Cl100k, "impossible");
    assert_eq!(reader.output_exact(), expected);
}

#[test]
fn reasoning_that_comes_under_two_names_counts_once() {
    let mut reader = reader(Shape::OpenAiChat, Kind::Sse);
    let delta = r#"{"reasoning":"so it is","reasoning_content":"so it is","content":null}"#;
    reader.push(format!("data: {{\"choices\":[{{\"delta\":{delta}}}]}}\n\n").as_bytes(), false);
    assert_eq!(reader.output_exact(), bpe::count(Encoding::Cl100k, "so it is"));
}

#[test]
fn text_that_is_no_json_any_more_still_counts() {
    let mut reader = reader(Shape::OpenAiChat, Kind::Sse);
    reader.push(b"data: {\"choices\":[{\"delta\":{\"content\":\"abc \xff def", false);
    reader.push(b" ghi", false);
    assert_eq!(reader.output_bound(), 13);
    // What is no text does not.
    reader.push(b"\n\ndata: Internal Server Error\n\n", true);
    assert_eq!(reader.output_bound(), 13);
}

#[test]
fn only_server_sent_events_lose_their_usage() {
    let body = br#"{"choices":[{"message":{"content":"a"}}],"usage":{"completion_tokens":1}}"#;
    for kind in [Kind::Json, Kind::Ndjson, Kind::Unknown] {
        let mut reader = ResponseReader::new(Shape::OpenAiChat, Encoding::Cl100k, true, kind);
        assert_eq!(reader.push(body, false), Output::Same);
        assert_eq!(reader.push(b"\n", true), Output::Same);
    }
}

#[test]
fn a_usage_member_goes_from_wherever_it_stands() {
    let table = [
        (r#"{"usage":null,"choices":[1,{}],"b":2}"#, r#"{"choices":[1,{}],"b":2}"#),
        (r#"{"choices":[{}],"usage":null,"b":2}"#, r#"{"choices":[{}],"b":2}"#),
        (r#"{ "choices": [{}], "usage": {"a": [1]} }"#, r#"{ "choices": [{}] }"#),
        (r#"{"usage":null}"#, "{}"),
        (r#"{"usage":1,"usage":2,"choices":[{}]}"#, r#"{"choices":[{}]}"#),
        (r#"{"choices":[{"usage":1}],"usage":1,"usage":2}"#, r#"{"choices":[{"usage":1}]}"#),
        // Nothing that was asked for.
        (r#"{"choices":[],"a":1}"#, r#"{"choices":[],"a":1}"#),
        (r#"["usage",{"usage":null}]"#, r#"["usage",{"usage":null}]"#),
        (r#"{"usage":null,"#, r#"{"usage":null,"#),
        // With a line in between.
        ("{\"a\":1\ndata: ,\"usage\":null\ndata:,\"choices\":[{}]}", "{\"a\":1\ndata:,\"choices\":[{}]}"),
        ("{\"a\":1\ndata: ,\ndata: \"usage\":2\ndata: }", "{\"a\":1\ndata: }"),
    ];
    for (event, expected) in table {
        let (event, expected) =
            (format!("data: x\n\ndata: {event}\n\n"), format!("data: x\n\ndata: {expected}\n\n"));
        for at in 0..event.len() {
            let (first, second) = event.as_bytes().split_at(at);
            let mut reader = ResponseReader::new(Shape::OpenAiChat, Encoding::Cl100k, true, Kind::Sse);
            let seen = [sent(&mut reader, first, false), sent(&mut reader, second, true)].concat();
            assert_eq!(String::from_utf8(seen).unwrap(), expected, "{event} cut at {at}");
        }
    }
}

#[test]
fn an_event_that_is_too_long_to_be_held_back_passes() {
    let mut reader = ResponseReader::new(Shape::OpenAiChat, Encoding::Cl100k, true, Kind::Sse);
    let event = format!("data: {{\"a\":\"{}\",\"usage\":null,\"choices\":[]}}\n\n", "x".repeat(70_000));
    let mut seen = Vec::new();
    for chunk in event.as_bytes().chunks(100) {
        seen.extend(sent(&mut reader, chunk, false));
        assert!(reader.footprint() < 64 * 1024);
    }
    assert_eq!(seen, event.as_bytes());
}

#[test]
fn memory_stays_small_whatever_the_length() {
    for (choices, piece) in [(1, "word "), (1, "x"), (40, "word "), (40, " "), (128, "語")] {
        let mut reader = ResponseReader::new(Shape::OpenAiChat, Encoding::Cl100k, true, Kind::Sse);
        let mut most = 0;
        for round in 0..400 {
            for choice in 0..choices {
                let text = piece.repeat(40);
                let event = format!(
                    "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}},\"index\":{choice}}}],\"usage\":null}}\n\n"
                );
                let (first, second) = event.as_bytes().split_at(round % event.len());
                reader.push(first, false);
                reader.push(second, false);
                most = most.max(reader.footprint());
            }
            if round * choices > 4000 {
                break;
            }
        }
        assert!(most <= 64 * 1024, "{choices} choices of {piece:?} take {most} bytes");
    }
}

/// Nearly a stream: its own pieces in any order.
fn scraps() -> impl Strategy<Value = Vec<u8>> {
    let scrap = prop::sample::select(vec![
        "data: ",
        "data:",
        "data",
        "\n",
        "\n\n",
        "\r\n",
        "\r",
        ": c",
        "event: x\n",
        "[DONE]",
        "\u{feff}",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"usage\":null",
        "\"usage\":{\"prompt_tokens\":1}",
        "\"choices\":[]",
        "\"choices\":[{\"index\":1,\"delta\":{\"content\":\"é\"}}]",
        "\"a\":1",
        "\"done\":true",
        "1",
        "\"",
        "\\",
        "{\"choices\":[],\"usage\":{}}",
        "{\"a\":1,\"usage\":null}",
        "\"type\":\"message_stop\"",
        "🌧",
    ]);
    let bytes = prop::collection::vec(any::<u8>(), 0..4);
    prop::collection::vec(
        prop_oneof![9 => scrap.prop_map(|text| text.as_bytes().to_vec()), 1 => bytes],
        0..24,
    )
    .prop_map(|scraps| scraps.concat())
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::Json, Kind::Sse, Kind::Ndjson, Kind::Unknown])
}

fn shapes() -> impl Strategy<Value = Shape> {
    prop::sample::select(vec![Shape::OpenAiChat, Shape::OllamaChat, Shape::Gemini, Shape::Unknown])
}

/// What was seen, what it cost, and whether it was over.
fn all(reader: &mut ResponseReader, mut bytes: &[u8], sizes: &[usize]) -> (Vec<u8>, TokenUsage, bool, bool) {
    let mut seen = Vec::new();
    for size in sizes {
        let (first, later) = bytes.split_at((*size).min(bytes.len()));
        seen.extend(sent(reader, first, false));
        assert!(reader.footprint() <= 64 * 1024);
        bytes = later;
    }
    seen.extend(sent(reader, bytes, false));
    seen.extend(sent(reader, b"", true));
    (seen, reader.usage(Some(1)), reader.is_complete(), reader.is_cut())
}

proptest! {
    #[test]
    fn any_bytes_cut_anywhere_are_the_same_answer(
        bytes in scraps(), kind in kinds(), shape in shapes(), hide: bool,
        limit in prop::option::of(0_u64..3), sizes in prop::collection::vec(0_usize..9, 0..40),
    ) {
        let mut whole = ResponseReader::new(shape, Encoding::Cl100k, hide, kind);
        let mut pieces = ResponseReader::new(shape, Encoding::Cl100k, hide, kind);
        whole.end_at(limit);
        pieces.end_at(limit);
        let expected = all(&mut whole, &bytes, &[]);
        prop_assert_eq!(&all(&mut pieces, &bytes, &sizes), &expected);
        if !hide && limit.is_none() {
            prop_assert_eq!(&expected.0, &bytes);
        }
        prop_assert!(pieces.output_bound() >= pieces.output_exact());
    }

    #[test]
    fn what_is_hidden_is_only_ever_taken_away(bytes in scraps(), sizes in prop::collection::vec(0_usize..9, 0..40)) {
        let mut reader = ResponseReader::new(Shape::OpenAiChat, Encoding::Cl100k, true, Kind::Sse);
        let (seen, ..) = all(&mut reader, &bytes, &sizes);
        let mut rest = bytes.iter();
        prop_assert!(seen.iter().all(|byte| rest.any(|other| other == byte)));
    }
}
