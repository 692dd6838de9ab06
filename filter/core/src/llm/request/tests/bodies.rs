//! Bodies as anybody may send them.

use proptest::prelude::*;

use crate::llm::shape::Shape::{self, *};

/// JSON with the words that mean something, in any place.
pub(in crate::llm) fn bodies() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "messages",
        "content",
        "role",
        "name",
        "model",
        "stream",
        "stream_options",
        "include_usage",
        "max_tokens",
        "MAX_TOKENS",
        "max_completion_tokens",
        "options",
        "Options",
        "num_predict",
        "generationConfig",
        "maxOutputTokens",
        "n",
        "prompt",
        "input",
        "parts",
        "text",
        "image_url",
        "data",
        "tools",
        "tool_calls",
        "contents",
        "requests",
        "system",
        "context",
        "other",
        "ſtream",
    ]);
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        prop::sample::select(vec!["0", "-1", "5", "1.5", "1e309", "99999"]).prop_map(str::to_owned),
        prop::sample::select(vec!["\"5\"", "\"\"", "\"a text\"", "\"\\ud83e\\u0041é\"", "\"data:x\""])
            .prop_map(str::to_owned),
    ];
    let value = leaf.prop_recursive(4, 40, 5, move |inner| {
        let member = (name.clone(), inner.clone()).prop_map(|(name, value)| format!("\"{name}\":{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(|all| format!("[{}]", all.join(" ,"))),
            prop::collection::vec(member, 0..6).prop_map(|all| format!("{{{}}}", all.join(", "))),
        ]
    });
    let top = prop::sample::select(vec![
        "messages",
        "model",
        "stream",
        "stream_options",
        "max_tokens",
        "options",
        "generationConfig",
        "n",
        "prompt",
        "input",
        "contents",
        "parameters",
        "tools",
    ]);
    prop::collection::vec((top, value), 0..6).prop_map(|members| {
        let members: Vec<String> =
            members.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
        format!(" {{ {} }}\n", members.join(","))
    })
}

pub(in crate::llm) fn shapes() -> impl Strategy<Value = Shape> {
    prop::sample::select(vec![
        OpenAiChat,
        OpenAiCompletions,
        OpenAiEmbeddings,
        OpenAiResponses,
        AnthropicMessages,
        Gemini,
        OllamaChat,
        OllamaGenerate,
        OllamaEmbed,
        Unknown,
    ])
}
