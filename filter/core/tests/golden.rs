//! Answers as providers send them, held against what they cost and what a client may see of them: cut in
//! two at every byte, sent byte by byte, and with every line ending.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // A test.

use std::path::Path;

use attach_core::llm::bpe::{self, Encoding};
use attach_core::llm::response::{Kind, Output, ResponseReader};
use attach_core::llm::shape::Shape;
use attach_core::llm::usage::{Source, TokenUsage};

const PROMPT: u64 = 7;

/// A stream, and what is known of it.
struct Golden {
    file: &'static str,
    shape: Shape,
    usage: Usage,
    /// Its texts, each of them counted on its own.
    texts: &'static [&'static str],
    model: &'static str,
    complete: bool,
}

/// What the call cost.
#[derive(Clone, Copy)]
enum Usage {
    /// The provider says so: input, output, cached, reasoning.
    Reported(u64, u64, u64, u64),
    /// The provider says nothing, and the texts are counted.
    Counted,
    /// The provider says how many the answer was.
    OutputOnly(u64),
}

use Usage::{Counted, OutputOnly, Reported};

const fn golden(
    file: &'static str,
    shape: Shape,
    usage: Usage,
    texts: &'static [&'static str],
    model: &'static str,
) -> Golden {
    Golden { file, shape, usage, texts, model, complete: true }
}

const RAIN: &[&str] = &["Rain in München — 7°C 🌧️!\n"];
const GPT: &str = "gpt-4o-mini-2024-07-18";
const AZURE: &str = "gpt-4o-2024-11-20";
const TWO_CHOICES: &[&str] = &["Thinking of it", "Yes, certainly", "Hm", "Nope, not at all"];
const QWEN: &str = "Qwen/Qwen3-8B";
const ONCE: &[&str] = &[" once upon a time"];

fn goldens() -> Vec<Golden> {
    use Shape::{
        AnthropicMessages, Gemini, OllamaChat, OllamaEmbed, OllamaGenerate, OpenAiChat, OpenAiCompletions,
        OpenAiEmbeddings, OpenAiResponses,
    };
    vec![
        golden("openai_chat.sse", OpenAiChat, Counted, RAIN, GPT),
        golden("openai_chat_usage.sse", OpenAiChat, Reported(31, 12, 16, 0), RAIN, GPT),
        golden("azure_chat.sse", OpenAiChat, Counted, &["Good day"], AZURE),
        golden("azure_chat_usage.sse", OpenAiChat, Reported(9, 2, 0, 0), &["Good day"], AZURE),
        golden("vllm_chat.sse", OpenAiChat, Counted, TWO_CHOICES, QWEN),
        golden("vllm_chat_usage.sse", OpenAiChat, Reported(14, 22, 0, 0), TWO_CHOICES, QWEN),
        golden("vllm_completions.sse", OpenAiCompletions, Counted, ONCE, "facebook/opt-125m"),
        golden(
            "vllm_completions_usage.sse",
            OpenAiCompletions,
            Reported(4, 4, 0, 0),
            ONCE,
            "facebook/opt-125m",
        ),
        golden("spaced_chat.sse", OpenAiChat, Counted, &["a b \"c\" \\ d"], "llama-3"),
        golden("spaced_chat_usage.sse", OpenAiChat, Reported(3, 6, 0, 0), &["a b \"c\" \\ d"], "llama-3"),
        golden("ollama_v1_chat.sse", OpenAiChat, Counted, &["Hello there"], "tiny"),
        golden("ollama_v1_chat_usage.sse", OpenAiChat, Reported(26, 4, 0, 0), &["Hello there"], "tiny"),
        golden(
            "openai_tools.sse",
            OpenAiChat,
            Counted,
            &["get_weather", "{\"city\":\"Köln\"}", "now", "{}"],
            "gpt-4.1",
        ),
        golden("mistral_chat.sse", OpenAiChat, Reported(5, 3, 0, 0), &["Bonjour"], "mistral-small-latest"),
        golden("groq_chat.sse", OpenAiChat, Reported(38, 2, 0, 0), &["Fast"], "llama-3.3-70b-versatile"),
        golden("escaped_chat.sse", OpenAiChat, Counted, &["日本語 👩‍💻\ttab \"q\" é"], "m"),
        golden("many_lines.sse", OpenAiChat, Counted, &["many lines"], "gpt-4.1"),
        Golden {
            complete: false,
            ..golden("broken_off.sse", OpenAiChat, Counted, &["Once upon a time"], "gpt-4.1")
        },
        golden(
            "openai_responses.sse",
            OpenAiResponses,
            Reported(37, 80, 8, 64),
            &["Weighing it", "It is blue."],
            "o4-mini-2025-04-16",
        ),
        golden(
            "openai_responses.json",
            OpenAiResponses,
            Reported(37, 80, 8, 64),
            &["Weighing it", "It is blue."],
            "o4-mini-2025-04-16",
        ),
        golden(
            "anthropic.sse",
            AnthropicMessages,
            Reported(2173, 89, 2048, 0),
            &["Let me see", "Okay, done", "get_weather", "{\"city\": \"Rome\"}"],
            "claude-sonnet-4-20250514",
        ),
        golden(
            "anthropic.json",
            AnthropicMessages,
            Reported(11, 34, 0, 0),
            &["Hi there", "sum", "{\"a\":1,\"b\":[2,3]}"],
            "claude-3-5-haiku-20241022",
        ),
        golden(
            "gemini.sse",
            Gemini,
            Reported(9, 49, 4, 38),
            &["**Planning**", "A haiku: frogs", "pond", "{\"depth\":2}"],
            "gemini-2.5-flash",
        ),
        golden(
            "gemini_array.json",
            Gemini,
            Reported(9, 49, 4, 38),
            &["**Planning**", "A haiku: frogs", "pond", "{\n            \"depth\": 2\n          }"],
            "gemini-2.5-flash",
        ),
        golden(
            "ollama_chat.ndjson",
            OllamaChat,
            Reported(26, 298, 0, 0),
            &["Well, now", "Two plus two", "add", "{\"a\":2,\"b\":2}"],
            "qwen3",
        ),
        golden("ollama_generate.ndjson", OllamaGenerate, OutputOnly(2), &["The sky"], "llama3.2"),
        golden("ollama_embed.json", OllamaEmbed, Reported(8, 0, 0, 0), &[], "all-minilm"),
        golden(
            "openai_embeddings.json",
            OpenAiEmbeddings,
            Reported(8, 0, 0, 0),
            &[],
            "text-embedding-3-small",
        ),
        golden(
            "openai_chat.json",
            OpenAiChat,
            Reported(20, 150, 0, 128),
            &["First", "f", "{\"x\":1}"],
            "gpt-5-2025-08-07",
        ),
    ]
}

