//! Whose wire format a model call speaks, by its path.

/// A wire format of model calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// OpenAI's chat completions.
    OpenAiChat,
    /// OpenAI's completions.
    OpenAiCompletions,
    /// OpenAI's embeddings.
    OpenAiEmbeddings,
    /// OpenAI's Responses.
    OpenAiResponses,
    /// Anthropic's messages.
    AnthropicMessages,
    /// Gemini's `generateContent`, `streamGenerateContent`, `embedContent`.
    Gemini,
    /// Ollama's chat.
    OllamaChat,
    /// Ollama's generate.
    OllamaGenerate,
    /// Ollama's embeddings.
    OllamaEmbed,
    /// A call whose body says what it is, if anything does.
    Unknown,
}

/// What a path says about a model call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Whose wire format it speaks.
    pub shape: Shape,
    /// The model, where the path names one: it is the one that engines take then.
    pub model: Option<Box<str>>,
    /// Whether the answer is a stream, where the path decides it.
    pub streams: Option<bool>,
    /// Whether the model writes; embeddings and scores cost a prompt alone.
    pub generates: bool,
}

/// The segments after which a model stands: OpenAI's and Gemini's, Azure's, OpenAI's first ones.
const BEFORE_MODEL: [&str; 4] = ["models", "tunedmodels", "deployments", "engines"];

/// The last segments of routes, among those of no known format, that give numbers alone.
const GIVES_NUMBERS: [&str; 10] = [
    "pooling",
    "score",
    "rerank",
    "reranking",
    "classify",
    "embed",
    "embed_all",
    "embed_sparse",
    "embedding",
    "similarity",
];

impl From<Shape> for Call {
    fn from(shape: Shape) -> Self {
        Self { shape, model: None, streams: None, generates: shape.generates() }
    }
}

impl Shape {
    /// The format of a call by its method and path; `None` where no model is called.
    ///
    /// The last segments count, whatever stands before them: gateways and Azure put prefixes there. The case
    /// of letters, escapes and slashes too many are no way around. It must be the path that goes upstream:
    /// where the gateway rewrites `/api/chat` to OpenAI's route, the body is read as OpenAI's.
    #[must_use]
    pub fn of_path(method: &str, path: &str) -> Option<Self> {
        Call::of(method, path).map(|call| call.shape)
    }

    /// Whether an engine streams when the request says nothing about it.
    #[must_use]
    pub const fn streams_by_default(self) -> bool {
        matches!(self, Self::OllamaChat | Self::OllamaGenerate)
    }

    /// Whether the model writes, rather than giving numbers alone.
    #[must_use]
    pub const fn generates(self) -> bool {
        !matches!(self, Self::OpenAiEmbeddings | Self::OllamaEmbed)
    }

    /// Whether streams of this format report their usage only when `stream_options` asks for it.
    #[must_use]
    pub const fn reports_when_asked(self) -> bool {
        matches!(self, Self::OpenAiChat | Self::OpenAiCompletions)
    }
}

impl Call {
    /// What the method and the path say; `None` where no model is called. See [`Shape::of_path`].
    #[must_use]
    pub fn of(method: &str, path: &str) -> Option<Self> {
        if !method.eq_ignore_ascii_case("POST") {
            return None;
        }
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let path = unescaped(path);
        let mut from_end = path.rsplit('/').filter(|segment| !segment.is_empty());
        let mut next = || from_end.next().unwrap_or_default();
        let (last, before, further) = (next(), next(), next());
        if let Some((_, verb)) = last.rsplit_once(':') {
            let verb = verb.to_ascii_lowercase();
            let (shape, streams) = of_verb(&verb)?;
            let generates = !verb.contains("embed");
            return Some(Self { shape, model: model_of(&path, true), streams, generates });
        }
        let last = last.to_ascii_lowercase();
        let shape = of_segments(&last, &before.to_ascii_lowercase(), &further.to_ascii_lowercase())?;
        let generates = shape.generates() && !GIVES_NUMBERS.contains(&last.as_str());
        Some(Self { shape, model: model_of(&path, false), streams: None, generates })
    }
}

