//! One request to Weaviate, and what its answer means.

use std::time::Duration;

use reqwest::Method;
use serde::Serialize;
use url::Url;

use crate::discover::engine::below;
use crate::fetch;
use crate::memory::terms::Error;
use crate::settings::Secret;

/// The longest answer that is read, in bytes: a page of long events, or a batch that is repeated whole.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// How much of what Weaviate says is shown.
const MAX_REASON: usize = 300;
/// How long a question may take.
pub(super) const READ: Duration = Duration::from_secs(10);
/// How long a batch may take, or an erasure.
pub(super) const WRITE: Duration = Duration::from_secs(30);

/// A Weaviate as somebody who is asked.
pub(super) struct Http {
    base: Url,
    key: Option<Secret>,
    client: reqwest::Client,
}

/// What was answered.
pub(super) struct Answer {
    /// The status.
    pub(super) status: u16,
    /// The body.
    pub(super) body: Vec<u8>,
}

impl Http {
    pub(super) fn new(base: Url, key: Option<Secret>, client: reqwest::Client) -> Self {
        Self { base, key, client }
    }

    /// Where it is, for messages: no user, password or query of the address.
    pub(super) fn shown(&self) -> String {
        format!("{}{}", self.base.origin().ascii_serialization(), self.base.path().trim_end_matches('/'))
    }

    /// Asks. A status that says that nobody may ask, or later, is an error; others are the caller's to judge.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        tenant: Option<&str>,
        body: Option<&(impl Serialize + Sync)>,
        deadline: Duration,
    ) -> Result<Answer, Error> {
        let mut url = below(&self.base, path);
        if let Some(tenant) = tenant {
            url.query_pairs_mut().append_pair("tenant", tenant);
        }
        let mut request =
            self.client.request(method, url).timeout(deadline).header("accept", "application/json");
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(|error| self.silent(&error))?;
        let status = response.status().as_u16();
        self.judge(status)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.silent(&error))? {
            if body.len().saturating_add(chunk.len()) > MAX_ANSWER {
                let most = MAX_ANSWER / 1024 / 1024;
                return Err(Error::Refused(format!(
                    "its answer is longer than {most} MiB: ask for fewer events"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, body })
    }

    fn silent(&self, error: &reqwest::Error) -> Error {
        let why = if error.is_timeout() { "no answer in time".to_owned() } else { fetch::root_cause(error) };
        Error::Unavailable(format!("Weaviate at {}: {why}; check WEAVIATE_URL and the network", self.shown()))
    }

    fn judge(&self, status: u16) -> Result<(), Error> {
        let answered = format!("Weaviate at {} answers {status}", self.shown());
        match status {
            401 | 403 => Err(Error::Refused(format!("{answered}: correct WEAVIATE_API_KEY"))),
            300..=399 | 405 | 407 | 415 | 421 | 426 => {
                Err(Error::Refused(format!("{answered}: correct WEAVIATE_URL")))
            }
            408 | 425 | 429 | 500..=599 => Err(Error::Unavailable(answered)),
            _ => Ok(()),
        }
    }
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Http").field(&self.shown()).finish()
    }
}

impl Answer {
    /// The body, of a request that was carried out.
    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, what: &str) -> Result<T, Error> {
        if self.status != 200 {
            return Err(self.refusal(what));
        }
        serde_json::from_slice(&self.body).map_err(|_| {
            Error::Unavailable(format!("Weaviate's answer to {what} is none: check WEAVIATE_URL"))
        })
    }

    /// Why a request was not carried out.
    pub(super) fn refusal(&self, what: &str) -> Error {
        Error::Refused(format!("Weaviate answers {} to {what}: {}", self.status, self.reason()))
    }

    /// What Weaviate says about it, without anything that was sent.
    pub(super) fn reason(&self) -> String {
        harmless(&self.said())
    }

    /// What Weaviate says about it, whole: not for a message.
    pub(super) fn said(&self) -> String {
        let value: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let first = value.pointer("/error/0/message").or_else(|| value.get("message"));
        match first.and_then(serde_json::Value::as_str) {
            Some(text) => text.to_owned(),
            None => String::from_utf8_lossy(self.body.get(..MAX_REASON).unwrap_or(&self.body)).into_owned(),
        }
    }
}

/// Names that Weaviate may quote.
fn is_name(text: &str) -> bool {
    text == attach_core::mirror::CLASS
        || super::schema::PROPERTIES.iter().any(|property| property.name == text)
}

/// What Weaviate says, fit for a log: one line, and nothing from the first quoted word on that is not a name of
/// ours, for it may be what somebody wrote.
pub(super) fn harmless(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text.lines().next().unwrap_or_default();
    while let Some(at) = rest.find(['\'', '"', '`']) {
        let (before, quoted) = rest.split_at(at);
        shown.push_str(before);
        let mark = quoted.chars().next().unwrap_or('"');
        let inner = quoted.strip_prefix(mark).unwrap_or_default();
        let Some((name, after)) = inner.split_once(mark).filter(|(name, _)| is_name(name)) else {
            shown.push('…');
            rest = "";
            break;
        };
        shown.push_str(name);
        rest = after;
    }
    shown.push_str(rest);
    shown.retain(|c| !c.is_control());
    shown.truncate(shown.floor_char_boundary(MAX_REASON));
    shown.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_wrote_is_not_repeated() {
        for (said, shown) in [
            ("class name MemoryEvent already exists", "class name MemoryEvent already exists"),
            (
                "invalid date property 'timestamp' on class 'MemoryEvent': requires a string, but the given value is 'it's a secret'",
                "invalid date property timestamp on class MemoryEvent: requires a string, but the given value is …",
            ),
            ("tenant not found: \"zzz\" and more", "tenant not found: …"),
            ("Syntax Error\n\n1: {Get{MemoryEvent(secret", "Syntax Error"),
            ("open 'quote", "open …"),
            ("", ""),
        ] {
            assert_eq!(harmless(said), shown);
        }
        assert!(harmless(&"ü".repeat(1000)).len() <= MAX_REASON);
    }

    #[test]
    fn a_status_says_whose_fault_it_is() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = fetch::client(None, READ).unwrap();
        let url = Url::parse("http://u:hunter2@127.0.0.1:1/w/").unwrap();
        let http = Http::new(url, Some(Secret::new("hunter2".to_owned())), client);
        for (status, names) in [(401, "WEAVIATE_API_KEY"), (403, "WEAVIATE_API_KEY"), (301, "WEAVIATE_URL")] {
            let error = http.judge(status).unwrap_err();
            assert!(matches!(&error, Error::Refused(text) if text.contains(names)), "{error}");
        }
        for status in [408, 429, 500, 503, 599] {
            assert!(matches!(http.judge(status), Err(Error::Unavailable(_))), "{status}");
        }
        for status in [200, 400, 404, 422] {
            assert_eq!(http.judge(status), Ok(()), "{status}");
        }
        let shown = format!("{http:?} {}", http.judge(500).unwrap_err());
        assert!(shown.contains("127.0.0.1:1/w") && !shown.contains("hunter2"), "{shown}");
    }
}