fn read(file: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)).unwrap()
}

fn kind(file: &str) -> Kind {
    match file.rsplit('.').next().unwrap() {
        "sse" => Kind::Sse,
        "ndjson" => Kind::Ndjson,
        _ => Kind::Json,
    }
}

/// The stream with every line ending; JSON as it is, since there they are data.
fn spellings(file: &str) -> Vec<Vec<u8>> {
    let bytes = read(file);
    if kind(file) != Kind::Sse {
        return vec![bytes];
    }
    let text = String::from_utf8(bytes).unwrap().replace("\r\n", "\n");
    ["\n", "\r\n", "\r"].map(|newline| text.replace('\n', newline).into_bytes()).into()
}

/// Every way to send it that is tried: in one, in two at every byte, byte by byte.
fn cuts(bytes: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    (0..=bytes.len())
        .map(|at| {
            let (first, second) = bytes.split_at(at);
            vec![first, second]
        })
        .chain([bytes.chunks(1).collect(), vec![bytes]])
}

/// What the client gets.
fn send(reader: &mut ResponseReader, chunks: &[&[u8]]) -> Vec<u8> {
    let mut seen = Vec::new();
    for (number, chunk) in chunks.iter().enumerate() {
        match reader.push(chunk, number + 1 == chunks.len()) {
            Output::Same => seen.extend_from_slice(chunk),
            Output::Replaced(bytes) => seen.extend(bytes),
        }
    }
    seen
}

fn counted(texts: &[&str]) -> u64 {
    texts.iter().map(|text| bpe::count(Encoding::Cl100k, text)).sum()
}

fn expected(golden: &Golden) -> TokenUsage {
    let output = counted(golden.texts);
    match golden.usage {
        Reported(input, output, cached, reasoning) => {
            TokenUsage { input, output, cached, reasoning, source: Source::Reported }
        }
        Counted => TokenUsage { input: PROMPT, output, source: Source::Counted, ..TokenUsage::default() },
        OutputOnly(output) => {
            TokenUsage { input: PROMPT, output, source: Source::Mixed, ..TokenUsage::default() }
        }
    }
}