/// The format by the last segments, in lower case.
fn of_segments(last: &str, before: &str, further: &str) -> Option<Shape> {
    Some(match (before, last) {
        ("chat", "completions") => Shape::OpenAiChat,
        (_, "completions") => Shape::OpenAiCompletions,
        ("api", "embed" | "embeddings") => Shape::OllamaEmbed,
        (_, "embeddings") => Shape::OpenAiEmbeddings,
        ("api", "chat") => Shape::OllamaChat,
        ("api", "generate") => Shape::OllamaGenerate,
        (_, "responses") | ("responses", "compact") => Shape::OpenAiResponses,
        // A message is put into a thread of OpenAI's assistants; nothing runs.
        (_, "messages") if further == "threads" => return None,
        (_, "messages") => Shape::AnthropicMessages,
        // vLLM's own routes, those of SageMaker, Cohere, llama.cpp and text-generation-inference.
        (
            _,
            "invocations" | "generate" | "generate_stream" | "pooling" | "score" | "rerank" | "classify"
            | "chat" | "embed" | "embed_all" | "embed_sparse" | "predict" | "completion" | "infill"
            | "embedding" | "similarity" | "reranking",
        )
        | ("messages", "batches") => Shape::Unknown,
        _ => return None,
    })
}

/// The format by what is done with a model, after a colon, in lower case: Gemini's and Vertex' verbs.
fn of_verb(verb: &str) -> Option<(Shape, Option<bool>)> {
    Some(match verb {
        "generatecontent" => (Shape::Gemini, Some(false)),
        "streamgeneratecontent" => (Shape::Gemini, Some(true)),
        "embedcontent" | "batchembedcontents" => (Shape::Gemini, Some(false)),
        // Anthropic's models behind Vertex.
        "rawpredict" | "streamrawpredict" => (Shape::AnthropicMessages, None),
        "generateanswer"
        | "generatemessage"
        | "generatetext"
        | "embedtext"
        | "batchembedtext"
        | "predict"
        | "serverstreamingpredict"
        | "predictlongrunning"
        | "batchgeneratecontent"
        | "asyncbatchembedcontent" => (Shape::Unknown, None),
        _ => return None,
    })
}

/// The model in a path, such as `/v1beta/models/{model}:generateContent`.
fn model_of(path: &str, has_verb: bool) -> Option<Box<str>> {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    segments.find(|segment| BEFORE_MODEL.iter().any(|word| word.eq_ignore_ascii_case(segment)))?;
    let segment = segments.next()?;
    // Whatever else follows a colon is part of the name, as Ollama's tags are.
    let model = match segment.rsplit_once(':') {
        Some((model, _)) if has_verb && segments.next().is_none() => model,
        _ => segment,
    };
    Some(model).filter(|model| !model.is_empty() && model.len() <= MAX_MODEL).map(Box::from)
}

/// The longest model's name that is kept, in bytes.
pub(super) const MAX_MODEL: usize = 256;

