//! What is said in the calls that are remembered: 1.2 KB of English in prompt and answer together.

use serde_json::json;

use crate::credentials::AUTHORITY;
use crate::rows::Method;

/// The request's field that says which text its answer is to have.
pub(crate) const FIELD: &str = "x-bench-text";
/// Both sides together, in bytes: what the goal is about.
pub(crate) const BYTES: usize = 1_200;

/// Which text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Text {
    /// Nothing in it is secret.
    Plain,
    /// There are a few secrets on each side.
    Secret,
}

const PROMPT: &str = "We are planning the autumn release and I would like a second opinion. The build takes \
    forty minutes on the small machines, and most of that time goes into tests that nobody has looked at for \
    years. Two of them fail every other week for no reason that anyone could find. Should we move the slow ones \
    into a nightly run, or is it better to find out first which of them have ever caught a real mistake? There \
    are about 1,800 in total, written between 2017 and today. Please answer in a few sentences, name the first \
    step we should take on Monday, and say how long it might take two people.";
const ANSWER: &str = "Find out first. A test that has never failed for a good reason may still guard something \
    important, but you cannot know that while it runs among 1,800 others. On Monday, collect the results of the \
    last twelve months and sort the tests by how often each of them failed and by how long it takes; two people \
    need about a day for that. Then move what is slow and has never failed into the nightly run, repair the two \
    that fail by chance or delete them, and leave the rest where it is. Look at the list again after one month, \
    when you have seen whether the nightly run is read by anybody.";

impl Text {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Plain, Self::Secret];

    /// As in the field.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Secret => "secret",
        }
    }

    /// As in the field.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|text| text.name() == name.trim())
    }

    /// What is asked.
    pub(crate) fn prompt(self) -> String {
        self.with(PROMPT, &[("the autumn release", &mail()), ("forty minutes", &key())])
    }

    /// What is answered.
    pub(crate) fn answer(self) -> String {
        self.with(ANSWER, &[("A test that", &card()), ("twelve months", &bearer())])
    }

    /// The text of one side. A secret takes the place of as much text behind a mark, so that both texts have one
    /// length.
    fn with(self, text: &str, secrets: &[(&str, &str)]) -> String {
        let mut text = text.to_owned();
        if self == Self::Secret {
            for (mark, secret) in secrets {
                let Some(at) = text.find(mark).map(|at| at + mark.len() + 1) else { continue };
                text.replace_range(at..at + secret.len() + 1, &format!("{secret} "));
            }
        }
        text
    }

    /// The call, as bytes to send; `fields` has tabs between them, and `mark` begins the prompt.
    pub(crate) fn request(self, fields: &str, mark: &str) -> Vec<u8> {
        let prompt = format!("{mark}{}", self.prompt());
        let body = json!({
            "model": "llama3",
            "messages": [{"role": "user", "content": prompt}],
            "stream": false,
        })
        .to_string();
        format!(
            "POST {} HTTP/1.1\r\nHost: {AUTHORITY}\r\nUser-Agent: attach-bench/1\r\n\
             content-type: application/json\r\n{FIELD}: {}\r\n{}\r\ncontent-length: {}\r\n\r\n{body}",
            Method::Post.path(),
            self.name(),
            fields.replace('\t', "\r\n"),
            body.len()
        )
        .into_bytes()
    }

    /// The engine's answer to it, head and body.
    pub(crate) fn response(self) -> String {
        let body = json!({
            "id": "chatcmpl-5f0c7a522d1e4b8a", "object": "chat.completion", "created": 1_718_345_013,
            "model": "llama3",
            "choices": [{
                "index": 0, "message": {"role": "assistant", "content": self.answer()},
                "logprobs": null, "finish_reason": "stop",
            }],
            "usage": {"prompt_tokens": 148, "completion_tokens": 130, "total_tokens": 278},
        })
        .to_string();
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

// Nobody's, and put together here, so that no tool that looks for secrets in files takes them for some.

fn mail() -> String {
    ["paula.lindqvist", "release-team.example.com"].join("@")
}

fn key() -> String {
    ["sk", "proj", "4fTq9ZsW2mXb7LdK1vRy8NcH3gPj6QeU0aSi5oBt"].join("-")
}

fn card() -> String {
    ["4111", "1111", "1111", "1111"].join(" ")
}

fn bearer() -> String {
    let parts = ["eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiJiZW5jaCJ9", "c2lnbmF0dXJlLW9mLW5vYm9keS1hdC1hbGw"];
    format!("Bearer {}", parts.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_as_much_text_as_the_goal_says() {
        for text in Text::ALL {
            let bytes = text.prompt().len() + text.answer().len();
            assert!(bytes.abs_diff(BYTES) <= 40, "{text:?}: {bytes}");
        }
        let length = |text: Text| (text.prompt().len(), text.answer().len());
        assert_eq!(length(Text::Plain), length(Text::Secret));
    }

    #[test]
    fn the_secrets_are_in_one_text_alone() {
        for secret in [mail(), key()] {
            assert!(Text::Secret.prompt().contains(&secret) && !Text::Plain.prompt().contains(&secret));
        }
        for secret in [card(), bearer()] {
            assert!(Text::Secret.answer().contains(&secret) && !Text::Plain.answer().contains(&secret));
        }
    }

    #[test]
    fn a_call_and_its_answer_are_as_long_as_they_say() {
        let request = String::from_utf8(Text::Secret.request("A: b\tC: d", "call 7. ")).unwrap();
        for text in [request.clone(), Text::Secret.response()] {
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
            let _: serde_json::Value = serde_json::from_str(body).unwrap();
        }
        assert!(request.contains("\r\nx-bench-text: secret\r\nA: b\r\nC: d\r\n"));
        assert_eq!(Text::parse(" secret\r\n"), Some(Text::Secret));
    }
}