#[test]
fn every_stream_costs_the_same_however_it_is_cut() {
    for golden in goldens() {
        let (usage, tokens) = (expected(&golden), counted(golden.texts));
        for bytes in spellings(golden.file) {
            for chunks in cuts(&bytes) {
                for hide in [false, golden.shape == Shape::OpenAiChat] {
                    let about = || format!("{} cut at {} ({hide})", golden.file, chunks[0].len());
                    let mut reader =
                        ResponseReader::new(golden.shape, Encoding::Cl100k, hide, kind(golden.file));
                    let seen = send(&mut reader, &chunks);
                    assert!(hide || seen == bytes, "{}", about());
                    assert_eq!(reader.usage(Some(PROMPT)), usage, "{}", about());
                    assert_eq!(reader.output_exact(), tokens, "{}", about());
                    assert!(reader.output_bound() >= tokens, "{}", about());
                    assert_eq!(reader.model(), Some(golden.model), "{}", about());
                    assert_eq!(reader.is_complete(), golden.complete, "{}", about());
                    assert_eq!(reader.first_text_seen(), !golden.texts.is_empty(), "{}", about());
                }
            }
        }
    }
}

#[test]
fn a_stream_of_unknown_type_and_shape_costs_the_same() {
    for golden in goldens().iter().filter(|golden| kind(golden.file) != Kind::Ndjson) {
        let bytes = read(golden.file);
        for chunks in [vec![bytes.as_slice()], bytes.chunks(1).collect()] {
            let mut reader = ResponseReader::new(Shape::Unknown, Encoding::Cl100k, false, Kind::Unknown);
            send(&mut reader, &chunks);
            assert_eq!(reader.usage(Some(PROMPT)), expected(golden), "{}", golden.file);
        }
    }
}

#[test]
fn a_client_that_did_not_ask_for_usage_sees_what_it_would_have_seen() {
    for name in
        ["openai_chat", "azure_chat", "vllm_chat", "vllm_completions", "spaced_chat", "ollama_v1_chat"]
    {
        let plain = spellings(&format!("{name}.sse"));
        let asked = spellings(&format!("{name}_usage.sse"));
        for (plain, asked) in plain.iter().zip(&asked) {
            for chunks in cuts(asked) {
                let mut reader = ResponseReader::new(Shape::OpenAiChat, Encoding::Cl100k, true, Kind::Sse);
                let seen = send(&mut reader, &chunks);
                assert!(
                    seen == *plain,
                    "{name} cut at {}:\n{}\ninstead of\n{}",
                    chunks[0].len(),
                    String::from_utf8_lossy(&seen),
                    String::from_utf8_lossy(plain)
                );
                assert_eq!(reader.usage(Some(PROMPT)).source, Source::Reported);
            }
            // What was not asked for is not there, and nothing is taken away.
            let mut reader = ResponseReader::new(Shape::OpenAiChat, Encoding::Cl100k, true, Kind::Sse);
            for chunk in plain.chunks(7) {
                assert!(matches!(reader.push(chunk, false), Output::Same | Output::Replaced(_)));
            }
        }
    }
}

#[test]
fn a_chunk_with_usage_and_choices_keeps_its_choices() {
    let bytes = read("mistral_chat.sse");
    let mut reader = ResponseReader::new(Shape::OpenAiChat, Encoding::Cl100k, true, Kind::Sse);
    let seen = String::from_utf8(send(&mut reader, &[&bytes])).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let usage = r#","usage":{"prompt_tokens":5,"total_tokens":8,"completion_tokens":3}"#;
    assert!(text.contains(usage));
    assert_eq!(seen, text.replace(usage, ""));
}

#[test]
fn what_cannot_be_hidden_passes_at_once() {
    let mut reader = ResponseReader::new(Shape::OpenAiChat, Encoding::Cl100k, true, Kind::Sse);
    // A comment, and an event whose choices are not empty, up to the member that may be `usage`.
    assert_eq!(reader.push(b": ping", false), Output::Same);
    assert_eq!(reader.push(b"\n\n", false), Output::Same);
    assert_eq!(reader.push(b"data: {\"choices\":[", false), Output::Replaced(Vec::new()));
    assert_eq!(
        reader.push(b"{\"delta\":{\"content\":\"a", false),
        Output::Replaced(b"data: {\"choices\":[{\"delta\":{\"content\":\"a".to_vec())
    );
    assert_eq!(reader.push(b" long text", false), Output::Same);
    assert_eq!(reader.push(b"\"}}],\"us", false), Output::Replaced(b"\"}}]".to_vec()));
    assert_eq!(reader.push(b"er\":1", false), Output::Replaced(b",\"user\":1".to_vec()));
    assert_eq!(reader.push(b"}\n\n", false), Output::Same);
    // What is no JSON is nothing that was asked for.
    assert_eq!(reader.push(b"data: [DO", false), Output::Same);
    assert_eq!(reader.push(b"NE]\n\n", false), Output::Same);
}