/// A path without its escapes, undone once as servers do; what is then no UTF-8 matches nothing.
fn unescaped(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        if byte == b'%'
            && let (Some(high), Some(low)) = (digit(ahead.next()), digit(ahead.next()))
        {
            // Two digits of four bits are a byte.
            bytes.push(u8::try_from(high << 4 | low).unwrap_or_default());
            rest = ahead;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_says_whose_format_its_call_speaks() {
        use Shape::*;
        for (path, expected) in [
            ("/v1/chat/completions", Some(OpenAiChat)),
            ("/chat/completions", Some(OpenAiChat)),
            ("/openai/deployments/gpt-4o/chat/completions?api-version=2024-02-01", Some(OpenAiChat)),
            ("/v1beta/openai/chat/completions", Some(OpenAiChat)),
            ("/V1/Chat/COMPLETIONS", Some(OpenAiChat)),
            ("/v1/chat/completions/", Some(OpenAiChat)),
            ("//v1//chat//completions", Some(OpenAiChat)),
            ("/v1/ch%61t/%63ompletions", Some(OpenAiChat)),
            ("/v1/chat%2fcompletions", Some(OpenAiChat)),
            ("/v1/chat/completions#x", Some(OpenAiChat)),
            ("/v1/completions", Some(OpenAiCompletions)),
            ("/v1/engines/davinci/completions", Some(OpenAiCompletions)),
            ("/v1/fim/completions", Some(OpenAiCompletions)),
            ("/v1/embeddings", Some(OpenAiEmbeddings)),
            ("/v1/responses", Some(OpenAiResponses)),
            ("/v1/responses/compact", Some(OpenAiResponses)),
            ("/v1/messages", Some(AnthropicMessages)),
            ("/v1/messages?beta=true", Some(AnthropicMessages)),
            ("/v1/messages/batches", Some(Unknown)),
            ("/v1beta/models/gemini-pro:generateContent", Some(Gemini)),
            ("/v1beta/models/gemini-pro:streamGenerateContent?alt=sse", Some(Gemini)),
            ("/v1beta/models/gemini-pro%3AgenerateContent", Some(Gemini)),
            ("/v1beta/models/gemini-pro:GENERATECONTENT", Some(Gemini)),
            ("/v1beta/models/e:embedContent", Some(Gemini)),
            ("/v1beta/models/e:batchEmbedContents", Some(Gemini)),
            ("/v1/projects/p/locations/l/publishers/anthropic/models/c:rawPredict", Some(AnthropicMessages)),
            ("/v1/projects/p/locations/l/endpoints/e:predict", Some(Unknown)),
            ("/api/chat", Some(OllamaChat)),
            ("/ollama/api/chat", Some(OllamaChat)),
            ("/api/generate", Some(OllamaGenerate)),
            ("/api/embed", Some(OllamaEmbed)),
            ("/api/embeddings", Some(OllamaEmbed)),
            ("/invocations", Some(Unknown)),
            ("/generate", Some(Unknown)),
            ("/inference/v1/generate", Some(Unknown)),
            ("/pooling", Some(Unknown)),
            ("/score", Some(Unknown)),
            ("/v2/rerank", Some(Unknown)),
            ("/classify", Some(Unknown)),
            ("/", None),
            ("", None),
            ("/v1/models", None),
            ("/v1/chat/completions/render", None),
            ("/v1/messages/count_tokens", None),
            ("/v1/responses/resp_1/cancel", None),
            ("/v1/threads/t/messages", None),
            ("/v1beta/models/gemini-pro:countTokens", None),
            ("/tokenize", None),
            ("/api/show", None),
            ("/api/pull", None),
            ("/v1/chat%252fcompletions", None),
            ("/x?/v1/chat/completions", None),
        ] {
            assert_eq!(Shape::of_path("POST", path), expected, "{path}");
        }
    }

    #[test]
    fn only_a_post_calls_a_model() {
        for (method, is_call) in [("POST", true), ("post", true), ("GET", false), ("PUT", false), ("", false)]
        {
            assert_eq!(Shape::of_path(method, "/v1/chat/completions").is_some(), is_call, "{method}");
        }
    }

    #[test]
    fn a_path_can_name_the_model_and_decide_about_streaming() {
        for (path, model, streams) in [
            ("/v1beta/models/gemini-pro:generateContent", Some("gemini-pro"), Some(false)),
            ("/v1beta/models/gemini-pro:streamGenerateContent", Some("gemini-pro"), Some(true)),
            ("/v1beta/tunedModels/x-1:generateContent", Some("x-1"), Some(false)),
            ("/openai/deployments/gpt-4o/chat/completions", Some("gpt-4o"), None),
            ("/v1/engines/small:7b/completions", Some("small:7b"), None),
            ("/v1/chat/completions", None, None),
            ("/v1beta/models/:generateContent", None, Some(false)),
        ] {
            let call = Call::of("POST", path).unwrap();
            assert_eq!((call.model.as_deref(), call.streams), (model, streams), "{path}");
        }
        let long = format!("/v1beta/models/{}:generateContent", "m".repeat(257));
        assert_eq!(Call::of("POST", &long).unwrap().model, None);
    }

    #[test]
    fn embeddings_and_scores_write_nothing() {
        for (path, generates) in [
            ("/v1/chat/completions", true),
            ("/v1/embeddings", false),
            ("/api/embed", false),
            ("/rerank", false),
            ("/Score", false),
            ("/invocations", true),
            ("/v1beta/models/e:embedContent", false),
            ("/v1beta/models/e:batchEmbedContents", false),
            ("/v1beta/models/g:generateContent", true),
        ] {
            assert_eq!(Call::of("POST", path).unwrap().generates, generates, "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_is_too_odd(path in "[/a-zA-Z%:?#.é0-9]{0,80}", prefix in "(/[a-z0-9.]{1,8}){0,3}") {
            let _ = Call::of("POST", &path);
            prop_assert_eq!(Shape::of_path("POST", &format!("{prefix}/chat/completions")), Some(Shape::OpenAiChat));
        }
    }
}
