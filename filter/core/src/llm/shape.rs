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
