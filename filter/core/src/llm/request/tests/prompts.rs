//! What the prompts of each format cost, and which texts are in them.

use super::*;

/// A body, the tokens beside its texts, and its texts.
pub(super) type Row = (Shape, &'static str, u64, &'static [&'static str]);

pub(super) const PROMPTS: &[Row] = &[
    (OpenAiChat, r#"{"model":"m","messages":[{"role":"user","content":"hello"}]}"#, 7, &["user", "hello"]),
    (OpenAiChat, r#"{"messages":[]}"#, 3, &[]),
    (
        OpenAiChat,
        r#"{"messages":[{"role":"system","content":"be \u0041"},{"role":"user","name":"bob","content":"h\né"}]}"#,
        3 + 4 + 4 - 1,
        &["system", "be A", "user", "bob", "h\né"],
    ),
    // A name that stands twice takes one token off, and what is no name none.
    (
        OpenAiChat,
        r#"{"messages":[{"name":"a","name":"b"},{"name":""},{"Name":"x"}]}"#,
        3 + 12 - 2,
        &["a", "b", "", "x"],
    ),
    (
        OpenAiChat,
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":"what is it"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"low"}}]}]}"#,
        7 + MEDIA_TOKENS,
        &["user", "what is it"],
    ),
    (
        OpenAiChat,
        r#"{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{\"a\": 1}"}}]},{"role":"tool","tool_call_id":"c","content":"42"}],"tools":[ {"type":"function"} ]}"#,
        3 + 8,
        &[
            "assistant",
            r#"[{"id":"c","function":{"name":"f","arguments":"{\"a\": 1}"}}]"#,
            "tool",
            "c",
            "42",
            r#"[ {"type":"function"} ]"#,
        ],
    ),
    (
        OpenAiChat,
        r#"{"messages":[{"content":"a","weight":0.5,"x":true,"y":null}]}"#,
        7,
        &["a", "0.5", "true"],
    ),
    (OpenAiChat, r#"{"messages":"one text"}"#, 7, &["one text"]),
    (
        OpenAiChat,
        r#"{"messages":[],"MESSAGES":[{"content":"a"}],"me\u017f\u017fages":[{"content":"b"}]}"#,
        3 + 8,
        &["a", "b"],
    ),
    (
        OpenAiChat,
        r#"{"messages":[],"temperature":0.5,"stop":["x"],"user":"u","metadata":{"a":"b"},"tool_choice":"auto","response_format":{"type":"json_schema","json_schema":{"name":"n"}}}"#,
        3,
        &[r#"{"name":"n"}"#],
    ),
    (
        OpenAiChat,
        r#"{"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}},{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,JVBER"}}]}]}"#,
        7 + 2 * MEDIA_TOKENS,
        &["user", "a.pdf"],
    ),
    (OpenAiCompletions, r#"{"prompt":"once"}"#, 0, &["once"]),
    (OpenAiCompletions, r#"{"prompt":["once","twice"],"suffix":"end"}"#, 0, &["once", "twice", "end"]),
    (OpenAiCompletions, r#"{"prompt":[1,2,3]}"#, 3, &[]),
    (OpenAiCompletions, r#"{"prompt":[[1,2,3],[4]]}"#, 4, &[]),
    (OpenAiEmbeddings, r#"{"input":"text"}"#, 0, &["text"]),
    (OpenAiEmbeddings, r#"{"input":["a","b"],"dimensions":3,"encoding_format":"float"}"#, 0, &["a", "b"]),
    (OpenAiEmbeddings, r#"{"input":[[1,2],[3]]}"#, 3, &[]),
    (OpenAiResponses, r#"{"input":"hi","instructions":"be kind"}"#, 3 + 8, &["hi", "be kind"]),
    (
        OpenAiResponses,
        r#"{"input":[{"type":"message","id":"i","role":"user","content":[{"type":"input_text","text":"hi"},{"type":"input_image","image_url":"https://x/y.png"}]},{"type":"function_call_output","call_id":"c","output":"7"}],"text":{"format":{"type":"json_schema","schema":{"type":"object"}},"verbosity":"low"},"tools":[]}"#,
        3 + 8 + MEDIA_TOKENS,
        &["user", "hi", "c", "7", r#"{"type":"object"}"#, "[]"],
    ),
    (
        AnthropicMessages,
        r#"{"max_tokens":9,"system":[{"type":"text","text":"be kind","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"ok"}]}]}],"tools":[{"name":"f"}]}"#,
        3 + 8,
        &["be kind", "user", "t", "ok", r#"[{"name":"f"}]"#],
    ),
    (
        AnthropicMessages,
        r#"{"system":"s","messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}},{"type":"document","source":{"type":"text","media_type":"text/plain","data":"a text"}}]},{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"abc"},{"type":"tool_use","id":"t","name":"f","input":{"x":1}}]}]}"#,
        3 + 12 + MEDIA_TOKENS,
        &["s", "user", "a text", "assistant", "hm", "t", "f", r#"{"x":1}"#],
    ),
    (
        Gemini,
        r#"{"contents":[{"role":"user","parts":[{"text":"hi"},{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="}},{"functionCall":{"name":"f"}}]}],"systemInstruction":{"parts":[{"text":"kind"}]},"tools":[{"a":1}],"generationConfig":{"responseSchema":{"type":"STRING"}},"safetySettings":[{"category":"X"}]}"#,
        3 + 8 + MEDIA_TOKENS,
        &["user", "hi", r#"{"name":"f"}"#, "kind", r#"[{"a":1}]"#, r#"{"type":"STRING"}"#],
    ),
    (
        Gemini,
        r#"{"contents":{"parts":[{"text":"hi"}]},"system_instruction":{"parts":{"text":"x"}}}"#,
        3 + 8,
        &["hi", "x"],
    ),
    (Gemini, r#"{"content":{"parts":[{"text":"a"}]}}"#, 0, &["a"]),
    (
        Gemini,
        r#"{"requests":[{"model":"m","content":{"parts":[{"text":"a"}]}},{"content":{"parts":[{"text":"b"}]}}]}"#,
        0,
        &["a", "b"],
    ),
    (
        OllamaChat,
        r#"{"messages":[{"role":"user","content":"hi","images":["iVBORw0KGgo=","AAAA"]}],"options":{"stop":["x"]},"format":{"type":"object"}}"#,
        7 + 2 * MEDIA_TOKENS,
        &["user", "hi"],
    ),
    (
        OllamaGenerate,
        r#"{"prompt":"hi","system":"kind","template":"{{ .Prompt }}","suffix":"end","context":[1,2,3],"images":["AAAA"]}"#,
        4 + 3 + MEDIA_TOKENS,
        &["hi", "kind", "{{ .Prompt }}", "end"],
    ),
    (OllamaEmbed, r#"{"input":["a","b"]}"#, 0, &["a", "b"]),
    (OllamaEmbed, r#"{"prompt":"a"}"#, 0, &["a"]),
    (Unknown, r#"{"query":"q","documents":["a",{"text":"b"}],"top_n":3}"#, 0, &["q", "a", "b"]),
    (Unknown, r#"{"text_1":"a","text_2":["b"]}"#, 0, &["a", "b"]),
    (Unknown, r#"{"token_ids":[1,2,3],"sampling_params":{"max_tokens":5}}"#, 3, &[]),
    (Unknown, r#"{"instances":[{"anything":"a"}]}"#, 0, &["a"]),
    (Unknown, r#"{"messages":[{"content":"a"}]}"#, 7, &["a"]),
];

#[test]
fn every_text_of_a_prompt_is_found_and_nothing_else() {
    for (shape, body, overhead, expected) in PROMPTS {
        let (facts, texts) = read(*shape, &[body.as_bytes()]).unwrap();
        assert_eq!(
            (facts.overhead, texts.as_slice()),
            (*overhead, expected.map_strings().as_slice()),
            "{body}"
        );
        let bytes: usize = texts.iter().map(String::len).sum();
        assert_eq!(facts.text_bytes, bytes as u64, "{body}");
        assert_eq!(facts.prompt_bound(), overhead + bytes as u64, "{body}");
        assert_eq!(facts.length, body.len() as u64);
    }
}

trait Strings {
    fn map_strings(&self) -> Vec<String>;
}

impl Strings for &[&str] {
    fn map_strings(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}

#[test]
fn a_string_in_the_place_of_media_is_text_if_it_looks_like_one() {
    let body = |data: &str| {
        format!(r#"{{"messages":[{{"content":[{{"type":"document","source":{{"data":"{data}"}}}}]}}]}}"#)
    };
    let base64 = "QUJD".repeat(100_000);
    for (data, is_media) in [
        (base64.clone(), true),
        (base64.clone() + " and words", true),
        ("words and ".to_owned() + &base64, false),
        ("short".to_owned(), true),
        ("a text".to_owned(), false),
        ("é".to_owned(), false),
        ("A".repeat(63) + " ", false),
        ("A".repeat(64) + " ", true),
        ("A".repeat(63) + "é", false),
        (String::new(), false),
    ] {
        let text = body(&data);
        for size in [1_usize << 20, 40, 7] {
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let (facts, texts) = read(AnthropicMessages, &chunks).unwrap();
            let expected = if is_media { 7 + MEDIA_TOKENS } else { 7 };
            assert_eq!(facts.overhead, expected, "{} bytes", data.len());
            let expected = if is_media || data.is_empty() { vec![] } else { vec![data.clone()] };
            assert_eq!(texts, expected, "{} bytes", data.len());
        }
    }
}
