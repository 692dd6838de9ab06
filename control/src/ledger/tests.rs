use super::*;

/// A record of so many tokens of the prompt.
pub(crate) fn sample(id: &str, input: u64) -> UsageRecord {
    UsageRecord {
        id: id.to_owned(),
        at: 1_700_000_000_000,
        user: "alice".to_owned(),
        agent: None,
        project: "default".to_owned(),
        model: "llama3".to_owned(),
        credential: "oidc".to_owned(),
        request_id: "r".to_owned(),
        status: 200,
        milliseconds: 12,
        input,
        output: 2 * input,
        cached: 1,
        reasoning: 0,
        source: Source::Reported,
    }
}
