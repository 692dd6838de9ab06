//! The member names that mean something in an answer, whoever's it is.

macro_rules! names {
    ($($name:ident = $($text:literal)|+),+ $(,)?) => {
        /// A member's name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Name {
            $($name,)+
            /// A name that says nothing here.
            Other,
        }

        impl Name {
            /// What a name is, as it stands in the text.
            pub(super) fn of(text: &[u8]) -> Self {
                match text {
                    $($($text)|+ => Self::$name,)+
                    _ => Self::Other,
                }
            }
        }
    };
}

names! {
    Args = b"args",
    Arguments = b"arguments",
    CacheCreationInputTokens = b"cache_creation_input_tokens",
    CacheReadInputTokens = b"cache_read_input_tokens",
    CachedContentTokenCount = b"cachedContentTokenCount",
    CachedTokens = b"cached_tokens",
    Called = b"name",
    Candidates = b"candidates",
    CandidatesTokenCount = b"candidatesTokenCount",
    Choices = b"choices",
    CompletionTokens = b"completion_tokens",
    Content = b"content",
    ContentBlock = b"content_block",
    Created = b"created",
    CreatedAt = b"created_at",
    Delta = b"delta",
    Details = b"details",
    Done = b"done",
    EvalCount = b"eval_count",
    FinishReason = b"finish_reason" | b"finishReason",
    Function = b"function",
    FunctionCall = b"function_call" | b"functionCall",
    GeneratedText = b"generated_text",
    GeneratedTokens = b"generated_tokens",
    Id = b"id" | b"responseId",
    Index = b"index",
    Input = b"input",
    InputDetails = b"prompt_tokens_details" | b"input_tokens_details",
    InputTokens = b"input_tokens",
    Item = b"item",
    Message = b"message",
    Model = b"model" | b"modelVersion",
    Output = b"output",
    OutputDetails = b"completion_tokens_details" | b"output_tokens_details",
    OutputTokens = b"output_tokens",
    PartialJson = b"partial_json",
    Parts = b"parts",
    PromptCacheHitTokens = b"prompt_cache_hit_tokens",
    PromptEvalCount = b"prompt_eval_count",
    PromptTokenCount = b"promptTokenCount",
    PromptTokens = b"prompt_tokens",
    Reasoning = b"reasoning",
    ReasoningContent = b"reasoning_content",
    ReasoningTokens = b"reasoning_tokens",
    Refusal = b"refusal",
    Response = b"response",
    SequenceNumber = b"sequence_number",
    StopReason = b"stop_reason",
    Summary = b"summary",
    Text = b"text",
    Thinking = b"thinking",
    ThoughtsTokenCount = b"thoughtsTokenCount",
    Token = b"token",
    TokensEvaluated = b"tokens_evaluated",
    TokensPredicted = b"tokens_predicted",
    ToolCalls = b"tool_calls",
    ToolUsePromptTokenCount = b"toolUsePromptTokenCount",
    Type = b"type",
    Usage = b"usage",
    UsageMetadata = b"usageMetadata",
    XGroq = b"x_groq",
}
